"""In: models/tasks.py, Attempt. Out: the requests that wait for a person, and the page of one with
all that is known of it and the two decisions."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns import approvals, deciding, reconcile
from campaigns.admin.base import (
    CallboardAdmin,
    InfinitePaginator,
    WordsForm,
    make_badge,
    make_link,
    show_moment,
    tell_age,
)
from campaigns.admin.calls import show_outcome as show_call_outcome
from campaigns.admin.exchanges import show_outcome
from campaigns.admin.task_page import CONTACT_COLORS
from campaigns.definitions import show_number
from campaigns.masking import mask_phone
from campaigns.models import Attempt, StatusChange
from campaigns.models.history import fill_in
from campaigns.wording import tell_fault

COLORS = {
    "needs_human": "bad",
    "unknown": "warn",
    "human_accepted": "good",
    "confirmed_accepted": "good",
    "accepted": "good",
}
#: what the list is about: the rest is told on the pages of tasks and contacts
LISTED = ("needs_human", "human_accepted", "human_resend")

_COUNT = re.compile(r"count (\d+)")
_MISSING = re.compile(r"(\d+) not found")


def count_badge(request: HttpRequest) -> str:
    """How many wait for a decision, for the navigation; nothing for none."""
    number = deciding.list_undecided().order_by()[:100].count()
    return str(number) if number else ""


def tell_answer(answer: str) -> str:
    """What the platform answered, in the reader's language; its own words as they are."""
    if answer == "not in the list":
        return _("not in its list")
    if found := _COUNT.fullmatch(answer):
        number = int(found[1])
        text = ngettext("it has %(n)d contact", "it has %(n)d contacts", number)
        return fill_in(text, {"n": number})
    if found := _MISSING.fullmatch(answer):
        number = int(found[1])
        text = ngettext("%(n)d contact not found", "%(n)d contacts not found", number)
        return fill_in(text, {"n": number})
    return answer


@admin.register(Attempt)
class AttemptAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "Nothing waits for a decision. A request comes here when its answer was lost and the"
        " platform cannot be asked whether it carried it out."
    )
    read_only = True
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_sent",
        "command",
        "show_task",
        "show_people",
        "show_status",
        "show_fault",
        "show_age",
    )
    list_select_related = ("task__account", "batch")
    list_display_links = ("show_sent",)
    sortable_by = ()
    change_form_template = "admin/campaigns/attempt/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path(f"<path:object_id>/{name}/", view(act), name=f"campaigns_attempt_{name}")
            for name, act in (("accept", self.accept), ("ask", self.ask), ("query", self.query))
        ] + super().get_urls()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and str(match.url_name).endswith("changelist")
        # who asks for states, as a number of the first screen does, gets those
        if is_list and not any(name.startswith("status__") for name in request.GET):
            rows = rows.filter(status__in=LISTED)
        return rows

    def get_ordering(self, request: HttpRequest) -> Any:
        first = Case(
            When(status="needs_human", then=Value(0)), default=Value(1), output_field=IntegerField()
        )
        return [first, "-id"]

    # -------------------------------------------------------------------------------- the list

    @admin.display(description=gettext_lazy("sent"))
    def show_sent(self, attempt: Attempt) -> str:
        return show_moment(attempt.started_at)

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, attempt: Attempt) -> Any:
        return make_link(attempt.task)

    @admin.display(description=gettext_lazy("contacts"))
    def show_people(self, attempt: Attempt) -> Any:
        return show_number(attempt.batch.size) if attempt.batch else "–"

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, attempt: Attempt) -> Any:
        return make_badge(attempt.get_status_display(), COLORS.get(attempt.status, "mute"))

    @admin.display(description=gettext_lazy("what the transport saw"))
    def show_fault(self, attempt: Attempt) -> str:
        return tell_fault(attempt.fault) or "–"

    @admin.display(description=gettext_lazy("how long ago"))
    def show_age(self, attempt: Attempt) -> str:
        return tell_age(attempt.started_at)

    # -------------------------------------------------------------------------------- the page

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return describe_attempt(request, row)

    def _find(self, request: HttpRequest, object_id: str) -> Attempt:
        attempt: Attempt = self.find_row(request, object_id)
        if not request.user.has_perm(deciding.DECIDE):
            raise PermissionDenied
        return attempt

    def accept(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The platform had taken it."""
        if request.method != "POST":
            return HttpResponse(status=405)
        attempt = self._find(request, object_id)
        try:
            deciding.accept_attempt(attempt, reason=request.POST.get("reason", ""), by=request.user)
        except deciding.DecisionRefused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, _("Kept as accepted. Its contacts wait for their calls."))
        return redirect("admin:campaigns_attempt_change", attempt.pk)

    def ask(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask a second person whether it may be sent again."""
        if request.method != "POST":
            return HttpResponse(status=405)
        attempt = self._find(request, object_id)
        try:
            deciding.ask_resend(
                attempt,
                reason=request.POST.get("reason", ""),
                by=request.user,
                fingerprint=request.POST.get("fingerprint") or None,
            )
        except deciding.DecisionRefused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(
                request, _("Asked. It is sent again as soon as a second person approves it.")
            )
        return redirect("admin:campaigns_attempt_change", attempt.pk)

    def query(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the platform once more, now."""
        if request.method != "POST":
            return HttpResponse(status=405)
        attempt = self._find(request, object_id)
        reconcile.settle_task(attempt.task_id)
        messages.success(request, _("Asked. What is known now stands below."))
        return redirect("admin:campaigns_attempt_change", attempt.pk)


def describe_attempt(request: HttpRequest, attempt: Attempt) -> dict[str, Any]:
    """All that is known of a request, for its page and for whoever is asked to approve."""
    evidence = deciding.find_evidence(attempt)
    open_one = approvals.find_open("resend", task=attempt.task, attempt=attempt)
    history = StatusChange.objects.filter(subject="attempt", subject_id=attempt.pk)
    return {
        "row": attempt,
        "fault": tell_fault(attempt.fault),
        "evidence": evidence,
        "account": make_link(attempt.task.account),
        "task": make_link(attempt.task),
        "status": make_badge(attempt.get_status_display(), COLORS.get(attempt.status, "mute")),
        "sent_at": show_moment(attempt.started_at),
        "age": tell_age(attempt.started_at),
        "reason": _(attempt.reason) if attempt.reason else "",
        "sent": [(one, show_outcome(one)) for one in evidence.sent],
        "questions": [(one, show_outcome(one)) for one in evidence.questions],
        "asked": [
            {
                "at": show_moment(parse_datetime(str(one.get("at", "")))),
                "question": _(str(one["question"])) if one.get("question") else "",
                "answer": tell_answer(str(one.get("answer", ""))),
            }
            for one in reversed(evidence.asked)
        ],
        "people": [
            {
                "link": make_link(one, mask_phone(one.phone)),
                "status": make_badge(one.get_status_display(), CONTACT_COLORS[one.status]),
                "reason": one.reason_text,
            }
            for one in evidence.people
        ],
        "more_people": evidence.people_count - len(evidence.people),
        "calls": [
            {
                "link": make_link(one, show_moment(one.happened_at)),
                "number": mask_phone(one.callee),
                "outcome": show_call_outcome(one),
                "linked": one.contact_id is not None,
            }
            for one in evidence.calls
        ],
        "words": WordsForm(
            "reason", _("Why"), help_text=_("It is kept with the request, with your name.")
        ),
        "waits": attempt.status == Attempt.Status.NEEDS_HUMAN,
        "may_decide": request.user.has_perm(deciding.DECIDE),
        "open_approval": open_one,
        "open_approval_link": make_link(open_one, _("Look at it")) if open_one else "",
        "history": [
            (show_moment(one.at), one.sentence or one.new, one.by or "")
            for one in history.select_related("by").order_by("id")[:50]
        ],
    }
