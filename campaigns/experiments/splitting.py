"""In: a draft and another robot or voice. Out: a second draft with a part of its contacts.

Chance decides by number: whoever has the same number is in the same group, and the seed, which is
kept, tells anybody afterwards which one. A row moves as it is, with its import and its line, so no
row is made and none is lost.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.drafting import DraftRefused, create_draft, read_draft
from campaigns.models import (
    Contact,
    ContactImport,
    Experiment,
    Robot,
    StatusChange,
    Task,
    Voice,
)
from campaigns.queue import enqueue

NO_DRAFT = N_("Only a draft can be parted, and this task is none any more.")
IMPORTING = N_("An import into the task is still running.")
TOO_FEW = N_("There are not enough people to part: chance put all of them into one group.")
DRAFT_REFUSED = N_("The draft of task B cannot be made: %(why)s")
PARTED = N_("Parted by the experiment “%(name)s”: %(kept)s contacts stayed, %(gone)s went to B.")
CAME = N_("Made by the experiment “%(name)s” with %(gone)s of the contacts of “%(task)s”.")
#: an empty cell, chosen for a column
EMPTY = ""

#: every state that a contact of a draft may be in: they stay what they are
_MOVE = """
    UPDATE campaigns_contact
    SET task_id = %(second)s, "values" = "values" || (
        SELECT coalesce(jsonb_object_agg(chosen.column, coalesce("values" ->> chosen.source, '')),
                        '{}'::jsonb)
        FROM unnest(%(columns)s::text[], %(sources)s::text[]) AS chosen("column", source)
    )
    WHERE task_id = %(first)s
        AND ('x' || substr(md5(%(seed)s || ':' || phone), 1, 8))::bit(32)::bigint
            < %(share)s * 4294967296::bigint / 100
"""


class ExperimentRefused(Exception):
    """``errors`` is {field: sentences}, "" for what concerns the whole; translated."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(" ".join(sentence for found in errors.values() for sentence in found))
        self.errors = errors


def find_experiment(task: Task) -> Experiment | None:
    """The experiment that a task is part of, if any."""
    rows = Experiment.objects.filter(Q(first=task) | Q(second=task)).exclude(status="failed")
    return rows.select_related("first__account", "second__account").first()


def is_second(phone: str, *, seed: str, share: int) -> bool:
    """Whether a number is in group B: as the database reckons it."""
    digest = hashlib.md5(f"{seed}:{phone}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) < share * 2**32 // 100


def list_columns(task: Task) -> list[str]:
    """What the contacts of a draft hold: the columns of its robot, then those kept beside them."""
    names = dict.fromkeys(str(column) for column in task.robot.columns)
    newest = Contact.objects.filter(task=task, status="ready").order_by("-id").first()
    return list(names | dict.fromkeys(newest.values if newest else {}))


def check_split(task: Task) -> list[str]:
    """What stands against parting the task at all, as sentences; empty when nothing does."""
    problems = []
    if task.status != Task.Status.DRAFT or task.kind != Task.Kind.CAMPAIGN:
        problems.append(_(NO_DRAFT))
    if task.imports.filter(status__in=ContactImport.BUSY).exists():
        problems.append(_(IMPORTING))
    if find_experiment(task) is not None:
        problems.append(_("The task is part of an experiment already."))
    if task.contacts.filter(status="ready")[:2].count() < 2:
        problems.append(_("There is nobody to part: import contacts first."))
    return problems


def begin_experiment(
    task: Task,
    *,
    name: str,
    robot: Robot,
    voice: Voice | None,
    share: int = 50,
    mapping: Mapping[str, str] | None = None,
    measure: str = "reached",
    measure_intention: str = "",
    by: Any = None,
) -> Experiment:
    """Have the contacts of a draft parted by a job. Raises ``ExperimentRefused``.

    ``mapping`` is {column of the other robot: column of the rows, or "" for an empty cell}; what it
    leaves out has the same name.
    """
    errors: dict[str, list[str]] = {}
    if problems := check_split(task):
        errors[""] = problems
    if robot.account_id != task.account_id or not robot.is_usable:
        errors["robot"] = [_("Choose a published robot of the same account.")]
    if voice is not None and (voice.account_id != task.account_id or voice.gone_at):
        errors["voice"] = [_("Choose a voice of the same account.")]
    if robot.pk == task.robot_id and (voice.pk if voice else None) == task.voice_id:
        errors.setdefault("robot", []).append(
            _("Both groups would hear the same: choose another robot or another voice.")
        )
    if not 1 <= share <= 99:
        errors["share"] = [_("Between 1 and 99 percent.")]
    if measure not in Experiment.Measure.values:
        errors["measure"] = [_("Choose what decides.")]
    elif measure == Experiment.Measure.INTENTION and not measure_intention.strip():
        errors["measure_intention"] = [_("Write which intention decides.")]
    complete, missing = complete_mapping(task, robot, mapping or {})
    if missing:
        errors["mapping"] = [
            _("Say where these columns of the robot come from: %(columns)s.")
            % {"columns": ", ".join(missing)}
        ]
    if not name.strip() or len(name.strip()) > 90 or not name.isprintable():
        errors["name"] = [_("Give it a name of at most 90 characters.")]
    if errors:
        raise ExperimentRefused(errors)
    with transaction.atomic():
        # of two who click at once the second finds the first one's row
        Task.objects.select_for_update().get(pk=task.pk)
        if problems := check_split(Task.objects.get(pk=task.pk)):
            raise ExperimentRefused({"": problems})
        experiment = Experiment.objects.create(
            name=name.strip(),
            first=task,
            robot=robot,
            voice=voice,
            mapping=complete,
            seed=secrets.token_hex(16),
            share=share,
            measure=measure,
            measure_intention=measure_intention.strip()[:50],
            created_by=by if getattr(by, "pk", None) else None,
        )
        enqueue(
            "campaigns.jobs.split_experiment",
            once=f"split-{experiment.pk}",
            experiment_id=experiment.pk,
        )
    return experiment


def complete_mapping(
    task: Task, robot: Robot, mapping: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Where the columns of another robot come from, of what the contacts of a draft hold."""
    return map_columns(robot, list_columns(task), mapping)


def map_columns(
    robot: Robot, known: Sequence[str], mapping: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """{column of the robot: one of the known columns, or "" for an empty cell} for each of its
    columns, and those still missing. The number stands in the first column of either."""
    complete: dict[str, str] = {}
    missing = []
    for place, column in enumerate(str(one) for one in robot.columns):
        if place == 0:
            complete[column] = known[0] if known else column
        elif column in mapping and (mapping[column] == EMPTY or mapping[column] in known):
            complete[column] = mapping[column]
        elif column in known:
            complete[column] = column
        else:
            missing.append(column)
    return complete, missing


def list_waiting_splits() -> list[int]:
    """Ids of the experiments whose contacts are still to be parted."""
    return list(Experiment.objects.filter(status="splitting").values_list("pk", flat=True))


def split_experiment(experiment_id: int) -> Experiment | None:
    """Make the second draft and move its part of the contacts there: all of it, or nothing."""
    with transaction.atomic():
        rows = Experiment.objects.select_for_update(of=("self",))
        experiment = rows.filter(pk=experiment_id, status="splitting").first()
        if experiment is None:
            return None
        # Nobody launches it, nor loads into it, meanwhile.
        task = Task.objects.select_for_update(of=("self",)).get(pk=experiment.first_id)
        if task.status != Task.Status.DRAFT:
            return _fail(experiment, NO_DRAFT)
        if task.imports.filter(status__in=ContactImport.BUSY).exists():
            return _fail(experiment, IMPORTING)
        try:
            with transaction.atomic():
                return _split(experiment, task)
        except DraftRefused as refused:
            return _fail(experiment, DRAFT_REFUSED, why=str(refused))
        except _TooFew:
            return _fail(experiment, TOO_FEW)


class _TooFew(Exception):
    """Chance left one of the groups empty."""


def _fail(experiment: Experiment, reason: str, **values: Any) -> Experiment:
    lifecycle.move(experiment, "failed", of=["splitting"], reason=reason, values=values)
    return experiment


def _split(experiment: Experiment, task: Task) -> Experiment:
    draft = replace(
        read_draft(task),
        name=f"{task.name[:95]} (B)",
        robot=experiment.robot,
        voice=experiment.voice,
        watch_folder=False,
    )
    second = create_draft(draft, by=experiment.created_by)
    # One family and one round: whatever else goes wrong, no number is under way in both.
    Task.objects.filter(pk=second.pk).update(family_id=task.family_id or task.pk, round=task.round)
    second.refresh_from_db()
    renamed = {name: source for name, source in experiment.mapping.items() if name != source}
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE,
            {
                "first": task.pk,
                "second": second.pk,
                "columns": list(renamed),
                "sources": list(renamed.values()),
                "seed": experiment.seed,
                "share": experiment.share,
            },
        )
        gone = cursor.rowcount
    kept = Contact.objects.filter(task=task).count()
    ready = [one.contacts.filter(status="ready").exists() for one in (task, second)]
    if not all(ready):
        raise _TooFew
    lifecycle.move(experiment, "split", of=["splitting"], split_at=timezone.now(), second=second)
    values = {"name": experiment.name, "kept": kept, "gone": gone, "task": task.name}
    for one, sentence in ((task, PARTED), (second, CAME)):
        StatusChange.objects.create(
            subject="task",
            subject_id=one.pk,
            old="draft",
            new="draft",
            reason=sentence,
            values=values,
            by=experiment.created_by,
        )
    return experiment
