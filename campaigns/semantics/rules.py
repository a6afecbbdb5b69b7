"""In: a rule that a manager configured, and what was said in a call. Out: the value it finds, and
why, or why not.

Pure: no clock, no database. Every kind of rule is one function, text in, candidates out; which of
them is meant, what type it has and what bounds, is decided here once for all kinds.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

from django.utils.translation import gettext_noop as N_

from campaigns.platforms.questions import MOST_INTEGER, Asked, Value
from campaigns.semantics import dates, numerals, patterns, phones
from campaigns.semantics.numerals import Quantity

KINDS = ("number", "phone", "date", "amount", "choice", "pattern")
SOURCES = ("last_answer", "any_answer", "reply", "node", "context")
TYPES = ("integer", "string")
#: of one text so many characters are looked at
MOST_TEXT = patterns.MOST_TEXT
#: of "any answer" so many are looked at, the newest first
MOST_ANSWERS = 50
MOST_VALUE = 1_000

#: what follows takes back what was said before
_CORRECTED = re.compile(
    r"不对|说错了|讲错了|错了|更正一下|应该是|改成|纠正|[哦噢啊呃]不(?=[,\s是])"
)
#: 三点 is an hour, 五分 a mark or a part of money that nobody can tell from it
_NO_MONEY = ("分", "点", "折", "成", "倍", "月", "日", "秒")
_DENIED = ("不是", "不要", "不想要", "并非", "没有", "不")
#: a word behind one of these, in the same breath, is not said: 不能同意, 不怎么想要, 没说要
_NOT = re.compile("[不没别未非无莫勿甭]|拒绝|反对")
_BREATH = 8
#: these deny nothing
_NO_DENIAL = re.compile(
    r"不仅|不但|不光|不只|不管|不过|没问题|没关系|没事|不错|不好意思|不客气|差不多|对不起|无所谓|特别"
)
#: behind these something new begins: 不是苹果是梨, 不要苹果要梨, 不行就明天
_ANEW = re.compile(r"[,。;；、!?]|(?<![不没会能])是|但|就|而|(?<![不没别想需太会能定是得说算着])要")
_NOT_BEHIND = re.compile(r"不了|不得")
#: 要不要 asks, and says nothing
_ASKS = re.compile(r"(\w)[不没]\1")
#: words that merely hold a short word
_HOLDERS = re.compile(
    r"主要|重要|次要|首要|要是|要不然?|要么|只要|但是|可是|还是|就是|于是|总是|老是|要不是|不是吗"
    r"|好像|好几|好多|好久|只好|正好|刚好|恰好|幸好|不好意思|哪有|所有|还有"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, as somebody configured it. ``choices`` are (word, value) pairs; ``after``: only
    what stands behind this word; ``unit``: counted in this unit; ``side``: which day is meant where
    the year or month was not said."""

    key: str
    kind: str
    id: int = 0
    type: str = "string"
    source: str = "last_answer"
    source_name: str = ""
    pattern: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    after: str = ""
    unit: str = ""
    which: str = "first"
    low: int | None = None
    high: int | None = None
    side: str = "future"
    default: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one rule. ``text`` is what it looked at, ``found`` the words that it took;
    ``why``: an English sentence when it found nothing."""

    rule: Rule
    text: str = ""
    found: str = ""
    value: int | str | None = None
    is_default: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the words alone do not say: the day of the call where it is made, and the region whose
    phone numbers need no country."""

    today: date
    region: str = "CN"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible value: a whole number, or text. ``start`` is where it was said."""

    value: Fraction | str
    text: str
    start: int
    #: what it is as an integer, where that is not what its digits are
    integer: int | None = field(default=None)


NOTHING_SAID = N_("There is no text to look at.")
NOTHING_FOUND = N_("Nothing of the kind was found in the text.")
NOT_IN_BOUNDS = N_("What was found is not within the bounds.")
WRONG_TYPE = N_("What was found is not of the type that is answered.")


def apply_rules(rules: Iterable[Rule], asked: Asked, around: Surroundings) -> list[Finding]:
    """Every rule's finding, in the order of the rules."""
    return [apply_rule(rule, asked, around) for rule in rules]


def apply_rule(rule: Rule, asked: Asked, around: Surroundings) -> Finding:
    why, looked_at = NOTHING_SAID, ""
    for text in list_texts(rule, asked):
        looked_at = looked_at or text
        # what a pattern takes is given as it was said
        fold = numerals.widen if rule.kind == "pattern" else numerals.fold
        folded = fold(text)[:MOST_TEXT]
        if rule.after:
            _before, met, folded = folded.partition(fold(rule.after))
            if not met:
                why = NOTHING_FOUND if why == NOTHING_SAID else why
                continue
        candidates = list(_FINDERS[rule.kind](rule, folded, around))
        why = NOTHING_FOUND
        fitting = [one for one in candidates if _is_within(rule, one)]
        if candidates and not fitting:
            why = NOT_IN_BOUNDS
        for one in reversed(fitting) if rule.which == "last" else fitting:
            if (value := give_type(one, rule.type)) is not None:
                return Finding(rule, text, one.text, value)
            why = WRONG_TYPE
    if rule.default:
        default = give_type(Candidate(rule.default, rule.default, 0), rule.type)
        if default is not None:
            return Finding(rule, looked_at, "", default, is_default=True, why=why)
    return Finding(rule, looked_at, why=why)


def choose_values(findings: Sequence[Finding]) -> list[Value]:
    """One value for each key: what the first rule that found something says, and a default only
    where no rule found anything."""
    chosen: dict[str, Value] = {}
    for by_default in (False, True):
        for one in findings:
            if one.value is not None and one.is_default is by_default:
                chosen.setdefault(one.rule.key, Value(one.rule.key, one.value))
    order = {one.rule.key: place for place, one in reversed(list(enumerate(findings)))}
    return sorted(chosen.values(), key=lambda value: order[value.key])


def list_texts(rule: Rule, asked: Asked) -> Iterator[str]:
    """The texts that a rule looks at, the first that gives a value being the last looked at."""
    if rule.source == "reply":
        texts: Iterable[str] = (asked.reply,)
    elif rule.source == "context":
        texts = (asked.context.get(rule.source_name, ""),)
    else:
        answers = [one for one in reversed(asked.said) if one.contact.strip()]
        if rule.source == "node":
            name = rule.source_name
            answers = [one for one in answers if name in (one.node_name, one.node_id)][:1]
        elif rule.source == "last_answer":
            answers = answers[:1]
        texts = [one.contact for one in answers[:MOST_ANSWERS]]
    yield from (text for text in texts if text.strip())


def give_type(candidate: Candidate, type_: str) -> int | str | None:
    """The value as it is answered, None where it cannot be of that type."""
    value = candidate.value
    if type_ == "integer":
        if candidate.integer is not None:
            return candidate.integer
        if isinstance(value, str):
            text = numerals.fold(value).strip()
            number = numerals.read_number(text.removeprefix("-")) if text else None
            if number is None:
                return None
            value = -number if text.startswith("-") else number
        if value.denominator != 1 or abs(value) > MOST_INTEGER:
            return None
        return int(value)
    if isinstance(value, str):
        return value[:MOST_VALUE] or None
    return tell_number(value)


def tell_number(value: Fraction) -> str | None:
    """In decimals, None for one that has no end."""
    if value.denominator == 1:
        return str(int(value))
    scaled = value * 10**6
    if scaled.denominator != 1:
        return None
    sign, digits = "-" if value < 0 else "", f"{abs(int(scaled)):07d}"
    return f"{sign}{digits[:-6]}.{digits[-6:].rstrip('0')}"


def _is_within(rule: Rule, candidate: Candidate) -> bool:
    if not isinstance(candidate.value, Fraction):
        return True
    if rule.low is not None and candidate.value < rule.low:
        return False
    return rule.high is None or candidate.value <= rule.high


# ----------------------------------------------------------------------------- one finder for each


def _find_numbers(rule: Rule, text: str, _around: Surroundings) -> Iterator[Candidate]:
    for one in _drop_taken_back(text, numerals.find_quantities(text)):
        value = numerals.convert(one, rule.unit) if rule.unit else one.value
        if value is not None:
            yield Candidate(value, one.text, one.start)


def _find_amounts(rule: Rule, text: str, _around: Surroundings) -> Iterator[Candidate]:
    """What is counted in money; where nothing is, numbers that are counted in nothing."""
    found = _drop_taken_back(text, numerals.find_quantities(text))
    money = [one for one in found if one.family == "money"]
    bare = [one for one in found if not one.unit and not one.rest.startswith(_NO_MONEY)]
    for one in money or bare:
        value = numerals.convert(one, rule.unit or "元") if one.unit else one.value
        if value is not None:
            yield Candidate(value, one.text, one.start)


def _find_phones(rule: Rule, text: str, around: Surroundings) -> Iterator[Candidate]:
    """After a correction only what was said behind it, if there is a number."""
    for part in (_list_corrected(text), text):
        found = phones.find_phones(part, region=around.region) if part else []
        # a whole number has no zero in front, and another number nobody asked for
        kept = [one for one in found if rule.type != "integer" or not one.startswith("0")]
        yield from (Candidate(phone, phone, 0) for phone in kept)
        if found:
            return


def _find_dates(rule: Rule, text: str, around: Surroundings) -> Iterator[Candidate]:
    days = dates.find_days(text, today=around.today, side=rule.side)
    corrected = [place.end() for place in _CORRECTED.finditer(text)]
    if corrected and any(day.start >= corrected[-1] for day in days):
        days = [day for day in days if day.start >= corrected[-1]]
    for day in days:
        number = day.day.year * 10_000 + day.day.month * 100 + day.day.day
        yield Candidate(day.day.isoformat(), day.text, day.start, number)


def _find_choices(rule: Rule, text: str, _around: Surroundings) -> Iterator[Candidate]:
    """Words in the order in which they were said; of two at one place the longer one; a word that
    is denied (不想要 for 想要) is not said."""
    hits: list[tuple[int, int, str, str]] = []
    for word, value in rule.choices:
        plain = numerals.fold(word).strip()
        if not plain:
            continue
        latin = plain.isascii() and plain[:1].isalnum()
        edges = (r"(?<![0-9a-z])", r"(?![0-9a-z])") if latin else ("", "")
        for place in re.finditer(edges[0] + re.escape(plain) + edges[1], text):
            hits.append((place.start(), -len(plain), plain, value))
    wholes = sorted(
        place.span() for form in (_ASKS, _HOLDERS) for place in form.finditer(text) if hits
    )
    end = -1
    for start, length, word, value in sorted(hits):
        if start < end:
            continue
        end = start - length
        if not _is_denied(text, start, end) and not _is_part(wholes, start, end):
            yield Candidate(value, word, start)


def _is_denied(text: str, start: int, end: int) -> bool:
    breath = _NO_DENIAL.sub("", text[max(0, start - _BREATH) : start])
    breath = breath[max((place.end() for place in _ANEW.finditer(breath)), default=0) :]
    return bool(_NOT.search(breath) or _NOT_BEHIND.match(text, end))


def _is_part(wholes: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether the word at this place is only a part of a question or of another word."""
    at = bisect_left(wholes, start, key=lambda whole: whole[1]) if wholes else 0
    for first, last in wholes[at:]:
        if first >= end:
            break
        if start < last and first < end and not (start <= first and last <= end):
            return True
    return False


def _find_pattern(rule: Rule, text: str, _around: Surroundings) -> Iterator[Candidate]:
    """What stands in the first brackets that took part, or all that fits where there are none."""
    try:
        found = patterns.search_pattern(rule.pattern, text)
    except (patterns.PatternRefused, patterns.TooMuchWork):
        return
    if found is None:
        return
    taken = [group for group in found.groups if group is not None]
    value = taken[0] if taken else found.text
    if value.strip():
        yield Candidate(value.strip(), found.text, found.start)


def _list_corrected(text: str) -> str:
    places = [place.end() for place in _CORRECTED.finditer(text)]
    return text[places[-1] :] if places else ""


def _drop_taken_back(text: str, found: list[Quantity]) -> list[Quantity]:
    """Without what was denied (不是三十) or corrected (三十，不对，四十)."""
    kept = [one for one in found if not text[: one.start].rstrip().endswith(_DENIED)]
    places = [place.end() for place in _CORRECTED.finditer(text)]
    later = [one for one in kept if places and one.start >= places[-1]]
    return later or kept


Finder = Callable[[Rule, str, Surroundings], Iterator[Candidate]]
_FINDERS: dict[str, Finder] = {
    "number": _find_numbers,
    "phone": _find_phones,
    "date": _find_dates,
    "amount": _find_amounts,
    "choice": _find_choices,
    "pattern": _find_pattern,
}
