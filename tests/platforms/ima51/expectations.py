"""In: nothing. Out: what a person reads in 51ima's text and payloads, for the shared tests."""

from __future__ import annotations

from typing import Any

_AS_DOCUMENTED = {
    "parkingWaitDuration": "is not between 0 and 86400",  # an epoch second (oddity ima-8)
    "evaluationScore": "is not between 0 and 5",  # -1 (oddity ima-10)
}

#: The sample of the text holds two impossible values, and so does the same record unwrapped.
EXPECTED_PROBLEMS: dict[str, dict[str, str]] = {
    "callRecord__sample": _AS_DOCUMENTED,
    "callRecord__unwrapped": _AS_DOCUMENTED,
}

WORDS = {
    "results": "0=unknown? 1=unreachable- 2=answered+ 3=no_answer- 4=abandoned- 5=call_restricted-"
    " 6=no_answer- 7=abandoned- 8=abandoned- 9=cancelled- 10=call_restricted-",
    "directions": "1=inbound 2=outbound",
    "hang-up sides": "0=contact 1=agent 2=unknown 3=platform",
    "hang-up types": "CONTACT_DROPPED_CALL=contact AGENT_DROPPED_CALL=agent"
    " TRANSFER_DROPPED_CALL=platform",
    "sources": "1 2 3",
    "scores": "0 1 2 3 4 5",
    "field types": "0 1 2 3 4 5 6 7",
}
#: whole paths of the ids of calls and tasks
ID_FIELDS = ("id", "iccCallId", "data.id", "data.iccCallId", "data.taskId")


def _make(last: str, **facts: Any) -> dict[str, Any]:
    """The record that the payloads are variants of; None takes a fact away."""
    told: dict[str, Any] = {
        "news": "record",
        "direction": "inbound",
        "hangup_by": "contact",
        "call": f"00000000-0000-4000-8000-000000000{last}",
        "code": "2",
        "relation": f"00000000-0000-4000-9000-000000000{last}",
        "queue": "01105165021937Jr",
        "caller": "19900000005",
        "callee": "33330002",
        "dialed": 1606188550000,
        "ended": 1606188571000,
        "ring": 6,
        "wait": 3,
        **facts,
    }
    if told["direction"] == "outbound" and "callee" not in facts:
        told |= {"caller": "33330002", "callee": "19900000005"}
    return {name: value for name, value in told.items() if value is not None}


def _answered(last: str, picked_up: Any, **facts: Any) -> dict[str, Any]:
    said = {"answered": True, "result": "answered", "talk": 15, "picked_up": picked_up}
    return _make(last, **said | facts)


def _lost(last: str, code: str, result: str, **facts: Any) -> dict[str, Any]:
    return _make(last, **{"answered": False, "result": result, "code": code, "talk": 0} | facts)


#: its ring time is an epoch second
_SAMPLE = _lost(
    "", "4", "abandoned", ring=None,
    call="0605589a-c1f7-47a5-b75c-3e639e1b928a", relation="77321526-3971-408e-adf2-7557dba9d2c3",
)  # fmt: skip

FACTS: dict[str, dict[str, Any]] = {
    "callRecord__sample": _SAMPLE,
    "callRecord__unwrapped": _SAMPLE,
    "callRecord__result_0": _make(
        "100", code="0", result="unknown", talk=0, hangup_by="unknown"
    ),
    "callRecord__result_1": _lost(
        "101", "1", "unreachable", direction="outbound", hangup_by="unknown", wait=0, queue=None
    ),
    "callRecord__result_2": _answered(
        "102", 1606188559000, talk=12, hangup_by="agent", agent="9007199254740993"
    ),
    "callRecord__result_3": _lost("103", "3", "no_answer", direction="outbound"),
    "callRecord__result_4": _lost("104", "4", "abandoned"),
    "callRecord__result_5": _lost("105", "5", "call_restricted", wait=0, queue=None),
    "callRecord__result_6": _lost("106", "6", "no_answer", ring=15, agent="1001"),
    "callRecord__result_7": _lost("107", "7", "abandoned"),
    "callRecord__result_8": _lost("108", "8", "abandoned", wait=0, queue=None),
    "callRecord__result_9": _lost(
        "109", "9", "cancelled", direction="outbound", hangup_by="agent", agent="1001"
    ),
    "callRecord__result_10": _lost(
        "110", "10", "call_restricted",
        direction="outbound", hangup_by="unknown", dialed=None, ended=None,
    ),
    # no time of the answer: the end less what was talked, 10 seconds
    "callRecord__outbound_task": _answered(
        "120", 1606188561000,
        direction="outbound", caller="33330002", callee="19900000001", talk=10, ring=8, wait=0,
        task="9223372036854775807", contact="CB-123", agent="9007199254740993",
    ),
    "callRecord__outbound_task_plain": _lost(
        "121", "3", "no_answer",
        direction="outbound", caller="33330002", callee="19900000002", task="36028797018963969",
    ),
    "callRecord__transferred": _answered(
        "122", 1606188555000, hangup_by="platform", agent="1002"
    ),
    "callRecord__no_number_of_hangup": _answered("123", 1606188556000, hangup_by="platform"),
    "callRecord__times_in_words": _answered(
        "124", "2020-11-24 11:29:16", dialed="2020-11-24 11:29:10", ended="2020-11-24 11:29:31"
    ),
    "callRecord__every_form_field": _answered("125", 1606188556000),
}  # fmt: skip

#: ten notices, five seconds each; how long it waits between them is not said
DELIVERY = {"timeout": 5.0, "tries": 10, "taken": "ok word"}
