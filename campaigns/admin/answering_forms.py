"""In: what somebody typed about answers to a platform. Out: it in the shape the rows have, or each
mistake beside its field."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from campaigns.admin.barring_forms import RobotChoice
from campaigns.models import Account, ContextDefault, InboundContext, Robot, SemanticRule
from campaigns.platforms.registry import PLATFORMS
from campaigns.semantics.patterns import PatternRefused, compile_pattern
from campaigns.semantics.rules import Candidate, give_type

MOST_VARIABLES = 300
MOST_NAME, MOST_VALUE = 200, 2_000
MOST_WORDS = 200
#: a request that is tried, in characters
MOST_SAMPLE = 200_000


class VariablesField(forms.CharField):
    """``name = value`` in a row each, as a mapping; a line end within a value is written \\n."""

    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminTextareaWidget(
            attrs={
                "rows": 8,
                "class": "max-w-2xl",
                "spellcheck": "false",
                "placeholder": "姓名 = 张三\n产品 = 宽带",
            }
        )
        super().__init__(**{"widget": widget, "max_length": 200_000, "required": False} | kwargs)

    def prepare_value(self, value: Any) -> Any:
        return write_variables(value) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        return read_variables(super().to_python(value) or "")

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return read_variables(data or "") != (initial or {})
        except forms.ValidationError:
            return True

    def validate(self, value: Any) -> None:
        """An empty mapping is one; the rest was looked at when it was read."""

    def run_validators(self, value: Any) -> None:
        """The length of the text, which ``max_length`` is about, limits itself."""


def write_variables(values: dict[str, str]) -> str:
    lines = (f"{name} = {_escape(str(text))}" for name, text in values.items())
    return "\n".join(lines)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")


def _unescape(text: str) -> str:
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\r", "\r").replace("\\n", "\n") for part in parts)


def read_variables(text: str) -> dict[str, str]:
    """Raises ``ValidationError``."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        name, sign, value = (part.strip() for part in line.replace("＝", "=", 1).partition("="))
        if not sign or not name:
            raise forms.ValidationError(_("Row %(row)d: write “name = value”.") % {"row": number})
        if len(name) > MOST_NAME or len(value) > MOST_VALUE:
            raise forms.ValidationError(_("Row %(row)d is too long.") % {"row": number})
        if name in values:
            raise forms.ValidationError(
                _("Row %(row)d has a name that stands above already.") % {"row": number}
            )
        values[name] = _unescape(value)
    if len(values) > MOST_VARIABLES:
        raise forms.ValidationError(_("More than %(n)d variables.") % {"n": MOST_VARIABLES})
    return values


class ChoicesField(forms.CharField):
    """``words = value`` in a row each; words of one value are divided by commas or bars."""

    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminTextareaWidget(
            attrs={
                "rows": 5,
                "class": "max-w-2xl",
                "spellcheck": "false",
                "placeholder": "是的，对，好的 = 1\n不是，不要 = 0",
            }
        )
        super().__init__(**{"widget": widget, "max_length": 20_000, "required": False} | kwargs)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        by_value: dict[str, list[str]] = {}
        for word, of in value:
            by_value.setdefault(str(of), []).append(str(word))
        return "\n".join(f"{', '.join(words)} = {of}" for of, words in by_value.items())

    def to_python(self, value: Any) -> Any:
        return read_choices(super().to_python(value) or "")

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return read_choices(data or "") != (initial or [])
        except forms.ValidationError:
            return True

    def validate(self, value: Any) -> None:
        """An empty list is one; whether words are needed, the kind of the rule says."""

    def run_validators(self, value: Any) -> None:
        """The text was looked at when it was read."""


def read_choices(text: str) -> list[list[str]]:
    """Raises ``ValidationError``."""
    choices: list[list[str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        words, sign, value = (part.strip() for part in line.replace("＝", "=", 1).rpartition("="))
        for mark in "，、|;；":
            words = words.replace(mark, ",")
        found = [word.strip() for word in words.split(",") if word.strip()]
        if not sign or not found or not value:
            raise forms.ValidationError(_("Row %(row)d: write “words = value”.") % {"row": number})
        if max(map(len, found)) > 50 or len(value) > MOST_NAME:
            raise forms.ValidationError(_("Row %(row)d is too long.") % {"row": number})
        choices += [[word, value] for word in found]
    if len(choices) > MOST_WORDS:
        raise forms.ValidationError(_("More than %(n)d words.") % {"n": MOST_WORDS})
    return choices


def list_asking_accounts() -> Any:
    """Accounts whose platform asks something during a call."""
    slugs = [platform.slug for platform in PLATFORMS.values() if platform.questions]
    return Account.objects.filter(platform__in=slugs).order_by("name")


class OfRobotForm(forms.ModelForm):  # type: ignore[type-arg]
    """A row of an account, for one of its robots or for all of them."""

    account = forms.ModelChoiceField(
        Account.objects.none(), label=gettext_lazy("Account"), widget=UnfoldAdminSelectWidget()
    )
    robot = RobotChoice(
        Robot.objects.none(),
        label=gettext_lazy("Robot"),
        required=False,
        empty_label=gettext_lazy("every robot of the account"),
        widget=UnfoldAdminSelectWidget(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        accounts = list_asking_accounts()
        account, robot = self.fields.get("account"), self.fields.get("robot")
        if isinstance(account, forms.ModelChoiceField):
            account.queryset = accounts
            if len(first := list(accounts[:2])) == 1:
                account.initial = first[0]
        if isinstance(robot, forms.ModelChoiceField):
            robots = Robot.objects.select_related("account").filter(account__in=accounts)
            robot.queryset = robots.order_by("account__name", "name")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        account, robot = data.get("account"), data.get("robot")
        if account and robot and robot.account_id != account.pk:
            self.add_error("robot", _("This robot is of another account."))
        return data


class ContextForm(OfRobotForm):
    values = VariablesField(
        label=gettext_lazy("Variables"),
        help_text=gettext_lazy("One in a row: its name in the script, and its value."),
    )

    class Meta:
        model = InboundContext
        fields = ("account", "robot", "relation_id", "values", "expires_at")
        widgets = {"relation_id": UnfoldAdminTextInputWidget()}

    def clean_relation_id(self) -> str:
        return str(self.cleaned_data["relation_id"]).strip()


class DefaultForm(OfRobotForm):
    values = VariablesField(
        label=gettext_lazy("Variables"),
        help_text=gettext_lazy(
            "Given for a caller whose variables do not have them, and for one whom nobody knows."
        ),
    )

    class Meta:
        model = ContextDefault
        fields = ("account", "robot", "values")


class SemanticRuleForm(OfRobotForm):
    choices = ChoicesField(
        label=gettext_lazy("Words"),
        help_text=gettext_lazy(
            "One value in a row: the words that mean it, and the value. A word that is denied, like"
            " 不想要 for 想要, is not taken."
        ),
    )
    sample = forms.CharField(
        label=gettext_lazy("Try it with"),
        required=False,
        max_length=2_000,
        help_text=gettext_lazy(
            "What somebody might say. “Try without saving” shows what the rule takes from it."
        ),
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 2, "class": "max-w-2xl", "placeholder": "我今年三十五岁"}
        ),
    )

    class Meta:
        model = SemanticRule
        fields = (
            *("account", "robot", "code", "order", "is_active", "kind", "source", "source_name"),
            *("after", "unit", "which", "low", "high", "side", "choices", "pattern"),
            *("key", "type", "default"),
        )
        widgets = {
            "is_active": UnfoldBooleanSwitchWidget(),
            "low": UnfoldAdminIntegerFieldWidget(),
            "high": UnfoldAdminIntegerFieldWidget(),
        }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name in ("code", "key", "after", "unit", "source_name"):
            if isinstance(data.get(name), str):
                data[name] = data[name].strip()
        if data.get("source") in ("node", "context") and not data.get("source_name"):
            self.add_error("source_name", _("Say which one."))
        if data.get("kind") == "choice" and "choices" in data and not data["choices"]:
            self.add_error("choices", _("Say which words mean what."))
        if data.get("kind") == "pattern" and "pattern" in data:
            self._check_pattern(data["pattern"])
        if data.get("type") == "integer":
            self._check_integers(data)
        low, high = data.get("low"), data.get("high")
        if low is not None and high is not None and low > high:
            self.add_error("high", _("This is less than the other bound."))
        return data

    def _check_pattern(self, pattern: str) -> None:
        if not pattern:
            self.add_error("pattern", _("Say what is looked for."))
            return
        try:
            compile_pattern(pattern)
        except PatternRefused as refused:
            self.add_error("pattern", _(str(refused)))

    def _check_integers(self, data: dict[str, Any]) -> None:
        default = data.get("default")
        if default and give_type(Candidate(default, default, 0), "integer") is None:
            self.add_error("default", _("This is no whole number."))
        if data.get("kind") == "choice":
            for _word, value in data.get("choices") or []:
                if give_type(Candidate(value, value, 0), "integer") is None:
                    self.add_error(
                        "choices", _("“%(value)s” is no whole number.") % {"value": value[:40]}
                    )
                    break


class ContextFileForm(forms.Form):
    """A file of callers' variables."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.tsv,.txt,.xlsx,.xls,text/csv"}),
        help_text=gettext_lazy(
            "CSV, TSV or Excel with a header: a column of relation ids, and a column for each"
            " variable under its name in the script."
        ),
    )
    account = forms.ModelChoiceField(
        Account.objects.none(), label=gettext_lazy("Account"), widget=UnfoldAdminSelectWidget()
    )
    robot = RobotChoice(
        Robot.objects.none(),
        label=gettext_lazy("Robot"),
        required=False,
        empty_label=gettext_lazy("every robot of the account"),
        widget=UnfoldAdminSelectWidget(),
    )
    id_column = forms.CharField(
        label=gettext_lazy("Column of the relation id"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Empty: found by its name, like call_relation_id or 关联id."),
        widget=UnfoldAdminTextInputWidget(),
    )
    expires_at = forms.SplitDateTimeField(
        label=gettext_lazy("Expires"),
        required=False,
        help_text=gettext_lazy("Empty: after the period for such variables."),
        widget=UnfoldAdminSplitDateTimeWidget(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        accounts = list_asking_accounts()
        account, robot = self.fields["account"], self.fields["robot"]
        assert isinstance(account, forms.ModelChoiceField)
        assert isinstance(robot, forms.ModelChoiceField)
        account.queryset = accounts
        account.initial = accounts.first()
        robots = Robot.objects.select_related("account").filter(account__in=accounts)
        robot.queryset = robots.order_by("account__name", "name")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        account, robot = data.get("account"), data.get("robot")
        if account and robot and robot.account_id != account.pk:
            self.add_error("robot", _("This robot is of another account."))
        return data


class TryForm(forms.Form):
    """A request as a platform would send it. What stands in ``code`` and ``robot`` goes for what
    the request says."""

    account = forms.ModelChoiceField(
        Account.objects.none(), label=gettext_lazy("Account"), widget=UnfoldAdminSelectWidget()
    )
    kind = forms.ChoiceField(label=gettext_lazy("Question"), widget=UnfoldAdminSelectWidget())
    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=100,
        required=False,
        help_text=gettext_lazy("Empty: as the request says."),
        widget=UnfoldAdminTextInputWidget(),
    )
    robot = RobotChoice(
        Robot.objects.none(),
        label=gettext_lazy("Robot"),
        required=False,
        empty_label=gettext_lazy("as the request says"),
        widget=UnfoldAdminSelectWidget(),
    )
    request = forms.CharField(
        label=gettext_lazy("Request"),
        max_length=MOST_SAMPLE,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 14, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "JSON as the platform sends it, or only what somebody says, one answer in a row."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        accounts = list_asking_accounts()
        account, robot = self.fields["account"], self.fields["robot"]
        kind = self.fields["kind"]
        assert isinstance(account, forms.ModelChoiceField)
        assert isinstance(robot, forms.ModelChoiceField)
        assert isinstance(kind, forms.ChoiceField)
        account.queryset = accounts
        account.initial = accounts.first()
        robots = Robot.objects.select_related("account").filter(account__in=accounts)
        robot.queryset = robots.order_by("account__name", "name")
        kinds = {kind: None for one in PLATFORMS.values() for kind in one.questions}
        kind.choices = [(name, name) for name in reversed(kinds)]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        account, robot, kind = data.get("account"), data.get("robot"), data.get("kind")
        if account and robot and robot.account_id != account.pk:
            self.add_error("robot", _("This robot is of another account."))
        if account and kind and kind not in account.vendor.questions:
            self.add_error("kind", _("This platform does not ask that."))
        return data
