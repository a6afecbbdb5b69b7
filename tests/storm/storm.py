"""In: a seed. Out: one run, and what was wrong with it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.processes import ROOT
from tests.storm.house import House, Killer
from tests.storm.pusher import Ledger, Pusher
from tests.storm.truth import Sampler, judge_answers, judge_disk

SAMPLE_SECONDS = 0.3


@dataclass(frozen=True)
class Options:
    """``pushes``: distinct ones, each is sent twice. ``rate``: sent per second."""

    seed: int = 1
    pushes: int = 5000
    kills: int = 30
    rate: float = 150.0
    workers: int = 2
    patience: float = 300.0
    mistake: str = ""


@dataclass
class Result:
    seed: int
    wrong: list[str] = field(default_factory=list)
    kills: dict[str, int] = field(default_factory=dict)
    stops: int = 0
    samples: int = 0
    sent: int = 0
    taken: int = 0
    failed: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    #: seconds that half, 99 of 100 and all answers came within
    waits: list[float] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def run_storm(options: Options, *, folder: Path, say: Callable[[str], None]) -> Result:
    """One run, in a process of its own: Django knows one database."""
    began = time.monotonic()
    result = Result(options.seed)
    house = House(folder, mistake=options.mistake, workers=options.workers)
    try:
        _run(house, options, result, say)
    finally:
        house.stop()
    result.seconds = round(time.monotonic() - began, 1)
    return result


def _run(house: House, options: Options, result: Result, say: Callable[[str], None]) -> None:
    os.environ.update({**house.environment, "STORM_MISTAKE": ""})
    import django

    django.setup()
    from django.db import connection

    from tests.storm import rows
    from tests.storm.pushes import count_calls, make_pushes, make_schedule

    pushes = make_pushes(options.pushes, seed=options.seed)
    contacts = count_calls(pushes)
    token = rows.make_campaign(contacts)
    connection.close()
    calm = _start_calm(house, options)
    house.start()
    ledger = Ledger(pushes)
    order = make_schedule(len(pushes), seed=options.seed)
    sampler = Sampler(ledger, contacts=contacts)
    killer = Killer(house, kills=options.kills, seed=options.seed, total=len(order))
    say(f"seed {options.seed}: {len(order)} pushes are on their way")
    result.failed = push_until_taken(
        house, order, token=token, ledger=ledger, options=options, sampler=sampler, killer=killer
    )
    killer.end()
    result.kills, result.stops = killer.kills, killer.stops
    say(f"seed {options.seed}: {sum(killer.kills.values())} kills; now it is left in peace")
    if not _wait(house.is_up, options.patience):
        result.wrong.append("the database did not come back")
        return
    with house.connect() as session:
        if not _wait(lambda: _has_settled(session), options.patience):
            result.wrong.append("the inbox was not worked off")
        sampler.sample(session)
        result.wrong += sampler.wrong + judge_disk(ledger, session) + judge_answers(ledger)
    result.wrong += _compare(calm, house)
    result.samples, result.answers = sampler.samples, dict(ledger.answers)
    result.sent, result.taken = ledger.sent.total(), ledger.taken.total()
    result.waits = [ledger.find_wait(share) for share in (0.5, 0.99, 1)]
    with house.connect() as session:
        for table in ("callbacks_receipt", "campaigns_call", "campaigns_turn"):
            found = session.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]
            result.rows[table.partition("_")[2]] = found[0] if found else 0


def watch(
    house: House, sampler: Sampler, over: Callable[[], bool], *, each: Callable[[], None]
) -> None:
    """Sample until it is over, whatever happens to the database meanwhile."""
    session: psycopg.Connection | None = None
    next_sample = 0.0
    while not over():
        each()
        if time.monotonic() >= next_sample:
            next_sample = time.monotonic() + SAMPLE_SECONDS
            try:
                session = session or house.connect()
                sampler.sample(session)
            except psycopg.Error:
                if session is not None:
                    session.close()
                session = None
        time.sleep(0.02)
    if session is not None:
        session.close()


def push_until_taken(
    house: House,
    order: list[int],
    *,
    token: str,
    ledger: Ledger,
    options: Options,
    sampler: Sampler,
    killer: Killer,
) -> int:
    """Send everything; what was given up is handed in again, until all of it was taken and every
    kill was done. Returns how many were given up."""
    given_up = 0
    calm_since: float | None = None
    while order:
        pusher = Pusher(house.port, token, ledger, rate=options.rate, seed=options.seed)
        pusher.start(order)
        watch(
            house, sampler, lambda one=pusher: not one.is_busy,  # type: ignore[misc]
            each=lambda: killer.strike(ledger.taken.total()),
        )  # fmt: skip
        order, ledger.failed = ledger.failed, []
        given_up += len(order)
        if killer.is_done:
            calm_since = calm_since or time.monotonic()
            if order and time.monotonic() - calm_since > options.patience:
                ledger.odd.append(f"{len(order)} pushes were never taken, nothing being killed")
                break
    return given_up


def _start_calm(house: House, options: Options) -> tuple[subprocess.Popen[bytes], Path]:
    """The same pushes where nothing is killed: another database."""
    out = house.folder / "calm.json"
    command = [sys.executable, "-m", "tests.storm.rows", str(options.seed), str(options.pushes)]
    environment = {**house.environment, "DATABASE_URL": house.calm_url, "STORM_MISTAKE": ""}
    process = subprocess.Popen([*command, str(out)], cwd=ROOT, env=environment)
    # Before anything is killed: this run knows nothing of it.
    if process.wait():
        raise RuntimeError("The run without kills failed.")
    return process, out


def _compare(calm: tuple[subprocess.Popen[bytes], Path], house: House) -> list[str]:
    from django.db import connection

    from campaigns.linking import link_pending
    from tests.storm import rows

    connection.close()
    link_pending()
    stormy = rows.describe_rows()
    connection.close()
    (house.folder / "storm.json").write_text(json.dumps(stormy))
    return rows.compare_rows(stormy, json.loads(calm[1].read_text()))


def _has_settled(session: psycopg.Connection) -> bool:
    row = session.execute(
        "SELECT EXISTS (SELECT 1 FROM callbacks_receipt WHERE status = 'received')"
    ).fetchone()
    return row is not None and not row[0]


def _wait(told: Callable[[], bool], seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with contextlib.suppress(psycopg.Error):
            if told():
                return True
        time.sleep(0.2)
    return False
