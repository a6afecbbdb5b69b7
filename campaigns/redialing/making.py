"""In: a re-dial that somebody confirmed. Out: a draft of the next round, with its contacts.

All of it is one transaction, under the lock of the family: of two who want the same people the
second finds them waiting in the first one's draft.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.batching import lock_family
from campaigns.criteria import BadCriteria, read_criteria
from campaigns.drafting import Draft, DraftRefused, create_draft, read_draft
from campaigns.models import Account, Line, Redial, StatusChange, Task
from campaigns.redialing.judging import Judged, Wish, judge_people, list_family
from campaigns.redialing.progress import Progress, Stopped

NOBODY = N_("Nobody is left to be called again: look at the reasons.")
BAD_CRITERIA = N_("The criteria cannot be read any more: %(why)s")
DRAFT_REFUSED = N_("The draft cannot be made: %(why)s")
NO_FAMILY = N_("The tasks that it was about are gone.")
MADE = N_("Made by re-dial %(redial)s of %(people)s people of earlier rounds.")

#: rows that become contacts in one statement
SLICE = 50_000
#: contacts that make a difference to the table's statistics
ANALYZE_FROM = 5_000

_INSERT = """
    INSERT INTO campaigns_contact (
        task_id, account_id, family_id, round, source_id, line_number, phone, phone_raw, "values",
        status, reason, reason_values, platform_contact_id, calls_made, answered, result, intention,
        created_at
    )
    SELECT %(task)s, %(account)s, %(family)s, %(round)s, NULL, NULL, contact.phone,
           contact.phone_raw,
           contact."values" || (
               SELECT coalesce(
                   jsonb_object_agg(
                       chosen.column, coalesce(contact."values" ->> chosen.source, '')),
                   '{{}}'::jsonb)
               FROM unnest(%(columns)s::text[], %(sources)s::text[])
                   AS chosen("column", source)
           ) || jsonb_build_object(%(first)s::text, contact.phone),
           'ready', '', '{{}}'::jsonb, '', 0, false, '', '', now()
    FROM {verdict} verdict JOIN campaigns_contact contact ON contact.id = verdict.source_id
    WHERE verdict.verdict = '' AND contact.id > %(after)s AND contact.id <= %(until)s
    ORDER BY contact.id
"""


def make_redial(redial_id: int) -> None:
    """Make the draft of a confirmed re-dial, all of it or nothing."""
    redial = Redial.objects.select_related("family", "robot").filter(pk=redial_id).first()
    if redial is None or redial.status != Redial.Status.MAKING:
        return
    try:
        with Progress(redial) as progress, transaction.atomic():
            people = _make(redial, progress)
    except Stopped:
        return
    except _Failed as failed:
        fail_redial(redial, failed.reason, **failed.values)
        return
    if people >= ANALYZE_FROM:
        with connection.cursor() as cursor:
            # Whoever launches now plans with what the table is, not with what it was.
            cursor.execute("ANALYZE campaigns_contact")


class _Failed(Exception):
    """Nothing is made; ``reason`` is an English sentence with places for ``values``."""

    def __init__(self, reason: str, **values: Any) -> None:
        super().__init__(reason)
        self.reason, self.values = reason, values


def fail_redial(redial: Redial, reason: str, **values: Any) -> bool:
    return lifecycle.move(
        redial,
        "failed",
        of=list(Redial.BUSY),
        reason=reason,
        values=values,
        ended_at=timezone.now(),
    )


def make_wish(redial: Redial, family: Task | None, draft: Draft | None = None) -> Wish:
    """What is asked for a re-dial. Raises ``BadCriteria``."""
    # the first column is the number, which every row has
    columns = redial.robot.columns if redial.robot else []
    first = str(columns[0]) if columns else ""
    needed = [source for column, source in redial.mapping.items() if source and column != first]
    return Wish(
        criteria=read_criteria(redial.kind, redial.params),
        family=family,
        newest_only=redial.newest_only,
        needed=needed,
        recalls=draft.recall_count if draft else 0,
    )


def find_template(family: Task) -> Draft:
    """How the newest task of the family is called, for a draft like it; without what is past, and
    what the platform has no longer."""
    tasks = Task.objects.filter(pk__in=list_family(family)).order_by("-id")
    campaigns = tasks.filter(kind=Task.Kind.CAMPAIGN, trial_of=None)
    task = campaigns.first() or family
    draft = read_draft(task)
    now = timezone.now()
    lines = [line for line in draft.lines if line.gone_at is None]
    if not lines and task.account.vendor.limits.lines:
        # a draft can be changed before it is launched; without a line it could not be saved
        usable = Line.objects.filter(account=task.account, gone_at=None).order_by("id")
        lines = list(usable[:1])
    past = draft.end_at is not None and draft.end_at <= now
    begin_at = draft.begin_at if draft.begin_at and draft.begin_at > now and not past else None
    return replace(
        draft,
        lines=lines,
        voice=None if draft.voice and draft.voice.gone_at else draft.voice,
        begin_at=begin_at,
        end_at=None if past else draft.end_at,
        kind="campaign",
        speed=None,
        watch_folder=False,
    )


def _make(redial: Redial, progress: Progress) -> int:
    family = redial.family
    if family is None or redial.robot is None:
        raise _Failed(NO_FAMILY)
    lock_family(family.pk)
    draft = replace(find_template(family), name=redial.name, robot=redial.robot)
    if draft.voice and draft.voice.account_id != draft.account.pk:
        draft = replace(draft, voice=None)
    try:
        wish = make_wish(redial, family, draft)
    except BadCriteria as bad:
        raise _Failed(BAD_CRITERIA, why=str(bad)) from None
    with judge_people(wish, key=redial.pk) as judged:
        if not judged.chosen:
            raise _Failed(NOBODY)
        progress.end = judged.chosen
        progress.tell(0)
        try:
            task = create_draft(draft, by=redial.created_by)
        except DraftRefused as refused:
            raise _Failed(DRAFT_REFUSED, why=str(refused)) from None
        rounds = Task.objects.filter(pk__in=list_family(family, but=[task.pk]))
        last = rounds.aggregate(last=Max("round"))["last"] or 1
        Task.objects.filter(pk=task.pk).update(family_id=family.pk, round=last + 1)
        task.refresh_from_db()
        people = _insert(redial, task, family, judged, progress)
        sources = _list_sources(judged)
    redial.sources.set(sources)
    moved = lifecycle.move(
        redial,
        "made",
        of=["making"],
        task=task,
        counts=judged.as_counts() | {"made": people},
        ended_at=timezone.now(),
    )
    if not moved:
        raise Stopped
    StatusChange.objects.create(
        subject="task",
        subject_id=task.pk,
        old="draft",
        new="draft",
        reason=MADE,
        values={"redial": redial.pk, "people": people},
        by=redial.created_by,
    )
    return people


def _insert(redial: Redial, task: Task, family: Task, judged: Judged, progress: Progress) -> int:
    account: Account = task.account
    first = str(task.robot.columns[0])
    renamed = {
        column: source for column, source in redial.mapping.items() if column not in (first, source)
    }
    values: dict[str, Any] = {
        "task": task.pk,
        "account": account.pk,
        "family": family.pk,
        "round": task.round,
        "columns": list(renamed),
        "sources": list(renamed.values()),
        "first": first,
    }
    done = 0
    with connection.cursor() as cursor:
        for after, until in _list_slices(cursor, judged.table):
            cursor.execute(
                _INSERT.format(verdict=judged.table), values | {"after": after, "until": until}
            )
            done += cursor.rowcount
            progress.tell(done)
    return done


def _list_slices(cursor: Any, table: str) -> list[tuple[int, int]]:
    """(after, until) of the ids of each portion."""
    cursor.execute(
        "SELECT max(source_id) FROM (SELECT source_id,"  # noqa: S608
        f" (row_number() OVER (ORDER BY source_id) - 1) / {SLICE} AS part"
        f" FROM {table} WHERE verdict = '') one GROUP BY part ORDER BY part"
    )
    ends = [end for (end,) in cursor.fetchall()]
    return list(zip([0, *ends], ends, strict=False))


def _list_sources(judged: Judged) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT contact.task_id FROM campaigns_contact contact"  # noqa: S608
            f" JOIN {judged.table} verdict ON verdict.source_id = contact.id"
            " WHERE verdict.verdict = ''"
        )
        return [pk for (pk,) in cursor.fetchall()]
