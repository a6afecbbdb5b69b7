"""In: the parameters of the list of calls. Out: what each of them chooses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from campaigns import definitions
from campaigns.criteria.search import search_calls
from campaigns.criteria.values import (
    BadCriteria,
    Criterion,
    make_choice,
    make_count,
    make_flag,
    make_id,
    make_moment,
    make_text,
    make_yes_no,
    read_moment,
)
from campaigns.funnels import (
    choose_left_at,
    choose_short_of,
    choose_slot,
    choose_step,
    list_family,
    list_steps,
    read_slot,
    write_slot,
)
from campaigns.masking import mask_numbers
from campaigns.models import (
    Account,
    Agent,
    Call,
    Correction,
    Recording,
    Remark,
    Robot,
    Task,
    Turn,
    Verification,
)
from campaigns.platforms.registry import PLATFORMS

#: {word: (name, the calls)}: what a number of a screen counts
COUNTED: dict[str, tuple[Any, Q]] = {
    "counted": (definitions.CALLS.name, definitions.IS_COUNTED),
    "answered": (definitions.ANSWERED.name, Q(answered=True)),
    "reached": (definitions.REACHED.name, definitions.IS_REACHED),
    "talked": (definitions.TALKED.name, definitions.IS_TALKED),
    "invalid": (definitions.INVALID.name, definitions.IS_INVALID),
    "open": (definitions.OPEN.name, definitions.IS_OPEN),
}
#: calls that are looked up by something else first
FEW = 1_000
#: of a call that the platform named no intention for
NO_INTENTION = "-"


def name_task(pk: str) -> str:
    return mask_numbers(Task.objects.filter(pk=pk).values_list("name", flat=True).first() or "")


def name_account(pk: str) -> str:
    return Account.objects.filter(pk=pk).values_list("name", flat=True).first() or ""


def name_robot(pk: str) -> str:
    return Robot.objects.filter(pk=pk).values_list("name", flat=True).first() or ""


def choose_intentions(rows: QuerySet[Any], words: list[str]) -> QuerySet[Any]:
    return rows.filter(intention__in=["" if word == NO_INTENTION else word for word in words])


def _choose_stages(rows: QuerySet[Any], words: list[str]) -> QuerySet[Any]:
    ended = Call.Stage.ENDED
    if words == [ended]:
        return rows.filter(stage=ended)
    # said as in the partial index of the few calls that are going on
    now = ~Q(stage=ended)
    if "now" not in words:
        now &= Q(stage__in=[word for word in words if word != ended])
    return rows.filter(now | Q(stage=ended) if ended in words else now)


def _choose_platforms(rows: QuerySet[Any], slugs: list[str]) -> QuerySet[Any]:
    # The accounts are few and looked up first: the index begins with them.
    accounts = Account.objects.filter(platform__in=slugs)
    return rows.filter(account__in=list(accounts.values_list("pk", flat=True)))


def _choose_agents(rows: QuerySet[Any], words: list[str]) -> QuerySet[Any]:
    """By number or name, of all accounts: the index begins with the account and the number."""
    named = Agent.objects.filter(name__in=words).values_list("number", flat=True)[:100]
    accounts = list(Account.objects.values_list("pk", flat=True))
    return rows.filter(account__in=accounts, agent_number__in=[*words, *named])


def _find_verified(words: list[str]) -> list[int] | None:
    """The calls with a push in one of these states, if they are few: then they are looked up
    first, and nobody looks through all calls for them."""
    if "none" in words or Verification.Status.VERIFIED in words:
        return None
    pushes = Verification.objects.filter(status__in=words).exclude(
        status=Verification.Status.VERIFIED  # as in the index of those that are not
    )
    calls = list(pushes.order_by().values_list("call", flat=True)[: FEW + 1])
    return list(dict.fromkeys(calls)) if len(calls) <= FEW else None


def _choose_verified(rows: QuerySet[Any], words: list[str]) -> QuerySet[Any]:
    if (calls := _find_verified(words)) is not None:
        return rows.filter(pk__in=calls)
    pushes = Verification.objects.filter(call=OuterRef("pk"))
    chosen = Q()
    if states := [word for word in words if word != "none"]:
        chosen |= Q(Exists(pushes.filter(status__in=states)))
    if "none" in words:
        verified = pushes.filter(status=Verification.Status.VERIFIED)
        chosen |= Q(Exists(pushes)) & ~Q(Exists(verified))
    return rows.filter(chosen)


def reach_node(words: list[str]) -> Q:
    """Of a call: that one of its turns was at one of these nodes, by name or id."""
    at_node = Q(node_name__in=words) | Q(node_id__in=words)
    return Q(Exists(Turn.objects.filter(at_node, call=OuterRef("pk"))))


def choose_family(rows: QuerySet[Any], ids: list[str]) -> QuerySet[Any]:
    return rows.filter(task__in=list_family(ids))


def make_steps(kind: str) -> tuple[Criterion, Criterion]:
    """How far somebody got, and how far not: the steps of the funnel of a task."""
    words = [(step.slug, step.name) for step in list_steps(kind)]
    return (
        make_choice(
            "step",
            _("got as far as"),
            words,
            lambda rows, slugs: rows.filter(choose_step(kind, slugs)),
        ),
        make_choice(
            "short_of",
            _("did not get as far as"),
            words,
            lambda rows, slugs: rows.filter(choose_short_of(kind, slugs)),
        ),
    )


def _read_slot(values: list[str]) -> str:
    try:
        return write_slot(*read_slot(values[-1].strip()))
    except ValueError:
        raise BadCriteria(_("It is no hour of the week, like 1-09.")) from None


def _tell_slot(value: str) -> str:
    weekday, hour = read_slot(value)
    return f"{WEEKDAYS[weekday - 1]} {hour:02d}:00–{hour:02d}:59"


def _choose_counted(rows: QuerySet[Any], words: list[str]) -> QuerySet[Any]:
    chosen = Q(pk__in=())
    for word in words:
        chosen |= COUNTED[word][1]
    return rows.filter(definitions.IS_COUNTED & chosen if words != ["counted"] else chosen)


def _read_hour(values: list[str]) -> str:
    text = values[-1].strip()
    if "T" not in text or len(text) > 40:
        raise BadCriteria(gettext("It is no date."))
    return read_moment(text).isoformat()


def _choose_hour(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    begins = read_moment(text)
    return rows.filter(happened_at__gte=begins, happened_at__lt=begins + timedelta(hours=1))


def _find_recorded() -> Exists:
    return Exists(Recording.objects.filter(call=OuterRef("pk")))


def _find_corrections() -> QuerySet[Correction]:
    return Correction.objects.filter(call=OuterRef("pk"), withdrawn_at=None)


def _choose_right_intentions(rows: QuerySet[Any], words: list[str]) -> QuerySet[Any]:
    """By what a person said where somebody did, by the platform's word elsewhere."""
    wanted = ["" if word == NO_INTENTION else word for word in words]
    held = _find_corrections()
    by_platform = Q(intention__in=wanted) & ~Q(Exists(held))
    return rows.filter(by_platform | Q(Exists(held.filter(intention__in=wanted))))


def _find_remarks() -> Exists:
    return Exists(Remark.objects.filter(call=OuterRef("pk")))


def search_box(search: Any) -> Criterion:
    """The text of the search box. It is kept whole, and told without its number."""

    def read(values: list[str]) -> str:
        text = values[-1].strip()[:200]
        return text.replace("\x00", "")

    return Criterion(
        "q",
        _("search"),
        read,
        search,
        lambda value: mask_numbers(str(value), likely=True),
        leads=True,
    )


CALL_CRITERIA: dict[str, Criterion] = {
    one.name: one
    for one in (
        make_id("id__in", _("chosen rows"), "pk", leads=True),
        make_choice("result__exact", _("result"), Call.Result.choices, "result"),
        make_choice(
            "stage",
            _("stage"),
            [("now", _("going on")), *Call.Stage.choices],
            _choose_stages,
            leads=lambda words: Call.Stage.ENDED not in words,
        ),
        make_text("intention", _("intention"), choose_intentions),
        make_text("right_intention", _("right intention"), _choose_right_intentions),
        make_yes_no(
            "corrected",
            _("intention corrected"),
            lambda rows, _value: rows.filter(Exists(_find_corrections())),
            lambda rows, _value: rows.filter(~Exists(_find_corrections())),
        ),
        make_yes_no(
            "remarks",
            _("remarks"),
            lambda rows, _value: rows.filter(_find_remarks()),
            lambda rows, _value: rows.filter(~_find_remarks()),
        ),
        make_choice("direction__exact", _("direction"), Call.Direction.choices, "direction"),
        make_flag("answered__exact", _("answered"), "answered"),
        make_flag("answered__isnull", _("not known whether answered"), "answered__isnull"),
        make_choice("hangup_by__exact", _("hung up by"), Call.HangupBy.choices, "hangup_by"),
        make_yes_no(
            "dialog",
            _("dialog"),
            lambda rows, _value: rows.filter(turns_count__gt=0),
            lambda rows, _value: rows.filter(turns_count=0),
        ),
        make_yes_no(
            "recording",
            _("recording"),
            lambda rows, _value: rows.filter(_find_recorded()),
            lambda rows, _value: rows.filter(~_find_recorded()),
        ),
        make_moment(
            "happened_at_from",
            _("time from"),
            lambda rows, moment: rows.filter(happened_at__gte=moment),
        ),
        make_moment(
            "happened_at_to",
            _("time to"),
            lambda rows, moment: rows.filter(happened_at__lt=moment),
            until=True,
        ),
        Criterion(
            "hour",
            _("hour from"),
            _read_hour,
            _choose_hour,
            lambda value: f"{timezone.localtime(read_moment(value)):%Y-%m-%d %H:%M}",
        ),
        make_choice(
            "counts_as",
            _("counted as"),
            [(word, name) for word, (name, _calls) in COUNTED.items()],
            _choose_counted,
        ),
        make_count(
            "talk_from",
            _("talk time from (seconds)"),
            lambda rows, seconds: rows.filter(talk_seconds__gte=seconds),
        ),
        make_count(
            "talk_to",
            _("talk time to (seconds)"),
            lambda rows, seconds: rows.filter(talk_seconds__lte=seconds),
        ),
        make_text("node", _("node reached"), lambda rows, words: rows.filter(reach_node(words))),
        make_text(
            "left_at",
            _("dialog ended at the node"),
            lambda rows, words: rows.filter(choose_left_at(words)),
        ),
        *make_steps("calls"),
        Criterion(
            "slot",
            _("hour of the week"),
            _read_slot,
            lambda rows, value: rows.filter(choose_slot(*read_slot(value))),
            _tell_slot,
        ),
        make_count(
            "attempts_from",
            _("calls made to the contact, from"),
            lambda rows, number: rows.filter(contact__calls_made__gte=number),
        ),
        make_count(
            "attempts_to",
            _("calls made to the contact, to"),
            lambda rows, number: rows.filter(contact__calls_made__lte=number),
        ),
        make_moment(
            "not_called_since",
            _("contact not called since"),
            lambda rows, moment: rows.filter(contact__last_call_at__lt=moment),
        ),
        make_id("task__id__exact", _("task"), "task", name_of=name_task),
        make_id("family", _("family of tasks"), choose_family, name_of=name_task),
        make_count("round", _("round"), lambda rows, number: rows.filter(task__round=number)),
        make_id("account__id__exact", _("account"), "account", name_of=name_account),
        make_id("robot__id__exact", _("robot"), "robot", name_of=name_robot),
        make_id("contact__id__exact", _("contact"), "contact", leads=True),
        make_choice(
            "platform",
            _("platform"),
            [(platform.slug, platform.name) for platform in PLATFORMS.values()],
            _choose_platforms,
        ),
        make_text("agent", _("agent"), _choose_agents, leads=True),
        make_choice(
            "verification",
            _("verification"),
            [("none", _("from pushes nobody verified")), *Verification.Status.choices],
            _choose_verified,
            leads=lambda words: _find_verified(words) is not None,
        ),
        make_text("platform_result", _("platform's result"), "platform_result", leads=True),
        search_box(search_calls),
    )
}
