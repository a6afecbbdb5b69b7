"""In: models/reviews.py, ReviewRule. Out: the list of rules, the form of one, and drawing now."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from campaigns.admin.barring_forms import DayInput
from campaigns.admin.base import CallboardAdmin, make_badge, tell_age
from campaigns.criteria import CALLS, BadCriteria, Criteria, read_criteria
from campaigns.jobs import enqueue_drawing
from campaigns.models import Call, ReviewRule

CHANGE = "campaigns.change_reviewrule"
#: the parameters that have a field of their own in the form
OWN = ("result__exact", "intention", "talk_from", "talk_to")
_BETWEEN = re.compile(r"\s*[,，、;；]\s*")
#: calls of a rule that wait are counted to here
COUNTED = 1000


class ReviewRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """The usual criteria have fields; whatever else the list of calls can choose by is pasted."""

    result = forms.MultipleChoiceField(
        label=gettext_lazy("Result"),
        choices=Call.Result.choices,
        required=False,
        widget=UnfoldAdminSelectMultipleWidget(),
        help_text=gettext_lazy("None chosen: every result."),
    )
    intention = forms.CharField(
        label=gettext_lazy("Intention"),
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("By the platform; several with commas between them."),
    )
    talk_from = forms.IntegerField(
        label=gettext_lazy("Talk time from (seconds)"),
        min_value=0,
        max_value=86_400,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    talk_to = forms.IntegerField(
        label=gettext_lazy("Talk time to (seconds)"),
        min_value=0,
        max_value=86_400,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    query = forms.CharField(
        label=gettext_lazy("Further criteria"),
        max_length=2000,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"class": "max-w-2xl", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "Filter the list of calls, and paste its address here. The fields above win."
        ),
    )

    class Meta:
        model = ReviewRule
        fields = ("name", "is_active", "robots", "percent", "per_day", "second_percent", "since")
        widgets = {
            "name": UnfoldAdminTextInputWidget(),
            "is_active": UnfoldBooleanSwitchWidget(),
            "since": DayInput(),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        params = dict(self.instance.criteria)
        results = params.pop("result__exact", [])
        self.initial |= {
            "result": results if isinstance(results, list) else [results],
            **{name: _join(params.pop(name)) for name in OWN[1:] if name in params},
            **({"query": Criteria(CALLS, params).make_query()} if params else {}),
        }
        if self.instance.percent is not None:  # 100, not 100.00
            self.initial["percent"] = f"{self.instance.percent.normalize():f}"

    def clean_query(self) -> str:
        """The part after the question mark, of whatever was pasted."""
        text = str(self.cleaned_data["query"]).strip()
        return urlsplit(text).query if "?" in text else text

    def clean_since(self) -> Any:
        day = self.cleaned_data["since"]
        if not 2000 <= day.year <= 2100:
            raise forms.ValidationError(_("It is no day of this century."))
        return day

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if {"percent", "per_day"} <= data.keys() and bool(data["percent"]) == bool(data["per_day"]):
            raise forms.ValidationError(_("Give either a share, or a number of calls per day."))
        asked = QueryDict(data.get("query", ""))
        params: dict[str, Any] = {name: asked.getlist(name) for name in asked}
        own = {name: data.get(name) for name in OWN[1:]} | {"result__exact": data.get("result")}
        own["intention"] = _BETWEEN.split(data.get("intention", "")) if own["intention"] else []
        for name, value in own.items():
            if value not in (None, "", []):
                params[name] = value if isinstance(value, list) else [str(value)]
        try:
            self.instance.criteria = read_criteria(CALLS, params).params
        except BadCriteria as bad:
            raise forms.ValidationError(str(bad)) from None
        return data


def _join(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def describe_criteria(rule: ReviewRule) -> list[tuple[str, str]]:
    """What a rule chooses by, in words; nothing where it is not understood any more."""
    try:
        return read_criteria(CALLS, rule.criteria).describe()
    except BadCriteria:
        return []


@admin.register(ReviewRule)
class ReviewRuleAdmin(CallboardAdmin):
    empty_hint = gettext_lazy("A rule draws calls at random, for people to listen to.")
    form = ReviewRuleForm
    list_display = ("name", "show_active", "show_which", "show_share", "show_waiting", "show_drawn")
    sortable_by = ()
    autocomplete_fields = ("robots",)
    change_form_template = "admin/campaigns/reviewrule/change_form.html"
    list_before_template = "campaigns/review_rules_above.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        draw = path("<path:object_id>/draw/", view(self.draw_now), name="campaigns_reviewrule_draw")
        return [draw, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        calls = ("robots", "result", "intention", ("talk_from", "talk_to"), "query")
        number = (("percent", "per_day"), "second_percent", "since")
        return [
            (None, {"fields": (("name", "is_active"),)}),
            (_("Which calls"), {"fields": calls}),
            (
                _("How many of them"),
                {"fields": number},
            ),
        ]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """From the list of calls one comes with its filter."""
        return {"query": request.GET.get("query", "")[:2000]}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "rule": row,
            "chosen": describe_criteria(row),
            "problem": _(row.problem) if row.problem else "",
            "may_draw": request.user.has_perm(CHANGE) and row.is_active,
            "drawn": tell_age(row.drawn_at),
        }

    def draw_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Do not wait for the next five minutes."""
        if request.method != "POST":
            return HttpResponse(status=405)
        rule = self.find_row(request, object_id)
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        if rule.is_active:
            enqueue_drawing(rule.pk)
            messages.success(request, _("Calls are being drawn; they appear in the queue."))
        else:
            messages.info(request, _("The rule is not active: nothing is drawn."))
        return redirect("admin:campaigns_reviewrule_change", rule.pk)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReviewRule]:
        return super().get_queryset(request).prefetch_related("robots")

    @admin.display(description=gettext_lazy("active"))
    def show_active(self, rule: ReviewRule) -> Any:
        if rule.problem:
            return make_badge(_("draws nothing"), "warn", title=_(rule.problem))
        return make_badge(_("active"), "good") if rule.is_active else make_badge(_("off"), "mute")

    @admin.display(description=gettext_lazy("which calls"))
    def show_which(self, rule: ReviewRule) -> str:
        words = [f"{label}: {value}" for label, value in describe_criteria(rule)]
        words += [robot.name for robot in rule.robots.all()[:3]]
        return " · ".join(words) or _("all ended calls")

    @admin.display(description=gettext_lazy("how many"))
    def show_share(self, rule: ReviewRule) -> str:
        if rule.percent is not None:
            return _("%(n)s %% of them") % {"n": f"{rule.percent.normalize():f}"}
        return _("%(n)s of each day") % {"n": rule.per_day}

    @admin.display(description=gettext_lazy("waiting"))
    def show_waiting(self, rule: ReviewRule) -> Any:
        number = rule.reviews.filter(missing__gt=0).order_by()[:COUNTED].count()
        url = reverse("admin:campaigns_review_changelist")
        text = f"{number}+" if number >= COUNTED else str(number)
        query = f"?rule__id__exact={rule.pk}&state=waiting"
        return format_html('<a class="cb-link" href="{}{}">{}</a>', url, query, text)

    @admin.display(description=gettext_lazy("drawn"))
    def show_drawn(self, rule: ReviewRule) -> str:
        return tell_age(rule.drawn_at)
