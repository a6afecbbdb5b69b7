"""In: a call and its turns. Out: where in the recording each turn is heard, if that can be told.

A recording begins when somebody picks up, as far as platforms say; one that is longer by the time
of ringing begins there, which the player sees from its length. Where the platform gives no times,
nothing is pretended.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from campaigns.models import Call, Turn

#: turns that would lie further outside the talk than this, in seconds, have no time
SLACK = 5.0


def find_moment(turn: Turn) -> datetime | None:
    """When it was said. A node's row says when the contact spoke, also where the robot's sentence
    stands: that is no time of the robot's."""
    if turn.role == Turn.Role.CONTACT:
        return turn.spoke_at or turn.started_at
    return turn.started_at


def find_start(call: Call) -> datetime | None:
    """The moment from which the talk is counted: the pick-up, else the begin of the dialog."""
    if call.answered_at is not None:
        return call.answered_at
    told = call.details.get("dialog_began_at") if isinstance(call.details, dict) else None
    try:
        began = parse_datetime(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return began if began is not None and began.tzinfo is not None else None


def place_turns(call: Call, turns: Sequence[Turn]) -> list[float | None]:
    """Seconds from the start of the talk, one for each turn; None where it is not told.

    Nothing at all when the times tell nothing: all the same, or all outside of the talk.
    """
    nothing: list[float | None] = [None] * len(turns)
    start = find_start(call)
    if start is None:
        return nothing
    places: list[float | None] = []
    for turn in turns:
        moment = find_moment(turn)
        second = (moment - start).total_seconds() if moment is not None else None
        if second is not None and (
            second < -SLACK
            or (call.talk_seconds is not None and second > call.talk_seconds + SLACK)
        ):
            second = None
        places.append(None if second is None else max(0.0, second))
    known = [place for place in places if place is not None]
    if not known or (len(turns) > 1 and len(set(known)) < 2):
        return nothing
    return places


def describe_sound(
    call: Call, turns: Sequence[Turn], *, heard: bool
) -> tuple[dict[str, Any], list[str]]:
    """What the player needs to know of the talk, and the place of each turn as the script reads it,
    "" for none. ``heard``: there is a recording that can be played."""
    places = place_turns(call, turns) if heard else [None] * len(turns)
    synced = any(place is not None for place in places)
    lead = 0.0
    begun = call.ringing_at or call.dialed_at
    if call.answered_at is not None and begun is not None and begun < call.answered_at:
        lead = (call.answered_at - begun).total_seconds()
    told = {
        "synced": synced,
        "lead": f"{lead:.1f}",
        "talk": "" if call.talk_seconds is None else str(call.talk_seconds),
        "why": tell_why(call) if heard and turns and not synced else "",
    }
    return told, ["" if place is None else f"{place:.2f}" for place in places]


def tell_why(call: Call) -> str:
    """Why the words do not follow the sound."""
    if find_start(call) is None:
        return _(
            "The platform does not say when the call was picked up: the words cannot follow the"
            " sound."
        )
    return _(
        "The platform does not say when each sentence was spoken: the words cannot follow the"
        " sound."
    )
