"""In: an account and what somebody typed. Out: a ``Draft``, or each mistake beside its field."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from campaigns.drafting import (
    MAX_DAILY_CAP,
    Draft,
    WindowsUnreadable,
    check_draft,
    parse_windows,
    print_windows,
)
from campaigns.models import Account, Line, Robot, Task, Voice
from campaigns.platforms.contract import Can


class RobotField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} · {obj.platform_id} — {', '.join(str(one) for one in obj.columns)}"


class LinesField(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        parts = [obj.number]
        if obj.concurrency is not None:
            parts.append(_("%(n)d at once") % {"n": obj.concurrency})
        if obj.hours:
            parts.append(print_windows(obj.hours))
        if obj.state == Line.State.BUSY:
            parts.append(str(obj.get_state_display()))
        return " · ".join(parts)


class TaskForm(forms.ModelForm):  # type: ignore[type-arg]
    """One account's task. ``account`` is set by ``make_form`` before the form is made."""

    account: Account

    robot = RobotField(
        Robot.objects.none(),
        label=gettext_lazy("robot"),
        help_text=gettext_lazy(
            "Behind the name: the columns it needs. The file of contacts has a column for each."
        ),
        widget=UnfoldAdminSelectWidget(),
    )
    lines = LinesField(
        Line.objects.none(),
        label=gettext_lazy("lines"),
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    voice = forms.ModelChoiceField(
        Voice.objects.none(),
        label=gettext_lazy("voice"),
        required=False,
        empty_label=gettext_lazy("as the robot has it"),
        widget=UnfoldAdminSelectWidget(),
    )
    windows_text = forms.CharField(
        label=gettext_lazy("calling windows"),
        required=False,
        max_length=500,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "09:00-12:00, 13:00-17:30"}),
    )
    recall_count = forms.IntegerField(
        label=gettext_lazy("recalls"),
        required=False,
        initial=0,
        help_text=gettext_lazy("How often the platform calls again somebody who did not answer."),
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    recall_wait_seconds = forms.IntegerField(
        label=gettext_lazy("wait before a recall"),
        required=False,
        help_text=gettext_lazy("In seconds."),
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    daily_cap = forms.IntegerField(
        label=gettext_lazy("contacts per day"),
        required=False,
        min_value=1,
        max_value=MAX_DAILY_CAP,
        help_text=gettext_lazy(
            "At most so many are called on one day, by the account's zone. Empty: all. Where the"
            " platform dials by itself, some calls that are on their way may still come."
        ),
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    begin_at = forms.SplitDateTimeField(
        label=gettext_lazy("begin"), required=False, widget=UnfoldAdminSplitDateTimeWidget()
    )
    end_at = forms.SplitDateTimeField(
        label=gettext_lazy("end"), required=False, widget=UnfoldAdminSplitDateTimeWidget()
    )
    turbo = forms.BooleanField(
        label=gettext_lazy("high performance mode"),
        required=False,
        help_text=gettext_lazy("Offered by the platform, which does not say what it does."),
        widget=UnfoldBooleanSwitchWidget(),
    )
    watch_folder = forms.BooleanField(
        label=gettext_lazy("watch its folder"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
    )

    class Meta:
        model = Task
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.draft: Draft | None = None
        account, task = self.account, self.instance
        chosen = {"robot": task.robot_id, "voice": task.voice_id} if task.pk else {}
        robots = Robot.objects.filter(account=account)
        usable = robots.filter(state=Robot.State.PUBLISHED, deleted=False, gone_at=None)
        self._set("robot", usable | robots.filter(pk=chosen.get("robot")))
        lines = Line.objects.filter(account=account)
        kept = list(task.lines.values_list("pk", flat=True)) if task.pk else []
        self._set("lines", lines.filter(gone_at=None) | lines.filter(pk__in=kept))
        voices = Voice.objects.filter(account=account)
        self._set("voice", voices.filter(gone_at=None) | voices.filter(pk=chosen.get("voice")))
        if task.pk:
            self.initial |= {
                "robot": task.robot_id,
                "lines": kept,
                "voice": task.voice_id,
                "windows_text": print_windows(task.windows),
                "recall_count": task.recall_count,
                "recall_wait_seconds": task.recall_wait_seconds,
                "begin_at": task.begin_at,
                "end_at": task.end_at,
                "turbo": task.turbo,
                "watch_folder": task.watch_folder,
                "daily_cap": task.daily_cap,
            }
        else:
            # where there is nothing to choose, nobody has to
            if usable.count() == 1:
                self.initial["robot"] = usable.get().pk
            if lines.filter(gone_at=None).count() == 1:
                self.initial["lines"] = [lines.get(gone_at=None).pk]
        for field in self.fields.values():
            field.label = capfirst(str(field.label))
        zone = {"zone": account.time_zone}
        self.fields["windows_text"].help_text = (
            _("In the time of %(zone)s. Empty: whenever the lines work.") % zone
        )
        self.fields["watch_folder"].help_text = _(
            "Files that are put into %(folder)s are imported while the task is a draft."
        ) % {"folder": f"{settings.IMPORT_FOLDER}/{task.pk or _('<number of the task>')}"}
        limits = account.vendor.limits
        self.fields["recall_count"].widget.attrs |= {"min": 0, "max": limits.recall_count}
        if limits.end_required:
            self.fields["end_at"].required = True
        for name in set(self.fields) - set(list_fields(account)):
            del self.fields[name]

    def _set(self, name: str, rows: Any) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = rows.distinct()

    def clean_windows_text(self) -> list[tuple[str, str]]:
        try:
            return parse_windows(self.cleaned_data["windows_text"])
        except WindowsUnreadable as problem:
            raise forms.ValidationError(str(problem)) from None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        wait = data.get("recall_wait_seconds")
        self.draft = Draft(
            account=self.account,
            name=data.get("name") or "",
            robot=data.get("robot"),
            lines=list(data.get("lines") or []),
            voice=data.get("voice"),
            recall_count=data.get("recall_count") or 0,
            recall_wait_seconds=wait,
            windows=data.get("windows_text") or [],
            begin_at=data.get("begin_at"),
            end_at=data.get("end_at"),
            turbo=bool(data.get("turbo")),
            watch_folder=bool(data.get("watch_folder")),
            daily_cap=data.get("daily_cap"),
        )
        for field, sentences in check_draft(self.draft).items():
            self.refuse(field, sentences)
        return data

    def refuse(self, field: str, sentences: list[str]) -> None:
        """Put sentences beside a field, unless the field says already what is wrong with it."""
        name = {"windows": "windows_text"}.get(field, field)
        if name not in self.fields:
            self.add_error(None, forms.ValidationError(list(sentences)))
        elif name not in self.errors:
            self.add_error(name, forms.ValidationError(list(sentences)))

    def _post_clean(self) -> None:
        """Nothing is put on the instance here: ``drafting`` writes the row."""


def list_fields(account: Account) -> list[str]:
    """The fields of a task of this account: those that its platform lets us choose."""
    vendor = account.vendor
    limits, fills = vendor.limits, Can.FILL_INSTANCES in vendor.can
    offered = {
        "name": True,
        "robot": True,
        "lines": limits.lines,
        "voice": not fills,
        "windows_text": limits.windows,
        "begin_at": True,
        "end_at": True,
        "recall_count": limits.recall_count > 0,
        "recall_wait_seconds": limits.recall_count > 0,
        "daily_cap": True,
        "turbo": not fills,
        "watch_folder": settings.IMPORT_FOLDER is not None,
    }
    return [name for name, is_offered in offered.items() if is_offered]


def make_form(account: Account) -> type[TaskForm]:
    return type("TaskForm", (TaskForm,), {"account": account})
