"""In: a question for a contact's status, or for its id at the platform. Out: the same, so that an
index answers it.

No index of the contacts names either, since both change while a contact is handed over, and each
index would be written then. The indexes know the ``stage``, which is the same for several states,
and ``ContactName`` knows the ids. Here is the one place that adds these to a query: whoever asks
for ``status`` or ``platform_contact_id`` gets both conditions, and the first implies the second.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.expressions import Col
from django.db.models.lookups import Exact, In

#: states that share the stage "moving"
MOVING = frozenset({"planned", "sending", "accepted"})


def find_stage(status: str) -> str:
    return "moving" if status in MOVING else status


class StagedField(models.CharField):
    """The status of a contact."""

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class NamedField(models.CharField):
    """The platform's id of a contact."""

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


def _find_table(lookup: Any, compiler: Any) -> str | None:
    """The quoted name by which the query has the contacts; None where an expression of the column
    is asked for, or it is compared with one."""
    column = lookup.lhs
    if not isinstance(column, Col) or not column.alias or not lookup.rhs_is_direct_value():
        return None
    return str(compiler.quote_name_unless_alias(column.alias))


def _add_stage(
    found: tuple[str, Any], table: str | None, values: list[Any]
) -> tuple[str, tuple[Any, ...]]:
    sql, params = found
    stages = sorted({find_stage(str(value)) for value in values if value is not None})
    if table is None or not stages:
        return sql, tuple(params)
    places = ", ".join(["%s"] * len(stages))
    return f'({sql} AND {table}."stage" IN ({places}))', (*params, *stages)


def _add_name(
    found: tuple[str, Any], table: str | None, values: list[Any]
) -> tuple[str, tuple[Any, ...]]:
    sql, params = found
    names = [str(value) for value in values if value is not None]
    if table is None or not names or "" in names:  # whoever has none is in no table of names
        return sql, tuple(params)
    # An array, which is asked for once, and goes together with other conditions by OR.
    known = (
        "ARRAY(SELECT known.contact_id FROM campaigns_contactname known"
        " WHERE known.platform_contact_id = ANY(%s))"
    )
    return f'({sql} AND {table}."id" = ANY({known}))', (*params, names)


def _register(field: type[models.Field[Any, Any]], add: Any) -> None:
    """``=`` and ``IN`` of the field get what ``add`` knows of the values."""

    class Equal(Exact):
        def as_sql(self, compiler: Any, connection: Any) -> Any:
            found = super().as_sql(compiler, connection)
            return add(found, _find_table(self, compiler), [self.rhs])

    class OneOf(In):
        def as_sql(self, compiler: Any, connection: Any) -> Any:
            table = _find_table(self, compiler)
            values = list(self.rhs) if table else []  # before it is used up
            return add(super().as_sql(compiler, connection), table, values)

    field.register_lookup(Equal)
    field.register_lookup(OneOf)


_register(StagedField, _add_stage)
_register(NamedField, _add_name)
