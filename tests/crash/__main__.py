"""In: ``--seeds N --contacts M``. Out: one line for each seed; exit code 1 when anything was wrong.

``--seed S`` runs that one again. Each seed is a process of its own, with a database of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.crash.storm import Options, Result, run_storm
from tests.crash.world import TEMPLATE, create_database, drop_database, run_database
from tests.processes import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="how many runs")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--contacts", type=int, default=150)
    parser.add_argument("--tasks", type=int, default=2, help="campaigns with a start")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=10, help="contacts in a request, at most")
    parser.add_argument("--faults", type=float, default=0.1, help="share of requests that fail")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two strikes")
    parser.add_argument("--chaos-seconds", type=float, default=25.0)
    parser.add_argument("--patience", type=float, default=60.0, help="to come to an end afterwards")
    parser.add_argument("--mistake", default="", help="plant one of tests/crash/mistakes.py")
    parser.add_argument("--sweep", action="store_true", help="die at every failpoint once")
    parser.add_argument("--keep", action="store_true", help="leave logs, and what went wrong")
    parser.add_argument("--folder", type=Path, help="a folder with a database of an earlier run")
    parser.add_argument("--server", nargs=2, metavar=("URL", "TEMPLATE"), help="not one of its own")
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = [field.name for field in dataclasses.fields(Options)]
    options = Options(**{name: getattr(given, name) for name in names})
    if given.one:
        result = run_storm(options, folder=Path(given.one[0]), url=given.one[1], say=tell)
        print(json.dumps(dataclasses.asdict(result)))
        return 0
    folder = given.folder or Path(tempfile.mkdtemp(prefix="cb-crash-", dir="/tmp"))
    keep = given.keep or given.folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    seeds = range(given.seed, given.seed + given.seeds)
    try:
        if given.server:
            url, template = given.server
            wrong = run_seeds(options, seeds, folder=folder, url=url, template=template, keep=keep)
        else:
            with run_database(folder / "postgres") as url:
                wrong = run_seeds(options, seeds, folder=folder, url=url, keep=keep)
    finally:
        if keep:
            tell(f"Everything is in {folder}.")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    tell(f"{given.seeds - wrong} of {given.seeds} runs kept every promise.")
    return 1 if wrong else 0


def run_seeds(
    options: Options,
    seeds: Iterable[int],
    *,
    folder: Path,
    url: str,
    keep: bool,
    template: str = TEMPLATE,
) -> int:
    """One after the other; returns how many went wrong."""
    wrong = 0
    for seed in seeds:
        own = dataclasses.replace(options, seed=seed)
        name = f"crash_{os.getpid()}_{seed}"
        address = create_database(url, name, template=template)
        result = run_one(own, folder=folder / f"seed-{seed}", url=address)
        wrong += bool(result.wrong)
        report(result, again=own)
        if not (keep and result.wrong):
            drop_database(url, name)
    return wrong


def run_one(options: Options, *, folder: Path, url: str) -> Result:
    """A seed in a process of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "tests.crash", "--one", str(folder), url]
    command += make_flags(options)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    last = done.stdout.strip().rpartition("\n")[2]
    try:
        return Result(**json.loads(last))
    except ValueError:
        return Result(options.seed, wrong=[f"the run itself failed (exit code {done.returncode})"])


def make_flags(options: Options) -> list[str]:
    flags = []
    for name, value in dataclasses.asdict(options).items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
        elif value not in (False, ""):
            flags += [flag, str(value)]
    return flags


def report(result: Result, *, again: Options) -> None:
    told = (
        f"seed {result.seed}: {result.seconds} s, {result.kills} kills, {result.stops} stops,"
        f" {result.points} failpoints, {result.clicks} clicks, {sum(result.faults.values())} faults"
        f" of {len(result.faults)} kinds, {result.rings} rings, {result.samples} samples,"
        f" contacts {result.states}"
    )
    tell(told)
    for one in result.wrong[:40]:
        tell(f"  WRONG: {one}")
    if len(result.wrong) > 40:
        tell(f"  … and {len(result.wrong) - 40} more")
    if result.wrong:
        tell(f"Again: python -m tests.crash --seeds 1 {' '.join(make_flags(again))}")


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
