"""In: questions of load balancers, alarms and Prometheus. Out: whether we live, work, and how much.

``/healthz`` says that this process answers. ``/readyz`` says whether pushes are taken and
understood: database, migrations, a worker's heartbeat, the age of the inbox; 503 and what is wrong
when not. ``/metrics`` is for those with ``METRICS_TOKEN`` or from a host in ``METRICS_ALLOW``.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from callbacks import health
from callbacks.models import Receipt
from campaigns.models import Attempt, Contact, Installation, Recording, Task

#: seconds; a worker writes its heartbeat every 5
WORKER_SILENT = 30.0
#: seconds a push may wait before something is wrong with understanding it
INBOX_OLD = 120.0


@never_cache
def answer_healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@never_cache
def answer_readyz(request: HttpRequest) -> HttpResponse:
    checks = {name: run_check(check) for name, check in CHECKS.items()}
    ready = all(problem == "" for problem in checks.values())
    body = {"ready": ready, "checks": {name: text or "ok" for name, text in checks.items()}}
    answer = JsonResponse(body, status=200 if ready else 503)
    # Asked every few seconds: that the answer is "no" is no error of this program to be logged.
    answer._has_been_logged = True  # type: ignore[attr-defined]
    return answer


def run_check(check: Callable[[], str]) -> str:
    """ "" or what is wrong. No text of an exception: this page is open to everybody."""
    try:
        return check()
    except DatabaseError:
        return "the database does not answer"


def check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


_migrated = False


def check_migrations() -> str:
    """Once all are applied they stay so: a process of other code is another process."""
    global _migrated  # noqa: PLW0603
    if not _migrated:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "migrations are missing: run manage.py migrate"
        _migrated = True
    return ""


def check_worker() -> str:
    age = read_heartbeat_age()
    if age is None:
        return "no worker runs"
    return "" if age <= WORKER_SILENT else f"no worker for {age:.0f} s"


def check_inbox() -> str:
    age = read_inbox_age()
    return "" if age <= INBOX_OLD else f"the oldest push has waited {age:.0f} s"


def read_heartbeat_age() -> float | None:
    """Seconds since the youngest heartbeat, None without a worker."""
    return read_number(
        "SELECT extract(epoch FROM clock_timestamp() - max(last_heartbeat))"
        " FROM procrastinate_workers"
    )


def read_inbox_age() -> float:
    """Seconds that the oldest push that is not yet understood has waited. By the partial index."""
    age = read_number(
        f"SELECT extract(epoch FROM clock_timestamp() - received_at) FROM {Receipt._meta.db_table}"  # noqa: S608
        " WHERE status = 'received' ORDER BY id LIMIT 1"
    )
    return max(0.0, age or 0.0)


def read_number(query: str) -> float | None:
    with connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])


CHECKS: dict[str, Callable[[], str]] = {
    "database": check_database,
    "migrations": check_migrations,
    "worker": check_worker,
    "inbox": check_inbox,
}


class Counts:
    """What Prometheus collects, read from the database at that moment: the same in every process.

    Only what an index answers: states of tasks, open attempts, waiting things. Contacts are left to
    the task pages, where they are counted per task.
    """

    def collect(self) -> Iterator[Any]:
        yield make_gauge("callboard_tasks", "Tasks by status.", "status", count_by(Task))
        yield make_gauge("callboard_attempts", "Attempts by status.", "status", count_by(Attempt))
        inbox = health.read_health()
        yield make_gauge(
            "callboard_receipts",
            "Pushes in the inbox by status.",
            "status",
            inbox.count_states() or count_by(Receipt),
        )
        held = Installation.objects.filter(held_at__isnull=False).exists()
        yield GaugeMetricFamily(
            "callboard_held", "1 while nothing is sent after a restore.", float(held)
        )
        waiting = Recording.objects.filter(status__in=("remote", "fetching")).count()
        yield GaugeMetricFamily("callboard_recordings_waiting", "Recordings to fetch.", waiting)
        unknown = Contact.objects.filter(status="unknown", task__needs_attention=True).count()
        yield GaugeMetricFamily(
            "callboard_contacts_unknown", "Contacts of tasks that need attention.", unknown
        )
        yield GaugeMetricFamily(
            "callboard_inbox_age_seconds", "Wait of the oldest push.", read_inbox_age()
        )
        age = read_heartbeat_age()
        if age is not None:
            yield GaugeMetricFamily(
                "callboard_worker_heartbeat_age_seconds", "Since a worker last spoke.", age
            )
        yield make_gauge("callboard_jobs", "Background jobs by status.", "status", count_jobs())
        yield from describe_inbox(inbox)


def describe_inbox(inbox: health.Health) -> Iterator[Any]:
    """Accounts by their ids. What the job counts is left out until it has."""
    stream = ["account", "platform", "kind"]
    lately = GaugeMetricFamily(
        "callboard_pushes_last_minute", "Pushes of the last whole minute.", labels=stream
    )
    for one in inbox.streams:
        lately.add_metric([str(one.account.pk), one.account.platform, one.kind], one.last_minute)
    yield lately
    quarantined = GaugeMetricFamily(
        "callboard_pushes_quarantined", "Pushes in quarantine.", labels=["reason", *stream]
    )
    for group in inbox.quarantined:
        labels = [group.reason, str(group.account.pk), group.account.platform, group.kind]
        quarantined.add_metric(labels, group.count)
    yield quarantined
    yield CounterMetricFamily(
        "callboard_pushes_repeated", "Deliveries of a push that was there already.", inbox.repeats
    )
    yield GaugeMetricFamily(
        "callboard_pushes_applied_last_minute",
        "Pushes processed or ignored within the last minute.",
        inbox.applied,
    )
    silent = GaugeMetricFamily(
        "callboard_account_silent_seconds",
        "Since when a platform that should push has not.",
        labels=["account", "platform"],
    )
    for silence in inbox.silent:
        seconds = (inbox.taken_at - silence.since).total_seconds()
        silent.add_metric([str(silence.account.pk), silence.account.platform], seconds)
    yield silent
    days = GaugeMetricFamily(
        "callboard_failed_push_days",
        "Days whose failed pushes could not all be fetched, and nobody said a word yet.",
        labels=["account", "platform"],
    )
    for (pk, slug), number in Counter(
        (str(day.account_id), day.account.platform) for day in inbox.failed_days
    ).items():
        days.add_metric([pk, slug], number)
    yield days
    if inbox.whole is None:
        return
    received = CounterMetricFamily("callboard_pushes", "Pushes ever received.", labels=stream)
    late = CounterMetricFamily(
        "callboard_pushes_late", "Pushes that came long after their call.", labels=stream
    )
    for account, platform, kind, number, number_late in inbox.list_totals():
        received.add_metric([account, platform, kind], number)
        late.add_metric([account, platform, kind], number_late)
    yield received
    yield late
    balance = GaugeMetricFamily(
        "callboard_balance_missing",
        "Rows that were counted once and are in no state now: 0, or something vanished.",
        labels=["what"],
    )
    balance.add_metric(["pushes"], inbox.inbox["missing"])
    balance.add_metric(["contacts"], inbox.contacts["missing"])
    yield balance
    yield make_gauge(
        "callboard_contacts", "Contacts by status.", "status", inbox.contacts["states"]
    )
    yield GaugeMetricFamily(
        "callboard_balance_age_seconds",
        "Since the balance was counted.",
        (inbox.taken_at - inbox.whole.taken_at).total_seconds(),
    )


def count_by(model: Any) -> dict[str, int]:
    counts = dict.fromkeys(model.Status.values, 0)
    rows = model.objects.order_by().values_list("status").annotate(n=Count("pk"))
    return counts | dict(rows)


def count_jobs() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY 1")
        return {str(status): int(number) for status, number in cursor.fetchall()}


def make_gauge(name: str, text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, text, labels=[label])
    for key, number in sorted(values.items()):
        gauge.add_metric([key], number)
    return gauge


@method_decorator(never_cache, name="dispatch")
class Metrics(View):
    """404 for everybody else: whether there are metrics is nobody's business."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponse:
        if not may_read_metrics(request):
            return HttpResponse(status=404)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Counts())  # type: ignore[arg-type]
        try:
            text = generate_latest(registry)
        except DatabaseError:
            return HttpResponse("the database does not answer\n", status=503)
        return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def may_read_metrics(request: HttpRequest) -> bool:
    """By bearer token, or by the address of the connection, unless a proxy stands between."""
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if token and secrets.compare_digest(given.encode(), token.encode()):
        return True
    if "X-Forwarded-For" in request.headers:
        return False
    return is_in(request.META.get("REMOTE_ADDR", ""), settings.METRICS_ALLOW)


def is_in(address: str, networks: Iterable[str]) -> bool:
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(host, "ipv4_mapped", None)
    for text in networks:
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            continue
        if (mapped or host) in network:
            return True
    return False


urlpatterns = [
    path("healthz", answer_healthz),
    path("readyz", answer_readyz),
    path("metrics", Metrics.as_view()),
]
