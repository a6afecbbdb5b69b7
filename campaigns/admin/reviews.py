"""In: models/reviews.py, Review. Out: the queue: the list of calls drawn, the page on which one is
judged after the other with the keyboard, and what came of it.

What somebody said of a call is shown when nobody is missing any more: the second reviewer does not
see the first's. Nor does anybody see the platform's intention before saying their own: who is told
an answer tends to hear it, and the accuracy counted from it would be too good.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter

from campaigns import correcting, definitions, reviewing
from campaigns.admin.base import (
    CallboardAdmin,
    InfinitePaginator,
    hide_phones,
    make_badge,
    make_link,
    show_moment,
)
from campaigns.admin.call_page import describe_call
from campaigns.models import Judgement, Review, ReviewRule

REVIEW = "campaigns.review_call"
COLORS = {"approved": "good", "rejected": "bad", "noted": "info"}
PERIODS = {"30": 30, "90": 90, "365": 365}


class JudgementForm(forms.Form):
    verdict = forms.ChoiceField(choices=Judgement.Verdict.choices)
    intention = forms.CharField(max_length=50, required=False)
    none = forms.BooleanField(required=False)
    unsure = forms.BooleanField(required=False)
    note = forms.CharField(max_length=2000, required=False)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("verdict") == Judgement.Verdict.NOTED and not data.get("note"):
            raise forms.ValidationError(_("To note something, write what it is."))
        told = [name for name in ("intention", "none", "unsure") if data.get(name)]
        # A word, and that there was none: nobody knows which of them is meant.
        if not told or {"intention", "none"}.issubset(told):
            raise forms.ValidationError(
                _("Say which intention you heard, that there was none, or that you cannot tell.")
            )
        return data


class StateFilter(DropdownFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return [
            ("waiting", _("waits")),
            ("judged", pgettext("review", "judged")),
            ("differ", _("reviewers differ")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "waiting":
            return queryset.filter(missing__gt=0)
        if self.value() == "judged":
            return queryset.filter(missing=0)
        if self.value() == "differ":
            return find_differing(queryset)
        return queryset


class VerdictFilter(DropdownFilter):
    title = gettext_lazy("verdict")
    parameter_name = "verdict"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return list(Judgement.Verdict.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        # of those that nobody has to judge any more: no verdict is told before
        said = Judgement.objects.filter(verdict=self.value()).values("review")
        return queryset.filter(missing=0, pk__in=said)


def find_differing(reviews: QuerySet[Review]) -> QuerySet[Review]:
    """Those whose two reviewers said something else of the call, or of its intention."""
    two = reviews.filter(missing=0, wanted=2)
    ids = (
        Judgement.objects.filter(review__wanted=2, review__missing=0)
        .order_by()
        .values("review")
        .annotate(verdicts=Count("verdict", distinct=True), words=Count("intention", distinct=True))
    )
    differ = (
        ids.filter(verdicts__gt=1).values("review").union(ids.filter(words__gt=1).values("review"))
    )
    return two.filter(pk__in=differ)


def count_badge(request: HttpRequest) -> str:
    """How many wait for this person, for the navigation; nothing for none."""
    if not request.user.has_perm(REVIEW):
        return ""
    number = reviewing.count_waiting(request.user)
    return str(number) if number else ""


def show_state(review: Review) -> Any:
    if review.missing == 0:
        return make_badge(pgettext("review", "judged"), "good")
    if review.missing < review.wanted:
        return make_badge(_("waits for a second reviewer"), "info")
    return make_badge(_("waits"), "warn")


@admin.register(Review)
class ReviewAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "No call was drawn yet. Make a rule that says which; it draws a call a quarter of an hour"
        " after the call came."
    )
    read_only = True
    is_personal = True
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_drawn",
        "show_rule",
        "show_call",
        "show_robot",
        "show_intention",
        "show_state",
        "show_verdicts",
    )
    list_select_related = ("rule", "call", "robot")
    list_filter = (
        StateFilter,
        VerdictFilter,
        ("rule", RelatedDropdownFilter),
        ("robot", RelatedDropdownFilter),
    )
    sortable_by = ()
    change_form_template = "admin/campaigns/review/change_form.html"
    list_before_template = "campaigns/reviews_above.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("next/", view(self.take_next), name="campaigns_review_next"),
            path("figures/", view(self.show_figures), name="campaigns_review_figures"),
            path("<int:object_id>/judge/", view(self.judge), name="campaigns_review_judge"),
            path("<int:object_id>/skip/", view(self.skip), name="campaigns_review_skip"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Review]:
        rows = super().get_queryset(request).prefetch_related("judgements__reviewer")
        return rows.defer("call__evidence", "call__details")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        may = request.user.has_perm(REVIEW)
        extra = {
            "may_review": may,
            "waiting": reviewing.count_waiting(request.user) if may else 0,
            "may_rule": request.user.has_perm("campaigns.view_reviewrule"),
        }
        return super().changelist_view(request, extra | (extra_context or {}))

    @admin.display(description=gettext_lazy("drawn"))
    def show_drawn(self, review: Review) -> Any:
        return format_html('<span class="cb-nowrap">{}</span>', show_moment(review.drawn_at))

    @admin.display(description=gettext_lazy("rule"))
    def show_rule(self, review: Review) -> Any:
        return format_html('<span class="cb-words">{}</span>', review.rule.name)

    @admin.display(description=gettext_lazy("call"))
    def show_call(self, review: Review) -> Any:
        return make_link(review.call)

    @admin.display(description=gettext_lazy("robot"))
    def show_robot(self, review: Review) -> Any:
        return make_link(review.robot)

    @admin.display(description=gettext_lazy("intention"))
    def show_intention(self, review: Review) -> str:
        """The platform's, once nobody has to judge it any more."""
        return "–" if review.missing else review.intention or "–"

    @admin.display(description=gettext_lazy("state"))
    def show_state(self, review: Review) -> Any:
        return show_state(review)

    @admin.display(description=gettext_lazy("verdicts"))
    def show_verdicts(self, review: Review) -> Any:
        if review.missing:
            return "–"
        said = list(review.judgements.all())
        badges = [make_badge(one.get_verdict_display(), COLORS[one.verdict]) for one in said]
        return format_html("".join("{} " for _one in badges), *badges)

    # ----------------------------------------------------------------------- the page of a review

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Nobody reads what another one said of a call that somebody has yet to judge."""
        said = list(row.judgements.select_related("reviewer"))
        shown = [one for one in said if row.missing == 0 or one.reviewer_id == request.user.pk]
        return {
            "row": row,
            "call": make_link(row.call),
            "rule": make_link(row.rule)
            if request.user.has_perm("campaigns.view_reviewrule")
            else row.rule.name,
            "robot": make_link(row.robot),
            "state": show_state(row),
            "drawn_at": show_moment(row.drawn_at),
            "judgements": [
                {
                    "row": one,
                    "verdict": make_badge(one.get_verdict_display(), COLORS[one.verdict]),
                    "at": show_moment(one.changed_at or one.created_at),
                    "note": hide_phones(one.note),
                }
                for one in shown
            ],
            "sees_intention": row.missing == 0 or bool(shown),
            "may_judge": request.user.has_perm(REVIEW)
            and (row.missing > 0 or any(_is_changeable(one, request) for one in said)),
        }

    # --------------------------------------------------------------------------------- the judging

    def _check(self, request: HttpRequest) -> None:
        if not (request.user.has_perm(REVIEW) and request.user.has_perm("campaigns.view_call")):
            raise PermissionDenied

    def _find(self, object_id: int) -> Review:
        review = (
            Review.objects.select_related("rule", "call__account", "call__contact", "robot")
            .filter(pk=min(object_id, 2**63 - 1))
            .first()
        )
        if review is None:
            raise Http404
        return review

    def take_next(self, request: HttpRequest) -> HttpResponse:
        """The next call to judge, kept for who asks. It is asked by POST: it holds the row."""
        if request.method != "POST":
            return HttpResponse(status=405)
        self._check(request)
        return self._go_on(request)

    def _go_on(self, request: HttpRequest) -> HttpResponse:
        review = reviewing.claim_review(request.user)
        if review is None:
            messages.success(request, _("Nothing waits to be judged by you."))
            return redirect("admin:campaigns_review_changelist")
        return redirect("admin:campaigns_review_judge", review.pk)

    def skip(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Leave it to others."""
        if request.method != "POST":
            return HttpResponse(status=405)
        self._check(request)
        reviewing.skip_review(self._find(object_id).pk, user=request.user)
        return self._go_on(request)

    def judge(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Listen, read, say what one thinks of it; then comes the next."""
        self._check(request)
        review = self._find(object_id)
        form = JudgementForm(request.POST) if request.method == "POST" else None
        if form is not None and form.is_valid():
            said = form.cleaned_data
            try:
                reviewing.judge_review(
                    review.pk,
                    reviewer=request.user,
                    verdict=said["verdict"],
                    intention=None if said["unsure"] else said["intention"],
                    note=said["note"],
                )
            except reviewing.JudgingRefused as refused:
                messages.error(request, str(refused))
            request.session["last_review"] = review.pk
            return self._go_on(request)
        mine = review.judgements.filter(reviewer=request.user).select_related("review").first()
        if (mine is None and review.missing == 0) or (
            mine is not None and not reviewing.can_change(mine)
        ):
            return redirect("admin:campaigns_review_change", review.pk)
        return self._show_judging(request, review, mine, form)

    def _show_judging(
        self, request: HttpRequest, review: Review, mine: Judgement | None, form: Any
    ) -> HttpResponse:
        told = describe_call(request, review.call)
        today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        done = Judgement.objects.filter(reviewer=request.user, created_at__gte=today)
        return self.show(
            request,
            "campaigns/review.html",
            _("Review"),
            review=review,
            row=review.call,
            form=form,
            mine=mine,
            verdicts=list(zip("123", Judgement.Verdict.choices, strict=True)),
            chosen=_choose_values(mine, form),
            is_blind=mine is None,
            known=correcting.list_intentions(review.call),
            waiting=reviewing.count_waiting(request.user),
            done=done.order_by()[:1000].count(),
            last=_find_last(request, review),
            **{name: told[name] for name in _SHOWN},
        )

    # --------------------------------------------------------------------------------- the figures

    def show_figures(self, request: HttpRequest) -> HttpResponse:
        """How far reviewers agree, and how often a robot's intention is right."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rules = list(ReviewRule.objects.order_by("name"))
        chosen = next((one for one in rules if str(one.pk) == request.GET.get("rule")), None)
        days = PERIODS.get(request.GET.get("days", ""), 90)
        figures = reviewing.read_figures(
            rule_id=chosen.pk if chosen else None, since=timezone.now() - timedelta(days=days)
        )
        return self.show(
            request,
            "campaigns/review_figures.html",
            _("What the reviews say"),
            figures=figures,
            verdicts=_show_agreement(figures.verdicts),
            intentions=_show_agreement(figures.intentions),
            pairs=_list_pairs(figures),
            words=[(label, figures.words[word]) for word, label in Judgement.Verdict.choices],
            accuracies=[_show_accuracy(one) for one in figures.accuracies],
            rules=rules,
            chosen=chosen,
            days=days,
            periods=list(PERIODS.values()),
            list_url=reverse("admin:campaigns_review_changelist"),
        )


_SHOWN = ("recordings", "sound", "turns", "path", "told", "talk", "caller", "callee")


def _is_changeable(judgement: Judgement, request: HttpRequest) -> bool:
    return judgement.reviewer_id == request.user.pk and reviewing.can_change(judgement)


def _choose_values(mine: Judgement | None, form: Any) -> dict[str, Any]:
    """What stands in the form: what was sent, or what was said before."""
    if form is not None:
        return {name: form.data.get(name, "") for name in form.fields}
    if mine is not None:
        return {
            "verdict": mine.verdict,
            "intention": mine.intention or "",
            "none": mine.intention == "",
            "unsure": mine.intention is None,
            "note": mine.note,
        }
    return {}


def _find_last(request: HttpRequest, review: Review) -> Review | None:
    """The one before, while it may be changed."""
    pk = request.session.get("last_review")
    said = Judgement.objects.filter(review=pk, reviewer=request.user).select_related("review")
    last = said.first() if pk and pk != review.pk else None
    return last.review if last is not None and reviewing.can_change(last) else None


def _show_agreement(one: Any) -> dict[str, Any]:
    return {
        "pairs": one.pairs,
        "same": one.same,
        "rate": definitions.show_rate(one.rate),
        "kappa": definitions.DASH if one.kappa is None else f"{one.kappa:.2f}",
    }


def _list_pairs(figures: Any) -> list[dict[str, Any]]:
    users = get_user_model()._default_manager.in_bulk({pk for two in figures.by_pair for pk in two})
    return [
        {"one": users.get(one, "–"), "other": users.get(other, "–"), **_show_agreement(said)}
        for (one, other), said in figures.by_pair.items()
    ]


def _show_accuracy(one: Any) -> dict[str, Any]:
    bounds = one.interval
    return {
        "robot": make_link(one.robot),
        "version": one.version or definitions.DASH,
        "judged": one.judged,
        "right": one.right,
        "left_out": one.left_out,
        "rejected": one.rejected,
        "rate": definitions.show_rate(one.rate),
        "interval": f"{definitions.show_rate(bounds.low)} – {definitions.show_rate(bounds.high)}"
        if bounds
        else definitions.DASH,
    }
