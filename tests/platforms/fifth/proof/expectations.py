"""In: nothing. Out: what a person reads in acme's text and payloads, for the shared tests."""

from __future__ import annotations

from typing import Any

#: words that no payload shows
UNSEEN = {"outcomes": "wrong"}
WORDS = {
    "outcomes": "talked=answered+ nobody=no_answer- engaged=busy- wrong=invalid_number-",
    "ways": "in=inbound out=outbound",
    "sides": "us=robot them=contact",
}
#: whole paths of the ids of calls and tasks
ID_FIELDS = ("acme_call", "job")
_CALL: dict[str, Any] = {
    "news": "record",
    "direction": "outbound",
    "task": "770000000000000077",
    "contact": "CB-1",
    "caller": "01000000001",
    "callee": "19900000001",
    "dialed": 1606188550000,
    "ended": 1606188585000,
    "ring": 5,
    "talk": 0,
    "answered": False,
}
_TALKED = {"answered": True, "picked_up": 1606188555000, "talk": 30}
FACTS: dict[str, dict[str, Any]] = {
    "call__talked": _CALL
    | _TALKED
    | {
        "call": "900000000000000001",
        "code": "talked",
        "result": "answered",
        "hangup_by": "contact",
    },
    "call__nobody": _CALL
    | {
        "call": "900000000000000002",
        "code": "nobody",
        "result": "no_answer",
        "hangup_by": "robot",
    },
    "call__engaged": _CALL
    | {
        "call": "900000000000000003",
        "direction": "inbound",
        "code": "engaged",
        "result": "busy",
        "hangup_by": "contact",
    },
}
DELIVERY = {"timeout": 3.0, "retry_wait": 1.0, "tries": 3, "taken": "ok word"}
