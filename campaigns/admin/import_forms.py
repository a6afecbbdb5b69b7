"""In: what a person sees of a file of contacts. Out: how it is read, what its columns are, and who
counts as a duplicate."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from unfold.widgets import (
    CHECKBOX_CLASSES,
    RADIO_CLASSES,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
)

from campaigns.importing.files import ENCODINGS
from campaigns.importing.mapping import PHONE_KEYS, hide_name, make_key
from campaigns.importing.reading import DELIMITERS
from campaigns.models import ContactImport

#: what the file picker offers first; what a file really is, its bytes say
ACCEPTED = ".csv,.tsv,.txt,.xlsx,.xls"

#: in a line of facts; where one is chosen, ``ENCODINGS`` says more
_SHORT_NAMES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 (BOM)",
    "gb18030": "GB18030",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "utf-32": "UTF-32",
    "cp950": "Big5",
    "cp1252": "Windows-1252",
}


def name_encoding(encoding: str) -> str:
    return _SHORT_NAMES.get(encoding, encoding.upper())


def name_delimiter(delimiter: str) -> str:
    """The word for what stands between two cells."""
    names = {
        ",": _("comma"),
        "\t": _("tab"),
        ";": _("semicolon"),
        "|": _("vertical bar"),
    }
    return names.get(delimiter, delimiter)


def show_limit() -> str:
    """How large a file may be."""
    return f"{settings.IMPORT_MAX_BYTES // 1_000_000:,} MB"


class UploadForm(forms.Form):
    """A file. What is wrong in it, reading it tells; here only whether it may come at all."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        max_length=255,
        error_messages={
            "required": gettext_lazy("Choose a file first."),
            "empty": gettext_lazy("The file is empty."),
            "max_length": gettext_lazy("The name of the file is too long: give it a shorter one."),
        },
        widget=forms.FileInput(attrs={"accept": ACCEPTED}),
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > settings.IMPORT_MAX_BYTES:
            raise forms.ValidationError(
                _("The file is larger than %(size)s. Divide it into several files.")
                % {"size": show_limit()}
            )
        return file


class ReadingForm(forms.Form):
    """How the file is read. A text has an encoding and a delimiter, a workbook has sheets."""

    encoding = forms.ChoiceField(label=gettext_lazy("Encoding"), widget=UnfoldAdminSelectWidget())
    delimiter = forms.ChoiceField(
        label=gettext_lazy("Between the cells"), widget=UnfoldAdminSelectWidget()
    )
    sheet = forms.ChoiceField(label=gettext_lazy("Sheet"), widget=UnfoldAdminSelectWidget())
    header_line = forms.IntegerField(
        label=gettext_lazy("The columns' names stand in line"),
        required=False,
        min_value=1,
        max_value=2_000_000_000,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"min": "1"}),
        help_text=gettext_lazy("Empty: the first row is a contact already."),
    )

    def __init__(
        self, *args: Any, contact_import: ContactImport, sheets: list[Any], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        one = contact_import
        if one.kind == ContactImport.Kind.TEXT:
            del self.fields["sheet"]
            offered = dict.fromkeys([*ENCODINGS, one.encoding])
            self._offer(
                "encoding", [(name, _(ENCODINGS.get(name, name))) for name in offered if name]
            )
            delimiters = dict.fromkeys([*DELIMITERS, one.delimiter])
            self._offer("delimiter", [(mark, name_delimiter(mark)) for mark in delimiters if mark])
        else:
            del self.fields["encoding"], self.fields["delimiter"]
            self._offer("sheet", [(sheet.name, self._name_sheet(sheet)) for sheet in sheets])
        for name in self.fields:
            self.initial.setdefault(name, getattr(one, name))

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    @staticmethod
    def _name_sheet(sheet: Any) -> str:
        notes = [
            *([_("hidden")] if sheet.hidden else ()),
            *([_("%(n)s rows") % {"n": f"{sheet.rows:,}"}] if sheet.rows is not None else ()),
        ]
        return f"{sheet.name} ({', '.join(notes)})" if notes else str(sheet.name)

    @property
    def chosen(self) -> dict[str, Any]:
        """All four, empty what this kind of file has not."""
        defaults = {"encoding": "", "delimiter": "", "sheet": ""}
        return defaults | self.cleaned_data


class ColumnsForm(forms.Form):
    """For each column of the robot its column of the file; what is kept; who is a duplicate."""

    kept = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": " ".join(CHECKBOX_CLASSES)}),
    )
    duplicates = forms.ChoiceField(
        label=gettext_lazy("A number counts as a duplicate when it stands already"),
        choices=ContactImport.Scope.choices,
        widget=forms.RadioSelect(attrs={"class": " ".join(RADIO_CLASSES)}),
    )
    duplicate_days = forms.IntegerField(
        label=gettext_lazy("How many days back"),
        required=False,
        min_value=1,
        max_value=3650,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"min": "1", "max": "3650"}),
    )
    keep_row = forms.ChoiceField(
        label=gettext_lazy("Of several rows with one number counts"),
        choices=ContactImport.Keep.choices,
        widget=forms.RadioSelect(attrs={"class": " ".join(RADIO_CLASSES)}),
    )

    def __init__(self, *args: Any, contact_import: ContactImport, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        one = contact_import
        self.columns = [str(column) for column in one.task.robot.columns]
        #: {header as it is shown and posted: header}; a number in it is shown to nobody
        self.headers: dict[str, str] = {}
        for header in dict.fromkeys(str(name) for name in one.header if name):
            shown = hide_name(header)
            while shown in self.headers:  # two that look the same now
                shown = f"{shown}'"
            self.headers[shown] = header
        shown_names = {header: shown for shown, header in self.headers.items()}
        choices = [("", pgettext("column of the file", "– choose –"))]
        choices += [(name, name) for name in self.headers]
        for number, column in enumerate(self.columns):
            self.fields[f"column_{number}"] = forms.ChoiceField(
                label=column,
                choices=choices,
                required=False,
                initial=shown_names.get(one.mapping.get(column, ""), ""),
                widget=UnfoldAdminSelectWidget(),
            )
        kept = self.fields["kept"]
        assert isinstance(kept, forms.MultipleChoiceField)
        kept.choices = [(name, name) for name in self.headers]
        self.initial.setdefault("kept", [shown_names.get(name, name) for name in one.kept])
        for name in ("duplicates", "duplicate_days", "keep_row"):
            self.initial.setdefault(name, getattr(one, name))
        if self.initial["duplicate_days"] is None:
            self.initial["duplicate_days"] = 30

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for number in range(len(self.columns)):
            name = f"column_{number}"
            if not data.get(name) and name not in self.errors:
                self.add_error(
                    name,
                    _(
                        "The robot needs this column: choose where it stands in the file. If the "
                        "file has none, add one, and upload it again."
                    ),
                )
            elif data.get(name):
                data[name] = self.headers[data[name]]
        data["kept"] = [self.headers[shown] for shown in data.get("kept", [])]
        if data.get("duplicates") != ContactImport.Scope.DAYS:
            data["duplicate_days"] = None
            self.errors.pop("duplicate_days", None)
        elif data.get("duplicate_days") is None and "duplicate_days" not in self.errors:
            self.add_error("duplicate_days", _("Say how many days."))
        # a column that is chosen for the robot is there anyway
        taken = {data.get(f"column_{number}") for number in range(len(self.columns))}
        data["kept"] = [header for header in data["kept"] if header not in taken]
        return data

    @property
    def mapping(self) -> dict[str, str]:
        """{column of the robot: header in the file}, as far as chosen."""
        return {
            column: header
            for number, column in enumerate(self.columns)
            if (header := self.cleaned_data.get(f"column_{number}"))
        }

    @property
    def choices(self) -> dict[str, Any]:
        """What ``importing.choose_columns`` takes."""
        names = ("kept", "duplicates", "duplicate_days", "keep_row")
        return {"mapping": self.mapping} | {name: self.cleaned_data[name] for name in names}

    def list_columns(
        self, samples: dict[str, list[str]], *, known: dict[str, str]
    ) -> list[dict[str, Any]]:
        """The robot's columns, each with its field, what stands in the column chosen for it, and
        why that one was suggested. ``known`` is what was mapped the last time for this robot."""
        rows = []
        chosen = [
            str(self[f"column_{number}"].value() or "") for number in range(len(self.columns))
        ]
        for number, (column, shown) in enumerate(zip(self.columns, chosen, strict=True)):
            header = self.headers.get(shown, "")
            rows.append(
                {
                    "column": column,
                    "field": self[f"column_{number}"],
                    "header": shown,
                    "twice": bool(header) and chosen.count(shown) > 1,
                    "same": bool(header) and make_key(header) == make_key(column),
                    "known": bool(header) and make_key(header) == make_key(known.get(column, "")),
                    "usual": number == 0 and make_key(header) in PHONE_KEYS,
                    "samples": samples.get(header, []),
                }
            )
        return rows

    def list_others(self, samples: dict[str, list[str]]) -> list[dict[str, Any]]:
        """The columns of the file that the robot does not ask for."""
        taken = {str(self[f"column_{number}"].value() or "") for number in range(len(self.columns))}
        chosen = set(self["kept"].value() or [])
        return [
            {"header": shown, "kept": shown in chosen, "samples": samples.get(header, [])}
            for shown, header in self.headers.items()
            if shown not in taken
        ]
