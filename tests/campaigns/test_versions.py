"""In: what a platform lists of its robots, time after time. Out: a version for each difference.

Must catch: a version at each look, a change that leaves none, calls that are told to an older
script than they were made with, and a time of change that the platform only claims.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from campaigns import catalog
from campaigns.models import Account, RobotVersion
from tests.campaigns.test_catalog import make_catalog, make_robot_info
from tests.factories import make_account

pytestmark = pytest.mark.django_db

FIRST = datetime(2026, 11, 16, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def look(account: Account, hours: float, *ids: str, **fields: Any) -> None:
    """The platform is asked so many hours after the first time."""
    robots = [make_robot_info(one, **fields) for one in ids or ("1",)]
    catalog.store_catalog(account, make_catalog(*robots), asked_at=FIRST + hours * HOUR)


def list_versions() -> list[RobotVersion]:
    return list(RobotVersion.objects.order_by("robot_id", "number"))


def test_what_stays_the_same_stays_one_version() -> None:
    account = make_account()
    for hours in range(3):
        look(account, hours, raw={"counter": hours})
    (version,) = list_versions()
    assert (version.number, version.changes) == (1, {})
    assert (version.first_seen_at, version.last_seen_at) == (FIRST, FIRST + 2 * HOUR)


def test_what_changed_is_said() -> None:
    account = make_account()
    look(account, 0, name="回访", columns=("客户手机号码",))
    look(account, 1, name="回访二", columns=("客户手机号码", "姓名"))
    look(account, 2, name="回访", columns=("客户手机号码",))
    first, second, third = list_versions()
    assert second.changes == {
        "name": ["回访", "回访二"],
        "columns": [["客户手机号码"], ["客户手机号码", "姓名"]],
    }
    assert third.number == 3, "back to what it was is a change, too"
    assert third.digest == first.digest
    assert second.last_seen_at == FIRST + HOUR


def test_each_robot_has_its_own() -> None:
    account, other = make_account(), make_account()
    look(account, 0, "1", "2")
    look(other, 0, "1")
    look(account, 1, "1", name="anders")  # the second is gone: that is no version
    told = [(one.robot.account_id, one.robot.platform_id, one.number) for one in list_versions()]
    assert sorted(told) == [
        (account.pk, "1", 1),
        (account.pk, "1", 2),
        (account.pk, "2", 1),
        (other.pk, "1", 1),
    ]


@pytest.mark.parametrize(
    ("told", "begins"),
    [
        (5, 5),  # between the two looks: the platform knows best
        (None, 10),
        (11, 10),  # not over yet
        (-3, 10),  # before we saw that it was otherwise
        (0, 10),
    ],
)
def test_a_version_begins_when_the_platform_says_if_that_can_be(
    told: float | None, begins: float
) -> None:
    account = make_account()
    look(account, 0, updated_at=FIRST - 90 * HOUR)
    at = None if told is None else FIRST + told * HOUR
    look(account, 10, name="neu", updated_at=at)
    assert list_versions()[1].begins_at == FIRST + begins * HOUR


def test_the_first_version_began_when_it_was_last_changed() -> None:
    look(make_account(), 0, updated_at=FIRST - 90 * HOUR)
    look(make_account(), 0)
    changed, untold = list_versions()
    assert changed.begins_at == FIRST - 90 * HOUR
    assert untold.begins_at == FIRST


def test_a_sync_notes_versions(account: Account, platform: Any) -> None:
    catalog.sync_account(account)
    assert RobotVersion.objects.count() == account.robot_set.count() == 5
    catalog.sync_account(account)
    assert RobotVersion.objects.count() == 5
    robot = account.robot_set.first()
    assert robot is not None
    version = robot.versions.get()
    assert version.last_seen_at == robot.seen_at
    assert version.begins_at <= timezone.now()
