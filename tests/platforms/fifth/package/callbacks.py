"""In: one push of acme, as bytes. Out: what it says about a call, as an event."""

from __future__ import annotations

from campaigns.platforms.acme.vocabulary import DIRECTIONS, RESULTS, SIDES

from campaigns.platforms.bodies import read_body
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import CallEnded, HangupBy, Result
from campaigns.platforms.values import MAX_NAME_CHARS, Fields

KINDS = {"": "call records"}
_PLACES = frozenset(
    {"acme_call", "job", "contact", "way", "from", "to", "began", "answered", "ended"}
    | {"rang", "talked", "outcome", "hung"}
)
_LONGEST = 86_400


def parse(push: Push, reading: Reading) -> tuple[CallEnded, ...]:
    """The record of one push; ``Unrecognised`` when it is none."""
    body = read_body(push.body)
    fields = Fields(body.value, dict(body.problems))
    if "acme_call" not in body.value:
        raise Unrecognised("unknown_shape")
    call_id = fields.id("acme_call", limit=MAX_NAME_CHARS)
    if call_id is None:
        raise Unrecognised("no_call_id", fields.problems.get("acme_call", ""))
    outcome, way, side = (fields.id(name) for name in ("outcome", "way", "hung"))
    known = RESULTS.get(outcome or "")
    if way is not None and way not in DIRECTIONS:
        fields.name_problem("way", "is neither in nor out")
    return (
        CallEnded(
            source="call",
            rank=20,
            platform_call_id=call_id,
            platform_task_id=fields.id("job"),
            platform_contact_id=fields.id("contact"),
            direction=DIRECTIONS.get(way or ""),
            caller=fields.text("from", limit=64),
            callee=fields.text("to", limit=64),
            dialed_at=fields.epoch_ms("began"),
            answered_at=fields.epoch_ms("answered"),
            ended_at=fields.epoch_ms("ended"),
            answered=known.answered if known else None,
            ring_seconds=fields.integer("rang", high=_LONGEST),
            talk_seconds=fields.integer("talked", high=_LONGEST),
            result=known.result if known else Result.UNKNOWN if outcome else None,
            platform_result=outcome,
            hangup_by=None if side is None else SIDES.get(side, HangupBy.UNKNOWN),
            details=fields.rest(_PLACES),
            problems=fields.problems,
        ),
    )
