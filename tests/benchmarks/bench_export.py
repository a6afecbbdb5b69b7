"""In: a number of calls. Out: how fast they are written as a file, beside what Python wrote before.

    BENCH_ROWS=1000000 .venv/bin/python -m pytest -s -p no:xdist tests/benchmarks/bench_export.py

The baseline is the writer that went row by row (``tests/campaigns/exporting/slow.py``): the same
file, equal in every byte, of as many rows as it writes in some seconds. Masked, as most people get
it: one row in ten has free texts with digits, which Python looks at. Memory is what the process
grew by while the file was written to nowhere.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from campaigns.criteria import CALLS, read_criteria
from campaigns.exporting import tables, workbooks
from campaigns.models import Call
from tests.benchmarks.bench_files import Nowhere
from tests.campaigns.exporting import slow
from tests.factories import make_task

pytestmark = pytest.mark.django_db

ROWS = int(os.environ.get("BENCH_ROWS", "20000"))
FEW = min(ROWS, 20_000)
#: rows per second at least; × the writer of before at least; bytes of memory at most
SPEED, FASTER, MEMORY = 50_000, 4, 60_000_000

_FILL = """
    INSERT INTO campaigns_call (
        account_id, platform_call_id, task_id, robot_id, platform_task_id, platform_contact_id,
        platform_robot_id, relation_id, direction, caller, callee, dialed_at, ringing_at,
        answered_at, ended_at, answered, ring_seconds, talk_seconds, result, platform_result,
        platform_result_text, hangup_by, intention, intention_min, agent_number, agent_name,
        queue_name, stage, details, has_record, turns_count, evidence, conflicts, problems,
        happened_at, created_at, updated_at
    )
    SELECT %(account)s, md5(n::text), %(task)s, %(robot)s, '1909', n::text, '1', '', 'outbound',
        '055169101407', (19900000000 + n)::text, moment, moment + interval '2 s',
        CASE WHEN n %% 3 = 0 THEN moment + interval '9 s' END, moment + interval '40 s',
        n %% 3 = 0, 7, CASE WHEN n %% 3 = 0 THEN (n %% 300)::int END,
        CASE WHEN n %% 3 = 0 THEN 'answered' ELSE 'no_answer' END, (n %% 20)::text,
        CASE WHEN n %% 10 = 0 THEN '转接 199' || lpad(n::text, 8, '0') ELSE '无人接听' END,
        'contact', CASE WHEN n %% 3 = 0 THEN 'A' ELSE '' END, '', '', '', '', 'ended', '{}', true,
        0, '{}', '{}', '{}', moment, moment, moment
    FROM generate_series(1, %(rows)s) AS n,
        LATERAL (SELECT timestamptz '2026-01-01' + n * interval '1 s' AS moment) AS told
"""


@pytest.fixture
def calls() -> Iterator[None]:
    task = make_task()
    values = {
        "account": task.account_id,
        "task": task.pk,
        "robot": task.robot_id,
        "rows": ROWS,
    }
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE campaigns_call DISABLE TRIGGER USER")
        cursor.execute(_FILL, values)
        # what was inserted is checked now: no table is changed before that
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE campaigns_call ENABLE TRIGGER USER")
        cursor.execute("ANALYZE campaigns_call")
    yield


@dataclass(frozen=True, slots=True, order=True)
class Pace:
    """Rows a second by the clock; of our processor time; of that of the database's session."""

    clock: float
    ours: float
    theirs: float

    def __str__(self) -> str:
        theirs = f"{self.theirs:,.0f}" if self.theirs else "?"
        return f"{self.clock:>9,.0f} rows/s  ours alone {self.ours:,.0f}, database's {theirs}"


def read_session() -> float:
    """Seconds that the session of the database was on a processor; 0 where it is elsewhere."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [session] = cursor.fetchone()
    try:
        return int(Path(f"/proc/{session}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError):
        return 0.0


def measure(work: Callable[[], int]) -> Pace:
    """``work`` writes all rows and says how many they are."""
    session, clock, busy = read_session(), time.perf_counter(), time.process_time()
    number = work()
    seconds, ours = time.perf_counter() - clock, time.process_time() - busy
    theirs = read_session() - session
    assert number == ROWS
    return Pace(number / seconds, number / ours, number / theirs if theirs else 0.0)


def write(*, whole: bool) -> tuple[Pace, int]:
    """How fast, and how many bytes of memory it took."""
    target: Any = Nowhere()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pace = measure(lambda: write_lines(target, whole=whole))
    grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return pace, grew


def write_lines(target: Any, *, whole: bool) -> int:
    with connection.cursor() as cursor:
        number = tables.write_csv(
            cursor.cursor, read_criteria(CALLS, {}), target, whole=whole, zone="Asia/Shanghai"
        )
        cursor.execute("SELECT set_config('TimeZone', 'UTC', true)")
    return number


def write_book(path: Path) -> int:
    """The same rows as a workbook."""
    with path.open("wb") as target, connection.cursor() as cursor:
        chosen = read_criteria(CALLS, {})
        told = workbooks.write_xlsx(
            cursor.cursor, chosen, target, whole=False, zone="Asia/Shanghai"
        )
        cursor.execute("SELECT set_config('TimeZone', 'UTC', true)")
    return told.rows


def test_the_file_is_written_as_fast_as_promised(calls: None, tmp_path: Path) -> None:
    first = time.perf_counter()
    size = sum(len(piece) for piece in slow.write_calls(Call.objects.all()[:FEW], whole=False))
    before = FEW / (time.perf_counter() - first)
    assert size
    masked, grew = max(write(whole=False) for _round in range(2))
    whole, _more = write(whole=True)
    sheet = measure(lambda: write_book(tmp_path / "calls.xlsx"))
    print(f"\n  before   {before:>9,.0f} rows/s ({FEW:,} rows)")
    print(f"  masked   {masked}")
    print(f"  whole    {whole}")
    print(f"  workbook {sheet}")
    print(f"  {ROWS:,} rows ÷ before {masked.clock / before:.1f}   memory {grew / 1e6:.0f} MB")
    if ROWS >= 100_000:
        assert masked.clock >= SPEED
        assert sheet.clock >= SPEED
    assert masked.clock / before >= FASTER
    assert grew <= MEMORY
