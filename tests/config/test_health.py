"""What load balancers and Prometheus ask, with rows in the database and without."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from callbacks.models import Receipt
from config import health
from tests.factories import make_account, make_task

pytestmark = pytest.mark.django_db


def speak_as_worker(seconds_ago: float = 0) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat)"
            " VALUES (now() - make_interval(secs => %s))",
            [seconds_ago],
        )


def make_receipt(*, seconds_ago: float = 0, **fields: Any) -> Receipt:
    values = {"account": make_account(), "kind": "receiveVoice", "body": b"{}", "sha256": b"1"}
    receipt = Receipt.objects.create(**values | fields)
    at = timezone.now() - timedelta(seconds=seconds_ago)
    Receipt.objects.filter(pk=receipt.pk).update(received_at=at)
    return receipt


def ask(client: Client) -> tuple[int, dict[str, str]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()["checks"]


def test_healthz_needs_no_database(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_ready_with_a_worker(client: Client) -> None:
    speak_as_worker()
    status, checks = ask(client)
    assert (status, set(checks.values())) == (200, {"ok"})


def test_not_ready_without_a_worker(client: Client) -> None:
    assert ask(client)[0] == 503
    speak_as_worker(seconds_ago=100)
    status, checks = ask(client)
    assert status == 503
    assert checks["worker"].startswith("no worker for 10")


def test_an_old_push_that_waits_makes_it_not_ready(client: Client) -> None:
    speak_as_worker()
    make_receipt(seconds_ago=1000, status=Receipt.Status.PROCESSED)
    assert ask(client)[0] == 200
    make_receipt(seconds_ago=500)
    status, checks = ask(client)
    assert status == 503
    assert "waited 500 s" in checks["inbox"]


def test_missing_migrations_make_it_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_as_worker()
    monkeypatch.setattr(health, "_migrated", False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'callbacks'")
    status, checks = ask(client)
    assert status == 503
    assert "migrate" in checks["migrations"]


def test_a_database_that_is_away_is_told_without_details(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise DatabaseError("password=geheim")

    monkeypatch.setitem(health.CHECKS, "database", fail)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert b"geheim" not in answer.content


def test_metrics_tell_states(client: Client) -> None:
    make_task()
    make_receipt(seconds_ago=50)
    speak_as_worker(seconds_ago=7)
    answer = client.get("/metrics")
    text = answer.content.decode()
    assert answer.status_code == 200
    assert 'callboard_tasks{status="draft"} 1.0' in text
    assert 'callboard_tasks{status="running"} 0.0' in text
    assert 'callboard_receipts{status="received"} 1.0' in text
    assert "callboard_worker_heartbeat_age_seconds 7." in text
    assert "callboard_inbox_age_seconds 50." in text


@pytest.mark.parametrize(
    ("token", "allow", "request_is", "status"),
    [
        ("", ["127.0.0.0/8"], {"REMOTE_ADDR": "127.0.0.1"}, 200),
        ("", ["127.0.0.0/8"], {"REMOTE_ADDR": "10.0.0.1"}, 404),
        ("", ["127.0.0.0/8"], {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 404),
        ("", ["10.0.0.0/8"], {"REMOTE_ADDR": "::ffff:10.0.0.1"}, 200),
        ("", ["nonsense"], {"REMOTE_ADDR": "127.0.0.1"}, 404),
        ("", ["127.0.0.0/8"], {"REMOTE_ADDR": "nonsense"}, 404),
        ("secret", [], {"REMOTE_ADDR": "127.0.0.1"}, 404),
        ("secret", [], {"HTTP_AUTHORIZATION": "Bearer secret"}, 200),
        ("secret", [], {"HTTP_AUTHORIZATION": "Bearer wrong"}, 404),
        ("secret", [], {"HTTP_AUTHORIZATION": "Bearer "}, 404),
        ("secret", [], {"HTTP_AUTHORIZATION": "Bearer sécret"}, 404),
        ("", [], {"HTTP_AUTHORIZATION": "Bearer "}, 404),
    ],
)
def test_who_reads_the_metrics(
    settings: Any, token: str, allow: list[str], request_is: dict[str, str], status: int
) -> None:
    settings.METRICS_TOKEN, settings.METRICS_ALLOW = token, allow
    assert Client().get("/metrics", **request_is).status_code == status
