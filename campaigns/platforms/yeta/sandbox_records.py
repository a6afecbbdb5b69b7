"""In: a call that ended. Out: what yeta pushes about it, and the failed-push files.

Written after Part 2 of the platform's text. Ids are strings in pushes, times milliseconds.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from campaigns.platforms.yeta.sandbox_outcomes import describe
from campaigns.platforms.yeta.sandbox_script import NODES, TAGS
from campaigns.platforms.yeta.sandbox_state import App

RECORD, VOICE, DIALOG = "receiveCallRecord", "receiveVoice", "receiveDialog"
PUSHES_PER_ZIP, PUSHES_PER_FILE = 1000, 40

Call = Mapping[str, Any]


def _common(app: App, call: Call) -> dict[str, Any]:
    common = {
        "business_id": app.business_id,
        "app_id": app.app_id,
        "robot_id": call["robot_id"],
        "call_uuid": call["call_uuid"],
    }
    if call["direction"] == 1:
        return {**common, "call_relation_id": call["call_relation_id"]}
    return {**common, "task_data_id": call["task_data_id"]}


def make_basic_record(app: App, call: Call) -> dict[str, Any]:
    """The record that comes for every call; the only one of an inbound call."""
    record = _common(app, call)
    record |= {name: call[name] for name in ("caller", "callee", "direction")}
    if call["direction"] == 2:
        record["task_id"] = call["task_id"]
        record |= {name: call[name] for name in ("time_dial", "time_ring")}
    if call["time_answer"] or app.unanswered == "zero":
        record["time_answer"] = call["time_answer"]
    elif app.unanswered == "null":
        record["time_answer"] = None
    record["time_hangup"] = call["time_hangup"]
    record |= {name: call[name] for name in ("duration_ring", "duration_call")}
    return record


def make_outbound_record(app: App, call: Call) -> dict[str, Any]:
    """All of the basic record, and what only outbound calls have."""
    return make_basic_record(app, call) | {
        "task_result": call["task_result"],
        "task_result_desc": describe(call["task_result"]),
        "task_tries": call["attempt"],
        "task_row_index": call["row_index"],
        "task_row_head": call["row_head"],
        "task_row_value": call["row_value"],
    }


def make_voice(app: App, call: Call) -> dict[str, Any]:
    recording = call["recording"]
    return _common(app, call) | {
        "url": recording["url"],
        "size": recording["size"],
        "duration": recording["duration"],
    }


def make_dialog(app: App, call: Call) -> dict[str, Any]:
    told = _common(app, call)
    if call["tags"]:
        told |= {"tag_max": call["tags"][0], "tag_min": call["tags"][-1]}
    return told | {
        "time_begin": call["time_answer"],
        "time_end": call["time_hangup"],
        "dialog": list(tell_turns(call)),
    }


def tell_turns(call: Call) -> Iterator[dict[str, Any]]:
    """The interaction records; a customer's one repeats what the robot had said."""
    for seq, turn in enumerate(call["turns"], start=1):
        node = NODES[turn["node_id"]]
        robot = turn["role"] == "robot"
        question = _hex(f"{call['robot_id']}{turn['node_id']}", 32) if node.answers else ""
        told: dict[str, Any] = {
            "seq": str(seq),
            "role": turn["role"],
            "node_id": f"word_node_{turn['node_id']}",
            "node_name": node.name,
            "node_type": node.type,
            "label": node.label,
            "tag_name": turn["tag"],
            "tag_desc": TAGS.get(turn["tag"], ""),
            "text_robot": turn["text"] if robot else turn["asked"],
            "text_man": "" if robot else turn["text"],
            "question_id": question,
            "time_start": call["time_answer"] + int(turn["at"] * 1000),
        }
        if not robot:
            told["time_speaking"] = call["time_answer"] + int(turn["at"] * 1000)
            told["hits"] = [
                {
                    "hit": answer.hit,
                    "pick": answer.hit == turn["hit"],
                    "answer_id": _hex(question + answer.hit, 16),
                }
                for answer in node.answers
            ]
        yield told


def make_semantic_request(app: App, call: Call, *, context: Any) -> dict[str, Any]:
    """Part 3, two. As in the sample of the text, ids of digits are numbers here."""
    dialog = []
    customers = [turn for turn in call["turns"] if turn["role"] == "customer"]
    for seq, turn in enumerate(customers):
        node = NODES[turn["node_id"]]
        dialog.append(
            {
                "seq": seq,
                "node_id": f"word_node_{turn['node_id']}",
                "node_name": node.name,
                "node_type": node.type,
                "tag_name": turn["tag"],
                "tag_desc": TAGS.get(turn["tag"], ""),
                "text_robot": turn["asked"],
                "text_man": turn["text"],
                "hit": {"pick": True, "name": turn["hit"], "id": _hex(turn["hit"], 16)},
                "reject": 0,
                "has_reply": 1,
                "un_hit": 0,
            }
        )
    return {
        "code": "SELF1",
        "business_id": app.business_id,
        "app_id": app.app_id,
        "robot_id": _number(call["robot_id"]),
        "call_uuid": call["call_uuid"],
        "call_relation_id": call["call_relation_id"],
        "caller": call["caller"],
        "callee": call["callee"],
        "direction": 1,
        "context": context if isinstance(context, dict) else {},
        "reply": customers[-1]["text"] if customers else "",
        "dialog": dialog,
    }


def name_zips(app: App, *, day: str, count: int) -> list[str]:
    """The relative addresses of the failed-push files of a day with so many failed pushes."""
    return [
        f"{app.business_id}/{day}/{_hex(f'{app.key}{app.secret}{day}{n}', 32).upper()}.zip"
        for n in range(-(-count // PUSHES_PER_ZIP))
    ]


def pack_zip(app: App, *, day: str, failed: Sequence[Mapping[str, Any]]) -> bytes:
    """Objects glued `}{` in several files in folders of different depth."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{app.business_id}/", b"")
        for n in range(0, len(failed), PUSHES_PER_FILE):
            part = n // PUSHES_PER_FILE
            folder = f"{app.business_id}/{day}" + f"/{part:02d}" * (part % 3)
            glued = "".join(
                json.dumps(
                    {name: push[name] for name in ("data", "module", "retryTimes", "timestamp")},
                    ensure_ascii=False,
                    separators=(",", ":"),
                )
                for push in failed[n : n + PUSHES_PER_FILE]
            )
            archive.writestr(
                f"{folder}/push_failed_{part}.txt", glued.encode("utf-8", "backslashreplace")
            )
    return packed.getvalue()


def _hex(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:length]


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text
