"""In: an experiment. Out: what its page says: the groups, every rate of both, and in plain words
whether a difference means anything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.admin.base import make_badge, show_moment, tell_age
from campaigns.admin.task_colors import TASK_COLORS
from campaigns.definitions import Definition, show_number, show_points, show_rate
from campaigns.experiments import Comparison, Group, Line, compare, list_lines, read_groups
from campaigns.intervals import Interval, Share
from campaigns.models import Experiment, Task

STATUS_COLORS = {"splitting": "info", "split": "good", "failed": "bad"}
#: tasks that begin further apart hear different hours, which is a difference of its own
TOGETHER = timedelta(hours=1)
OVER = (Task.Status.FINISHED, Task.Status.DELETED, Task.Status.FAILED)

PEOPLE = Definition(
    "experiment_people",
    gettext_lazy("People"),
    gettext_lazy(
        "Different numbers that were in the group when it was made and are not left out. Who came"
        " into one of the tasks later was not put there by chance, and is not counted."
    ),
)
CALLED = Definition(
    "experiment_called",
    gettext_lazy("Called"),
    gettext_lazy(
        "People of whom at least one call has a known end, and whose number exists. The two groups"
        " are alike in them but for what they hear."
    ),
)
REACHED = Definition(
    "experiment_reached",
    gettext_lazy("Reached"),
    gettext_lazy("People who picked up at least once themselves: not a mailbox or an assistant."),
)
TALKED = Definition(
    "experiment_talked",
    gettext_lazy("Talked"),
    gettext_lazy("People who picked up and stayed for 10 seconds or longer, at least once."),
)
INTENTION = Definition(
    "experiment_intention",
    gettext_lazy("Intention"),
    gettext_lazy(
        "The intention of a person's newest call that was picked up and has one; where somebody"
        " corrected it, the corrected one."
    ),
)
_DEFINITIONS = {"reached": REACHED, "talked": TALKED, "intention": INTENTION}


def describe_experiment(experiment: Experiment, *, may_launch: bool) -> dict[str, Any]:
    """Everything of the page's live part."""
    groups = read_groups(experiment)
    lines = list_lines(*groups) if groups else []
    rows = [describe_line(line, experiment) for line in lines]
    tasks = [experiment.first, experiment.second]
    active = experiment.status == "splitting" or not groups or _is_active(experiment)
    chosen = find_measured(experiment, lines)
    return {
        "experiment": experiment,
        "status": make_badge(
            experiment.get_status_display(), STATUS_COLORS.get(experiment.status, "")
        ),
        "is_active": active and experiment.status != "failed",
        "groups": [
            describe_group(letter, task, group, may_launch=may_launch)
            for letter, task, group in zip("AB", tasks, groups or (None, None), strict=True)
        ],
        "measure": tell_measure(experiment),
        "verdict": tell_verdict(experiment, compare(chosen.first, chosen.second))
        if chosen
        else None,
        "cautions": list_cautions(experiment, groups),
        "of_called": [row for row in rows if row["base"] == "called"],
        "of_reached": [row for row in rows if row["base"] == "reached"],
        "counted": tell_age(experiment.counted_at) if experiment.counted_at else "",
        "split_at": show_moment(experiment.split_at) if experiment.split_at else "",
        "definitions": [PEOPLE, CALLED, REACHED, TALKED, INTENTION],
    }


def _is_active(experiment: Experiment) -> bool:
    tasks = (experiment.first, experiment.second)
    quiet = (*OVER, Task.Status.DRAFT)
    return any(task is not None and task.status not in quiet for task in tasks)


def describe_group(
    letter: str, task: Task | None, group: Group | None, *, may_launch: bool
) -> dict[str, Any]:
    contacts = reverse("admin:campaigns_contact_changelist")
    query = {"task__id__exact": task.pk if task else 0}

    def make(definition: Definition, number: int, **step: str) -> dict[str, Any]:
        return {
            "name": definition.name,
            "text": definition.text,
            "number": show_number(number),
            "url": f"{contacts}?{urlencode(query | step)}",
        }

    return {
        "letter": letter,
        "task": task,
        "color": TASK_COLORS.get(task.status, "") if task else "",
        "numbers": [
            make(PEOPLE, group.people),
            make(CALLED, group.called, step="called"),
            make(REACHED, group.reached, step="reached"),
            make(TALKED, group.talked, step="talked"),
        ]
        if group and task
        else [],
        "waiting": show_number(group.waiting) if group else "",
        "may_launch": may_launch and task is not None and task.status == Task.Status.DRAFT,
    }


def find_measured(experiment: Experiment, lines: list[Line]) -> Line | None:
    """The rate that was chosen beforehand to decide; one that is rare, or that nobody has yet, is
    none of the lines."""
    for line in lines:
        if line.base == "called" and line.what == experiment.measure:
            if line.what != "intention":
                return line
            if line.intention == experiment.measure_intention:
                return line
    groups = read_groups(experiment)
    if groups is None or experiment.measure != "intention":
        return None
    word = experiment.measure_intention
    shares = [Share(one.intentions.get(word, 0), one.called) for one in groups]
    return Line("intention", word, "called", *shares)


def tell_measure(experiment: Experiment) -> str:
    if experiment.measure == "intention":
        return _("people with intention “%(word)s”") % {"word": experiment.measure_intention}
    return str(experiment.get_measure_display())


def describe_line(line: Line, experiment: Experiment) -> dict[str, Any]:
    told = compare(line.first, line.second)
    definition = _DEFINITIONS[line.what]
    return {
        "base": line.base,
        "label": _("Intention “%(word)s”") % {"word": line.intention}
        if line.what == "intention"
        else definition.name,
        "text": definition.text,
        "is_measured": line.base == "called"
        and line.what == experiment.measure
        and line.intention in ("", experiment.measure_intention),
        "sides": [
            describe_side("A", line.first.hits, line.first.trials, told.first_interval),
            describe_side("B", line.second.hits, line.second.trials, told.second_interval),
        ],
        "difference": tell_difference(told),
        "winner": told.winner,
        "word": tell_word(told),
    }


def describe_side(letter: str, hits: int, trials: int, interval: Interval | None) -> dict[str, Any]:
    rate = hits / trials if trials else None
    side: dict[str, Any] = {
        "letter": letter,
        "rate": show_rate(rate),
        "of": _("%(hits)s of %(trials)s")
        % {"hits": show_number(hits), "trials": show_number(trials)},
        "interval": "",
    }
    if interval is not None and rate is not None:
        side |= {
            "interval": _("%(low)s to %(high)s")
            % {"low": show_rate(interval.low), "high": show_rate(interval.high)},
            "left": f"{interval.low * 100:.2f}",
            "width": f"{max((interval.high - interval.low) * 100, 0.4):.2f}",
            "middle": f"{rate * 100:.2f}",
        }
    return side


def tell_difference(told: Comparison) -> str:
    if told.difference is None or told.interval is None:
        return "–"
    return _("%(points)s (%(low)s to %(high)s)") % {
        "points": show_points(told.difference, 0.0),
        "low": show_points(told.interval.low, 0.0),
        "high": show_points(told.interval.high, 0.0),
    }


def tell_word(told: Comparison) -> str:
    if told.winner is None:
        return _("nothing to compare yet")
    return {
        "": _("may be chance"),
        "first": _("A is higher"),
        "second": _("B is higher"),
    }[told.winner]


def tell_verdict(experiment: Experiment, told: Comparison) -> dict[str, Any]:
    """In plain words whether the chosen measure tells the groups apart."""
    if told.winner is None:
        return {
            "kind": "info",
            "title": _("Nothing can be said yet."),
            "sentences": [_("In one of the groups nobody was called whose call has ended.")],
        }
    difference = tell_difference(told)
    if told.winner == "":
        sentences = [
            _("B − A is %(difference)s: zero is among what it may be.") % {"difference": difference}
        ]
        if told.missing is not None:
            sentences.append(
                ngettext(
                    "If the true difference is as large as it looks, about %(n)s more person has"
                    " to be called in each group before one can tell.",
                    "If the true difference is as large as it looks, about %(n)s more people have"
                    " to be called in each group before one can tell.",
                    told.missing,
                )
                % {"n": show_number(told.missing)}
            )
        else:
            sentences.append(_("The groups are as good as equal so far."))
        return {
            "kind": "warn",
            "title": _("The difference means nothing yet: it may be chance."),
            "sentences": sentences,
        }
    better = "B" if told.winner == "second" else "A"
    sentences = [_("B − A is %(difference)s, and zero is not in it.") % {"difference": difference}]
    if _is_active(experiment):
        sentences.append(
            _(
                "The calls are not over. Whoever looks often, and stops when it looks good, finds"
                " differences that are chance: decide when both tasks are over."
            )
        )
    return {
        "kind": "info",
        "title": _("%(group)s is higher: by this measure it is hardly chance.") % {"group": better},
        "sentences": sentences,
    }


def list_cautions(experiment: Experiment, groups: tuple[Group, Group] | None) -> list[str]:
    """What makes the comparison worth less."""
    found = []
    first, second = experiment.first, experiment.second
    if second is not None:
        begun = first.launched_at, second.launched_at
        if begun[0] and begun[1] and abs(begun[0] - begun[1]) > TOGETHER:
            found.append(
                _(
                    "The tasks were launched more than an hour apart: another hour of the day is a"
                    " difference of its own."
                )
            )
        elif bool(begun[0]) != bool(begun[1]):
            found.append(
                _(
                    "Only one of the tasks is launched. Launch the other one too: at another hour"
                    " of the day people answer otherwise."
                )
            )
    if groups and any(group.waiting for group in groups) and all(group.called for group in groups):
        found.append(
            _("Some people are not called to the end yet; who is called later may be different.")
        )
    return found
