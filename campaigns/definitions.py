"""In: counts of calls. Out: what each number and rate of a screen means, once, and how it is told.

Pure: no row is read here. A call counts when its record, or its dialog, is there; who of the calls
was a person, which numbers do not exist and what is not known yet is said in three ways that a test
holds together: for one call (``is_reached``), as a condition of Django (``REACHED``), and as one of
SQL (``SQL["reached"]``, the call's table being named ``c``). A rate without a denominator is None,
and is shown as a dash.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from django.db.models import Q
from django.utils import formats
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.platforms.events import Result

#: results of numbers that do not exist: they say nothing about whether people pick up
NO_NUMBER = (Result.INVALID_NUMBER.value,)
#: picked up, but by a mailbox, an assistant or another number: by nobody who was called
NO_PERSON = (Result.VOICEMAIL.value, Result.FORWARDED.value)
#: a person who stays for so long talked; who hangs up at the greeting did not
TALKED_SECONDS = 10
DASH = "–"


# --------------------------------------------------------------------------------------- the words


@dataclass(frozen=True, slots=True)
class Definition:
    """What a number means: its name, and the sentence that stands beside it."""

    slug: str
    name: str | Promise
    text: str | Promise


CALLS = Definition(
    "calls",
    gettext_lazy("Calls"),
    gettext_lazy(
        "Calls whose record or dialog is here. A call that is going on counts when it has ended."
    ),
)
ANSWERED = Definition(
    "answered",
    gettext_lazy("Picked up"),
    gettext_lazy("Calls that were picked up by whatever: a person, a mailbox, an assistant."),
)
REACHED = Definition(
    "reached",
    gettext_lazy("People reached"),
    gettext_lazy(
        "Calls that a person picked up: not a mailbox, not an assistant, not forwarded elsewhere."
    ),
)
INVALID = Definition(
    "invalid",
    gettext_lazy("Invalid numbers"),
    gettext_lazy("Calls to numbers that do not exist. They are in no answer rate."),
)
OPEN = Definition(
    "open",
    gettext_lazy("End not known"),
    gettext_lazy(
        "Calls of which the platform has not said yet how they ended. They are in no answer rate."
    ),
)
ANSWER_RATE = Definition(
    "answer_rate",
    gettext_lazy("Answer rate"),
    gettext_lazy(
        "People reached, of the calls we made whose end is known and whose number exists. Calls"
        " that came in are left out."
    ),
)
TALK_TIME = Definition(
    "talk_time",
    gettext_lazy("Talk time"),
    gettext_lazy("Seconds from picking up to hanging up, with people reached."),
)
TALK_AVERAGE = Definition(
    "talk_average",
    gettext_lazy("Mean talk time"),
    gettext_lazy("Talk time divided by the calls of people reached whose length is known."),
)
TALKED = Definition(
    "talked",
    gettext_lazy("Talked"),
    gettext_lazy("People reached who stayed for 10 seconds or longer."),
)
TALK_RATE = Definition(
    "talk_rate",
    gettext_lazy("Talk rate"),
    gettext_lazy(
        "Those who stayed for 10 seconds or longer, of the people reached whose talk time is known."
    ),
)
INTENTION = Definition(
    "intention",
    gettext_lazy("Intention"),
    gettext_lazy("What the platform made of the talk, in its own words. Most calls have none."),
)
INTENTION_RATE = Definition(
    "intention_rate",
    gettext_lazy("Intention rate"),
    gettext_lazy("Calls of people reached with this intention, of all calls of people reached."),
)
PEOPLE = Definition(
    "people",
    gettext_lazy("People"),
    gettext_lazy("Different phone numbers: who is called twice is counted once."),
)
DEFINITIONS = {
    one.slug: one
    for one in (
        *(CALLS, ANSWERED, REACHED, INVALID, OPEN, ANSWER_RATE, TALK_TIME, TALK_AVERAGE),
        *(TALKED, TALK_RATE, INTENTION, INTENTION_RATE, PEOPLE),
    )
}


# ----------------------------------------------------------------------------- which calls are what


def is_reached(*, result: str, answered: bool | None) -> bool:
    """Whether a person picked up."""
    return answered is True and result not in NO_PERSON


def is_invalid(*, result: str) -> bool:
    return result in NO_NUMBER


def is_open(*, result: str, answered: bool | None) -> bool:
    """Whether nobody knows yet how the call ended."""
    return answered is None and result == Result.UNKNOWN.value


IS_COUNTED = Q(has_record=True) | Q(turns_count__gt=0)
IS_REACHED = Q(answered=True) & ~Q(result__in=NO_PERSON)
IS_INVALID = Q(result__in=NO_NUMBER)
IS_OPEN = Q(answered=None, result=Result.UNKNOWN.value)
IS_TALKED = IS_REACHED & Q(talk_seconds__gte=TALKED_SECONDS)
#: a rate of answers is one of the calls we made; who does not say which way, is called
IS_OUTBOUND = ~Q(direction="inbound")


def _quote(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


_REACHED = f"(c.answered IS TRUE AND c.result NOT IN ({_quote(NO_PERSON)}))"
#: the same conditions, none of them ever NULL
SQL = {
    "counted": "(c.has_record OR c.turns_count > 0)",
    "reached": _REACHED,
    "invalid": f"(c.result IN ({_quote(NO_NUMBER)}))",
    "open": f"(c.answered IS NULL AND c.result = '{Result.UNKNOWN.value}')",
    "talked": f"({_REACHED} AND coalesce(c.talk_seconds, 0) >= {TALKED_SECONDS})",
    "outbound": "(c.direction <> 'inbound')",
}


# --------------------------------------------------------------------------------------- the rates


def rate(part: float, whole: float) -> float | None:
    """A share between 0 and 1, None where there is nothing to divide by."""
    return part / whole if whole > 0 else None


def rate_answers(*, reached: int, calls: int, invalid: int, unknown: int) -> float | None:
    """People reached, of the calls whose end is known and whose number exists."""
    return rate(reached, calls - invalid - unknown)


def rate_intention(*, with_intention: int, reached: int) -> float | None:
    """Calls of people reached with an intention, of all calls of people reached."""
    return rate(with_intention, reached)


def average_talk(*, seconds: int, timed: int) -> float | None:
    """Seconds; ``timed`` are the calls of people reached whose length is known."""
    return rate(seconds, timed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Calls counted once each, and the rates of them. Tallies of different calls can be added."""

    calls: int = 0
    answered: int = 0
    reached: int = 0
    invalid: int = 0
    unknown: int = 0
    #: of the people reached: whose length is known, who stayed, and the sum of it
    timed: int = 0
    talked: int = 0
    talk_seconds: int = 0
    #: calls that came in are counted above, and left out of the answer rate by these
    incoming: int = 0
    incoming_reached: int = 0
    incoming_unknown: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            **{
                one.name: getattr(self, one.name) + getattr(other, one.name)
                for one in fields(Tally)
            }
        )

    @property
    def answer_base(self) -> int:
        """What the answer rate divides by."""
        ours = self.calls - self.incoming
        return ours - self.invalid - (self.unknown - self.incoming_unknown)

    @property
    def answer_rate(self) -> float | None:
        return rate_answers(
            reached=self.reached - self.incoming_reached,
            calls=self.calls - self.incoming,
            invalid=self.invalid,
            unknown=self.unknown - self.incoming_unknown,
        )

    @property
    def talk_average(self) -> float | None:
        return average_talk(seconds=self.talk_seconds, timed=self.timed)

    @property
    def talk_rate(self) -> float | None:
        return rate(self.talked, self.timed)


def tally_calls(
    *,
    result: str,
    answered: bool | None,
    inbound: bool = False,
    calls: int = 1,
    timed: int = 0,
    talked: int = 0,
    talk_seconds: int = 0,
) -> Tally:
    """The tally of ``calls`` calls that are equal in result, answer and direction; ``timed``,
    ``talked`` and ``talk_seconds`` as they came, whoever picked up."""
    reached = is_reached(result=result, answered=answered)
    unknown = calls if is_open(result=result, answered=answered) else 0
    return Tally(
        calls=calls,
        answered=calls if answered else 0,
        reached=calls if reached else 0,
        invalid=calls if is_invalid(result=result) and not inbound else 0,
        unknown=unknown,
        timed=timed if reached else 0,
        talked=talked if reached else 0,
        talk_seconds=talk_seconds if reached else 0,
        incoming=calls if inbound else 0,
        incoming_reached=calls if reached and inbound else 0,
        incoming_unknown=unknown if inbound else 0,
    )


# --------------------------------------------------------------------------------------- how told


def show_rate(share: float | None, *, digits: int = 1) -> str:
    """A share as people write it, a dash where there is none."""
    if share is None:
        return DASH
    number = formats.number_format(round(share * 100, digits), digits, use_l10n=True)
    return _("%(number)s%%") % {"number": number}


def show_number(number: int | None) -> str:
    """A whole number with its groups, a dash for none."""
    if number is None:
        return DASH
    return f"{number:,}"  # as both languages write it; Django groups no Chinese number


def show_change(now: float | None, before: float | None) -> str:
    """How much more or less than before, of what was before. Nothing before gives a dash."""
    if now is None or not before:
        return DASH
    change = (now - before) / before
    return f"{_sign(change, 0.0005)}{show_rate(abs(change))}"


def show_points(now: float | None, before: float | None) -> str:
    """How far two shares are apart, in points of a hundred: rates are not divided by rates."""
    if now is None or before is None:
        return DASH
    change = now - before
    number = formats.number_format(round(abs(change) * 100, 1), 1, use_l10n=True)
    return _("%(number)s points") % {"number": f"{_sign(change, 0.0005)}{number}"}


def _sign(change: float, least: float) -> str:
    return "±" if abs(change) < least else "+" if change > 0 else "−"
