"""In: a job's name and its arguments. Out: the job's row, in the caller's transaction.

Inside a worker Procrastinate's own application talks to the database over a pool of its own, so a
job that is enqueued through it would be committed, and could start, before the rows it is about.
Everything here goes over Django's connection instead, wherever it is called from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from procrastinate.contrib.django import DjangoApp
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.exceptions import AlreadyEnqueued

_app = DjangoApp(connector=DjangoConnector(alias="default"))


#: What stops calls, or finds out about them, goes before what can wait: ten thousand questions
#: about pushes must not hold up one pause.
FIRST, LAST = 10, -10


def enqueue(
    job: str, *, once: str = "", seconds: float = 0, priority: int = 0, **arguments: Any
) -> None:
    """Enqueue a job, to begin after ``seconds``; with ``once`` not if one with that key waits.

    The key counts waiting jobs only, and a dead worker's jobs are never put back into the queue
    (``jobs.reap_jobs``), so it cannot strand anything.
    """
    deferrer = _app.configure_task(
        job,
        queueing_lock=once or None,
        priority=priority,
        schedule_in={"milliseconds": round(seconds * 1000)} if seconds else None,
    )
    with contextlib.suppress(AlreadyEnqueued), transaction.atomic():
        deferrer.defer(**arguments)


def enqueue_all(job: str, arguments: Sequence[dict[str, Any]], *, priority: int = 0) -> None:
    """Enqueue one job for each of the arguments, in one statement."""
    if arguments:
        _app.configure_task(job, priority=priority).batch_defer(*arguments)
