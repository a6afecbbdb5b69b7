"""In: models/agents.py. Out: who is on where the platform tells it, in which state, since when."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter, RelatedDropdownFilter

from campaigns.admin.base import (
    CallboardAdmin,
    hide_phones,
    make_badge,
    make_link,
    make_sandbox_badge,
    show_duration,
    show_moment,
    tell_age,
)
from campaigns.admin.contacts import show_result
from campaigns.admin.mirrors import MirrorAdmin
from campaigns.models import Agent, AgentEvent, Call
from campaigns.statistics import AgentDay, list_agent_calls, summarise_agents

STATE_COLORS = {
    "idle": "good",
    "online": "good",
    "talking": "info",
    "ringing": "info",
    "dialling": "info",
    "holding": "info",
    "muted": "info",
    "wrap_up": "busy",
    "busy": "warn",
    "custom": "warn",
    "disconnected": "bad",
    "invalid": "bad",
    "offline": "mute",
    "unknown": "mute",
}
#: states in which nobody is there
OFF = tuple(state for state in Agent.State.values if not Agent(state=state).is_on)
#: what the line above the list counts: a word, its states
SUMMED = (
    (gettext_lazy("On a call"), ("talking", "holding", "muted")),
    (gettext_lazy("Ringing or dialling"), ("ringing", "dialling")),
    (gettext_lazy("Free"), ("idle",)),
    (gettext_lazy("Wrapping up"), ("wrap_up",)),
    (gettext_lazy("On a break"), ("busy",)),
)
KEPT_EVENTS, KEPT_CALLS = 100, 50


class OnFilter(RadioFilter):
    title = gettext_lazy("who is on")
    parameter_name = "on"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("on now")), ("no", _("away"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "yes":
            return queryset.exclude(state__in=OFF)
        if self.value() == "no":
            return queryset.filter(state__in=OFF)
        return queryset


def show_agent_state(state: str, word: str, number: str) -> Any:
    """A badge in our word, the platform's own on hovering; a customer's own state by its name."""
    names: dict[str, Any] = dict(Agent.State.choices)
    theirs = " ".join(part for part in (word, f"({number})" if number else "") if part)
    shown = word if state == Agent.State.CUSTOM and word else names.get(state, state)
    return make_badge(shown, STATE_COLORS.get(state, ""), title=hide_phones(theirs))


def show_age(moment: Any) -> Any:
    """How long ago, the exact time on hovering."""
    return format_html('<span title="{}">{}</span>', show_moment(moment), tell_age(moment))


@admin.register(Agent)
class AgentAdmin(CallboardAdmin):
    read_only = True
    fields = ()
    list_display = (
        "show_name",
        "show_state",
        "show_since",
        "show_logged",
        "show_calls",
        "show_talk",
        "show_account",
    )
    list_select_related = ("account",)
    list_filter = (
        OnFilter,
        ("state", ChoicesDropdownFilter),
        ("account", RelatedDropdownFilter),
    )
    search_fields = ("number", "name")
    search_help_text = gettext_lazy("Name or number")
    change_list_template = "admin/campaigns/agent/change_list.html"
    change_form_template = "admin/campaigns/agent/change_form.html"

    empty_hint = gettext_lazy(
        "Agents appear as soon as a platform tells what one of them does: no list of them is asked"
        " for. Of a platform that has robots alone there are none."
    )

    # ------------------------------------------------------------------------------ the list

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        agents = list(changelist.result_list)
        days = summarise_agents(agents)
        for agent in agents:
            agent.day = days[agent.pk]
        changelist.result_list = agents
        return changelist

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = {"states": self._sum_states(request), "now": timezone.now()}
        return super().changelist_view(request, extra | (extra_context or {}))

    def _sum_states(self, request: HttpRequest) -> list[dict[str, Any]]:
        """How many are in which state, of the account in the address or of all."""
        account = request.GET.get("account__id__exact", "")
        agents = Agent.objects.order_by()
        chosen: dict[str, str] = {}
        if account.isascii() and account.isdigit() and len(account) < 19:
            agents, chosen = agents.filter(account=int(account)), {"account__id__exact": account}
        counts = dict(agents.values_list("state").annotate(n=Count("*")))
        if not counts:
            return []
        on = sum(number for state, number in counts.items() if state not in OFF)
        total = sum(counts.values())
        return [
            {
                "label": _("On now"),
                "value": on,
                "note": _("of %(n)d") % {"n": total},
                "url": "?" + urlencode({"on": "yes", **chosen}),
            },
            *(
                {
                    "label": label,
                    "value": sum(counts.get(state, 0) for state in states),
                    "url": "?" + urlencode({"state__in": ",".join(states), **chosen}),
                }
                for label, states in SUMMED
            ),
        ]

    @admin.display(description=gettext_lazy("agent"), ordering="number")
    def show_name(self, agent: Agent) -> Any:
        number = hide_phones(agent.number)
        if agent.name in ("", agent.number):
            return number
        return format_html('{} <span class="cb-quiet">{}</span>', hide_phones(agent.name), number)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def show_state(self, agent: Agent) -> Any:
        return show_agent_state(agent.state, agent.platform_state_text, agent.platform_state)

    @admin.display(description=gettext_lazy("since"), ordering="since")
    def show_since(self, agent: Agent) -> Any:
        return show_age(agent.since) if agent.since else "–"

    @admin.display(description=gettext_lazy("logged in"), ordering="logged_in_changed_at")
    def show_logged(self, agent: Agent) -> Any:
        if agent.logged_in is None:
            return make_badge(_("not told"), "mute")
        word, color = (_("in"), "good") if agent.logged_in else (_("out"), "mute")
        return format_html("{} {}", make_badge(word, color), show_age(agent.logged_in_changed_at))

    @admin.display(description=gettext_lazy("calls today"))
    def show_calls(self, agent: Any) -> Any:
        day: AgentDay = agent.day
        if not day.calls:
            return "0"
        query = {
            "account__id__exact": agent.account_id,
            "agent": agent.number,
            "happened_at_from": day.day.isoformat(),
        }
        url = f"{reverse('admin:campaigns_call_changelist')}?{urlencode(query)}"
        return format_html('<a class="cb-link" href="{}">{}</a>', url, day.calls)

    @admin.display(description=gettext_lazy("talk time today"))
    def show_talk(self, agent: Any) -> str:
        return show_duration(agent.day.talk_seconds) if agent.day.calls else "–"

    show_account = MirrorAdmin.show_account

    # ------------------------------------------------------------------------------ the page

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        agent: Agent = row
        sees_calls = request.user.has_perm("campaigns.view_call")
        agent.day = summarise_agents([agent])[agent.pk]  # type: ignore[attr-defined]
        events = list(agent.events.all()[:KEPT_EVENTS])
        calls = find_calls(agent, {event.platform_call_id for event in events} - {""})
        now = calls.get(agent.platform_call_id) if agent.is_on else None
        return {
            "row": agent,
            "name": self.show_name(agent),
            "state": self.show_state(agent),
            "since": self.show_since(agent),
            "logged": self.show_logged(agent),
            "now_call": make_link(now, _("the call")) if now and sees_calls else "",
            "day": agent.day,  # type: ignore[attr-defined]
            "calls_today": self.show_calls(agent),
            "talk_today": self.show_talk(agent),
            "sandbox_badge": make_sandbox_badge() if agent.account.is_sandbox else "",
            "moments": [describe_event(event, calls if sees_calls else {}) for event in events],
            "cut": len(events) == KEPT_EVENTS,
            "sees_calls": sees_calls,
            "calls": [
                {
                    "call": call,
                    "result": show_result(call.result, title=hide_phones(call.platform_result_text))
                    if call.stage == Call.Stage.ENDED
                    else make_badge(call.get_stage_display(), "info"),
                    "direction": call.get_direction_display() or "–",
                    "talk": show_duration(call.talk_seconds),
                }
                for call in list_agent_calls(agent)[:KEPT_CALLS]
            ]
            if sees_calls
            else [],
        }


def find_calls(agent: Agent, names: set[str]) -> dict[str, Call]:
    """{the platform's call id: the call} of those we know. One query."""
    names |= {agent.platform_call_id} - {""}
    calls = Call.objects.filter(account=agent.account_id, platform_call_id__in=names)
    return {call.platform_call_id: call for call in calls.only("pk", "platform_call_id")}


def describe_event(event: AgentEvent, calls: dict[str, Call]) -> dict[str, Any]:
    """One line of the time line."""
    call = calls.get(event.platform_call_id)
    logged = {True: _("logged in"), False: _("logged out"), None: ""}[event.logged_in]
    return {
        "at": event.at,
        "state": show_agent_state(event.state, event.platform_state_text, event.platform_state),
        "source": event.source,
        "logged": logged if str(logged) != str(event.get_state_display()) else "",
        "call": make_link(call, _("call")) if call else "",
        "details": [
            (str(hide_phones(name)), hide_phones(value))
            for name, value in sorted(event.details.items())
            if isinstance(value, str | int | float) and value not in ("", None)
        ],
    }
