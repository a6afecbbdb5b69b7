"""In: this test's database as a template. Out: the crash bench, small, and that it can fail.

The long versions: ``make crash SEEDS=50 CONTACTS=10000``, ``python -m tests.crash --sweep`` and
``python -m tests.crash.mistakes``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.crash.mistakes import MISTAKES, RED, TELLING, run_tests
from tests.crash.planted import find_unfit
from tests.crash.world import create_database, drop_database, replace_database
from tests.processes import ROOT, make_environment

SEEDS = int(os.environ.get("CRASH_SEEDS", "1"))
CONTACTS = int(os.environ.get("CRASH_CONTACTS", "120"))

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server() -> Iterator[tuple[str, str]]:
    """The address of the server, and a database of it that nobody is connected to."""
    name = str(connection.settings_dict["NAME"])
    url = replace_database(make_environment()["DATABASE_URL"], "postgres")
    connection.close()
    yield url, name


@pytest.fixture
def bench(server: tuple[str, str], tmp_path: Path) -> Bench:
    tmp_path.chmod(0o755)

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.crash", "--server", *server]
        return subprocess.run(
            [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
        )

    return run


def tell_wrong(done: subprocess.CompletedProcess[str]) -> str:
    """What went wrong first: of a long report somebody may see the beginning only."""
    lines = done.stderr.splitlines()
    wrong = [line[:400] for line in lines if "WRONG" in line or "Again" in line]
    return "\n".join([*wrong[:20], *lines[-60:]])


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(900 + 600 * SEEDS)
def test_nobody_is_called_twice_while_workers_are_killed_and_stopped(bench: Bench) -> None:
    done = bench(
        *("--seed", "1", "--seeds", str(SEEDS), "--contacts", str(CONTACTS)),
        *("--chaos-seconds", "15" if CONTACTS < 1000 else "25", "--patience", "300"),
    )
    assert done.returncode == 0, tell_wrong(done)
    assert f"{SEEDS} of {SEEDS} runs kept every promise." in done.stderr


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(900)
def test_nobody_is_called_twice_when_workers_die_at_every_failpoint(bench: Bench) -> None:
    done = bench(
        *("--sweep", "--seed", "2", "--seeds", "1", "--contacts", "60", "--tasks", "3"),
        *("--rows", "5"),
        *("--chaos-seconds", "25", "--patience", "120"),
    )
    assert done.returncode == 0, tell_wrong(done)
    points = int(done.stderr.partition(" failpoints")[0].rpartition(" ")[2])
    assert points >= 30, done.stderr


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(900)
def test_the_bench_turns_red_when_an_unknown_outcome_counts_as_not_sent(bench: Bench) -> None:
    done = bench(
        *("--mistake", "unknown-is-unsent", "--seed", "3", "--seeds", "1", "--contacts", "120"),
        *("--chaos-seconds", "15", "--patience", "15"),
    )
    assert done.returncode == 1, done.stderr
    assert any(word in done.stderr for word in TELLING), done.stderr


@pytest.fixture
def mistakes_database(server: tuple[str, str]) -> Iterator[str]:
    url, template = server
    name = f"test_mistakes_{os.getpid()}"
    create_database(url, name, template=template)
    yield name
    drop_database(url, name)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if mistake.quick])
def test_a_planted_mistake_is_caught(name: str, mistakes_database: str) -> None:
    for test in MISTAKES[name].tests:
        code, failed = run_tests(name, [test], database=mistakes_database)
        assert code == RED and failed, f"{test} does not see that {MISTAKES[name].says}."


def test_every_mistake_can_still_be_planted() -> None:
    """Those that are too slow to be tried each time must fit the source at least."""
    assert find_unfit("tests.crash.mistakes") == ""
