"""In: things that happen. Out: whoever asked for it is told of each, once.

Must catch: told twice; not told because nobody looked meanwhile; told to somebody who may not see
it; old news told to a new rule; what lasts told again and again; a number in a notice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import DatabaseError
from django.utils import timezone, translation

from callbacks.models import Receipt
from campaigns import lifecycle, notices
from campaigns.failing import PAUSED_ITSELF
from campaigns.models import (
    Account,
    Approval,
    Attempt,
    BulkJob,
    Call,
    ContactImport,
    Export,
    Gap,
    Incident,
    Installation,
    Notice,
    NoticeDelivery,
    NoticeMatch,
    NoticeReader,
    NoticeRule,
    StatusChange,
    Task,
)
from campaigns.notices import finding, telling
from tests.at_once import run_at_once
from tests.campaigns.notices.making import (
    finish,
    list_events,
    make_hook,
    make_reader,
    make_rule,
    told,
)
from tests.factories import make_account, make_contact, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> User:
    return make_reader("anna", "view_task", "view_call", "view_account")


def make_running(**fields: Any) -> Task:
    values = {"status": "running", "launched_at": timezone.now() - timedelta(hours=1)}
    return make_task(**values | fields)


def test_a_task_that_is_done_is_told_once(reader: User) -> None:
    make_rule("task_done", reader)
    task = make_running(name="Autumn")
    notices.find_notices()
    assert told(reader) == []
    finish(task)
    assert notices.find_notices() == 1
    assert notices.find_notices() == 0
    assert told(reader) == ["Task Autumn is done."]
    # it runs again, and is done again: that is another time
    assert lifecycle.move(task, "running", of=["finished"])
    finish(task)
    notices.find_notices()
    assert told(reader) == ["Task Autumn is done."] * 2


def test_what_happened_while_nobody_looked_is_told_afterwards(reader: User) -> None:
    rule = make_rule("task_done", reader)
    task = make_running()
    finish(task)
    # the worker was dead for three weeks
    long_ago = timezone.now() - timedelta(days=21)
    NoticeRule.objects.filter(pk=rule.pk).update(since=long_ago, looked_at=long_ago)
    StatusChange.objects.filter(subject="task").update(at=long_ago + timedelta(days=1))
    notices.find_notices()
    assert list_events() == ["task_done"]


def test_what_a_long_transaction_wrote_before_the_last_look_is_told(reader: User) -> None:
    rule = make_rule("task_done", reader)
    NoticeRule.objects.filter(pk=rule.pk).update(since=timezone.now() - timedelta(days=1))
    notices.find_notices()
    finish(make_running())
    StatusChange.objects.update(at=timezone.now() - timedelta(hours=5))
    notices.find_notices()
    assert list_events() == ["task_done"]


def test_a_new_rule_is_not_told_what_was_over_before(reader: User) -> None:
    first = make_reader("bert", "view_task")
    make_rule("task_done", first)
    NoticeRule.objects.update(since=timezone.now() - timedelta(hours=1))
    finish(make_running())
    StatusChange.objects.update(at=timezone.now() - timedelta(minutes=1))
    make_rule("task_done", reader)
    notices.find_notices()
    assert len(told(first)) == 1
    assert told(reader) == []


def test_whoever_dies_in_the_middle_has_told_nobody(
    reader: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_rule("task_done", reader, hooks=[make_hook()])
    finish(make_running())

    def die(*_: Any) -> None:
        raise DatabaseError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(telling, "_send_out", die)
        notices.find_notices()
    assert not Notice.objects.exists()
    assert not NoticeReader.objects.exists()
    notices.find_notices()
    assert NoticeReader.objects.count() == NoticeDelivery.objects.count() == 1


def test_two_rules_tell_of_one_notice(reader: User) -> None:
    other = make_reader("bert", "view_task")
    make_rule("task_done", reader)
    make_rule("task_done", reader, other)
    finish(make_running())
    assert notices.find_notices() == 2
    notice = Notice.objects.get()
    assert NoticeReader.objects.filter(notice=notice).count() == 2
    assert NoticeMatch.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_many_who_look_at_once_tell_once() -> None:
    reader = make_reader("anna")
    reader.user_permissions.add(*Permission.objects.filter(codename__startswith="view_"))
    User.objects.filter(pk=reader.pk).update(is_superuser=True)
    make_rule("task_done", reader, hooks=[make_hook()])
    make_rule("account_stopped", reader)
    Account.objects.filter(pk=make_account().pk).update(stopped_at=timezone.now())
    finish(make_running())
    run_at_once([notices.find_notices] * 6)
    notices.find_notices()
    assert sorted(list_events()) == ["account_stopped", "task_done"]
    assert NoticeReader.objects.count() == 2
    assert NoticeDelivery.objects.count() == 1


# --------------------------------------------------------------------------------------- who


def test_only_who_may_see_it_is_told(reader: User) -> None:
    blind = make_reader("bert")
    make_rule("task_done", reader, blind)
    finish(make_running())
    notices.find_notices()
    assert set(NoticeReader.objects.values_list("user__username", flat=True)) == {"anna"}


def test_a_right_that_was_taken_away_takes_the_notices_along(reader: User) -> None:
    make_rule("task_done", reader)
    finish(make_running())
    notices.find_notices()
    assert notices.count_unread(reader) == 1
    reader.user_permissions.remove(*Permission.objects.filter(codename="view_task"))
    later = User.objects.get(pk=reader.pk)
    assert notices.count_unread(later) == 0
    assert told(later) == []


def test_groups_everybody_and_whose_doing_it_is() -> None:
    group = Group.objects.create(name="night shift")
    group.permissions.add(*Permission.objects.filter(codename__in=["view_task", "view_notice"]))
    member = make_reader("member")
    member.groups.add(group)
    launcher = make_reader("launcher", "view_task")
    make_reader("bystander", "view_task")
    gone = make_reader("gone", "view_task")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    rule = make_rule("task_done", author=True)
    rule.groups.add(group)
    finish(make_running(launched_by=launcher))
    notices.find_notices()
    names = NoticeReader.objects.values_list("user__username", flat=True)
    assert set(names) == {"member", "launcher"}
    NoticeRule.objects.update(everyone=True)
    finish(make_running(launched_by=launcher))
    notices.find_notices()
    newest = Notice.objects.latest("id")
    assert set(newest.readers.values_list("user__username", flat=True)) == {
        *("member", "launcher", "bystander")
    }


def test_a_rule_is_for_its_account_and_its_task(reader: User) -> None:
    mine, other = make_running(), make_running()
    make_rule("task_done", reader, account=mine.account)
    make_rule("task_done", reader, task=mine)
    for task in (other, mine):
        finish(task)
    assert notices.find_notices() == 2
    assert Notice.objects.get().task == mine


def test_a_rule_that_is_switched_off_tells_nobody(reader: User) -> None:
    make_rule("task_done", reader, is_active=False)
    finish(make_running())
    assert notices.find_notices() == 0


def test_one_kind_that_cannot_be_looked_for_keeps_no_other_back(
    reader: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(look: Any) -> Any:
        raise ValueError("odd row")

    monkeypatch.setitem(finding.FINDERS, "task_done", break_down)
    rule = make_rule("task_done", reader)
    make_rule("account_stopped", reader)
    Account.objects.filter(pk=make_account().pk).update(stopped_at=timezone.now())
    notices.find_notices()
    assert list_events() == ["account_stopped"]
    assert "task_done could not be looked for" in caplog.text
    rule.refresh_from_db()
    assert rule.looked_at is None  # so that it is looked at from there


# ------------------------------------------------------------------------------- what lasts


def test_what_lasts_is_told_once_until_it_is_over(
    reader: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_rule("account_stopped", reader)
    account = make_account(name="North")
    stop = Account.objects.filter(pk=account.pk)
    stop.update(stopped_at=timezone.now(), stopped_reason="The account has no balance.")
    notices.find_notices()
    notices.find_notices()
    notice = Notice.objects.get()
    assert notices.tell_more(notice) == "The account has no balance."
    assert notice.ended_at is None
    stop.update(stopped_at=None)
    notices.find_notices()
    notice.refresh_from_db()
    assert notice.ended_at is not None
    # at once again: it is the same, and no news
    stop.update(stopped_at=timezone.now())
    assert notices.find_notices() == 0
    assert Notice.objects.get().ended_at is None
    # an hour later it is
    stop.update(stopped_at=None)
    notices.find_notices()
    Notice.objects.update(ended_at=timezone.now() - timedelta(hours=1))
    stop.update(stopped_at=timezone.now())
    assert notices.find_notices() == 1
    assert len(told(reader)) == 2


def test_a_new_rule_is_told_what_still_lasts(reader: User) -> None:
    Account.objects.filter(pk=make_account().pk).update(
        stopped_at=timezone.now() - timedelta(days=3)
    )
    make_rule("account_stopped", reader)
    notices.find_notices()
    assert list_events() == ["account_stopped"]
    other = make_reader("bert", "view_account")
    make_rule("account_stopped", other)
    notices.find_notices()
    assert len(told(other)) == 1
    assert Notice.objects.count() == 1


def test_what_was_over_while_no_rule_asked_is_over_all_the_same(reader: User) -> None:
    rule = make_rule("account_stopped", reader)
    account = Account.objects.filter(pk=make_account().pk)
    account.update(stopped_at=timezone.now())
    notices.find_notices()
    NoticeRule.objects.filter(pk=rule.pk).update(is_active=False)
    account.update(stopped_at=None)
    notices.find_notices()
    assert Notice.objects.get().ended_at is not None


# ------------------------------------------------------------------------ each kind of event


def add_calls(task: Task, *, people: int, nobody: int, **fields: Any) -> None:
    first = Call.objects.count()
    Call.objects.bulk_create(
        Call(
            account=task.account,
            task=task,
            platform_call_id=f"call-{first + number}",
            direction="outbound",
            happened_at=timezone.now(),
            has_record=True,
            result="answered" if number < people else "no_answer",
            answered=number < people,
            **fields,
        )
        for number in range(people + nobody)
    )


def test_a_low_answer_rate_is_told_when_enough_is_known(reader: User) -> None:
    make_rule("answer_rate", reader, percent=20, sample=20)
    task = make_running(name="Autumn")
    add_calls(task, people=1, nobody=18)
    notices.find_notices()
    assert told(reader) == []
    add_calls(task, people=0, nobody=1)
    notices.find_notices()
    notices.find_notices()
    assert told(reader) == [
        "The answer rate of task Autumn is 5.0 %, below 20 % (of its last 20 calls)."
    ]
    # 20 % is no other news than 5 %: it is told again only after it was well above
    add_calls(task, people=4, nobody=16)
    notices.find_notices()
    assert Notice.objects.get().ended_at is None
    add_calls(task, people=10, nobody=10)
    notices.find_notices()
    assert Notice.objects.get().ended_at is not None


def test_the_answer_rate_is_the_one_of_the_screens(reader: User) -> None:
    """Invalid numbers and ends that are not known are not in it; a voicemail is nobody."""
    make_rule("answer_rate", reader, percent=50, sample=10)
    task = make_running()
    add_calls(task, people=6, nobody=4)
    Call.objects.bulk_create(
        Call(
            account=task.account, task=task, platform_call_id=f"odd-{number}",
            direction="outbound", happened_at=timezone.now(), has_record=True, **ends,
        )
        for number, ends in enumerate(
            [{"result": "invalid_number", "answered": False}] * 10
            + [{"result": "unknown", "answered": None}] * 10
        )
    )  # fmt: skip
    notices.find_notices()
    assert told(reader) == []
    Call.objects.filter(result="answered").update(result="voicemail")
    notices.find_notices()
    assert len(told(reader)) == 1


def test_old_calls_are_not_in_the_answer_rate_after_somebody_let_it_go_on(reader: User) -> None:
    make_rule("answer_rate", reader, percent=50, sample=10)
    task = make_running()
    add_calls(task, people=0, nobody=10)
    Call.objects.update(happened_at=timezone.now() - timedelta(hours=2))
    notices.find_notices()
    assert told(reader) == []


def test_a_task_that_failed_or_paused_itself(reader: User) -> None:
    make_rule("task_stopped", reader)
    failed = make_task(name="Autumn", status="loading")
    lifecycle.move(failed, "failed", of=["loading"], reason="Nobody is left to call.")
    own = make_task(name="Winter", status="paused", reason=PAUSED_ITSELF, needs_attention=True)
    make_task(name="by a person", status="paused")
    make_task(name="old", status="failed")
    notices.find_notices()
    assert sorted(told(reader)) == [
        "Task Autumn stopped by itself.", "Task Winter stopped by itself."
    ]  # fmt: skip
    reasons = {notices.tell_more(one) for one in Notice.objects.all()}
    assert reasons == {"Nobody is left to call.", PAUSED_ITSELF}
    lifecycle.move(own, "running", of=["paused"], needs_attention=False)
    notices.find_notices()
    assert Notice.objects.get(task=own).ended_at is not None


def test_a_task_that_is_under_way_and_needs_attention(reader: User) -> None:
    make_rule("task_attention", reader)
    task = make_running(needs_attention=True, reason="The platform's count differs.")
    notices.find_notices()
    assert [one.reason_text for one in Notice.objects.all()] == ["The platform's count differs."]
    lifecycle.calm_task(task)
    notices.find_notices()
    assert Notice.objects.get().ended_at is not None


def test_what_waits_for_a_person() -> None:
    boss = make_reader("boss")
    User.objects.filter(pk=boss.pk).update(is_superuser=True)
    for event in ("decision", "approval", "incident", "gap", "account_broken", "database_held"):
        make_rule(event, boss)
    task = make_running(name="Autumn")
    Attempt.objects.create(
        task=task, command="start", status="needs_human", lease_until=timezone.now()
    )
    Approval.objects.create(kind="launch", task=task, fingerprint="x")
    Incident.objects.create(kind="called_twice", account=task.account, task=task, reason="Twice.")
    Gap.objects.create(kind="no_dialogs", account=task.account, reason="No dialogs at all.")
    Account.objects.filter(pk=task.account_id).update(connection_error="Wrong password.")
    Installation.objects.update_or_create(pk=1, defaults={"held_at": timezone.now()})
    notices.find_notices()
    assert set(list_events()) == {
        *("decision", "approval", "incident", "gap", "account_broken", "database_held")
    }
    for notice in Notice.objects.all():
        assert notices.find_path(notice) != "/admin/campaigns/notice/", notice.event
    Approval.objects.update(status="declined")
    Incident.objects.update(closed_at=timezone.now())
    notices.find_notices()
    over = Notice.objects.exclude(ended_at=None).values_list("event", flat=True)
    assert set(over) == {"approval", "incident"}


def test_a_silent_platform(reader: User, settings: Any) -> None:
    settings.SILENCE_MINUTES = 15
    make_rule("platform_silent", reader)
    account = make_account(name="North", call_hours=[], call_days=[1, 2, 3, 4, 5, 6, 7])
    begun = timezone.now() - timedelta(hours=2)
    task = make_running(account=account, launched_at=begun)
    StatusChange.objects.create(subject="task", subject_id=task.pk, old="starting", new="running")
    StatusChange.objects.update(at=begun)
    contact = make_contact(task=task)
    type(contact).objects.filter(pk=contact.pk).update(status="planned")
    for state in ("sending", "accepted"):
        type(contact).objects.filter(pk=contact.pk).update(status=state)
    task.lines.update(hours=[])
    notices.find_notices()
    assert told(reader) == ["North tells nothing any more, although calls are made."]
    assert notices.tell_more(Notice.objects.get()) == "No push of it ever came."


def test_pushes_that_are_not_understood_are_told_once_an_hour() -> None:
    reader = make_reader("anna", "view_receipt")
    make_rule("quarantine", reader)
    account = make_account(name="North")
    for number in range(5):
        Receipt.objects.create(
            account=account, kind="receiveVoice", body=b"?", sha256=bytes([number]) * 32,
            status="quarantined", reason="unreadable",
        )  # fmt: skip
    hour = timezone.now().replace(minute=10, second=0, microsecond=0)
    NoticeRule.objects.update(since=hour - timedelta(days=1))
    Receipt.objects.update(received_at=hour - timedelta(hours=1))
    notices.find_notices()
    notices.find_notices()
    assert told(reader) == ["Pushes of North came that could not be understood (5 or more)."]
    Receipt.objects.filter(sha256=bytes([1]) * 32).update(received_at=hour)
    notices.find_notices()
    assert len(told(reader)) == 2


def test_whoever_asked_is_told_that_it_is_there() -> None:
    boss = make_reader("boss", "export_data", "view_bulkjob", "view_contactimport")
    other = make_reader("other", "export_data", "view_bulkjob", "view_contactimport")
    for event in ("export_ready", "export_failed", "bulk_done", "import_done", "import_failed"):
        make_rule(event, author=True)
    now, task = timezone.now(), make_running()
    mine: dict[str, Any] = {"created_by": boss, "ended_at": now}
    for status in ("done", "failed", "running"):
        Export.objects.create(
            kind="calls", zone="UTC", status=status, file_name=f"{status}.csv", **mine
        )
    BulkJob.objects.create(action="bar", kind="calls", status="done", done=7, passed=2, **mine)
    for name, status in (("good.csv", "loading"), ("bad.csv", "uploaded")):
        row = ContactImport.objects.create(
            task=task, file_name=name, status=status, created_by=boss
        )
        new = "done" if status == "loading" else "failed"
        lifecycle.move(row, new, of=[status], reason="The file is empty." * (new == "failed"))
    notices.find_notices()
    notices.find_notices()
    assert sorted(told(boss)) == [
        "The export done.csv is ready.",
        "The export failed.csv failed.",
        "The import of bad.csv failed.",
        "The import of good.csv is done.",
        "What was done to many rows is over: 7 done, 2 passed over.",
    ]
    assert told(other) == []
    failed = Notice.objects.get(event="import_failed")
    assert notices.tell_more(failed) == "The file is empty."
    assert failed.task == task


# ------------------------------------------------------------------------------- what is said


def test_no_notice_holds_a_number(reader: User) -> None:
    make_rule("task_done", reader)
    finish(make_running(name="回访19900000001 and +86 199 0000 0002"))
    notices.find_notices()
    notice = Notice.objects.get()
    kept = f"{notice.values} {notices.tell_notice(notice)}"
    assert "19900000001" not in kept
    assert "0000 0002" not in kept
    assert "199****0001" in kept


def test_a_sentence_is_in_the_language_of_who_reads_it(reader: User) -> None:
    make_rule("account_stopped", reader)
    reason = "The account has no balance."
    Account.objects.filter(pk=make_account(name="北方").pk).update(
        stopped_at=timezone.now(), stopped_reason=reason
    )
    notices.find_notices()
    notice = Notice.objects.get()
    assert "北方" in notice.values["account"]
    with translation.override("zh-hans"):
        assert "北方" in notices.tell_notice(notice)
    Notice.objects.update(values={"odd": 1})
    notice.refresh_from_db()
    assert "%(account)s" in notices.tell_notice(notice)  # rather than a page that breaks


def test_old_notices_go_and_what_lasts_stays(reader: User, settings: Any) -> None:
    make_rule("task_done", reader)
    make_rule("account_stopped", reader)
    Account.objects.filter(pk=make_account().pk).update(stopped_at=timezone.now())
    finish(make_running())
    notices.find_notices()
    Notice.objects.update(created_at=timezone.now() - timedelta(days=400))
    assert notices.forget_notices() == 1
    assert list_events() == ["account_stopped"]
    settings.KEEP_NOTICES_DAYS = 0
    Notice.objects.update(ended_at=timezone.now())
    assert notices.forget_notices() == 0


def test_marking_is_ones_own(reader: User) -> None:
    other = make_reader("bert", "view_task")
    make_rule("task_done", reader, other)
    for _ in range(3):
        finish(make_running())
    notices.find_notices()
    first = Notice.objects.earliest("id")
    assert notices.mark_read(reader, [first.pk]) == 1
    assert (notices.count_unread(reader), notices.count_unread(other)) == (2, 3)
    assert notices.mark_read(reader) == 2
    assert notices.mark_read(reader, [first.pk], read=False) == 1
    assert (notices.count_unread(reader), notices.count_unread(other)) == (1, 3)


def test_every_event_is_described_and_can_be_found() -> None:
    from campaigns.models import NoticeEvent
    from campaigns.notices.events import EVENTS

    assert set(EVENTS) == set(finding.FINDERS) == set(NoticeEvent.values)


def test_what_a_platform_said_is_told_without_a_number(reader: User) -> None:
    make_rule("account_broken", reader)
    make_account(connection_error="Ask 19900000001 for the key.")
    notices.find_notices()
    (notice,) = Notice.objects.all()
    assert notices.tell_more(notice) == "Ask 199****0001 for the key."


def test_a_notice_of_an_inbox_leads_to_that_of_its_account(reader: User) -> None:
    account = make_account()
    notice = Notice.objects.create(
        event="quarantine",
        level="warn",
        key="x",
        account=account,
        subject="callbacks.receipt",
        happened_at=timezone.now(),
    )
    path = notices.find_path(notice)
    assert path.endswith(f"?status__exact=quarantined&account__id__exact={account.pk}")
