"""In: the body of a push of 7moor. Out: its fields in one flat object, each read at most once.

No two kinds of push are built alike: one wraps its fields in ``content``, one sample lacks a comma,
"nothing" is "", [] or [""], and ``statusTime`` is epoch seconds here and words there. All of that
ends here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from campaigns.platforms.bodies import Body, inner_json, read_body, read_object
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import Direction
from campaigns.platforms.values import (
    MAX_ID_CHARS,
    Fields,
    clean,
    clean_text,
    read_epoch_seconds,
    read_local_time,
)

#: No call, ring or wait lasts a week; a time stamp in place of a duration is far above.
LONGEST_SECONDS = 7 * 24 * 3600
#: Our own id of a contact, where somebody handed it over with a call.
_OUR_CONTACT = re.compile(r"CB-[0-9]{1,18}\Z", re.ASCII)
_EPOCH = re.compile(r"[+-]?[0-9]+(?:\.0+)?\Z", re.ASCII)
#: A string, the end of the line, a name: only a comma can be missing between them. Inside of a
#: string this cannot stand: its second quotation mark would end the string, before a letter.
_NO_COMMA = re.compile(
    r'"(?P<gap>[ \t\r]*\n[ \t\r\n]*)(?="(?P<name>[A-Za-z_][A-Za-z0-9_]{0,60})"[ \t]*:)'
)


def read_push(body: bytes, *, zone: tzinfo) -> Told:
    """The fields of a push. Raises ``Unrecognised`` as ``read_body`` does."""
    try:
        found = read_body(body, form=True)
    except Unrecognised as error:
        mended = _put_commas(body) if error.reason == "not_json" else None
        if mended is None:
            raise
        found = mended
    raw, problems = dict(found.value), dict(found.problems)
    content = inner_json(raw.get("content"))
    if isinstance(content, dict):
        del raw["content"]
        for name, value in content.items():
            if is_said(raw.get(name)) and raw[name] != value:
                problems[clean_text(name)[:100]] = "is given twice; the last one is used"
        raw |= content
    return Told(raw, problems, zone=zone)


def _put_commas(body: bytes) -> Body | None:
    """The one fault of JSON that the text shows: no comma between a string and the next name on a
    new line. None when that was not the only one."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    names = [found["name"] for found in _NO_COMMA.finditer(text)]
    if not names:
        return None
    try:
        mended = read_object(_NO_COMMA.sub(r'",\g<gap>', text))
    except Unrecognised:
        return None
    return Body(
        mended.value, mended.problems | dict.fromkeys(names, "has no comma before it; one was put")
    )


def is_said(value: Any) -> bool:
    """Whether a value says something: "" and null do not, nor do [] and [""]."""
    if isinstance(value, list):
        return any(is_said(inner) for inner in value)
    return value is not None and value not in ("", {})


def read_word(value: Any) -> str:
    """A word that may stand in a table; "" for anything but a text."""
    return value.strip() if isinstance(value, str) else ""


def read_moment(value: Any, *, zone: tzinfo) -> datetime | None:
    """A time as 7moor writes them: epoch seconds, mostly in a string, or words in its zone."""
    words = isinstance(value, str) and not _EPOCH.match(value.strip())
    moment = read_local_time(value, zone=zone) if words else read_epoch_seconds(value)
    return None if moment is None else moment.astimezone(UTC)


@dataclass(slots=True)
class Told(Fields):
    """The fields of a push. ``used`` are those that have a place of their own by now."""

    zone: tzinfo = UTC
    used: set[str] = field(default_factory=set)

    def says(self, name: str) -> bool:
        return is_said(self.raw.get(name))

    def take_id(self, name: str, *, limit: int = MAX_ID_CHARS) -> str | None:
        self.used.add(name)
        return self.id(name, limit=limit)

    def take_text(self, name: str, *, limit: int = 64) -> str | None:
        self.used.add(name)
        return self.text(name, limit=limit)

    def take_word(self, name: str) -> str | None:
        """A word of a table. It stays among the rest, so that it can be read as it came."""
        found = self.text(name, limit=100)
        if name in self.problems:
            self.used.add(name)
        return found.strip() or None if found else None

    def take_moment(self, name: str) -> datetime | None:
        self.used.add(name)
        moment: datetime | None = self._read(read_moment, name, zone=self.zone)
        return moment

    def take_seconds(self, name: str) -> int | None:
        self.used.add(name)
        return self.integer(name, high=LONGEST_SECONDS)

    def take_numbers(self, direction: Direction | None) -> tuple[str | None, str | None]:
        """Caller and callee. Ours is the number shown when we call and the one dialled when we are
        called; the text fills only one of the two. Without a direction nobody knows who called."""
        if direction is None:
            return None, None
        contact = self.take_text("customerNumber")
        if direction is Direction.INBOUND:
            return contact, self._take_first("trunkNumber", "displayNumber")
        return self._take_first("displayNumber", "trunkNumber"), contact

    def _take_first(self, *names: str) -> str | None:
        return next((text for name in names if (text := self.take_text(name))), None)

    def take_carried(self) -> dict[str, Any]:
        """``extras``: what was handed over with the call, documented as an object, shown as ""."""
        self.used.add("extras")
        extras = inner_json(self.raw.get("extras"))
        carried = clean(extras if isinstance(extras, Mapping) else {"extras": extras})
        return {name: value for name, value in carried.items() if is_said(value)}

    def find_contact(self, *, carried: Mapping[str, Any]) -> str | None:
        """Our own id of the contact, if it stands in ``taskId`` or anywhere in ``extras``."""
        found = {
            text.strip()
            for text in _list_texts([self.raw.get("taskId"), carried])
            if _OUR_CONTACT.match(text.strip())
        }
        if len(found) > 1:
            self.name_problem("extras", "names several contacts")
        return found.pop() if len(found) == 1 else None

    def list_rest(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """What has no place yet and says something, cleaned, under the vendor's own names."""
        rest = self.rest(self.used.union(without))
        return {name: value for name, value in rest.items() if is_said(value)}


def _list_texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [text for inner in value for text in _list_texts(inner)]
    return []
