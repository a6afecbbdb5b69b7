"""In: a port, a path, pushes per second, seconds. Out: how late each answer was, as JSON.

Open loop: a push is due at its time whether or not the last one was answered, and how late its
answer is counts from then, so that a stall of either side is seen. Each push on a connection of
its own, as platforms do it. A process of its own, so that nothing else in it can be late.

``python -m tests.benchmarks.open_loop PORT PATH RATE SECONDS FIRST``
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
#: a push that nobody answers
GIVEN_UP_SECONDS = 10.0


def make_body(number: int) -> bytes:
    now = int(time.time() * 1000)
    return json.dumps(
        {
            "call_uuid": f"bench-{number}",
            "direction": 2,
            "caller": "055160000001",
            "callee": f"199{number:08d}",
            "time_dial": now - 20_000,
            "time_answer": now - 15_000,
            "time_hangup": now,
            "task_result": "0",
            "task_row_index": number,
        }
    ).encode()


async def push(port: int, path: str, number: int) -> int:
    """The status of the answer; 0 when there was none, or it lied."""
    body = make_body(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\n"
        head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
    finally:
        writer.close()
    status = int(answer.split(b" ", 2)[1]) if answer.count(b" ") > 1 else 0
    return status if (status == 200) is (b"success" in answer) else 0


async def run(
    port: int, path: str, rate: float, seconds: float, first: int
) -> list[tuple[float, int]]:
    """(seconds after its time, status) of each push."""
    told: list[tuple[float, int]] = []
    begin = time.monotonic() + 0.2

    async def send(number: int) -> None:
        due = begin + number / rate
        try:
            async with asyncio.timeout(GIVEN_UP_SECONDS):
                status = await push(port, path, first + number)
        except (OSError, TimeoutError, ValueError):
            status = 0
        told.append((time.monotonic() - due, status))

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            group.create_task(send(number))
    return told


class Load:
    """Pushes from now on, in the background, until ``wait``."""

    def __init__(self, port: int, path: str, *, rate: float, seconds: float, first: int) -> None:
        self.count = int(rate * seconds)
        command = [sys.executable, "-m", "tests.benchmarks.open_loop"]
        command += [str(one) for one in (port, path, rate, seconds, first)]
        # A file: nobody reads while it runs, and a pipe takes no more than a few thousand answers.
        self._told = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = subprocess.Popen(command, cwd=ROOT, stdout=self._told)

    @property
    def is_over(self) -> bool:
        return self._child.poll() is not None

    def wait(self) -> list[float]:
        """How late the answers were, in seconds, sorted. Every push was taken."""
        self._child.wait()
        with self._told as file:
            file.seek(0)
            told: Any = json.load(file)
        refused = [status for _, status in told if status != 200]
        assert len(told) == self.count and not refused, f"Not taken: {refused[:10]}"
        return sorted(late for late, _ in told)


def main() -> None:
    port, path, rate, seconds, first = sys.argv[1:]
    told = asyncio.run(run(int(port), path, float(rate), float(seconds), int(first)))
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
