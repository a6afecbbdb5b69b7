"""The mirror of what a platform lists, against the sandbox over real HTTP."""

from __future__ import annotations

import re
import threading
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone, translation

from campaigns import catalog
from campaigns.connections import AccountInactive
from campaigns.models import Account, CallbackToken, Robot
from campaigns.models.accounts import hash_token
from campaigns.platforms.contract import Catalog, LineInfo, RobotInfo, VoiceInfo
from campaigns.platforms.errors import (
    Consequence,
    ErrorCode,
    NotSent,
    PlatformError,
    Rejected,
    Uncertain,
)
from tests.factories import make_account


def make_robot_info(platform_id: str = "1", **fields: Any) -> RobotInfo:
    values: dict[str, Any] = {
        "platform_id": platform_id,
        "name": "Robot",
        "columns": ("客户手机号码",),
        "state": "published",
        "platform_state": "4",
        "kind": "ordinary",
        "deleted": False,
    }
    return RobotInfo(**values | fields)


def make_catalog(*robots: RobotInfo, **fields: Any) -> Catalog:
    line = LineInfo(
        number="05510001",
        concurrency=5,
        hours=((time(9), time(12)), (time(13), time(23, 59, 59))),
        state="idle",
        platform_state="0",
    )
    values: dict[str, Any] = {
        "robots": robots,
        "lines": (line,),
        "voices": (VoiceInfo(code="60020", name="晓燕"),),
        "callback_urls": {"receiveVoice": "https://example.org/x"},
    }
    return Catalog(**values | fields)


def test_the_sandbox_is_mirrored(account: Account) -> None:
    counts = catalog.sync_account(account)
    assert counts == catalog.SyncCounts(robots=5, lines=2, voices=7, gone=0)
    robot = account.robot_set.get(platform_id="719002")
    assert robot.columns == ["客户手机号码", "姓名", "产品", "到期日"]
    assert robot.is_usable
    assert not account.robot_set.get(platform_id="719004").is_usable
    assert account.line_set.get(number="055160000001").concurrency == 10
    assert account.synced_at is not None


def test_what_is_listed_no_more_is_gone_and_comes_back(db: None) -> None:
    account = make_account()
    first = timezone.now()
    both = make_catalog(make_robot_info("1"), make_robot_info("2"))
    assert catalog.store_catalog(account, both, asked_at=first) == 0
    old = account.robot_set.get(platform_id="2")
    later = first + timedelta(minutes=1)
    one = make_catalog(make_robot_info("1"))
    assert catalog.store_catalog(account, one, asked_at=later) == 1
    old.refresh_from_db()
    assert (old.gone_at, old.seen_at) == (later, first)
    assert catalog.store_catalog(account, one, asked_at=later) == 0, "gone once only"
    again = later + timedelta(minutes=1)
    catalog.store_catalog(account, both, asked_at=again)
    back = account.robot_set.get(platform_id="2")
    assert (back.pk, back.gone_at, back.seen_at) == (old.pk, None, again)


def test_another_account_is_left_alone(db: None) -> None:
    mine, other = make_account(), make_account()
    for account in (mine, other):
        catalog.store_catalog(account, make_catalog(make_robot_info()), asked_at=timezone.now())
    catalog.store_catalog(mine, make_catalog(), asked_at=timezone.now())
    assert other.robot_set.get().gone_at is None


def test_odd_texts_fit(db: None) -> None:
    account = make_account()
    odd = make_catalog(
        make_robot_info("1", name="x" * 500 + "\x00", state="splendid", raw={"a": "\x00"}),
        make_robot_info("9" * 200),
        make_robot_info("1", name="again"),
    )
    catalog.store_catalog(account, odd, asked_at=timezone.now())
    robot = account.robot_set.get()
    assert (robot.name, robot.state) == ("again", "published")
    line = account.line_set.get()
    assert line.hours == [["09:00:00", "12:00:00"], ["13:00:00", "23:59:59"]]
    assert line.windows == [(time(9), time(12)), (time(13), time(23, 59, 59))]
    assert account.callback_urls == {"receiveVoice": "https://example.org/x"}


def test_a_failure_changes_nothing(account: Account, platform: Any) -> None:
    catalog.sync_account(account)
    before = list(Robot.objects.order_by("id").values())
    platform.control("faults", {"endpoint": "config/query", "kind": "error_before"})
    with pytest.raises(PlatformError):
        catalog.sync_account(account)
    assert list(Robot.objects.order_by("id").values()) == before


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_each_row_once(account: Account) -> None:
    problems: list[BaseException] = []

    def synchronise() -> None:
        try:
            catalog.sync_account(Account.objects.get(pk=account.pk))
        except BaseException as error:
            problems.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=synchronise) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert (account.robot_set.count(), account.line_set.count()) == (5, 2)
    assert account.robot_set.filter(gone_at=None).count() == 5


def test_the_answer_asked_for_first_does_not_overwrite_a_newer_one(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.sync_account(account)
    newer = timezone.now() + timedelta(minutes=5)
    Account.objects.filter(pk=account.pk).update(synced_at=newer)
    account.robot_set.all().delete()
    catalog.sync_account(account)
    assert account.robot_set.count() == 0
    assert account.synced_at == newer


def test_a_connection_that_works_says_nothing(account: Account) -> None:
    assert catalog.test_connection(account) == ""
    account.refresh_from_db()
    assert account.connection_error == ""
    assert account.connection_checked_at is not None


def test_a_wrong_secret_is_a_sentence_without_it(account: Account) -> None:
    account.credentials = {"app_key": "sandbox-key", "app_secret": "not-the-secret"}
    account.save()
    told = catalog.test_connection(account)
    account.refresh_from_db()
    assert told == account.connection_error != ""
    assert "not-the-secret" not in told


@pytest.mark.parametrize(
    "error",
    [
        NotSent("Nothing was sent (ConnectionError)."),
        Uncertain("The platform answered HTTP 502."),
        Rejected(ErrorCode("1002", "app_secret错误", Consequence.TELL_OPERATOR, "")),
        PlatformError("Odd."),
        AccountInactive("The account is switched off."),
    ],
)
def test_why_a_connection_fails_can_be_told_in_chinese(error: PlatformError) -> None:
    kept = catalog.advise(error)
    with translation.override("zh-hans"):
        told = translation.gettext(kept)
        spelled = catalog.describe_error(error)
    assert kept and told != kept
    assert "可能已执行" not in told  # a question carries nothing out
    assert not re.search(r"[a-z]{4}", told)
    assert not re.match(r"[A-Za-z]", spelled)


def test_callback_addresses_are_kept_as_hashes(account: Account, settings: Any) -> None:
    settings.PUBLIC_URL = "https://callboard.example.org"
    urls = catalog.make_callback_urls(account)
    assert set(urls) == set(account.vendor.kinds)
    token = urls["receiveVoice"].split("/")[-2]
    assert urls["receiveVoice"] == (f"https://callboard.example.org/callbacks/{token}/receiveVoice")
    assert CallbackToken.objects.get(account=account).hash == hash_token(token)
