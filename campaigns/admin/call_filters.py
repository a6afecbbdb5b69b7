"""In: the platforms. Out: a filter by platform, for lists of rows that have an account."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import DropdownFilter

from campaigns.models import Account
from campaigns.platforms.registry import PLATFORMS


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
