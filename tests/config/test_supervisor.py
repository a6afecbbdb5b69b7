"""Real processes: what dies is started again, what is asked to stop stops, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import hear_signals

BASE_DIR = Path(__file__).resolve().parent.parent.parent

SLEEPER = "import time\nprint('alive', flush=True)\ntime.sleep(600)"
#: leaves a child behind that would hold on to its port for ever
FORKER = (
    "import os, time\nname = b'child' if os.fork() == 0 else b'parent'\n"
    "os.write(1, b'%s %d\\n' % (name, os.getpid()))\ntime.sleep(600)"
)
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('alive', flush=True)\ntime.sleep(600)"
)
SCRIPT = """
import sys
sys.path.insert(0, {base!r})
from config.supervisor import Log, Program, Stopping, Supervisor
log = Log(sys.stdout)
supervisor = Supervisor(log=log, follow_parent={follow})
try:
    for name, code, patience in {programs!r}:
        supervisor.add(Program(name, [sys.executable, "-c", code], patience=patience))
    supervisor.run()
except Stopping:
    pass
finally:
    supervisor.stop()
    supervisor.close()
    log.close()
"""


class Run:
    """A supervisor in a process of its own, its output in a file."""

    def __init__(self, folder: Path, programs: list[tuple[str, str, float]], *, follow: bool):
        self.out = folder / "out"
        script = SCRIPT.format(base=str(BASE_DIR), programs=programs, follow=follow)
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", script],
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=hear_signals,  # noqa: PLW1509
            )

    @property
    def text(self) -> str:
        return self.out.read_text()


def list_processes() -> Iterator[tuple[int, str]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = (Path("/proc") / name / "cmdline").read_bytes().split(b"\0")
                state = (Path("/proc") / name / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z":
                yield int(name), " ".join(word.decode(errors="replace") for word in words)


def eventually(condition: Callable[[], object], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def run(*programs: tuple[str, str, float], follow: bool = False) -> Run:
        # A mark of its own in each program, so that tests side by side do not see each other's.
        marked = [(name, f"{code}\n#{tmp_path}", patience) for name, code, patience in programs]
        runs.append(Run(tmp_path, marked, follow=follow))
        return runs[-1]

    yield run
    for one in runs:
        if one.process.poll() is None:
            # Not killed: it ends what its programs left behind.
            one.process.send_signal(signal.SIGTERM)
            one.process.wait(timeout=20)
        eventually(lambda one=one: children_of(one) == [])


def children_of(run: Run) -> list[int]:
    mark = str(run.out.parent)
    return [
        pid
        for pid, line in list_processes()
        if f"#{mark}" in line and "config.supervisor" not in line
    ]


def test_a_killed_program_is_started_again_with_a_line(start: Callable[..., Run]) -> None:
    run = start(("one", SLEEPER, 5))
    eventually(lambda: "one       | alive" in run.text)
    os.kill(children_of(run)[0], signal.SIGKILL)
    eventually(lambda: run.text.count("| alive") == 2)
    assert "one was killed by SIGKILL; started again in 1 s" in run.text


def test_the_pause_grows(start: Callable[..., Run]) -> None:
    run = start(("bad", "raise SystemExit(3)", 5))
    eventually(lambda: "started again in 4 s" in run.text)
    pauses = [line for line in run.text.splitlines() if "ended with code 3" in line]
    assert [line.rpartition("again in ")[2] for line in pauses] == ["1 s", "2 s", "4 s"]


def test_what_a_killed_program_left_behind_is_ended(start: Callable[..., Run]) -> None:
    run = start(("web", FORKER, 5))
    eventually(lambda: len(re.findall(r"(?:parent|child) \d+\n", run.text)) == 2)
    parent = int(run.text.partition("parent ")[2].split()[0])
    child = int(run.text.partition("child ")[2].split()[0])
    os.kill(parent, signal.SIGKILL)
    # A zombie, should the machine's first process be slow to bury it, is ended too.
    eventually(lambda: child not in dict(list_processes()))
    eventually(lambda: run.text.count("parent") >= 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_the_last_added_first(
    start: Callable[..., Run], number: signal.Signals
) -> None:
    run = start(("first", SLEEPER, 5), ("second", SLEEPER, 5))
    eventually(lambda: run.text.count("| alive") == 2)
    run.process.send_signal(number)
    assert run.process.wait(timeout=20) == 0
    assert children_of(run) == []
    told = [line for line in run.text.splitlines() if "stopping" in line]
    assert [line.split()[-1] for line in told] == ["second", "first"]


def test_ctrl_c_reaches_the_supervisor_alone(start: Callable[..., Run]) -> None:
    """The terminal sends it to the whole process group; the programs must not see it."""
    loud = SLEEPER.replace("import time", "import time, signal\nsignal.signal(2, lambda *a: 1/0)")
    run = start(("one", loud, 5))
    eventually(lambda: "| alive" in run.text)
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.process.wait(timeout=20) == 0
    assert "ZeroDivisionError" not in run.text


def test_a_program_that_does_not_obey_is_killed(start: Callable[..., Run]) -> None:
    run = start(("deaf", STUBBORN, 0.3))
    eventually(lambda: "| alive" in run.text)
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(timeout=20) == 0
    assert "deaf did not end and is killed" in run.text
    assert children_of(run) == []


def test_a_second_signal_stops_at_once(start: Callable[..., Run]) -> None:
    run = start(("deaf", STUBBORN, 600))
    eventually(lambda: "| alive" in run.text)
    run.process.send_signal(signal.SIGINT)
    eventually(lambda: "stopping deaf" in run.text)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(timeout=20) == 0
    assert children_of(run) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_programs_end_when_the_supervisor_is_killed(start: Callable[..., Run]) -> None:
    run = start(("one", SLEEPER, 5))
    eventually(lambda: "| alive" in run.text)
    run.process.kill()
    eventually(lambda: children_of(run) == [])


def test_the_last_words_of_a_program_are_shown(start: Callable[..., Run]) -> None:
    words = "import sys\nsys.stdout.write('x' * 100000 + ' the end')\nraise SystemExit(1)"
    run = start(("talker", words, 5))
    eventually(lambda: "talker ended with code 1" in run.text)
    eventually(lambda: "the end" in run.text)


def test_make_that_was_interrupted_alone_stops_it_all(tmp_path: Path) -> None:
    """`kill -INT` on make itself: it tells nobody, and waits for its child for ever."""
    script = tmp_path / "script.py"
    programs = [("one", f"{SLEEPER}\n#{tmp_path}", 5.0)]
    script.write_text(SCRIPT.format(base=str(BASE_DIR), programs=programs, follow=True))
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"run:\n\t@exec {sys.executable} {script}\n")
    out = tmp_path / "out"
    with out.open("wb") as file:
        make = subprocess.Popen(
            ["make", "-f", str(makefile), "run"],
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=hear_signals,  # noqa: PLW1509
        )
    eventually(lambda: "| alive" in out.read_text())
    make.send_signal(signal.SIGINT)
    assert make.wait(timeout=20) != 0
    assert [line for _, line in list_processes() if f"#{tmp_path}" in line] == []
