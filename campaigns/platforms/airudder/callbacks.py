"""In: one push of AI Rudder, as bytes. Out: what it says of calls, tasks and agents, as events.

Four shapes that may all come to one address: the predictive dialler (``pds``), the record of a call
from a custom API node or when a number is through (``records``), the state of a workflow. Pure: no
clock, no database. The text against itself is in platforms/oddities.md:

- The push of an API node has its fields at the top; the same record comes wrapped in ``{data,
  status, code}`` when the platform is asked about it. What a call completion holds no text says; it
  is read as the same record.
- HTTP 200 is no success: the ``code`` in a wrapper is.
"""

from __future__ import annotations

from typing import Any

from campaigns.platforms.airudder.pds import read_pds
from campaigns.platforms.airudder.records import CALL_SIGNS, read_call_push, read_record_events
from campaigns.platforms.airudder.vocabulary import get_task_state
from campaigns.platforms.bodies import inner_json, read_body
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import AnyEvent, TaskChanged
from campaigns.platforms.values import MAX_NAME_CHARS, Fields

KINDS = {
    "": "everything below at one address, told apart by its shape",
    "pds": "states of tasks, contacts and agents of the predictive dialler",
    "api-node": "call records that a custom API node of a workflow sends",
    "call-completed": "call records when a number is through",
    "workflow-status": "states of workflows",
}
TOLD_KINDS = {kind: kind for kind in KINDS if kind}
#: a record that was pushed; what the platform says when it is asked is believed over it
RECORD_RANK = 20

#: ``code`` in the body of an answer that is none of a failure
_FINE = ("200", "0", None)
_WRAPPED = frozenset({"workflow_id", "call", "pds", "body", "actions", "call_id"})


def parse(push: Push, reading: Reading) -> tuple[AnyEvent, ...]:
    """The events of one push.

    Raises ``Unrecognised`` (``empty``, ``not_json``, ``not_object``, ``too_deep``, ``too_large``,
    ``unknown_shape``, ``failed_reply``, ``no_call_id``, ``no_task_id``, ``no_agent``) when it
    cannot be used.
    """
    body = read_body(push.body, form=True)
    raw = _unwrap(body.value)
    problems = dict(body.problems)
    shape = _find_shape(raw, push.kind)
    if shape == "pds":
        return read_pds(raw, reading, problems=problems)
    if shape == "workflow-status":
        return (_read_workflow(Fields(raw, problems)),)
    return read_call_push(raw, reading, source=shape, rank=RECORD_RANK, problems=problems)


def read_record(
    raw: dict[str, Any], reading: Reading, *, source: str, rank: int
) -> tuple[AnyEvent, ...]:
    """The events of one record of a call in the shape of the API node's push, which is that of the
    verify answer's ``data`` too: the call, its earlier attempts, its transcript.

    Raises ``Unrecognised`` (``unknown_shape``, ``no_call_id``).
    """
    if not _is_record(raw):
        raise Unrecognised("unknown_shape", "fits no kind")
    return read_record_events(raw, reading, source=source, rank=rank, problems={})


def _unwrap(raw: dict[str, Any]) -> dict[str, Any]:
    """The object in ``data``, as the platform answers and never pushes, if it is no failure."""
    inner = inner_json(raw.get("data"))
    if not isinstance(inner, dict) or not _WRAPPED.isdisjoint(raw):
        return raw
    if Fields(raw).id("code") not in _FINE:
        raise Unrecognised("failed_reply", "its code is not 200")
    return inner


def _find_shape(raw: dict[str, Any], kind: str) -> str:
    """The kind that this object is. The address decides when the object fits it; when it does not,
    the shape decides if only one fits."""
    fitting = set()
    if _is_pds(raw):
        fitting.add("pds")
    if _is_record(raw):
        fitting |= {"api-node", "call-completed"}
    elif "actions" in raw or {"workflow_id", "status"} <= raw.keys():
        fitting.add("workflow-status")
    if kind in fitting:
        return kind
    if fitting == {"api-node", "call-completed"}:
        return "api-node" if raw.get("node_id") else "call-completed"
    if len(fitting) == 1:
        return fitting.pop()
    raise Unrecognised("unknown_shape", "fits several kinds" if fitting else "fits no kind")


def _is_pds(raw: dict[str, Any]) -> bool:
    """A push of the dialler holds a ``body``, in ``pds`` or bare."""
    return any(
        isinstance(found, dict) and isinstance(inner_json(found.get("body")), dict)
        for found in (raw, inner_json(raw.get("pds")))
    )


def _is_record(raw: dict[str, Any]) -> bool:
    """A record holds its ``call``, or is one itself: then without the workflow around it."""
    if isinstance(inner_json(raw.get("call")), dict):
        return True
    return "call_id" in raw and not CALL_SIGNS.isdisjoint(raw)


def _read_workflow(fields: Fields) -> TaskChanged:
    """The state of a workflow. Which words it has no text says: those of a task are known."""
    workflow_id = fields.id("workflow_id")
    if workflow_id is None:
        raise Unrecognised("no_task_id", fields.problems.get("workflow_id", ""))
    word = fields.text("status", limit=MAX_NAME_CHARS) or ""
    details = fields.rest({"workflow_id", "workflow_name", "status"})
    if "actions" in details:
        details["actions"] = inner_json(details["actions"])
        if not isinstance(details["actions"], list):
            del details["actions"]
            if fields.has("actions"):
                fields.name_problem("actions", "is not a list")
    return TaskChanged(
        source="workflow-status",
        platform_task_id=workflow_id,
        name=fields.text("workflow_name", limit=MAX_NAME_CHARS),
        state=get_task_state(word),
        platform_state=word,
        details=details,
        problems=fields.problems,
    )
