"""In: somebody who wants rows as a file. Out: it is asked for, made meanwhile, fetched, and opens;
or it is given up.

Must catch: a page that only a reload moves; a file with other rows than the list; whole numbers
nobody asked for; one that is given up and made all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from python_calamine import CalamineWorkbook

from campaigns.models import Export, Task
from tests.browser.pages import log_in, look_up, open_page, read_environment, run_console, take
from tests.campaigns.admin.world import make_call
from tests.factories import make_account, make_contact, make_task
from tests.processes import run_worker

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
BUSY = 7


@pytest.fixture
def task() -> Task:
    task = make_task(account=make_account(name="讯飞外呼"), name="=八月回访", status="running")
    for number in range(BUSY * 2):
        contact = make_contact(task=task, phone=f"199{number:08d}", status="finished")
        make_call(task, contact, result="busy" if number < BUSY else "answered")
    return task


@pytest.fixture
def address(tmp_path: Path, chromium_path: str, task: Task) -> Iterator[str]:
    with run_console(tmp_path, role="manager") as running:
        yield running


def ask(page: Any, address: str) -> None:
    """From the list, by its menu, to the page of the export."""
    page.goto(f"{address}{reverse('admin:campaigns_call_changelist')}?result__exact=busy")
    page.click("#with-all summary")
    page.locator('#with-all a[href*="/export/"]').click()
    page.check('input[name="form"][value="xlsx"]')
    page.click("#do-it")
    page.wait_for_selector('#export-status[data-status="waiting"]')


def test_a_file_is_made_while_one_looks_and_opens(
    address: str, browser: Any, tmp_path: Path
) -> None:
    with open_page(browser, "zh-hans") as page:
        log_in(page, address)
        ask(page, address)
        take(page, "export-waits-zh")
        page.evaluate("window.sameLoad = true")
        with run_worker(**read_environment(tmp_path)):
            page.wait_for_selector('#export-status[data-status="done"]')
        assert page.evaluate("window.sameLoad") is True
        take(page, "export-done-zh")
        with page.expect_download() as waiting:
            page.click("#fetch-file")
        file = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(file)
        assert file.suffix == ".xlsx"
        workbook = CalamineWorkbook.from_path(str(file))
        header, *rows = workbook.get_sheet_by_index(0).to_python()
        assert len(rows) == BUSY
        assert any("任务" in str(cell) for cell in header), "Its header is Chinese."
        cells = {str(cell) for row in rows for cell in row}
        assert "199****0001" in cells
        assert not [cell for cell in cells if cell.startswith("1990000")]
        assert "'=八月回访" in cells, "No cell is a formula."

        # the history has it, and who fetched it is written down
        page.goto(address + reverse("admin:campaigns_export_changelist"))
        assert file.name in page.inner_text("#result_list")
        assert look_up(lambda: Export.objects.get().downloads) == 1


def test_what_is_given_up_is_not_made(address: str, browser: Any, tmp_path: Path) -> None:
    with open_page(browser, "en") as page:
        log_in(page, address)
        page.goto(f"{address}{reverse('admin:campaigns_call_changelist')}?result__exact=busy")
        page.click("#with-all summary")
        page.locator('#with-all a[href*="/export/"]').click()
        page.click("#do-it")
        page.wait_for_selector('#export-status[data-status="waiting"]')
        page.click("#give-up")
        page.wait_for_selector("#give-up", state="detached")
        with run_worker(**read_environment(tmp_path)):
            page.wait_for_selector('#export-status[data-status="cancelled"]')
        assert page.locator("#fetch-file").count() == 0
        assert look_up(lambda: json.dumps([one.file.name for one in Export.objects.all()])) == (
            '[""]'
        )
