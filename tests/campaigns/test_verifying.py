"""In: pushes that the platform can be asked about. Out: verified, or told apart field by field.

The sandbox tells the truth when it is asked, and what it pushes of numbers 19996… is tampered with.
Real HTTP over loopback in both directions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from callbacks import processing
from campaigns import verifying
from campaigns.connections import open_client
from campaigns.ingest import SAMPLE_OF
from campaigns.models import (
    Account,
    AccountToken,
    Call,
    CallbackToken,
    Exchange,
    StatusChange,
    Verification,
)
from tests.callbacks.pushes import push
from tests.campaigns.filling import count_requests, list_calls, strike
from tests.factories import make_account
from tests.platforms.sandbox_client import Client
from tests.workers import work_until

pytestmark = pytest.mark.django_db

TAMPERED = "+8619996000001"
HONEST = "+8619900000001"
#: what the sandbox changes in a push that it tampers with
CHANGED = {
    "call.intention": ("A", "E"),
    "call.intention_description": ("Agrees to pay", "Needs Follow Up"),
    "callee.total_owing_amount": ("1.00", "20310.00"),
}


@pytest.fixture
def deliver(airudder: Account, platform: Client) -> Callable[..., list[Verification]]:
    """Calling it has numbers called there, and brings the custom pushes about them to our door."""
    text = CallbackToken.make(airudder)[1]

    def bring(*numbers: str, times: int = 1) -> list[Verification]:
        made = [
            platform.control("calls", {"platform": "airudder", "number": number, "reasons": ["12"]})
            for number in numbers
        ]
        platform.control("clock", {"advance_seconds": 600})
        truth = {call["call"]: call["record"] for call in list_calls(platform)}
        for told in made:
            record = json.loads(json.dumps(truth[told["call"]]))
            if record["callee"]["callee_number"] == TAMPERED:
                record["call"] |= {"intention": "A", "intention_description": "Agrees to pay"}
                record["callee"]["total_owing_amount"] = "1.00"
            for _ in range(times):
                assert push(text, "api-node", json.dumps(record).encode()).status_code == 200
        processing.process_inbox()
        names = [told["call"] for told in made]
        return list(Verification.objects.filter(call__platform_call_id__in=names).order_by("id"))

    return bring


def set_policy(account: Account, policy: str) -> None:
    account.settings = {"verify": policy}
    account.save()


def ask(verification: Verification) -> Verification:
    """The button, and its job."""
    verifying.request_verification(verification, by=None)
    assert verifying.verify_push(verification.pk) is None
    verification.refresh_from_db()
    return verification


class TestPolicy:
    def test_never_asks_only_when_somebody_wants_it(
        self, airudder: Account, platform: Client, deliver: Any
    ) -> None:
        (row,) = deliver(HONEST)
        assert (row.status, count_requests(platform, "apinoticeinfo")) == ("unasked", 0)
        assert verifying.list_due_questions() == []
        assert ask(row).status == "verified"

    @pytest.mark.django_db(transaction=True)
    def test_always_asks_about_each(
        self, airudder: Account, platform: Client, hear: Callable[[], None]
    ) -> None:
        """Pushed by the sandbox itself, asked by a worker."""
        set_policy(airudder, "always")
        hear()
        for number in (HONEST, TAMPERED):
            told = {"platform": "airudder", "number": number, "reasons": ["12"]}
            platform.control("calls", told)
        done = Verification.objects.filter(status__in=["verified", "mismatch"])
        work_until(lambda: done.count() == 2)
        assert count_requests(platform, "apinoticeinfo") == 2
        states = Verification.objects.values_list("call__callee", "status")
        assert {(callee[-11:], status) for callee, status in states} == {
            (HONEST[-11:], "verified"),
            (TAMPERED[-11:], "mismatch"),
        }

    def test_a_sample_is_the_same_some_each_time(self, airudder: Account, deliver: Any) -> None:
        set_policy(airudder, "sample")
        rows = deliver(*[f"+86199000{number:05d}" for number in range(60)])
        asking = {row.pk for row in rows if row.status == "asking"}
        assert asking == {row.pk for row in rows if int(row.digest[:8], 16) % SAMPLE_OF == 0}
        assert 0 < len(asking) < 30

    def test_one_push_is_asked_about_once_however_often_it_comes(
        self, airudder: Account, platform: Client, deliver: Any
    ) -> None:
        set_policy(airudder, "always")
        (row,) = deliver(HONEST, times=3)
        for _ in range(2):  # the job may come twice as well
            verifying.verify_push(row.pk)
        assert count_requests(platform, "apinoticeinfo") == 1


class TestAnswer:
    def test_the_same_is_verified(self, deliver: Any) -> None:
        row = ask(deliver(HONEST)[0])
        assert (row.status, row.reason, row.differences) == ("verified", verifying.SAME, [])
        assert row.asked_at is not None and row.tries == 1

    def test_what_differs_is_told_field_by_field_and_the_platform_is_believed(
        self, deliver: Any
    ) -> None:
        (row,) = deliver(TAMPERED)
        assert Call.objects.get().intention == "A"
        row = ask(row)
        assert (row.status, row.reason) == ("mismatch", verifying.DIFFERS)
        told = {one["field"]: (one["claimed"], one["answered"]) for one in row.differences}
        assert told == CHANGED
        assert Call.objects.get().intention == "E"

    def test_a_push_that_comes_later_does_not_overrule_the_answer(
        self, airudder: Account, deliver: Any
    ) -> None:
        row = ask(deliver(HONEST)[0])
        said = Call.objects.get().intention
        forged = json.loads(json.dumps(row.claim))
        forged["call"]["intention"] = "D" if said != "D" else "C"
        text = CallbackToken.make(airudder)[1]
        push(text, "api-node", json.dumps(forged).encode())
        processing.process_inbox()
        assert Call.objects.get().intention == said
        # A push of its own, which nobody asked about yet.
        states = Verification.objects.order_by("id").values_list("status", flat=True)
        assert list(states) == ["verified", "unasked"]

    def test_a_push_about_a_call_that_never_was_is_denied_with_a_sentence(
        self, airudder: Account, platform: Client, deliver: Any
    ) -> None:
        (row,) = deliver(HONEST)
        forged = json.loads(json.dumps(row.claim))
        forged["call"]["call_id"] = "f" * 32
        forged["callee"]["callee_number"] = forged["call"]["callee_number"] = "+8619900000099"
        push(CallbackToken.make(airudder)[1], "api-node", json.dumps(forged).encode())
        processing.process_inbox()
        other = ask(Verification.objects.get(call__platform_call_id="f" * 32))
        assert other.status == "denied"
        assert "does not confirm this push" in other.reason  # HTTP 200, the body says no
        assert "40004" in other.said
        assert verifying.list_due_questions() == []
        last = Exchange.objects.filter(purpose="workflow/apinoticeinfo").latest("id")
        assert last.http_code == 200

    def test_an_account_that_is_refused_was_not_asked_about_the_push(
        self, platform: Client, deliver: Any
    ) -> None:
        (row,) = deliver(HONEST)
        strike(platform, "apinoticeinfo", "token_dies", count=2)
        assert ask(row).status == "failed"
        assert "token" in row.reason
        assert ask(row).status == "verified"

    @pytest.mark.parametrize(
        "kind", ["html_after", "code_string", "no_result", "cut", "error_after"]
    )
    def test_no_usable_answer_is_a_failure_in_the_end_and_can_be_asked_again(
        self, platform: Client, deliver: Any, kind: str
    ) -> None:
        (row,) = deliver(HONEST)
        strike(platform, "apinoticeinfo", kind, count=verifying.TRIES)
        verifying.request_verification(row, by=None)
        waits = [verifying.verify_push(row.pk) for _ in range(verifying.TRIES)]
        assert waits == [*[verifying.TRY_SECONDS] * (verifying.TRIES - 1), None]
        row.refresh_from_db()
        assert (row.status, row.reason) == ("failed", verifying.NO_ANSWER)
        assert ask(row).status == "verified"
        assert row.said == ""

    @pytest.mark.parametrize("fault", ["throttle", "away"])
    def test_busy_or_away_is_tried_again_and_fails_in_the_end(
        self, airudder: Account, platform: Client, deliver: Any, fault: str
    ) -> None:
        (row,) = deliver(HONEST)
        if fault == "throttle":
            strike(platform, "apinoticeinfo", "throttle", seconds=7, count=99)
        else:
            open_client(airudder).test_connection()
            Account.objects.filter(pk=airudder.pk).update(base_url="http://127.0.0.1:9")
        verifying.request_verification(row, by=None)
        waits = [verifying.verify_push(row.pk) for _ in range(verifying.TRIES)]
        wait = 7.0 if fault == "throttle" else verifying.TRY_SECONDS
        assert waits == [*[wait] * (verifying.TRIES - 1), None]
        row.refresh_from_db()
        assert (row.status, row.tries) == ("failed", verifying.TRIES)
        assert row.reason

    def test_after_a_busy_moment_it_is_answered(self, platform: Client, deliver: Any) -> None:
        (row,) = deliver(HONEST)
        strike(platform, "apinoticeinfo", "throttle")
        verifying.request_verification(row, by=None)
        assert verifying.verify_push(row.pk)
        assert verifying.verify_push(row.pk) is None
        row.refresh_from_db()
        assert row.status == "verified"


class TestTooOld:
    def test_it_is_said_in_words_and_not_asked(self, platform: Client, deliver: Any) -> None:
        (row,) = deliver(HONEST)
        past = timezone.now() - timedelta(days=92, minutes=5)
        Call.objects.update(happened_at=past)
        row = Verification.objects.get(pk=row.pk)
        with pytest.raises(verifying.VerifyRefused, match="three months"):
            verifying.request_verification(row, by=None)
        row.refresh_from_db()
        assert (row.status, row.reason) == ("too_old", verifying.TOO_OLD)
        assert count_requests(platform, "apinoticeinfo") == 0

    def test_it_may_become_too_old_while_it_waits(self, platform: Client, deliver: Any) -> None:
        (row,) = deliver(HONEST)
        verifying.request_verification(row, by=None)
        Call.objects.update(happened_at=timezone.now() - timedelta(days=93))
        assert verifying.verify_push(row.pk) is None
        row.refresh_from_db()
        assert row.status == "too_old"
        assert count_requests(platform, "apinoticeinfo") == 0

    def test_within_the_three_months_it_is_asked(self, platform: Client, deliver: Any) -> None:
        (row,) = deliver(HONEST)
        Call.objects.update(happened_at=timezone.now() - timedelta(days=91))
        assert ask(Verification.objects.get(pk=row.pk)).status == "verified"


def test_two_clicks_ask_once(deliver: Any) -> None:
    (row,) = deliver(HONEST)
    verifying.request_verification(row, by=None)
    with pytest.raises(verifying.VerifyRefused, match="asked already"):
        verifying.request_verification(Verification.objects.get(pk=row.pk), by=None)


def test_the_button_on_the_call_asks(admin_client: Browser, admin_user: Any, deliver: Any) -> None:
    (row,) = deliver(HONEST)
    page = admin_client.get(reverse("admin:campaigns_call_change", args=[row.call_id]))
    token = re.search(r'name="form_token" value="([^"]+)"', page.content.decode())
    assert token is not None
    ask_url = reverse("admin:campaigns_verification_ask", args=[row.pk])
    assert ask_url in page.content.decode()
    assert admin_client.get(ask_url).status_code == 405
    reply = admin_client.post(ask_url, {"form_token": token.group(1)})
    assert reply.status_code == 302
    row.refresh_from_db()
    assert row.status == "asking"
    change = StatusChange.objects.get(subject="verification", subject_id=row.pk, new="asking")
    assert change.by == admin_user


@pytest.mark.django_db(transaction=True)
def test_a_question_whose_worker_died_is_put_again(deliver: Any) -> None:
    (row,) = deliver(HONEST)
    long_ago = timezone.now() - timedelta(minutes=11)
    Verification.objects.filter(pk=row.pk).update(status="asking", asked_at=timezone.now())
    assert verifying.list_due_questions() == []
    Verification.objects.filter(pk=row.pk).update(asked_at=long_ago)
    assert verifying.list_due_questions() == [row.pk]
    work_until(lambda: Verification.objects.get(pk=row.pk).status == "verified")


def test_a_platform_without_it_is_refused_with_a_sentence() -> None:
    call = Call.objects.create(account=make_account(), happened_at=timezone.now())
    row = Verification.objects.create(call=call, digest="0" * 64)
    with pytest.raises(verifying.VerifyRefused, match="does not offer that"):
        verifying.request_verification(row, by=None)


def test_two_accounts_never_mix(airudder: Account, platform: Client, deliver: Any) -> None:
    """The same push at two accounts is two calls, and each is asked about for itself."""
    (row,) = deliver(TAMPERED)
    other = make_account(
        platform="airudder",
        base_url=airudder.base_url,
        credentials={"app_key": "other-key", "app_secret": "sandbox-secret"},
        rate_limit=0,
    )
    platform.control("apps/other-key", {"platform": "airudder"}, method="PUT")
    push(CallbackToken.make(other)[1], "api-node", json.dumps(row.claim).encode())
    processing.process_inbox()
    theirs = Verification.objects.get(call__account=other)
    assert ask(row).status == "mismatch"
    assert ask(theirs).status == "denied"  # it is no workflow of theirs
    intentions = dict(Call.objects.values_list("account", "intention"))
    assert intentions == {airudder.pk: "E", other.pk: "A"}


def test_no_secret_is_kept_with_the_exchanges(deliver: Any) -> None:
    for row in deliver(HONEST, TAMPERED):
        ask(row)
    kept = " ".join(f"{one.url} {one.request} {one.response}" for one in Exchange.objects.all())
    assert Exchange.objects.filter(purpose="auth").exists()
    assert Exchange.objects.filter(purpose="workflow/apinoticeinfo").count() == 2
    token = AccountToken.objects.get().value["token"]
    for secret in (token, "sandbox-secret", "sandbox-key", HONEST[-11:], TAMPERED[-11:]):
        assert secret not in kept


@pytest.mark.parametrize(
    ("claim", "answer", "differences"),
    [
        ({"a": 12, "b": True}, {"a": "12", "b": "true"}, []),
        ({"a": None, "b": "", "c": [], "d": {}}, {}, []),
        ({"a": 1.0}, {"a": 1}, []),
        ({"a": 2**60 + 1}, {"a": str(2**60 + 1)}, []),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, [("a.b[1]", "2", "3")]),
        ({"a": "x"}, {}, [("a", "x", None)]),
        ({}, {"a": 0}, [("a", None, "0")]),
        ({"a": False}, {"a": 0}, [("a", "false", "0")]),
    ],
)
def test_what_counts_as_a_difference(claim: Any, answer: Any, differences: Any) -> None:
    told = verifying.compare(claim, answer)
    assert [(one["field"], one["claimed"], one["answered"]) for one in told] == differences
