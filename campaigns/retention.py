"""In: periods of keeping. Out: what is older is deleted, few rows at a time, and counted.

Pushes that wait or are quarantined are not deleted: somebody has yet to look at them. A call that
loses its dialog keeps the day of it, and its evidence: the digest of the dialog is in it, so that
the same push, coming again, brings nothing back. Each statement touches at most ``BATCH`` rows,
skips those that somebody holds, and rests as long as it worked.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.files.storage import Storage
from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.ingest import NOTES as EVIDENCE_OF_NOTES
from campaigns.models import (
    Account,
    Attempt,
    Call,
    Erasure,
    Exchange,
    InboundAnswer,
    InboundContext,
    Judgement,
    Recording,
    Remark,
    StatusChange,
    Turn,
)
from campaigns.models.retention import LEAST_PUSH_DAYS, KeepRule

logger = logging.getLogger(__name__)

PUSHES, EXCHANGES, DIALOGS, RECORDINGS, ANSWERS, NOTES, CONTEXTS = Erasure.Kind.values
#: rows of one statement; calls and files are fewer, there is more behind each of them
BATCH, FEW = 1000, 100
#: seconds of rest after each statement, at least; of work before a job gives its place to others
REST_SECONDS, JOB_SECONDS = 0.02, 20.0
#: a file without a row may be one that is just being kept
ORPHAN_SECONDS = 86_400
FOLDER = "recordings"

DELETED = N_("Deleted: its period of keeping is over.")

_OWN_FILE = re.compile(r"^(\d+)(?:_\w+)?\.\w+$")


@dataclass(frozen=True, slots=True)
class Due:
    """What of one kind is over its time now; ``number`` is counted to a limit only."""

    kind: str
    number: int
    oldest: datetime | None


# ---------------------------------------------------------------------------------------- periods


def find_days(kind: str, rule: KeepRule | None = None) -> int | None:
    """For how many days it is kept, None: for ever. The shortest of the periods that hold.

    Pushes and exchanges have the words of the dialogs in them: kept no longer than those.
    """
    if kind == ANSWERS:  # each belongs to the push that asked
        return find_days(PUSHES, rule)
    if kind == NOTES:  # what was said, in somebody's words
        return find_days(DIALOGS, rule)
    periods = [
        getattr(settings, f"KEEP_{kind.upper()}_DAYS"),
        getattr(rule, f"{kind}_days", None),
    ]
    if kind in (PUSHES, EXCHANGES):
        periods.append(find_days(DIALOGS, rule))
    days = min((one for one in periods if one), default=None)
    return max(days, LEAST_PUSH_DAYS) if days and kind == PUSHES else days


def find_cutoffs(kind: str, *, now: datetime | None = None) -> dict[int, datetime]:
    """{account: the moment before which its data of this kind is over}"""
    now = now or timezone.now()
    rules = {rule.account_id: rule for rule in KeepRule.objects.all()}
    days = {
        pk: find_days(kind, rules.get(pk)) for pk in Account.objects.values_list("pk", flat=True)
    }
    return {pk: now - timedelta(days=kept) for pk, kept in days.items() if kept}


# ---------------------------------------------------------------------------------------- the kinds


@dataclass(frozen=True, slots=True)
class _Kind:
    """``walk``: the model whose ids are walked through, and the column that says how old it is;
    ``since``: the one that says for how long it was left alone, where that is another, never older.
    ``find``: those of the ids that are due, as a queryset in the order in which they are locked.
    ``erase``: delete them, in the same transaction; what it gives is done after the commit."""

    walk: type[models.Model]
    column: str
    account: str
    batch: int
    find: Callable[[], models.QuerySet[Any]]
    erase: Callable[[list[int]], Callable[[], None] | None]
    step: Callable[[int, int, int], int | None]
    since: str = ""


def _step_by_id(model: type[models.Model], after: int, top: int, batch: int) -> int | None:
    """The last id of the next so many rows."""
    ids = model._default_manager.filter(pk__gt=after, pk__lt=top).order_by("pk")
    last = ids.values_list("pk", flat=True)[batch - 1 : batch].first()
    if last is None:
        last = ids.order_by("-pk").values_list("pk", flat=True).first()
    return last


def _step_by_stored(_model: Any, after: int, top: int, batch: int) -> int | None:
    """Recordings whose file is gone keep their row: they are passed over, however many."""
    stored = Recording.objects.filter(status="stored", pk__gt=after, pk__lt=top).order_by("pk")
    found = list(stored.values_list("pk", flat=True)[:batch])
    return found[-1] if found else None


def _step_by_turn(_model: Any, after: int, top: int, batch: int) -> int | None:
    """Calls without a dialog are passed over."""
    spoken = Turn.objects.filter(call_id__gt=after, call_id__lt=top).order_by("call_id")
    found = list(spoken.values_list("call_id", flat=True).distinct()[:batch])
    return found[-1] if found else None


def _find_pushes() -> models.QuerySet[Any]:
    receipts = apps.get_model("callbacks", "Receipt")._default_manager
    return receipts.filter(status__in=["processed", "ignored"])


def _erase_pushes(ids: list[int]) -> None:
    receipt, forgotten = (apps.get_model("callbacks", name) for name in ("Receipt", "Forgotten"))
    rows = receipt._default_manager.filter(pk__in=ids, pk__lte=_hold_counted())
    ended = Counter(rows.values_list("status", flat=True))
    _let_go(receipt, ids)
    StatusChange.objects.filter(subject="receipt", subject_id__in=ids).delete()
    _delete(receipt, ids)
    # What was received can still be accounted for.
    for status, number in ended.items():
        forgotten._default_manager.create(status=status, number=number)


def _hold_counted() -> int:
    """The highest id that is counted as received, and stays so until this transaction ends. What
    goes before it was ever counted, on the first day of an installation that has counted nothing
    yet, is neither received nor deleted: else the balance would be wrong from then on."""
    snapshot = apps.get_model("callbacks", "Snapshot")
    first = {"taken_at": timezone.now(), "numbers": {"id": 0}}
    snapshot._default_manager.get_or_create(pk="closed", defaults=first)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (numbers ->> 'id')::bigint FROM callbacks_snapshot WHERE name = 'closed'"
            " FOR SHARE"
        )
        return int(cursor.fetchone()[0])


def _find_exchanges() -> models.QuerySet[Any]:
    """Not those that somebody needs who has to decide about a request."""
    doubtful = Attempt.objects.filter(status__in=lifecycle.IN_DOUBT).values("pk")
    return Exchange.objects.exclude(attempt__in=doubtful)


def _erase_exchanges(ids: list[int]) -> None:
    _let_go(Exchange, ids)
    _delete(Exchange, ids)


def _erase_answers(ids: list[int]) -> None:
    _let_go(InboundAnswer, ids)
    _delete(InboundAnswer, ids)


def _find_dialogs() -> models.QuerySet[Any]:
    return Call.objects.filter(Exists(Turn.objects.filter(call=OuterRef("pk"))))


def _erase_dialogs(ids: list[int]) -> None:
    """With what people wrote about it: who repeats what was said keeps it else."""
    Turn.objects.filter(call_id__in=ids).delete()
    Remark.objects.filter(call_id__in=ids).delete()
    Judgement.objects.filter(review__call_id__in=ids).exclude(note="").update(note="")
    Call.objects.filter(pk__in=ids).update(dialog_deleted_at=timezone.now())


def _find_noted() -> models.QuerySet[Any]:
    return Call.objects.filter(details__has_key="notes")


def _begin_notes(cutoffs: Mapping[int, datetime]) -> int:
    """The call behind which notes may still be due. No index finds them (each push of a call would
    pay for it), so nobody looks twice through all the old calls: where nothing was changed about
    the periods, what was over its time for everybody has been looked through the day before."""
    known = _read_mark()
    return int(known.get("after", 0)) if known.get("of") == _tell_periods(cutoffs) else 0


def _end_notes(cutoffs: Mapping[int, datetime]) -> None:
    """All of them have been looked through. What somebody held is looked at for a day more."""
    if not cutoffs:
        return
    oldest = min(cutoffs.values()) - timedelta(days=1)
    top = _find_top(_list_kinds()[NOTES], {0: oldest})
    numbers = {"after": max(0, top - 1), "of": _tell_periods(cutoffs)}
    snapshot = apps.get_model("callbacks", "Snapshot")
    snapshot._default_manager.update_or_create(
        pk="notes", defaults={"taken_at": timezone.now(), "numbers": numbers}
    )


def _read_mark() -> dict[str, Any]:
    snapshot = apps.get_model("callbacks", "Snapshot")
    row = snapshot._default_manager.filter(pk="notes").first()
    return row.numbers if row is not None else {}


def _tell_periods(cutoffs: Mapping[int, datetime]) -> list[list[int]]:
    """Whose are kept for how many days."""
    now = timezone.now()
    return [[pk, round((now - moment).total_seconds() / 86_400)] for pk, moment in
            sorted(cutoffs.items())]  # fmt: skip


def _erase_notes(ids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_call SET details = details - 'notes', evidence = evidence - %s,"
            " conflicts = conflicts - %s, dialog_deleted_at = coalesce(dialog_deleted_at, now())"
            " WHERE id = ANY(%s)",
            [EVIDENCE_OF_NOTES, EVIDENCE_OF_NOTES, ids],
        )


def _find_contexts() -> models.QuerySet[Any]:
    """Those with a date of their own go by it; see ``answering``."""
    return InboundContext.objects.filter(expires_at=None)


def _erase_contexts(ids: list[int]) -> None:
    _let_go(InboundContext, ids)
    _delete(InboundContext, ids)


def _find_recordings() -> models.QuerySet[Any]:
    return Recording.objects.filter(status="stored")


def _erase_recordings(ids: list[int]) -> Callable[[], None]:
    rows = Recording.objects.filter(pk__in=ids)
    files = [row.file for row in rows.only("file") if row.file]
    lifecycle.move_rows(
        rows,
        "unavailable",
        of=["stored"],
        reason=DELETED,
        file="",
        deleted_at=timezone.now(),
        next_try_at=None,
    )

    def remove() -> None:
        for file in files:
            _remove_file(file.storage, file.name)

    return remove


def _let_go(model: type[models.Model], ids: list[int]) -> None:
    """What points at the rows goes with them, or forgets them if it can do without."""
    for relation in model._meta.related_objects:
        rows: Any = relation.related_model._default_manager  # type: ignore[union-attr]
        rows = rows.filter(**{f"{relation.field.name}__in": ids})
        if relation.field.null:
            rows.update(**{relation.field.name: None})
        else:
            rows.delete()


def _delete(model: type[models.Model], ids: list[int]) -> None:
    """One statement: nothing points at them any more."""
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(model._meta.db_table)
        cursor.execute(f"DELETE FROM {table} WHERE id = ANY(%s)", [ids])  # noqa: S608


def _list_kinds() -> dict[str, _Kind]:
    receipt = apps.get_model("callbacks", "Receipt")

    def by_id(model: type[models.Model]) -> Callable[[int, int, int], int | None]:
        return lambda after, top, batch: _step_by_id(model, after, top, batch)

    return {
        PUSHES: _Kind(
            receipt, "received_at", "account", BATCH, _find_pushes, _erase_pushes, by_id(receipt)
        ),
        EXCHANGES: _Kind(
            Exchange, "started_at", "account", BATCH, _find_exchanges, _erase_exchanges,
            by_id(Exchange),
        ),
        DIALOGS: _Kind(
            Call, "created_at", "account", FEW, _find_dialogs, _erase_dialogs,
            lambda after, top, batch: _step_by_turn(Call, after, top, batch),
        ),
        RECORDINGS: _Kind(
            Recording, "created_at", "call__account", FEW, _find_recordings, _erase_recordings,
            lambda after, top, batch: _step_by_stored(Recording, after, top, batch),
        ),
        ANSWERS: _Kind(
            InboundAnswer, "asked_at", "account", BATCH, InboundAnswer.objects.all, _erase_answers,
            by_id(InboundAnswer),
        ),
        NOTES: _Kind(
            Call, "created_at", "account", BATCH, _find_noted, _erase_notes,
            by_id(Call),
        ),
        CONTEXTS: _Kind(
            InboundContext, "created_at", "account", BATCH, _find_contexts, _erase_contexts,
            by_id(InboundContext), since="updated_at",
        ),
    }  # fmt: skip


# --------------------------------------------------------------------------------------- deleting


def forget_old(
    *, seconds: float = JOB_SECONDS, marks: Mapping[str, int] | None = None
) -> dict[str, int] | None:
    """Delete what is over its time; None when nothing is left, else from where to go on: {kind: the
    last id that was looked at}."""
    ends = time.monotonic() + seconds
    reached = dict(marks or {})
    for name, kind in _list_kinds().items():
        if reached.get(name) == -1:
            continue
        cutoffs = find_cutoffs(name)
        top = _find_top(kind, cutoffs)
        begin = _begin_notes(cutoffs) if name == NOTES and name not in reached else 0
        after: int | None = reached.get(name, begin)
        while after is not None:
            began = time.monotonic()
            after = forget_batch(name, kind, cutoffs, after=after, top=top)
            if after is not None:
                reached[name] = after
                if time.monotonic() >= ends:
                    return reached
                time.sleep(max(REST_SECONDS, min(1.0, time.monotonic() - began)))
        reached[name] = -1
        if name == NOTES:
            _end_notes(cutoffs)
    return None


def forget_batch(
    name: str, kind: _Kind, cutoffs: Mapping[int, datetime], *, after: int, top: int
) -> int | None:
    """Look at the next rows and delete those that are due; the last id of them, None at the end."""
    last = kind.step(after, top, kind.batch) if cutoffs else None
    if last is None:
        return None
    done: Callable[[], None] | None = None
    with transaction.atomic():
        if name != RECORDINGS:  # a deletion that is lost with the machine is done again
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO off")
        window = kind.find().filter(pk__gt=after, pk__lte=last)
        found = dict(_only_due(window, kind, cutoffs).values_list("pk", kind.account))
        free = kind.walk._default_manager.filter(pk__in=found).order_by("pk")
        held = free.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)
        # What changed its state since it was found is asked about again, now that it is held.
        still = _only_due(kind.find().filter(pk__in=list(held)), kind, cutoffs)
        ids = list(still.values_list("pk", flat=True))
        if ids:
            done = kind.erase(ids)
            for account, number in Counter(found[pk] for pk in ids).items():
                Erasure.objects.create(
                    account_id=account, kind=name, number=number, before=cutoffs[account]
                )
    if done is not None:
        done()
    return last


def _only_due(
    rows: models.QuerySet[Any], kind: _Kind, cutoffs: Mapping[int, datetime]
) -> models.QuerySet[Any]:
    due = models.Q(pk__in=())
    for moment in set(cutoffs.values()):
        accounts = [pk for pk, cutoff in cutoffs.items() if cutoff == moment]
        column = kind.since or kind.column
        due |= models.Q(**{f"{kind.account}__in": accounts, f"{column}__lt": moment})
    return rows.filter(due)


def _find_top(kind: _Kind, cutoffs: Mapping[int, datetime]) -> int:
    """The first id that is too new for everybody: ids grow with time, so it is found by halving."""
    if not cutoffs:
        return 0
    newest = max(cutoffs.values())
    rows = kind.walk._default_manager.order_by("pk").values_list("pk", kind.column)
    last = kind.walk._default_manager.order_by("-pk").values_list("pk", flat=True).first()
    low, high = 0, (last or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found = rows.filter(pk__gte=middle).first()
        if found is None or found[1] >= newest:
            high = middle
        else:
            low = found[0] + 1
    return low


# ------------------------------------------------------------------------------------ looking ahead


def list_due(*, most: int | None = None) -> Iterator[Due]:
    """What would be deleted now, of each kind; counted no further than ``most``."""
    for name, kind in _list_kinds().items():
        cutoffs = find_cutoffs(name)
        top = _find_top(kind, cutoffs)
        if name == DIALOGS:
            # Along the dialogs: nearly all calls of long ago have none any more.
            spoken = Turn.objects.filter(call_id__lt=top).order_by("call_id")
            calls = spoken.values_list("call_id", flat=True).distinct()
            rows: Any = Call.objects.filter(pk__in=list(calls[:most]) if most else calls)
        else:
            rows = kind.find().filter(pk__lt=top)
            if name == NOTES:
                rows = rows.filter(pk__gt=_begin_notes(cutoffs))
        due = _only_due(rows, kind, cutoffs).order_by("pk")
        number = (due.values("pk")[:most] if most else due).count()
        yield Due(name, number, due.values_list(kind.column, flat=True).first())


def count_unseen(*, most: int = 10_001) -> int:
    """Pushes that are over their time and stay, because nobody has looked at them."""
    receipts = apps.get_model("callbacks", "Receipt")._default_manager
    kind = _list_kinds()[PUSHES]
    cutoffs = find_cutoffs(PUSHES)
    waiting = receipts.filter(status__in=["received", "quarantined"])
    old = _only_due(waiting.filter(pk__lt=_find_top(kind, cutoffs)), kind, cutoffs)
    return old.values("pk")[:most].count()


# ------------------------------------------------------------------------------------------- files


def sweep_files() -> int:
    """Delete files of recordings that no row names: those of a deletion that was cut off."""
    storage = Recording._meta.get_field("file").storage
    removed = 0
    for folder, names in _list_files(storage, FOLDER):
        for start in range(0, len(names), BATCH):
            paths = [f"{folder}/{name}" for name in names[start : start + BATCH]]
            known = set(Recording.objects.filter(file__in=paths).values_list("file", flat=True))
            for path in paths:
                if path not in known and _is_old(storage, path):
                    removed += _remove_file(storage, path)
    return removed


def _list_files(storage: Storage, folder: str) -> Iterable[tuple[str, list[str]]]:
    try:
        folders, files = storage.listdir(folder)
    except (FileNotFoundError, NotADirectoryError, NotImplementedError):
        return
    own = [name for name in files if _OWN_FILE.match(name)]
    if own:
        yield folder, own
    for name in folders:
        yield from _list_files(storage, f"{folder}/{name}")


def _is_old(storage: Storage, path: str) -> bool:
    try:
        age = timezone.now() - storage.get_modified_time(path)
    except (OSError, NotImplementedError):
        return False
    return age > timedelta(seconds=ORPHAN_SECONDS)


def _remove_file(storage: Storage, path: str) -> bool:
    try:
        storage.delete(path)
    except OSError as error:
        logger.error("A file could not be deleted: %s.", type(error).__name__)
        return False
    return True
