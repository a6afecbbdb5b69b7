"""In: what people changed. Out: a page that says which field was what, and became what, masked.

Must catch: a page that tells that something changed and not what; a secret, a number or markup in
it; an entry of a field that is no more.
"""

from __future__ import annotations

from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from campaigns.admin.changes import list_changes
from campaigns.models import Account
from tests.campaigns.admin.world import make_user
from tests.factories import make_account

pytestmark = pytest.mark.django_db


def find_entry(row: Any) -> LogEntry:
    return LogEntry.objects.get_for_object(row).order_by("-pk").first()


def test_the_page_tells_what_changed_from_what_to_what(root: Client) -> None:
    account = make_account(name="Before 19900000001", is_active=True)
    account.name, account.is_active, account.rate_limit = "<b>After</b>", False, 7
    account.credentials = {"app_key": "key-of-mine", "app_secret": "word-of-mine"}
    account.save()
    told = {label: (old, new) for label, old, new in list_changes(find_entry(account))}
    assert told["name"] == ("Before 199****0001", "<b>After</b>")
    assert told["active"] == ("yes", "no")
    address = reverse("admin:auditlog_logentry_change", args=[find_entry(account).pk])
    for page in (root.get(address), root.get(reverse("admin:auditlog_logentry_changelist"))):
        text = page.content.decode()
        assert page.status_code == 200
        assert "Before 199****0001" in text
        assert "&lt;b&gt;After&lt;/b&gt;" in text
        assert "<b>After</b>" not in text
        assert "19900000001" not in text
        assert "word-of-mine" not in text
        assert "key-of-mine" not in text


def test_of_what_was_made_only_what_it_has_is_told() -> None:
    account = make_account(name="New one")
    told = {label: (old, new) for label, old, new in list_changes(find_entry(account))}
    assert told["name"] == ("–", "New one")
    assert ("–", "–") not in told.values()
    assert not {"ID", "agents"} & told.keys()


def test_rights_that_were_given_are_told_by_name() -> None:
    user = make_user()
    group = Group.objects.create(name="Listeners")
    user.groups.add(group)
    rows = [row for entry in LogEntry.objects.get_for_object(user) for row in list_changes(entry)]
    assert [row for row in rows if row[1] == "–" and row[2] != "–" and row[0] == "groups"]


@pytest.mark.parametrize(
    "changes",
    [
        None, {}, [], "x", '{"name": ["a", "b"]}', {"gone": ["a", "b"]}, {"name": "odd"},
        {"name": [1]}, {"name": {"operation": "x"}}, {"created_at": ["x", "9999-99-99"]},
        {"account": ["99999999999999999999", "5"]}, {"name": ["a" * 5000, None]},
    ],
)  # fmt: skip
def test_odd_entries_are_told_as_far_as_they_can_be(root: Client, changes: Any) -> None:
    account = make_account()
    entry = find_entry(account)
    LogEntry.objects.filter(pk=entry.pk).update(changes=changes)
    assert root.get(reverse("admin:auditlog_logentry_change", args=[entry.pk])).status_code == 200
    assert root.get(reverse("admin:auditlog_logentry_changelist")).status_code == 200


def test_the_filter_knows_what_is_kept(root: Client) -> None:
    make_account()
    kind = LogEntry.objects.get_for_model(Account).values_list("content_type", flat=True)[0]
    address = reverse("admin:auditlog_logentry_changelist")
    assert root.get(address, {"content_type__id__exact": kind}).status_code == 200
