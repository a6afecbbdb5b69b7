"""In: the address of a list of calls or contacts. Out: the list, by criteria and in keyset pages.

What the list shows, what is exported, and what a bulk job or a re-dial takes are the same rows: all
of them come from ``campaigns.criteria``. An address that cannot be meant is refused with a sentence
and shows nothing, for a list that passes over a filter shows too much.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import IS_POPUP_VAR
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext
from unfold.views import ChangeList

from campaigns.admin import keyset, list_pages
from campaigns.admin.base import EXPORT
from campaigns.criteria import BadCriteria, Criteria, list_criteria, read_criteria

#: parameters of ours that choose no rows
OURS = ("after", "before", "saved")


class CriteriaList(ChangeList):
    """A list without COUNT(*) and without OFFSET."""

    criteria: Criteria
    refusal = ""
    page: keyset.Page

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self._places = {name: request.GET.get(name, "")[:80] for name in OURS}
        super().__init__(request, *args, **kwargs)
        for name in OURS:
            self.params.pop(name, None)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        kept = super().get_filters_params(params)
        return {name: value for name, value in kept.items() if name not in OURS}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        kind = self.model_admin.criteria_kind
        specs = self.get_filters(request)
        self.filter_specs, self.has_filters, remaining, _doubled, self.has_active_filters = specs
        self.clear_all_filters_qs = self.get_query_string(
            new_params=remaining, remove=self.get_filters_params()
        )
        try:
            self.criteria = read_criteria(kind, request.GET)
        except BadCriteria as bad:
            self.criteria, self.refusal = Criteria(kind, {}), str(bad)
            return self.root_queryset.none()
        rows = self.apply_select_related(self.criteria.select(self.root_queryset))
        return rows.order_by(*self.model._meta.ordering)

    def get_results(self, request: HttpRequest) -> None:
        if self.refusal:
            self.page = keyset.Page([], None, None)
        else:
            self.page = keyset.find_page(
                self.queryset,
                self.criteria,
                size=self.list_per_page,
                after=self._places["after"],
                before=self._places["before"],
            )
        self.result_list = self.page.rows
        # what is not known is not said: the templates compare these with the rows of the page
        self.result_count = self.full_result_count = len(self.page.rows)
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = KeysetPaginator(self.page.rows, self.list_per_page)

    def link_to(self, **places: str | None) -> str:
        """The address of this list at another place."""
        return str(self.get_query_string(new_params=dict(places), remove=["p", "e", *OURS]))

    @property
    def newer_url(self) -> str:
        return self.link_to(before=self.page.newer) if self.page.newer else ""

    @property
    def older_url(self) -> str:
        return self.link_to(after=self.page.older) if self.page.older else ""

    @property
    def first_url(self) -> str:
        return self.link_to() if self._places["after"] or self._places["before"] else ""

    @property
    def looked_text(self) -> str:
        """How far one has looked when the time was over."""
        until = self.page.looked_until
        if until is None:
            return ""
        if isinstance(until, int):
            return gettext("Looked through the contacts up to number %(n)s so far.") % {"n": until}
        return gettext("Looked through the calls back to %(moment)s so far.") % {
            "moment": f"{timezone.localtime(until):%Y-%m-%d %H:%M}"
        }

    @property
    def chosen(self) -> list[tuple[str, str]]:
        return self.criteria.describe()

    @property
    def criteria_query(self) -> str:
        return self.criteria.make_query()


class KeysetPaginator(Paginator):
    """For the templates, which ask the list for its links."""

    template_name = "campaigns/list_pages.html"


def _do(page: str, *args: str) -> Callable[..., HttpResponse]:
    """An action of the list: to the page that asks, with the rows that were ticked."""

    def act(admin: Any, request: HttpRequest, _rows: Any) -> HttpResponse:
        ids = request.POST.getlist(ACTION_CHECKBOX_NAME)
        return list_pages.send_chosen(admin, request, page, ids, *args)

    return act


class CriteriaAdminMixin:
    """An admin whose list is one of criteria."""

    #: "calls" or "contacts"
    criteria_kind = ""
    show_full_result_count = False
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CriteriaList]:
        return CriteriaList

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """The criteria say themselves what they know."""
        allowed = super().lookup_allowed(lookup, value, request)  # type: ignore[misc]
        return bool(allowed) or lookup in list_criteria(self.criteria_kind)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view  # type: ignore[attr-defined]
        model = self.criteria_kind.removesuffix("s")
        pages: dict[str, tuple[str, Any]] = {
            "export": ("export/", list_pages.export_page),
            "bulk": ("bulk/<slug:deed_name>/", list_pages.bulk_page),
            "keep": ("keep-filter/", list_pages.keep_filter),
            "drop": ("drop-filter/<int:filter_id>/", list_pages.drop_filter),
        }
        return [
            *(
                path(
                    route,
                    view(partial(list_pages.guard(page), self)),
                    name=f"campaigns_{model}_{name}",
                )
                for name, (route, page) in pages.items()
            ),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """What can be done with the rows that somebody ticked: the same as with all of them."""
        if IS_POPUP_VAR in request.GET or not hasattr(request, "user"):
            return {}
        found = {}
        if request.user.has_perm(EXPORT):
            found["export"] = (_do("export"), "export", gettext("Export…"))
        for deed in list_pages.list_deeds(request, self.criteria_kind):
            found[deed.name] = (_do("bulk", deed.name), deed.name, f"{deed.title}…")
        return found

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        above = list_pages.describe_above(request, self.criteria_kind)
        response: HttpResponse = super().changelist_view(  # type: ignore[misc]
            request, above | (extra_context or {})
        )
        shown = getattr(response, "context_data", None) or {}
        if getattr(shown.get("cl"), "refusal", ""):
            response.status_code = 400
        return response
