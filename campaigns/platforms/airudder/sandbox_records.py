"""In: what the pretended calls at a contact were. Out: bodies of pushes in the shapes of the texts.

Where a shape is known from client code only (contacts and agents of the dialler), so is this one.
Words that no text has are not made up, but for the states of agents.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from campaigns.platforms.airudder.sandbox_plan import (
    INTENTIONS,
    Attempt,
    Outcome,
    converse,
)
from campaigns.platforms.sandbox_clock import SHANGHAI

Body = dict[str, Any]

#: fields of ``callee`` in the text, with what stands there when nobody says anything
CALLEE: dict[str, Any] = {
    "case_id": "",
    "callee_name": "",
    "callee_gender": "",
    "callee_number": "",
    "platform_name": "AIRUDDER",
    "extra_a": "",
    "extra_b": "",
    "extra_c": "",
    "extra": [],
    "comments": "",
    "borrowed_date": "2026-02-01",
    "due_date": "2026-12-07",
    "borrowed_amount": "20000.00",
    "total_owing_amount": "20310.00",
    "currency_unit": "CNY",
}
ROBOT_ID = "4585"


def write_local(moment: float) -> str:
    """As the records have times: local, without a zone."""
    return datetime.fromtimestamp(moment, SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def write_utc(moment: float) -> str:
    """As the dialler has times."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_record(instance: Mapping[str, Any], row: Mapping[str, Any], outcome: Outcome) -> Body:
    """The record of the custom API node: the last call, the earlier ones in ``redial_call``."""
    *earlier, last = outcome.attempts
    number = row["number"]
    fields = {name: value for name, value in row["fields"].items() if value != ""}
    own = {name: value for name, value in fields.items() if name in CALLEE}
    variables = {n: v for n, v in fields.items() if n not in CALLEE and n != row["number_field"]}
    return {
        "workflow_id": instance["id"],
        "workflow_name": instance["name"],
        "node_id": instance["node_id"],
        "node_name": "API1",
        "callee": {
            **CALLEE,
            **own,
            "case_id": row["case_id"],
            "callee_number": number,
            "extend": {"variables": variables, "detail_source": "api", "pds_variables": {}},
        },
        "custom_attribute": {"channel": "sandbox"},
        "call": {
            "task_id": instance["task_id"],
            "call_id": last.call_id,
            "callee_number": number,
            "robot_id": ROBOT_ID,
            "call_start_time": write_local(last.began_at),
            "call_end_time": write_local(last.ended_at),
            "call_times": len(outcome.attempts),
            "ring_type": "normal",
            "hangup_type": "ByRobot" if last.answered else "ByCallee",
            "intention": outcome.intention,
            "slots": "",
            "ner_slots": {"receivetime": "2"} if last.answered else {},
            "redial_call": [_make_redial(attempt, number) for attempt in earlier],
            "talk_round": 3 if last.answered else 0,
            "ring_time": last.ring_seconds,
            "question_answer": [_make_question()] if last.answered else [],
            "multi_label": {"A0": "A0", "Correct_Person": "identity_correct_person"}
            if last.answered
            else {},
            "intention_description": INTENTIONS.get(outcome.intention, ""),
            "asr_ptp": "",
            "asr_result": converse(last),
            "caller_number": last.caller,
        },
    }


def _make_redial(attempt: Attempt, number: str) -> Body:
    return {
        "call_id": attempt.call_id,
        "call_start_time": write_local(attempt.began_at),
        "ring_type": "normal",
        "ring_time": attempt.ring_seconds,
        "hangup_type": "ByCallee",
        "result_label": "F",
        "callee_number": number,
        "caller_number": attempt.caller,
    }


def _make_question() -> Body:
    return {
        "question_name": "Q1",
        "answer": "tomorrow",
        "answer_text": "明天可以",
        "status": "Completed",
        "answer_text_slot": "",
        "var": "",
        "verification_results": "",
        "question_content": "请问您今天方便处理吗?",
        "question_type": "open",
        "whether_answer": "Answered",
    }


def tamper(record: Body) -> Body:
    """The same record as a forger might send it."""
    forged = copy.deepcopy(record)
    forged["callee"]["total_owing_amount"] = "1.00"
    forged["call"]["intention"] = "A"
    forged["call"]["intention_description"] = INTENTIONS["A"]
    return forged


def make_workflow_status(instance: Mapping[str, Any]) -> Body:
    return {
        "workflow_id": instance["id"],
        "workflow_name": instance["name"],
        "status": instance["state"],
        "actions": [
            {
                "nodetask_id": instance["node_task_id"],
                "nodetask_name": "PDS1",
                "node_type": "pds",
                "task_id": instance["task_id"],
                "task_status": instance["state"],
            }
        ],
    }


def wrap_pds(instance: Mapping[str, Any], kind: str, body: Body) -> Body:
    return {
        "workflow_id": instance["id"],
        "workflow_name": instance["name"],
        "nodetask_id": instance["node_task_id"],
        "nodetask_name": "PDS1",
        "pds": {"type": kind, "body": body},
    }


def make_task_status(instance: Mapping[str, Any], counts: Mapping[str, int], *, at: float) -> Body:
    ended = instance["state"] == "Finished"
    return wrap_pds(
        instance,
        "TaskStatus",
        {
            "taskId": instance["task_id"],
            "taskName": f"wf_pds_task_{instance['task_id']}",
            "groupName": "group1",
            "startTime": write_utc(instance["created_at"]),
            "actualStartTime": write_utc(instance["started_at"]),
            "endTime": write_utc(at) if ended else "",
            "totalNumber": counts["total"],
            "dialedNumber": counts["dialled"],
            "answeredNumber": counts["answered"],
            "talkedNumber": counts["answered"],
            "registeredCount": 1,
            "state": instance["state"],
            "displayTalkResult": "Agree",
            "talkResultCount": 0,
        },
    )


def make_contact_status(
    instance: Mapping[str, Any],
    row: Mapping[str, Any],
    attempt: Attempt,
    *,
    nth: int,
    state: str,
    at: float,
    recording: str,
    agent: str,
) -> Body:
    """One step of a call at the dialler; the recording comes with its end."""
    body: Body = {
        "callid": attempt.call_id,
        "taskId": instance["task_id"],
        "phoneNumber": row["number"],
        "mainNumber": row["number"],
        "nthCall": nth,
        "state": state,
        "timestamp": round(at * 1000),
        "agentName": agent if attempt.answered else "",
        "customerInfo": {"name": row["fields"].get("callee_name", ""), "caseId": row["case_id"]},
        "customizeResults": {},
    }
    if state == "HANGUP":
        body |= {"hangupReason": int(attempt.reason), "recLink": recording}
    return wrap_pds(instance, "ContactStatus", body)


def make_agent_status(instance: Mapping[str, Any], *, agent: str, state: str, at: float) -> Body:
    body = {
        "agentName": agent,
        "State": state,
        "taskId": instance["task_id"],
        "timestamp": round(at * 1000),
    }
    return wrap_pds(instance, "AgentStatus", body)


def make_turns(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """What a recording is made of."""
    turns: list[dict[str, Any]] = []
    at = 0.0
    for row in rows:
        for role, text in (("robot", row["robottext"]), ("contact", row["text"])):
            if text:
                turns.append({"role": role, "text": text, "at": at, "until": at + 3})
                at += 3
    return turns
