"""In: a job's row. Out: one step done, and the next one enqueued.

Thin: a step says what comes next, this module chains. Delivery is at least once, so each step
claims its own rows; a job that dies loses nothing: the periodic jobs look at the rows again.
"""

from __future__ import annotations

import contextlib
import logging
import time

from django.conf import settings
from django.db import transaction
from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.jobs import Status

from campaigns import (
    answering,
    attempts,
    batching,
    bulk,
    catalog,
    counting,
    dispatch,
    experiments,
    exporting,
    failed_pushes,
    failing,
    figures,
    gaps,
    gates,
    guarding,
    importing,
    linking,
    notices,
    reconcile,
    recordings,
    redialing,
    results,
    retention,
    reviewing,
    verifying,
)
from campaigns.garbage import collect_seldom
from campaigns.importing import barlist, folder
from campaigns.ingest import FETCH_SEVERAL_JOB
from campaigns.models import Account, Task
from campaigns.queue import FIRST, LAST, enqueue

logger = logging.getLogger(__name__)

#: how many jobs hand over the batches of one task at the same time
SENDERS = 4
#: a sender gives its place to other tasks after this long
SENDER_SECONDS = 15.0
#: a job that fetches several recordings leaves the rest to another after this long
FETCH_SECONDS = 5.0


def enqueue_advance(task_id: int, *, seconds: float = 0) -> None:
    moment = "later" if seconds else "now"
    enqueue(
        "campaigns.jobs.advance_task",
        once=f"advance-{moment}-{task_id}",
        seconds=seconds,
        task_id=task_id,
    )


def enqueue_senders(task_id: int) -> None:
    for place in range(SENDERS):
        enqueue(
            "campaigns.jobs.send_batches",
            once=f"send-{task_id}-{place}",
            task_id=task_id,
            place=place,
        )


def follow(task_id: int, following: dispatch.Next) -> None:
    """Enqueue what a step says comes next."""
    if following.what == "plan":
        redialing.exclude_changed(Task.objects.get(pk=task_id))
        with transaction.atomic():
            batching.plan_batches(Task.objects.get(pk=task_id))
            enqueue_senders(task_id)
    elif following.what == "send":
        enqueue_senders(task_id)
    elif following.what == "advance":
        enqueue_advance(task_id, seconds=following.seconds)


@app.task(name="campaigns.jobs.advance_task")
def advance_task(task_id: int) -> None:
    """Take a launched task one step further."""
    follow(task_id, dispatch.advance_task(task_id))


@app.task(name="campaigns.jobs.send_batches")
def send_batches(task_id: int, place: int = 0) -> None:
    """Send planned batches of a task, one after the other, for a while."""
    with collect_seldom():
        _send_for_a_while(task_id, place)


def _send_for_a_while(task_id: int, place: int) -> None:
    ends = time.monotonic() + SENDER_SECONDS
    known: Task | None = None
    most = 1
    while (began := time.monotonic()) < ends:
        claimed = dispatch.claim_batches(task_id, known=known, most=most)
        if not claimed:
            enqueue_advance(task_id)
            return
        known = claimed[0].task
        following = dispatch.send_batches(claimed)
        if following == dispatch.Next("advance"):
            most = dispatch.pick_most(len(claimed), seconds=time.monotonic() - began)
            continue
        follow(task_id, following)
        return
    enqueue(
        "campaigns.jobs.send_batches", once=f"send-{task_id}-{place}", task_id=task_id, place=place
    )


@app.task(name="campaigns.jobs.carry_out_request")
def carry_out_request(task_id: int) -> None:
    """Pause, resume or delete, until the platform confirms it."""
    following = dispatch.carry_out_request(task_id)
    if following.what == "launch":
        enqueue_advance(task_id)
    elif following.what == "advance":
        enqueue(
            "campaigns.jobs.carry_out_request",
            once=f"request-later-{task_id}",
            seconds=following.seconds,
            priority=FIRST,
            task_id=task_id,
        )


@app.task(name="campaigns.jobs.poll_task")
def poll_task(task_id: int) -> None:
    """Ask the platform about one task."""
    reconcile.poll_task(task_id)


@app.task(name="campaigns.jobs.settle_task")
def settle_task(task_id: int) -> None:
    """Ask about the requests of unknown outcome."""
    if reconcile.settle_task(task_id):
        enqueue_advance(task_id)


@app.task(name="campaigns.jobs.fetch_recording")
def fetch_recording(recording_id: int) -> None:
    """Copy one recording into our storage."""
    wait = recordings.fetch_recording(recording_id)
    if wait is not None:
        enqueue(
            "campaigns.jobs.fetch_recording",
            seconds=wait,
            priority=LAST,
            recording_id=recording_id,
        )


@app.task(name=FETCH_SEVERAL_JOB)
def fetch_recordings(recording_ids: list[int]) -> None:
    """Copy several recordings, one after the other; what is left after a few seconds is left to
    another job, so that whatever is more urgent gets its turn."""
    ends = time.monotonic() + FETCH_SECONDS
    for place, recording_id in enumerate(recording_ids):
        if place and time.monotonic() > ends:
            enqueue(FETCH_SEVERAL_JOB, priority=LAST, recording_ids=recording_ids[place:])
            return
        fetch_recording(recording_id)


@app.task(name="campaigns.jobs.verify_push")
def verify_push(verification_id: int) -> None:
    """Ask the platform whether a push says what it knows."""
    wait = verifying.verify_push(verification_id)
    if wait is not None:
        enqueue(
            "campaigns.jobs.verify_push",
            seconds=wait,
            priority=LAST,
            verification_id=verification_id,
        )


@app.task(name="campaigns.jobs.ask_failed_pushes")
def ask_failed_pushes(day_id: int) -> None:
    """Ask for the failed pushes of one day, and fetch their files."""
    for file_id in failed_pushes.ask_day(day_id) or ():
        enqueue(
            "campaigns.jobs.fetch_failed_pushes",
            once=f"failed-file-{file_id}",
            priority=LAST,
            file_id=file_id,
        )


@app.task(name="campaigns.jobs.fetch_failed_pushes")
def fetch_failed_pushes(file_id: int) -> None:
    """Copy one file of failed pushes; the inbox reads it."""
    if failed_pushes.fetch_file(file_id):
        enqueue_reading(file_id)


def enqueue_reading(file_id: int) -> None:
    enqueue(
        "callbacks.jobs.read_failed_pushes",
        once=f"failed-read-{file_id}",
        priority=LAST,
        file_id=file_id,
    )


@app.task(name="campaigns.jobs.reapply_results")
def reapply_results(slug: str) -> None:
    """Read the results of every call of a platform again, with today's tables."""
    results.reapply_results(slug)


@app.task(name="campaigns.jobs.check_import")
def check_import(import_id: int) -> None:
    """Read the file of an import and count what would come of it."""
    # a refusal stands on the import, for people
    with contextlib.suppress(importing.ImportRefused):
        importing.check_import(import_id)


@app.task(name="campaigns.jobs.load_import")
def load_import(import_id: int) -> None:
    """Make contacts of what was checked."""
    with contextlib.suppress(importing.ImportRefused):
        importing.load_import(import_id)


@app.task(name="campaigns.jobs.import_bar_list")
def import_bar_list(list_import_id: int) -> None:
    """Put the numbers of a file on the do-not-call list, or lift them."""
    barlist.work_on_list(list_import_id)


@app.task(name="campaigns.jobs.count_redial")
def count_redial(redial_id: int) -> None:
    """Count whom a re-dial would call."""
    redialing.work_on(redial_id)


@app.task(name="campaigns.jobs.make_redial")
def make_redial(redial_id: int) -> None:
    """Make the draft of a re-dial."""
    redialing.work_on(redial_id)


@app.task(name="campaigns.jobs.split_experiment")
def split_experiment(experiment_id: int) -> None:
    """Part the contacts of a draft between two."""
    experiments.split_experiment(experiment_id)


@app.task(name="campaigns.jobs.count_experiment")
def count_experiment(experiment_id: int) -> None:
    """Count what came of the two groups of an experiment."""
    experiments.count_experiment(experiment_id)


@app.task(name="campaigns.jobs.work_on_bulk")
def work_on_bulk(job_id: int) -> None:
    """Do something with many rows, for a while."""
    if bulk.work_on_job(job_id):
        bulk.enqueue_job(job_id)


@app.task(name="campaigns.jobs.make_export")
def make_export(export_id: int) -> None:
    """Make the file of an export."""
    wait = exporting.make_export(export_id)
    if wait is not None:
        exporting.enqueue_export(export_id, seconds=wait)


@app.task(name="campaigns.jobs.sync_account")
def sync_account(account_id: int) -> None:
    """Mirror the robots, lines and voices of an account."""
    catalog.sync_account(Account.objects.get(pk=account_id))


@app.task(name="campaigns.jobs.count_figures")
def count_figures(task_id: int, scope: str) -> None:
    """Count what came of a task, or of a family."""
    figures.count_task(task_id, scope)


@app.task(name="campaigns.jobs.deliver_notice")
def deliver_notice(delivery_id: int) -> None:
    """Take one notice to one address outside."""
    wait = notices.deliver(delivery_id)
    if wait is not None:
        enqueue_notice(delivery_id, seconds=wait)


def enqueue_notice(delivery_id: int, *, seconds: float = 0) -> None:
    enqueue(
        "campaigns.jobs.deliver_notice",
        once=f"notice-{delivery_id}",
        seconds=seconds,
        delivery_id=delivery_id,
    )


# --------------------------------------------------------------------------------- the safety net


@app.periodic(cron="* * * * * */5")
@app.task(name="campaigns.jobs.keep_going", queueing_lock="keep_going", priority=FIRST)
def keep_going(timestamp: int) -> None:
    """Look at the rows and enqueue whatever a dead job left undone, or whatever is due."""
    attempts.reap_attempts()
    gates.restore.keep_witness()
    for task_id in dispatch.list_idle_tasks():
        enqueue_advance(task_id)
    dispatch.pause_inactive()
    guarding.guard_tasks()
    failing.pause_failing()
    for task_id in dispatch.list_requested_tasks():
        enqueue(
            "campaigns.jobs.carry_out_request",
            once=f"request-now-{task_id}",
            priority=FIRST,
            task_id=task_id,
        )
    for task_id in reconcile.list_watched_tasks():
        enqueue("campaigns.jobs.poll_task", once=f"poll-{task_id}", task_id=task_id)
    for task_id in reconcile.list_unsettled_tasks():
        enqueue(
            "campaigns.jobs.settle_task",
            once=f"settle-{task_id}",
            priority=FIRST,
            task_id=task_id,
        )
    for recording_id in recordings.list_due_recordings():
        enqueue(
            "campaigns.jobs.fetch_recording",
            once=f"recording-{recording_id}",
            priority=LAST,
            recording_id=recording_id,
        )
    linking.link_pending()
    for verification_id in verifying.list_due_questions():
        enqueue(
            "campaigns.jobs.verify_push",
            once=f"verify-{verification_id}",
            priority=LAST,
            verification_id=verification_id,
        )
    importing.settle_imports()
    barlist.settle_lists()
    redialing.settle_redials()
    for experiment_id in experiments.list_waiting_splits():
        enqueue(
            "campaigns.jobs.split_experiment",
            once=f"split-{experiment_id}",
            experiment_id=experiment_id,
        )
    for experiment_id in experiments.list_due_counts():
        enqueue(
            "campaigns.jobs.count_experiment",
            once=f"experiment-{experiment_id}",
            priority=LAST,
            experiment_id=experiment_id,
        )
    exporting.settle_exports()
    bulk.settle_jobs()


@app.periodic(cron="* * * * * */5")
@app.task(name="campaigns.jobs.count_calls", queueing_lock="count_calls", priority=LAST)
def count_calls(timestamp: int) -> None:
    """Bring the numbers of the screens up to date."""
    counting.count_when_due()
    counting.count_tasks()
    for task_id, scope in figures.list_due():
        enqueue(
            "campaigns.jobs.count_figures",
            once=f"figures-{scope}-{task_id}",
            priority=LAST,
            task_id=task_id,
            scope=scope,
        )


@app.task(name="campaigns.jobs.watch_folders", queueing_lock="watch_folders")
def watch_folders(timestamp: int) -> None:
    """Take the files that were dropped into the folders of tasks a step further."""
    folder.watch_folders()


if settings.IMPORT_FOLDER is not None:
    app.periodic(cron="* * * * * */10")(watch_folders)


@app.periodic(cron="* * * * * */10")
@app.task(name="campaigns.jobs.find_notices", queueing_lock="find_notices")
def find_notices(timestamp: int) -> None:
    """Tell whoever asked for it of what happened, and go on with what was left undelivered."""
    notices.find_notices()
    for delivery_id in notices.list_due():
        enqueue_notice(delivery_id)


@app.periodic(cron="47 * * * *")
@app.task(name="campaigns.jobs.forget_notices", queueing_lock="forget_notices", priority=LAST)
def forget_notices(timestamp: int) -> None:
    """Delete notices that were kept for long enough."""
    while notices.forget_notices():
        time.sleep(retention.REST_SECONDS)


@app.periodic(cron="23 * * * *")
@app.task(name="campaigns.jobs.forget_files", queueing_lock="forget_files", priority=LAST)
def forget_files(timestamp: int) -> None:
    """Delete the files of imports that are over for long enough."""
    importing.forget_files()
    exporting.expire_exports()
    bulk.forget_rows()


@app.periodic(cron="41 * * * *")
@app.task(name="campaigns.jobs.begin_forgetting", queueing_lock="begin_forgetting", priority=LAST)
def begin_forgetting(timestamp: int) -> None:
    """Delete what was kept for long enough."""
    while answering.forget_expired():
        time.sleep(retention.REST_SECONDS)
    forget_old({})


@app.task(name="campaigns.jobs.forget_old", queueing_lock="forget_old", priority=LAST)
def forget_old(marks: dict[str, int]) -> None:
    """For a while; what is left over is left to the next job."""
    further = retention.forget_old(marks=marks)
    if further is not None:
        enqueue(
            "campaigns.jobs.forget_old", once="forget_old", seconds=1, priority=LAST, marks=further
        )


@app.periodic(cron="17 3 * * *")
@app.task(name="campaigns.jobs.sweep_files", queueing_lock="sweep_files", priority=LAST)
def sweep_files(timestamp: int) -> None:
    """Delete files that no row names any more."""
    retention.sweep_files()


@app.periodic(cron="* * * * *")
@app.task(name="campaigns.jobs.catch_up", queueing_lock="catch_up")
def catch_up(timestamp: int) -> None:
    """See to it that every day of failed pushes is asked for, fetched and read."""
    failed_pushes.plan_days()
    for day_id in failed_pushes.list_due_days():
        enqueue(
            "campaigns.jobs.ask_failed_pushes",
            once=f"failed-day-{day_id}",
            priority=LAST,
            day_id=day_id,
        )
    fetch, read = failed_pushes.list_due_files()
    for file_id in fetch:
        enqueue(
            "campaigns.jobs.fetch_failed_pushes",
            once=f"failed-file-{file_id}",
            priority=LAST,
            file_id=file_id,
        )
    for file_id in read:
        enqueue_reading(file_id)
    failed_pushes.forget_copies()


@app.periodic(cron="*/5 * * * *")
@app.task(name="campaigns.jobs.make_planned", queueing_lock="make_planned", priority=LAST)
def make_planned(timestamp: int) -> None:
    """Ask for the daily exports that are due."""
    exporting.make_planned()


@app.periodic(cron="*/5 * * * *")
@app.task(name="campaigns.jobs.reconcile_gaps", queueing_lock="reconcile_gaps", priority=LAST)
def reconcile_gaps(timestamp: int) -> None:
    """Find what should have come and did not, and close what came."""
    gaps.reconcile_gaps()


@app.periodic(cron="* * * * *")
@app.task(name="campaigns.jobs.reap_jobs", queueing_lock="reap_jobs", pass_context=True)
async def reap_jobs(context: JobContext, timestamp: int) -> None:
    """Close the jobs of workers that died. What they were about is found by ``keep_going``."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=60):
        logger.warning("Job %s (%s) belonged to a worker that is gone.", job.id, job.task_name)
        await manager.finish_job(job, Status.FAILED, delete_job=True)


@app.periodic(cron="*/5 * * * *")
@app.task(name="campaigns.jobs.draw_due_reviews", queueing_lock="draw_due_reviews", priority=LAST)
def draw_due_reviews(timestamp: int) -> None:
    """Let every active rule draw the calls that people listen to."""
    for rule_id in reviewing.list_due_rules():
        enqueue_drawing(rule_id)


def enqueue_drawing(rule_id: int) -> None:
    enqueue(
        "campaigns.jobs.draw_reviews",
        once=f"draw-reviews-{rule_id}",
        priority=LAST,
        rule_id=rule_id,
    )


@app.task(name="campaigns.jobs.draw_reviews", priority=LAST)
def draw_reviews(rule_id: int) -> None:
    """Draw for a while; what is left over is left to the next job."""
    if reviewing.draw_reviews(rule_id).more:
        enqueue_drawing(rule_id)
