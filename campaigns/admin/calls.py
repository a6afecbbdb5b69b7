"""In: models/calls.py, Call and Turn. Out: the list of calls and the page of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    BooleanRadioFilter,
    ChoicesDropdownFilter,
    RadioFilter,
    RelatedDropdownFilter,
    TextFilter,
)

from campaigns.admin.base import (
    DaysFilter,
    InfinitePaginator,
    hide_phones,
    make_link,
    make_sandbox_badge,
    show_duration,
    show_moment,
)
from campaigns.admin.contacts import RevealingAdmin, show_phone, show_result
from campaigns.admin.recordings import FETCH, describe_recording
from campaigns.models import Account, Call, Recording, Turn
from campaigns.phones import search_forms
from campaigns.wording import tell_problem


class DialogFilter(RadioFilter):
    title = gettext_lazy("dialog")
    parameter_name = "dialog"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return [("yes", _("with dialog")), ("no", _("without"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "yes":
            return queryset.filter(turns_count__gt=0)
        if self.value() == "no":
            return queryset.filter(turns_count=0)
        return queryset


class IntentionFilter(TextFilter):
    title = gettext_lazy("intention")
    parameter_name = "intention"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(intention=self.value()) if self.value() else queryset


@admin.register(Call)
class CallAdmin(RevealingAdmin):
    empty_hint = gettext_lazy(
        "Calls appear by themselves as the platform reports them, once a task is launched."
    )
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_time",
        "show_number",
        "show_result",
        "platform_result_text",
        "show_talk",
        "intention",
        "show_marks",
        "show_task",
    )
    list_select_related = ("task", "account")
    list_filter = (
        ("result", ChoicesDropdownFilter),
        IntentionFilter,
        ("direction", ChoicesDropdownFilter),
        ("answered", BooleanRadioFilter),
        DialogFilter,
        ("happened_at", DaysFilter),
        ("task", AutocompleteSelectFilter),
        ("account", RelatedDropdownFilter),
    )
    sortable_by = ()
    search_fields = ("platform_call_id",)
    search_help_text = gettext_lazy("A phone number in any form, a call id or a relation id")
    change_form_template = "admin/campaigns/call/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        stored = Recording.objects.filter(call=OuterRef("pk"))
        return super().get_queryset(request).annotate(has_recording=Exists(stored))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()[:200]
        if not term:
            return queryset, False
        numbers = [term, *search_forms(term)]
        found = queryset.filter(
            # the index begins with the account
            Q(account__in=list(Account.objects.values_list("pk", flat=True)), platform_call_id=term)
            | Q(callee__in=numbers)
            | Q(caller__in=numbers)
        )
        if found.exists():
            return found, False
        return queryset.filter(relation_id=term), False

    @admin.display(description=gettext_lazy("time"))
    def show_time(self, call: Call) -> Any:
        return show_moment(call.happened_at)

    @admin.display(description=gettext_lazy("number"))
    def show_number(self, call: Call) -> Any:
        if call.direction == Call.Direction.INBOUND:
            return format_html("↙ {}", show_phone(call, call.caller))
        return show_phone(call, call.callee) or "–"

    @admin.display(description=gettext_lazy("result"))
    def show_result(self, call: Call) -> Any:
        return show_result(call.result, title=call.platform_result_text)

    @admin.display(description=gettext_lazy("talk time"))
    def show_talk(self, call: Call) -> str:
        return show_duration(call.talk_seconds)

    @admin.display(description=gettext_lazy("has"))
    def show_marks(self, call: Any) -> Any:
        marks = []
        if call.has_recording:
            marks.append(("graphic_eq", _("recording")))
        if call.turns_count:
            marks.append(("forum", _("dialog")))
        if call.conflicts or call.problems:
            marks.append(("warning", _("contradictions or unusable fields")))
        return format_html(
            "{}",
            format_html("".join("{}" for _mark in marks), *(make_icon(*mark) for mark in marks))
            if marks
            else "–",
        )

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, call: Call) -> Any:
        if call.account.is_sandbox:
            return format_html("{} {}", make_link(call.task), make_sandbox_badge(short=True))
        return make_link(call.task)

    def describe(self, request: HttpRequest, row: Call) -> dict[str, Any]:
        turns = list(row.turns.order_by("position"))
        whole = getattr(row, "revealed", False)
        receipts = reverse("admin:callbacks_receipt_changelist")
        return {
            "number": self.show_number(row),
            "caller": show_phone(row, row.caller),
            "callee": show_phone(row, row.callee),
            "result": self.show_result(row),
            "talk": show_duration(row.talk_seconds),
            "ring": show_duration(row.ring_seconds),
            "recordings": [
                describe_recording(one, may_fetch=request.user.has_perm(FETCH))
                for one in row.recordings.all()
            ],
            "turns": [describe_turn(turn, whole=whole) for turn in turns],
            "path": list_path(turns, whole=whole),
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
            "conflicts": list_conflicts(row, whole=whole),
            "problems": [(field, tell_problem(why)) for field, why in sorted(row.problems.items())],
            "raw": print_json(
                {"details": row.details, "evidence": row.evidence},
                whole=whole,
            ),
            "receipts_url": (
                f"{receipts}?account__id__exact={row.account_id}"
                f"&platform_call_id__exact={row.platform_call_id}"
            ),
            "receipts": list(
                row.account.receipts.filter(platform_call_id=row.platform_call_id)
                .defer("body")
                .order_by("id")[:20]
            )
            if row.platform_call_id
            else [],
            "sandbox_badge": make_sandbox_badge() if row.account.is_sandbox else "",
        }


def make_icon(name: str, title: str) -> Any:
    return format_html(
        '<span class="material-symbols-outlined cb-icon" title="{}">{}</span>', title, name
    )


def show_words(text: str, *, whole: bool) -> str:
    """What was said, its phone numbers masked unless the whole ones were asked for."""
    return text if whole else str(hide_phones(text))


def list_path(turns: list[Turn], *, whole: bool) -> list[str]:
    """The names of the nodes in the order they were passed, repetitions folded."""
    path: list[str] = []
    for turn in turns:
        name = turn.node_name or turn.node_id
        if name and (not path or path[-1] != name):
            path.append(name)
    return [show_words(name, whole=whole) for name in path]


def describe_turn(turn: Turn, *, whole: bool) -> dict[str, Any]:
    """One turn; the words in it may hold numbers that were spoken."""
    return {
        "turn": turn,
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


def list_conflicts(call: Call, *, whole: bool) -> list[tuple[str, str]]:
    """(field, who said what) of the fields about which the platform contradicts itself."""
    rows = []
    for field, statements in dict(call.conflicts).items():
        tell: Callable[[str], str] = tell_problem if field == "dialog" else str
        said = [
            f"{item.get('source', '?')}: {tell(str(item.get('value')))}"
            if isinstance(item, dict)
            else item
            for item in (statements if isinstance(statements, list) else [statements])
        ]
        rows.append((field, show_words(" · ".join(str(one) for one in said), whole=whole)[:500]))
    return rows


def print_json(value: Any, *, whole: bool) -> str:
    return json.dumps(
        value if whole else hide_phones(value), ensure_ascii=False, indent=1, sort_keys=True
    )
