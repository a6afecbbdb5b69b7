"""In: events of one account. Out: the calls, turns, recordings, agents and task states they amount
to.

The merge is pure (``evidence``); here is its one write: rows that are missing are inserted, all
are locked in one order, merged in Python and written back in one statement. The same set of
events gives the same rows, whatever their order and however often they come.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any

import orjson
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import JSONField
from django.db.models.base import ModelState
from django.utils import timezone

from campaigns import lifecycle
from campaigns.agents import note_agents
from campaigns.evidence import (
    INTEGER_MAX,
    Evidence,
    Statements,
    merge,
    merge_problems,
    project,
    read_statements,
)
from campaigns.linking import (
    follow_up,
    join_rows,
    link_calls,
    link_late,
    link_pending,
    write_joins,
)
from campaigns.models import Account, Call, Instance, Task, Verification
from campaigns.platforms.contract import Can
from campaigns.platforms.events import (
    AgentChanged,
    AnyEvent,
    CallEvent,
    PushClaimed,
    RecordingReady,
    TaskChanged,
)
from campaigns.platforms.values import BIGINT_MAX, clean, clean_text
from campaigns.prepared import fetch_rows, join_json, open_cursor, write_array
from campaigns.queue import LAST, enqueue_all
from campaigns.turns import COPY, spell_rows

__all__ = [
    "Applied",
    "Heard",
    "apply_events",
    "apply_task_state",
    "digest_claim",
    "fill",
    "gather_events",
    "link_calls",
    "link_late",
    "link_pending",
    "project",
]

FETCH_JOB = "campaigns.jobs.fetch_recording"
FETCH_SEVERAL_JOB = "campaigns.jobs.fetch_recordings"
VERIFY_JOB = "campaigns.jobs.verify_push"
#: the account's setting never · sample · always, and of how many pushes a sample takes one
VERIFY_SETTING, SAMPLE_OF = "verify", 10
UPDATED = [
    *("evidence", "problems", "conflicts", "happened_at", "updated_at"),
    *project({}).columns,
]
#: with as many new recordings each has a job of its own, of more a job fetches several
ALONE, SEVERAL = 8, 16


@dataclass(slots=True)
class Applied:
    """What ``apply_events`` touched."""

    call_ids: list[int] = field(default_factory=list)
    task_ids: list[int] = field(default_factory=list)
    recording_ids: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Told:
    """What the events of one call say together."""

    pieces: list[Evidence] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    #: {digest: the rows of the turns}
    dialogs: dict[str, Sequence[str]] = field(default_factory=dict)
    recordings: list[RecordingReady] = field(default_factory=list)
    claims: list[PushClaimed] = field(default_factory=list)
    heard_at: datetime | None = None
    #: the call as it is if nobody had heard of it, and what its columns of JSON hold
    made: Call | None = None
    spelled: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Heard:
    """What the events of one account say of each call, gathered before they are written."""

    account: Account
    told: dict[str, _Told]
    #: the things that said it; who applies them together may use this
    receipts: int = 0

    def make_calls(self, *, but: Collection[str] = ()) -> Iterator[None]:
        """Make the calls as they are if nobody had heard of them, one with each step; ``but``: of
        these somebody has."""
        for name, one in self.told.items():
            if name not in but:
                _make_call(self.account, name, one)
                yield


def gather_events(
    account: Account, events: Sequence[AnyEvent], *, statements: Sequence[Statements | None] = ()
) -> Heard:
    """What the events say of each call, without asking the database; ``statements`` is what each
    event states, where that is known."""
    told: dict[str, _Told] = defaultdict(_Told)
    for place, event in enumerate(events):
        if isinstance(event, CallEvent):
            known = statements[place] if statements else None
            stated = known or read_statements(event)
            _hear(told[clean_text(event.platform_call_id)[:200]], event, stated)
    return Heard(account, told)


def apply_events(
    account: Account,
    events: Sequence[AnyEvent],
    *,
    receipt_ids: Sequence[int] = (),
    statements: Sequence[Statements | None] = (),
    heard: Heard | None = None,
) -> Applied:
    """Write what the events say, in one transaction; recordings that are new get a job in it.

    The caller runs ``link_late(account.pk, applied.call_ids)`` after its commit, for calls whose
    contact learnt its platform id meanwhile. ``receipt_ids`` says what the events came from,
    for the log of a failure; ``statements`` what each event states, where that is known, ``heard``
    the same gathered, where it has been.
    """
    applied = Applied()
    told = (heard or gather_events(account, events, statements=statements)).told
    with transaction.atomic():
        if told:
            calls = _write_calls(account, told)
            applied.call_ids = sorted(call.pk for call in calls.values())
            applied.recording_ids = _write_recordings(calls, told)
            _write_claims(account, {calls[name].pk: one.claims for name, one in told.items()})
        note_agents(account, [event for event in events if isinstance(event, AgentChanged)])
        for event in events:
            if isinstance(event, TaskChanged):
                applied.task_ids += _apply_task_event(account, event)
    return applied


def _hear(told: _Told, event: CallEvent, stated: Statements) -> None:
    evidence, problems, dialog = stated
    told.pieces.append(evidence)
    if problems:
        told.problems = merge_problems(told.problems, problems)
    if event.heard_at and (told.heard_at is None or event.heard_at < told.heard_at):
        told.heard_at = event.heard_at
    if dialog is not None:
        told.dialogs[dialog.described["digest"]] = dialog.rows
    elif isinstance(event, RecordingReady):
        told.recordings.append(event)
    elif isinstance(event, PushClaimed):
        told.claims.append(event)


# ----------------------------------------------------------------------------------------- calls


def _write_calls(account: Account, told: dict[str, _Told]) -> dict[str, Call]:
    """{platform's call id: the row, locked, joined and up to date}"""
    names = sorted(told)
    present = {row[0] for row in fetch_rows(_PRESENT, [account.pk, write_array(names)])}
    # First what is new, sorted, before any lock: two transactions that insert the same calls wait,
    # they never deadlock.
    calls = _insert_calls(account, {name: told[name] for name in names if name not in present})
    before: dict[int, int | None] = {call.pk: None for call in calls.values()}
    others = [name for name in names if name not in calls]
    if others:
        rows = [_load(row) for row in fetch_rows(_LOCK, [account.pk, write_array(others)])]
        before |= {row.pk: row.contact_id for row in rows}
        _update_calls(account, rows, told)
        calls |= {row.platform_call_id: row for row in rows}
    rows = sorted(calls.values(), key=attrgetter("pk"))
    follow_up(account.pk, rows, before=before, region=account.region)
    return calls


def _insert_calls(account: Account, told: dict[str, _Told]) -> dict[str, Call]:
    """Calls that nobody had heard of, joined and with their turns; those that somebody else has
    written meanwhile are missing in what comes back."""
    if not told:
        return {}
    now = timezone.now()
    made = {name: one.made or _make_call(account, name, one) for name, one in told.items()}
    for call in made.values():
        call.created_at = call.updated_at = now
    join_rows(account.pk, list(made.values()), region=account.region)
    spelled = [one.spelled for one in told.values()]
    with open_cursor() as cursor:
        cursor.execute(_INSERT, _list_columns(_NEW, made.values(), spelled=spelled))
        ids = dict(cursor.fetchall())
    calls = {}
    for name, pk in ids.items():
        calls[name] = made[name]
        calls[name].pk = pk
    _write_turns(
        {
            call.pk: told[name].dialogs[call.evidence["dialog"][0][2]["digest"]]
            for name, call in calls.items()
            if "dialog" in call.evidence
        }
    )
    return calls


def _make_call(account: Account, name: str, one: _Told) -> Call:
    """The call that these events amount to by themselves."""
    now = timezone.now()
    call = _make_row(
        {
            **_BLANK,
            "account_id": account.id,
            "platform_call_id": name,
            "created_at": now,
            "updated_at": now,
            "happened_at": one.heard_at or now,
        }
    )
    fill(call, merge(*one.pieces), one.problems, region=account.region)
    one.spelled = {column: _write_json(getattr(call, column)) for column in _JSON}
    one.made = call
    return call


def _update_calls(account: Account, rows: list[Call], told: dict[str, _Told]) -> None:
    """Merge what was told into locked calls, join them, and write those that are not as before."""
    changed: list[Call] = []
    spoken: dict[int, Sequence[str]] = {}
    for call in rows:
        one = told[call.platform_call_id]
        merged = merge(call.evidence, *one.pieces)
        if call.dialog_deleted_at is not None:
            merged.pop(NOTES, None)
        problems = merge_problems(call.problems, one.problems) if one.problems else call.problems
        if merged == call.evidence and problems == call.problems:
            continue
        dialog = merged.get("dialog")
        richer = dialog and dialog[:1] != call.evidence.get("dialog", [])[:1]
        # Words that were deleted because their time was over do not come back.
        if dialog and richer and call.dialog_deleted_at is None:
            spoken[call.pk] = one.dialogs[dialog[0][2]["digest"]]
        changed.append(fill(call, merged, problems, region=account.region))
    joined = join_rows(account.pk, rows, region=account.region)
    if changed:
        now = timezone.now()
        for call in changed:
            call.updated_at = now
        with open_cursor() as cursor:
            cursor.execute(_UPDATE, _list_columns(_OLD, changed))
    known = {call.pk for call in changed}
    write_joins([call for call in joined if call.pk not in known])
    _forget_turns(spoken)
    _write_turns(spoken)


def _list_columns(
    fields: Sequence[Any], calls: Iterable[Call], *, spelled: Sequence[Mapping[str, str]] = ()
) -> list[str]:
    """One array for each column. ``spelled``: of each call the columns of JSON, where they are."""
    rows = [call.__dict__ for call in calls]
    columns = []
    for one in fields:
        read = itemgetter(one.attname)
        if not _is_json(one):
            columns.append(write_array(map(read, rows)))
        elif spelled:
            columns.append(join_json(map(read, spelled)))
        else:
            columns.append(join_json(map(_write_json, map(read, rows))))
    return columns


def _is_json(one: Any) -> bool:
    return isinstance(one, JSONField)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def _write_json(value: Any) -> str:
    if not value:
        return "{}"
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer beyond 64 bits
        return _encode(value)


def _name_columns(fields: Sequence[Any], place: str = "") -> str:
    return ", ".join(f"{place}{one.column}" for one in fields)


def _spell_arrays(fields: Sequence[Any]) -> str:
    """The arrays as the columns of v. A text is refused where it is too long, never cut."""
    arrays = ", ".join(map(_spell_array, fields))
    return f"unnest({arrays}) AS v({_name_columns(fields)})"


def _spell_array(one: Any) -> str:
    kind = str(one.cast_db_type(connection))
    if _is_json(one):
        return f"string_to_array(%s, E'\\x1e')::{kind}[]"
    return f"%s::{'text' if kind.startswith('varchar') else kind}[]"


#: what somebody wrote down about a call: it goes with its dialog, and does not come back either
NOTES = "details.notes"
_NEW = [one for one in Call._meta.concrete_fields if not one.primary_key]
_JSON = [one.attname for one in _NEW if _is_json(one)]
_JOINS = ("contact", "task", "robot")
_OLD = [Call._meta.get_field(name) for name in ("id", *UPDATED, *_JOINS)]
_INSERT = f"""
    INSERT INTO campaigns_call ({_name_columns(_NEW)})
    SELECT {_name_columns(_NEW, "v.")} FROM {_spell_arrays(_NEW)}
    ON CONFLICT (account_id, platform_call_id) DO NOTHING RETURNING platform_call_id, id
"""  # noqa: S608
_UPDATE = f"""
    UPDATE campaigns_call SET {", ".join(f"{one.column} = v.{one.column}" for one in _OLD[1:])}
    FROM {_spell_arrays(_OLD)} WHERE campaigns_call.id = v.id
"""  # noqa: S608


#: a call of which nothing is known, but for what none of them shares
_BLANK: dict[str, Any] = {"id": None} | {
    one.attname: one.get_default()
    for one in _NEW
    if one.name not in ("evidence", "problems", "conflicts", "details", "created_at", "updated_at")
}
_LOADED = (
    *("id", "platform_call_id", "contact_id", "task_id", "robot_id", "direction", "callee"),
    *("dialed_at", "happened_at", "platform_task_id", "platform_contact_id", "platform_robot_id"),
    *("evidence", "problems", "dialog_deleted_at"),
)
_PRESENT = """
    SELECT platform_call_id FROM campaigns_call
    WHERE account_id = %s AND platform_call_id = ANY(%s::text[])
"""
_LOCK = f"""
    SELECT {", ".join(_LOADED)} FROM campaigns_call
    WHERE account_id = %s AND platform_call_id = ANY(%s::text[]) ORDER BY id FOR UPDATE
"""  # noqa: S608


def _make_row(values: dict[str, Any]) -> Call:
    """A call with these columns; any other is read when it is asked for. As ``Model.from_db``,
    whose looking at each column costs more than all that is done with most of them."""
    call = Call.__new__(Call)
    call.__dict__.update(values, _state=ModelState())
    return call


def _load(row: Sequence[Any]) -> Call:
    call = _make_row(dict(zip(_LOADED, row, strict=True)))
    call.evidence, call.problems = json.loads(call.evidence), json.loads(call.problems)
    call._state.adding, call._state.db = False, DEFAULT_DB_ALIAS
    return call


def fill(call: Call, evidence: Evidence, problems: dict[str, str], *, region: str = "CN") -> Call:
    """Set the columns of a call from its evidence; ``region`` is its account's."""
    projection = project(evidence, region=region)
    call.evidence, call.problems, call.conflicts = evidence, problems, projection.conflicts
    call.__dict__.update(projection.columns)  # none of them is anything but a column
    times = [call.dialed_at, call.ringing_at, call.answered_at, call.ended_at]
    call.happened_at = max((at for at in times if at), default=call.happened_at)
    return call


def _forget_turns(call_ids: Collection[int]) -> None:
    """Before the turns of a richer dialog take their place."""
    if call_ids:
        with open_cursor() as cursor:
            cursor.execute(
                "DELETE FROM campaigns_turn WHERE call_id = ANY(%s::bigint[])",
                [write_array(call_ids)],
            )


def _write_turns(spoken: Mapping[int, Sequence[str]]) -> None:
    """Write the turns of locked calls that have none."""
    if not spoken:
        return
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write("".join([spell_rows(call_id, rows) for call_id, rows in spoken.items()]))


# ------------------------------------------------------------------------------------ recordings


def _write_recordings(calls: dict[str, Call], told: dict[str, _Told]) -> list[int]:
    """One row per call and address; the ids of the new ones, which have a job to fetch them."""
    rows: dict[tuple[int, str], tuple[int | None, int | None]] = {}
    for name, one in told.items():
        for event in one.recordings:
            key = calls[name].pk, clean_text(event.address)[:1000]
            size, seconds = rows.get(key, (None, None))
            rows[key] = (
                _take_larger(size, event.size, BIGINT_MAX),
                _take_larger(seconds, event.seconds, INTEGER_MAX),
            )
    if not rows:
        return []
    keys = sorted(rows)
    with open_cursor() as cursor:
        # xmax is 0 only in a row that this statement inserted.
        cursor.execute(
            "INSERT INTO campaigns_recording (call_id, address, announced_bytes,"
            " announced_seconds, status, reason, tries, file, content_type, sha256, created_at)"
            " SELECT v.call, v.address, v.bytes, v.seconds, 'remote', '', 0, '', '', '', now()"
            " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::int[])"
            " AS v(call, address, bytes, seconds)"
            " ON CONFLICT (call_id, address) DO UPDATE SET"
            " announced_bytes = greatest(campaigns_recording.announced_bytes,"
            " excluded.announced_bytes),"
            " announced_seconds = greatest(campaigns_recording.announced_seconds,"
            " excluded.announced_seconds)"
            " RETURNING id, xmax = 0",
            [
                write_array(key[0] for key in keys),
                write_array(key[1] for key in keys),
                write_array(rows[key][0] for key in keys),
                write_array(rows[key][1] for key in keys),
            ],
        )
        new = [pk for pk, inserted in cursor.fetchall() if inserted]
    if len(new) <= ALONE:
        enqueue_all(FETCH_JOB, [{"recording_id": pk} for pk in new], priority=LAST)
    else:
        size = min(SEVERAL, -(-len(new) // ALONE))
        groups = [new[at : at + size] for at in range(0, len(new), size)]
        enqueue_all(FETCH_SEVERAL_JOB, [{"recording_ids": ids} for ids in groups], priority=LAST)
    return new


def _take_larger(one: int | None, other: Any, limit: int) -> int | None:
    usable = isinstance(other, int) and not isinstance(other, bool) and 0 <= other <= limit
    known = [value for value in (one, other if usable else None) if value is not None]
    return max(known, default=None)


# ---------------------------------------------------------------------------------------- claims


def _write_claims(account: Account, claims: dict[int, list[PushClaimed]]) -> None:
    """Keep the pushes that the platform can be asked about, once each; those that the account's
    policy picks get a job that asks."""
    if not any(claims.values()):
        return
    rows = [
        Verification(
            call_id=call_id, digest=digest_claim(claim.claim), query=clean(claim.query),
            claim=clean(claim.claim),
        )
        for call_id, told in sorted(claims.items())
        for claim in told
    ]  # fmt: skip
    known = set(
        Verification.objects.filter(call_id__in=claims).values_list("call_id", "digest")
    )  # their calls are locked: nobody else writes them
    new = list(
        {
            (row.call_id, row.digest): row for row in rows if (row.call_id, row.digest) not in known
        }.values()
    )
    new = Verification.objects.bulk_create(new)
    policy = account.get_setting(VERIFY_SETTING)
    if policy in ("always", "sample") and account.can(Can.VERIFY_PUSHES):
        picked = [
            row.pk for row in new if policy == "always" or int(row.digest[:8], 16) % SAMPLE_OF == 0
        ]
        # From here on whoever asks finds it by its state, should the job be lost.
        made = Verification.objects.filter(pk__in=picked)
        lifecycle.move_rows(made, "asking", of=["unasked"])
        enqueue_all(VERIFY_JOB, [{"verification_id": pk} for pk in picked], priority=LAST)


def digest_claim(claim: dict[str, Any]) -> str:
    spelled = json.dumps(clean(claim), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(spelled.encode()).hexdigest()


# ----------------------------------------------------------------------------------------- tasks


def _apply_task_event(account: Account, event: TaskChanged) -> Iterable[int]:
    if not event.platform_task_id:
        return
    for task in Task.objects.filter(account=account, platform_task_id=event.platform_task_id):
        yield task.pk  # its state is asked for: a push does not say when it was so
    instances = Instance.objects.filter(
        task__account=account, platform_task_id=event.platform_task_id
    )
    for instance in instances.select_for_update(of=("self",)).order_by("id"):
        told = merge_state(instance, event)
        Instance.objects.filter(pk=instance.pk).update(**told, platform_checked_at=timezone.now())
        yield instance.task_id


def merge_state(instance: Instance, event: TaskChanged) -> dict[str, Any]:
    """The fields of an instance after one more push about it, in whatever order they come.

    A push about a task says neither when it was made nor which one follows it. So the furthest
    state stays, of two words for one state the greater, and of a counter the highest.
    """
    word = clean_text(event.platform_state)[:100]
    if event.node_id is None:
        before = (instance.platform_state, instance.platform_word)
        state, word = _take_further(before, (event.state.value, word))
        return {"platform_state": state, "platform_word": word}
    nodes = dict(instance.nodes)
    name = clean_text(event.node_id)[:100]
    if name not in nodes and len(nodes) >= MOST_NODES:
        return {}
    node = nodes.get(name, {})
    before = (node.get("state", ""), node.get("word", ""))
    state, word = _take_further(before, (event.state.value, word))
    counts = dict(node.get("counts", {}))
    for counter, value in clean(event.counts).items():
        if isinstance(value, int):
            counts[counter] = max(value, counts.get(counter, value))
    title = max(node.get("name", ""), clean_text(event.node_name or "")[:200])
    details = dict(node.get("details", {}))
    times = {"started_at": event.started_at, "finished_at": event.finished_at}
    for key, value in ({k: v and v.isoformat() for k, v in times.items()} | event.details).items():
        if value not in (None, ""):
            # of two statements the greater, so that no order matters
            details[clean_text(key)[:100]] = max(
                clean(value), details.get(clean_text(key)[:100], clean(value)), key=_spell
            )
    nodes[name] = {
        "name": title, "state": state, "word": word, "counts": counts, "details": details,
    }  # fmt: skip
    return {"nodes": nodes}


def _spell(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


#: how far a task is; pushes never lead back
_FURTHER = [
    *("", "unknown", "created", "started", "waiting_retry", "outside_hours", "paused"),
    *("running", "finished", "expired", "deleted"),
]
MOST_NODES = 50


def _take_further(one: tuple[str, str], other: tuple[str, str]) -> tuple[str, str]:
    return max(one, other, key=lambda told: (_FURTHER.index(told[0]), told[1]))


def apply_task_state(task: Task, event: TaskChanged) -> None:
    """Keep what the platform says of a task, and when it said so. Moves nothing. Nothing is kept
    of one that has been handed over anew meanwhile: it was said of the one before."""
    fields: dict[str, Any] = {
        "platform_state": str(event.state)[:20],
        "platform_checked_at": timezone.now(),
    }
    if event.contacts is not None and 0 <= event.contacts <= INTEGER_MAX:
        fields["platform_contacts"] = event.contacts
    if event.counts:
        fields["platform_counts"] = clean(event.counts)
    same = Task.objects.filter(pk=task.pk, platform_task_id=task.platform_task_id)
    if not same.update(**fields):
        return
    for name, value in fields.items():
        setattr(task, name, value)
