"""In: nothing. Out: what a person reads in AI Rudder's texts and payloads, for the shared tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

UNSEEN = {
    # client code names them, nothing shows them
    "why a call ended": "0 1 2 3 4 5 6 7 8 9 13 14 15 16 17 18 19 20",
}
#: every sample of the texts can be read without loss
EXPECTED_PROBLEMS: dict[str, dict[str, str]] = {}

WORDS = {
    "who hung up": "ByRobot=answered+robot ByCallee=unknown?contact",
    "why a call ended": "0=unknown? 1=abandoned+ 2=unknown? 3=busy- 4=invalid_number- 5=unknown?"
    " 6=powered_off- 7=unreachable- 8=invalid_number- 9=invalid_number- 12=answered+"
    " 13=abandoned?agent 14=unknown?contact 15=cancelled?platform 16=voicemail-"
    " 17=network_failure? 18=call_restricted-platform 19=abandoned?contact"
    " 20=call_restricted-platform",
    "states of tasks": "Running=running Finished=finished",
    "states of contacts": "CALLING RINGING ANSWERED HANGUP TALKRESULT",
    "answered questions": "Answered",
}
#: whole paths of the ids of calls and tasks
ID_FIELDS = ("call.call_id", "pds.body.callid", "body.callid", "workflow_id")

_RECORD: dict[str, Any] = {
    "news": "record",
    "direction": "outbound",
    "task": "b761cdd784294xxxxxx869f85c",
    "robot": "4585",
    "caller": "+9519900000088",
    "dialed": "2024-03-12 14:54:26",
    "ended": "2024-03-12 14:54:52",
    "ring": 2,
}
_WORKFLOW, _TASK = "2b6951a25b434657b94d4d60d96fcf18", "9751a67700274a24b650334587653de6"
_NODE = "5abeb76b414c4b8da455a253dac7bd86"
_CONTACT: dict[str, Any] = {
    "news": "progress",
    "direction": "outbound",
    "attempts": [1],
    "task": _WORKFLOW,
    "call": "5d0a1c7e9b3f4c62a8d2e47f10b6c935",
    "callee": "+8619900000002",
}

FACTS: dict[str, dict[str, Any]] = {
    "api-node__sample": {
        **_RECORD,
        "call": "cd878f6611adxxxxxx1a5a3ec5525b",
        "contact": "123456.0",
        "callee": "+8619900000001",
        "code": "ByRobot",
        "hangup_by": "robot",
        "intention": "E",
        "answered": True,
        "result": "answered",
        # the fourth call, after three redials; five rows of what was said are not empty
        "attempts": [4, 1, 2, 3],
        "turns": "RRRRR",
        "claims": 1,
    },
    "api-node__contact_spoke": {
        **_RECORD,
        "call": "1f0b7a52c0de4f8a9d3c5e7b91a24d60",
        "contact": "CB-123",
        "callee": "+8619900000003",
        "code": "ByCallee",
        "hangup_by": "contact",
        "answered": True,
        "result": "answered",
        "intention": "A",
        "attempts": [1],
        "turns": "RC",
        "claims": 1,
    },
    "call-completed__not_known_answered": {
        **_RECORD,
        "call": "7c41b0d3a9e84f6fb25d0e8c6a913f72",
        "contact": "CB-123",
        "callee": "+8619900000003",
        "code": "ByCallee",
        "hangup_by": "contact",
        "result": "unknown",
        "intention": "F",
        "attempts": [1],
    },
    "pds__contact_calling": {**_CONTACT, "dialed": 1668998290123},
    "pds__contact_ringing": {**_CONTACT, "ringing": 1668998292123},
    "pds__contact_answered": {
        **_CONTACT,
        "picked_up": 1668998299123,
        "answered": True,
        "result": "answered",
        "agent": "Agent One",
    },
    "pds__contact_hangup": {
        **_CONTACT,
        "ended": 1668998359123,
        "code": "12",
        "result": "answered",
        "answered": True,
        "recordings": [None],
        "news": "record",
        "agent": "Agent One",
    },
    "pds__contact_talk_result_bare": {
        **_CONTACT,
        # bare: the dialler's own task is all there is
        "task": _TASK,
        "code": "12",
        "result": "answered",
        "answered": True,
        "news": "record",
        "agent": "Agent One",
    },
    "pds__agent_status": {
        # no text and no client code has a list of its states
        "agent": "Agent One",
        "agent_state": "unknown",
        "at": 1668998290123,
    },
    "pds__task_running": {
        "task": _WORKFLOW,
        "node": _NODE,
        "task_state": "running",
        "started": "2022-11-21T02:38:02+00:00",
    },
    "pds__task_finished_bare": {
        "task": _TASK,
        "task_state": "finished",
        "started": "2022-11-21T02:38:02+00:00",
        "finished": "2022-11-21T03:12:40+00:00",
    },
    "workflow-status__running": {"task": _WORKFLOW, "task_state": "running"},
}

#: five repeats, a minute apart
DELIVERY = {"retry_wait": 60.0, "tries": 6, "taken": "ok word"}

#: settings without which a client has nothing to say
SETTINGS = {"workflow_templates": "301 Payment reminder: callee, callee_name, comments"}


def list_queries(task_id: str, calls: Sequence[Any], *, number: str) -> Iterator[dict[str, str]]:
    """What a push is asked about with: a call that there was, and one that there was not."""
    query = {"workflow_id": task_id, "node_id": "0123456789abcdef"}
    query |= {"callee": number, "case_id": "CB-1"}
    for call in calls[:1]:
        told = {"node_id": call.details.get("node_id"), "case_id": call.platform_contact_id}
        told["callee"] = call.details.get("contact_number")
        yield query | {name: word for name, word in told.items() if word}
    yield query
