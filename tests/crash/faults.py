"""In: a share of requests. Out: rules by which the pretended platform fails on so many of them.

All kinds of faults, each where it is the platform's word or the network that is at fault. What a
platform may not do without calling people twice by itself stays out: a direct call that it carries
out twice, or refuses and carries out all the same; and pushes that it never sends (another bench).
"""

from __future__ import annotations

from typing import Any

from tests.crash.world import World

ANYWHERE: dict[str, dict[str, Any]] = {
    "refuse": {},
    "close_before": {},
    "close_after": {},
    "cut": {},
    "drip": {},
    "stall_before": {"seconds": 3},
    "stall_after": {"seconds": 3},
    "late": {"seconds": 2.5},
    "error_before": {},
    "error_after": {},
    "html_before": {},
    "html_after": {},
    "redirect": {},
    "throttle": {},
    "code": {},
    "token_dies": {},
    "code_false": {},
    "code_string": {},
    "code_float": {},
    "no_result": {},
    "broken_json": {},
    "gzip_bomb": {"bytes": 12_000_000},
    "huge": {"bytes": 11_000_000},
}
#: {pattern of endpoints: what may go wrong there besides}
BESIDES: dict[str, tuple[str, ...]] = {
    "task/insert": (
        *("total_short", "ids_short", "ids_doubled", "ids_overlap"),
        *("act_half", "act_twice", "code_after"),
    ),
    "task/create": ("act_twice", "code_after"),
    "task/start": ("act_twice", "code_after"),
    "task/query": ("page_repeat", "total_short"),
    "airudder/createinstance": ("act_twice", "code_after"),
}
#: each request that leads to calls loses its answer so often in any case
CERTAIN = 2
HARMFUL = (
    *("task/create", "task/insert", "task/start", "task/callout"),
    *("airudder/createinstance", "airudder/uploaddetails"),
)
ENDPOINTS = ("task/*", "oauth/token", "airudder/*")
PUSHES: dict[str, dict[str, Any]] = {
    "duplicate": {"probability": 0.1},
    "shuffle": {"probability": 0.2, "seconds": 1},
    "delay": {"probability": 0.05, "seconds": 2},
    "lose_attempt": {"probability": 0.05},
    "forget_ack": {"probability": 0.05},
}
KINDS = len(ANYWHERE) + len({kind for kinds in BESIDES.values() for kind in kinds})


def add_faults(world: World, share: float) -> None:
    """From now on so many requests of each endpoint fail, in every way."""
    for endpoint in HARMFUL:
        world.control(
            "faults", {"endpoint": endpoint, "kind": "close_after", "after": 1, "count": CERTAIN}
        )
    # Its calls come back while the answer is still waited for, and it never comes.
    silent = {"endpoint": "task/callout", "kind": "stall_after", "seconds": 3, "count": CERTAIN}
    world.control("faults", silent)
    # An answer names a row of another one, whose own answer may have been lost.
    overlap = {"endpoint": "task/insert", "kind": "ids_overlap", "after": 2, "count": CERTAIN}
    world.control("faults", overlap)
    # And one request is carried out twice: the platform's count must stop the start.
    twice = {"endpoint": "task/insert", "kind": "act_twice", "after": 3, "count": 1}
    world.control("faults", twice)
    for pattern, kinds in BESIDES.items():
        for kind in kinds:
            _add(world, pattern, kind, share * 0.4 / len(kinds))
    for pattern in ENDPOINTS:
        for kind, options in ANYWHERE.items():
            _add(world, pattern, kind, share / len(ANYWHERE), **options)
    for kind, options in PUSHES.items():
        world.control("faults", {"endpoint": "push.*", "kind": kind, **options})


def _add(world: World, pattern: str, kind: str, probability: float, **options: Any) -> None:
    rule = {"endpoint": pattern, "kind": kind, "probability": probability, **options}
    world.control("faults", rule)


def clear_faults(world: World) -> dict[str, int]:
    """No faults from now on; returns how often each kind struck."""
    struck: dict[str, int] = {}
    for rule in world.look("faults")["rules"]:
        if rule["fired"]:
            struck[rule["kind"]] = struck.get(rule["kind"], 0) + rule["fired"]
    world.control("faults", {}, method="DELETE")
    return struck
