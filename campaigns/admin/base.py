"""In: what every screen needs. Out: the base of our admin classes, and the small parts they share.

No screen deletes: what was called, said and answered stays. None breaks on an odd address or on odd
ids of chosen rows: what cannot be looked up gets a plain refusal.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.core import signing
from django.core.exceptions import FieldError, PermissionDenied, ValidationError
from django.db import DataError, connection, models, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.paginator import InfinitePaginator as UnfoldInfinitePaginator
from unfold.utils import parse_date_str
from unfold.widgets import UnfoldAdminTextareaWidget

from campaigns.masking import mask_cell, mask_numbers
from campaigns.models import Account, StatusChange

LAUNCH = "campaigns.launch_task"
CALL_DIRECTLY = "campaigns.call_directly"
UNMASK = "campaigns.unmask_phone"
EXPORT = "campaigns.export_data"
IMPORT = "campaigns.add_contactimport"

MAX_PAGES = 400
ODD = (ValueError, TypeError, DataError, FieldError, OverflowError, ValidationError)

_ROW_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_FORM_SALT = "campaigns.admin.form"


def list_regions() -> list[str]:
    """The regions of the accounts, whose numbers somebody may look for without a country."""
    return ["CN", *Account.objects.exclude(region="CN").values_list("region", flat=True).distinct()]


class InfinitePaginator(UnfoldInfinitePaginator):
    """Pages without COUNT(*), and not so many that an offset takes for ever: filters narrow it."""

    @cached_property
    def count(self) -> int:
        return int(self.per_page) * MAX_PAGES


class CallboardAdmin(ModelAdmin):
    """What all our admin classes have in common."""

    list_fullwidth = True
    list_filter_submit = True
    list_per_page = 50
    list_max_show_all = 200
    actions = None
    compressed_fields = True
    #: whole rows are shown by a template of ours, nothing is edited
    read_only = False
    #: a row's page tells of people: no cache keeps it
    is_personal = False
    #: what an empty list says to do next
    empty_hint: Any = ""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return not self.read_only and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not self.read_only and super().has_change_permission(request, obj)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            if request.method != "POST" or not self.get_actions(request):
                return HttpResponse(status=405)
            if not all(map(_ROW_ID.fullmatch, request.POST.getlist("_selected_action"))):
                return refuse_odd_value()
        return self._answer(request, super().changelist_view, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method == "POST" and self.read_only:
            return HttpResponse(status=405)
        response = super().change_view(request, object_id, form_url, extra_context)
        if self.is_personal:
            response["Cache-Control"] = "no-store"
        return response

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the template of a row's page is given besides the admin's own."""
        return {}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """One button saves; where to go next is on the page it leads to."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        if (row := kwargs.get("obj")) is not None:
            context |= self.add_context(request, row)
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        return self._answer(request, super().history_view, object_id, extra_context)

    def _answer(self, request: HttpRequest, view: Any, *args: Any) -> HttpResponse:
        """Render now, so that a parameter nobody can look up ends in a sentence, not in a 500."""
        try:
            response = view(request, *args)
            if hasattr(response, "render"):
                response.render()
        except ODD:
            if not request.GET:
                raise
            return refuse_odd_value()
        return response

    def find_row(self, request: HttpRequest, object_id: str) -> Any:
        """The row of an address of ours, for somebody who may see it; else 404 or 403."""
        row = self.get_object(request, unquote(str(object_id)))
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def show(self, request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
        """A page of our own inside the admin's frame."""
        page = {**self.admin_site.each_context(request), "title": title, "opts": self.opts}
        page["own_heading"] = True
        response = render(request, template, page | context)
        response["Cache-Control"] = "no-store"
        return response


def refuse_odd_value() -> HttpResponse:
    return HttpResponseBadRequest(
        _("This address holds a value that cannot be looked up."),
        content_type="text/plain; charset=utf-8",
    )


class DaysFilter(RangeDateFilter):
    """Days of the reader's zone, both ends included."""

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> Any:
        begin = read_day(self.used_parameters.get(f"{self.parameter_name}_from"))
        end = read_day(self.used_parameters.get(f"{self.parameter_name}_to"))
        if begin:
            queryset = queryset.filter(**{f"{self.parameter_name}__gte": begin})
        if end:
            queryset = queryset.filter(**{f"{self.parameter_name}__lt": end + timedelta(days=1)})
        return queryset


def read_day(text: Any) -> datetime | None:
    """The first moment of a day, None for what is no day a database can hold."""
    day = parse_date_str(str(text)) if text else None
    if day is None or not 1900 < day.year < 9000:
        return None
    return timezone.make_aware(datetime(day.year, day.month, day.day))  # noqa: DTZ001


# ------------------------------------------------------------------------------------ small parts


def make_badge(text: Any, color: str = "", *, title: str = "") -> SafeString:
    """A coloured word: ``color`` is good, bad, warn, info or nothing."""
    return format_html('<span class="cb-badge {}" title="{}">{}</span>', color, title, text)


class WordsForm(forms.Form):
    """One field for what a person has to say about a decision; its name is what it is posted as."""

    def __init__(self, name: str, label: Any, *, help_text: Any = "", needed: bool = True) -> None:
        super().__init__()
        self.fields[name] = forms.CharField(
            label=label,
            help_text=help_text,
            max_length=2000,
            required=needed,
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        )


def make_link(row: Any, text: Any = None, *, fragment: str = "") -> SafeString:
    """A link to the page of a row, a dash for none."""
    if row is None:
        return format_html("{}", "–")
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    url = reverse(name, args=[row.pk]) + fragment
    return format_html('<a class="cb-link" href="{}">{}</a>', url, text or str(row))


def make_short_link(row: Any) -> SafeString:
    """A link whose words, an id mostly, take little room in a list; they are whole on its title."""
    if row is None:
        return make_link(None)
    return format_html('<span class="cb-words cb-brief" title="{}">{}</span>', row, make_link(row))


def make_sandbox_badge(*, short: bool = False) -> SafeString:
    return format_html(
        '<span class="cb-sandbox" title="{}">{}</span>',
        _("A pretend platform on this machine: it calls nobody."),
        _("SANDBOX") if short else _("SANDBOX – calls nobody"),
    )


def show_moment(moment: datetime | None) -> str:
    """A time of the reader's zone, to the second, in columns that line up."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}" if moment else "–"


def tell_age(moment: datetime | None) -> str:
    """How long ago, in one unit: "12 s ago"."""
    if moment is None:
        return _("never")
    seconds = int((timezone.now() - moment).total_seconds())
    if seconds < 0:
        return _("just now")
    if seconds < 60:
        return _("%(n)d s ago") % {"n": seconds}
    if seconds < 3600:
        return _("%(n)d min ago") % {"n": seconds // 60}
    if seconds < 2 * 86400:
        return _("%(n)d h ago") % {"n": seconds // 3600}
    days = seconds // 86400
    return ngettext("%(n)d day ago", "%(n)d days ago", days) % {"n": days}


def show_duration(seconds: int | None) -> str:
    """mm:ss, or h:mm:ss from an hour on; a dash when it is not known."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def hide_phones(value: Any) -> Any:
    """Raw data for the screen: every phone number in it masked, in the names of fields too."""
    if isinstance(value, dict):
        hidden: dict[Any, Any] = {}
        for key, item in value.items():
            name = hide_phones(key)
            while name in hidden:  # two numbers that look the same once they are masked
                name = f"{name}'"
            hidden[name] = hide_phones(item)
        return hidden
    if isinstance(value, list):
        return [hide_phones(item) for item in value]
    if isinstance(value, str):
        return mask_numbers(value, likely=True)
    if isinstance(value, int | float) and not isinstance(value, bool):
        digits = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        hidden_digits = mask_numbers(digits, likely=True)
        return value if hidden_digits == digits else hidden_digits
    return value


def hide_cell(text: object, *, strict: bool = False) -> str:
    """A cell of a file without the numbers in it; ``strict`` where a number is meant to stand."""
    return mask_cell(str(text), strict=strict)


# ----------------------------------------------------------------------- seeing whole phone numbers


def start_revealing(request: HttpRequest, what: str) -> None:
    """The next look at ``what`` (one page, once) shows whole numbers. The look is audited."""
    if not request.user.has_perm(UNMASK):
        raise PermissionDenied
    request.session["reveal"] = what


def is_revealed(request: HttpRequest, what: str) -> bool:
    """Whether this look at ``what`` shows whole numbers; the permission to is used up by it."""
    if request.session.get("reveal") != what or not request.user.has_perm(UNMASK):
        return False
    del request.session["reveal"]
    return True


def audit_reveal(request: HttpRequest, rows: Any) -> None:
    """Who saw the whole number of which rows, in the admin's log."""
    LogEntry.objects.log_actions(
        user_id=request.user.pk,
        queryset=list(rows),
        action_flag=CHANGE,
        change_message="Saw the whole phone number.",
    )


# -------------------------------------------------------------------------------- forms sent twice


def issue_form_token(request: HttpRequest) -> str:
    """A token that lets a form through once, and only for this user."""
    return signing.dumps([request.user.pk, secrets.randbits(62)], salt=_FORM_SALT)


def spend_form_token(request: HttpRequest) -> bool:
    """Use up the token of a posted form; False when it was used, is foreign or older than a day.

    The spent token is a committed row, looked up under a lock on its number: of any number of
    simultaneous clicks one gets True.
    """
    try:
        user, number = signing.loads(
            request.POST.get("form_token", ""), salt=_FORM_SALT, max_age=86400
        )
    except (signing.BadSignature, ValueError, TypeError):
        return False
    if user != request.user.pk:
        return False
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])
        if StatusChange.objects.filter(subject="form", subject_id=number).exists():
            return False
        StatusChange.objects.create(
            subject="form", subject_id=number, old="offered", new="used", by_id=user
        )
    return True


def refuse_twice(request: HttpRequest) -> None:
    messages.warning(
        request, _("This form was sent already, or is too old. Nothing was done a second time.")
    )
