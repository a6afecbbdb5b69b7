"""In: the ``callee`` and what was given along with it, in a record of AI Rudder. Out: who was
called, the amounts, and what we or the customer's systems gave along.

``callee`` is an object in pushes and a bare number in requests. ``extra_a`` to ``extra_c``,
``extra``, ``extend`` and ``custom_attribute`` are four ways to give something along: what is in
them is the customer's, in whatever form, and comes back as it went.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from campaigns.platforms.airudder.details import drop_empty
from campaigns.platforms.bodies import inner_json
from campaigns.platforms.values import Fields, Odd, Problem, clean

#: The fields of ``callee``, by which they are told from those of the call in a record without both.
CALLEE_NAMES = frozenset(
    {"case_id", "callee_name", "callee_gender", "platform_name", "extra_a", "extra_b", "extra_c"}
    | {"extra", "extend", "comments", "borrowed_date", "due_date", "borrowed_amount"}
    | {"total_owing_amount", "currency_unit"}
)
_PERSON = ("callee_name", "callee_gender")
_AMOUNTS = ("borrowed_amount", "total_owing_amount")
_AMOUNT = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?\Z", re.ASCII)
_EXACT_FLOAT = 2**53


@dataclass(frozen=True, slots=True)
class Contact:
    """Who was called. ``details`` are those that mean the same for every platform."""

    case_id: str | None = None
    number: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


def read_contact(record: Fields) -> Contact:
    """The contact of a record whose ``callee`` is an object; unusable fields are named in the
    record's ``problems``."""
    callee: dict[str, Any] = record.raw["callee"]
    fields = Fields(callee, record.problems, f"{record.place}callee.")
    amounts = _read_amounts(fields)
    used = {"case_id", "callee_number", *_PERSON, *_AMOUNTS}
    if amounts:
        used.add("currency_unit")
    carried = {name: _read_carried(value) for name, value in callee.items() if name not in used}
    carried["custom_attribute"] = _read_carried(record.raw.get("custom_attribute"))
    number = fields.id("callee_number", limit=64)
    return Contact(
        case_id=fields.id("case_id"),
        number=number,
        details={
            "contact_number": number,
            "person": drop_empty({name: fields.text(name, limit=300) for name in _PERSON}),
            "amounts": amounts,
            "carried": clean(drop_empty(carried)),
        },
    )


def _read_carried(value: Any) -> Any:
    """What was given along, as it is; of an object only what says something (``variables: {}``)."""
    value = inner_json(value)
    return clean(drop_empty(value) if isinstance(value, dict) else value)


def _read_amounts(fields: Fields) -> list[dict[str, Any]]:
    currency = fields.text("currency_unit", limit=20)
    amounts = []
    for name in _AMOUNTS:
        try:
            amount = read_amount(fields.raw.get(name))
        except Problem as problem:
            fields.name_problem(name, str(problem))
            continue
        if amount is not None:
            amounts.append({"name": name, "amount": amount, "currency": currency or ""})
    return amounts


def read_amount(value: Any) -> str | None:
    """An amount as a decimal string, exactly as it was written. None for nothing or ""."""
    if value is None or value == "":
        return None
    if isinstance(value, Odd):
        raise Problem(value.why)
    if isinstance(value, float) and abs(value) < _EXACT_FLOAT:
        value = format(Decimal(repr(value)), "f")
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _AMOUNT.match(value.strip()):
        raise Problem("is not an amount")
    return value.strip()
