"""The four groups that a migration makes, and what is kept of changes to the configuration."""

from __future__ import annotations

import pytest
from auditlog.models import LogEntry
from django.apps import apps
from django.contrib.auth.models import Group, Permission

from campaigns.models import Account
from campaigns.roles import grant_roles
from tests.factories import make_account

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _roles() -> None:
    """A transactional test before this one may have emptied the tables."""
    grant_roles(apps)


def rights(name: str) -> set[str]:
    rows = Group.objects.get(name=name).permissions.select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows}


def test_each_role_has_what_the_one_before_has() -> None:
    assert rights("viewer") < rights("operator") < rights("manager") < rights("admin")


def test_a_viewer_only_looks() -> None:
    assert all(right.partition(".")[2].startswith("view_") for right in rights("viewer"))
    assert {"campaigns.view_task", "campaigns.view_call", "callbacks.view_receipt"} <= rights(
        "viewer"
    )


@pytest.mark.parametrize("right", ["launch_task", "call_directly", "unmask_phone", "export_data"])
def test_what_reaches_people_is_a_right_of_its_own(right: str) -> None:
    assert f"campaigns.{right}" not in rights("operator")
    assert f"campaigns.{right}" in rights("manager")


def test_an_operator_prepares_tasks() -> None:
    assert {"campaigns.add_task", "campaigns.add_contactimport"} <= rights("operator")
    assert "campaigns.add_account" not in rights("manager")
    assert {"campaigns.add_account", "auth.change_user"} <= rights("admin")


def test_nobody_has_a_right_to_platform_tokens() -> None:
    assert not any(
        "accounttoken" in right for name in ("admin", "manager") for right in rights(name)
    )


def test_granting_again_leaves_what_was_added_and_makes_nothing_twice() -> None:
    own = Permission.objects.get(codename="launch_task")
    Group.objects.get(name="operator").permissions.add(own)
    before = Permission.objects.count()
    grant_roles(apps)
    assert own in Group.objects.get(name="operator").permissions.all()
    assert Permission.objects.count() == before


def test_a_changed_account_is_kept_without_its_secrets() -> None:
    account = make_account(credentials={"app_key": "k", "app_secret": "geheim-1"})
    account.credentials = {"app_key": "k", "app_secret": "geheim-2"}
    account.rate_limit = 7
    account.save()
    entries = LogEntry.objects.get_for_object(account)
    assert entries.latest("id").changes["rate_limit"] == ["20", "7"]
    assert "credentials" in entries.latest("id").changes
    assert "geheim" not in str([entry.changes for entry in entries])


def test_what_the_program_writes_on_an_account_is_no_change() -> None:
    account = make_account()
    before = LogEntry.objects.count()
    account.connection_error = "No answer."
    account.save()
    assert LogEntry.objects.count() == before
    assert Account.objects.get(pk=account.pk).connection_error == "No answer."
