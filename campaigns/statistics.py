"""In: a task, a user, a moment. Out: every number a screen shows, from the rows themselves.

What a number means is said in ``definitions``, and nowhere else.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from campaigns import definitions
from campaigns.models import (
    Account,
    Agent,
    Attempt,
    Call,
    Contact,
    Instance,
    Recording,
    Task,
    TaskCount,
)

ACTIVE = ("loading", "loaded", "starting", "running", "paused")
#: nothing is counted further than this while somebody waits
MANY = 10_000

#: tasks of each kind that the first screen shows
SHOWN = 20
#: a pause or a deletion that the platform has not confirmed for so long is an alarm
LATE_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSummary(definitions.Tally):
    """Calls counted once each, and {result: calls}, the most frequent first."""

    results: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """Where a task's contacts are, and what came back. ``contacts`` has every state."""

    contacts: dict[str, int]
    called: CallSummary
    intentions: dict[str, int]
    recordings: int
    dialogs: int
    taken_at: datetime

    @property
    def total(self) -> int:
        return sum(self.contacts.values())

    @property
    def to_call(self) -> int:
        """Contacts that are to be called or were: all but the excluded and the withdrawn."""
        return self.total - self.contacts["excluded"] - self.contacts["withdrawn"]

    @property
    def done(self) -> int:
        """Contacts of which nothing more will come."""
        return self.contacts["finished"] + self.contacts["rejected"]

    @property
    def share(self) -> float | None:
        return self.done / self.to_call if self.to_call else None

    @property
    def calls(self) -> int:
        return self.called.calls

    @property
    def answered(self) -> int:
        return self.called.answered


def count_contacts(task: Task) -> dict[str, int]:
    """{state: contacts}, every state present."""
    counts = dict.fromkeys(Contact.Status.values, 0)
    rows = Contact.objects.filter(task=task).order_by().values_list("status")
    return counts | dict(rows.annotate(n=Count("*")))


def summarise_calls(calls: Any) -> CallSummary:
    """Of a queryset of calls. One query. A call that is going on counts for nothing before its
    record, or its dialog, is there."""
    rows = (
        calls.filter(definitions.IS_COUNTED)
        .order_by()
        .values_list("result", "answered", "direction")
        .annotate(
            n=Count("*"),
            timed=Count("talk_seconds"),
            talked=Count("pk", filter=Q(talk_seconds__gte=definitions.TALKED_SECONDS)),
            talk=Sum("talk_seconds"),
        )
    )
    whole = definitions.Tally()
    results: dict[str, int] = {}
    for result, answered, direction, number, timed, talked, seconds in rows:
        results[result] = results.get(result, 0) + number
        whole += definitions.tally_calls(
            result=result,
            answered=answered,
            inbound=direction == Call.Direction.INBOUND,
            calls=number,
            timed=timed,
            talked=talked,
            talk_seconds=seconds or 0,
        )
    ordered = dict(sorted(results.items(), key=lambda item: -item[1]))
    return CallSummary(**asdict(whole), results=ordered)


def summarise_task(task: Task) -> TaskSummary:
    calls = Call.objects.filter(task=task)
    intentions = calls.exclude(intention="").order_by().values_list("intention")
    return TaskSummary(
        contacts=count_contacts(task),
        called=summarise_calls(calls),
        intentions=dict(sorted(dict(intentions.annotate(n=Count("*"))).items())),
        recordings=Recording.objects.filter(call__task=task).count(),
        dialogs=calls.filter(turns_count__gt=0).count(),
        taken_at=timezone.now(),
    )


def summarise_instances(task: Task) -> list[Instance]:
    """The instances of a task, each with how many contacts were ``handed`` over to it, how many
    are ``waiting`` to be, and of how many it is ``unsure``. One query."""

    def count(*states: str) -> Any:
        return Sum("batches__size", filter=Q(batches__status__in=states), default=0)

    return list(
        Instance.objects.filter(task=task)
        .annotate(
            handed=count("accepted"), waiting=count("planned", "sending"), unsure=count("unknown")
        )
        .order_by("number")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeSummary:
    """What the first screen shows. Each count is None for a user who may not see its rows."""

    #: the first of them, and how many more there are
    running: list[Task]
    running_more: int
    attention: list[Task]
    attention_more: int
    undecided: int
    quarantined: int
    waiting: int
    oldest_waiting: datetime | None
    recordings_lost: int
    broken_accounts: list[Account]
    stopped_accounts: list[Account]
    silent: int
    #: the tasks whose contacts they are
    silent_tasks: list[int]
    going_on: int
    tasks_exist: bool
    accounts_exist: bool
    taken_at: datetime


def summarise_home(user: Any, *, account: Account | None = None) -> HomeSummary:
    """The state of the house, for this user's rights; of tasks and calls only an ``account``'s.
    Nothing is counted beyond ``MANY``."""
    now = timezone.now()
    sees_tasks = user.has_perm("campaigns.view_task")
    sees_calls = user.has_perm("campaigns.view_call")
    tasks = Task.objects.select_related("account", "robot") if sees_tasks else Task.objects.none()
    if account is not None:
        tasks = tasks.filter(account=account)
    running, running_more = _take_some(tasks.filter(status__in=ACTIVE))
    attention, attention_more = _take_some(choose_attention(tasks))
    # The inbox is a package above this one: asked for by name, not imported.
    receipts = apps.get_model("callbacks", "Receipt").objects
    waiting = receipts.filter(status="received").order_by("id")
    oldest = waiting.values_list("received_at", flat=True).first()
    # said as in the partial index of the few calls that are going on
    going_on = Call.objects.filter(~Q(stage="ended"))
    if account is not None:
        going_on = going_on.filter(account=account)
    sees_accounts = user.has_perm("campaigns.view_account")
    accounts = list(Account.objects.filter(is_active=True)) if sees_accounts else []
    silent = dict(
        TaskCount.objects.filter(task__status="running", silent__gt=0).values_list("pk", "silent")
        if sees_tasks
        else ()
    )
    return HomeSummary(
        running=running,
        running_more=running_more,
        attention=attention,
        attention_more=attention_more,
        undecided=count_undecided() if sees_tasks else 0,
        quarantined=count_some(receipts.filter(status="quarantined")),
        waiting=count_some(waiting) if oldest else 0,
        oldest_waiting=oldest,
        recordings_lost=(
            count_some(Recording.objects.filter(status="unavailable", deleted_at=None))
            if user.has_perm("campaigns.view_recording")
            else 0
        ),
        broken_accounts=[one for one in accounts if one.connection_error],
        stopped_accounts=[one for one in accounts if one.stopped_at is not None],
        silent=sum(silent.values()),
        silent_tasks=list(silent),
        going_on=count_some(going_on) if sees_calls else 0,
        tasks_exist=bool(running) or Task.objects.exists(),
        accounts_exist=bool(accounts) or Account.objects.exists(),
        taken_at=now,
    )


def choose_attention(tasks: QuerySet[Task]) -> QuerySet[Task]:
    """The tasks that a person should look at."""
    late = Q(request__in=["pause", "delete"], requested_at__lt=timezone.now() - LATE_AFTER)
    wanted = tasks.filter(Q(needs_attention=True) | Q(status="failed") | late)
    return wanted.exclude(status="deleted")


def _take_some(tasks: QuerySet[Task]) -> tuple[list[Task], int]:
    """The first tasks, and how many more there are."""
    shown = list(tasks[: SHOWN + 1])
    more = count_some(tasks) - SHOWN if len(shown) > SHOWN else 0
    return shown[:SHOWN], more


def count_some(rows: QuerySet[Any]) -> int:
    """How many rows there are, ``MANY`` for as many and more."""
    return rows.order_by()[:MANY].count()


def count_undecided() -> int:
    """Requests of which nobody knows yet whether the platform carried them out."""
    return Attempt.objects.filter(status__in=["unknown", "needs_human"]).count()


_BALANCE = """
SELECT
    (SELECT coalesce(sum(loaded + excluded - coalesce((reason_values ->> 'removed')::bigint, 0)), 0)
     FROM campaigns_contactimport WHERE status IN ('done', 'undone')),
    (SELECT jsonb_object_agg(status, jsonb_build_array(n, of_files)) FROM
        (SELECT status, count(*) AS n, count(source_id) AS of_files
         FROM campaigns_contact GROUP BY status) AS states)
"""


def balance_contacts() -> dict[str, Any]:
    """What the imports say that they made of their files, and in which state every contact is.

    ``missing``: contacts that an import made and that are in no state, of one moment. Counts the
    whole table: for a job, not for a page.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BALANCE)
        imported, states = cursor.fetchone()
    states = json.loads(states or "{}")  # Django's cursors leave jsonb as text
    counted = {state: states.get(state, [0, 0])[0] for state in Contact.Status.values}
    of_files = sum(pair[1] for pair in states.values())
    return {
        "imported": int(imported),
        "otherwise": sum(pair[0] for pair in states.values()) - of_files,
        "states": counted,
        "missing": int(imported) - of_files,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDay:
    """An agent's calls of today, ``day`` by the clock of the account."""

    day: date
    calls: int = 0
    talk_seconds: int = 0


def summarise_agents(agents: list[Agent]) -> dict[int, AgentDay]:
    """{agent id: today's calls} of a few agents, in one query."""
    if not agents:
        return {}
    todays = {agent.account_id: find_midnight(agent.account) for agent in agents}
    theirs = Q(pk__in=[])
    for account_id, midnight in todays.items():
        numbers = [agent.number for agent in agents if agent.account_id == account_id]
        theirs |= Q(account=account_id, agent_number__in=numbers, happened_at__gte=midnight)
    rows = Call.objects.filter(theirs).order_by().values_list("account_id", "agent_number")
    counted = {
        (account_id, number): (calls, talk or 0)
        for account_id, number, calls, talk in rows.annotate(n=Count("*"), t=Sum("talk_seconds"))
    }
    return {
        agent.pk: AgentDay(day=todays[agent.account_id].date(), calls=calls, talk_seconds=talk)
        for agent in agents
        for calls, talk in [counted.get((agent.account_id, agent.number), (0, 0))]
    }


def list_agent_calls(agent: Agent) -> Any:
    """Today's calls of an agent, the newest first."""
    return Call.objects.filter(
        account=agent.account_id,
        agent_number=agent.number,
        happened_at__gte=find_midnight(agent.account),
    ).defer("evidence", "details")


def find_midnight(account: Account) -> datetime:
    """The first moment of today, by the clock of the account."""
    now = timezone.localtime(timezone.now(), account.zone)
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
