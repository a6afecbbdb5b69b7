"""In: what stands in a parameter. Out: the value it means, as JSON can keep it, or a refusal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.masking import mask_numbers
from campaigns.models.history import fill_in

#: what a value is once it is read
Value = str | list[str]
Narrow = Callable[[QuerySet[Any], Any], QuerySet[Any]]

#: as many rows can be chosen one by one, and as many words be listed
MAX_IDS, MAX_WORDS = 10_000, 50
MAX_TEXT = 300

_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
_BETWEEN = re.compile(r"[,，、;；]")
_YES_NO = {"yes": gettext_lazy("yes"), "no": gettext_lazy("no")}
_ONE_ZERO = {
    "1": ("1", True),
    "True": ("1", True),
    "true": ("1", True),
    "0": ("0", False),
    "False": ("0", False),
    "false": ("0", False),
}


class BadCriteria(ValueError):
    """The parameters choose nothing we could be sure of. The message is a sentence to be shown."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter of a list's address.

    ``read`` takes what stands in it and returns what is kept; ``narrow`` takes the rows and what is
    kept; ``tell`` says it to a person, without a whole phone number. ``leads``: an index of its own
    finds the few rows, so nobody has to look through others for them. ``of_call``: of a contact,
    what one and the same call of it must be.
    """

    name: str
    label: Any
    read: Callable[[list[str]], Value]
    narrow: Narrow
    tell: Callable[[Any], str] = lambda value: (
        ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    )
    leads: bool | Callable[[Any], bool] = False
    of_call: Callable[[Any], Q] | None = None
    #: (word, its name), where there is a choice of them
    choices: tuple[tuple[str, Any], ...] = ()

    def is_led(self, value: Any) -> bool:
        return self.leads(value) if callable(self.leads) else self.leads


def refuse(text: str) -> BadCriteria:
    return BadCriteria(text)


def _only(values: list[str]) -> str:
    if len(values) != 1:
        raise refuse(_("It is given more than once."))
    text = values[0].strip()
    if len(text) > MAX_TEXT or not text.isprintable():
        raise refuse(_("It is too long, or holds characters that no text has."))
    return text


# -------------------------------------------------------------------------------- kinds of criteria


def make_choice(
    name: str,
    label: Any,
    choices: Iterable[tuple[Any, Any]],
    narrow: Narrow | str,
    *,
    leads: bool | Callable[[Any], bool] = False,
) -> Criterion:
    """One or several of known words. ``narrow``: a field, or what takes the list of words."""
    words = {str(key): word for key, word in choices}

    def read(values: list[str]) -> list[str]:
        chosen = list(dict.fromkeys(values))
        for word in chosen:
            if word not in words:
                raise refuse(_("“%(value)s” is none of its words.") % {"value": word[:40]})
        return chosen

    return Criterion(
        name,
        label,
        read,
        _narrow_in(narrow),
        lambda value: ", ".join(str(words[word]) for word in value),
        leads=leads,
        choices=tuple(words.items()),
    )


def make_text(
    name: str,
    label: Any,
    narrow: Narrow | str,
    *,
    leads: bool = False,
    of_call: Callable[[Any], Q] | None = None,
) -> Criterion:
    """One or several texts, as they are. In one parameter they stand between commas; a text that
    has a comma itself is found as well, and alone where it stands in quotes (``quote_text``)."""

    def read(values: list[str]) -> list[str]:
        found: dict[str, None] = {}
        for value in values:
            text = _only([value])
            parts = [] if _is_quoted(text) else [part.strip() for part in _BETWEEN.split(text)]
            found |= dict.fromkeys(part for part in [text, *parts] if part)
        if len(found) > MAX_WORDS:
            raise refuse(_("These are too many words."))
        return list(found)

    def tell(value: list[str]) -> str:
        parts = [text for text in value if _is_quoted(text) or not _BETWEEN.search(text)]
        return mask_numbers(", ".join(map(_unquote, parts or value)), likely=True)

    among = _narrow_in(narrow)
    return Criterion(
        name,
        label,
        read,
        lambda rows, value: among(rows, [_unquote(text) for text in value]),
        tell,
        leads=leads,
        of_call=of_call and (lambda value: of_call([_unquote(text) for text in value])),
    )


def quote_text(text: str) -> str:
    """The text as a parameter that means it alone, whatever commas are in it."""
    return f'"{text}"' if _BETWEEN.search(text) or _is_quoted(text) else text


def _is_quoted(text: str) -> bool:
    return len(text) > 2 and text[0] == text[-1] == '"'


def _unquote(text: str) -> str:
    return text[1:-1] if _is_quoted(text) else text


def make_id(
    name: str,
    label: Any,
    narrow: Narrow | str,
    *,
    name_of: Callable[[str], str] | None = None,
    leads: bool = False,
) -> Criterion:
    """Rows that belong to another, by its id; several ids are alternatives."""

    def read(values: list[str]) -> list[str]:
        ids = [part.strip() for value in values for part in value.split(",")]
        if len(ids) > MAX_IDS or not all(map(_ID.fullmatch, ids)):
            raise refuse(_("It is the number of no row."))
        return list(dict.fromkeys(str(int(one)) for one in ids))

    def tell(value: list[str]) -> str:
        if len(value) > 3:
            return fill_in(_("%(n)d rows"), {"n": len(value)})
        return ", ".join((name_of(one) if name_of else "") or one for one in value)

    return Criterion(name, label, read, _narrow_in(narrow), tell, leads=leads)


def make_yes_no(name: str, label: Any, yes: Narrow, no: Narrow, *, words: Any = None) -> Criterion:
    told: Mapping[str, Any] = words or _YES_NO

    def read(values: list[str]) -> str:
        text = _only(values)
        if text not in ("yes", "no"):
            raise refuse(_("“%(value)s” is none of its words.") % {"value": text[:40]})
        return text

    return Criterion(
        name,
        label,
        read,
        lambda rows, value: (yes if value == "yes" else no)(rows, value),
        lambda value: str(told[value]),
        choices=tuple(told.items()),
    )


def make_flag(name: str, label: Any, lookup: str) -> Criterion:
    """A field that is true or false, as the admin's own filter writes it: 1 or 0."""

    def read(values: list[str]) -> str:
        text = _only(values)
        if text not in _ONE_ZERO:
            raise refuse(_("“%(value)s” is none of its words.") % {"value": text[:40]})
        return _ONE_ZERO[text][0]

    return Criterion(
        name,
        label,
        read,
        lambda rows, value: rows.filter(**{lookup: value == "1"}),
        lambda value: str(_YES_NO["yes" if value == "1" else "no"]),
        choices=(("1", _YES_NO["yes"]), ("0", _YES_NO["no"])),
    )


def make_count(
    name: str,
    label: Any,
    narrow: Callable[[QuerySet[Any], int], QuerySet[Any]],
    *,
    of_call: Callable[[Any], Q] | None = None,
) -> Criterion:
    """A number from zero on."""

    def read(values: list[str]) -> str:
        text = _only(values)
        if not _COUNT.fullmatch(text):
            raise refuse(_("It is no whole number."))
        return str(int(text))

    return Criterion(
        name, label, read, lambda rows, value: narrow(rows, int(value)), of_call=of_call
    )


def make_moment(
    name: str,
    label: Any,
    narrow: Callable[[QuerySet[Any], datetime], QuerySet[Any]],
    *,
    until: bool = False,
) -> Criterion:
    """A day of the reader's zone, or a moment (2026-11-21T13:00). ``until``: a day is included to
    its end; of a moment, what is before it."""

    def read(values: list[str]) -> str:
        text = _only(values)
        read_moment(text, until=until)
        day = _read_day(text)
        return day.isoformat() if day else text

    return Criterion(
        name, label, read, lambda rows, value: narrow(rows, read_moment(value, until=until))
    )


def read_moment(text: str, *, until: bool = False) -> datetime:
    """When a parameter begins, or with ``until`` ends. Raises ``BadCriteria``."""
    day = _read_day(text)
    if day is not None:
        if not 1900 < day.year < 9000:
            raise refuse(_("It is no date."))
        moment = datetime(day.year, day.month, day.day)  # noqa: DTZ001
        return timezone.make_aware(moment + timedelta(days=1 if until else 0))
    try:
        # in an address the plus of a zone is a blank
        exact = parse_datetime(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        exact = None
    if exact is None or not 1900 < exact.year < 9000:
        raise refuse(_("It is no date."))
    return exact if timezone.is_aware(exact) else timezone.make_aware(exact)


def _read_day(text: str) -> date | None:
    for form in ("%Y-%m-%d", *settings.DATE_INPUT_FORMATS):
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007
        except ValueError:
            continue
    return None


def _narrow_in(narrow: Narrow | str) -> Narrow:
    if not isinstance(narrow, str):
        return narrow
    field = narrow

    def among(rows: QuerySet[Any], value: list[str]) -> QuerySet[Any]:
        if len(value) == 1:
            return rows.filter(Q(**{field: value[0]}))
        return rows.filter(Q(**{f"{field}__in": value}))

    return among
