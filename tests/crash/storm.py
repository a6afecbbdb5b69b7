"""In: a seed. Out: one run: campaigns handed over while workers are killed and stopped at random.

Which worker is struck, how, and what the operator clicks follows from the seed; when exactly, from
the machine.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.failpoints import VARIABLE
from tests.crash.world import DEAD_AFTER, GRACE, LEASE, Workers, World

#: a machine that is busy is given so many times the seconds, until everything was handed over
PATIENT = 3


@dataclass(frozen=True)
class Options:
    """``mistake``: one of ``mistakes.py``. ``sweep``: die at every failpoint, once each."""

    seed: int
    contacts: int
    tasks: int = 2
    workers: int = 2
    rows: int = 10
    faults: float = 0.1
    every: float = 2.0
    chaos_seconds: float = 25.0
    patience: float = 60.0
    mistake: str = ""
    sweep: bool = False


@dataclass
class Result:
    seed: int
    wrong: list[str] = field(default_factory=list)
    kills: int = 0
    stops: int = 0
    clicks: int = 0
    samples: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    rings: int = 0
    points: int = 0
    states: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def add(self, wrong: list[str]) -> None:
        self.wrong += [one for one in wrong if one not in self.wrong]


class Storm:
    """Kills and stops workers, about one every few seconds."""

    def __init__(self, workers: Workers, chance: Random, options: Options) -> None:
        self._workers = workers
        self._chance = chance
        self._options = options
        self._next = time.monotonic() + 0.5
        self._asleep: dict[int, threading.Timer] = {}
        self.kills = self.stops = 0

    def strike(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for place in [place for place, timer in self._asleep.items() if timer.finished.is_set()]:
            del self._asleep[place]
        if now < self._next:
            return
        self._next = now + self._chance.uniform(0.2, 1.8) * self._options.every
        place = self._chance.randrange(self._options.workers)
        stop = self._chance.random() < 0.25
        if place in self._asleep:
            return
        if stop:
            self.stops += bool(self._workers.signal(place, signal.SIGSTOP))
            # Sometimes short enough to be in time, sometimes long after others took it for dead.
            pause = self._chance.choice([LEASE / 2, LEASE + 1, DEAD_AFTER + 2])
            # In a thread of its own: who is stopped may hold a lock that this one waits for.
            timer = threading.Timer(pause, self._workers.signal, [place, signal.SIGCONT])
            timer.daemon = True
            timer.start()
            self._asleep[place] = timer
        else:
            self.kills += bool(self._workers.signal(place, signal.SIGKILL))

    def end(self) -> None:
        for place, timer in self._asleep.items():
            timer.cancel()
            self._workers.signal(place, signal.SIGCONT)
        self._asleep.clear()


def prepare(world: World) -> None:
    """Django of this process, on the world's database."""
    os.environ.update(world.environment)
    import django

    django.setup()


def run_storm(options: Options, *, folder: Path, url: str, say: Callable[[str], None]) -> Result:
    """One run in a process of its own: Django knows one database."""
    more = {"CRASH_ROWS": str(options.rows), "CRASH_MISTAKE": options.mistake}
    world = World(folder, url, seed=options.seed, speed=400, more=more)
    prepare(world)
    result = Result(options.seed)
    began = time.monotonic()
    try:
        _run(world, options, result, say=say)
    finally:
        world.stop()
    result.seconds = round(time.monotonic() - began, 1)
    return result


def _run(world: World, options: Options, result: Result, *, say: Callable[[str], None]) -> None:
    from campaigns import attempts, jobs
    from tests.crash import campaign, faults, planted, truth

    attempts.GRACE_SECONDS = GRACE
    planted.follow_fast_clock()
    planted.plant(options.mistake)  # this process looks for dead senders as well
    planted.take_guard_away(options.mistake)
    chance = Random(f"storm {options.seed}")
    points = world.folder / "points.txt"
    own = {VARIABLE: f"sweep={points}"} if options.sweep else {}
    workers = world.workers = Workers(world, options.workers, **own)
    world.start()
    workers.wait()
    campaign.connect_accounts(world)
    parts = campaign.make_parts(world, contacts=options.contacts, tasks=options.tasks)
    faults.add_faults(world, options.faults)
    say(f"seed {options.seed}: {options.contacts} contacts, {options.tasks + 1} tasks launched")
    campaign.launch(parts)
    parts += campaign.call_directly(contacts=options.contacts, place=len(parts))
    operator = campaign.Operator(parts, chance)
    storm = Storm(workers, chance, options)
    launched = time.monotonic()
    events = _plan_events(operator, options, chance)
    while (passed := time.monotonic() - launched) < options.chaos_seconds * PATIENT:
        if passed > options.chaos_seconds and truth.has_left(parts):
            break
        if options.sweep:
            # Workers that die all the time come to no round of their own.
            jobs.keep_going(timestamp=0)
        else:
            storm.strike()
        while events and events[0][0] <= passed:
            events.pop(0)[1]()
        result.samples += 1
        result.add(truth.sample(parts))
        time.sleep(0.2)
        if not events and not truth.list_unsettled(parts):
            break
    storm.end()
    if options.sweep:
        # From now on nobody dies: what is left over is brought to its end.
        workers.stop()
        workers = world.workers = Workers(world, options.workers)
        result.points = len(points.read_text().splitlines()) if points.exists() else 0
    result.faults = faults.clear_faults(world)
    result.kills, result.stops, result.clicks = storm.kills, storm.stops, operator.clicks
    say(
        f"seed {options.seed}: {storm.kills} kills, {storm.stops} stops; now it must come to an end"
    )
    ends = time.monotonic() + options.patience
    while (looked := time.monotonic()) < ends:
        result.clicks += operator.resume_all()
        result.samples += 1
        result.add(truth.sample(parts))
        result.left = truth.list_unsettled(parts)
        if not result.left and world.look("ledger")["busy"] == {"calls": 0, "pushes": 0}:
            break
        # Half of the time at most, however slow the machine: who looks takes it from the workers.
        time.sleep(max(0.4, time.monotonic() - looked))
    result.add([f"it did not come to an end: {one}" for one in result.left])
    result.add(truth.judge(world, parts, operator))
    result.rings = sum(map(len, truth.read_calls(world).values()))
    result.states = _count_states()


def _plan_events(
    operator: Any, options: Options, chance: Random
) -> list[tuple[float, Callable[[], None]]]:
    """What the operator does when, in seconds since the launch."""
    until = options.chaos_seconds * 0.8
    events = [(chance.uniform(1, until), operator.click) for _ in range(max(4, int(until / 3)))]
    events += [(chance.uniform(0, until), operator.bar_one) for _ in range(6)]
    if options.sweep:
        events.append((until * 0.6, operator.delete_one))
    return sorted(events, key=lambda event: event[0])


def _count_states() -> dict[str, int]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT status, count(*) FROM campaigns_contact GROUP BY 1 ORDER BY 1")
        return dict(cursor.fetchall())
