"""In: deliveries, a real HTTP server on loopback, Django's outbox. Out: each arrives once it can.

Must catch: a delivery that is lost with its worker; one that is given up too soon, or never; a
redirect that is followed; a private address that is connected to; a secret that is kept of an
answer, or told in a reason; a repeat under another id; what is signed being not what is sent.
"""

from __future__ import annotations

import json
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from campaigns import jobs, notices
from campaigns.models import Account, Notice, NoticeDelivery, NoticeHook, StatusChange
from campaigns.notices import delivering
from campaigns.notices.signing import is_signed
from tests.at_once import run_at_once
from tests.campaigns.notices.making import finish, make_hook, make_reader, make_rule
from tests.factories import make_account, make_task
from tests.platforms.faulty import FaultyServer, make_reply
from tests.workers import run_jobs

pytestmark = pytest.mark.django_db

Act = Callable[[socket.socket, bytes], None]


@pytest.fixture(autouse=True)
def _local(settings: Any) -> None:
    settings.NOTICE_ALLOW_HOSTS = ["127.0.0.1"]
    settings.NOTICE_TIMEOUT_SECONDS = 2.0
    settings.NOTICE_WAITS = [30, 120]
    settings.PUBLIC_URL = "https://callboard.example.org"


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultyServer]]:
    """A server that answers with these replies, the last one again and again."""
    with_us: list[FaultyServer] = []

    def start(*replies: bytes) -> FaultyServer:
        left = list(replies)

        def act(connection: socket.socket, request: bytes) -> None:
            connection.sendall(left.pop(0) if len(left) > 1 else left[0])

        server = FaultyServer(act)
        server.__enter__()
        with_us.append(server)
        return server

    yield start
    for server in with_us:
        server.__exit__(None, None, None)


OK = make_reply(b"thank you")


def make_delivery(url: str, **fields: Any) -> NoticeDelivery:
    """Of a task that is done, to a webhook at this address."""
    hook = make_hook(url, **fields)
    reader = make_reader(f"reader {hook.pk}", "view_task")
    make_rule("task_done", reader, hooks=[hook], by_bell=False)
    finish(make_task(name="Autumn 19900000001", status="running"))
    notices.find_notices()
    delivery = NoticeDelivery.objects.get(hook=hook)
    delivery.known_secret = hook.known_secret
    return delivery


def read(delivery: NoticeDelivery) -> NoticeDelivery:
    return NoticeDelivery.objects.get(pk=delivery.pk)


def be_due(delivery: NoticeDelivery) -> None:
    NoticeDelivery.objects.filter(pk=delivery.pk).update(next_try_at=timezone.now())


def split_request(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}, body


# ------------------------------------------------------------------------------------- webhooks


def test_a_webhook_is_signed_over_the_bytes_that_arrive(
    serve: Callable[..., FaultyServer],
) -> None:
    server = serve(OK)
    delivery = make_delivery(server.url)
    assert notices.deliver(delivery.pk) is None
    headers, body = split_request(server.requests[0])
    stamp = headers["callboard-timestamp"]
    signature = headers["callboard-signature"]
    secret = delivery.known_secret
    assert is_signed(signature, body, secret=secret, timestamp=stamp, now=float(stamp))
    told = json.loads(body)
    assert told["id"] == headers["callboard-id"] == str(delivery.uuid)
    assert told["event"] == headers["callboard-event"] == "task_done"
    assert told["text"] == "Task Autumn 199****0001 is done."
    task = Notice.objects.get().task
    assert told["task"] == {"id": task.pk, "name": "Autumn 199****0001"}
    assert told["url"] == f"https://callboard.example.org/admin/campaigns/task/{task.pk}/change/"
    assert b"19900000001" not in server.requests[0]
    done = read(delivery)
    assert (done.status, done.tries, done.http_code, done.answer) == (
        *("delivered", 1, 200),
        "thank you",
    )
    assert notices.deliver(delivery.pk) is None
    assert server.receipts == 1


def test_it_is_tried_again_under_the_same_id_until_it_arrives(
    serve: Callable[..., FaultyServer],
) -> None:
    server = serve(make_reply(b"sorry", status="503 Busy"), OK)
    delivery = make_delivery(server.url)
    assert notices.deliver(delivery.pk) == 30
    waiting = read(delivery)
    assert (waiting.status, waiting.http_code, waiting.answer) == ("waiting", 503, "sorry")
    assert waiting.reason_text == "The other side answered HTTP 503."
    assert notices.deliver(delivery.pk) is None  # not due yet
    be_due(delivery)
    notices.deliver(delivery.pk)
    assert read(delivery).status == "delivered"
    first, second = (split_request(one) for one in server.requests)
    assert first[0]["callboard-id"] == second[0]["callboard-id"]
    assert first[1] == second[1]


def test_it_is_given_up_after_the_last_try_and_sent_again_on_a_word(
    serve: Callable[..., FaultyServer],
) -> None:
    server = serve(*[make_reply(b"", status="500 No")] * 3, OK)
    delivery = make_delivery(server.url)
    waits = []
    for _ in range(3):
        be_due(delivery)
        waits.append(notices.deliver(delivery.pk))
    assert waits == [30, 120, None]
    assert read(delivery).status == "failed"
    assert notices.list_due(now=timezone.now() + timedelta(days=9)) == []
    assert notices.send_again(read(delivery))
    assert not notices.send_again(read(delivery))
    notices.deliver(delivery.pk)
    assert read(delivery).status == "delivered"
    history = StatusChange.objects.filter(subject="noticedelivery", subject_id=delivery.pk)
    assert [row.new for row in history.order_by("id")] == [
        *(["sending", "waiting"] * 2), "sending", "failed", "waiting", "sending", "delivered",
    ]  # fmt: skip


def test_who_wants_nothing_any_more_gets_nothing(serve: Callable[..., FaultyServer]) -> None:
    delivery = make_delivery(serve(make_reply(b"", status="410 Gone")).url)
    assert notices.deliver(delivery.pk) is None
    assert read(delivery).status == "failed"


def test_a_busy_side_says_when(serve: Callable[..., FaultyServer]) -> None:
    busy = make_reply(b"", status="429 Slow", headers="Retry-After: 90\r\n")
    delivery = make_delivery(serve(busy).url)
    assert notices.deliver(delivery.pk) == 90
    assert read(delivery).http_code == 429


def test_a_redirect_is_not_followed(serve: Callable[..., FaultyServer]) -> None:
    there = serve(OK)
    away = make_reply(b"", status="307 There", headers=f"Location: {there.url}\r\n")
    delivery = make_delivery(serve(away).url)
    assert notices.deliver(delivery.pk) == 30
    assert there.connections == 0
    assert read(delivery).http_code == 307


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1"])
def test_private_addresses_are_refused(
    host: str, serve: Callable[..., FaultyServer], settings: Any
) -> None:
    server = serve(OK)
    delivery = make_delivery(f"https://{host}:{server.port}/in/abcdefgh")
    settings.NOTICE_ALLOW_HOSTS = []
    assert notices.deliver(delivery.pk) is None
    failed = read(delivery)
    assert (failed.status, server.connections) == ("failed", 0)
    assert "NOTICE_ALLOW_HOSTS" in failed.reason


def test_nothing_secret_is_kept_of_an_answer(serve: Callable[..., FaultyServer]) -> None:
    said: list[bytes] = [b""]
    server = FaultyServer(lambda connection, request: connection.sendall(make_reply(request)))
    with server:
        delivery = make_delivery(f"http://127.0.0.1:{server.port}/in/T0pSecretPath?key=kkkkkkkk9")
        notices.deliver(delivery.pk)
    kept = read(delivery)
    said[0] = kept.answer.encode()
    assert kept.status == "delivered"
    assert len(kept.answer) > 100
    for secret in (delivery.known_secret, "T0pSecretPath", "kkkkkkkk9", "19900000001"):
        assert secret not in f"{kept.answer} {kept.reason} {kept.reason_values}"


ODD_ANSWERS = {
    "cut": make_reply(b"", length=50),
    "NUL": make_reply(b"a\x00b"),
    "no HTTP": b"what?\r\n\r\n",
    "nothing": b"",
    "huge": make_reply(b"x" * 300_000),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_an_odd_answer_ends_in_a_sentence(name: str, serve: Callable[..., FaultyServer]) -> None:
    delivery = make_delivery(serve(ODD_ANSWERS[name]).url)
    notices.deliver(delivery.pk)
    row = read(delivery)
    assert row.status in ("waiting", "delivered")
    assert row.reason
    assert len(row.answer) <= 1000


def test_nobody_there_and_no_answer_at_all(settings: Any) -> None:
    settings.NOTICE_TIMEOUT_SECONDS = 0.3
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        silent = make_delivery(f"http://127.0.0.1:{port}/in/abcdefgh")
        assert notices.deliver(silent.pk) == 30
    assert read(silent).reason == "No whole answer came."
    be_due(silent)
    assert notices.deliver(silent.pk) == 120
    assert read(silent).reason == "The other side could not be reached."


def test_a_worker_that_dies_loses_nothing(serve: Callable[..., FaultyServer]) -> None:
    delivery = make_delivery(serve(OK).url)
    past = timezone.now() - timedelta(seconds=1)
    NoticeDelivery.objects.filter(pk=delivery.pk).update(
        status="sending", tries=1, claimed_until=past
    )
    assert notices.list_due() == [delivery.pk]
    assert notices.deliver(delivery.pk) is None
    assert read(delivery).status == "delivered"


def test_what_is_being_sent_is_not_sent_by_another(serve: Callable[..., FaultyServer]) -> None:
    server = serve(OK)
    delivery = make_delivery(server.url)
    until = timezone.now() + timedelta(seconds=60)
    NoticeDelivery.objects.filter(pk=delivery.pk).update(status="sending", claimed_until=until)
    assert notices.list_due() == []
    assert notices.deliver(delivery.pk) is None
    assert server.receipts == 0


@pytest.mark.django_db(transaction=True)
def test_of_many_who_send_at_once_one_sends(serve: Callable[..., FaultyServer]) -> None:
    server = serve(OK)
    hook = make_hook(server.url)
    delivery = NoticeDelivery.objects.create(
        channel="hook", hook=hook, next_try_at=timezone.now() - timedelta(seconds=1)
    )
    run_at_once([lambda: notices.deliver(delivery.pk)] * 8)
    assert server.receipts == 1
    assert read(delivery).tries == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_finds_tells_and_sends(serve: Callable[..., FaultyServer]) -> None:
    server = serve(OK)
    admin = User.objects.create_superuser("admin", password="x")
    make_rule("account_stopped", admin, hooks=[make_hook(server.url)])
    Account.objects.filter(pk=make_account().pk).update(stopped_at=timezone.now())
    jobs.find_notices(timestamp=0)
    run_jobs()
    assert server.receipts == 1
    assert NoticeDelivery.objects.get().status == "delivered"
    assert notices.count_unread(admin) == 1


def test_a_webhook_that_is_switched_off_is_sent_nothing(
    serve: Callable[..., FaultyServer],
) -> None:
    server = serve(OK)
    delivery = make_delivery(server.url)
    NoticeHook.objects.update(is_active=False)
    assert notices.deliver(delivery.pk) is None
    assert read(delivery).reason == "The webhook is switched off."
    test = notices.test_hook(NoticeHook.objects.get())
    assert test.status == "delivered"
    assert json.loads(split_request(server.requests[0])[1])["event"] == "test"


def test_a_test_is_tried_once(serve: Callable[..., FaultyServer]) -> None:
    test = notices.test_hook(make_hook(serve(make_reply(b"", status="500 No")).url))
    assert (test.status, test.http_code) == ("failed", 500)


def test_slow_answers_do_not_hold_longer_than_the_limit(settings: Any) -> None:
    settings.NOTICE_TIMEOUT_SECONDS = 0.5
    over = threading.Event()

    def drip(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not over.wait(0.1):
            connection.sendall(b".")

    with FaultyServer(drip) as server:
        delivery = make_delivery(server.url)
        began = timezone.now()
        notices.deliver(delivery.pk)
        took = (timezone.now() - began).total_seconds()
        over.set()
    assert took < 5
    assert read(delivery).reason == "No whole answer came."


# --------------------------------------------------------------------------------------- e-mail


@pytest.fixture
def letters(settings: Any) -> list[NoticeDelivery]:
    """A task is done; two people and one address beside them are told by e-mail."""
    settings.EMAIL_CONFIGURED = True
    anna = make_reader("anna", "view_task", email="Anna@example.org")
    bert = make_reader("bert", "view_task", email="")
    make_rule(
        "task_done", anna, bert, by_email=True, language="zh-hans",
        addresses=["team@example.org", "anna@example.org"],
    )  # fmt: skip
    finish(make_task(name="Autumn 19900000001", status="running"))
    notices.find_notices()
    return list(NoticeDelivery.objects.order_by("id"))


def test_each_address_gets_one_letter(letters: list[NoticeDelivery]) -> None:
    assert [one.address for one in letters] == ["anna@example.org", "team@example.org"]
    for one in letters:
        notices.deliver(one.pk)
    assert [one.status for one in NoticeDelivery.objects.all()] == ["delivered"] * 2
    assert [letter.to for letter in mail.outbox] == [["anna@example.org"], ["team@example.org"]]
    first = mail.outbox[0]
    assert "Autumn 199****0001" in first.subject
    assert "\n" not in first.subject
    assert "https://callboard.example.org/admin/campaigns/task/" in first.body
    assert str(letters[0].uuid) in first.extra_headers["Message-ID"]
    assert "19900000001" not in f"{first.subject}{first.body}"


def test_without_a_mail_server_it_is_said_so(letters: list[NoticeDelivery], settings: Any) -> None:
    settings.EMAIL_CONFIGURED = False
    assert notices.deliver(letters[0].pk) is None
    row = read(letters[0])
    assert row.status == "failed"
    assert "EMAIL_URL" in row.reason_text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (smtplib.SMTPAuthenticationError(535, b"password anna@example.org"), "waiting"),
        (smtplib.SMTPRecipientsRefused({"anna@example.org": (550, b"unknown")}), "failed"),
        (smtplib.SMTPRecipientsRefused({"anna@example.org": (450, b"later")}), "waiting"),
        (ConnectionRefusedError("mail.example.org"), "waiting"),
        (KeyError("a fault of ours"), "waiting"),
    ],
)
def test_what_the_mail_server_refuses(
    letters: list[NoticeDelivery], monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    def refuse(*_: Any) -> int:
        raise error

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    notices.deliver(letters[0].pk)
    row = read(letters[0])
    assert row.status == status
    assert "anna@" not in row.reason_text
    assert row.reason_text


def test_who_took_too_long_decides_nothing_for_who_has_it_now(
    serve: Callable[..., FaultyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(make_reply(b"", status="500 No"))
    delivery = make_delivery(server.url)
    later = timezone.now() + timedelta(minutes=5)
    sent = delivering._send

    def be_late(row: NoticeDelivery) -> Any:
        outcome = sent(row)
        NoticeDelivery.objects.filter(pk=row.pk).update(claimed_until=later)
        return outcome

    monkeypatch.setattr(delivering, "_send", be_late)
    assert notices.deliver(delivery.pk) is None
    assert (read(delivery).status, read(delivery).claimed_until) == ("sending", later)
