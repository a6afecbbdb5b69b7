"""In: rows of all four platforms. Out: every screen shows them, in few queries, masked, in both
languages, and offers of a platform what it has.

Must catch: a query per agent or call; a number in a finding; a button a platform cannot keep; a
verification asked by somebody who may not; a file with whole numbers or with formulas.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from campaigns.admin.call_details import describe_details
from campaigns.criteria import CALLS, read_criteria
from campaigns.exporting.tables import write_csv
from campaigns.models import Account, Agent, Call, Export, Task, Verification
from campaigns.platforms.events import SHARED_DETAILS
from campaigns.platforms.registry import PLATFORMS
from tests.campaigns.admin.test_actions import read_messages
from tests.campaigns.admin.vendors import PRIVATE, Vendors, make_vendors
from tests.campaigns.admin.world import make_user


def list_vendor_pages(vendors: Vendors) -> dict[str, str]:
    calls = ("claimed", "redial", "ringing", "lost", "recorded", "noted")
    pages = {
        name: reverse("admin:campaigns_call_change", args=[getattr(vendors, name).pk])
        for name in calls
    }
    for name in ("airudder", "moor7", "ima51"):
        pk = getattr(vendors, name).pk
        pages[f"{name} account"] = reverse("admin:campaigns_account_change", args=[pk])
        pages[f"{name} addresses"] = reverse("admin:campaigns_account_addresses", args=[pk])
        pages[f"{name} add"] = f"{reverse('admin:campaigns_account_add')}?platform={name}"
    task_add = reverse("admin:campaigns_task_add")
    return pages | {
        "home": reverse("admin:index"),
        "calls": reverse("admin:campaigns_call_changelist"),
        "agents": reverse("admin:campaigns_agent_changelist"),
        "agent": reverse("admin:campaigns_agent_change", args=[vendors.agent.pk]),
        "accounts": reverse("admin:campaigns_account_changelist"),
        "codes": reverse("admin:campaigns_call_unknown_codes"),
        "filled": reverse("admin:campaigns_task_change", args=[vendors.filled.pk]),
        "filled live": reverse("admin:campaigns_task_live", args=[vendors.filled.pk]),
        "task add": f"{task_add}?account={vendors.airudder.pk}",
    }


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, url
    return response.content.decode()


def test_every_page_opens_masked_in_both_languages(
    root: Client, log_in: Callable[[str], Client], vendors: Vendors
) -> None:
    for client in (root, log_in("viewer")):
        for language in ("en", "zh-hans"):
            client.cookies["django_language"] = language
            for name, url in list_vendor_pages(vendors).items():
                response = client.get(url)
                if response.status_code == 403 and client is not root:
                    continue
                assert response.status_code == 200, (language, name)
                page = response.content.decode()
                assert [one for one in PRIVATE if one in page] == [], (language, name)


@pytest.mark.parametrize("name", ["agents", "calls", "accounts", "filled", "codes", "home"])
def test_queries_do_not_grow_with_rows(root: Client, vendors: Vendors, name: str) -> None:
    url = list_vendor_pages(vendors)[name]
    root.get(url)
    with CaptureQueriesContext(connection) as few:
        root.get(url)
    make_vendors(" 2")
    make_vendors(" 3")
    with CaptureQueriesContext(connection) as many:
        root.get(url)
    assert len(many) <= len(few) + 1
    assert len(many) <= 38


def test_pages_of_one_row_are_bounded(root: Client, vendors: Vendors) -> None:
    for name in ("claimed", "recorded", "agent"):
        with CaptureQueriesContext(connection) as queries:
            root.get(list_vendor_pages(vendors)[name])
        assert len(queries) <= 30, name


# -------------------------------------------------------------------------------------- the agents


def test_agents_are_counted_by_what_they_do(root: Client, vendors: Vendors) -> None:
    url = reverse("admin:campaigns_agent_changelist")
    response = root.get(url)
    sums = [tile["value"] for tile in response.context["states"]]
    assert sums == [3, 1, 0, 0, 0, 1]
    page = response.content.decode()
    assert "外出培训" in page
    assert 'title="通话 (4)"' in page
    for query, names in (
        ("?on=yes", {"8000", "8001", "8002"}),
        ("?on=no", {"8003"}),
        ("?state__in=talking,holding,muted", {"8000"}),
        ("?q=李四", {"8001"}),
    ):
        rows = root.get(url + query).context["cl"].result_list
        assert {agent.number for agent in rows} == names, query
    for agent in rows:
        assert agent.day.calls == 1


def test_today_is_the_day_of_the_account(root: Client, vendors: Vendors) -> None:
    midnight = timezone.localtime(timezone.now(), vendors.moor7.zone).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    calls = Call.objects.filter(pk=vendors.recorded.pk)
    for moment, number in ((midnight, 1), (midnight - timedelta(seconds=1), 0)):
        calls.update(happened_at=moment)
        rows = root.get(reverse("admin:campaigns_agent_changelist")).context["cl"].result_list
        assert next(one for one in rows if one.number == "8000").day.calls == number
    # a call of the same number in another account is nobody's here
    calls.update(happened_at=midnight, account=vendors.ima51)
    rows = root.get(reverse("admin:campaigns_agent_changelist")).context["cl"].result_list
    assert next(one for one in rows if one.number == "8000").day.calls == 0


def test_the_page_of_an_agent_has_its_time_line_and_its_calls(
    root: Client, vendors: Vendors
) -> None:
    page = read(root, reverse("admin:campaigns_agent_change", args=[vendors.agent.pk]))
    assert page.count("agentStatus") == 3
    assert reverse("admin:campaigns_call_change", args=[vendors.recorded.pk]) in page


def test_no_agents_say_when_there_are_some(db: None) -> None:
    client = Client()
    client.force_login(make_user())
    page = read(client, reverse("admin:campaigns_agent_changelist"))
    assert "as soon as a platform tells" in page
    assert not [one.name for one in PLATFORMS.values() if f"{one.name}." in page]


# --------------------------------------------------------------------------------------- the calls


def test_findings_have_forms_of_their_own(root: Client, vendors: Vendors) -> None:
    pages = list_vendor_pages(vendors)
    claimed = read(root, pages["claimed"])
    for words in ("Promises to pay", "Willing", "When can you pay?", "20,000.00 USD", "Zhang San"):
        assert words in claimed, words
    assert "199****0051" in claimed
    recorded = read(root, pages["recorded"])
    for words in ("售后", "00:12", "正在通话中", "393928840994361344", "主菜单"):
        assert words in recorded, words
    noted = read(root, pages["noted"])
    steps = [noted.index(f'<span class="cb-badge">{step}') for step in ("主菜单", "售后", "人工")]
    assert steps == sorted(steps)
    assert noted[steps[0] : steps[2]].count("→") == 2
    assert "客户要求\n明天回电" in noted
    assert "非常满意" in noted
    assert "communicateSource" in noted


def test_details_of_any_shape_are_shown(root: Client, vendors: Vendors) -> None:
    """What an earlier reading, or somebody's odd push, left there."""
    names = [*SHARED_DETAILS, "other"]
    odd: list[Any] = [
        *(None, "", "text", 5, 1.5, True, [], {}, [None], [[1]], {"a": {"b": {"c": {"d": 1}}}}),
        *([{"name": None, "text": {"x": 1}, "amount": "NaN", "answered": "yes"}], {"": []}),
        "9" * 5000,
    ]
    for value in odd:
        call = Call(details=dict.fromkeys(names, value))
        assert describe_details(call, whole=False)
        Call.objects.filter(pk=vendors.claimed.pk).update(details=dict.fromkeys(names, value))
        read(root, reverse("admin:campaigns_call_change", args=[vendors.claimed.pk]))


def test_a_call_that_is_going_on_says_so_and_for_how_long_it_is_silent(
    root: Client, vendors: Vendors
) -> None:
    pages = list_vendor_pages(vendors)
    assert "ringing…" in read(root, pages["ringing"])
    assert "The last news came" not in read(root, pages["ringing"])
    assert "The last news came 5 h ago." in read(root, pages["lost"])
    rows = root.get(pages["calls"] + "?stage=now").context["cl"].result_list
    assert {call.pk for call in rows} == {vendors.ringing.pk, vendors.lost.pk}


def test_calls_are_found_across_accounts(root: Client, vendors: Vendors) -> None:
    url = reverse("admin:campaigns_call_changelist")
    for query, found in (
        ("?platform=ima51", {vendors.noted.pk}),
        ("?agent=8000", {vendors.recorded.pk}),
        ("?agent=李四", {vendors.ringing.pk}),
        ("?verification=none", {vendors.claimed.pk, vendors.redial.pk}),
        ("?verification=mismatch", {vendors.redial.pk}),
        ("?q=super", {vendors.recorded.pk}),
    ):
        rows = root.get(url + query).context["cl"].result_list
        assert {call.pk for call in rows} == found, query


def test_attempts_of_one_contact_are_listed_on_each(root: Client, vendors: Vendors) -> None:
    for one, other in ((vendors.claimed, vendors.redial), (vendors.redial, vendors.claimed)):
        page = read(root, reverse("admin:campaigns_call_change", args=[one.pk]))
        assert "Calls of this contact" in page
        assert reverse("admin:campaigns_call_change", args=[other.pk]) in page
    Call.objects.filter(pk__in=[vendors.claimed.pk, vendors.redial.pk]).update(contact=None)
    page = read(root, reverse("admin:campaigns_call_change", args=[vendors.claimed.pk]))
    assert reverse("admin:campaigns_call_change", args=[vendors.redial.pk]) in page


# -------------------------------------------------------------------------------- the verification


def press(client: Client, call: Call, push: Verification, **data: str) -> Any:
    page = client.get(reverse("admin:campaigns_call_change", args=[call.pk]))
    token = page.context["form_token"]
    url = reverse("admin:campaigns_verification_ask", args=[push.pk])
    return client.post(url, {"form_token": token} | data, follow=True)


def test_a_push_is_verified_by_a_button(root: Client, vendors: Vendors) -> None:
    page = read(root, reverse("admin:campaigns_call_change", args=[vendors.claimed.pk]))
    assert "This comes from a push that nobody has verified." in page
    assert "about three months only" in page
    response = press(root, vendors.claimed, vendors.unasked)
    assert response.status_code == 200
    vendors.unasked.refresh_from_db()
    assert vendors.unasked.status == "asking"
    jobs = ProcrastinateJob.objects.filter(task_name="campaigns.jobs.verify_push")
    assert jobs.count() == 1
    # the form that was sent already does nothing a second time
    url = reverse("admin:campaigns_verification_ask", args=[vendors.unasked.pk])
    Verification.objects.filter(pk=vendors.unasked.pk).update(status="unasked")
    root.post(url, {"form_token": "odd"})
    assert jobs.count() == 1
    assert root.get(url).status_code == 405


def test_a_mismatch_is_shown_field_by_field(root: Client, vendors: Vendors) -> None:
    page = read(root, reverse("admin:campaigns_call_change", args=[vendors.redial.pk]))
    assert "call.intention" in page
    assert "says otherwise" in page
    assert "nobody has verified" not in page


def test_who_may_not_asks_nothing(log_in: Callable[[str], Client], vendors: Vendors) -> None:
    url = reverse("admin:campaigns_verification_ask", args=[vendors.unasked.pk])
    for role in ("viewer", "operator"):
        client = log_in(role)
        assert client.post(url).status_code == 403
        page = read(client, reverse("admin:campaigns_call_change", args=[vendors.claimed.pk]))
        assert url not in page
    assert not ProcrastinateJob.objects.filter(task_name="campaigns.jobs.verify_push").exists()


def test_only_platforms_that_can_be_asked_have_the_panel(root: Client, vendors: Vendors) -> None:
    for call in (vendors.recorded, vendors.noted):
        page = read(root, reverse("admin:campaigns_call_change", args=[call.pk]))
        assert "nobody has verified" not in page
        assert "Ask the platform" not in page


# ------------------------------------------------------------------------------------ the accounts


@pytest.mark.parametrize("slug", ["moor7", "ima51"])
def test_an_account_that_only_pushes_is_made_without_an_address(
    root: Client, vendors: Vendors, slug: str
) -> None:
    url = f"{reverse('admin:campaigns_account_add')}?platform={slug}"
    page = read(root, url)
    for absent in ('name="base_url"', 'type="password"', 'name="rate_limit"'):
        assert absent not in page, absent
    data = {"name": f"New {slug}", "time_zone": "Asia/Shanghai", "region": "CN", "is_active": "on"}
    response = root.post(url, data, follow=True)
    account = Account.objects.get(name=f"New {slug}")
    assert (account.platform, account.base_url, account.credentials) == (slug, "", {})
    assert response.redirect_chain
    page = read(root, reverse("admin:campaigns_account_change", args=[account.pk]))
    for absent in ("Test connection", "Synchronise<", "never tested", "Mirrored"):
        assert absent not in page, absent
    assert "pushes only" in page
    assert "One address for everything" in page


def test_settings_with_choices_take_no_other_value(root: Client, vendors: Vendors) -> None:
    url = reverse("admin:campaigns_account_change", args=[vendors.airudder.pk])
    page = read(root, url)
    assert '<option value="sample"' in page
    data = {
        "name": "AI Rudder",
        "base_url": "https://api.airudder.com",
        "time_zone": "Asia/Jakarta",
        "region": "ID",
        "cap_days": "7",
        "rate_limit": "5",
        "is_active": "on",
        "setting_verify": "sample",
        "setting_allow_unverified": "off",
    }
    response = root.post(url, data | {"setting_verify": "perhaps"})
    assert response.context["adminform"].form.errors.keys() == {"setting_verify"}
    assert root.post(url, data).status_code == 302
    vendors.airudder.refresh_from_db()
    assert vendors.airudder.get_setting("verify") == "sample"
    page = read(root, reverse("admin:campaigns_task_add"))
    assert "switched off in its settings" in page


def test_buttons_a_platform_has_not_refuse(root: Client, vendors: Vendors) -> None:
    for verb in ("test", "sync"):
        url = reverse(f"admin:campaigns_account_{verb}", args=[vendors.moor7.pk])
        assert root.post(url).status_code == 302
    told = read_messages(root.get(reverse("admin:index")))
    assert "There is no test" in told
    assert "does not offer that" in told
    vendors.moor7.refresh_from_db()
    assert vendors.moor7.connection_checked_at is None


# --------------------------------------------------------------------------------------- the tasks


def test_a_task_of_instances_is_one_with_sums(root: Client, vendors: Vendors) -> None:
    response = root.get(reverse("admin:campaigns_task_change", args=[vendors.filled.pk]))
    assert response.context["handed"] == 10_000
    assert response.context["instances_made"] == 2
    assert response.context["buttons"] == ["results", "clone"]
    page = response.content.decode()
    assert f"w-{vendors.filled.pk}-2" in page
    assert "no way to stop or to pause it" in page


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("loading", ["pause", "delete", "results", "clone"]),
        ("paused", ["resume", "delete", "results", "clone"]),
        ("running", ["results", "clone"]),
        ("finished", ["results", "clone"]),
        ("draft", ["import", "launch", "trial", "delete", "results", "split", "clone"]),
    ],
)
def test_buttons_promise_what_the_platform_keeps(
    root: Client, vendors: Vendors, status: str, buttons: list[str]
) -> None:
    Task.objects.filter(pk=vendors.filled.pk).update(status=status)
    url = reverse("admin:campaigns_task_change", args=[vendors.filled.pk])
    response = root.get(url)
    assert response.context["buttons"] == buttons
    page = response.content.decode()
    assert ("Stop handing over…" in page) == (status in ("loading", "paused"))


def test_the_form_offers_what_the_platform_takes(root: Client, vendors: Vendors) -> None:
    url = f"{reverse('admin:campaigns_task_add')}?account={vendors.airudder.pk}"
    form = root.get(url).context["adminform"].form
    assert set(form.fields) == {"name", "robot", "begin_at", "end_at", "daily_cap"}
    data = {"name": "Reminder", "robot": str(vendors.template.pk)}
    assert "end_at" in root.post(url, data).context["adminform"].form.errors
    tomorrow = timezone.localtime() + timedelta(days=1)
    data |= {"end_at_0": f"{tomorrow:%Y-%m-%d}", "end_at_1": "18:00:00"}
    assert root.post(url, data).status_code == 302
    task = Task.objects.get(name="Reminder")
    assert (task.lines.count(), task.windows) == (0, [])
    page = read(root, reverse("admin:campaigns_task_launch", args=[task.pk]))
    assert "dials at once" in page


def test_results_are_asked_for_by_a_button(
    root: Client, vendors: Vendors, log_in: Callable[[str], Client], settings: Any
) -> None:
    url = reverse("admin:campaigns_task_results", args=[vendors.filled.pk])
    assert root.get(url).status_code == 405
    assert log_in("operator").post(url).status_code == 403
    response = root.post(url, follow=True)  # nobody listens at the account's address
    assert "did not say" in read_messages(response)
    vendors.airudder.settings = {}
    vendors.airudder.save()
    response = root.post(url, follow=True)
    assert "Switch it on" in read_messages(response)


# --------------------------------------------------------------------------- codes and the export


def test_unknown_codes_are_counted_and_read_again(
    root: Client, log_in: Callable[[str], Client], vendors: Vendors
) -> None:
    url = reverse("admin:campaigns_call_unknown_codes")
    response = root.get(url)
    codes = response.context["codes"]
    assert [(one["platform"], one["code"], one["count"]) for one in codes] == [
        (PLATFORMS["moor7"].name, "NEW_WORD", 1)
    ]
    rows = root.get(codes[0]["url"]).context["cl"].result_list
    assert [call.platform_result for call in rows] == ["NEW_WORD"]
    again = reverse("admin:campaigns_call_read_again", args=["moor7"])
    done = root.post(again, {"form_token": response.context["form_token"]}, follow=True)
    assert "are being read again" in read_messages(done)
    jobs = ProcrastinateJob.objects.filter(task_name="campaigns.jobs.reapply_results")
    assert [(job.args, job.queueing_lock) for job in jobs] == [({"slug": "moor7"}, "reapply-moor7")]
    root.post(again, {"form_token": done.context["form_token"]})
    assert jobs.count() == 1  # one that waits is enough
    assert "was sent already" in read_messages(root.post(again, {"form_token": "x"}, follow=True))
    assert root.get(again).status_code == 405
    nowhere = reverse("admin:campaigns_call_read_again", args=["nobody"])
    assert root.post(nowhere).status_code == 404
    for role in ("viewer", "manager"):
        client = log_in(role)
        assert "read-again" not in read(client, url)
        assert client.post(again).status_code == 403


def write_file(*, whole: bool, **params: str) -> list[dict[str, str]]:
    target = io.BytesIO()
    with connection.cursor() as cursor:
        chosen = read_criteria(CALLS, params)
        write_csv(cursor.cursor, chosen, target, whole=whole, zone="Asia/Shanghai")
        cursor.execute("SELECT set_config('TimeZone', 'UTC', true)")
    return list(csv.DictReader(io.StringIO(target.getvalue().decode("utf-8-sig"))))


def test_an_export_has_the_rows_of_the_filters_for_every_platform(vendors: Vendors) -> None:
    Call.objects.filter(pk=vendors.recorded.pk).update(platform_result_text="=1+1")
    rows = write_file(whole=True)
    assert len(rows) == Call.objects.count()
    assert {row["platform"] for row in rows} == {one.name for one in PLATFORMS.values()}
    row = next(one for one in rows if one["platform_call_id"] == "recorded")
    assert row["callee"] == "19900000001"
    assert (row["agent_number"], row["wait_seconds"]) == ("8000", "12")
    assert (row["result"], row["platform_result"]) == ("answered", "ANSWER")
    assert row["platform_result_text"] == "'=1+1"
    assert row["dialed_at"].endswith("+08:00")
    chosen = write_file(whole=True, platform="ima51")
    assert [one["platform_call_id"] for one in chosen] == ["noted"]


def test_an_export_is_masked_and_takes_a_right(
    log_in: Callable[[str], Client], vendors: Vendors
) -> None:
    url = reverse("admin:campaigns_call_export")
    viewer = log_in("viewer")
    assert viewer.post(url).status_code == 403
    assert url not in read(viewer, reverse("admin:campaigns_call_changelist"))
    from tests.campaigns.admin.test_rights import allow

    allow("viewer", "export_data")
    page = viewer.get(url)
    assert "whole" not in page.context["form"].fields
    form = {"form": "csv", "zone": "UTC", "whole": "on", "form_token": page.context["form_token"]}
    viewer.post(url, form)
    export = Export.objects.get()
    assert not export.whole
    rows = write_file(whole=export.whole)
    assert {row["callee"] for row in rows if row["platform"] == "51ima"} == {"199****0001"}
    assert viewer.post(f"{url}?platform_result=%00").status_code == 400
    assert viewer.post(f"{url}?id__exact=abc").status_code == 400


def test_agents_of_others_are_not_linked(root: Client, vendors: Vendors) -> None:
    """The same number in two accounts is two people."""
    Agent.objects.create(account=vendors.ima51, number="8000", name="Other")
    page = read(root, reverse("admin:campaigns_call_change", args=[vendors.recorded.pk]))
    assert reverse("admin:campaigns_agent_change", args=[vendors.agent.pk]) in page
