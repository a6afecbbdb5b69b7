"""In: rows of every age. Out: proof that what is over its time goes, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from callbacks import processing, tally
from callbacks.models import Forgotten, Receipt
from campaigns import ingest, recordings, retention
from campaigns.models import (
    Account,
    Attempt,
    Call,
    Erasure,
    Exchange,
    InboundAnswer,
    InboundContext,
    Judgement,
    KeepRule,
    Recording,
    Remark,
    Review,
    ReviewRule,
    StatusChange,
    Turn,
)
from campaigns.platforms.events import CallEnded
from tests.at_once import run_at_once
from tests.callbacks.pushes import make_dialog, make_door, make_record, make_voice, push
from tests.factories import make_account, make_task

pytestmark = pytest.mark.django_db

OLD = timedelta(days=400)


@pytest.fixture(autouse=True)
def _periods(settings: Any, tmp_path: Path) -> None:
    settings.KEEP_PUSHES_DAYS = 100
    settings.KEEP_EXCHANGES_DAYS = 100
    settings.KEEP_DIALOGS_DAYS = 200
    settings.KEEP_RECORDINGS_DAYS = 300
    settings.KEEP_CONTEXTS_DAYS = 60
    settings.MEDIA_ROOT = tmp_path


def receive(token: str, call: str, *, bad: bool = False) -> None:
    for kind, body in (
        ("receiveCallRecord", make_record(call)),
        ("receiveDialog", make_dialog(call)),
        ("receiveVoice", make_voice(call)),
    ):
        assert push(token, kind, body[:-3] if bad else body).status_code == 200
    processing.process_inbox()


def let_pass(days: float) -> None:
    """Everything becomes so much older."""
    for table, columns in (
        ("callbacks_receipt", ("received_at",)),
        ("campaigns_call", ("created_at",)),
        ("campaigns_exchange", ("started_at",)),
        ("campaigns_recording", ("created_at", "fetched_at")),
    ):
        with connection.cursor() as cursor:
            for column in columns:
                cursor.execute(
                    f"UPDATE {table} SET {column} = {column} - %s * interval '1 day'", [days]
                )


def make_exchange(account: Account, **fields: Any) -> Exchange:
    values: dict[str, Any] = {
        "purpose": "query_task", "method": "GET", "url": "http://127.0.0.1/", "outcome": "ok",
        "started_at": timezone.now(), "seconds": 0.1,
    }  # fmt: skip
    return Exchange.objects.create(account=account, **values | fields)


def store_file(recording: Recording) -> Path:
    recording.file.save("x.wav", ContentFile(b"RIFF"), save=False)
    Recording.objects.filter(pk=recording.pk).update(
        status="stored", file=recording.file.name, fetched_at=timezone.now()
    )
    return Path(recording.file.path)


def forget() -> dict[str, int]:
    before = dict.fromkeys(Erasure.Kind.values, 0)
    last = Erasure.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    assert retention.forget_old(seconds=60) is None
    for row in Erasure.objects.filter(pk__gt=last):
        before[row.kind] += row.number
    return before


NOTHING = dict.fromkeys(Erasure.Kind.values, 0)


def test_each_kind_goes_when_its_own_period_is_over() -> None:
    account, token = make_door()
    receive(token, "call-1")
    make_exchange(account)
    file = store_file(Recording.objects.get())
    let_pass(99)
    assert forget() == NOTHING
    let_pass(2)
    assert forget() == NOTHING | {"pushes": 3, "exchanges": 1}
    let_pass(100)
    assert forget() == NOTHING | {"dialogs": 1}
    assert file.exists()
    let_pass(100)
    assert forget() == NOTHING | {"recordings": 1}
    assert not file.exists()
    assert forget() == NOTHING
    call = Call.objects.get()
    assert (call.has_record, call.turns_count, call.turns.count()) == (True, 2, 0)
    assert call.dialog_deleted_at is not None
    recording = Recording.objects.get()
    assert (recording.status, recording.reason) == ("unavailable", retention.DELETED)
    assert recording.deleted_at is not None and not recording.file
    assert not Receipt.objects.exists() and not Exchange.objects.exists()
    assert not StatusChange.objects.filter(subject="receipt").exists()


def test_what_was_received_can_still_be_accounted_for() -> None:
    _, token = make_door()
    receive(token, "call-1")
    push(token, "semantic", b"{}")
    processing.process_inbox()
    now = timezone.now()
    tally.close_ids(now)
    tally.close_ids(now + timedelta(hours=1))
    assert (tally.count_whole()["received"], tally.count_whole()["missing"]) == (4, 0)
    let_pass(101)
    forget()
    counts = tally.count_whole()
    assert (counts["received"], counts["forgotten"], counts["missing"]) == (4, 4, 0)
    assert dict(Forgotten.objects.values_list("status", "number")) == {
        "processed": 3,
        "ignored": 1,
    }


def test_what_goes_before_it_was_ever_counted_leaves_the_balance_true() -> None:
    """As on the first day of a version that counts, where old pushes are over their time."""
    _, token = make_door()
    receive(token, "call-1")
    let_pass(101)
    assert forget()["pushes"] == 3
    counts = tally.count_whole()
    assert (counts["received"], counts["forgotten"], counts["missing"]) == (0, 0, 0)
    receive(token, "call-2")
    assert tally.count_whole()["missing"] == 0


def test_what_nobody_has_looked_at_stays() -> None:
    _, token = make_door()
    receive(token, "call-1", bad=True)
    push(token, "receiveCallRecord", make_record("waits"))
    let_pass(1000)
    assert forget() == NOTHING
    assert retention.count_unseen() == 4
    assert set(Receipt.objects.values_list("status", flat=True)) == {"quarantined", "received"}


def test_exchanges_about_a_request_in_doubt_stay() -> None:
    task = make_task()
    attempt = Attempt.objects.create(
        task=task, command="start", status="needs_human", lease_until=timezone.now()
    )
    make_exchange(task.account, attempt=attempt)
    make_exchange(task.account)
    let_pass(1000)
    assert forget()["exchanges"] == 1
    Attempt.objects.update(status="human_accepted")
    assert forget()["exchanges"] == 1


def test_answers_go_with_the_pushes_that_asked() -> None:
    account = make_account()
    answer = InboundAnswer.objects.create(
        account=account, kind="semantic", sha256=b"x" * 32, answer="[]", outcome="empty",
        asked_at=timezone.now() - timedelta(days=99), took_ms=1,
    )  # fmt: skip
    assert forget() == NOTHING
    InboundAnswer.objects.filter(pk=answer.pk).update(asked_at=timezone.now() - OLD)
    assert forget() == NOTHING | {"answers": 1}


def test_a_push_that_comes_again_brings_no_dialog_and_no_recording_back() -> None:
    _, token = make_door()
    receive(token, "call-1")
    file = store_file(Recording.objects.get())
    let_pass(1000)
    forget()
    before = Call.objects.values().get()
    receive(token, "call-1")
    assert Call.objects.values().get() == before
    assert not Turn.objects.exists() and not file.exists()
    recording = Recording.objects.get()
    assert recording.status == "unavailable"
    assert recordings.retry_recordings(Recording.objects.all()) == []
    assert Receipt.objects.filter(status="processed").count() == 3


def test_remarks_and_notes_of_reviewers_go_with_the_dialog() -> None:
    """Who listens writes down what was said."""
    _, token = make_door()
    receive(token, "call-1")
    call = Call.objects.get()
    Remark.objects.create(call=call, text="She has a cold.")
    rule = ReviewRule.objects.create(name="all", percent=100)
    review = Review.objects.create(call=call, rule=rule)
    judged = {"review": review, "place": 1, "verdict": "noted", "intention": "A"}
    Judgement.objects.create(note="She has a cold.", **judged)
    let_pass(1000)
    forget()
    assert not Remark.objects.exists()
    told = Judgement.objects.get()
    assert (told.note, told.verdict, told.intention) == ("", "noted", "A")


def test_a_richer_dialog_brings_the_words_not_back_either() -> None:
    _, token = make_door()
    receive(token, "call-1")
    let_pass(1000)
    forget()
    rows = json.loads(make_dialog())["dialog"]
    more = [*rows, rows[1] | {"seq": "2", "text_man": "再见"}]
    push(token, "receiveDialog", make_dialog(dialog=more))
    processing.process_inbox()
    assert Receipt.objects.get().status == "processed"
    assert not Turn.objects.exists()


def test_an_account_may_have_shorter_periods_and_no_longer_ones(settings: Any) -> None:
    (short, one), (longer, two) = make_door(), make_door()
    KeepRule.objects.create(account=short, pushes_days=10, dialogs_days=20)
    KeepRule.objects.create(account=longer, pushes_days=9000)
    receive(one, "call-1")
    receive(two, "call-2")
    let_pass(11)
    assert forget() == NOTHING | {"pushes": 3}
    assert set(Receipt.objects.values_list("account", flat=True)) == {longer.pk}
    let_pass(10)
    assert forget() == NOTHING | {"dialogs": 1}
    let_pass(80)
    assert forget() == NOTHING | {"pushes": 3}
    settings.KEEP_DIALOGS_DAYS = settings.KEEP_PUSHES_DAYS = 0
    assert retention.find_days("pushes") is None
    assert retention.find_days("dialogs", KeepRule(dialogs_days=5)) == 5
    # Their words are in the pushes; but a platform hands in for a week what it could not push.
    assert retention.find_days("pushes", KeepRule(dialogs_days=20)) == 20
    assert retention.find_days("pushes", KeepRule(dialogs_days=5)) == 8
    assert retention.find_days("exchanges", KeepRule(dialogs_days=5)) == 5


def test_for_ever_means_for_ever(settings: Any) -> None:
    for kind in ("pushes", "exchanges", "dialogs", "recordings", "contexts"):
        setattr(settings, f"KEEP_{kind.upper()}_DAYS", 0)
    _, token = make_door()
    receive(token, "call-1")
    let_pass(9000)
    assert forget() == NOTHING


def test_what_somebody_wrote_down_about_a_call_goes_with_its_dialog() -> None:
    account = make_account(platform="ima51")
    said = {"notes": [{"name": "通话小结", "text": "Has a cold."}], "channel": "phone"}
    event = CallEnded(source="record", platform_call_id="call-1", details=said, answered=True)
    ingest.apply_events(account, [event])
    ingest.apply_events(account, [replace(event, source="late", details={"notes": ["Another."]})])
    assert "details.notes" in Call.objects.get().evidence
    let_pass(199)
    assert forget() == NOTHING
    let_pass(2)
    assert {one.kind: one.number for one in retention.list_due() if one.number} == {"notes": 1}
    assert forget() == NOTHING | {"notes": 1}
    for _ in range(2):
        call = Call.objects.get()
        kept = json.dumps([call.evidence, call.details, call.conflicts], ensure_ascii=False)
        assert "cold" not in kept and "Another" not in kept
        assert call.details == {"channel": "phone"}
        assert call.dialog_deleted_at is not None
        # the same push, coming again, brings nothing back, and another neither
        ingest.apply_events(account, [event, replace(event, details={"notes": "cold, Another"})])
    assert forget() == NOTHING


def test_variables_of_callers_go_when_nobody_changed_them_for_their_time() -> None:
    account = make_account()
    now = timezone.now()
    ages = {"old": None, "dated": now + timedelta(days=900), "changed": None, "new": None}
    rows = {
        name: InboundContext.objects.create(
            account=account, relation_id=name, values={}, expires_at=expires
        )
        for name, expires in ages.items()
    }
    for name, created, changed in (
        ("old", 70, 61), ("dated", 70, 61), ("changed", 70, 10), ("new", 10, 10),
    ):  # fmt: skip
        InboundContext.objects.filter(pk=rows[name].pk).update(
            created_at=now - timedelta(days=created), updated_at=now - timedelta(days=changed)
        )
    assert forget() == NOTHING | {"contexts": 1}
    left = set(InboundContext.objects.values_list("relation_id", flat=True))
    assert left == {"dated", "changed", "new"}
    KeepRule.objects.create(account=account, contexts_days=5)
    assert forget() == NOTHING | {"contexts": 2}


def test_who_is_entered_again_while_it_is_looked_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    row = InboundContext.objects.create(account=make_account(), relation_id="1", values={})
    rows = InboundContext.objects.filter(pk=row.pk)
    past = timezone.now() - timedelta(days=70)
    rows.update(created_at=past, updated_at=past)
    real = retention._only_due

    def enter_again(found: Any, kind: Any, cutoffs: Any) -> Any:
        due = list(real(found, kind, cutoffs).values_list("pk", flat=True))
        rows.update(updated_at=timezone.now())
        return found.filter(pk__in=due)

    monkeypatch.setattr(retention, "_only_due", enter_again)
    assert forget() == NOTHING
    assert rows.exists()


def test_a_dry_run_counts_and_deletes_nothing() -> None:
    account, token = make_door()
    receive(token, "call-1")
    make_exchange(account)
    store_file(Recording.objects.get())
    let_pass(1000)
    due = NOTHING | {"pushes": 3, "exchanges": 1, "dialogs": 1, "recordings": 1}
    for _ in range(2):
        out = StringIO()
        call_command("forget_old", "--dry-run", "--json", stdout=out)
        assert json.loads(out.getvalue()) == due
    out = StringIO()
    call_command("forget_old", "--json", stdout=out)
    assert json.loads(out.getvalue()) == due | {"files": 0}


def test_few_rows_go_at_a_time_and_it_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "BATCH", 7)
    monkeypatch.setattr(retention, "REST_SECONDS", 0.0)
    account = make_account()
    for _ in range(50):
        make_exchange(account)
    let_pass(1000)
    marks: dict[str, int] | None = {}
    rounds = 0
    while marks is not None:
        marks = retention.forget_old(seconds=0, marks=marks)
        rounds += 1
        assert rounds < 20
    assert not Exchange.objects.exists()
    sizes = list(Erasure.objects.values_list("number", flat=True))
    assert sum(sizes) == 50 and max(sizes) <= 7


def test_recordings_that_are_gone_are_not_walked_through_every_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their rows stay for ever; only those with a file cost a statement."""
    _, token = make_door()
    for number in range(6):
        receive(token, f"call-{number}")
    for row in Recording.objects.order_by("pk")[:5]:
        store_file(row)
    let_pass(1000)
    forget()
    assert Recording.objects.filter(deleted_at__isnull=False).count() == 5
    monkeypatch.setattr(retention, "FEW", 1)
    batches = []
    forget_batch = retention.forget_batch

    def count(name: str, *args: Any, **kwargs: Any) -> Any:
        batches.append(name)
        return forget_batch(name, *args, **kwargs)

    monkeypatch.setattr(retention, "forget_batch", count)
    assert forget() == NOTHING
    assert batches.count("recordings") == 1


def test_the_file_of_a_deletion_that_was_cut_off_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = make_door()
    receive(token, "call-1")
    receive(token, "call-2")
    lost, kept = (store_file(row) for row in Recording.objects.order_by("pk"))
    Recording.objects.filter(call__platform_call_id="call-1").update(file="")
    assert retention.sweep_files() == 0  # it may be one that is just being kept
    monkeypatch.setattr(retention, "ORPHAN_SECONDS", -60)
    assert retention.sweep_files() == 1
    assert (lost.exists(), kept.exists()) == (False, True)


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_holds_is_passed_over_and_no_push_waits() -> None:
    _, token = make_door()
    receive(token, "call-1")
    let_pass(1000)
    held = Receipt.objects.order_by("pk").first()
    assert held is not None
    with transaction.atomic():
        Receipt.objects.select_for_update().get(pk=held.pk)

        def work() -> dict[str, int]:
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SET lock_timeout TO '5s'")  # who waits is seen
                return forget()
            finally:
                connections.close_all()

        (gone,) = run_at_once([work])
    assert gone["pushes"] == 2
    assert forget()["pushes"] == 1


# ------------------------------------------------------------------------------------------ screens


def test_the_page_says_what_is_kept_and_what_goes(admin_client: Client) -> None:
    account, token = make_door(name="Clinic")
    receive(token, "call-1")
    receive(token, "call-2", bad=True)
    KeepRule.objects.create(account=account, dialogs_days=30)
    let_pass(40)
    page = admin_client.get(reverse("admin:campaigns_keeprule_changelist"))
    text = page.content.decode()
    assert page.status_code == 200
    for word in ("KEEP_PUSHES_DAYS", "100 days", "Clinic", "30 days", "nobody has looked"):
        assert word in text
    forget()
    assert (
        "dialogs"
        in admin_client.get(reverse("admin:campaigns_erasure_changelist")).content.decode()
    )
    call = Call.objects.filter(turns_count__gt=0).get()
    told = admin_client.get(reverse("admin:campaigns_call_change", args=[call.pk])).content.decode()
    assert "its period of keeping was over" in told and f"{datetime.now():%Y-%m}" in told  # noqa: DTZ005


def test_a_period_is_entered_changed_and_refused(admin_client: Client) -> None:
    account = make_account()
    add = reverse("admin:campaigns_keeprule_add")
    for days in ("3", "0", "-1", "9" * 5000, "x\x00"):
        page = admin_client.post(add, {"account": account.pk, "pushes_days": days})
        assert page.status_code == 200, days
    assert not KeepRule.objects.exists()
    admin_client.post(add, {"account": account.pk, "pushes_days": "30"})
    assert KeepRule.objects.get().pushes_days == 30
    change = reverse("admin:campaigns_keeprule_change", args=[KeepRule.objects.get().pk])
    admin_client.post(change, {"pushes_days": "", "recordings_days": "9"})
    assert KeepRule.objects.values_list("account", "pushes_days", "recordings_days").get() == (
        account.pk,
        None,
        9,
    )


def test_who_may_not_see_it_sees_nothing(client: Client, django_user_model: Any) -> None:
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    for name in ("keeprule_changelist", "keeprule_add", "erasure_changelist"):
        assert client.get(reverse(f"admin:campaigns_{name}")).status_code == 403
