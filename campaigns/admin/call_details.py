"""In: a call's ``details``. Out: the same in forms fit for reading, phone numbers masked.

The names that ``platforms.events`` gives a meaning for all platforms have a form each; whatever
else a platform said stands under its own name. What has an unexpected shape is shown as it is:
rows of earlier readings stay readable.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext_lazy

from campaigns.admin.base import hide_phones
from campaigns.masking import mask_phone
from campaigns.models import Call
from campaigns.platforms.events import SHARED_DETAILS

Facts = list[tuple[str, str]]

#: shown of one value, rows of one list, and how deep names are joined
SHOWN_CHARS, SHOWN_ROWS, SHOWN_DEPTH = 3_000, 300, 3
#: the names within ``media_failure``, which are ours
HEARD = {
    "reason": gettext_lazy("Reason"),
    "code": gettext_lazy("Code"),
    "keyword": gettext_lazy("Words heard"),
}


def describe_details(call: Call, *, whole: bool) -> dict[str, Any]:
    """Everything in the details, by the names of the sections of the page; empty ones are empty."""
    told = call.details if isinstance(call.details, dict) else {}
    number = told.get("contact_number")
    details = told if whole else hide_phones(told)
    survey = details.get("survey")
    survey = survey if isinstance(survey, dict) else {"text": survey}
    return {
        "contact_number": _tell(number if whole else mask_phone(number)),
        "intention_text": _tell(details.get("intention_text")),
        "labels": list_facts(details.get("labels")),
        "questions": [_read_question(row) for row in _list_rows(details.get("questions"))],
        "slots": list_facts(details.get("slots")),
        "amounts": [_read_amount(row) for row in _list_rows(details.get("amounts"))],
        "person": list_facts(details.get("person")),
        "carried": list_facts(details.get("carried")),
        "notes": [
            {"name": _tell(row.get("name")), "text": _tell(row.get("text"))}
            for row in _list_rows(details.get("notes"))
        ],
        "survey": {
            "score": _tell(survey.get("score")),
            "text": _tell(survey.get("text")),
            "more": list_facts(
                {name: value for name, value in survey.items() if name not in ("score", "text")}
            ),
        },
        "steps": [_tell(step) for step in _list_any(details.get("path")) if _tell(step)],
        "transfer": list_facts(details.get("transfer")),
        "media_failure": [
            (str(HEARD.get(name, name)), text)
            for name, text in list_facts(details.get("media_failure"))
        ],
        "others": list_facts(
            {name: value for name, value in details.items() if name not in SHARED_DETAILS}
        ),
    }


def list_facts(value: Any, *, name: str = "", depth: int = 0) -> Facts:
    """(name, text) of everything that says something, the names of what lies inside joined."""
    if isinstance(value, dict) and depth < SHOWN_DEPTH:
        facts: Facts = []
        for inner, item in sorted(value.items(), key=lambda pair: str(pair[0])):
            facts += list_facts(
                item, name=f"{name}.{inner}" if name else str(inner), depth=depth + 1
            )
        return facts[:SHOWN_ROWS]
    text = _tell(value)
    return [(name, text)] if text else []


def _tell(value: Any) -> str:
    """A value as text; "" for what says nothing."""
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        text = ", ".join(str(one) for one in value if one != "")
    elif isinstance(value, list | dict):
        text = json.dumps(value, ensure_ascii=False, indent=1)
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = str(value)
    return f"{text[:SHOWN_CHARS]}…" if len(text) > SHOWN_CHARS else text


def _list_any(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value[:SHOWN_ROWS]
    return [value] if value not in (None, "", {}) else []


def _list_rows(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; of anything else an object with its text."""
    return [row if isinstance(row, dict) else {"text": row} for row in _list_any(value)]


def _read_question(row: dict[str, Any]) -> dict[str, Any]:
    known = ("name", "question", "answer", "text", "status", "answered")
    answered = row.get("answered")
    return {
        **{name: _tell(row.get(name)) for name in known[:-1]},
        "answered": answered if isinstance(answered, bool) else None,
        "more": list_facts({name: value for name, value in row.items() if name not in known}),
    }


def _read_amount(row: dict[str, Any]) -> dict[str, str]:
    """Grouped by thousands; digits are never dropped, for the amount is a decimal string."""
    text = _tell(row.get("amount", row.get("text")))
    try:
        amount = Decimal(text)
        shown = f"{amount:,f}" if amount.is_finite() and len(text) < 60 else text
    except InvalidOperation:
        shown = text
    return {"name": _tell(row.get("name")), "amount": shown, "currency": _tell(row.get("currency"))}
