"""In: commands about platforms that only push, or that choose the lines. Out: what they print."""

from __future__ import annotations

import pytest

from campaigns.models import Account, Recording, Task
from campaigns.recordings import SHORT
from tests.campaigns.admin.vendors import make_vendors
from tests.campaigns.management.test_commands import refuse, run
from tests.factories import make_verification

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("word", "slug"), [("容联七陌", "moor7"), ("7moor", "moor7"), ("51ima", "ima51")]
)
def test_a_platform_that_only_pushes_needs_no_address(word: str, slug: str) -> None:
    added = run("add_account", word, "--name", "Mine")
    account = Account.objects.get(pk=added["id"])
    assert (account.platform, account.base_url) == (slug, "")
    assert set(added["callbacks"]) == {"*"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["moor7", "--base-url", "https://example.com"], "leave --base-url out"),
        (["moor7", "--credential", "app_key=x"], "app_key"),
        (["airudder", "--set", "verify=perhaps"], "never, sample, always"),
        (["airudder", "--set", "allow_unverified=yes"], "off, on"),
        (["airudder", "--base-url", "https://user:pass@example.com"], "user or password"),
    ],
)
def test_an_account_that_cannot_be(arguments: list[str], word: str) -> None:
    secrets = ["--credential", "app_key=a", "--credential", "app_secret=b"]
    known = secrets if arguments[0] == "airudder" else []
    assert word in refuse("add_account", *arguments, "--name", "Mine", *known)
    assert not Account.objects.filter(name="Mine").exists()


def test_a_task_needs_no_line_where_none_can_be_chosen() -> None:
    make_vendors()
    common = ["create_task", "AI Rudder", "--name", "Reminder", "--robot", "301"]
    made = run(*common, "--end", "2036-01-01T00:00:00+08:00")
    assert Task.objects.get(pk=made["id"]).lines.count() == 0
    assert "ends" in refuse(*common)


def test_show_call_tells_of_agents_details_and_verification() -> None:
    vendors = make_vendors()
    told = run("show_call", "七陌呼叫中心", "recorded")
    assert told["agent"] == {"number": "8000", "name": "默认坐席"}
    assert (told["stage"], told["queue"], told["wait_seconds"]) == ("ended", "售后", 12)
    assert told["details"]["media_failure"]["code"] == 15
    assert told["verification"] is None
    assert run("show_call", "七陌呼叫中心", "ringing")["stage"] == "ringing"
    assert run("show_call", "AI Rudder", "claimed")["verification"] == "unasked"
    make_verification(call=vendors.claimed, status="verified")
    assert run("show_call", "AI Rudder", "claimed")["verification"] == "verified"


def test_show_call_says_that_a_stored_sound_is_cut() -> None:
    call = make_vendors().recorded
    Recording.objects.create(call=call, address="/1.wav", file="1.wav", status="stored")
    Recording.objects.create(
        call=call, address="/2.wav", file="2.wav", status="stored", reason=SHORT
    )
    rows = run("show_call", "七陌呼叫中心", "recorded")["recordings"]
    assert [row.get("cut") for row in rows] == [None, True]
