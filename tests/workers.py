"""In: jobs in the queue. Out: the same jobs done by a real Procrastinate worker in this process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import connection
from procrastinate.contrib.django import app

from callbacks.models import Receipt
from campaigns import jobs
from campaigns.models import Attempt, Batch, Call, Contact, Instance, Task


def run_jobs() -> None:
    """Work until no job is due. Scheduled jobs of the future stay."""
    with app.replace_connector(app.connector.get_worker_connector()) as worker:
        worker.run_worker(
            wait=False, install_signal_handlers=False, listen_notify=False, concurrency=4
        )


def work_until(told: Callable[[], Any], *, seconds: float = 120) -> Any:
    """Run jobs, those of the future too, until ``told()`` is true; returns its answer."""
    ends = time.monotonic() + seconds
    while not (answer := told()):
        assert time.monotonic() < ends, describe_rows()
        jobs.keep_going(timestamp=0)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"
            )
        run_jobs()
        time.sleep(0.02)
    return answer


def describe_rows() -> str:
    """What a test that waited in vain would have to look up: first how far everything has come, for
    who reads it may see its beginning only."""
    lines = ["It did not happen in time."]
    for model in (Contact, Batch, Attempt, Call, Receipt):
        counted = model.objects.values_list("status" if model is not Call else "result")
        lines.append(f"{model.__name__} {Counter(str(state) for (state,) in counted)}")
    lines += [f"Task {shorten(row)}" for row in Task.objects.values()]
    lines += [f"Instance {shorten(row)}" for row in Instance.objects.values()]
    open_ones = Attempt.objects.exclude(status__in=["accepted", "confirmed_accepted"])
    for row in open_ones.values():
        row["evidence"] = row["evidence"][-2:]
        lines.append(f"Attempt {shorten(row)}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name, status, count(*) FROM procrastinate_jobs GROUP BY 1, 2")
        lines += [f"job {row}" for row in cursor.fetchall()]
    return "\n".join(lines)


def shorten(row: dict[str, Any]) -> dict[str, str]:
    """What is not empty; moments as the time of day."""
    return {
        name: f"{value:%H:%M:%S.%f}" if isinstance(value, datetime) else str(value)
        for name, value in row.items()
        if value not in (None, "", [], {})
    }
