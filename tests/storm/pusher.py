"""In: pushes and a schedule. Out: a ledger of what was sent, and of what the door said to it.

As yeta does it: an answer with the word "success" in it means taken; without one within three
seconds the push is sent again, three times in all, and then noted in the list of failed pushes.
The schedule does not wait for answers, so that a stall costs pushes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

TAKEN = b'{"code":0,"message":"success"}'
TRIES = 3
ANSWER_SECONDS = 3.0
#: on the way at the same time; a platform at full load has a limit as well
ON_THE_WAY = 64
#: seconds before the second and the third try
PAUSES = (0.4, 1.2)


@dataclass(frozen=True, slots=True)
class Sent:
    """One distinct push."""

    kind: str
    body: bytes

    @property
    def key(self) -> tuple[str, bytes]:
        return self.kind, hashlib.sha256(self.body).digest()


class Ledger:
    """What the platform knows: the truth that the disk is held against."""

    def __init__(self, pushes: Sequence[Sent]) -> None:
        self.pushes = pushes
        #: {place: how often it was sent, and how often "success" came back}
        self.sent: Counter[int] = Counter()
        self.taken: Counter[int] = Counter()
        self.failed: list[int] = []
        self.answers: Counter[str] = Counter()
        self.odd: list[str] = []
        #: seconds until each "success"
        self.waits: list[float] = []
        self.done = 0

    def find_wait(self, share: float) -> float:
        """The wait that this share of the answers came within."""
        waits = sorted(self.waits)
        return round(waits[min(int(len(waits) * share), len(waits) - 1)], 2) if waits else 0.0


class Pusher:
    """Sends the schedule at ``rate`` a second, in a thread of its own."""

    def __init__(self, port: int, token: str, ledger: Ledger, *, rate: float, seed: int) -> None:
        self.port, self.token, self.ledger, self.rate = port, token, ledger, rate
        self._chance = Random(f"pusher {seed}")
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._thread: threading.Thread | None = None

    def start(self, order: Sequence[int]) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all(order)))
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    async def _send_all(self, order: Sequence[int]) -> None:
        places = asyncio.Semaphore(ON_THE_WAY)
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, place in enumerate(order):
                await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
                await places.acquire()
                sending = group.create_task(self._deliver(place))
                sending.add_done_callback(lambda _: places.release())
        self._drop_all()

    async def _deliver(self, place: int) -> None:
        """One delivery with its repeats."""
        ledger, push = self.ledger, self.ledger.pushes[place]
        for number in range(TRIES):
            ledger.sent[place] += 1
            began = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    status, body = await self._post(push)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                ledger.answers[type(error).__name__] += 1
            else:
                ledger.answers[str(status)] += 1
                if b"success" in body.lower():
                    ledger.taken[place] += 1
                    ledger.waits.append(time.monotonic() - began)
                    if (status, body) != (200, TAKEN):
                        ledger.odd.append(f"{status} says success: {body[:80]!r}")
                    break
                if status != 503:
                    ledger.odd.append(f"a good push was answered with {status} {body[:80]!r}")
            if number < TRIES - 1:
                await asyncio.sleep(PAUSES[number] * self._chance.uniform(0.5, 1.5))
        else:
            ledger.failed.append(place)
        ledger.done += 1

    async def _post(self, push: Sent) -> tuple[int, bytes]:
        if self._free:
            reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            head = (
                f"POST /callbacks/{self.token}/{push.kind} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(push.body)}\r\n\r\n"
            )
            writer.write(head.encode() + push.body)
            await writer.drain()
            top = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers: dict[str, str] = defaultdict(str)
            for line in top[1:]:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers["content-length"] or 0))
        except BaseException:
            writer.close()
            raise
        if headers["connection"].lower() == "close":
            writer.close()
        else:
            self._free.append((reader, writer))
        return int(top[0].split()[1]), body

    def _drop_all(self) -> None:
        for _, writer in self._free:
            with contextlib.suppress(OSError):
                writer.close()
        self._free.clear()
