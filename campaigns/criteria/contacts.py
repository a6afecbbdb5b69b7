"""In: the parameters of the list of contacts. Out: what each of them chooses."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from campaigns.criteria.calls import (
    NO_INTENTION,
    choose_family,
    choose_intentions,
    make_steps,
    name_account,
    name_robot,
    name_task,
    reach_node,
    search_box,
)
from campaigns.criteria.search import search_contacts
from campaigns.criteria.values import (
    Criterion,
    make_choice,
    make_count,
    make_flag,
    make_id,
    make_moment,
    make_text,
    make_yes_no,
)
from campaigns.models import Call, Contact, Correction

#: the longest reason that is still one of ours
MAX_REASON = 300


def _have_call(rows: QuerySet[Any], chosen: Q) -> QuerySet[Any]:
    return rows.filter(Exists(Call.objects.filter(chosen, contact=OuterRef("pk"))))


def _choose_right_intentions(rows: QuerySet[Any], words: list[str]) -> QuerySet[Any]:
    """By what a person said of the call that the contact's intention is read from, where somebody
    did; by the platform's word elsewhere. Of several calls that tell one it is the same that
    ``linking`` believes: who picked up, then the last attempt, then the newest."""
    wanted = ["" if word == NO_INTENTION else word for word in words]
    heard = Correction.objects.filter(withdrawn_at=None)
    told = Q(has_record=True) & ~Q(intention="")
    surer = (
        Call.objects.filter(
            told | Exists(heard.filter(call=OuterRef("pk"))), contact=OuterRef("call__contact")
        )
        .exclude(direction=Call.Direction.INBOUND)
        .alias(picked_up=Coalesce("answered", False), try_number=Coalesce("attempt", 0))
        .filter(
            _exceed(
                ("picked_up", Coalesce(OuterRef("call__answered"), False)),
                ("try_number", Coalesce(OuterRef("call__attempt"), 0)),
                ("happened_at", OuterRef("call__happened_at")),
                ("platform_call_id", OuterRef("call__platform_call_id")),
            )
        )
    )
    held = heard.filter(~Exists(surer), call__contact=OuterRef("pk"))
    by_platform = Q(intention__in=wanted) & ~Q(Exists(held))
    return rows.filter(by_platform | Q(Exists(held.filter(intention__in=wanted))))


def _exceed(*pairs: tuple[str, Any]) -> Q:
    """That these fields are greater than these values, the first that differ deciding."""
    (name, value), *rest = pairs
    more = Q(**{f"{name}__gt": value})
    return more | Q(**{name: value}) & _exceed(*rest) if rest else more


def _read_reason(values: list[str]) -> str:
    return values[-1][:MAX_REASON].replace("\x00", "")


CONTACT_CRITERIA: dict[str, Criterion] = {
    one.name: one
    for one in (
        make_id("id__in", _("chosen rows"), "pk", leads=True),
        make_id("task__id__exact", _("task"), "task", name_of=name_task),
        make_id("family", _("family of tasks"), choose_family, name_of=name_task),
        make_count("round", _("round"), lambda rows, number: rows.filter(round=number)),
        make_id("account__id__exact", _("account"), "account", name_of=name_account),
        make_id("robot__id__exact", _("robot"), "task__robot", name_of=name_robot),
        make_choice("status__exact", _("status"), Contact.Status.choices, "status"),
        Criterion(
            "reason__exact",
            _("reason"),
            _read_reason,
            lambda rows, value: rows.filter(reason=value),
        ),
        *make_steps("contacts"),
        make_choice("result", _("result"), Call.Result.choices, "result"),
        make_text("intention", _("intention"), choose_intentions),
        make_text("right_intention", _("right intention"), _choose_right_intentions),
        make_yes_no(
            "called",
            _("called"),
            lambda rows, _value: rows.filter(calls_made__gt=0),
            lambda rows, _value: rows.filter(calls_made=0),
            words={"yes": _("at least once"), "no": _("not yet")},
        ),
        make_flag("answered__exact", _("answered"), "answered"),
        make_count(
            "attempts_from",
            _("calls made, from"),
            lambda rows, number: rows.filter(calls_made__gte=number),
        ),
        make_count(
            "attempts_to",
            _("calls made, to"),
            lambda rows, number: rows.filter(calls_made__lte=number),
        ),
        make_moment(
            "not_called_since",
            _("not called since"),
            lambda rows, moment: rows.filter(
                Q(last_call_at__lt=moment) | Q(last_call_at__isnull=True)
            ),
        ),
        make_moment(
            "last_call_at_from",
            _("last call from"),
            lambda rows, moment: rows.filter(last_call_at__gte=moment),
        ),
        make_moment(
            "last_call_at_to",
            _("last call to"),
            lambda rows, moment: rows.filter(last_call_at__lt=moment),
            until=True,
        ),
        make_count(
            "talk_from",
            _("a call with talk time from (seconds)"),
            lambda rows, seconds: _have_call(rows, Q(talk_seconds__gte=seconds)),
            of_call=lambda value: Q(talk_seconds__gte=int(value)),
        ),
        make_count(
            "talk_to",
            _("a call with talk time to (seconds)"),
            lambda rows, seconds: _have_call(rows, Q(talk_seconds__lte=seconds)),
            of_call=lambda value: Q(talk_seconds__lte=int(value)),
        ),
        make_text(
            "node",
            _("a call that reached the node"),
            lambda rows, words: _have_call(rows, reach_node(words)),
            of_call=reach_node,
        ),
        make_id("source__id__exact", _("import"), "source", leads=True),
        make_id("batch__id__exact", _("batch"), "batch", leads=True),
        search_box(search_contacts),
    )
}
