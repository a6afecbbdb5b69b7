"""In: a seed and a number. Out: the pushes of so many calls, and the order in which they are sent.

Two runs of one seed send the same bytes, so their rows can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from tests.callbacks.pushes import BEGAN, make_dialog, make_record, make_voice
from tests.storm.pusher import Sent

TASK, ROBOT = "88785", "2745001"
RECORD, VOICE, DIALOG = "receiveCallRecord", "receiveVoice", "receiveDialog"
#: every so many calls …
WITHOUT_ID, UNANSWERED, CONTRADICTED = 9, 5, 7
#: … and one odd push among so many: kept, and nobody's call
ODD = 40


def make_phone(number: int) -> str:
    return f"199{number:08d}"


def make_pushes(count: int, *, seed: int) -> list[Sent]:
    """So many distinct pushes: those of calls, four each, and odd ones."""
    chance = Random(f"pushes {seed}")
    made: list[Sent] = []
    number = 0
    while len(made) < count:
        made += make_call(number)
        if number % (ODD // 4) == 0:
            made.append(make_odd(number, chance))
        number += 1
    return made[:count]


def count_calls(pushes: list[Sent]) -> int:
    """How many contacts the pushes can be about: never fewer than there are."""
    return len(pushes) // 3 + 2


def make_call(number: int) -> Iterator[Sent]:
    """What is pushed of the call to contact ``number``."""
    call = f"storm-{number}"
    began = BEGAN + number * 1000
    fields: dict[str, Any] = {
        "task_id": TASK,
        "robot_id": ROBOT,
        "task_data_id": f"c{number}" if number % WITHOUT_ID else None,
        "callee": make_phone(number),
        "time_dial": began,
        "time_ring": began + 700,
        "time_answer": began + 6_000,
        "time_hangup": began + 20_000 + number % 30_000,
    }
    row = {"task_row_index": number, "task_row_value": [make_phone(number), f"客户{number}"]}
    if number % UNANSWERED == 0:
        fields |= {"time_answer": 0, "duration_call": 0}
        row["task_result"] = "20"
    outbound = dict(fields)
    if number % CONTRADICTED == 0:
        fields["duration_ring"] = 19
    yield Sent(RECORD, make_record(call, **fields))
    yield Sent(RECORD, make_record(call, outbound=True, **outbound, **row))
    if number % UNANSWERED:
        contact = {"task_data_id": fields["task_data_id"]}
        yield Sent(VOICE, make_voice(call, **contact))
        yield Sent(DIALOG, make_dialog(call, **contact))


def make_odd(number: int, chance: Random) -> Sent:
    """Bytes that no parser understands; each of them other bytes."""
    whole = make_record(f"odd-{number}", time_dial=BEGAN + number)
    return Sent(
        RECORD,
        chance.choice(
            [
                whole[: chance.randrange(1, len(whole) - 1)] + f"{number}".encode(),
                whole + whole,
                b"\x00\xff" + whole,
                f"[{number}]".encode(),
                whole.decode().encode("utf-16"),
                b"",
            ]
        ),
    )


def make_schedule(count: int, *, seed: int) -> list[int]:
    """The places of the pushes, each twice, in the order in which they are sent."""
    order = [place for place in range(count) for _ in range(2)]
    Random(f"order {seed}").shuffle(order)
    return order
