"""In: a question of a platform, while somebody is on the line. Out: the answer, in time, and a row
that keeps what was asked, found and answered.

``ask`` begins at once in a thread of its own; who waits for it gets the answer, or the empty one
when the time is over. Whatever fails here, a database that is away, a function of the installation
that raises or does not end, a request that nobody can read: the platform gets the empty answer.
What is answered was written down first, as long as the database does that in a moment; an answer
that was found is given all the same when it does not, and written down after.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib import import_module
from typing import Any
from weakref import WeakSet

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.db.models import IntegerField, Q
from django.db.models import Value as Constant
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns.models import (
    Account,
    ContextDefault,
    InboundAnswer,
    InboundContext,
    SemanticRule,
)
from campaigns.platforms.contract import Platform
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.questions import About, Asked, Question, Value
from campaigns.platforms.values import clean_text
from campaigns.semantics.functions import Function, FunctionFailed, run_function
from campaigns.semantics.rules import Finding, Rule, Surroundings, apply_rule, choose_values

log = logging.getLogger(__name__)

#: a request that is larger is kept, and answered with nothing: reading it would take the time
MOST_BYTES = 1_000_000
#: kept back of the time for writing down what was found
WRITE_SECONDS = 0.05
#: an answer that was found waits so long for being written down
WAIT_SECONDS = 0.02
#: an account is known by heart for so long; whether its token still lives, the door decides
KNOWN_SECONDS = 5.0
KNOWN_ACCOUNTS = 1000
THREADS = 8
#: of a text so much is kept with a finding
KEPT_TEXT = 200

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="answer")
_lock = threading.Lock()
_under_way: WeakSet[Future[Any]] = WeakSet()


@dataclass(slots=True)
class Found:
    """An answer as it was found: nothing of it is stored yet."""

    asked: Asked | None
    values: list[Value] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    detail: str = ""
    #: as of ``InboundAnswer.Outcome``
    outcome: str = "empty"


# ----------------------------------------------------------------------------- while somebody waits


class Answering:
    """One question under way."""

    def __init__(self, question: Question, *, deadline: float) -> None:
        self.question = question
        self.deadline = deadline
        self.settled = threading.Event()
        self.done = threading.Event()
        self.given: bytes | None = None
        self._lock = threading.Lock()

    def wait(self) -> bytes:
        """What the platform gets, at the latest when the time is over. Never fails."""
        self.settled.wait(max(0.0, self.left()))
        with self._lock:
            if self.given is None:
                self.given = self.question.empty
                return self.given
        self.done.wait(max(0.0, min(self.left(), WAIT_SECONDS)))
        return self.given

    def give(self, answer: bytes) -> bool:
        """Settle the answer; False when the empty one was given already."""
        with self._lock:
            if self.given is not None:
                return False
            self.given = answer
        self.settled.set()
        return True

    def left(self) -> float:
        return self.deadline - time.monotonic()


def ask(token_hash: str, *, vendor: Platform, kind: str, body: bytes, deadline: float) -> Answering:
    """Begin to answer a question that came for a live token. ``deadline`` is on the monotonic
    clock. Raises KeyError for a kind with which the platform asks nothing."""
    answering = Answering(vendor.questions[kind], deadline=deadline)
    began, asked_at = time.monotonic(), timezone.now()

    def work() -> None:
        try:
            try:
                _answer(answering, token_hash, kind, body, began=began, asked_at=asked_at)
            except (OperationalError, InterfaceError):
                if connection.in_atomic_block or answering.given is not None:
                    raise
                # a connection that died since its last use is replaced, once
                connection.close()
                _answer(answering, token_hash, kind, body, began=began, asked_at=asked_at)
        except Exception as error:  # whatever it was, the platform gets the empty answer
            log.error("A question could not be answered: %s.", type(error).__name__)
        finally:
            answering.settled.set()
            answering.done.set()

    if connection.in_atomic_block:  # somebody's transaction around us must see and hold the row
        work()
        return answering
    future = _pool.submit(_run, work)
    with _lock:
        _under_way.add(future)
    return answering


def settle() -> None:
    """Wait until nothing is under way."""
    with _lock:
        under_way = [future for future in _under_way if not future.done()]
    wait(under_way)


def _run(work: Callable[[], None]) -> None:
    """A connection that works is kept as long as the settings say, and not asked each time whether
    it still does."""
    try:
        work()
    finally:
        try:
            ends = connection.close_at
            if connection.errors_occurred or (ends is not None and time.monotonic() >= ends):
                connection.close()
        except Error:
            log.warning("A connection could not be closed.")


def _answer(
    answering: Answering,
    token_hash: str,
    kind: str,
    body: bytes,
    *,
    began: float,
    asked_at: datetime,
) -> None:
    question = answering.question
    account = find_account(token_hash)
    if account is None:
        return
    found = find_answer(account, question, body, at=asked_at, left=answering.left)
    answer = question.spell(found.values) if found.values else question.empty
    if not answering.give(answer):
        found.outcome, found.detail = "late", TOO_LATE
        answer = question.empty
    row = InboundAnswer(account=account, kind=kind, asked_at=asked_at)
    row.sha256 = hashlib.sha256(body).digest()
    keep(row, found, answer, took=time.monotonic() - began)


_known: dict[str, tuple[float, Account]] = {}


def find_account(token_hash: str) -> Account | None:
    """Whose the live token is; one seen a moment ago is answered from memory."""
    ends, account = _known.get(token_hash, (0.0, None))
    if account is not None and time.monotonic() < ends and not connection.in_atomic_block:
        return account
    live = Q(callback_tokens__hash=token_hash, callback_tokens__revoked_at=None)
    account = Account.objects.filter(live).first()
    if account is not None and not connection.in_atomic_block:
        if len(_known) >= KNOWN_ACCOUNTS:
            _known.clear()
        _known[token_hash] = (time.monotonic() + KNOWN_SECONDS, account)
    return account


def keep(row: InboundAnswer, found: Found, answer: bytes, *, took: float) -> None:
    asked = found.asked
    if asked is not None:
        row.code, row.platform_robot_id = asked.code, asked.robot_id
        row.platform_call_id, row.relation_id = asked.call_id, asked.relation_id
    row.answer = clean_text(answer.decode("utf-8", "replace"))
    row.outcome, row.detail, row.findings = found.outcome, found.detail, found.findings
    row.took_ms = round(took * 1000, 1)
    row.save(force_insert=True)


TOO_LATE = N_("The answer was found after the time was over.")
TOO_LARGE = N_("The request is too large to be read in time.")
NOT_READ = N_("The request could not be read.")
NO_TIME = N_("There was no time left for all rules.")
FAILED = N_("Something of ours failed.")


def find_answer(
    account: Account,
    question: Question,
    body: bytes,
    *,
    at: datetime,
    left: Callable[[], float],
    rules: Sequence[SemanticRule] | None = None,
) -> Found:
    """What a request is answered. Stores nothing. ``left``: seconds that are left; ``rules``
    instead of those that are stored and active."""
    if len(body) > MOST_BYTES:
        return Found(None, detail=TOO_LARGE, outcome="unreadable")
    try:
        asked = question.read(body)
    except Unrecognised:
        return Found(None, detail=NOT_READ, outcome="unreadable")
    found = Found(asked)
    try:
        if asked.about is About.VARIABLES:
            found.values = find_variables(account, asked, at=at)
        else:
            _find_meaning(account, found, at=at, left=left, rules=rules)
    except Exception as error:
        log.error("An answer could not be found: %s.", type(error).__name__)
        found.values, found.outcome = [], "failed"
        found.detail = FAILED
        if isinstance(error, Error):
            raise
        return found
    if found.outcome == "empty" and found.values:
        found.outcome = "answered"
    return found


# ----------------------------------------------------------------------------- variables of callers


def find_variables(account: Account, asked: Asked, *, at: datetime) -> list[Value]:
    """The caller's own before the defaults, a robot's before those for all robots."""
    of_robot = Q(robot=None) | Q(robot__platform_id=asked.robot_id)
    defaults = ContextDefault.objects.filter(of_robot, account=account)
    own = InboundContext.objects.filter(of_robot, account=account, relation_id=asked.relation_id)
    own = own.filter(Q(expires_at=None) | Q(expires_at__gt=at))
    rows = _name_layer(defaults, 0)
    if asked.relation_id:
        rows = rows.union(_name_layer(own, 1), all=True)
    values: dict[str, str] = {}
    # what comes later rules
    for _layer, _robot, layer in sorted(rows, key=lambda row: (row[0], row[1] is not None)):
        values |= layer
    return [Value(name, str(text)) for name, text in values.items()]


def _name_layer(rows: Any, layer: int) -> Any:
    named = rows.order_by().annotate(layer=Constant(layer, output_field=IntegerField()))
    return named.values_list("layer", "robot_id", "values")


# ------------------------------------------------------------------------------ what was meant


def _find_meaning(
    account: Account,
    found: Found,
    *,
    at: datetime,
    left: Callable[[], float],
    rules: Sequence[SemanticRule] | None,
) -> None:
    """First the installation's function for the code, then the rules for what it left out."""
    asked = found.asked
    assert asked is not None
    by_function = _ask_function(asked, found, left=left)
    findings: list[Finding] = []
    around = Surroundings(today=find_today(account, at), region=account.region)
    for rule in list_rules(account, asked) if rules is None else rules:
        if left() < WRITE_SECONDS:
            found.detail = found.detail or NO_TIME
            break
        findings.append(apply_rule(make_rule(rule), asked, around))
    values = {value.key: value for value in by_function}
    for value in choose_values(findings):
        values.setdefault(value.key, value)
    found.values = list(values.values())
    found.findings += [describe_finding(one, values.get(one.rule.key)) for one in findings]


def find_today(account: Account, at: datetime) -> date:
    return at.astimezone(account.zone).date()


def list_rules(account: Account, asked: Asked) -> list[SemanticRule]:
    rules = SemanticRule.objects.filter(account=account, code=asked.code, is_active=True)
    of_robot = Q(robot=None) | Q(robot__platform_id=asked.robot_id)
    return list(rules.filter(of_robot).order_by("order", "id"))


def make_rule(row: SemanticRule) -> Rule:
    return Rule(
        id=row.pk or 0,
        key=row.key,
        kind=row.kind,
        type=row.type,
        source=row.source,
        source_name=row.source_name,
        pattern=row.pattern,
        choices=tuple((str(word), str(value)) for word, value in row.choices),
        after=row.after,
        unit=row.unit,
        which=row.which,
        low=row.low,
        high=row.high,
        side=row.side,
        default=row.default,
    )


def describe_finding(one: Finding, given: Value | None) -> dict[str, Any]:
    return {
        "rule": one.rule.id,
        "key": one.rule.key,
        "kind": one.rule.kind,
        "text": one.text[:KEPT_TEXT],
        "found": one.found[:KEPT_TEXT],
        "value": one.value,
        "default": one.is_default,
        "why": one.why,
        "given": given is not None and given.value == one.value and one.value is not None,
    }


# --------------------------------------------------------------------- functions of an installation


def _ask_function(asked: Asked, found: Found, *, left: Callable[[], float]) -> list[Value]:
    path = settings.SEMANTIC_FUNCTIONS.get(asked.code) if asked.code else None
    if not path:
        return []
    seconds = min(settings.SEMANTIC_FUNCTION_SECONDS, left() - 2 * WRITE_SECONDS)
    told: dict[str, Any] = {"function": path, "why": ""}
    values: list[Value] = []
    try:
        values = run_function(load_function(path), asked, seconds=seconds, leave=_close_connection)
    except FunctionFailed as error:
        told["why"] = str(error)
        log.warning("The semantic function %s gave nothing: %s", path, error)
    told["values"] = [{"key": one.key, "value": one.value} for one in values]
    found.findings.append(told)
    if told["why"]:
        found.outcome, found.detail = "failed", told["why"][:300]
    return values


def load_function(path: str) -> Function:
    """The function at a dotted path. Raises ``FunctionFailed``."""
    module, _dot, name = path.rpartition(".")
    try:
        function: Any = getattr(import_module(module), name)
    except Exception as error:  # a module of somebody else's may raise anything
        log.warning("%s cannot be imported: %s.", path, type(error).__name__)
        raise FunctionFailed(N_("The function cannot be imported.")) from error
    if not callable(function):
        raise FunctionFailed(N_("What the setting names is no function."))
    loaded: Function = function
    return loaded


def _close_connection() -> None:
    """In the function's thread, which ends with it."""
    connection.close()


# ---------------------------------------------------------------------------------- forgetting


def forget_expired(*, limit: int = 1000) -> int:
    """Delete variables that expired more than a day ago, so many at most."""
    old = timezone.now() - timedelta(days=1)
    with transaction.atomic():
        rows = InboundContext.objects.filter(expires_at__lt=old).order_by("expires_at")
        ids = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
        InboundContext.objects.filter(pk__in=ids).delete()
    return len(ids)
