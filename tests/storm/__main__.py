"""In: ``--pushes N --kills M --seed S``. Out: one line for each seed; exit code 1 when anything was
wrong. ``--seed S`` runs that one again."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.processes import ROOT
from tests.storm.storm import Options, Result, run_storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    for one in dataclasses.fields(Options):
        kind = type(one.default)
        parser.add_argument(f"--{one.name}", type=kind, default=one.default)
    parser.add_argument("--seeds", type=int, default=1, help="how many runs, from --seed on")
    parser.add_argument("--keep", action="store_true", help="leave folder and logs")
    parser.add_argument("--folder", type=Path, help="a folder with the tables of an earlier run")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    options = Options(**{one.name: getattr(given, one.name) for one in dataclasses.fields(Options)})
    if given.one:
        result = run_storm(options, folder=given.one, say=tell)
        print(json.dumps(dataclasses.asdict(result)))
        return 0
    wrong = 0
    for seed in range(options.seed, options.seed + given.seeds):
        result = run_one(dataclasses.replace(options, seed=seed), given.folder, keep=given.keep)
        report(result)
        wrong += bool(result.wrong)
    tell(f"{given.seeds - wrong} of {given.seeds} runs kept every promise.")
    return 1 if wrong else 0


def run_one(options: Options, folder: Path | None = None, *, keep: bool = False) -> Result:
    """A seed in a process of its own."""
    keep = keep or folder is not None
    folder = folder or Path(tempfile.mkdtemp(prefix="cb-storm-", dir="/tmp"))
    command = [sys.executable, "-m", "tests.storm", "--one", str(folder)]
    for name, value in dataclasses.asdict(options).items():
        command += [f"--{name}={value}"]
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        try:
            return Result(**json.loads(done.stdout.strip().rpartition("\n")[2]))
        except ValueError:
            failed = f"the run itself failed (exit code {done.returncode})"
            return Result(options.seed, wrong=[failed])
    finally:
        if keep:
            tell(f"Everything is in {folder}.")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def report(result: Result) -> None:
    kills = ", ".join(f"{count} × {kind}" for kind, count in sorted(result.kills.items()))
    answers = ", ".join(f"{count} × {kind}" for kind, count in sorted(result.answers.items()))
    tell(
        f"seed {result.seed}: {result.seconds} s; {result.sent} sent, {result.taken} taken,"
        f" {result.failed} handed in afterwards ({answers}); answers within {result.waits} s (50 %,"
        f" 99 %, all); {sum(result.kills.values())} kills ({kills}),"
        f" {result.stops} stops; {result.samples} samples; {result.rows}"
    )
    for one in result.wrong[:40]:
        tell(f"  WRONG: {one}")


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
