"""In: what was counted, as it was kept. Out: the same with names, and with the rates of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from campaigns.definitions import Tally, average_talk, rate, tally_calls
from campaigns.funnels import CALL_STEPS, PEOPLE_STEPS
from campaigns.models import Contact

#: whose numbers, where they are of all tasks or rounds together
ALL = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Different numbers by how far they got, and the contacts that they stand in."""

    people: dict[str, int]
    rows: dict[str, int]
    intentions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Slot:
    """One hour of one day of the week (Monday is 1)."""

    weekday: int
    hour: int
    calls: int
    #: what the answer rate divides by
    base: int
    reached: int

    @property
    def answer_rate(self) -> float | None:
        return rate(self.reached, self.base)


@dataclass(slots=True)
class Node:
    """A node of a script, in calls of people reached."""

    name: str
    reached: int = 0
    #: the dialog ended here; of these, whom the contact hung up
    left: int = 0
    hung_up: int = 0
    #: sum of the places in their dialogs at which calls came here
    places: int = 0

    @property
    def leaving_rate(self) -> float | None:
        return rate(self.left, self.reached)

    @property
    def place(self) -> float:
        return self.places / self.reached if self.reached else 0.0


@dataclass(slots=True)
class NodeTable:
    """The nodes of a script in the order in which dialogs come to them."""

    nodes: list[Node] = field(default_factory=list)

    @property
    def dialogs(self) -> int:
        """Each ended at one of them."""
        return sum(node.left for node in self.nodes)


@dataclass(slots=True)
class VersionFigures:
    """Calls that were made with one version of a robot; ``number`` None before we saw any."""

    robot_id: int
    number: int | None
    calls: int = 0
    base: int = 0
    answers: int = 0
    reached: int = 0
    timed: int = 0
    talked: int = 0
    talk_seconds: int = 0
    intentions: dict[str, int] = field(default_factory=dict)
    nodes: NodeTable = field(default_factory=NodeTable)

    @property
    def answer_rate(self) -> float | None:
        return rate(self.answers, self.base)

    @property
    def talk_average(self) -> float | None:
        return average_talk(seconds=self.talk_seconds, timed=self.timed)

    @property
    def talk_rate(self) -> float | None:
        return rate(self.talked, self.timed)


class Figures:
    """What was counted of a task or a family. Where nothing was counted, everything is zero."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self.kept = kept

    def __bool__(self) -> bool:
        return bool(self.kept)

    @property
    def states(self) -> dict[str, int]:
        """{state: contacts}, every state present."""
        return dict.fromkeys(Contact.Status.values, 0) | self.kept.get("states", {})

    def read_people(self, round_number: int | None = None) -> People:
        """Of one round, or of all together."""
        whose = ALL if round_number is None else str(round_number)
        return People(
            people=_name(PEOPLE_STEPS, self.kept.get("people", {}).get(whose)),
            rows=_name(PEOPLE_STEPS, self.kept.get("rows", {}).get(whose)),
            intentions=dict(self.kept.get("wishes", {}).get(whose, {})),
        )

    def read_steps(self, task_id: int | None = None) -> dict[str, int]:
        """{step: calls} of one task, or of all together."""
        whose = ALL if task_id is None else str(task_id)
        return _name(CALL_STEPS, self.kept.get("steps", {}).get(whose))

    def read_intentions(self, task_id: int | None = None) -> dict[str, int]:
        """{intention: calls of people reached}, the most frequent first."""
        whose = ALL if task_id is None else str(task_id)
        return dict(self.kept.get("intentions", {}).get(whose, {}))

    @property
    def tally(self) -> Tally:
        """All calls."""
        total = Tally()
        for result, answered, inbound, calls, timed, talked, seconds in self.kept.get("ends", []):
            total += tally_calls(
                result=result,
                answered=answered,
                inbound=inbound,
                calls=calls,
                timed=timed,
                talked=talked,
                talk_seconds=seconds,
            )
        return total

    @property
    def results(self) -> dict[str, int]:
        """{how calls ended: calls}, the most frequent first."""
        found: dict[str, int] = defaultdict(int)
        for result, _answered, _inbound, calls, *_rest in self.kept.get("ends", []):
            found[result] += calls
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    @property
    def slots(self) -> list[Slot]:
        """Hours with calls; those without are not listed."""
        return [Slot(*row) for row in self.kept.get("slots", [])]

    @property
    def nodes(self) -> NodeTable:
        return _table(row[2:] for row in self.kept.get("nodes", []))

    @property
    def versions(self) -> list[VersionFigures]:
        found: dict[tuple[int, int | None], VersionFigures] = {}
        for robot, number, *counts in self.kept.get("versions", []):
            found[robot, number] = VersionFigures(robot, number, *counts)
        for robot, number, intention, calls in self.kept.get("mix", []):
            found[robot, number].intentions[intention] = calls
        for key, version in found.items():
            rows = (row[2:] for row in self.kept.get("nodes", []) if tuple(row[:2]) == key)
            version.nodes = _table(rows)
        return list(found.values())

    @property
    def dialogs(self) -> int:
        return int(self.kept.get("dialogs", 0))

    @property
    def recordings(self) -> int:
        return int(self.kept.get("recordings", 0))


def merge_versions(figures: Iterable[Figures]) -> dict[tuple[int, int | None], VersionFigures]:
    """The versions of robots over several tasks."""
    found: dict[tuple[int, int | None], VersionFigures] = {}
    for one in figures:
        for version in one.versions:
            key = (version.robot_id, version.number)
            total = found.setdefault(key, VersionFigures(*key))
            for name in ("calls", "base", "answers", "reached", "timed", "talked", "talk_seconds"):
                setattr(total, name, getattr(total, name) + getattr(version, name))
            for intention, calls in version.intentions.items():
                total.intentions[intention] = total.intentions.get(intention, 0) + calls
            total.nodes = _table(_rows([*total.nodes.nodes, *version.nodes.nodes]))
    return found


def _name(steps: Iterable[Any], numbers: list[int] | None) -> dict[str, int]:
    slugs = [step.slug for step in steps]
    return dict(zip(slugs, numbers or [0] * len(slugs), strict=True))


def _rows(nodes: Iterable[Node]) -> Iterable[list[Any]]:
    for node in nodes:
        yield [node.name, node.reached, node.left, node.hung_up, node.places]


def _table(rows: Iterable[Any]) -> NodeTable:
    found: dict[str, Node] = {}
    for name, reached, left, hung_up, places in rows:
        node = found.setdefault(name, Node(name))
        node.reached += reached
        node.left += left
        node.hung_up += hung_up
        node.places += places
    return NodeTable(sorted(found.values(), key=lambda node: (node.place, node.name)))
