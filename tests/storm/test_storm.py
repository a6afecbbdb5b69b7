"""In: a kill storm, small. Out: proof that it loses nothing, and that it would show if it did.

The long one: ``make storm PUSHES=100000 KILLS=300``; every mistake: ``python -m
tests.storm.mistakes``.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.crash.planted import find_unfit
from tests.processes import ROOT
from tests.storm.mistakes import list_signs

PUSHES = os.environ.get("STORM_PUSHES", "5000")
KILLS = os.environ.get("STORM_KILLS", "30")

#: each is sent twice, 150 in a second at most, after a run without kills
pytestmark = [pytest.mark.timeout(1800 + int(PUSHES) // 10)]


def run_storm(*options: str) -> subprocess.CompletedProcess[str]:
    """A database of its own: that of the other tests must not be killed."""
    command = [sys.executable, "-m", "tests.storm", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_push_that_was_taken_is_lost_or_applied_twice() -> None:
    done = run_storm("--pushes", PUSHES, "--kills", KILLS)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 runs kept every promise." in done.stderr


def test_the_storm_turns_red_when_the_answer_comes_before_the_commit() -> None:
    done = run_storm("--pushes", "600", "--kills", "6", "--mistake", "reply-before-commit")
    assert done.returncode == 1, done.stderr
    assert list_signs("reply-before-commit", done.stderr), done.stderr


def test_every_mistake_can_still_be_planted() -> None:
    assert find_unfit("tests.storm.mistakes") == ""
