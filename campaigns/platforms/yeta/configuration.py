"""In: ``result`` of config/query. Out: the account's robots, lines, voices and callback addresses.

Lenient: an entry without its key is left out, any other field that cannot be read is left empty
and named under ``problems`` of its ``raw``. Beside the text: fields that public clients saw
(``voices[].code`` and ``name``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

from campaigns.platforms.bodies import inner_json
from campaigns.platforms.contract import Catalog, LineInfo, RobotInfo, VoiceInfo
from campaigns.platforms.errors import Uncertain
from campaigns.platforms.values import Fields, clean
from campaigns.platforms.yeta.replies import UNUSABLE
from campaigns.platforms.yeta.vocabulary import LINE_STATES, ROBOT_KINDS, ROBOT_STATES


def read_catalog(result: dict[str, Any]) -> Catalog:
    """Robots, lines, voices and callback addresses of config/query; entries without a key are left
    out, of several with the same key the first is kept."""
    robots = {robot.platform_id: robot for row in _rows(result, "robots") if (robot := _robot(row))}
    lines = {line.number: line for row in _rows(result, "lines") if (line := _line(row))}
    voices = {voice.code: voice for row in _rows(result, "voices") if (voice := _voice(row))}
    urls: dict[str, str] = {}
    for row in _rows(result, "urls"):
        kind, url = row.id("url_module"), row.text("url", limit=1000)
        if kind and url:
            urls.setdefault(kind, url)
    return Catalog(
        robots=tuple(robots.values()),
        lines=tuple(lines.values()),
        voices=tuple(voices.values()),
        callback_urls=urls,
    )


def _rows(result: dict[str, Any], name: str) -> list[Fields]:
    """The objects of one list."""
    found = result.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Uncertain(f"{UNUSABLE}: {name} is not a list.")
    return [Fields(row) for row in found if isinstance(row, dict)]


def _get_word(fields: Fields, name: str, words: Mapping[str, str]) -> tuple[str, str]:
    """Our word for a code, ``unknown`` for others, and the code."""
    number = fields.integer(name)
    code = "" if number is None else str(number)
    return words.get(code, "unknown"), code


def _keep_raw(fields: Fields) -> dict[str, Any]:
    raw: dict[str, Any] = clean(dict(fields.raw))
    if fields.problems:
        raw["problems"] = dict(fields.problems)
    return raw


def _robot(fields: Fields) -> RobotInfo | None:
    identifier = fields.id("robot_id")
    if identifier is None:
        return None
    state, code = _get_word(fields, "status", ROBOT_STATES)
    kind, _ = _get_word(fields, "type", ROBOT_KINDS)
    columns = inner_json(fields.raw.get("call_column"))
    if columns is not None and not isinstance(columns, list):
        fields.name_problem("call_column", "is not a list")
    return RobotInfo(
        platform_id=identifier,
        name=fields.text("robot_name", limit=200) or "",
        columns=tuple(
            clean(name) for name in columns if isinstance(name, str)
        ) if isinstance(columns, list) else (),
        state=state,
        platform_state=code,
        kind=kind,
        deleted=bool(fields.flag("deleted")),
        created_at=fields.epoch_ms("time_create"),
        updated_at=fields.epoch_ms("time_update"),
        raw=_keep_raw(fields),
    )  # fmt: skip


def _line(fields: Fields) -> LineInfo | None:
    number = fields.id("line_num")
    if number is None:
        return None
    state, code = _get_word(fields, "status", LINE_STATES)
    applied_at = fields.epoch_ms("time_apply")
    return LineInfo(
        number=number,
        concurrency=fields.integer("concurrents"),
        hours=_read_hours(fields),
        state=state,
        platform_state=code,
        applied_at=applied_at,
        expires_at=_read_expiry(fields, applied_at),
        raw=_keep_raw(fields),
    )


def _read_expiry(fields: Fields, applied_at: datetime | None) -> datetime | None:
    """``time_apply`` is in milliseconds, ``time_expire`` a length in seconds, -1 for ever."""
    seconds = fields.integer("time_expire", low=-1, high=2**62)
    if applied_at is None or seconds is None or seconds == -1:
        return None
    if seconds > 100 * 366 * 86_400:
        fields.name_problem("time_expire", "is longer than a hundred years")
        return None
    return applied_at + timedelta(seconds=seconds)


_WINDOW = re.compile(r"\s*(\d{1,2}:\d{2}(?::\d{2})?)\s*[-~]\s*(\d{1,2}:\d{2}(?::\d{2})?)\s*")


def _read_hours(fields: Fields) -> tuple[tuple[time, time], ...]:
    """``time_work``: ["09:00:00-12:00:00", …]. One over midnight becomes two; unreadable ones are
    left out and named."""
    found = inner_json(fields.raw.get("time_work"))
    if found in (None, ""):
        return ()
    hours: list[tuple[time, time]] = []
    for text in found if isinstance(found, list) else [found]:
        match = _WINDOW.fullmatch(text) if isinstance(text, str) else None
        begin, end = (_read_clock(match[1]), _read_clock(match[2])) if match else (None, None)
        if begin is None or end is None or begin == end:
            fields.name_problem("time_work", "holds a window that cannot be read")
        elif begin < end:
            hours.append((begin, end))
        else:
            hours += [(begin, _DAY_ENDS), (time(0), end)] if end > time(0) else [(begin, _DAY_ENDS)]
    return tuple(hours)


_DAY_ENDS = time(23, 59, 59)


def _read_clock(text: str) -> time | None:
    hour, minute, second = ([int(part) for part in text.split(":")] + [0])[:3]
    if (hour, minute, second) == (24, 0, 0):
        return _DAY_ENDS
    try:
        return time(hour, minute, second)
    except ValueError:
        return None


def _voice(fields: Fields) -> VoiceInfo | None:
    code = fields.id("voice_code") or fields.id("code")
    if code is None:
        return None
    name = fields.text("voice_name", limit=200) or fields.text("name", limit=200)
    return VoiceInfo(code=code, name=name or code)
