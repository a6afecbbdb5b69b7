"""In: one push of AI Rudder, as bytes. Out: what it says, as events."""

from __future__ import annotations

from typing import Any

from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import AnyEvent

KINDS = {
    "": "everything below at one address, told apart by its shape",
    "pds": "states of tasks, contacts and agents of the predictive dialler",
    "api-node": "call records that a custom API node of a workflow sends",
    "call-completed": "call records when a number is through",
    "workflow-status": "states of workflows",
}


def parse(push: Push, reading: Reading) -> tuple[AnyEvent, ...]:
    raise Unrecognised("unknown_shape")


def read_record(
    raw: dict[str, Any], reading: Reading, *, source: str, rank: int
) -> tuple[AnyEvent, ...]:
    raise Unrecognised("unknown_shape")
