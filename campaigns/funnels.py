"""In: the name of a step, a node, an hour. Out: which contacts and calls are meant, as conditions.

A number on a page and the list it links to are chosen by the same condition: here it is said once
as a ``Q`` for the lists, and once as SQL for those who count (a contact being named ``k``, what its
calls say of it ``p``, a call ``c``). A test holds the two together. No row is read here but the
zones of accounts and the tasks of a family.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.db.models import Exists, F, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, ExtractHour, ExtractIsoWeekDay, NullIf
from django.db.models.lookups import Exact, In
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from campaigns.definitions import (
    ANSWERED,
    CALLS,
    IS_COUNTED,
    IS_INVALID,
    IS_OPEN,
    IS_OUTBOUND,
    IS_REACHED,
    IS_TALKED,
    REACHED,
    SQL,
    TALKED,
)
from campaigns.models import Account, Call, Contact, Task, Turn

#: contacts that the platform has, or had
_TAKEN = ("accepted", "finished")
_SLOT = re.compile(r"([1-7])-([01][0-9]|2[0-3])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """How far somebody, or a call, got. Who is at a step was at each one before it."""

    slug: str
    name: str | Promise
    text: str | Promise
    condition: Q
    sql: str


def _have_call(condition: Q) -> Q:
    """Contacts with a call of theirs that counts, and of which this is true."""
    calls = Call.objects.filter(IS_OUTBOUND, condition, contact=OuterRef("pk"), has_record=True)
    return Q(Exists(calls))


#: what the calls of a contact say of it: a call tells who called whom once its record is there
OWN_CALLS_SQL = f"""
    SELECT c.contact_id, bool_or({SQL["reached"]}) AS reached, bool_or({SQL["talked"]}) AS talked
    FROM c WHERE c.contact_id IS NOT NULL AND c.has_record AND {SQL["outbound"]}
    GROUP BY c.contact_id
"""  # noqa: S608

PEOPLE_STEPS = (
    Step(
        "listed",
        _("In the list"),
        _("Contacts of the task, in whatever state."),
        Q(),
        "TRUE",
    ),
    Step(
        "eligible",
        _("To be called"),
        _("All but the excluded: duplicates, do-not-call, frequency."),
        ~Q(status=Contact.Status.EXCLUDED) | Q(calls_made__gt=0),
        "(k.status <> 'excluded' OR k.calls_made > 0)",
    ),
    Step(
        "submitted",
        _("Handed over"),
        _("The platform has them, or had them."),
        Q(status__in=_TAKEN) | Q(calls_made__gt=0),
        "(k.status IN ('accepted', 'finished') OR k.calls_made > 0)",
    ),
    Step(
        "called",
        _("Called"),
        _("At least one call of theirs came back."),
        Q(calls_made__gt=0),
        "(k.calls_made > 0)",
    ),
    Step(
        "reached",
        REACHED.name,
        _("A person picked up at least once: not a mailbox, not an assistant."),
        Q(calls_made__gt=0) & _have_call(IS_REACHED),
        "(k.calls_made > 0 AND coalesce(p.reached, FALSE))",
    ),
    Step(
        "talked",
        TALKED.name,
        _("Stayed for 10 seconds or longer at least once."),
        Q(calls_made__gt=0) & _have_call(IS_TALKED),
        "(k.calls_made > 0 AND coalesce(p.talked, FALSE))",
    ),
)

_ENDED = IS_COUNTED & ~IS_OPEN
CALL_STEPS = (
    Step("counted", CALLS.name, CALLS.text, IS_COUNTED, SQL["counted"]),
    Step(
        "ended",
        _("End known"),
        _("The platform said how they ended."),
        _ENDED,
        f"({SQL['counted']} AND NOT {SQL['open']})",
    ),
    Step(
        "existing",
        _("Number exists"),
        _("Without invalid numbers: what the answer rate divides by."),
        _ENDED & ~IS_INVALID,
        f"({SQL['counted']} AND NOT {SQL['open']} AND NOT {SQL['invalid']})",
    ),
    Step(
        "answered",
        ANSWERED.name,
        ANSWERED.text,
        _ENDED & ~IS_INVALID & Q(answered=True),
        f"({SQL['counted']} AND NOT {SQL['invalid']} AND c.answered IS TRUE)",
    ),
    Step(
        "reached",
        REACHED.name,
        REACHED.text,
        _ENDED & ~IS_INVALID & IS_REACHED,
        f"({SQL['counted']} AND NOT {SQL['invalid']} AND {SQL['reached']})",
    ),
    Step(
        "talked",
        TALKED.name,
        TALKED.text,
        _ENDED & ~IS_INVALID & IS_TALKED,
        f"({SQL['counted']} AND NOT {SQL['invalid']} AND {SQL['talked']})",
    ),
)
_BY_SLUG = {
    "contacts": {step.slug: step for step in PEOPLE_STEPS},
    "calls": {step.slug: step for step in CALL_STEPS},
}


def list_steps(kind: str) -> tuple[Step, ...]:
    """The steps of ``contacts`` or ``calls``, the widest first."""
    return tuple(_BY_SLUG[kind].values())


def choose_step(kind: str, slugs: Iterable[str]) -> Q:
    """Who got at least as far as one of these. Raises ``KeyError`` for a step that there is not."""
    chosen = Q(pk__in=[])
    for slug in slugs:
        chosen |= _BY_SLUG[kind][slug].condition or Q(pk__isnull=False)
    return chosen


def choose_short_of(kind: str, slugs: Iterable[str]) -> Q:
    """Who got as far as none of these. Raises ``KeyError`` for a step that there is not."""
    return ~choose_step(kind, slugs)


# ------------------------------------------------------------------------- the nodes of a script

#: the name of a turn's node; its id where the platform gives no name
NODE = Coalesce(NullIf("node_name", Value("")), F("node_id"))
NODE_SQL = "coalesce(nullif(t.node_name, ''), t.node_id)"


def choose_left_at(nodes: Collection[str]) -> Q:
    """Calls whose dialog ended at one of these nodes: no later turn names another one."""
    turns = Turn.objects.filter(call=OuterRef("pk")).annotate(node=NODE).exclude(node="")
    last = turns.order_by("-position").values("node")[:1]
    return Q(turns_count__gt=0) & Q(In(Subquery(last), list(nodes)))


# ---------------------------------------------------------------------------- the hours of a week


def read_slot(text: str) -> tuple[int, int]:
    """“1-09” is Monday from nine to ten. Raises ``ValueError`` for anything else."""
    found = _SLOT.fullmatch(text)
    if found is None:
        raise ValueError("A slot is a day of the week and an hour, like 1-09.")
    return int(found[1]), int(found[2])


def write_slot(weekday: int, hour: int) -> str:
    return f"{weekday}-{hour:02d}"


def choose_slot(weekday: int, hour: int) -> Q:
    """Calls of one hour of one day of the week (Monday is 1), by the clock of their account: its
    calling windows are read by it, and those who are called live by it."""
    zones: dict[ZoneInfo, list[int]] = defaultdict(list)
    for account in Account.objects.only("time_zone"):
        zones[account.zone].append(account.pk)
    chosen = Q(pk__in=[])
    for zone, accounts in zones.items():
        here = Q(Exact(ExtractIsoWeekDay("happened_at", tzinfo=zone), weekday)) & Q(
            Exact(ExtractHour("happened_at", tzinfo=zone), hour)
        )
        chosen |= here if len(zones) == 1 else here & Q(account__in=accounts)
    return chosen


# --------------------------------------------------------------------------------- tasks together


def list_family(family_ids: Iterable[int | str]) -> list[int]:
    """The tasks of families, each known by its first task, in order of their rounds. They are few,
    and looked up first: the indexes begin with the task."""
    ids = list(family_ids)
    rounds = Task.objects.filter(Q(pk__in=ids) | Q(family__in=ids))
    return list(rounds.order_by("round", "pk").values_list("pk", flat=True))
