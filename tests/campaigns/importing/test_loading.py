"""In: files as operators bring them. Out: contacts, and a sentence for everything that is none."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from django.utils import translation

from campaigns.importing import ImportRefused, csv_of_rejected, import_file, make_report
from campaigns.models import Contact, ContactImport, StagedRow, StatusChange, Task
from tests.factories import make_contact, make_robot, make_task

pytestmark = pytest.mark.django_db

HEADER = "客户手机号码,姓名\n"


def load(text: str | bytes, *, task: Task | None = None, **options: Any) -> ContactImport:
    content = text.encode() if isinstance(text, str) else text
    options.setdefault("file_name", "contacts.csv")
    return import_file(task or make_task(), content, **options)


def show_rejected(contact_import: ContactImport) -> list[tuple[int, str, str]]:
    rows = contact_import.rejected_rows.order_by("line")
    return list(rows.values_list("line", "column", "code"))


def refuse(text: str | bytes, *, task: Task | None = None, **options: Any) -> str:
    """The sentence with which the whole file is refused; nothing may be left of it."""
    task = task or make_task()
    before = Contact.objects.count()
    with pytest.raises(ImportRefused) as refused:
        load(text, task=task, **options)
    assert Contact.objects.count() == before
    row = ContactImport.objects.get(task=task)
    assert row.status == "failed"
    assert row.reason_text == str(refused.value)
    with translation.override("zh-hans"):
        assert row.reason_text == str(refused.value) != row.reason
    assert (row.loaded, row.excluded, row.rejected) == (0, 0, 0)
    return str(refused.value)


def test_loads_rows_under_the_robots_columns() -> None:
    task = make_task()
    result = load(HEADER + "19900000001,张先生\n+86 199-0000-0002,王女士\n", task=task)
    assert (result.status, result.loaded, result.excluded, result.rejected) == ("done", 2, 0, 0)
    first, second = task.contacts.order_by("id")
    assert (first.phone, first.phone_raw, first.line_number) == ("19900000001", "19900000001", 2)
    assert first.values == {"客户手机号码": "19900000001", "姓名": "张先生"}
    assert (second.phone, second.phone_raw) == ("19900000002", "+86 199-0000-0002")
    assert second.values == {"客户手机号码": "19900000002", "姓名": "王女士"}
    for contact in (first, second):
        assert (contact.status, contact.reason, contact.source) == ("ready", "", result)
        assert (contact.account_id, contact.family_id, contact.round) == (
            task.account_id,
            task.id,
            1,
        )
    changes = StatusChange.objects.filter(subject="contactimport", subject_id=result.id)
    assert list(changes.order_by("id").values_list("old", "new")) == [
        ("uploaded", "checking"),
        ("checking", "checked"),
        ("checked", "loading"),
        ("loading", "done"),
    ]
    assert not StagedRow.objects.exists()


def test_bad_rows_come_back_with_line_column_and_reason_and_good_ones_load() -> None:
    result = load(
        HEADER + "19900000001,a\n"  # 2
        "1.99E+10,b\n"  # 3
        "19900000001.0,c\n"  # 4
        "\n"
        '"19900000\n002",d\n'  # 6 and 7
        "110,e\n"  # 8
        "19900000003\n"  # 9
        "19900000003,f,more\n"  # 10
        ",g\n"  # 11
        "19900000004,h,\n"  # 12: the empty cell that spreadsheets add
        f"19900000005,{'x' * 200_000}\n"  # 13
        "19900000006,i\0j\n"  # 14
        "19900000007,k\n"  # 15
    )
    assert (result.loaded, result.excluded, result.rejected) == (4, 0, 8)
    assert show_rejected(result) == [
        (3, "客户手机号码", "phone"),
        (4, "客户手机号码", "phone"),
        (8, "客户手机号码", "phone"),
        (9, "", "too_few_cells"),
        (10, "", "too_many_cells"),
        (11, "客户手机号码", "phone"),
        (13, "姓名", "cell_too_long"),
        (14, "姓名", "zero_character"),
    ]
    assert "1.99E+10" in result.first_rejected[0].reason_text
    assert list(result.task.contacts.values_list("line_number", flat=True).order_by("id")) == [
        2,
        6,
        12,
        15,
    ]
    report = make_report(result)
    assert report["rejected_rows"][3] == {
        "line": 9,
        "column": "",
        "reason": "The row has fewer cells than the header has columns.",
    }
    assert {name: report[name] for name in ("loaded", "excluded", "rejected")} == {
        "loaded": 4,
        "excluded": 0,
        "rejected": 8,
    }


def test_an_unclosed_quote_costs_its_row_only() -> None:
    result = load(
        HEADER + '19900000001,"a\n19900000002,b\n"19900000003","c, d"\n19900000004,"e"f\n'
        '19900000005,"g\n19900000006,h\n'
    )
    assert show_rejected(result) == [
        (2, "", "unclosed_quote"),
        (5, "", "text_after_quote"),
        (6, "", "unclosed_quote"),
    ]
    assert list(result.task.contacts.values_list("phone", flat=True).order_by("id")) == [
        "19900000002",
        "19900000003",
        "19900000006",
    ]


def test_duplicates_are_contacts_with_a_reason() -> None:
    task = make_task()
    first = load(HEADER + "19900000001,a\n0086 19900000001,b\n19900000002,c\n", task=task)
    assert (first.loaded, first.excluded) == (2, 1)
    again = load(HEADER + "19900000003,d\n１９９００００００02,e\n19900000002,f\n", task=task)
    assert (again.loaded, again.excluded) == (1, 2)
    rows = task.contacts.order_by("id").values_list("line_number", "phone", "status", "reason")
    here, before = "The task has this number already.", "stands in line %(line)s"
    found = [(*row[:3], before if before in row[3] else row[3]) for row in rows]
    assert found == [
        (2, "19900000001", "ready", ""),
        (3, "19900000001", "excluded", before),
        (4, "19900000002", "ready", ""),
        (2, "19900000003", "ready", ""),
        (3, "19900000002", "excluded", here),
        (4, "19900000002", "excluded", before),
    ]
    excluded = task.contacts.filter(status="excluded").order_by("id")
    assert excluded[0].reason_text == "The number stands in line 2 of the file already."


def test_a_number_of_another_task_counts_only_within_family_and_round() -> None:
    first = make_task()
    make_contact(task=first, phone="19900000001", status="finished")
    make_contact(phone="19900000002")
    sister = make_task(account=first.account, robot=first.robot, family=first)
    content = HEADER + "19900000001,a\n19900000002,b\n"
    result = load(content, task=sister)
    assert (result.loaded, result.excluded) == (1, 1)
    excluded = sister.contacts.get(status="excluded")
    assert excluded.reason == "Another task of the same family calls this number already."
    next_round = make_task(account=first.account, robot=first.robot, family=first, round=2)
    assert load(content, task=next_round).loaded == 2


def test_a_contact_that_nobody_will_call_does_not_stand_in_the_way() -> None:
    task = make_task()
    make_contact(task=task, phone="19900000001", status="withdrawn")
    assert load(HEADER + "19900000001,a\n", task=task).loaded == 1


@pytest.mark.parametrize("status", ["loading", "running", "finished", "deleted"])
def test_only_a_draft_takes_contacts(status: str) -> None:
    task = make_task(status=status)
    with pytest.raises(ImportRefused, match="while it is a draft"):
        load(HEADER + "19900000001,a\n", task=task)
    assert not task.contacts.exists()


def test_a_launch_during_the_import_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task()
    stale = Task.objects.get(pk=task.pk)
    Task.objects.filter(pk=task.pk).update(status="loading")
    assert "draft" in refuse(HEADER + "19900000001,a\n", task=stale)


def test_headers_are_found_by_what_a_person_reads() -> None:
    robot = make_robot(columns=["phone", "Name", "城市"])
    result = load(
        "\ufeff名单,,,\n 城市 ,备注,\u200bＮＡＭＥ,Phone\u00a0\n北京,x,张,19900000001\n",
        task=make_task(robot=robot),
    )
    contact = result.task.contacts.get()
    assert contact.values == {"phone": "19900000001", "Name": "张", "城市": "北京"}
    assert contact.line_number == 3
    assert result.mapping == {"phone": "Phone", "Name": "ＮＡＭＥ", "城市": "城市"}


def test_a_mapping_names_other_headers() -> None:
    task = make_task()
    content = "tel,who\n19900000001,张\n"
    assert "“客户手机号码”, “姓名”" in refuse(content, task=make_task())
    result = load(content, task=task, mapping={"客户手机号码": "tel", "姓名": "WHO"})
    assert task.contacts.get().values["姓名"] == "张"
    assert result.mapping == {"客户手机号码": "tel", "姓名": "who"}
    assert "“nobody”" in refuse(content, mapping={"客户手机号码": "tel", "姓名": "nobody"})
    assert "“age”" in refuse(content, mapping={"age": "who"})


def test_headers_that_cannot_be_used() -> None:
    assert "lacks the column “姓名”" in refuse("客户手机号码,名\n19900000001,a\n")
    doubled = refuse("客户手机号码,姓名, 姓名\n19900000001,a,b\n")
    assert "“姓名” more than once" in doubled
    assert "no row below it" in refuse(HEADER)
    assert "no row below it" in refuse(HEADER + "\n,,\n   \n")
    wide = ",".join(["客户手机号码", "姓名", *(f"c{number}" for number in range(10_000))])
    assert "10002 columns" in refuse(wide + "\n")
    assert "cannot be read" in refuse('客户手机号码,"姓名\n19900000001,a\n')
    assert "synchronise" in refuse(HEADER, task=make_task(robot=make_robot(columns=[])))


def test_headers_with_characters_that_no_database_holds() -> None:
    assert "“ab”" in refuse("客户手机号码,a\0b\n19900000001,x\n")
    assert "lacks" in refuse(HEADER, mapping={"姓名": "a\0\ud800"})
    result = load("客户手机号码,姓\0名\n19900000001,x\n", file_name="C:\\lists\\a\0\ud800.csv")
    assert (result.loaded, result.file_name) == (1, "a?.csv")
    assert result.mapping["姓名"] == "姓名"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "no row with text"),
        (b"PK\x03\x04\x14\x00[Content_Types].xml", "damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, "damaged"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"\x1f\x8b\x08\0", "compressed"),
        (b"\xef\xbb\xbf <!DOCTYPE html><table>", "web page"),
        (b'[{"phone": "19900000001"}]', "JSON"),
        (bytes(range(256)) * 20, "not a text file"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
    ],
)
def test_a_file_that_is_something_else_is_named(content: bytes, words: str) -> None:
    assert words in refuse(content)


def test_text_in_no_encoding_is_refused_with_its_line() -> None:
    content = b"phone,name\n19900000001,a\n19900000002,\xff\xff\xff\n"
    assert "line 3" in refuse(content)


def test_a_damaged_character_costs_its_row_only() -> None:
    rows = "".join(f"1990000{number:04d},张先生\n" for number in range(50))
    content = (HEADER + rows).encode().replace("0007,张".encode(), b"0007,\xe5\xbc")
    result = load(content)
    assert result.loaded == 49
    assert show_rejected(result) == [(9, "姓名", "unreadable_text")]


def test_a_file_over_the_limit_is_refused(settings: Any) -> None:
    settings.IMPORT_MAX_BYTES = 3_000_000
    assert "3 MB" in refuse(HEADER + "19900000001,a\n" * 300_000)


def test_formulas_are_kept_as_text_and_come_back_harmless() -> None:
    task = make_task()
    result = load(HEADER + '19900000001,=1+1\n=cmd|x,"a, b"\n@sum,張\n-5,c\n', task=task)
    assert task.contacts.get().values["姓名"] == "=1+1"
    lines = "".join(csv_of_rejected(result, masked=False)).splitlines()
    assert lines[0] == "\ufeffline,column,reason,value"
    assert [line.rsplit(",", 1)[1] for line in lines[1:]] == ["'=cmd|x", "'@sum", "'-5"]


def test_every_rejected_row_is_kept_and_the_report_lists_the_first() -> None:
    result = load(HEADER + "110,a\n" * 4_500)
    assert (result.rejected, result.rejected_rows.count()) == (4_500, 4_500)
    report = make_report(result)
    assert (report["rejected"], len(report["rejected_rows"])) == (4_500, 1_000)
    assert report["counts"]["invalid"] == {"phone": 4_500}
    lines = list(csv.reader("".join(csv_of_rejected(result, masked=False)).splitlines()))
    assert [int(cells[0]) for cells in lines[1:]] == list(range(2, 4_502))


def test_rejected_rows_are_masked_for_who_may_not_see_numbers() -> None:
    result = load(HEADER + "199000000012,张先生\n19900000001 ext 7,b\n")
    whole = "".join(csv_of_rejected(result, masked=False))
    masked = "".join(csv_of_rejected(result, masked=True))
    assert "199000000012" in whole and "19900000001" in whole
    assert "0000000" not in masked
    assert [line[:4] for line in masked.splitlines()[1:]] == ["2,客户", "3,客户"]


def test_an_empty_value_is_kept() -> None:
    task = make_task()
    load(HEADER + "19900000001,\n", task=task)
    assert task.contacts.get().values["姓名"] == ""


def test_odd_characters_reach_the_database_unchanged() -> None:
    task = make_task()
    value = 'tab\there \\N \\. "quoted" \n 𠮷\x01 {}%s'
    load(HEADER + '19900000001,"{}"\n'.format(value.replace('"', '""')), task=task)
    assert task.contacts.get().values["姓名"] == value
