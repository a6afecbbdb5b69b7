"""In: a call and who looks at it. Out: everything its page shows beside its recordings' sound."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _

from campaigns.admin.base import (
    hide_phones,
    make_badge,
    make_sandbox_badge,
    show_duration,
    show_moment,
    tell_age,
)
from campaigns.admin.call_details import describe_details
from campaigns.admin.call_sound import describe_sound, find_moment
from campaigns.admin.call_words import describe_words
from campaigns.admin.contacts import show_phone, show_result
from campaigns.admin.recordings import FETCH, describe_recording
from campaigns.contradictions import list_contradictions
from campaigns.models import Call, InboundAnswer, Turn
from campaigns.wording import tell_problem

#: a call that is going on and of which nothing was heard for so long may have ended unheard
QUIET_AFTER = {
    Call.Stage.DIALLING: timedelta(minutes=5),
    Call.Stage.RINGING: timedelta(minutes=5),
    Call.Stage.TALKING: timedelta(hours=1),
}
#: calls of the same contact shown on the page of one
SHOWN_CALLS = 30
#: questions of the platform shown with it
SHOWN_QUESTIONS = 20


def is_going_on(call: Call) -> bool:
    return call.stage != Call.Stage.ENDED


def find_stage_begin(call: Call) -> Any:
    """Since when the call is in its stage, as far as it was said."""
    times = {
        Call.Stage.DIALLING: call.dialed_at,
        Call.Stage.RINGING: call.ringing_at,
        Call.Stage.TALKING: call.answered_at,
    }
    return times.get(Call.Stage(call.stage)) or call.happened_at


def is_quiet(call: Call) -> bool:
    """Whether a call that seems to go on was not heard of for long."""
    wait = QUIET_AFTER.get(Call.Stage(call.stage)) if is_going_on(call) else None
    return wait is not None and call.updated_at < timezone.now() - wait


def show_outcome(call: Call) -> Any:
    """How the call ended; of one that is going on, how far it is and since when."""
    if not is_going_on(call):
        return show_result(call.result, title=str(hide_phones(call.platform_result_text)))
    names = {
        Call.Stage.DIALLING: _("dialling…"),
        Call.Stage.RINGING: _("ringing…"),
        Call.Stage.TALKING: _("talking…"),
    }
    begin = find_stage_begin(call)
    quiet = is_quiet(call)
    badge = make_badge(
        names[Call.Stage(call.stage)], "mute" if quiet else "info", title=show_moment(begin)
    )
    if quiet:
        heard = _("last news %(age)s") % {"age": tell_age(call.updated_at)}
        return format_html(
            '{} <span class="cb-quiet cb-nowrap" title="{}">{}</span>',
            badge,
            show_moment(call.updated_at),
            heard,
        )
    return format_html('{} <span class="cb-quiet cb-nowrap">{}</span>', badge, tell_age(begin))


def name_recording(call: Call, address: str) -> str:
    """Which of a call's sound files this is: the platform's fields that hold its address."""
    return " · ".join(name for name, value in sorted(call.details.items()) if value == address)


def describe_call(request: HttpRequest, row: Call) -> dict[str, Any]:
    turns = list(row.turns.order_by("position"))
    whole = getattr(row, "revealed", False)
    receipts = reverse("admin:callbacks_receipt_changelist")
    of_call = {
        "account__id__exact": row.account_id,
        "platform_call_id__exact": row.platform_call_id,
    }
    recordings = [
        describe_recording(one, may_fetch=request.user.has_perm(FETCH))
        | {"label": name_recording(row, one.address)}
        for one in row.recordings.order_by("id")
    ]
    sound, seconds = describe_sound(row, turns, heard=any(one["audio"] for one in recordings))
    return {
        "caller": show_phone(row, row.caller),
        "callee": show_phone(row, row.callee),
        "going_on": is_going_on(row),
        "quiet": tell_age(row.updated_at) if is_quiet(row) else "",
        "platform_words": str(hide_phones(row.platform_result_text)),
        "talk": show_duration(row.talk_seconds),
        "ring": show_duration(row.ring_seconds),
        "wait": show_duration(row.wait_seconds) if row.wait_seconds is not None else "",
        "recordings": recordings,
        "sound": sound,
        "turns": [
            describe_turn(turn, whole=whole, second=second)
            for turn, second in zip(turns, seconds, strict=True)
        ],
        **describe_words(request, row, whole=whole),
        "path": list_path(turns, whole=whole),
        "told": describe_details(row, whole=whole),
        "attempts": list_attempts(row),
        "times": [
            (name, value)
            for name, value in (
                (_("Dialled"), row.dialed_at),
                (_("Ringing since"), row.ringing_at),
                (_("Picked up"), row.answered_at),
                (_("Ended"), row.ended_at),
            )
            if value
        ],
        "platform_ids": list_platform_ids(row, whole=whole),
        # some take the number itself for it: then it stands in no address either
        "relation": show_words(row.relation_id, whole=whole),
        "conflicts": list_conflicts(row, whole=whole),
        "problems": [(field, tell_problem(why)) for field, why in sorted(row.problems.items())],
        "raw": print_json({"details": row.details, "evidence": row.evidence}, whole=whole),
        "questions": list_questions(row, whole=whole),
        "receipts_url": f"{receipts}?{urlencode(of_call)}",
        "receipts": list(
            row.account.receipts.filter(platform_call_id=row.platform_call_id)
            .defer("body")
            .order_by("id")[:20]
        )
        if row.platform_call_id
        else [],
        "sandbox_badge": make_sandbox_badge() if row.account.is_sandbox else "",
    }


def list_questions(call: Call, *, whole: bool) -> list[dict[str, Any]]:
    """What the platform asked about the call, and what it was answered; by the relation id where
    the question had no other."""
    of_call = Q(platform_call_id=call.platform_call_id)
    if call.relation_id:
        of_call |= Q(platform_call_id="", relation_id=call.relation_id)
    asked = InboundAnswer.objects.filter(of_call, account=call.account_id)
    return [
        {"row": one, "answer": show_words(one.answer, whole=whole)[:300]}
        for one in asked.order_by("id")[:SHOWN_QUESTIONS]
    ]


def list_platform_ids(call: Call, *, whole: bool) -> list[tuple[str, str]]:
    """What the platform calls the task, the robot and the contact of the call, as far as it said.
    A vendor may use a number called as the id of a contact."""
    named = (
        (_("Task id there"), call.platform_task_id),
        (_("Robot id there"), call.platform_robot_id),
        (_("Contact id there"), call.platform_contact_id),
    )
    return [(name, show_words(text, whole=whole)) for name, text in named if text]


def list_attempts(call: Call) -> list[dict[str, Any]]:
    """The calls of the same contact in the order they were made, when there are several."""
    calls = list(find_calls_of_contact(call).order_by("happened_at", "id")[:SHOWN_CALLS])
    if len(calls) < 2:
        return []
    return [
        {
            "call": one,
            "this": one.pk == call.pk,
            "result": show_outcome(one),
            "talk": show_duration(one.talk_seconds),
            "number": show_phone(call, one.callee),
        }
        for one in calls
    ]


def find_calls_of_contact(call: Call) -> QuerySet[Call]:
    """By our contact; without one, by what the platform calls theirs within one of its tasks."""
    calls = Call.objects.defer("evidence", "details")
    if call.contact_id:
        return calls.filter(contact=call.contact_id)
    if call.platform_contact_id:
        return calls.filter(
            account=call.account_id,
            contact=None,
            platform_contact_id=call.platform_contact_id,
            platform_task_id=call.platform_task_id,
        )
    return calls.none()


def show_words(text: str, *, whole: bool) -> str:
    """What was said, its phone numbers masked unless the whole ones were asked for."""
    return text if whole else str(hide_phones(text))


def list_path(turns: list[Turn], *, whole: bool) -> list[dict[str, Any]]:
    """The names of the nodes in the order they were passed, repetitions folded, each with the place
    of its first turn."""
    path: list[dict[str, Any]] = []
    last = ""
    for place, turn in enumerate(turns, 1):
        name = turn.node_name or turn.node_id
        if name and name != last:
            path.append({"name": show_words(name, whole=whole), "turn": place})
        last = name or last
    return path


def describe_turn(turn: Turn, *, whole: bool, second: str = "") -> dict[str, Any]:
    """One turn; the words in it may hold numbers that were spoken. ``second`` is its place in the
    sound, nothing where that is not known."""
    return {
        "turn": turn,
        "at": find_moment(turn),
        "second": second,
        "place": show_duration(int(float(second))) if second else "",
        "hits": list_hits(turn, whole=whole),
        **{
            name: show_words(getattr(turn, name), whole=whole)
            for name in ("text", "node_name", "intention_text", "label")
        },
    }


def list_hits(turn: Turn, *, whole: bool) -> list[dict[str, Any]]:
    """What the script took the contact's words for, whatever the vendor's shape: the words and
    whether they were chosen, the chosen ones first."""
    hits = []
    for hit in turn.hits if isinstance(turn.hits, list) else []:
        words = hit.get("hit") or hit.get("name") if isinstance(hit, dict) else hit
        if words:
            picked = isinstance(hit, dict) and hit.get("pick") is True
            hits.append({"text": show_words(str(words), whole=whole)[:120], "picked": picked})
    return sorted(hits, key=lambda one: not one["picked"])[:8]


def list_conflicts(call: Call, *, whole: bool) -> list[tuple[str, list[dict[str, Any]]]]:
    """(field, who said what in which push) of the fields about which the platform contradicts
    itself; the statement that is believed first."""
    return [
        (
            field,
            [
                {
                    "source": one.source,
                    "value": show_words(_tell_statement(field, one.value), whole=whole)[:500],
                    "believed": one.believed,
                    "sources": one.sources[:10],
                }
                for one in statements
            ],
        )
        for field, statements in list_contradictions(call)
    ]


def _tell_statement(field: str, value: Any) -> str:
    return tell_problem(str(value)) if field == "dialog" else str(value)


def print_json(value: Any, *, whole: bool) -> str:
    return json.dumps(
        value if whole else hide_phones(value), ensure_ascii=False, indent=1, sort_keys=True
    )
