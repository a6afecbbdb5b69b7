"""In: what somebody looks for among calls. Out: the filters of the list, each led by an index."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import DropdownFilter, RadioFilter, TextFilter

from campaigns.models import Account, Agent, Call, Verification
from campaigns.platforms.registry import PLATFORMS


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


class PlatformResultFilter(TextFilter):
    title = gettext_lazy("platform's result")
    parameter_name = "platform_result"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(platform_result=self.value()) if self.value() else queryset


class PlatformFilter(DropdownFilter):
    """Across accounts. The accounts are few and looked up first: the index begins with them."""

    title = gettext_lazy("platform")
    parameter_name = "platform"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return [(platform.slug, platform.name) for platform in PLATFORMS.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        accounts = Account.objects.filter(platform=self.value())
        return queryset.filter(account__in=list(accounts.values_list("pk", flat=True)))


class AgentFilter(TextFilter):
    """By number or name, of all accounts: the index begins with the account and the number."""

    title = gettext_lazy("agent")
    parameter_name = "agent"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        word = str(self.value() or "").strip()[:100]
        if not word:
            return queryset
        named = Agent.objects.filter(name=word).values_list("number", flat=True)[:100]
        accounts = list(Account.objects.values_list("pk", flat=True))
        return queryset.filter(account__in=accounts, agent_number__in=[word, *named])


class StageFilter(DropdownFilter):
    title = gettext_lazy("stage")
    parameter_name = "stage"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return [("now", _("going on")), *Call.Stage.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        if self.value() == Call.Stage.ENDED:
            return queryset.filter(stage=Call.Stage.ENDED)
        # said as in the partial index of the few calls that are going on
        now = queryset.filter(~Q(stage=Call.Stage.ENDED))
        return now if self.value() == "now" else now.filter(stage=self.value())


class VerificationFilter(DropdownFilter):
    title = gettext_lazy("verification")
    parameter_name = "verification"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return [("none", _("from pushes nobody verified")), *Verification.Status.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        pushes = Verification.objects.filter(call=OuterRef("pk"))
        if self.value() == "none":
            verified = pushes.filter(status=Verification.Status.VERIFIED)
            return queryset.filter(Exists(pushes), ~Exists(verified))
        return queryset.filter(Exists(pushes.filter(status=self.value())))
