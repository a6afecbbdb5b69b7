"""In: nothing. Out: the shape of a platform: what a vendor package declares and what a client does.

Read this first. A vendor package exports ``PLATFORM = Platform(…)``; ``registry`` lists them. The
rest of the program talks to a platform only through what stands here, asks ``can`` before it
offers something, and never compares a platform's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from campaigns.platforms.errors import ErrorCode, NotSent
from campaigns.platforms.events import AnyEvent, TaskChanged
from campaigns.platforms.http import Transport
from campaigns.platforms.questions import Question


class Can(StrEnum):
    """What a platform lets us do. A screen offers nothing that is not in ``Platform.can``."""

    SYNCHRONISE = "synchronise"  # robots, lines, voices
    CREATE_TASK = "create_task"  # create → insert → start, with a count that can be asked for
    PAUSE_TASK = "pause_task"
    DELETE_TASK = "delete_task"
    QUERY_TASKS = "query_tasks"
    CALL_DIRECTLY = "call_directly"  # hand numbers over without a task, nothing to ask afterwards
    LIST_FAILED_PUSHES = "list_failed_pushes"
    #: a task is one or more instances that dial what is put into them at once: there is no start
    #: to hold back and no count to ask for
    FILL_INSTANCES = "fill_instances"
    FIND_CONTACTS = "find_contacts"  # ask in which task a contact of ours is
    FETCH_CALLS = "fetch_calls"  # ask for the calls of a task
    VERIFY_PUSHES = "verify_pushes"  # ask whether a push says what the platform knows


# ------------------------------------------------------------------ what a client gives and takes


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotInfo:
    """A call script. ``columns`` is the row template, the first is the phone number."""

    platform_id: str
    name: str
    columns: tuple[str, ...]
    state: str  # reviewing · refused · unpublished · published · unknown
    platform_state: str
    kind: str  # ordinary · dynamic · unknown
    deleted: bool
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineInfo:
    """An outgoing number. ``hours`` are local times of the account's zone, (begin, end) pairs."""

    number: str
    concurrency: int | None
    hours: tuple[tuple[time, time], ...]
    state: str  # idle · busy · unknown
    platform_state: str
    applied_at: datetime | None = None
    expires_at: datetime | None = None  # None: never, or not said
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceInfo:
    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What ``synchronise`` mirrors. ``callback_urls`` is {kind: address the platform uses}."""

    robots: tuple[RobotInfo, ...]
    lines: tuple[LineInfo, ...]
    voices: tuple[VoiceInfo, ...]
    callback_urls: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOrder:
    """What a task is created from. ``windows`` are local times of the account's zone."""

    name: str
    robot_id: str
    lines: tuple[str, ...]
    begin_at: datetime
    end_at: datetime | None = None
    windows: tuple[tuple[time, time], ...] = ()
    recall_count: int = 0
    recall_wait_seconds: int | None = None
    voice_code: str | None = None
    turbo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """Contacts that the platform took, their ids in the order of the rows sent."""

    platform_contact_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What the platform says about a push when asked. ``record`` has the shape of
    ``PushClaimed.claim``; ``events`` is what it says in our words, believed over any push."""

    record: dict[str, Any]
    events: tuple[AnyEvent, ...]


@dataclass(frozen=True, slots=True)
class FailedPushFiles:
    """The files with the pushes that failed on a day: checked relative paths. ``refused`` counts
    the entries of the platform's list that are none."""

    paths: tuple[str, ...]
    refused: int = 0


class TokenStore(Protocol):
    """Keeps one account's token for all processes; one fetch at a time, by a row lock."""

    def get(self, fetch: Callable[[], tuple[str, float]], *, stale: str | None = None) -> str:
        """The token; ``fetch`` gives (token, lifetime in seconds) and is called when there is none,
        when it is about to end, or when the stored one is ``stale`` (just refused)."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client needs of an account."""

    base_url: str
    time_zone: ZoneInfo
    settings: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)
    transport: Transport
    tokens: TokenStore


class NotOffered(NotSent):
    """The platform has no such call, or none that is documented to us."""

    advice = "This platform does not offer that. Nothing was sent."


class Client:
    """One account's way to its platform; a vendor's client overrides what its platform can.

    Every method raises only ``PlatformError``s: ``NotSent``, ``Throttled``, ``Rejected`` or
    ``Uncertain``. Methods marked *adds calls* are sent at most once. What is not overridden is not
    in ``Platform.can`` and raises ``NotOffered``.
    """

    def test_connection(self) -> None:
        """Log in with the account's credentials, for real, past any cached token."""
        raise NotOffered("test_connection")

    def fetch_catalog(self) -> Catalog:
        raise NotOffered("fetch_catalog")

    def create_task(self, order: TaskOrder) -> str:
        """Create a task, not yet started; returns the platform's id. *Adds calls.*"""
        raise NotOffered("create_task")

    def insert_contacts(
        self,
        platform_task_id: str,
        *,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        keys: Sequence[str],
    ) -> Inserted:
        """Add rows to a task. ``keys`` are our own ids of the rows, for a platform that keeps them
        (they are then its ids of the contacts). *Adds calls.*"""
        raise NotOffered("insert_contacts")

    def start_task(self, platform_task_id: str) -> None:
        """Let the platform dial. *Adds calls.*"""
        raise NotOffered("start_task")

    def pause_task(self, platform_task_id: str) -> None:
        raise NotOffered("pause_task")

    def delete_task(self, platform_task_id: str) -> None:
        raise NotOffered("delete_task")

    def query_task(self, platform_task_id: str) -> TaskChanged | None:
        """The task as the platform sees it now, None when it does not know it."""
        raise NotOffered("query_task")

    def query_tasks(
        self,
        *,
        name: str | None = None,
        begin_at: datetime | None = None,
        end_at: datetime | None = None,
        states: Sequence[str] = (),
        sort: str | None = None,
        descending: bool = False,
    ) -> tuple[TaskChanged, ...]:
        """All tasks that fit, every page (bounded)."""
        raise NotOffered("query_tasks")

    def call_directly(
        self,
        *,
        robot_id: str,
        line: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        voice_code: str | None = None,
        speed: int | None = None,
    ) -> Inserted:
        """Dial these numbers now. Nothing can be asked about it afterwards. *Adds calls.*"""
        raise NotOffered("call_directly")

    def list_failed_pushes(self, day: datetime | None = None) -> FailedPushFiles:
        """The files with the pushes that failed on a day of the last ``Limits.failed_push_days``.
        An answer without any list is ``Uncertain``: it does not say that nothing failed."""
        raise NotOffered("list_failed_pushes")

    def find_contact(
        self,
        *,
        key: str | None = None,
        number: str | None = None,
        begin_at: datetime,
        end_at: datetime,
    ) -> tuple[str, ...]:
        """Ids of the tasks that hold a contact with this key or number, added between these."""
        raise NotOffered("find_contact")

    def fetch_calls(self, platform_task_id: str) -> tuple[AnyEvent, ...]:
        """The calls of a task as events."""
        raise NotOffered("fetch_calls")

    def verify_push(self, query: Mapping[str, str]) -> Verified:
        """What the platform knows about a push; ``query`` is that of ``PushClaimed``."""
        raise NotOffered("verify_push")


# ----------------------------------------------------------------------- what a platform declares


@dataclass(frozen=True, slots=True)
class Push:
    """A push as it arrived: ``kind`` from the address ("" where the platform has one address for
    all), ``headers`` lower-case names, ``body`` the bytes."""

    kind: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailedPush:
    """One push out of a failed-push file, its bytes as they stand there. ``whole`` False: these
    bytes are no record, and are kept for people."""

    kind: str
    body: bytes
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """How the pushes of one account are to be read: its zone and its settings."""

    time_zone: ZoneInfo
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountField:
    """One setting or credential of an account: ``name``, what it is, an example, a default.
    ``choices``: the only values it takes, the default among them."""

    name: str
    label: str
    help: str = ""
    default: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What the platform allows: rows in one insert, rows in one direct call, recalls of a task,
    speeds (lowest, highest), contacts in one instance. 0 or None: not offered. ``lines`` and
    ``windows``: a task may name them; ``end_required``: a task must say when it ends;
    ``verify_days``: how long the platform can be asked about a push; ``failed_push_days``: how many
    days back, today not among them, it lists the pushes that failed."""

    rows_per_insert: int = 0
    rows_per_direct_call: int = 0
    recall_count: int = 0
    speed: tuple[int, int] | None = None
    contacts_per_instance: int = 0
    lines: bool = True
    windows: bool = True
    end_required: bool = False
    verify_days: int = 0
    failed_push_days: int = 0


class Standing(StrEnum):
    """How far we know that a feature is as we say."""

    DOCUMENTED = "documented"
    UNVERIFIED = "unverified"  # rests on others' client code or on inference, off by default
    UNKNOWN = "not documented to us"


@dataclass(frozen=True, slots=True)
class Capability:
    """One row of the capability table (docs/platforms.md): a feature of the platform's text or
    index, how we know it, what Callboard does with it ("" : nothing)."""

    feature: str
    standing: Standing
    support: str = ""
    note: str = ""
    group: str = ""


def make_capability(
    group: str, feature: str, standing: Standing, support: str = "", note: str = ""
) -> Capability:
    """A row as the packages write their tables: by position, the group first."""
    return Capability(feature, standing, support, note, group)


@dataclass(frozen=True, slots=True)
class StatusTable:
    """A table "their word → ours". ``fields`` are the names under which the word comes in pushes
    and replies, by which the contract tests find out which words were ever seen."""

    name: str
    fields: tuple[str, ...]
    words: Mapping[str, Any]


#: the setting with which an operator switches on what rests on others' client code
UNVERIFIED_SETTING = "allow_unverified"


@dataclass(frozen=True, slots=True)
class Platform:
    """A vendor, declared. ``parse`` is pure: bytes in, events out, or ``Unrecognised``/``Ignored``.

    ``kinds`` are the callback kinds with a sentence each; "" where one address serves all.
    ``told_kinds``: what events name as their source, up to a dot → the platform's own name of such
    a push: the word for it on the wire, else its heading in the text.
    ``default_base_url`` is the documented one, "" for a platform that takes no calls from us.
    ``documents`` names the texts behind the package. What is in ``unverified`` is in ``can`` too,
    and is offered only where the account's setting ``allow_unverified`` is on.
    """

    slug: str
    name: str
    default_base_url: str
    can: frozenset[Can]
    limits: Limits
    settings: tuple[AccountField, ...]
    credentials: tuple[AccountField, ...]
    kinds: Mapping[str, str]
    errors: Mapping[str, ErrorCode]
    parse: Callable[[Push, Reading], tuple[AnyEvent, ...]]
    connect: Callable[[Connection], Client] | None
    told_kinds: Mapping[str, str] = field(default_factory=dict)
    recording_prefix_setting: str = ""
    documents: tuple[str, ...] = ()
    #: names in replies and requests that the record of an exchange never keeps
    secret_fields: frozenset[str] = frozenset()
    #: vendor's result code → our word, for the screens and for re-applying a corrected table
    results: Mapping[str, Any] = field(default_factory=dict)
    #: kind → what the platform asks with it while it waits for our word; every other kind is
    #: answered with "taken"
    questions: Mapping[str, Question] = field(default_factory=dict)
    #: other names by which people call it, for the command line
    aliases: tuple[str, ...] = ()
    unverified: frozenset[Can] = frozenset()
    #: every status table, for the contract tests, and for whether the platform tells of agents; the
    #: page of unknown codes goes by ``results`` alone
    vocabulary: tuple[StatusTable, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    #: the content of a failed-push file, unpacked, block by block → its pushes
    split_failed_pushes: Callable[[Iterable[bytes]], Iterator[FailedPush]] | None = None
    #: the setting with what stands before the relative paths of these files
    failed_push_prefix_setting: str = ""
    #: what is told of a call in pushes of their own → their kind: the ``record`` of each, the
    #: ``result`` of one that we made, ``dialog`` and ``recording`` of one that was answered
    follow_ups: Mapping[str, str] = field(default_factory=dict)
    #: the platform's counters of a task, by their names in ``TaskChanged.counts`` → what they count
    #: (``calls``, ``numbers``: who was called at least once, ``answered``)
    counters: Mapping[str, str] = field(default_factory=dict)
    #: hosts from which absolute addresses of recordings may be fetched, as the texts show them
    recording_hosts: frozenset[str] = frozenset()
