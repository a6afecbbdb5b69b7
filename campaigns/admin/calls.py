"""In: models/calls.py, Call. Out: the list of calls and the page of one."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    RelatedDropdownFilter,
)

from campaigns.admin import call_words, unknown_codes, unmatched, verifications
from campaigns.admin.bar_panel import describe_bar, find_phone
from campaigns.admin.base import (
    hide_phones,
    make_badge,
    make_link,
    make_sandbox_badge,
    show_duration,
    show_moment,
)
from campaigns.admin.call_page import describe_call, show_outcome
from campaigns.admin.contacts import RevealingAdmin, show_phone
from campaigns.admin.criteria_filters import make_days, make_filter, make_range
from campaigns.admin.criteria_list import CriteriaAdminMixin
from campaigns.correcting import find_corrections
from campaigns.criteria import CALLS
from campaigns.models import Agent, Call, Recording


@admin.register(Call)
class CallAdmin(CriteriaAdminMixin, RevealingAdmin):
    criteria_kind = CALLS
    empty_hint = gettext_lazy(
        "Calls appear by themselves as the platform reports them, once a task is launched or the"
        " platform has our address."
    )
    fields = ()
    list_display = (
        "show_time",
        "show_number",
        "show_result",
        "show_words",
        "show_talk",
        "show_intention",
        "show_agent",
        "show_marks",
        "show_task",
    )
    list_select_related = ("task", "account")
    list_filter = (
        make_filter(CALLS, "result__exact"),
        make_filter(CALLS, "intention"),
        ("task", AutocompleteSelectFilter),
        make_days(CALLS, "happened_at", gettext_lazy("time")),
        make_range(CALLS, "talk", gettext_lazy("talk time (seconds)")),
        make_filter(CALLS, "node"),
        make_range(CALLS, "attempts", gettext_lazy("calls made to the contact")),
        make_filter(CALLS, "not_called_since"),
        ("account", RelatedDropdownFilter),
        make_filter(CALLS, "platform"),
        make_filter(CALLS, "direction__exact"),
        make_filter(CALLS, "answered__exact"),
        make_filter(CALLS, "stage"),
        make_filter(CALLS, "dialog"),
        make_filter(CALLS, "recording"),
        make_filter(CALLS, "agent"),
        make_filter(CALLS, "right_intention"),
        make_filter(CALLS, "corrected"),
        make_filter(CALLS, "remarks"),
        make_filter(CALLS, "verification"),
        make_filter(CALLS, "platform_result"),
    )
    search_fields = ("platform_call_id",)
    search_help_text = gettext_lazy("A phone number in any form, a call id or a relation id")
    change_form_template = "admin/campaigns/call/change_form.html"
    list_before_template = "campaigns/calls_above.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path(
                "unknown-codes/",
                view(partial(unknown_codes.list_page, self)),
                name="campaigns_call_unknown_codes",
            ),
            path(
                "of-nobody/",
                view(partial(unmatched.list_page, self)),
                name="campaigns_call_unmatched",
            ),
            path(
                "unknown-codes/<slug:platform>/read-again/",
                view(partial(unknown_codes.read_again, self)),
                name="campaigns_call_read_again",
            ),
            path(
                "<path:object_id>/correct/",
                view(partial(call_words.correct, self)),
                name="campaigns_call_correct",
            ),
            path(
                "<path:object_id>/remark/",
                view(partial(call_words.remark, self)),
                name="campaigns_call_remark",
            ),
            path(
                "verification/<int:push_id>/ask/",
                view(partial(verifications.ask_platform, self)),
                name="campaigns_verification_ask",
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        stored = Recording.objects.filter(call=OuterRef("pk"))
        return super().get_queryset(request).annotate(has_recording=Exists(stored))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The agents of the page are looked up at once, for the links to them."""
        changelist = super().get_changelist_instance(request)
        told = {(call.account_id, call.agent_number) for call in changelist.result_list}
        wanted = Agent.objects.filter(
            account__in={account for account, _number in told},
            number__in={number for _account, number in told if number},
        )
        agents = {(agent.account_id, agent.number): agent for agent in wanted}
        for call in changelist.result_list:
            call.agent = agents.get((call.account_id, call.agent_number))
        corrected = find_corrections(call.pk for call in changelist.result_list)
        for call in changelist.result_list:
            call.correction = corrected.get(call.pk)
        return changelist

    @admin.display(description=gettext_lazy("time"))
    def show_time(self, call: Call) -> Any:
        day, _space, clock = show_moment(call.happened_at).partition(" ")
        return format_html(
            '<span class="cb-nowrap">{}</span> <span class="cb-nowrap">{}</span>', day, clock
        )

    @admin.display(description=gettext_lazy("number"))
    def show_number(self, call: Call) -> Any:
        if call.direction == Call.Direction.INBOUND:
            number = show_phone(call, call.caller)
            return format_html('<span class="cb-nowrap">↙ {}</span>', number or "–")
        return show_phone(call, call.callee) or "–"

    @admin.display(description=gettext_lazy("result"))
    def show_result(self, call: Call) -> Any:
        return show_outcome(call)

    @admin.display(description=gettext_lazy("platform's words"))
    def show_words(self, call: Call) -> Any:
        """The platform's own word, its code where it has no words."""
        text = str(hide_phones(call.platform_result_text or call.platform_result))
        return format_html('<span class="cb-words" title="{}">{}</span>', text, text or "–")

    @admin.display(description=gettext_lazy("agent"))
    def show_agent(self, call: Any) -> Any:
        return show_agent(call, getattr(call, "agent", None))

    @admin.display(description=gettext_lazy("intention"))
    def show_intention(self, call: Any) -> Any:
        """The platform's word; where somebody corrected it, theirs behind it."""
        held = getattr(call, "correction", None)
        if held is None:
            return call.intention or "–"
        title = _("corrected by %(who)s") % {"who": held.by or "–"}
        right = make_badge(held.intention or "–", "good", title=title)
        return format_html("<s>{}</s> {}", call.intention or "–", right)

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
            '<span class="cb-nowrap">{}</span>',
            format_html("".join("{}" for _mark in marks), *(make_icon(*mark) for mark in marks))
            if marks
            else "–",
        )

    @admin.display(description=gettext_lazy("task or account"))
    def show_task(self, call: Call) -> Any:
        of = make_link(call.task) if call.task else call.account.name
        if call.account.is_sandbox:
            return format_html("{} {}", of, make_sandbox_badge(short=True))
        return of

    def describe(self, request: HttpRequest, row: Call) -> dict[str, Any]:
        agents = Agent.objects.filter(account=row.account_id, number=row.agent_number)
        agent = agents.first() if row.agent_number else None
        return {
            "number": self.show_number(row),
            "result": self.show_result(row),
            "agent": show_agent(row, agent) if row.agent_number or row.agent_name else "",
            **describe_call(request, row),
            **verifications.describe_verifications(request, row),
            **describe_bar(
                request, account=row.account, phone=find_phone(row), of=f"call={row.pk}"
            ),
        }


def show_agent(call: Call, agent: Agent | None) -> Any:
    """Who of the platform's people had the call, with a link where we know more of them."""
    named = call.agent_name or (agent.name if agent else "") or call.agent_number
    if not named:
        return "–"
    text, number = str(hide_phones(named)), str(hide_phones(call.agent_number))
    if agent is not None:
        return make_link(agent, text)
    return format_html('<span title="{}">{}</span>', number, text)


def make_icon(name: str, title: str) -> Any:
    return format_html(
        '<span class="material-symbols-outlined cb-icon" title="{}">{}</span>', title, name
    )
