"""In: a number of rows. Out: how fast they are imported, beside a bare COPY and the usual library.

    .venv/bin/python -m tests.benchmarks.bench_import 1000000 [rows of the library]

Everything is in one figure: the file is kept and hashed, looked into, read, checked, staged, judged
against the file, the task, the do-not-call list and the account's limit, and loaded. The bare COPY
writes the same rows, finished, from memory. Each side is a process of its own on a fresh copy of
the same database. The library gets fewer rows, because it takes an hour for a million, and is
compared by the row: to its gain, for its memory and its sets grow with them. Exit code 1 when a
goal is missed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.world import copy_world, open_server, write_file

#: × the library's bulk mode at least; × the bare COPY's time, and bytes of memory, at most
FASTER, SLOWER, MEMORY = 25, 3, 200_000_000
#: of ours and the COPY in turn; the best of each counts, for whatever else runs makes them slower
ROUNDS = 2


def time_side(name: str, rows: int, environment: dict[str, str]) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(suffix=".csv") as file, copy_world(environment) as mine:
        write_file(file, rows)
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.import_sides", name, file.name, str(rows)],
            env=mine,
            cwd=Path(__file__).resolve().parent.parent.parent,
            stdout=subprocess.PIPE,
            check=True,
        )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    told["speed"] = rows / told["seconds"]
    print(
        f"  {name:<8} {rows:>10,} rows  {told['seconds']:>7.2f} s  {told['speed']:>9,.0f} rows/s"
        f"  {told['grew'] / 1e6:>7.1f} MB  {told['counts']}",
        flush=True,
    )
    return told


def main(arguments: list[str]) -> int:
    rows = int(arguments[0]) if arguments else 1_000_000
    few = int(arguments[1]) if arguments[1:] else min(rows, 20_000)
    with open_server() as environment:
        rounds = [
            {side: time_side(side, rows, environment) for side in ("ours", "copy")}
            for _ in range(ROUNDS)
        ]
        library = time_side("library", few, environment)
        tuned = time_side("tuned", few, environment)
    ours, bare = (
        max((told[side] for told in rounds), key=lambda told: told["speed"])
        for side in ("ours", "copy")
    )
    slower = bare["speed"] / ours["speed"]
    faster = ours["speed"] / library["speed"]
    goals = [
        ("time ÷ bare COPY", f"{slower:.2f}", f"at most {SLOWER}", slower <= SLOWER),
        ("speed ÷ django-import-export, bulk mode", f"{faster:.1f}", f"at least {FASTER}",
         faster >= FASTER),
        ("memory over the start, MB", f"{ours['grew'] / 1e6:.0f}", f"at most {MEMORY // 10**6}",
         ours["grew"] <= MEMORY),
    ]  # fmt: skip
    for name, figure, goal, reached in goals:
        print(f"{name:<42} {figure:>8}   goal: {goal:<12} {'' if reached else 'MISSED'}")
    print(
        f"{'(÷ the same library, all but writing off)':<42} {ours['speed'] / tuned['speed']:>8.1f}"
    )
    print(
        f"{'(its memory by the row ÷ ours)':<42} {compare_memory(library, few, ours, rows):>8.1f}"
    )
    return 0 if all(reached for *_, reached in goals) else 1


def compare_memory(library: dict[str, Any], few: int, ours: dict[str, Any], rows: int) -> float:
    return (library["grew"] / few) / (max(ours["grew"], 1) / rows)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    sys.exit(main(sys.argv[1:]))
