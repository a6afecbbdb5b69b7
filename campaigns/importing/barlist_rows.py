"""In: a table with a column of numbers that nobody may call. Out: each number with why and until
when; a row that says no number is counted, and the first ones kept.

Only the numbers matter: a file of one column needs no header, and columns that are neither numbers
nor reasons nor days are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import IO, Any, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns.importing.cells import clean_cell, read_cell
from campaigns.importing.checking import TOO_MANY, UNREADABLE, ZERO_CHARACTER
from campaigns.importing.errors import ImportRefused, Problem
from campaigns.importing.files import inspect_file
from campaigns.importing.mapping import PHONE_KEYS, find_plan, make_key
from campaigns.importing.reading import Plan, Record, read_start
from campaigns.importing.template import EXAMPLE_PHONE, EXAMPLE_ROW
from campaigns.importing.workbooks import CellProblem
from campaigns.phones import PhoneRefused, normalise_phone

#: what columns beside that of the numbers are called, as ``make_key`` leaves the names
REASON_KEYS = frozenset({"reason", "why", "note", "remark", "原因", "理由", "备注", "说明"})
EXPIRY_KEYS = frozenset(
    {
        *("expires", "expiry", "expiresat", "expirydate", "lastday", "until"),
        *("到期", "到期日", "到期日期", "截止日期", "有效期", "有效期至", "失效日期", "过期时间"),
    }
)

NO_PHONE = N_(
    "The header in line %(line)s has no column of phone numbers. It has: %(found)s. Call the "
    "column “phone” or “手机号码”."
)
DOUBLED = N_(
    "The header in line %(line)s has more than one column of phone numbers: %(found)s. Rename "
    "those that are not meant."
)
HEADLESS = N_(
    "The file has no header, and its first row has more than one phone number: put a line with the "
    "names of the columns above it."
)
NOT_A_DAY = Problem("expiry", N_("This is not a day: write it like 2027-12-31."))
SEVERAL_COUNTRIES = N_(
    "It could be a number of several countries: write it with its country, like +1 212 555 0100."
)
DAY_OVER = Problem("expiry", N_("This day is over: the number may be called again already."))

#: rejected rows kept with what was in them
KEPT = 1_000
KEPT_VALUE = 200
MAX_REASON = 300

_DAY = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?"
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::\d{2}(?:\.\d+)?)?)?"
)
_FOR_GOOD = frozenset({"never", "forgood", "permanent", "永久", "长期", "永不", "无", "-", "–"})
_EXAMPLES = (
    "asked us not to call again (example: delete this row)",
    "要求不再致电（示例：请删除此行）",
)
_TEMPLATES = (("phone", "reason", "last day"), ("手机号码", "原因", "截止日期"))


@dataclass(frozen=True)
class Columns:
    """Where the cells of a list stand; ``header`` is empty where the file has none."""

    phone: int
    reason: int | None = None
    expiry: int | None = None
    header: tuple[str, ...] = ()

    @property
    def used(self) -> list[int]:
        places = (self.phone, self.reason, self.expiry)
        return [place for place in places if place is not None]


class Entry(NamedTuple):
    """A row that can be on the list; an empty reason and no moment leave both to the list."""

    phone: str
    reason: str
    expires_at: datetime | None
    #: the row says that it is for good, whatever the list says
    for_good: bool = False
    #: what of the row could not be read, though its number could
    warning: RowRefused | None = None


class RowRefused(Exception):
    """Why a row cannot be on the list, and which of its cells is to blame."""

    def __init__(self, problem: Problem, place: int | None = None) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.place = place


class Rejected:
    """Counts the rows that cannot be on the list and keeps the first ones, and the first of those
    that are on it though something of them could not be read."""

    def __init__(self) -> None:
        self.count = 0
        self.warned = 0
        self.kept: list[dict[str, Any]] = []

    def add(self, line: int, cells: list[str], columns: Columns, refused: RowRefused) -> None:
        self.count += 1
        if self.count <= KEPT:
            self._keep(line, cells, columns, refused, barred=False)

    def warn(self, line: int, cells: list[str], columns: Columns, refused: RowRefused) -> None:
        self.warned += 1
        if self.warned <= KEPT:
            self._keep(line, cells, columns, refused, barred=True)

    def _keep(
        self, line: int, cells: list[str], columns: Columns, refused: RowRefused, *, barred: bool
    ) -> None:
        place = refused.place
        named = place is not None and place < len(columns.header)
        value = ",".join(cells) if place is None else "".join(cells[place : place + 1])
        self.kept.append(
            {
                "line": line,
                "column": columns.header[place] if named and place is not None else "",
                "code": refused.problem.code,
                "reason": refused.problem.reason,
                # the database takes no zero character
                "value": value[:KEPT_VALUE].replace("\0", "\ufffd"),
                **({"barred": True} if barred else {}),
            }
        )


def find_columns(handle: IO[bytes]) -> tuple[Plan, Columns]:
    """How the file is read, and where its numbers stand. Raises ``ImportRefused``."""
    names = sorted(PHONE_KEYS | REASON_KEYS | EXPIRY_KEYS)
    plan, header = find_plan(handle, inspect_file(handle), columns=names)
    if plan.header_line is None:
        return plan, _find_numbers(read_start(handle, plan, 1)[0][1])
    keys = [make_key(cell) for cell in header]
    phones = _find_places(keys, PHONE_KEYS)
    if not phones:
        filled = [place for place, key in enumerate(keys) if key]
        if len(filled) != 1:
            raise ImportRefused(NO_PHONE, line=plan.header_line, found=_list(header))
        if sum(map(str.isdecimal, header[filled[0]])) >= 5:
            # a list of numbers that begins with one that cannot be read
            return replace(plan, header_line=None), Columns(filled[0])
        phones = filled
    if len(phones) > 1:
        doubled = _list([header[place] for place in phones])
        raise ImportRefused(DOUBLED, line=plan.header_line, found=doubled)
    reasons, expiries = _find_places(keys, REASON_KEYS), _find_places(keys, EXPIRY_KEYS)
    return plan, Columns(
        phone=phones[0],
        reason=reasons[0] if reasons else None,
        expiry=expiries[0] if expiries else None,
        header=tuple(header),
    )


def _find_numbers(cells: list[str]) -> Columns:
    """Where the number stands in the first row of a file without a header."""
    places = [place for place, cell in enumerate(cells) if _is_phone(cell)]
    if len(places) != 1:
        raise ImportRefused(HEADLESS)
    return Columns(places[0])


def _is_phone(cell: str) -> bool:
    try:
        normalise_phone(read_cell(cell))
    except PhoneRefused:
        return False
    return True


def _find_places(keys: list[str], wanted: frozenset[str]) -> list[int]:
    return [place for place, key in enumerate(keys) if key in wanted]


def _list(names: Iterable[str]) -> str:
    """Names as a person reads them, without what no sentence can hold."""
    cleaned = ["".join(filter(str.isprintable, clean_cell(name)))[:40] for name in names]
    return ", ".join(f"“{name}”" for name in [one for one in cleaned if one][:20]) or "–"


def read_entries(
    records: Iterable[Record],
    plan: Plan,
    columns: Columns,
    *,
    regions: Collection[str],
    zones: Sequence[tzinfo],
    now: datetime,
    rejected: Rejected,
) -> Iterator[Entry]:
    """What of the rows can be on the list. Numbers without a country are of one of the ``regions``;
    a day ends when it has in all of the ``zones``, and is over if it ended before ``now``."""
    for line, cells, problem in records:
        if line <= (plan.header_line or 0) or not any(map(clean_cell, cells)):
            continue
        try:
            entry = _read_row(cells, problem, columns, regions=regions, zones=zones)
            if entry.expires_at is not None and entry.expires_at <= now:
                raise RowRefused(DAY_OVER, columns.expiry)
        except RowRefused as refused:
            rejected.add(line, cells, columns, refused)
        else:
            if entry.warning is not None:
                rejected.warn(line, cells, columns, entry.warning)
            yield entry


def _read_row(
    cells: list[str],
    problem: Problem | None,
    columns: Columns,
    *,
    regions: Collection[str],
    zones: Sequence[tzinfo],
) -> Entry:
    """Whoever said no is not called: a number that can be read is barred, whatever else of the row
    cannot. What may stand in the wrong place or was not meant to be seen gives no reason and no
    day; those of the list go for it then."""
    single = problem.places if isinstance(problem, CellProblem) else {}
    if found := single.get(columns.phone):
        raise RowRefused(found, columns.phone)
    fault = warning = _find_fault(cells, problem, columns)
    try:
        phone = read_number(_take(cells, columns.phone), regions)
    except PhoneRefused as error:
        raise fault or RowRefused(Problem("phone", error.reason), columns.phone) from None
    except RowRefused as refused:
        raise fault or refused from None
    reason = last = ""
    try:
        # of single cells: those that nobody reads do not matter
        reason = _take(cells, columns.reason, single)
    except RowRefused as refused:
        warning = warning or refused
    if reason in _EXAMPLES:
        raise RowRefused(EXAMPLE_ROW)
    if fault:
        return Entry(phone, "", None, warning=fault)
    try:
        last = _take(cells, columns.expiry, single)
    except RowRefused as refused:
        warning = warning or refused
    if make_key(last) in _FOR_GOOD:
        return Entry(phone, reason[:MAX_REASON], None, for_good=True, warning=warning)
    ends = [read_last_day(last, zone) for zone in zones] if last else []
    expires_at = max((end for end in ends if end is not None), default=None)
    if last and expires_at is None:
        warning = warning or RowRefused(NOT_A_DAY, columns.expiry)
    return Entry(phone, reason[:MAX_REASON], expires_at, warning=warning)


def _find_fault(cells: list[str], problem: Problem | None, columns: Columns) -> RowRefused | None:
    """What is wrong with the row as a whole."""
    if problem is not None and not isinstance(problem, CellProblem):
        return RowRefused(problem)
    if columns.header and any(map(clean_cell, cells[len(columns.header) :])):
        return RowRefused(TOO_MANY)
    return None


def read_number(text: str, regions: Collection[str]) -> str:
    """The normal form of a number of one of the ``regions``. Raises ``PhoneRefused``, also for one
    that would be somebody else's in another of them."""
    found, refused = set(), PhoneRefused(SEVERAL_COUNTRIES)
    for region in regions:
        try:
            found.add(normalise_phone(text, region=region))
        except PhoneRefused as error:
            refused = error
    if len(found) > 1:
        raise PhoneRefused(SEVERAL_COUNTRIES)
    if not found:
        raise refused
    return found.pop()


def _take(
    cells: list[str], place: int | None, problems: Mapping[int, Problem] | None = None
) -> str:
    """The text of a cell, nothing for one that is not there."""
    if place is None:
        return ""
    if problems and place in problems:
        raise RowRefused(problems[place], place)
    if place >= len(cells):
        return ""
    text = read_cell(cells[place])
    if "\0" in text:
        raise RowRefused(ZERO_CHARACTER, place)
    if "\ufffd" in text:
        raise RowRefused(UNREADABLE, place)
    return text


def read_last_day(text: str, zone: tzinfo) -> datetime | None:
    """The end of the day, or the moment where there is a time; None for what is neither."""
    found = _DAY.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute = (int(part or 0) for part in found.groups())
    if not 1900 < year < 9000:
        return None
    try:
        moment = datetime(year, month, day, hour, minute, tzinfo=zone)
    except ValueError:
        return None
    # a spreadsheet gives a day a time, which is midnight
    return moment if hour or minute else moment + timedelta(days=1)


def make_list_template(language: str) -> bytes:
    """An empty list with an example row, as a CSV that opens right in Excel."""
    chinese = language.startswith("zh")
    day = f"{timezone.localdate().year + 1}-12-31"
    rows = [_TEMPLATES[chinese], (EXAMPLE_PHONE, _EXAMPLES[chinese], day)]
    return ("\ufeff" + "".join(f"{','.join(row)}\r\n" for row in rows)).encode()
