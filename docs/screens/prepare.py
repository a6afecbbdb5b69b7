"""In: a running Callboard with its demo, a page of somebody logged in. Out: some of everything.

What a demo has not by itself is made by the console's own buttons, as a person would, and what a
platform has to do for it by the sandbox's control (docs/sandbox.md): a review rule and some
verdicts, an export, bulk jobs, a push that nobody understands, a big draft that waits for a second
person, a re-dial that is parted into an experiment and launched, a request whose answer was lost,
pushes that were lost, a call of somebody whom nobody handed over, the holidays of a week, variables
of callers, webhooks. A step whose outcome is there already is left out, one that fails is told and
the others go on.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Error, FilePayload, Page

BIG = 10_001  # one more than one person may launch alone
LISTED = "#result_list tbody tr"


class Console:
    """The pages of the console in one browser, in English."""

    def __init__(self, page: Page, address: str, sandbox: str) -> None:
        self.page, self.address, self.sandbox = page, address, sandbox.rstrip("/")

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.address}/admin/{path}")
        return self.page

    def has_rows(self, path: str) -> bool:
        return self.open(path).locator(LISTED).count() > 0

    def tell_sandbox(self, path: str, what: dict[str, object]) -> None:
        url = f"{self.sandbox}/_sandbox/{path}"
        reply = self.page.request.post(url, data=json.dumps(what),
                                       headers={"Content-Type": "application/json"})  # fmt: skip
        if not reply.ok:
            raise Error(reply.text())

    def find_task(self, words: str) -> str:
        """The path of a task's page by its name, "" for none."""
        page = self.open(f"campaigns/task/?q={words}")
        link = page.locator("#result_list tbody a[href*='/change/']").first
        return str(link.get_attribute("href")).partition("/admin/")[2] if link.count() else ""


def prepare(page: Page, *, address: str, sandbox: str) -> None:
    console = Console(page, address, sandbox)
    steps: tuple[Callable[[Console], None], ...] = (
        make_review_rule, export_calls, forbid_numbers, fetch_sound, send_rubbish, keep_holidays,
        tell_of_callers, make_webhooks, ask_second_person, lose_pushes, call_again, call_many,
        fetch_lost, judge_some, call_by_hand, lose_answer,
    )  # fmt: skip
    for step in steps:
        try:
            step(console)
        except Error as error:
            sys.stderr.write(f"{step.__name__}: {str(error)[:300]}\n")


def make_review_rule(console: Console) -> None:
    if console.has_rows("campaigns/reviewrule/"):
        return
    page = console.open("campaigns/reviewrule/add/")
    page.fill("#id_name", "Everybody who talked")
    page.fill("#id_talk_from", "5")
    page.fill("#id_percent", "100")
    page.click("button[name=_save]")


def export_calls(console: Console) -> None:
    if console.has_rows("campaigns/export/"):
        return
    page = console.open("campaigns/call/?result__exact=answered")
    page.click("#with-all summary")
    page.locator('#with-all a[href*="/export/"]').click()
    page.check('input[name="form"][value="xlsx"]')
    page.click("#do-it")
    page.wait_for_selector('#export-status[data-status="done"]')


def forbid_numbers(console: Console) -> None:
    """All that match a filter, those who declined, onto the do-not-call list."""
    do_with_all(console, "bar", "rejected", reason="Declined the call")


def fetch_sound(console: Console) -> None:
    do_with_all(console, "fetch", "answered")


def do_with_all(console: Console, action: str, result: str, *, reason: str = "") -> None:
    """A job with all calls of a result."""
    if console.has_rows(f"campaigns/bulkjob/?action__exact={action}"):
        return
    page = console.open(f"campaigns/call/bulk/{action}/?result__exact={result}")
    if reason:
        page.fill("#id_reason", reason)
    page.click("#do-it")
    page.wait_for_load_state("networkidle")


def send_rubbish(console: Console) -> None:
    """To a callback address that is made for it, and revoked."""
    if console.has_rows("callbacks/receipt/?status__exact=quarantined"):
        return
    console.open("campaigns/account/?q=Sandbox&platform=yeta")
    page = console.page
    page.locator("#result_list tbody th a").first.click()
    page.goto(page.url.replace("/change/", "/addresses/"))
    page.click("#add-addresses button")
    address = page.locator(".cb-secret").first.inner_text().strip()
    for body in ('{"call_uuid": "cut off', '{"greeting": "hello"}', '{"greeting": "again"}'):
        page.request.post(address, data=body, headers={"Content-Type": "application/json"})
    form = page.locator("#live-tokens form").first  # the newest
    if form.locator("input[type=checkbox]").count():
        form.locator("input[type=checkbox]").check()
    form.locator("button").click()


def keep_holidays(console: Console) -> None:
    """As they are announced: days off, and the Saturday that makes up for one."""
    if console.has_rows("campaigns/holiday/"):
        return
    page = console.open("campaigns/holiday/paste/")
    days = [f"2027-10-0{day} 国庆节" for day in range(1, 8)]
    page.fill("#id_lines", "\n".join(["2027-01-01 元旦", *days, "2027-10-09 上班 国庆节"]))
    page.fill("#id_region", "CN")
    page.click("#keep-days")
    page.wait_for_load_state("networkidle")


def tell_of_callers(console: Console) -> None:
    """What the robot tells those who call in."""
    if console.has_rows("campaigns/inboundcontext/"):
        return
    account = find_account(console, "yeta")
    for number in range(1, 5):
        page = console.open("campaigns/inboundcontext/add/")
        page.select_option("#id_account", account)
        page.fill("#id_relation_id", f"order-2027-{number:04d}")
        page.fill("#id_values", f"姓名 = 张{number}\n产品 = 家庭宽带\n金额 = {199 + number}")
        page.click("button[name=_save]")
        page.wait_for_load_state("networkidle")


def make_webhooks(console: Console) -> None:
    """To nobody: addresses under this name lead nowhere, and no rule sends there."""
    if console.has_rows("campaigns/noticehook/"):
        return
    for name, language in (("Operations chat", "zh-hans"), ("Tickets", "en")):
        page = console.open("campaigns/noticehook/add/")
        page.fill("#id_name", name)
        page.fill("#id_url", f"https://{name.split()[0].lower()}.callboard.invalid/hooks/1")
        page.select_option("#id_language", language)
        page.click("button[name=_save]")
        page.wait_for_load_state("networkidle")
        if page.locator("#make-secret button").count():
            page.click("#make-secret button")
            page.wait_for_selector("#secret")


def call_by_hand(console: Console) -> None:
    """People of drafts are called at the platform although nobody handed them over: incidents.
    They are closed, since an open one stands above every page."""
    if console.has_rows("campaigns/incident/"):
        return
    for name, first in (("Winter: reminder", 501), ("Winter: second reminder", 511)):
        make_draft(console, name, "airudder")
        import_rows(
            console, make_people(range(first, first + 3), "手机"), "callee,callee_name,comments"
        )
        task = console.page.url.partition("/task/")[2].partition("/")[0]
        page = console.open(f"campaigns/contact/?task__id__exact={task}")
        row = str(page.locator("#result_list tbody th a").first.get_attribute("href"))
        contact = row.partition("/contact/")[2].partition("/")[0]
        wish = {"platform": "airudder", "number": f"199{first:08d}", "case_id": f"CB-{contact}"}
        console.tell_sandbox("calls", {**wish, "reasons": [0], "talk_seconds": 12})
    for _look in range(60):
        if console.open("campaigns/incident/").locator(LISTED).count() > 1:
            break
        console.page.wait_for_timeout(2_000)
    for link in [str(one.get_attribute("href")) for one in
                 console.page.locator("#result_list tbody th a").all()]:  # fmt: skip
        page = console.open(link.partition("/admin/")[2])
        page.fill(
            "#id_note", "Somebody had entered the draft at the platform by hand; told not to."
        )
        page.click("#close-now")
        page.wait_for_load_state("networkidle")


def ask_second_person(console: Console) -> None:
    """A draft of more people than one person may launch alone; some of its rows are wrong."""
    name = "Spring: all customers"
    if console.find_task(name):
        return
    make_draft(console, name)
    rows = make_people(range(20_000, 20_000 + BIG), "家庭宽带")
    rows += ["12345,李一,家庭宽带", ",王二,家庭宽带", "19900020005,张五,家庭宽带"]
    import_rows(console, rows)
    page = console.page
    page.click('a[href$="/launch/"]')
    page.fill("#second-person textarea", "All of them are customers and have agreed to calls.")
    page.click("#ask-now")


def make_people(numbers: Iterable[int], product: str) -> list[str]:
    return [f"199{number:08d},张{number % 97},{product}" for number in numbers]


def find_account(console: Console, platform: str) -> str:
    """The id of the sandbox's account at a platform."""
    page = console.open(f"campaigns/account/?q=Sandbox&platform={platform}")
    row = str(page.locator("#result_list tbody th a").first.get_attribute("href"))
    return row.partition("/account/")[2].partition("/")[0]


def make_draft(console: Console, name: str, platform: str = "yeta") -> None:
    """A draft with a robot, and a line where tasks have one, whose page is left open."""
    account = find_account(console, platform)
    page = console.open(f"campaigns/task/add/?account={account}")
    page.fill("#id_name", name)
    page.locator("#id_robot").select_option(index=1)
    lines = page.locator("#id_lines input")
    if lines.count() and not lines.first.is_checked():
        lines.first.check()
    if platform == "airudder":  # wants to be told when a task ends
        page.fill("#id_end_at_0", f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}")
        page.fill("#id_end_at_1", "18:00:00")
    page.click('button[name="_save"]')
    page.wait_for_selector('#task-status[data-status="draft"]')


def launch(console: Console) -> None:
    page = console.page
    page.click('a[href$="/launch/"]')
    page.click("#launch-now")
    page.wait_for_selector("#task-status")


def import_rows(console: Console, rows: list[str], columns: str = "客户手机号码,姓名,产品") -> None:
    page = console.page
    page.click('a[href$="/import/"] >> nth=0')
    text = "\n".join([columns, *rows]) + "\n"
    file = FilePayload(name="contacts.csv", mimeType="text/csv", buffer=text.encode())
    page.set_input_files("#id_file", file)
    page.click("#import-now")
    page.click("#check-now")
    page.click("#load-now")
    page.wait_for_selector('#import-status[data-status="done"]')
    page.click("#to-task")


def lose_pushes(console: Console) -> None:
    """Of the calls that follow some recordings and dialogs are never delivered: gaps."""
    if console.has_rows("campaigns/gap/") or console.has_rows("campaigns/experiment/"):
        return
    for kind in ("receiveVoice", "receiveDialog"):
        rule = {"kind": "drop", "endpoint": f"push.{kind}", "probability": 0.2, "count": 6}
        console.tell_sandbox("faults", rule)


def call_again(console: Console) -> None:
    """Those whom a task did not reach, parted over two robots; both drafts are launched."""
    if console.has_rows("campaigns/experiment/"):
        return
    page = console.open(console.find_task("Demo: renewal"))
    page.locator("#people a.cb-again").first.click()
    page.click("#count-now")
    page.wait_for_selector('#redial-status[data-status="counted"]')
    page.fill("#id_name", "Demo: renewal reminder, round 2")
    page.click("#make-now")
    page.wait_for_selector("#to-draft")
    page.click("#to-draft")
    page.wait_for_selector('#task-status[data-status="draft"]')
    page.locator('a[href$="/split/"]').first.click()
    page.fill("#id_name", "Old words, new words")
    chosen = page.locator("#id_robot option").count() - 1
    page.locator("#id_robot").select_option(index=chosen)
    page.click("#split-now")
    page.wait_for_function(
        "() => document.querySelectorAll('[data-part=groups] section dd a').length >= 2"
    )
    links = page.locator("[data-part=groups] section a[href*='/task/']")
    found = {str(link.get_attribute("href")).partition("/admin/")[2] for link in links.all()}
    for path in sorted(one for one in found if one.endswith("/change/")):
        console.open(path.replace("/change/", "/launch/"))
        page.click("#launch-now")
        page.wait_for_selector("#task-status")


def lose_answer(console: Console) -> None:
    """Contacts are handed over, no reply comes, and no question is answered: it waits for a person
    as soon as that is left to one (``LEAVE_TO_PERSON_SECONDS``)."""
    if console.has_rows("campaigns/attempt/"):
        return
    make_draft(console, "Autumn: offer")
    import_rows(console, make_people(range(1_000, 1_025), "手机"))
    console.tell_sandbox("faults", {"kind": "close_after", "endpoint": "task/insert", "count": 1})
    console.tell_sandbox("faults", {"kind": "error_before", "endpoint": "task/query", "count": 99})
    launch(console)


def fetch_lost(console: Console) -> None:
    """What could not be pushed lies in a file of yesterday."""
    if console.has_rows("campaigns/failedpushday/"):
        return
    console.tell_sandbox("rollover", {})
    page = console.open("campaigns/failedpushday/")
    page.locator('form[action$="/fetch/"] button').first.click()


def judge_some(console: Console) -> None:
    """Of those that talked in what was launched a moment ago, when their words have come."""
    if console.has_rows("campaigns/review/?state=judged"):
        return
    page = console.open("campaigns/review/")
    if not page.locator("#begin-review:enabled").count():
        return
    page.click("#begin-review")
    for place in range(12):
        if not page.locator("#judge-now").count():
            return
        own = page.url
        judge(page, "A", "The price was told too late." if place == 3 else "")
        # what the platform said is told once somebody has judged: most of them agree with it
        page.goto(own)
        said = re.search(r"says (\w+)", page.inner_text("#platform-says"))
        if said and place % 5 != 4:
            judge(page, said[1], "")
        console.open("campaigns/review/").click("#begin-review")


def judge(page: Page, intention: str, note: str) -> None:
    page.locator("input[name=verdict]").nth(1 if note else 0).check()
    page.fill("#right-intention", intention)
    page.fill("#note", note)
    page.click("#judge-now")
    page.wait_for_load_state("networkidle")


def call_many(console: Console) -> None:
    """A task that goes on for a while, to be looked at."""
    if console.has_rows("campaigns/task/?status__exact=running"):
        return
    make_draft(console, "Renewals of November")
    import_rows(console, make_people(range(3_000, 3_400), "宽带"))
    launch(console)
    console.page.wait_for_selector('#task-status[data-status="running"]')
