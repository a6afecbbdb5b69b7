"""In: a word that something waits in the inbox. Out: the inbox worked off.

No lock on the work itself: receipts are claimed one batch at a time, so any number of these jobs
may run at once, and one that died holds nobody up.
"""

from __future__ import annotations

from django.db import close_old_connections
from procrastinate.contrib.django import app

from callbacks import catching_up, inbox, processing, rereading, tally
from campaigns.queue import LAST, enqueue


@app.task(name=inbox.PROCESS_JOB, queueing_lock=inbox.PROCESS_LOCK)
def process_inbox() -> None:
    """Work off what waits; what is left after a while is left to the next job."""
    close_old_connections()
    if not processing.process_inbox():
        inbox.call_worker()


@app.periodic(cron="* * * * * */5")
@app.task(name="callbacks.jobs.sweep_inbox", queueing_lock="sweep_inbox")
def sweep_inbox(timestamp: int) -> None:
    """Find what nobody was woken for: a lost wake-up, or receipts of a worker that died."""
    close_old_connections()
    if processing.has_work():
        processing.process_inbox()


@app.periodic(cron="* * * * * 20")
@app.task(name="callbacks.jobs.count_inbox", queueing_lock="count_inbox")
def count_inbox(timestamp: int) -> None:
    """Count what came, and where everything is."""
    close_old_connections()
    tally.count_arrivals()
    tally.take_snapshot()
    rereading.wake_stalled()


@app.task(name=rereading.JOB)
def reread(rereading_id: int) -> None:
    """Send many receipts through again, a piece at a time."""
    close_old_connections()
    rereading.work_on(rereading_id)


@app.task(name="callbacks.jobs.read_failed_pushes")
def read_failed_pushes(file_id: int) -> None:
    """Put the pushes of a fetched file into the inbox."""
    close_old_connections()
    if not catching_up.read_file(file_id):
        enqueue("callbacks.jobs.read_failed_pushes", priority=LAST, file_id=file_id)
