"""In: parameters of an address, or what was kept of them. Out: ``Criteria``, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import EmptyResultSet
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from campaigns.criteria.calls import CALL_CRITERIA
from campaigns.criteria.contacts import CONTACT_CRITERIA
from campaigns.criteria.values import BadCriteria, Criterion, Value
from campaigns.models import Call, Contact

CALLS, CONTACTS = "calls", "contacts"
KINDS = (CALLS, CONTACTS)

_TABLES: dict[str, dict[str, Criterion]] = {CALLS: CALL_CRITERIA, CONTACTS: CONTACT_CRITERIA}
_MODELS: dict[str, Any] = {CALLS: Call, CONTACTS: Contact}
#: parameters of a list that choose no rows: which page, in which order, where one came from
OF_THE_PAGE = frozenset(
    {"p", "o", "e", "all", "before", "after", "saved", "_changelist_filters", "_facets", "_popup"}
)


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which calls, or which contacts. ``params`` can be kept as JSON and read again."""

    kind: str
    params: dict[str, Value]

    def select(self, rows: QuerySet[Any] | None = None) -> QuerySet[Any]:
        """The rows, of ``rows`` if they are given. It asks the database for what it needs to look
        up first (accounts, agents), never for a count."""
        given = rows = _MODELS[self.kind]._default_manager.all() if rows is None else rows
        table = _TABLES[self.kind]
        of_one_call = Q()
        # the search looks whether there is something, so it comes last
        for name in sorted(self.params, key=lambda one: one == "q"):
            criterion, value = table[name], self.params[name]
            if criterion.of_call is not None:
                of_one_call &= criterion.of_call(value)
            else:
                rows = criterion.narrow(rows, value)
        if of_one_call:
            rows = rows.filter(Exists(Call.objects.filter(of_one_call, contact=OuterRef("pk"))))
        try:
            rows.query.sql_with_params()
        except EmptyResultSet:
            # What no column can hold is nobody's, which Django says by an error to whoever asks for
            # the SQL of it.
            return given.extra(where=["false"])
        return rows

    def describe(self) -> list[tuple[str, str]]:
        """(what, which) in the reader's language, numbers masked; empty for all rows."""
        table = _TABLES[self.kind]
        return [
            (str(one.label), one.tell(self.params[name]))
            for name, one in table.items()
            if name in self.params
        ]

    def make_query(self) -> str:
        """The address' part after the question mark that shows the same rows in the list."""
        return urlencode(self.params, doseq=True)

    @property
    def leads(self) -> bool:
        """Whether an index of its own finds the few rows."""
        table = _TABLES[self.kind]
        return any(table[name].is_led(value) for name, value in self.params.items())

    def __bool__(self) -> bool:
        """Whether anything is chosen, not just everything there is."""
        return bool(self.params)


def read_criteria(kind: str, params: Mapping[str, Any]) -> Criteria:
    """What an address, or ``Criteria.params`` of before, chooses. Raises ``BadCriteria``."""
    if kind not in _TABLES:
        raise BadCriteria(_("There are no criteria for this."))
    table = _TABLES[kind]
    found: dict[str, Value] = {}
    for name in params:
        if name in OF_THE_PAGE:
            continue
        values = [value for value in _list_values(params, name) if value.strip()]
        if name not in table:
            if not values:
                continue
            raise BadCriteria(_("“%(name)s” is nothing to choose by.") % {"name": name[:60]})
        if not values:
            continue
        try:
            value = table[name].read(values)
        except BadCriteria as bad:
            label = str(table[name].label)
            raise BadCriteria(f"{label}: {bad}") from None
        if value:
            found[name] = value
    return Criteria(kind, found)


def list_criteria(kind: str) -> dict[str, Criterion]:
    """What rows of a kind can be chosen by."""
    return dict(_TABLES[kind])


def _list_values(params: Mapping[str, Any], name: str) -> list[str]:
    getlist = getattr(params, "getlist", None)
    value = getlist(name) if getlist else params[name]
    values = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str | int) for one in values):
        raise BadCriteria(_("“%(name)s” is nothing to choose by.") % {"name": name[:60]})
    return [str(one) for one in values]
