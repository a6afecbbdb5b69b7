"""In: the pusher's ledger and the database. Out: what is wrong, in words."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg

from tests.storm.pusher import Ledger

#: one snapshot: the states, their moves, and the contacts
_SAMPLE = """
SELECT count(*),
       count(*) FILTER (WHERE status = 'received'),
       count(*) FILTER (WHERE status = 'processed'),
       count(*) FILTER (WHERE status = 'ignored'),
       count(*) FILTER (WHERE status = 'quarantined'),
       (SELECT count(*) FROM campaigns_statuschange WHERE subject = 'receipt'),
       (SELECT count(*) FROM campaigns_contact),
       (SELECT count(*) FROM campaigns_contact WHERE status IN ('ready', 'excluded', 'planned',
        'sending', 'unknown', 'accepted', 'rejected', 'finished', 'withdrawn'))
FROM callbacks_receipt
"""
#: half of the answers come sooner than this, even on a machine that is busy and being killed; how
#: long the slowest may take is measured where nothing is killed (``bench_inbox``)
USUAL_SECONDS = 2.5


class Sampler:
    """Looks at the balance (R30) while everything is being killed."""

    def __init__(self, ledger: Ledger, *, contacts: int) -> None:
        self._ledger, self._contacts = ledger, contacts
        self._ended = 0
        self.samples = 0
        self.wrong: list[str] = []

    def sample(self, session: psycopg.Connection[Any]) -> None:
        """Raises ``psycopg.Error`` while the database is away."""
        ledger = self._ledger
        taken = len({ledger.pushes[place].key for place in list(ledger.taken)})
        row = session.execute(_SAMPLE).fetchone()
        assert row is not None
        received, waiting, processed, ignored, quarantined, moves, contacts, counted = row
        sent = len({ledger.pushes[place].key for place in list(ledger.sent)})
        self.samples += 1
        ended = processed + ignored + quarantined
        if received != ended + waiting:
            self._say(f"received {received} is not {ended} + {waiting}")
        if received < taken:
            self._say(f"{taken} pushes were taken, and {received} are there")
        if received > sent:
            self._say(f"{sent} pushes were sent, and {received} are there")
        if moves != ended:
            self._say(f"{ended} pushes came to an end, and {moves} moves say so")
        if ended < self._ended:
            self._say(f"{self._ended} pushes had come to an end, now {ended}")
        if not contacts == counted == self._contacts:
            self._say(f"{self._contacts} contacts, of which {counted} of {contacts} are counted")
        self._ended = ended

    def _say(self, text: str) -> None:
        if len(self.wrong) < 20:
            self.wrong.append(f"balance: {text}")


def judge_disk(ledger: Ledger, session: psycopg.Connection[Any]) -> list[str]:
    """The ledger against the inbox, byte for byte."""
    wrong: list[str] = []
    ours = {push.key: push for push in ledger.pushes}
    least: dict[tuple[str, bytes], int] = {}
    most: dict[tuple[str, bytes], int] = {}
    for place, push in enumerate(ledger.pushes):
        least[push.key] = least.get(push.key, 0) + ledger.taken[place]
        most[push.key] = most.get(push.key, 0) + ledger.sent[place]
    seen: dict[tuple[str, bytes], int] = {}
    # By the primary key, past every other index.
    with session.transaction(), session.cursor(name="inbox") as cursor:
        cursor.execute("SELECT kind, body, sha256, deliveries FROM callbacks_receipt ORDER BY id")
        for kind, body, sha256, deliveries in cursor:
            key = kind, hashlib.sha256(body).digest()
            if key[1] != sha256 or key not in ours:
                wrong.append(f"a push is there that was never sent like this: {body[:60]!r}")
            elif key in seen:
                wrong.append(f"a push is there twice: {body[:60]!r}")
            seen[key] = deliveries
    lost = [key for key, count in least.items() if count and key not in seen]
    if lost:
        wrong.append(f"{len(lost)} pushes were taken and are lost, as {ours[lost[0]].body[:60]!r}")
    for key, deliveries in seen.items():
        if key in ours and not least[key] <= deliveries <= most[key]:
            wrong.append(
                f"a push was taken {least[key]} times and sent {most[key]} times, and"
                f" {deliveries} deliveries are counted"
            )
    return wrong


def judge_answers(ledger: Ledger) -> list[str]:
    wrong = ledger.odd[:10]
    usual = ledger.find_wait(0.5)
    if usual > USUAL_SECONDS:
        wrong.append(f"half of the pushes waited {usual:.1f} s for their answer")
    return wrong
