"""In: what somebody decides about a re-dial. Out: its next state, and the job that leads on.

counting → counted → making → made: each a click or a job. What died on the way is found by
``settle_redials``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.criteria import BadCriteria, Criteria, read_criteria
from campaigns.experiments.splitting import map_columns
from campaigns.locks import only_one
from campaigns.models import Contact, Redial, Robot, Task
from campaigns.queue import enqueue
from campaigns.redialing.judging import judge_people, list_family
from campaigns.redialing.making import (
    BAD_CRITERIA,
    fail_redial,
    find_template,
    make_redial,
    make_wish,
)
from campaigns.redialing.progress import Progress, Stopped

GAVE_UP = N_("Work on it was stopped three times. Look at the server, then count again.")

#: the kind of advisory lock: who works on a re-dial
WORKING = 0x726564  # "red"
#: a job that was stopped is begun again so often
TRIES = 3
#: whoever gives no sign for so long is looked after
SILENT = timedelta(seconds=15)


class RedialRefused(Exception):
    """``errors`` is {field: sentences}, "" for what concerns the whole; translated."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(" ".join(sentence for found in errors.values() for sentence in found))
        self.errors = errors


def begin_redial(criteria: Criteria, *, by: Any = None, newest_only: bool = True) -> Redial:
    """Have counted by a job whom the criteria choose. Raises ``RedialRefused``."""
    if not criteria:
        raise RedialRefused(
            {"": [_("Choose by at least one criterion: not everybody there ever was.")]}
        )
    with transaction.atomic():
        redial = Redial.objects.create(
            kind=criteria.kind,
            params=criteria.params,
            newest_only=newest_only,
            created_by=by if getattr(by, "pk", None) else None,
        )
        _call_job(redial)
    return redial


def count_again(
    redial: Redial,
    *,
    family: Task | None = None,
    newest_only: bool | None = None,
    by: Any = None,
) -> None:
    """Count once more, perhaps with other choices. Raises ``RedialRefused``."""
    fields: dict[str, Any] = {}
    if family is not None:
        known = {pk for pk, _people in redial.counts.get("families", [])}
        if family.pk not in known:
            raise RedialRefused({"family": [_("Choose one of the families that were found.")]})
        if family.pk != redial.family_id:
            fields |= {"family": family, "robot": None, "mapping": {}, "name": ""}
    if newest_only is not None:
        fields["newest_only"] = newest_only
    with transaction.atomic():
        moved = lifecycle.move(
            redial,
            "counting",
            of=["counted", "failed"],
            by=by,
            reason="",
            progress=0,
            progress_end=0,
            progress_at=None,
            tries=0,
            ended_at=None,
            **fields,
        )
        if not moved:
            raise RedialRefused({"": [_("It cannot be counted now: reload the page.")]})
        _call_job(redial)


def confirm_redial(
    redial: Redial,
    *,
    name: str,
    robot: Robot,
    mapping: Mapping[str, str] | None = None,
    seen: str | None = None,
    by: Any = None,
) -> None:
    """Have the draft made by a job. Raises ``RedialRefused``. ``seen``: the stamp of the count that
    somebody looked at."""
    errors: dict[str, list[str]] = {}
    if not name.strip() or len(name.strip()) > 100 or not name.strip().isprintable():
        errors["name"] = [_("Give the task a name of at most 100 characters.")]
    family = redial.family
    if family is None:
        raise RedialRefused({"": [_("Choose the family first.")]})
    if robot.account_id != family.account_id or not robot.is_usable:
        errors["robot"] = [_("Choose a published robot of the same account.")]
    complete, missing = map_columns(robot, list_redial_columns(redial), mapping or {})
    if missing:
        errors["mapping"] = [
            _("Say where these columns of the robot come from: %(columns)s.")
            % {"columns": ", ".join(missing)}
        ]
    if errors:
        raise RedialRefused(errors)
    with transaction.atomic():
        row = Redial.objects.select_for_update(of=("self",)).get(pk=redial.pk)
        if seen is not None and stamp_of(row) != seen:
            raise RedialRefused(
                {"": [_("It was counted once more since you looked: look again, then confirm.")]}
            )
        if row.status == Redial.Status.COUNTED and not row.counts.get("chosen"):
            raise RedialRefused({"": [_("Nobody is left to be called again.")]})
        moved = lifecycle.move(
            redial,
            "making",
            of=["counted"],
            by=by,
            name=name.strip(),
            robot=robot,
            mapping=complete,
            progress=0,
            progress_end=0,
            progress_at=None,
            tries=0,
        )
        if not moved:
            raise RedialRefused({"": [_("It is not waiting to be confirmed: reload the page.")]})
        _call_job(redial)


def cancel_redial(redial: Redial, *, by: Any = None) -> None:
    """Give it up; what a job just does is taken back. Raises ``RedialRefused``."""
    of = ["counting", "counted", "making", "failed"]
    if not lifecycle.move(redial, "cancelled", of=of, by=by, ended_at=timezone.now()):
        raise RedialRefused(
            {"": [_("It cannot be given up any more. A draft can be stopped for good.")]}
        )


def stamp_of(redial: Redial) -> str:
    """What tells one count from another."""
    return redial.counted_at.isoformat() if redial.counted_at else ""


def list_redial_columns(redial: Redial) -> list[str]:
    """What the rows of the family hold: the columns of its robots, the newest first, then those
    kept beside them."""
    if redial.family is None:
        return []
    names: dict[str, None] = {}
    tasks = Task.objects.filter(pk__in=list_family(redial.family)).select_related("robot")
    for task in tasks.order_by("-id")[:50]:
        names |= dict.fromkeys(str(column) for column in task.robot.columns)
        newest = Contact.objects.filter(task=task).order_by("-id").first()
        names |= dict.fromkeys(newest.values if newest else {})
    return list(names)


# ------------------------------------------------------------------------------------- by the jobs


def _call_job(redial: Redial) -> None:
    job = "count_redial" if redial.status == Redial.Status.COUNTING else "make_redial"
    enqueue(f"campaigns.jobs.{job}", once=f"{job}-{redial.pk}", redial_id=redial.pk)


def work_on(redial_id: int) -> None:
    """Do what is to be done, alone. A job that comes twice finds nothing to do."""
    with only_one(WORKING, redial_id) as mine:
        if not mine:
            return
        busy = Redial.objects.filter(pk=redial_id, status__in=Redial.BUSY)
        # counted before the work, so that work that kills its worker ends
        if not busy.filter(tries__lt=TRIES).update(tries=F("tries") + 1):
            if redial := busy.first():
                fail_redial(redial, GAVE_UP)
            return
        count_redial(redial_id)
        make_redial(redial_id)


def count_redial(redial_id: int) -> None:
    """Count whom the criteria choose, and why the others are left out."""
    redial = Redial.objects.select_related("family", "robot").filter(pk=redial_id).first()
    if redial is None or redial.status != Redial.Status.COUNTING:
        return
    try:
        with Progress(redial), transaction.atomic():
            _count(redial)
    except Stopped:
        return
    except BadCriteria as bad:
        fail_redial(redial, BAD_CRITERIA, why=str(bad))


def _count(redial: Redial) -> None:
    family = redial.family
    draft = find_template(family) if family else None
    with judge_people(make_wish(redial, family, draft), key=redial.pk) as judged:
        counts = judged.as_counts()
    fields: dict[str, Any] = {}
    if family is None and len(judged.families) == 1:
        # recalls and columns are those of the family, so it is asked once more
        family = Task.objects.get(pk=judged.families[0][0])
        fields["family"] = family
        draft = find_template(family)
        with judge_people(make_wish(redial, family, draft), key=redial.pk) as judged:
            counts = judged.as_counts()
    if family is not None and draft is not None and redial.robot is None and draft.robot:
        fields |= {"name": _name_round(draft.name, family), "robot": draft.robot}
    moved = lifecycle.move(
        redial,
        "counted",
        of=["counting"],
        counts=counts,
        counted_at=timezone.now(),
        **fields,
    )
    if not moved:
        raise Stopped


def _name_round(name: str, family: Task) -> str:
    rounds = Task.objects.filter(pk__in=list_family(family)).values_list("round", flat=True)
    stem = re.sub(r" · \d{1,5}$", "", name)
    return f"{stem[:85]} · {max(rounds, default=1) + 1}"


def settle_redials() -> None:
    """Have done what a dead job left undone."""
    busy = Redial.objects.filter(status__in=Redial.BUSY)
    limit = timezone.now() - SILENT
    for redial in busy.filter(progress_at=None) | busy.filter(progress_at__lt=limit):
        _call_job(redial)


# --------------------------------------------------------------------------------------- lineage


def list_lineage(task: Task) -> tuple[list[Task], list[Task]]:
    """The tasks whose people a task calls again, and the tasks that call its people again."""
    redial = Redial.objects.filter(task=task).first()
    parents = redial.sources.select_related("account").order_by("-id")[:20] if redial else []
    made = Redial.objects.filter(sources=task, task__isnull=False).select_related("task")
    return list(parents), [one.task for one in made.order_by("-id")[:20] if one.task]


def read_chosen(redial: Redial) -> Criteria | None:
    """Its criteria; None when they cannot be read any more."""
    try:
        return read_criteria(redial.kind, redial.params)
    except BadCriteria:
        return None
