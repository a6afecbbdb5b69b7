"""In: a person at a browser with a file of contacts. Out: contacts, with a real worker and server.

The file has one of every mistake, then 100,000 rows; in English and in Chinese. Must catch: a step
that needs a reload, a total that does not add up, a sentence nobody translated, a script that our
own policy refuses, a page that is broken without scripts.

``SCREENSHOTS=folder`` keeps a picture of every step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from campaigns.models import Contact, ContactImport, DoNotCall, Task
from tests.browser.pages import PASSWORD, log_in, look_up, open_page, take
from tests.factories import make_account, make_contact, make_robot, make_task
from tests.processes import find_free_port, run_web, run_worker

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
COLUMNS = ["客户手机号码", "姓名", "产品"]
MANY = 100_000

#: (cells below the header, what becomes of the row)
ROWS = [
    ("19900000101,张一,理财", "ready"),
    ("+86 199-0000-0102,王二,理财", "ready"),
    ("１９９０００００103,李三,保险", "ready"),
    ("'19900000104,赵四,保险", "ready"),
    ('="19900000105",钱五,保险', "ready"),
    ('"010-1234\n5678",孙六,理财', "ready"),
    ("19900000101,张一,理财", "duplicate_file"),
    ("19900000001,周七,理财", "duplicate_task"),
    ("19900000002,吴八,理财", "duplicate_family"),
    ("19900000003,郑九,理财", "duplicate_days"),
    ("19900000004,冯十,理财", "barred"),
    ("1.99E+10,陈,理财", "rejected"),
    ("19900000006.0,褚,理财", "rejected"),
    ("199****0007,卫,理财", "rejected"),
    (",蒋,理财", "rejected"),
    ("110,沈,理财", "rejected"),
    ("10086,韩,理财", "rejected"),
    ("12345678,杨,理财", "rejected"),
    ("1990000000899,朱,理财", "rejected"),
    ("谁知道,秦,理财", "rejected"),
    ("19900000109,尤", "rejected"),
    ("19900000110,许,理财,多一格,再多一格", "rejected"),
    (f"19900000111,何,{'长' * 2001}", "rejected"),
    ("19900000112,吕\0,理财", "rejected"),
    ('19900000113,"施"先生,理财', "rejected"),
    ("19900000114,张\ufffd,理财", "rejected"),
    ('19900000115,"孔,理财', "rejected"),
]


@dataclass
class House:
    """What is running: its address, and the draft that waits for contacts."""

    address: str
    draft: Task


@pytest.fixture
def house(settings: Any, tmp_path: Path, chromium_path: str) -> Iterator[House]:
    """Web server, worker, a user; a draft whose account knows some of the file's numbers."""
    port = find_free_port()
    settings.MEDIA_ROOT = tmp_path / "media"
    get_user_model().objects.create_superuser("boss", password=PASSWORD)
    account = make_account(name="讯飞外呼", is_sandbox=True, cap_calls=30)
    robot = make_robot(account=account, name="理财回访", columns=COLUMNS)
    draft = make_task(account=account, robot=robot, name="八月回访")
    make_contact(task=draft, phone="19900000001")
    make_contact(task=make_task(account=account, robot=robot, family=draft), phone="19900000002")
    make_contact(task=make_task(account=account, robot=robot), phone="19900000003")
    DoNotCall.objects.create(phone="19900000004", reason="asked us not to")
    environment = {
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
    }
    with run_web(port, **environment) as address, run_worker(**environment):
        yield House(address, draft)


def read_totals(page: Any) -> dict[str, int]:
    return {
        name: int(page.locator(f"#total-{name}").inner_text().replace(",", ""))
        for name in ("ready", "excluded", "rejected", "rows")
    }


def write_file(folder: Path, *, encoding: str = "gb18030") -> Path:
    """One of every mistake, as a Chinese Excel leaves it: a title above, GB18030."""
    file = folder / "八月名单.csv"
    lines = ["八月回访名单,,,", ",".join(["电话", "客户姓名", "产品", "城市"])]
    lines += [f"{cells},合肥" if cells.count(",") == 2 else cells for cells, _ in ROWS]
    text = "\r\n".join(lines) + "\r\n"
    file.write_bytes(text.encode(encoding, errors="replace").replace(b"\x84\x31\xa4\x37", b"\xff"))
    return file


def write_many(folder: Path) -> Path:
    file = folder / "hundred-thousand.csv"
    with file.open("w", encoding="utf-8") as stream:
        stream.write(",".join(COLUMNS) + "\n")
        for number in range(MANY):
            # every hundredth is a number of an earlier row, every thousandth is none at all
            phone = f"199{(number // 100 * 100 if number % 100 == 1 else number):08d}"
            stream.write(f"{'110' if number % 1000 == 999 else phone},张{number},理财\n")
    return file


def count_rows(outcome: str) -> int:
    return sum(found == outcome for _, found in ROWS)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_file_with_every_mistake(
    house: House, browser: Any, tmp_path: Path, language: str
) -> None:
    with open_page(browser, language) as page:
        log_in(page, house.address)
        walk(
            page, house, write_file(tmp_path), lambda name: take(page, f"import-{name}-{language}")
        )
    contacts = Contact.objects.filter(source__isnull=False, status="ready")
    good = look_up(lambda: list(contacts.order_by("line_number")))
    assert [contact.phone for contact in good] == [
        *(f"1990000010{n}" for n in range(1, 6)),
        "01012345678",
    ]
    assert good[0].values == {
        "客户手机号码": "19900000101",
        "姓名": "张一",
        "产品": "理财",
        "城市": "合肥",
    }


def walk(page: Any, house: House, file: Path, picture: Callable[[str], None]) -> None:
    """Through every step with the file of mistakes, and back again."""
    admin = f"{house.address}/admin"
    # the file
    page.goto(f"{admin}/campaigns/task/{house.draft.pk}/change/")
    page.click('a[href$="/import/"] >> nth=0')
    picture("1-file")
    page.set_input_files("#id_file", files=[file])
    assert file.name in page.locator(".cb-drop").inner_text()
    page.click("#import-now")

    # how it is read: what is found is shown, another encoding is seen at once, the header is
    # chosen by a click
    page.wait_for_selector("#first-rows")
    assert page.locator("#id_encoding").input_value() == "gb18030"
    assert page.locator("#id_header_line").input_value() == "2"
    assert "客户姓名" in page.locator("#first-rows tr.header").inner_text()
    picture("2-reading")
    page.click('#first-rows tr[data-line="1"]')
    assert page.locator("#id_header_line").input_value() == "1"
    page.click('#first-rows tr[data-line="2"]')
    page.select_option("#id_encoding", "cp950")
    page.wait_for_selector('#first-rows tr.header:not(:has-text("客户姓名"))')
    page.select_option("#id_encoding", "utf-8")
    page.wait_for_selector("#refused")
    assert page.locator("#refused").inner_text().strip()
    page.select_option("#id_encoding", "gb18030")
    page.wait_for_selector("#refused", state="detached")
    page.click("#reading-next")

    # its columns: the preview follows, what is missing is said
    page.wait_for_selector("#columns-form")
    assert page.locator("#id_column_0").input_value() == "电话"
    assert page.locator("#id_column_1").input_value() == ""
    assert page.locator("#preview tbody tr").count() == 0
    page.click("#check-now")
    page.wait_for_selector(".cb-mapping tr.errors")
    page.select_option("#id_column_1", "客户姓名")
    page.wait_for_selector("#preview tbody tr")
    assert "张一" in page.locator("#preview").inner_text()
    assert "199****0101" in page.locator("#preview").inner_text()
    page.check('#others input[value="城市"]')
    page.wait_for_selector('#preview th:has-text("城市")')
    page.check('#scope input[value="days"]')
    page.fill("#id_duplicate_days", "30")
    picture("3-columns")
    page.click("#check-now")

    # the check goes on by itself; whoever leaves finds it again
    page.wait_for_selector('#import-status[data-status="checked"]', timeout=60_000)
    totals = read_totals(page)
    excluded = sum(count_rows(code) for _, code in ROWS if code not in ("ready", "rejected"))
    assert totals["rejected"] >= count_rows("rejected")
    assert totals["ready"] == count_rows("ready")
    assert totals["excluded"] == excluded
    assert totals["rows"] == totals["ready"] + totals["excluded"] + totals["rejected"]
    for code in ("duplicate_file", "duplicate_task", "duplicate_family", "duplicate_days"):
        assert page.locator(f'[data-code="{code}"] b').inner_text() == "1", code
    assert page.locator('[data-code="barred"] b').inner_text() == "1"
    assert page.locator("#refused-rows tbody tr").count() >= 10
    picture("4-report")
    page.goto(f"{admin}/campaigns/contactimport/")
    picture("7-list")
    page.click("#result_list tbody tr a >> nth=0")
    page.wait_for_selector('#import-status[data-status="checked"]')

    # the refused rows
    with page.expect_download() as download:
        page.click("#rejected-csv")
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert "1.99E+10" in text
    assert len(text.splitlines()) > count_rows("rejected")

    # load, then take it back, then load it again: the same file says so
    page.evaluate("window.sameLoad = true")
    page.click("#load-now")
    page.wait_for_selector('#import-status[data-status="done"]', timeout=60_000)
    assert read_totals(page) == totals
    picture("5-done")
    page.click("#to-contacts")
    page.wait_for_selector("#result_list")
    page.go_back()
    page.click("#undo")
    page.wait_for_selector("#undo-what")
    picture("6-undo")
    page.click('a[href$="/change/"].cb-button')
    page.wait_for_selector('#import-status[data-status="done"]')


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_hundred_thousand_rows(house: House, browser: Any, tmp_path: Path, language: str) -> None:
    begun = timezone.now()
    with open_page(browser, language) as page:
        log_in(page, house.address)
        page.goto(f"{house.address}/admin/campaigns/task/{house.draft.pk}/import/")
        page.set_input_files("#id_file", files=[write_many(tmp_path)])
        page.click("#import-now")
        page.wait_for_selector("#columns-form")
        page.click("#check-now")
        page.wait_for_selector("#import-status")
        take(page, f"import-many-check-{language}")
        page.wait_for_selector('#import-status[data-status="checked"]', timeout=60_000)
        totals = read_totals(page)
        assert totals["rows"] == MANY
        assert totals["rejected"] == MANY // 1000
        # one of its numbers is called by the family, one is on the do-not-call list
        assert totals["excluded"] == MANY // 100 + 2
        page.click("#load-now")
        page.wait_for_selector('[role="progressbar"]')
        take(page, f"import-many-load-{language}")
        page.wait_for_selector('#import-status[data-status="done"]', timeout=120_000)
        assert read_totals(page) == totals
        take(page, f"import-many-done-{language}")
    contacts = Contact.objects.filter(source__isnull=False)
    states = look_up(lambda: Counter(contacts.values_list("status", flat=True)))
    assert states == {"ready": totals["ready"], "excluded": totals["excluded"]}
    assert timezone.now() - begun < timedelta(minutes=3)


def test_without_our_scripts_every_step_works(house: House, browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "plain.csv"
    file.write_text("电话,姓名,产品\n19900000101,张,理财\n", encoding="utf-8")
    with open_page(browser, "en") as page:
        page.route("**/static/campaigns/*.js", lambda route: route.fulfill(body=""))
        log_in(page, house.address)
        page.goto(f"{house.address}/admin/campaigns/task/{house.draft.pk}/import/")
        page.set_input_files("#id_file", files=[file])
        page.click("#import-now")
        page.wait_for_selector("#columns-form")
        page.goto(page.url.replace("/columns/", "/reading/"))
        page.select_option("#id_delimiter", ";")
        page.click("[data-look]")
        page.wait_for_selector("#reading-form")
        assert page.locator("#id_delimiter").input_value() == ";"
        page.select_option("#id_delimiter", ",")
        page.click("#reading-next")
        page.click("#check-now")
        for status, button in (("checked", "#load-now"), ("done", "#to-contacts")):
            for _ in range(100):
                if page.locator(f'#import-status[data-status="{status}"]').count():
                    break
                page.wait_for_timeout(200)
                page.reload()
            page.click(button)
        page.wait_for_selector("#result_list")
    assert look_up(lambda: ContactImport.objects.get().loaded) == 1
