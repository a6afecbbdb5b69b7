"""In: a pattern (a regular expression) and a text. Out: what it finds, in time that grows with the
length of the text and of the pattern, never faster.

Python's own matcher goes back and forth: some patterns take it years for forty characters, and
nobody can stop it meanwhile. Here all ways through a pattern are followed at the same time (Pike's
method), so a manager's pattern cannot hold up the web server. The price: no references back
(``\\1``), no looking ahead or behind, no possessive or atomic parts; such patterns are refused with
a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from django.utils.translation import gettext_noop as N_

MOST_TEXT = 1_000
MOST_PATTERN = 300
#: a pattern whose counted parts, written out, are longer
MOST_STEPS = 300
#: steps taken for one text, some hundredths of a second; a pattern that needs more finds nothing
MOST_WORK = 30_000

_CHAR, _SPLIT, _JUMP, _SAVE, _ASSERT, _MATCH = range(6)


class PatternRefused(ValueError):
    """The pattern cannot be used; the message is an English sentence."""


class TooMuchWork(Exception):
    """The pattern needs too many steps for this text."""


@dataclass(frozen=True, slots=True)
class Found:
    """``groups``: what the parts in brackets found, None for one that had no part in it."""

    text: str
    start: int
    groups: tuple[str | None, ...]


Step = tuple[int, Any, Any]


@dataclass(frozen=True, slots=True)
class Program:
    steps: tuple[Step, ...]
    groups: int


@lru_cache(maxsize=500)
def compile_pattern(pattern: str) -> Program:
    """Raises ``PatternRefused``."""
    if len(pattern) > MOST_PATTERN:
        raise PatternRefused(N_("The pattern is longer than 300 characters."))
    try:
        tree = parser.parse(pattern, int(re.IGNORECASE))
    except (re.error, RecursionError, OverflowError, ValueError) as error:
        raise PatternRefused(N_("This is not a pattern that can be read.")) from error
    if tree.state.flags & ~int(re.IGNORECASE | re.UNICODE):
        raise PatternRefused(N_("A pattern cannot set flags."))
    steps: list[Step] = []
    _Writer(steps).write(tree)
    steps.append((_MATCH, None, None))
    return Program(tuple(steps), tree.state.groups - 1)


def search_pattern(pattern: str, text: str) -> Found | None:
    """The first place where the pattern fits, as ``re.search`` finds it in any case of letters.
    Raises ``PatternRefused`` or ``TooMuchWork``."""
    return _run(compile_pattern(pattern), text[:MOST_TEXT])


class _Writer:
    """Writes a parsed pattern out as steps."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps

    def add(self, code: int, first: Any = None, second: Any = None) -> int:
        if len(self.steps) >= MOST_STEPS:
            raise PatternRefused(N_("The pattern repeats too much: use smaller numbers."))
        self.steps.append((code, first, second))
        return len(self.steps) - 1

    def write(self, tree: Iterable[tuple[Any, Any]]) -> None:
        for code, value in tree:
            if code is codes.LITERAL:
                self.add(_CHAR, *_fold_set([(codes.LITERAL, value)]))
            elif code is codes.NOT_LITERAL:
                self.add(_CHAR, *_fold_set([(codes.NEGATE, None), (codes.LITERAL, value)]))
            elif code is codes.ANY:
                self.add(_CHAR, [(codes.LITERAL, 10)], True)
            elif code is codes.IN:
                self.add(_CHAR, *_fold_set(value))
            elif code is codes.BRANCH:
                self._write_branch(value[1])
            elif code is codes.SUBPATTERN:
                self._write_group(value)
            elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
                self._write_repeat(value, greedy=code is codes.MAX_REPEAT)
            elif code is codes.AT:
                self.add(_ASSERT, value)
            else:
                raise PatternRefused(
                    N_("A pattern cannot refer back, nor look ahead or behind, nor be possessive.")
                )

    def _write_group(self, value: Any) -> None:
        group, added, removed, inner = value
        if added or removed:
            raise PatternRefused(N_("A pattern cannot set flags."))
        if group is not None:
            self.add(_SAVE, 2 * group)
        self.write(inner)
        if group is not None:
            self.add(_SAVE, 2 * group + 1)

    def _write_branch(self, ways: list[Any]) -> None:
        ends: list[int] = []
        for way in ways[:-1]:
            split = self.add(_SPLIT)
            self.write(way)
            ends.append(self.add(_JUMP))
            self.steps[split] = (_SPLIT, split + 1, len(self.steps))
        self.write(ways[-1])
        for end in ends:
            self.steps[end] = (_JUMP, len(self.steps), None)

    def _write_repeat(self, value: Any, *, greedy: bool) -> None:
        low, high, inner = value
        for _ in range(int(low)):
            self.write(inner)
        if high is codes.MAXREPEAT:
            split = self.add(_SPLIT)
            self.write(inner)
            self.add(_JUMP, split)
            self._set_split(split, len(self.steps), greedy=greedy)
            return
        splits = []
        for _ in range(int(high) - int(low)):
            splits.append(self.add(_SPLIT))
            self.write(inner)
        for split in splits:
            self._set_split(split, len(self.steps), greedy=greedy)

    def _set_split(self, split: int, end: int, *, greedy: bool) -> None:
        ways = (split + 1, end) if greedy else (end, split + 1)
        self.steps[split] = (_SPLIT, *ways)


def _fold_set(items: list[Any]) -> tuple[list[Any], bool]:
    """(what a character may be, whether it must not be)."""
    negated = bool(items) and items[0][0] is codes.NEGATE
    return (items[1:] if negated else list(items)), negated


def _fits(character: str, items: list[Any], negated: bool) -> bool:
    return any(_is_one(one, items) for one in _cases(character)) is not negated


@lru_cache(maxsize=2000)
def _cases(character: str) -> tuple[str, ...]:
    every = {character, character.lower(), character.upper()}
    return tuple(one for one in every if len(one) == 1)


def _is_one(character: str, items: list[Any]) -> bool:
    place = ord(character)
    for code, value in items:
        if code is codes.LITERAL:
            if place == value:
                return True
        elif code is codes.RANGE:
            if value[0] <= place <= value[1]:
                return True
        elif code is codes.CATEGORY and _is_of(character, value):
            return True
    return False


def _is_of(character: str, category: Any) -> bool:
    name = str(category).removeprefix("CATEGORY_").removeprefix("UNI_")
    plain = name.removeprefix("NOT_")
    tests = {
        "DIGIT": character.isdecimal(),
        "SPACE": character.isspace(),
        "WORD": character.isalnum() or character == "_",
    }
    return tests.get(plain, False) is not name.startswith("NOT_")


def _holds(text: str, place: int, where: Any) -> bool:
    if where in (codes.AT_BEGINNING, codes.AT_BEGINNING_STRING):
        return place == 0
    if where is codes.AT_END_STRING:
        return place == len(text)
    if where is codes.AT_END:
        return place == len(text) or (place == len(text) - 1 and text[place] == "\n")
    before = place > 0 and (text[place - 1].isalnum() or text[place - 1] == "_")
    behind = place < len(text) and (text[place].isalnum() or text[place] == "_")
    is_boundary = before is not behind
    return is_boundary if where is codes.AT_BOUNDARY else not is_boundary


Saved = tuple[tuple[int, int], ...]


def _run(program: Program, text: str) -> Found | None:
    """All ways are followed at once; the earlier one stands in the list, the more it is wanted."""
    steps = program.steps
    ways: list[tuple[int, Saved]] = []
    best: tuple[int, int, Saved] | None = None
    starts: list[int] = []
    work = 0
    for place in range(len(text) + 1):
        seen: set[int] = set()
        now: list[tuple[int, Saved, int]] = []
        for (at, saved), start in zip(ways, starts, strict=True):
            _follow(program, text, place, (at, saved, start), seen=seen, now=now)
        if best is None:
            _follow(program, text, place, (0, (), place), seen=seen, now=now)
        ways, starts = [], []
        work += len(seen)
        if work > MOST_WORK:
            raise TooMuchWork
        character = text[place] if place < len(text) else ""
        for at, saved, start in now:
            code, first, second = steps[at]
            if code == _MATCH:
                best = (start, place, saved)
                break  # ways behind this one are wanted less
            if character and _fits(character, first, second):
                ways.append((at + 1, saved))
                starts.append(start)
        if not ways and best is not None:
            break
    return None if best is None else _tell(text, best, program.groups)


def _follow(
    program: Program,
    text: str,
    place: int,
    way: tuple[int, Saved, int],
    *,
    seen: set[int],
    now: list[tuple[int, Saved, int]],
) -> None:
    """Go on from a step to all that take a character, without taking one, in their order."""
    *first_step, start = way
    waiting: list[Any] = [first_step]
    while waiting:
        at, saved = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        code, first, second = program.steps[at]
        if code == _SPLIT:
            waiting += [(second, saved), (first, saved)]
        elif code == _JUMP:
            waiting.append((first, saved))
        elif code == _SAVE:
            kept = tuple(one for one in saved if one[0] != first)
            waiting.append((at + 1, (*kept, (first, place))))
        elif code == _ASSERT:
            if _holds(text, place, first):
                waiting.append((at + 1, saved))
        else:
            now.append((at, saved, start))


def _tell(text: str, best: tuple[int, int, Saved], groups: int) -> Found:
    start, end, saved = best
    places = dict(saved)
    told: list[str | None] = []
    for group in range(1, groups + 1):
        begin, stop = places.get(2 * group), places.get(2 * group + 1)
        told.append(None if begin is None or stop is None else text[begin:stop])
    return Found(text[start:end], start, tuple(told))
