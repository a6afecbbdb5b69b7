"""In: nothing. Out: what a person reads in yeta's text and payloads, for the shared tests."""

from __future__ import annotations

from typing import Any

UNSEEN = {
    "results of calls": "-1 2 3 4 5 6 7 8 9 16 18 19 22 23 25 26 27 28",
    "states of tasks": "0 1 2 3 5 6 7",
    "types of tasks": "0 2",  # required by the table, missing in the sample
    "states of robots": "1 2 3",
    "types of robots": "2",
    # the text shows no refusal at all
    "error codes": "200101 10001 10002 10003 10004 10005 10020 10021 200200 200201 200202 200203"
    " 200204 200205 200206 200209 200210 200211 200212 200213 200222 3030002 3010102 3010101",
}
#: every sample of the text can be read without loss
EXPECTED_PROBLEMS: dict[str, dict[str, str]] = {}

#: 外呼结果说明 and the other tables of the text, with the readings of docs/decisions.md
WORDS = {
    "results of calls": "-1=timed_out- 0=answered+ 2=busy- 3=unreachable- 4=powered_off- 5=busy-"
    " 6=invalid_number- 7=invalid_number- 8=rejected- 9=suspended- 15=answered+contact"
    " 16=answered+unknown 18=answered+ 19=transferred+ 20=no_answer- 22=no_answer-"
    " 23=call_restricted- 25=forwarded- 26=network_failure- 27=call_restricted- 28=line_failure-",
    "directions": "1=inbound 2=outbound",
    "roles": "robot=robot customer=contact",
    "states of tasks": "0=created 1=started 2=running 3=paused 4=finished 5=waiting_retry"
    " 6=outside_hours 7=expired",
    "types of tasks": "0 2",
    "states of robots": "1 2 3 4",
    "types of robots": "1 2",
    "states of lines": "0 1",
    "types of nodes": "AnyNode CollectInputNode ConditionNode EndNode HookInfoNode"
    " KeyNavigationNode NoNeedAnswerNode NormalNode",
    "error codes": "200101=pause_account 10001=refresh_token 10002=refresh_token"
    " 10003=pause_account 10004=retry 10005=tell_operator 10020=retry 10021=pause_account"
    " 200200=pause_task 200201=pause_account 200202=fail_task 200203=refuse_row 200204=fail_task"
    " 200205=fail_task 200206=fail_task 200209=pause_account 200210=tell_operator"
    " 200211=tell_operator 200212=refuse_row 200213=pause_task 200222=pause_task"
    " 3030002=pause_task 3010102=fail_task 3010101=fail_task",
}
#: whole paths of the ids of calls, tasks and contacts
ID_FIELDS = (
    *("call_uuid", "task_id", "task_data_id"),
    *("data.call_uuid", "data.task_id", "data.task_data_id"),
)

_OUTBOUND: dict[str, Any] = {
    "news": "record",
    "direction": "outbound",
    "call": "8edf0c99-5b3d-4722-b1fb-10b2fbfecda2",
    "task": "504138886481984",
    "contact": "32264888839704576",
    "robot": "20001003",
    "caller": "055196866001",
    "callee": "19900000001",
    "answered": True,  # it has a time of the answer; the result comes with the other record
    # 13230 to 44490: 131.26 seconds
    "dialed": 1543935305290,
    "picked_up": 1543935313230,
    "ended": 1543935444490,
    "ring": 7,
    "talk": 131,
}
_WHOLE = {**_OUTBOUND, "result": "answered", "code": "0", "attempts": [1]}
_VOICE = {"call": "809c825c-6483-11e8-b8db-2769c24918cd", "robot": "10527", "recordings": [32]}

FACTS: dict[str, dict[str, Any]] = {
    "getDialogContext__sample": {"ignored": True},
    "semantic__sample": {"ignored": True},
    "receiveCallRecord__file_success": _WHOLE,
    "receiveCallRecord__outbound": _WHOLE,
    "receiveCallRecord__outbound_basic": _OUTBOUND,
    "receiveCallRecord__file_hung_up_by_contact": {
        **_WHOLE,
        "call": "01M21S470GDVR68B345H7B5AES01SKVK",
        "task": "88785",
        "contact": "88547143",
        "robot": "1161",
        "code": "15",
        "hangup_by": "contact",
        "dialed": 1543935195000,
        "picked_up": 1543935205000,
        "ended": 1543935211000,
        "ring": 10,
        "talk": 6,
    },
    "receiveCallRecord__outbound_no_answer": {
        "news": "record",
        "direction": "outbound",
        "call": "00000000-0000-4000-8000-000000000020",
        "task": "504138886481984",
        "contact": "32264888839704577",
        "robot": "20001003",
        "caller": "055196866001",
        "callee": "19900000001",
        "answered": False,
        "result": "no_answer",
        "code": "20",
        "attempts": [2],
        "dialed": 1543935305290,
        "ringing": 1543935307000,
        "ended": 1543935345290,
        "ring": 38,
        "talk": 0,
    },
    "receiveCallRecord__inbound_basic": {
        "news": "record",
        "direction": "inbound",
        "call": "123425c-6483-11e8-b8fa-2769c24918cd",
        "relation": "test-123",
        "contact": "262381",
        "robot": "2745001",  # its task is 0: none
        "caller": "055196866001",
        "callee": "19900000001",
        "answered": True,  # the text has no result of an inbound call
        "dialed": 1527737756729,
        "ringing": 1527737757449,
        "picked_up": 1527737763429,
        "ended": 1527737784829,
        "ring": 7,
        "talk": 21,
    },
    "receiveDialog__sample": {
        "call": "f3b13ebc-6394-11e8-907d-ebcc4d560c04",
        "robot": "10527",
        "turns": "RC",
    },
    "receiveDialog__every_field": {
        "call": "8edf0c99-5b3d-4722-b1fb-10b2fbfecda2",
        "contact": "32264888839704576",
        "robot": "20001003",
        "turns": "RCRCRCRCRCRCRR",
        "intention": "A",
        "intention_min": "B",
    },
    "receiveVoice__sample": _VOICE,
    "receiveVoice__absolute": {**_VOICE, "contact": "32264888839704576", "relation": "test-123"},
}

#: three repeats when the word is missing, three seconds each; then the file of the next day
DELIVERY = {
    "timeout": 3.0,
    "tries": 4,
    "taken": "word word_500",
    "undelivered": "filed",
    "kinds": ("receiveCallRecord",),
}
