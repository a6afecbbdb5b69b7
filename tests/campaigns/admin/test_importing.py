"""In: a person with a file. Out: each page of its way, what it says, and who may do what.

Must catch: a step that forgets what the one before chose; a total that is not the sum of its parts;
a whole number on a page; a click that works for whom it should not; an end without a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns import importing
from campaigns.models import Contact, ContactImport, DoNotCall, StatusChange, Task
from tests.campaigns.admin.test_actions import read_messages
from tests.campaigns.admin.world import World, make_user
from tests.factories import make_contact, make_task, walk

HEADER = "客户手机号码,姓名"
#: of six rows two are good, one is a duplicate, and three are refused, two of them for one reason
MIXED = f"""{HEADER},城市
19900100001,张一,合肥
110,赵四,合肥
19900100002,王三,芜湖
19900100001,张一,合肥
1.99E+10,李二,合肥
1.98E+10,钱五,合肥
"""


def upload(
    client: Client, task: Task, text: str | bytes = MIXED, *, name: str = "七月.csv", **more: Any
) -> Any:
    body = text.encode() if isinstance(text, str) else text
    url = reverse("admin:campaigns_task_import", args=[task.pk])
    return client.post(url, {"file": SimpleUploadedFile(name, body)}, **more)


def go(one: ContactImport, step: str = "change") -> str:
    return reverse(f"admin:campaigns_contactimport_{step}", args=[one.pk])


def choose(**other: Any) -> dict[str, Any]:
    """The form of the columns, as it is filled for ``MIXED``."""
    form = {
        "column_0": "客户手机号码",
        "column_1": "姓名",
        "duplicates": "family",
        "duplicate_days": "30",
        "keep_row": "first",
    }
    return form | other


def work(one: ContactImport) -> ContactImport:
    """What the worker does."""
    one.refresh_from_db()
    jobs = {"checking": importing.check_import, "loading": importing.load_import}
    if job := jobs.get(one.status):
        job(one.pk)
    one.refresh_from_db()
    return one


def check(client: Client, task: Task, text: str = MIXED, **choices: Any) -> ContactImport:
    """An import that is checked."""
    upload(client, task, text)
    one = task.imports.latest("pk")
    response = client.post(go(one, "columns"), choose(**choices))
    assert response.status_code == 302, response.context["form"].errors
    return work(one)


def load(client: Client, task: Task, text: str = MIXED) -> ContactImport:
    one = check(client, task, text)
    client.post(go(one, "confirm"))
    return work(one)


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    return str(response.content.decode())


def read_totals(page: str) -> dict[str, int]:
    found = re.findall(r'id="total-(\w+)">([\d,]+)<', page)
    return {name: int(number.replace(",", "")) for name, number in found}


# ------------------------------------------------------------------------------------ the way


def test_the_way_from_a_file_to_contacts(root: Client, world: World) -> None:
    response = upload(root, world.draft)
    one = world.draft.imports.get()
    # every column was found by its name: no riddle, so reading is a line and not a page
    assert response["Location"] == go(one, "columns")
    page = read(root, go(one, "columns"))
    assert "UTF-8" in page
    assert "comma" in page
    assert "same name" in page
    assert "城市" in page
    assert "ignored" in page
    response = root.post(go(one, "columns"), choose(kept=["城市"]))
    assert response["Location"] == go(one)
    assert 'data-status="checking"' in read(root, go(one))
    assert not one.contacts.exists()
    work(one)
    page = read(root, go(one))
    assert read_totals(page) == {"ready": 2, "excluded": 1, "rejected": 3, "rows": 6}
    assert 'data-code="duplicate_file"' in page
    assert "Load 2 contacts" in page
    assert not one.contacts.exists()
    root.post(go(one, "confirm"))
    assert 'data-status="loading"' in read(root, go(one))
    work(one)
    page = read(root, go(one))
    assert 'data-status="done"' in page
    assert read_totals(page) == {"ready": 2, "excluded": 1, "rejected": 3, "rows": 6}
    contacts = reverse("admin:campaigns_contact_changelist") + f"?source__id__exact={one.pk}"
    assert contacts in page
    assert len(re.findall(r"<tr", read(root, contacts))) >= 3
    assert one.contacts.filter(status="ready").count() == 2
    assert one.contacts.first().values["城市"] == "合肥"


def test_refused_rows_are_told_by_what_is_wrong(root: Client, world: World) -> None:
    page = read(root, go(check(root, world.draft)))
    part = page[page.index('id="refused-rows"') :]
    kinds = re.findall(r'<td class="num"><b>(\d+)</b></td><td>([^<]+)</td>', part)
    assert [int(number) for number, _ in kinds] == [2, 1]
    assert "rounded" in kinds[0][1]
    assert "Emergency" in kinds[1][1]
    assert "line 3" in part
    assert "1.99E+10" in part


def test_a_riddle_is_shown_before_the_columns(root: Client, world: World) -> None:
    response = upload(root, world.draft, "电话;名字\n19900100001;张\n")
    one = world.draft.imports.get()
    assert response["Location"] == go(one, "reading")
    page = read(root, go(one, "reading"))
    assert "semicolon" in page
    assert "名字" in page
    page = read(root, go(one, "columns"))
    assert "a usual name" in page
    assert "not found" in page
    response = root.post(go(one, "columns"), choose(column_0="电话", column_1=""))
    assert "The robot needs this column" in response.content.decode()
    root.post(go(one, "columns"), choose(column_0="电话", column_1="名字"))
    root.post(go(work(one), "confirm"))
    assert work(one).loaded == 1


def test_what_was_mapped_is_suggested_the_next_time(root: Client, world: World) -> None:
    text = "电话,名字\n19900100001,张\n"
    upload(root, world.draft, text)
    one = world.draft.imports.get()
    root.post(go(one, "columns"), choose(column_0="电话", column_1="名字"))
    root.post(go(work(one), "confirm"))
    work(one)
    again = make_task(account=world.account, robot=world.robot, name="八月回访")
    response = upload(root, again, text.replace("00001", "00002"))
    two = again.imports.get()
    assert response["Location"] == go(two, "columns")
    assert "as last time" in read(root, go(two, "columns"))


def test_reading_can_be_changed_and_is_refused_with_a_sentence(root: Client, world: World) -> None:
    text = f"七月名单,\n{HEADER}\n19900100001,张\n".encode("gb18030")
    upload(root, world.draft, text)
    one = world.draft.imports.get()
    assert (one.encoding, one.header_line) == ("gb18030", 2)
    form = {"encoding": "utf-8", "delimiter": ",", "header_line": "2"}
    page = root.post(go(one, "reading"), form).content.decode()
    assert 'id="refused"' in page
    one.refresh_from_db()
    assert one.encoding == "gb18030"
    form = {"encoding": "gb18030", "delimiter": ",", "header_line": "1", "step": "next"}
    assert root.post(go(one, "reading"), form)["Location"] == go(one, "columns")
    one.refresh_from_db()
    assert one.header_line == 1
    form["header_line"] = "99"
    assert "99" in root.post(go(one, "reading"), form).content.decode()


def test_an_import_goes_on_where_it_was_left(root: Client, world: World) -> None:
    upload(root, world.draft)
    one = world.draft.imports.get()
    begun = read(root, reverse("admin:campaigns_task_import", args=[world.draft.pk]))
    assert go(one, "columns") in begun
    listed = read(root, reverse("admin:campaigns_contactimport_changelist"))
    assert "Continue" in listed
    root.post(go(one, "columns"), choose(duplicates="days", duplicate_days="14", keep_row="last"))
    work(one)
    page = read(root, go(one, "columns"))
    assert "checked already" in page
    assert re.search(r'value="days"[^>]*checked', page)
    assert 'value="14"' in page
    assert re.search(r'value="last"[^>]*checked', page)


def test_a_change_after_the_check_is_checked_anew(root: Client, world: World) -> None:
    one = check(root, world.draft)
    root.post(go(one, "columns"), choose(keep_row="last"))
    one.refresh_from_db()
    assert one.status == "checking"
    assert "Load" not in read(root, go(one)).split('id="import-status"')[1].split("<form")[0]
    refused = root.post(go(one, "confirm"), follow=True)
    assert "not waiting to be confirmed" in read_messages(refused)
    assert not one.contacts.exists()


def test_a_refused_choice_leaves_the_check_as_it_was(root: Client, world: World) -> None:
    one = check(root, world.draft)
    response = root.post(go(one, "columns"), choose(duplicates="days", duplicate_days=""))
    assert "Say how many days" in response.content.decode()
    one.refresh_from_db()
    assert one.status == "checked"
    two = check(root, world.draft, f"{HEADER},城市,城市\n19900100001,张,合肥,芜湖\n")
    page = root.post(go(two, "columns"), choose(kept=["城市"])).content.decode()
    assert "more than once" in page
    assert "checked already" in page
    two.refresh_from_db()
    assert two.status == "checked"
    assert two.counts["rows"] == 1


def test_check_again_sees_what_came_since(root: Client, world: World) -> None:
    one = check(root, world.draft)
    DoNotCall.objects.create(account=world.account, phone="19900100002")
    root.post(go(one, "again"))
    page = read(root, go(work(one)))
    assert read_totals(page)["ready"] == 1
    assert 'data-code="barred"' in page


def test_every_reason_to_leave_out_has_its_sentence(root: Client, world: World) -> None:
    account = world.account
    account.cap_calls, account.cap_days = 2, 7
    account.save()
    world.draft.recall_count = 1
    world.draft.save()
    make_contact(task=world.draft, phone="19900200002")
    kin = make_task(account=account, robot=world.robot, family=world.draft)
    make_contact(task=kin, phone="19900200003")
    other = make_task(account=account, robot=world.robot, status="running")
    make_contact(task=other, phone="19900200004")
    old = make_contact(task=make_task(account=account), phone="19900200005")
    Contact.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(90))
    DoNotCall.objects.create(phone="19900200006")
    rows = "\n".join(f"1990020000{n},张" for n in (1, 1, 2, 3, 4, 5, 6))
    for scope, found in (
        ("days", {"duplicate_file", "duplicate_task", "duplicate_family", "duplicate_days"}),
        ("account", {"duplicate_task", "duplicate_account"}),
    ):
        one = check(root, world.draft, f"{HEADER}\n{rows}\n", duplicates=scope)
        page = read(root, go(one))
        codes = set(re.findall(r'data-code="(\w+)"', page))
        assert codes >= found | {"barred"}, one.counts
        totals = read_totals(page)
        assert totals["rows"] == sum(totals.values()) - totals["rows"] == 7
    world.draft.recall_count = 2
    world.draft.save()
    page = read(root, go(check(root, world.draft, f"{HEADER}\n19900200009,张\n")))
    assert 'data-code="capped"' in page
    assert "Nobody in this file would be called" in page


def test_the_same_file_again_says_so(root: Client, world: World) -> None:
    one = load(root, world.draft)
    upload(root, world.draft)
    two = world.draft.imports.latest("pk")
    for step in ("reading", "columns", "change"):
        page = read(root, go(two, step))
        assert 'id="same-file"' in page, step
        assert go(one) in page, step
    upload(root, world.draft, MIXED + "19900100009,周,合肥\n")
    assert 'id="same-file"' not in read(root, go(world.draft.imports.latest("pk"), "columns"))


# ----------------------------------------------------------------------------- ends and refusals


@pytest.mark.parametrize(
    "body", [b"", b"PK\x03\x04 no zip", b"%PDF-1.7", b"\n\n\n", b"\x00\x01\x02" * 500]
)
def test_what_is_no_table_is_said_at_once(root: Client, world: World, body: bytes) -> None:
    response = upload(root, world.draft, body)
    assert response.status_code == 200
    assert response.context["form"].errors["file"]
    said = upload(root, world.draft, body, HTTP_X_REQUESTED_WITH="XMLHttpRequest").json()
    assert said["errors"]
    assert not world.draft.imports.exclude(status="failed").exists()


def test_a_script_is_told_where_to_go(root: Client, world: World) -> None:
    said = upload(root, world.draft, HTTP_X_REQUESTED_WITH="XMLHttpRequest").json()
    assert said == {"url": go(world.draft.imports.get(), "columns")}
    Task.objects.filter(pk=world.draft.pk).update(status="running")
    said = upload(root, world.draft, HTTP_X_REQUESTED_WITH="XMLHttpRequest").json()
    assert said == {"url": reverse("admin:campaigns_task_change", args=[world.draft.pk])}


def test_no_file_is_said(root: Client, world: World) -> None:
    url = reverse("admin:campaigns_task_import", args=[world.draft.pk])
    assert "Choose a file first." in root.post(url, {}).content.decode()


def test_given_up_and_gone(root: Client, world: World) -> None:
    one = check(root, world.draft)
    response = root.post(go(one, "cancel"), follow=True)
    assert "given up" in read_messages(response)
    one.refresh_from_db()
    assert (one.status, bool(one.file)) == ("cancelled", False)
    for step in ("reading", "columns"):
        response = root.get(go(one, step), follow=True)
        assert "This import is over" in read_messages(response)
    assert "Another file" in read(root, go(one))


def test_failed_says_why_and_is_tried_again(root: Client, world: World) -> None:
    upload(root, world.draft, f"{HEADER}\n")
    one = world.draft.imports.get()
    root.post(go(one, "columns"), choose())
    with pytest.raises(importing.ImportRefused):
        work(one)
    page = read(root, go(one))
    assert 'id="failed"' in page
    assert "no row below it" in page
    assert "Try again" in page
    assert read(root, go(one, "reading"))
    root.post(go(one, "again"))
    one.refresh_from_db()
    assert one.status == "checking"


def test_a_launched_task_takes_no_more(root: Client, world: World) -> None:
    one = check(root, world.draft)
    Task.objects.filter(pk=world.draft.pk).update(status="running")
    page = read(root, go(one))
    assert "no draft any more" in page
    assert 'id="load-now"' not in page
    assert "only while it is a draft" in read_messages(root.post(go(one, "confirm"), follow=True))
    assert "no draft any more" in read_messages(root.get(go(one, "columns"), follow=True))


def test_a_double_click_loads_once(root: Client, world: World) -> None:
    one = check(root, world.draft)
    root.post(go(one, "confirm"))
    response = root.post(go(one, "confirm"), follow=True)
    assert "not waiting to be confirmed" in read_messages(response)
    work(one)
    assert one.contacts.count() == 3


# ------------------------------------------------------------------------------------------ undo


def test_a_draft_s_import_is_taken_back_whole(root: Client, world: World) -> None:
    one = load(root, world.draft)
    page = read(root, go(one, "undo"))
    assert "3 contacts are removed" in page
    assert "Nobody was called" in page
    assert one.contacts.count() == 3
    response = root.post(go(one, "undo"), follow=True)
    assert "3 contacts were removed" in read_messages(response)
    assert 'data-status="undone"' in response.content.decode()
    assert not Contact.objects.filter(source=one).exists()
    response = root.post(go(one, "undo"), follow=True)
    assert "Only an import that is done" in read_messages(response)


def test_a_launched_import_says_for_whom_it_is_too_late(root: Client, world: World) -> None:
    rows = "\n".join(f"1990030000{n},张" for n in range(5))
    one = load(root, world.draft, f"{HEADER}\n{rows}\n")
    Task.objects.filter(pk=world.draft.pk).update(status="running")
    ids = list(one.contacts.values_list("pk", flat=True))
    walk(Contact.objects.filter(pk__in=ids[:3]), "planned", "sending", "accepted")
    Contact.objects.filter(pk=ids[2]).update(status="finished")
    page = read(root, go(one, "undo"))
    assert "2 contacts can still be held back" in page
    assert "too late" in page
    listed = [unescape(url) for url in re.findall(r'href="([^"]+status__exact=[a-z]+)"', page)]
    ours = [url for url in listed if f"source__id__exact={one.pk}" in url]
    assert len(ours) == 2, "which ones, by their state"
    names = ["****0000", "****0001"]
    assert all(name in read(root, ours[0]) for name in names)
    response = root.post(go(one, "undo"), follow=True)
    assert 'id="told"' in response.content.decode()
    text = read_messages(response)
    assert "2 contacts were withdrawn" in text
    assert "too late for 3 contacts" in text
    assert "2 accepted" in text
    assert "1 finished" in text


# ---------------------------------------------------------------------------- numbers and rights


def test_numbers_are_masked_until_one_look_is_asked_for(
    log_in: Callable[[str], Client], world: World
) -> None:
    operator, manager = log_in("operator"), log_in("manager")
    text = MIXED + "199001000077,孙,合肥\n"
    one = check(operator, world.draft, text)
    numbers = ("19900100001", "19900100002", "199001000077")
    for client in (operator, manager):
        for step in ("reading", "columns", "change"):
            page = read(client, go(one, step))
            assert [number for number in numbers if number in page] == [], step
        page = client.post(go(one, "preview"), choose()).content.decode()
        assert [number for number in numbers if number in page] == []
    assert "199****0001" in read(operator, go(one, "columns"))
    assert operator.post(go(one, "reveal")).status_code == 403
    for step in ("reading", "columns"):
        before = LogEntry.objects.count()
        response = manager.post(go(one, "reveal"), {"step": step}, follow=True)
        assert "19900100001" in response.content.decode(), step
        assert LogEntry.objects.count() == before + 1
        assert "19900100001" not in read(manager, go(one, step)), step


def test_a_number_in_the_name_of_a_column_is_masked_and_can_be_chosen(
    log_in: Callable[[str], Client], world: World
) -> None:
    operator, manager = log_in("operator"), log_in("manager")
    text = "号码(如19900100077),备注19900100078,备注19900200078\n19900100001,张,a\n"
    upload(operator, world.draft, text)
    one = world.draft.imports.get()
    numbers = ("19900100077", "19900100078", "19900200078")
    shown = ["号码(如199****0077)", "备注199****0078", "备注199****0078'"]
    form = choose(column_0=shown[0], column_1=shown[1], kept=[shown[2]])

    def see(page: str) -> None:
        assert [number for number in numbers if number in page] == []

    page = read(operator, go(one, "columns"))
    see(page)
    assert [name for name in shown[:2] if name not in page] == []
    see(operator.post(go(one, "preview"), form).content.decode())
    assert operator.post(go(one, "columns"), form).status_code == 302
    one = work(one)
    assert one.mapping == {"客户手机号码": one.header[0], "姓名": one.header[1]}
    assert one.kept == [one.header[2]]
    for client in (operator, manager):
        for step in ("reading", "columns", "change"):
            see(read(client, go(one, step)))


def test_a_contact_is_not_read_as_a_line_of_names(root: Client, world: World) -> None:
    upload(root, world.draft)
    one = world.draft.imports.get()
    form = {"encoding": "utf-8", "delimiter": ",", "header_line": "2", "step": "next"}
    page = root.post(go(one, "reading"), form).content.decode()
    assert "a number to call in line 2" in page
    assert "19900100001" not in page


def test_who_may_look_sees_the_report_and_changes_nothing(
    log_in: Callable[[str], Client], world: World, root: Client
) -> None:
    one = check(log_in("operator"), world.draft)
    viewer = log_in("viewer")
    page = read(viewer, go(one))
    assert read_totals(page)["rows"] == 6
    assert 'id="load-now"' not in page
    assert 'id="rejected-csv"' not in page
    read(viewer, go(one, "live"))
    for step in ("reading", "columns", "undo"):
        assert viewer.get(go(one, step)).status_code == 403, step
    for step in ("reading", "columns", "preview", "confirm", "again", "cancel", "undo", "reveal"):
        assert viewer.post(go(one, step)).status_code == 403, step
    assert viewer.get(go(one, "rejected")).status_code == 403
    for url in (
        reverse("admin:campaigns_contactimport_changelist"),
        reverse("admin:campaigns_task_change", args=[world.draft.pk]),
    ):
        assert "Continue" in read(root, url), url
        assert go(one) in read(viewer, url), url
        assert "Continue" not in read(viewer, url), url
    one.refresh_from_db()
    assert one.status == "checked"
    assert viewer.get(reverse("admin:campaigns_contactimport_add")).status_code == 403


def test_what_changes_something_is_posted(root: Client, world: World) -> None:
    one = check(root, world.draft)
    for step in ("preview", "confirm", "again", "cancel", "reveal"):
        assert root.get(go(one, step)).status_code == 405, step
    assert root.post(go(one)).status_code == 405


# -------------------------------------------------------------------------------------- the rest


def test_the_preview_follows_the_choices(root: Client, world: World) -> None:
    upload(root, world.draft)
    one = world.draft.imports.get()
    page = root.post(go(one, "preview"), choose(column_1="城市")).content.decode()
    rows = page[page.index('id="preview"') :]
    assert "合肥" in rows
    assert "张一" not in rows
    assert "rounded" in rows
    page = root.post(go(one, "preview"), choose(column_1="")).content.decode()
    assert "Choose a column of the file" in page[page.index('id="preview"') :]
    page = root.post(go(one, "preview"), choose(column_1="客户手机号码")).content.decode()
    assert "chosen more than once" in page
    one.refresh_from_db()
    assert one.mapping == {"客户手机号码": "客户手机号码", "姓名": "姓名"}


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_template_is_filled_and_comes_back(root: Client, world: World, kind: str) -> None:
    url = reverse("admin:campaigns_task_template", args=[world.draft.pk, kind])
    assert url in read(root, reverse("admin:campaigns_task_import", args=[world.draft.pk]))
    response = root.get(url)
    assert response["Content-Disposition"].startswith("attachment")
    upload(root, world.draft, response.content, name=f"template.{kind}")
    one = world.draft.imports.get()
    assert one.kind == {"csv": "text", "xlsx": "xlsx"}[kind]
    assert one.mapping == {"客户手机号码": "客户手机号码", "姓名": "姓名"}
    page = read(root, go(one, "reading"))
    assert ("id_sheet" in page) == (kind == "xlsx")
    assert ("id_encoding" in page) == (kind == "csv")
    odd = reverse("admin:campaigns_task_template", args=[world.draft.pk, "exe"])
    assert root.get(odd).status_code == 404


def test_a_stalled_job_is_said(root: Client, world: World) -> None:
    upload(root, world.draft)
    one = world.draft.imports.get()
    root.post(go(one, "columns"), choose())
    assert "No sign of life" not in read(root, go(one))
    long_ago = timezone.now() - timedelta(minutes=5)
    StatusChange.objects.filter(subject="contactimport").update(at=long_ago)
    ContactImport.objects.update(progress_at=long_ago, progress=50, progress_end=200)
    page = read(root, go(one, "live"))
    assert "No sign of life" in page
    assert "25 %" in page


def test_the_list_has_its_columns_and_filters(root: Client, world: World) -> None:
    one = load(root, world.draft)
    url = reverse("admin:campaigns_contactimport_changelist")
    page = read(root, url)
    assert "七月.csv" in page
    assert "contacts.csv" in page
    assert go(one) in page
    mine = read(root, f"{url}?open=mine")
    assert "七月.csv" not in mine
    upload(root, world.draft)
    assert "七月.csv" in read(root, f"{url}?open=mine")
    other = Client()
    other.force_login(make_user("operator"))
    assert "七月.csv" not in read(other, f"{url}?open=mine")
    assert "七月.csv" in read(other, f"{url}?open=all")
    assert "七月回访" in read(root, reverse("admin:campaigns_contactimport_add"))


def test_odd_forms_end_in_a_sentence(root: Client, world: World) -> None:
    root.raise_request_exception = False
    upload(root, world.draft)
    one = world.draft.imports.get()
    for odd in ("\0", "9" * 5000, "-1", "<script>", "x" * 10_000, "1e400"):
        forms = [choose(**{name: odd}) for name in choose()] + [choose(kept=[odd])]
        for step in ("columns", "preview"):
            for form in forms:
                assert root.post(go(one, step), form).status_code < 500, (step, odd[:10])
                ContactImport.objects.filter(pk=one.pk).update(status="uploaded")
        for name in ("encoding", "delimiter", "header_line", "sheet", "step"):
            form = {"encoding": "utf-8", "delimiter": ",", "header_line": "1"} | {name: odd}
            assert root.post(go(one, "reading"), form).status_code < 500, (name, odd[:10])
        assert root.post(go(one, "reveal"), {"step": odd}).status_code < 500
