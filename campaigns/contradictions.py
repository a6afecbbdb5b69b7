"""In: a call about which the platform contradicts itself. Out: who said what, and in which pushes.

The evidence of a call knows the kind of message that a statement came in, not the push: then the
order of the pushes would change the row. So the pushes of the call are read once more when somebody
looks, while they are kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from campaigns.evidence import Evidence, read_event, tell_value
from campaigns.models import Call
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.events import CallEvent
from campaigns.platforms.values import clean_text

#: pushes of one call that are read again: the first ones, and it never has that many
MOST_PUSHES = 50


@dataclass(frozen=True, slots=True)
class Source:
    """A push that says so, and when it came."""

    receipt_id: int
    kind: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Statement:
    """One of the things said about a field. ``sources`` is empty where no push says so, or none
    that does is kept any more."""

    source: str
    value: Any
    believed: bool
    sources: tuple[Source, ...]


def list_contradictions(call: Call) -> list[tuple[str, list[Statement]]]:
    """[(field, its statements, the believed one first)] in the order of the fields."""
    told = [(field, said) for field, said in sorted(call.conflicts.items()) if field]
    if not told:
        return []
    known = _find_sources(call)
    return [
        (field, [_describe(known, field, item, place) for place, item in enumerate(_list(said))])
        for field, said in told
    ]


def _list(said: Any) -> list[Any]:
    return said if isinstance(said, list) else [said]


def _describe(
    known: dict[tuple[str, str, str], list[Source]], field: str, item: Any, place: int
) -> Statement:
    if not isinstance(item, dict):
        return Statement("", item, place == 0, ())
    source, value = str(item.get("source", "")), item.get("value")
    return Statement(source, value, place == 0, tuple(known[field, source, repr(value)]))


def _find_sources(call: Call) -> dict[tuple[str, str, str], list[Source]]:
    """{(field, source, value): the pushes that say so, the first one first}"""
    found: dict[tuple[str, str, str], list[Source]] = defaultdict(list)
    account = call.account
    reading = Reading(
        account.zone, {one.name: account.get_setting(one.name) for one in account.vendor.settings}
    )
    receipts = account.receipts.filter(platform_call_id=call.platform_call_id).order_by("id")
    for receipt in receipts[:MOST_PUSHES]:
        headers = {
            "content-type": receipt.content_type,
            "content-encoding": receipt.content_encoding,
        }
        push = Push(receipt.kind, bytes(receipt.body), headers)
        source = Source(receipt.pk, receipt.kind, receipt.received_at)
        for evidence in _read(call, push, reading):
            for field, items in evidence.items():
                for _, name, value in items:
                    told = found[field, name, repr(tell_value(field, value))]
                    if source not in told:
                        told.append(source)
    return found


def _read(call: Call, push: Push, reading: Reading) -> Iterator[Evidence]:
    try:
        events = call.account.vendor.parse(push, reading)
    except Exception:  # a parser of today may refuse what one of yesterday read
        return
    for event in events:
        if not isinstance(event, CallEvent):
            continue
        if clean_text(event.platform_call_id)[:200] == call.platform_call_id:
            yield read_event(event)[0]
