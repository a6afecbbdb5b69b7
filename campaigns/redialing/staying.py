"""In: a draft made by a re-dial, when it is launched. Out: whoever it is no longer meant for is
excluded: a call came back, or another answer became known, after the draft was made."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.criteria import BadCriteria, read_criteria
from campaigns.experiments import find_experiment
from campaigns.models import Contact, Redial, Task
from campaigns.redialing.judging import Wish, judge_people

FITS_NO_MORE = N_(
    "What it was chosen by for this re-dial holds no more: something else became known meanwhile."
)
#: what the planner asks as well, and says better, is left to it
_ITS_OWN = ("barred", "capped", "no_values", "left_out")


def find_redial(task: Task) -> Redial | None:
    """The re-dial that the contacts of a draft come from, be it before they were parted."""
    experiment = find_experiment(task)
    tasks = [task.pk] if experiment is None else [experiment.first_id, experiment.second_id]
    return Redial.objects.filter(task__in=[pk for pk in tasks if pk]).first()


def exclude_changed(task: Task) -> int:
    """Ask about everybody once more; returns how many were excluded. Contacts of an import are
    somebody's own choice and stay."""
    redial = find_redial(task)
    if redial is None or redial.family_id is None:
        return 0
    family = Task.objects.get(pk=redial.family_id)
    experiment = find_experiment(task)
    own = [redial.task_id, task.pk]
    if experiment is not None:
        own += [experiment.first_id, experiment.second_id]
    try:
        criteria = read_criteria(redial.kind, redial.params)
    except BadCriteria:
        criteria = None  # nobody can tell any more whom it was about
    with transaction.atomic():
        if criteria is None:
            gone = list(_list_own(task).values_list("pk", flat=True))
        else:
            wish = Wish(
                criteria=criteria,
                family=family,
                newest_only=redial.newest_only,
                but=[pk for pk in own if pk],
            )
            with judge_people(wish, key=redial.pk) as judged:
                gone = _find_gone(task, judged.table)
        return lifecycle.move_contacts(
            Contact.objects.filter(pk__in=gone), "excluded", of=["ready"], reason=FITS_NO_MORE
        )


def _list_own(task: Task) -> QuerySet[Contact]:
    return Contact.objects.filter(task=task, status="ready", source=None)


def _find_gone(task: Task, table: str) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT contact.id FROM campaigns_contact contact LEFT JOIN {table} verdict"  # noqa: S608
            " USING (phone) WHERE contact.task_id = %s AND contact.stage = 'ready'"
            " AND contact.source_id IS NULL AND (verdict.phone IS NULL"
            " OR (verdict.verdict <> '' AND verdict.verdict <> ALL(%s)))",
            [task.pk, list(_ITS_OWN)],
        )
        return [pk for (pk,) in cursor.fetchall()]
