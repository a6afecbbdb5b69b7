"""In: yeta's requests over plain sockets. Out: an answer at once, and a count of what arrived.

    .venv/bin/python -m tests.benchmarks.fast_platform

Prints its port. As little as a platform can do: it knows no tasks, gives every row an id, and
counts the numbers it was sent, so that a batch that came twice, or never, is seen.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from itertools import count
from typing import Any


class Platform:
    def __init__(self) -> None:
        self.ids = count(1)
        self.batches = 0
        self.numbers: Counter[str] = Counter()
        self.times: list[float] = []

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        if path.startswith("/told"):
            return {
                "batches": self.batches,
                "numbers": len(self.numbers),
                "most": max(self.numbers.values(), default=0),
                "seconds": self.times[-1] - self.times[0] if self.times else 0.0,
            }
        if path.startswith("/oauth/"):
            return {"token": "fast-token", "time_expire": 7_200}
        if not path.startswith("/outbound/v1/task/insert"):
            return {"total_rows": 0, "rows": []}
        rows = json.loads(body)["call_list"]
        self.times.append(time.monotonic())
        self.batches += 1
        self.numbers.update(row[0] for row in rows)
        return {"total": len(rows), "task_data_ids": [next(self.ids) for _ in rows]}


class Exchange(asyncio.Protocol):
    platform: Platform

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, found, body = self.seen.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.split(b"\r\n")
        sizes = [line for line in lines if line.lower().startswith(b"content-length:")]
        if len(body) < sum(int(line.partition(b":")[2]) for line in sizes):
            return
        result = self.platform.answer(lines[0].split()[1].decode(), body)
        reply = json.dumps({"code": 0, "message": "success", "result": result}).encode()
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(reply), reply)
        )
        self.transport.close()


async def serve() -> None:
    Exchange.platform = Platform()
    server = await asyncio.get_running_loop().create_server(Exchange, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
