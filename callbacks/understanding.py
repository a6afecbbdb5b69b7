"""In: a receipt. Out: what today's code reads in it. Nothing is written, nothing is adopted.

For the screens: what a push says in our words, and whether one in quarantine would be understood
now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from callbacks.models import Receipt
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Ignored, Unrecognised
from campaigns.platforms.events import AccountSeen, AnyEvent
from campaigns.platforms.values import clean, clean_text

#: larger bodies are not read for a page
MOST_BYTES = 1_000_000
#: turns of a dialog that are shown
MOST_TURNS = 50


@dataclass(frozen=True, slots=True)
class Understood:
    """``status`` is what would become of it now: processed, ignored, quarantined; "" when it is too
    large to be tried for a page."""

    status: str
    reason: str = ""
    events: Sequence[AnyEvent] = ()


def try_reading(receipt: Receipt) -> Understood:
    """Read the receipt as processing would."""
    body = bytes(receipt.body)
    if len(body) > MOST_BYTES:
        return Understood("")
    account = receipt.account
    headers = {
        "content-type": receipt.content_type,
        "content-encoding": receipt.content_encoding,
    }
    try:
        vendor = account.vendor
        reading = Reading(
            account.zone, {one.name: account.get_setting(one.name) for one in vendor.settings}
        )
        events = tuple(vendor.parse(Push(receipt.kind, body, headers), reading))
    except Unrecognised as error:
        return Understood("quarantined", clean_text(error.reason)[:50])
    except Ignored as error:
        return Understood("ignored", clean_text(error.reason)[:50])
    except Exception:  # a parser may raise anything: that is why it is in quarantine
        return Understood("quarantined", "parser_failed")
    for event in events:
        if isinstance(event, AccountSeen):
            known = account.get_setting(event.setting)
            if known and known.strip() != clean_text(event.platform_account_id):
                return Understood("quarantined", "foreign_account")
    return Understood("processed", events=events)


def list_facts(event: AnyEvent) -> list[tuple[str, Any]]:
    """(field, value) of all that an event says, as plain values."""
    facts = []
    for one in dataclasses.fields(event):
        value = getattr(event, one.name)
        if one.name in ("rank", "heard_at", "problems") or value in (None, "", (), [], {}):
            continue
        if isinstance(value, Sequence) and not isinstance(value, str):
            facts += [(f"{one.name} {place}", spell(item)) for place, item in enumerate(value)][
                :MOST_TURNS
            ]
        else:
            facts.append((one.name, spell(value)))
    return facts


def spell(value: Any) -> Any:
    """A value for the screen."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return {name: spell(part) for name, part in parts.items() if part not in (None, "", (), [])}
    if isinstance(value, Mapping):
        return clean({str(name): spell(part) for name, part in value.items()})
    if isinstance(value, list | tuple):
        return [spell(part) for part in value]
    return clean(value)
