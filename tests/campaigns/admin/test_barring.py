"""In: people who forbid and allow calls. Out: entries of the do-not-call list, as far as they may.

Must catch: a number shown whole, an entry lifted without a right or a reason, a number of one
region read as somebody else's of another, a button that stays where nobody may call already.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from auditlog.models import LogEntry as Change
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns import barring
from campaigns.importing import barlist
from campaigns.models import BarListImport, DoNotCall, DoNotCallRule, StatusChange
from tests.campaigns.admin.test_odd_requests import ODD_IDS
from tests.campaigns.admin.world import World, make_call, make_user
from tests.factories import make_account, make_contact, make_robot, make_task

LogIn = Callable[[str], Client]
ADD = "admin:campaigns_donotcall_add"
PHONE = "19911110001"


def make_entry(phone: str = PHONE, **fields: Any) -> DoNotCall:
    return barring.bar_number(phone, **{"source": "manual", "reason": "said so"} | fields)


def enter(client: Client, numbers: str, **fields: str) -> Any:
    values = {"numbers": numbers, "account": "all", "reason": "said so", "last_day": ""}
    return client.post(reverse(ADD), values | fields)


def make_list(content: str = "phone\n19911110001\n1.99E+10\n199111100021\n") -> BarListImport:
    one = barlist.receive_list(content.encode(), file_name="六月.csv", reason="list")
    barlist.work_on_list(one.pk)
    one.refresh_from_db()
    return one


def list_bar_pages(world: World) -> dict[str, str]:
    entry, one = make_entry(call=world.call), make_list()
    rule = DoNotCallRule.objects.create(account=world.account, intention="F")
    name = "admin:campaigns_"
    return {
        "list": reverse(f"{name}donotcall_changelist"),
        "entry": reverse(f"{name}donotcall_change", args=[entry.pk]),
        "add": reverse(ADD),
        "bar call": f"{reverse(ADD)}?call={world.call.pk}",
        "bar contact": f"{reverse(ADD)}?contact={world.contact.pk}",
        "lift": reverse(f"{name}donotcall_lift", args=[entry.pk]),
        "rules": reverse(f"{name}donotcallrule_changelist"),
        "rule": reverse(f"{name}donotcallrule_change", args=[rule.pk]),
        "rule add": reverse(f"{name}donotcallrule_add"),
        "lists": reverse(f"{name}barlistimport_changelist"),
        "list page": reverse(f"{name}barlistimport_change", args=[one.pk]),
        "list add": reverse(f"{name}barlistimport_add"),
        "template": reverse(f"{name}barlistimport_template"),
        "undo": reverse(f"{name}barlistimport_undo", args=[one.pk]),
        "rejected": reverse(f"{name}barlistimport_rejected", args=[one.pk]),
    }


# --------------------------------------------------------------------------------------- the pages


def test_every_page_opens_in_both_languages_and_hides_numbers(root: Client, world: World) -> None:
    pages = list_bar_pages(world)
    for language in ("en", "zh-hans"):
        root.cookies["django_language"] = language
        for name, url in pages.items():
            with CaptureQueriesContext(connection) as queries:
                response = root.get(url)
            assert response.status_code == 200, (language, name)
            assert len(queries) <= 25, (name, len(queries))
            text = response.content.decode()
            assert PHONE not in text, name
            assert world.contact.phone not in text, name
            assert "no-store" in response["Cache-Control"], name


def test_the_list_asks_no_more_for_more_rows(root: Client, world: World) -> None:
    url = reverse("admin:campaigns_donotcall_changelist")
    make_entry(call=world.call, by=make_user("operator"))
    root.get(url)
    with CaptureQueriesContext(connection) as few:
        root.get(url)
    for number in range(20):
        account = make_account() if number % 2 else None
        call = make_call(world.running)
        make_entry(f"1992222{number:04d}", account=account, call=call, source="call")
    make_list()
    with CaptureQueriesContext(connection) as many:
        root.get(url)
    assert len(many) <= len(few)


def test_whole_numbers_are_shown_once_and_written_down(root: Client, world: World) -> None:
    entry = make_entry()
    page = reverse("admin:campaigns_donotcall_change", args=[entry.pk])
    root.post(reverse("admin:campaigns_donotcall_reveal", args=[entry.pk]))
    assert PHONE in root.get(page).content.decode()
    assert PHONE not in root.get(page).content.decode()
    root.post(reverse("admin:campaigns_donotcall_reveal_list"))
    assert PHONE in root.get(reverse("admin:campaigns_donotcall_changelist")).content.decode()
    assert LogEntry.objects.filter(change_message="Saw the whole phone number.").count() == 2


@pytest.mark.parametrize("term", [PHONE, "+86 199-1111-0001", "199 1111 0001", "'19911110001"])
def test_a_number_is_found_in_any_form(root: Client, world: World, term: str) -> None:
    entry, other = make_entry(), make_entry("19911110009")
    page = root.get(reverse("admin:campaigns_donotcall_changelist"), {"q": term}).content.decode()
    assert f"/donotcall/{entry.pk}/" in page
    assert f"/donotcall/{other.pk}/" not in page


def test_filters(root: Client, world: World) -> None:
    lasting = make_entry()
    lifted = make_entry("19911110002", account=world.account)
    barring.lift_bar(lifted, by=None, reason="a mistake")
    expired = make_entry("19911110003", source="rule")
    past = timezone.now() - timedelta(minutes=1)
    DoNotCall.objects.filter(pk=expired.pk).update(expires_at=past)
    for query, wanted in {
        "state=now": {lasting.pk},
        "state=expired": {expired.pk},
        "state=lifted": {lifted.pk},
        "of=all": {lasting.pk, expired.pk},
        f"of={world.account.pk}": {lifted.pk},
        "source__exact=rule": {expired.pk},
        "": {lasting.pk, lifted.pk, expired.pk},
    }.items():
        page = root.get(f"{reverse('admin:campaigns_donotcall_changelist')}?{query}")
        shown = {int(one) for one in re.findall(r"/donotcall/(\d+)/", page.content.decode())}
        assert shown == wanted, query


# -------------------------------------------------------------------------------------- forbidding


def test_numbers_are_entered_in_any_writing(root: Client, world: World) -> None:
    day = timezone.localdate() + timedelta(days=3)
    numbers = "+86 199-1111-0001\r\n\r\n 010-12345678\r\n199 1111 0001\r\n+1 212 555 0100"
    response = enter(root, numbers, last_day=day.isoformat())
    assert response.status_code == 302
    entries = {entry.phone: entry for entry in DoNotCall.objects.all()}
    assert set(entries) == {PHONE, "01012345678", "+12125550100"}
    entry = entries[PHONE]
    assert (entry.account, entry.source, entry.reason) == (None, "manual", "said so")
    assert entry.created_by is not None
    assert entry.expires_at is not None
    assert timezone.localtime(entry.expires_at).isoformat()[:19] == f"{day + timedelta(1)}T00:00:00"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"numbers": "19911110001\n110\n1.99E+10"}, "Row 2: Emergency and service numbers"),
        ({"numbers": " \n"}, "required"),
        ({"numbers": "\x00"}, "Null characters"),
        ({"numbers": "\n".join(f"1993333{n:04d}" for n in range(201))}, "More than 200"),
        ({"reason": ""}, "required"),
        ({"reason": "x" * 301}, "at most 300"),
        ({"account": "99999999"}, "Select a valid choice"),
        ({"account": ""}, "required"),
        ({"last_day": "2001-01-01"}, "This day is over"),
        ({"last_day": "9999-12-31"}, "Leave it empty"),
        ({"last_day": "soon"}, "Enter a valid date"),
    ],
)
def test_mistakes_are_told_beside_their_field(
    root: Client, world: World, fields: dict[str, str], sentence: str
) -> None:
    response = enter(root, **{"numbers": PHONE} | fields)
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert not DoNotCall.objects.exists()


def test_a_number_of_several_countries_is_asked_about(root: Client, world: World) -> None:
    make_account(region="US")
    response = enter(root, "13105550123\n19911110001")
    assert "It could be a number of several countries" in response.content.decode()
    assert not DoNotCall.objects.exists()
    enter(root, "1 (380) 213-5555\n+1 310 555 0123\n19911110001")
    phones = set(DoNotCall.objects.values_list("phone", flat=True))
    assert phones == {"+13802135555", "+13105550123", "19911110001"}


def test_a_day_ends_where_the_account_is_or_everywhere(root: Client, world: World) -> None:
    account = make_account(time_zone="Asia/Tokyo")
    make_account(time_zone="Pacific/Pago_Pago")
    enter(root, PHONE, account=str(account.pk), last_day="2099-12-31")
    enter(root, PHONE, last_day="2099-12-31")
    ends = {entry.account: entry.expires_at for entry in DoNotCall.objects.all()}
    assert ends == {
        account: datetime(2100, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
        None: datetime(2100, 1, 1, tzinfo=ZoneInfo("Pacific/Pago_Pago")),
    }


def test_a_day_is_over_where_the_account_is(root: Client, world: World) -> None:
    """The two are 25 hours apart: today in the west is over in the east."""
    east = make_account(time_zone="Pacific/Kiritimati")
    west = make_account(time_zone="Pacific/Pago_Pago")
    day = timezone.localdate(timezone=ZoneInfo("Pacific/Pago_Pago")).isoformat()
    response = enter(root, PHONE, account=str(east.pk), last_day=day)
    assert "This day is over" in response.content.decode()
    enter(root, PHONE, account=str(west.pk), last_day=day)
    assert DoNotCall.objects.get().account == west


def test_a_list_that_came_half_way_says_so_and_can_be_taken_back(
    root: Client, world: World
) -> None:
    one = make_list("phone,until\n19911110001,next month\nnobody,\n")
    page = reverse("admin:campaigns_barlistimport_change", args=[one.pk])
    text = root.get(page).content.decode()
    assert "This is not a day: write it like 2027-12-31. The number is on the list" in text
    BarListImport.objects.filter(pk=one.pk).update(status="failed", reason=barlist.STOPPED)
    text = root.get(page).content.decode()
    assert "are still forbidden" in text
    root.post(
        reverse("admin:campaigns_barlistimport_undo", args=[one.pk]), {"reason": "wrong file"}
    )
    one.refresh_from_db()
    assert one.status == "undone"


def test_numbers_without_a_country_are_of_the_account(root: Client, world: World) -> None:
    jakarta = make_account(region="ID")
    enter(root, "0812-3456-7890", account=str(jakarta.pk))
    assert DoNotCall.objects.get().phone == "+6281234567890"


def test_entering_it_twice_is_one_entry_with_a_history(root: Client, world: World) -> None:
    enter(root, PHONE)
    page = enter(root, PHONE, reason="said it again")
    assert DoNotCall.objects.count() == 1
    assert "said it again" in root.get(page["Location"]).content.decode()


def test_a_call_is_the_source_and_the_button_is_gone_then(log_in: LogIn, world: World) -> None:
    client = log_in("operator")
    page = reverse("admin:campaigns_call_change", args=[world.call.pk])
    link = f"{reverse(ADD)}?call={world.call.pk}"
    assert link in client.get(page).content.decode()
    values = {"account": str(world.account.pk), "reason": "never again", "last_day": ""}
    assert client.post(link, values)["Location"] == page
    entry = DoNotCall.objects.get()
    assert (entry.phone, entry.account, entry.source) == (
        world.contact.phone,
        world.account,
        "call",
    )
    assert (entry.call, entry.reason) == (world.call, "never again")
    for name, row in (("call", world.call), ("contact", world.contact)):
        shown = client.get(reverse(f"admin:campaigns_{name}_change", args=[row.pk]))
        text = shown.content.decode()
        assert "never again" in text, name
        assert f"?{name}=" not in text, name
        assert f"/donotcall/{entry.pk}/" in text, name


def test_a_contact_is_forbidden_for_all_and_told_where_it_went(root: Client, world: World) -> None:
    link = f"{reverse(ADD)}?contact={world.contact.pk}"
    values = {"account": "all", "reason": "x", "last_day": ""}
    page = root.post(link, values, follow=True).content.decode()
    assert "may still call it" in page
    entry = DoNotCall.objects.get()
    assert (entry.phone, entry.account, entry.source) == (world.contact.phone, None, "manual")


def test_a_chinese_number_stays_itself_in_america(root: Client, world: World) -> None:
    """13012345678 is somebody else there."""
    task = make_task(account=make_account(region="US"))
    contact = make_contact(task=task, phone="13012345678")
    link = f"{reverse(ADD)}?contact={contact.pk}"
    root.post(link, {"account": str(task.account_id), "reason": "x", "last_day": ""})
    assert DoNotCall.objects.get().phone == "13012345678"


@pytest.mark.parametrize(
    ("fields", "phone"),
    [
        ({"direction": "inbound", "caller": PHONE, "callee": "055169101407"}, PHONE),
        ({"direction": "outbound", "callee": PHONE}, PHONE),
        ({"direction": "outbound", "callee": "199****0001"}, ""),
        ({"direction": "outbound", "callee": ""}, ""),
        ({"direction": "inbound", "caller": "8001"}, ""),
    ],
)
def test_the_number_of_a_call(
    root: Client, world: World, fields: dict[str, str], phone: str
) -> None:
    call = make_call(world.running, **fields)
    link = f"{reverse(ADD)}?call={call.pk}"
    page = root.get(reverse("admin:campaigns_call_change", args=[call.pk])).content.decode()
    assert (link in page) == bool(phone)
    values = {"account": str(world.account.pk), "reason": "x", "last_day": ""}
    assert root.post(link, values).status_code == 302
    assert [entry.phone for entry in DoNotCall.objects.all()] == ([phone] if phone else [])


def test_another_account_than_that_of_the_call_is_no_choice(root: Client, world: World) -> None:
    other = make_account()
    link = f"{reverse(ADD)}?call={world.call.pk}"
    response = root.post(link, {"account": str(other.pk), "reason": "x", "last_day": ""})
    assert "Select a valid choice" in response.content.decode()
    assert not DoNotCall.objects.exists()


# ---------------------------------------------------------------------------------------- allowing


def test_an_entry_is_lifted_with_a_reason_once(log_in: LogIn, world: World) -> None:
    client, entry = log_in("manager"), make_entry()
    url = reverse("admin:campaigns_donotcall_lift", args=[entry.pk])
    assert client.get(url).status_code == 200
    assert "required" in client.post(url, {"reason": " "}).content.decode()
    entry.refresh_from_db()
    assert entry.lifted_at is None
    page = client.post(url, {"reason": "asked for a call"}, follow=True).content.decode()
    entry.refresh_from_db()
    assert entry.lifted_at is not None
    assert (str(entry.lifted_by), entry.lifted_reason) == ("manager", "asked for a call")
    assert "asked for a call" in page
    assert url not in page
    again = client.post(url, {"reason": "another"}, follow=True).content.decode()
    assert "was lifted already" in again
    entry.refresh_from_db()
    assert entry.lifted_reason == "asked for a call"


def test_who_lifts_is_told_what_still_forbids_the_number(root: Client, world: World) -> None:
    entry = make_entry(account=world.account)
    url = reverse("admin:campaigns_donotcall_lift", args=[entry.pk])
    assert "stays forbidden" not in root.get(url).content.decode()
    make_entry(account=make_account())
    assert "stays forbidden" not in root.get(url).content.decode()
    make_entry()
    assert "It stays forbidden for all accounts" in root.get(url).content.decode()


# ------------------------------------------------------------------------------------------- rights


def test_each_role_does_what_it_may(log_in: LogIn, world: World) -> None:
    pages = list_bar_pages(world)
    operator = {"add", "bar call", "bar contact", "list add", "template", "rejected"}
    manager = {"lift", "undo", "rule add"}
    clients = {role: log_in(role) for role in ("viewer", "operator", "manager")}
    for name, url in pages.items():
        for role, client in clients.items():
            refused = (name in operator and role == "viewer") or (
                name in manager and role != "manager"
            )
            assert client.get(url).status_code == (403 if refused else 200), (role, name)
    for role in ("viewer", "operator"):
        for name in ("lift", "undo"):
            assert clients[role].post(pages[name], {"reason": "x"}).status_code == 403
    assert enter(clients["viewer"], PHONE).status_code == 403
    assert not DoNotCall.objects.exclude(lifted_at=None).exists()
    page = (
        clients["viewer"]
        .get(reverse("admin:campaigns_call_change", args=[world.call.pk]))
        .content.decode()
    )
    assert "?call=" not in page


def test_nobody_changes_or_deletes_an_entry(root: Client, world: World) -> None:
    entry, one = make_entry(), make_list()
    for name, row in (("donotcall", entry), ("barlistimport", one)):
        change = reverse(f"admin:campaigns_{name}_change", args=[row.pk])
        assert root.post(change, {"phone": "19900000009"}).status_code == 405
        delete = reverse(f"admin:campaigns_{name}_delete", args=[row.pk])
        assert root.post(delete, {"post": "yes"}).status_code == 403
    assert DoNotCall.objects.filter(phone=PHONE).exists()


def test_odd_ids_end_in_no_error(root: Client, world: World) -> None:
    root.raise_request_exception = False
    names = ("donotcall_lift", "donotcall_reveal", "barlistimport_undo", "barlistimport_rejected")
    odd = [f"{reverse(ADD)}?{name}={text}" for name in ("call", "contact") for text in ODD_IDS]
    for name in names:
        made = reverse(f"admin:campaigns_{name}", args=["ID"])
        odd += [made.replace("ID", text) for text in ODD_IDS]
    for url in odd:
        for ask in (root.get, root.post):
            point = transaction.savepoint()
            status = ask(url).status_code
            transaction.savepoint_rollback(point)
            assert status < 500, url


# -------------------------------------------------------------------------------------------- rules


def make_rule(client: Client, world: World, **fields: str) -> Any:
    values = {"account": str(world.account.pk), "robot": "", "intention": " F ", "days": "90"}
    values |= {"is_active": "on"}
    return client.post(reverse("admin:campaigns_donotcallrule_add"), values | fields)


def test_a_rule_is_made_and_its_change_is_kept(log_in: LogIn, world: World) -> None:
    client = log_in("manager")
    assert make_rule(client, world).status_code == 302
    rule = DoNotCallRule.objects.get()
    assert (rule.intention, rule.days, rule.everywhere, rule.robot) == ("F", 90, False, None)
    assert Change.objects.get_for_object(rule).count() == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"intention": "f"}, "There is a rule for this intention already."),
        ({"intention": " "}, "required"),
        ({"days": "0"}, "greater than or equal to 1"),
        ({"days": "99999"}, "less than or equal to 3650"),
        ({"account": "x"}, "Select a valid choice"),
    ],
)
def test_a_rule_with_a_mistake_is_refused(
    root: Client, world: World, fields: dict[str, str], sentence: str
) -> None:
    DoNotCallRule.objects.create(account=world.account, intention="F")
    response = make_rule(root, world, **{"intention": "G"} | fields)
    assert sentence in response.content.decode()
    assert DoNotCallRule.objects.count() == 1


def test_a_rule_is_about_robots_of_its_account(root: Client, world: World) -> None:
    robot = make_robot()
    response = make_rule(root, world, robot=str(robot.pk))
    assert "This robot is of another account." in response.content.decode()
    assert make_rule(root, world, robot=str(world.robot.pk)).status_code == 302


def test_a_rule_that_forbade_something_is_not_deleted(root: Client, world: World) -> None:
    idle = DoNotCallRule.objects.create(account=world.account, intention="G")
    used = DoNotCallRule.objects.create(account=world.account, intention="F")
    make_entry(account=world.account, source="rule", rule=used, call=world.call)
    page = root.get(reverse("admin:campaigns_donotcallrule_change", args=[used.pk]))
    assert "It put 1 number on the list." in page.content.decode()
    for rule, status in ((used, 403), (idle, 302)):
        url = reverse("admin:campaigns_donotcallrule_delete", args=[rule.pk])
        assert root.post(url, {"post": "yes"}).status_code == status
    assert list(DoNotCallRule.objects.all()) == [used]


# -------------------------------------------------------------------------------------------- lists


def bring(client: Client, content: bytes, **fields: str) -> Any:
    values = {"account": "all", "reason": "list", "last_day": ""} | fields
    file = SimpleUploadedFile("六月.csv", content, content_type="text/csv")
    return client.post(reverse("admin:campaigns_barlistimport_add"), values | {"file": file})


def test_a_list_is_brought_and_its_page_says_what_came_of_it(log_in: LogIn, world: World) -> None:
    client = log_in("operator")
    response = bring(client, f"{PHONE}\n1.99E+10\n".encode(), account=str(world.account.pk))
    one = BarListImport.objects.get()
    assert response["Location"] == reverse("admin:campaigns_barlistimport_change", args=[one.pk])
    page = client.get(response["Location"]).content.decode()
    assert 'data-active="1"' in page
    barlist.work_on_list(one.pk)
    page = client.get(response["Location"]).content.decode()
    assert 'data-active="0"' in page
    assert '<b id="added">1</b>' in page
    assert "六月.csv" in page
    entries = client.get(
        reverse("admin:campaigns_donotcall_changelist"), {"list_import__id__exact": one.pk}
    )
    assert "199****0001" in entries.content.decode()
    entry = DoNotCall.objects.get()
    assert (entry.account, entry.list_import, entry.source) == (world.account, one, "import")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"name,city\na,b\n", "no column of phone numbers"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_a_file_that_is_no_list_is_refused_on_the_form(
    root: Client, world: World, content: bytes, sentence: str
) -> None:
    response = bring(root, content)
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert not BarListImport.objects.exists()


def test_the_same_file_again_says_so(root: Client, world: World) -> None:
    first, second = make_list(), make_list()
    page = root.get(reverse("admin:campaigns_barlistimport_change", args=[second.pk]))
    assert reverse("admin:campaigns_barlistimport_change", args=[first.pk]) in page.content.decode()


def test_refused_rows_as_a_file_are_masked_by_right(log_in: LogIn, world: World) -> None:
    one = make_list("phone\n1991111000212\n=1+1\n")
    url = reverse("admin:campaigns_barlistimport_rejected", args=[one.pk])
    text = log_in("operator").get(url).content.decode("utf-8-sig")
    assert "1991111000212" not in text
    assert text.splitlines()[1].startswith("2,phone,")
    assert ",'=1+1" in text
    seen = LogEntry.objects.count()
    assert "1991111000212" in log_in("manager").get(url).content.decode()
    assert LogEntry.objects.count() == seen + 1


def test_a_list_is_taken_back_with_a_reason_once(log_in: LogIn, world: World) -> None:
    client, one = log_in("manager"), make_list()
    url = reverse("admin:campaigns_barlistimport_undo", args=[one.pk])
    assert "1 entry" in client.get(url).content.decode()
    assert "required" in client.post(url, {"reason": ""}).content.decode()
    page = client.post(url, {"reason": "the wrong file"}, follow=True).content.decode()
    assert "The list is taken back" in page
    assert 'data-active="1"' in page
    barlist.work_on_list(one.pk)
    assert "the wrong file" in page
    assert DoNotCall.objects.get().lifted_reason == "the wrong file"
    again = client.post(url, {"reason": "again"}, follow=True).content.decode()
    assert "cannot be taken back any more" in again
    changes = StatusChange.objects.filter(subject="barlistimport", subject_id=one.pk)
    assert changes.filter(new="undone").count() == 1
