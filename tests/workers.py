"""In: jobs in the queue. Out: the same jobs done by a real Procrastinate worker in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import connection
from procrastinate.contrib.django import app

from campaigns import jobs
from campaigns.models import Attempt, Batch, Task


def run_jobs() -> None:
    """Work until no job is due. Scheduled jobs of the future stay."""
    with app.replace_connector(app.connector.get_worker_connector()) as worker:
        worker.run_worker(
            wait=False, install_signal_handlers=False, listen_notify=False, concurrency=4
        )


def work_until(told: Callable[[], Any], *, seconds: float = 20) -> Any:
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
    """What a test that waited in vain would have to look up."""
    lines = ["It did not happen in time."]
    for model in (Task, Batch, Attempt):
        lines += [f"{model.__name__} {row}" for row in model.objects.values()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, task_name, status, args, scheduled_at FROM procrastinate_jobs")
        lines += [f"job {row}" for row in cursor.fetchall()]
    return "\n".join(lines)
