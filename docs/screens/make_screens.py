"""In: the address and log-in of a running Callboard. Out: a picture of each screen in this folder.

`make run` in one terminal, then `make screens ADDRESS=http://127.0.0.1:8000 PASSWORD=…` in another.
With `ARGS="--prepare http://127.0.0.1:8900"`, the sandbox, what the demo has not is made first
(prepare.py); what takes its time comes sooner with
`GAP_MINUTES=2 LEAVE_TO_PERSON_SECONDS=20 SETTLE_SECONDS=10 make run`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from prepare import prepare

HERE = Path(__file__).resolve().parent
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: pages that no entry of the navigation leads to
OTHERS = {
    "home": "/admin/",
    "unknown_codes": "/admin/campaigns/call/unknown-codes/",
    "task_new": "/admin/campaigns/task/add/",
    "rule_new": "/admin/campaigns/reviewrule/add/",
    "redial_start": "/admin/campaigns/redial/start/contacts/?step=called&short_of=reached",
    "inbox_health": "/admin/callbacks/receipt/health/",
    "quarantine": "/admin/callbacks/receipt/quarantine/",
    "review_figures": "/admin/campaigns/review/figures/",
    "export_begins": "/admin/campaigns/call/export/?intention=A",
    "bulk_begins": "/admin/campaigns/call/bulk/bar/?intention=F",
    "nothing_found": "/admin/campaigns/call/?intention=Z",
}
#: name → list whose first row is worth a picture
ROWS = {
    "a_task": "/admin/campaigns/task/?q=Renewals",
    "a_task_done": "/admin/campaigns/task/?q=Demo: renewal",
    "an_account": "/admin/campaigns/account/",
    "a_robot": "/admin/campaigns/robot/?q=719001",
    "a_call": "/admin/campaigns/call/?recording=yes&dialog=yes&platform=yeta",
    "a_call_airudder": "/admin/campaigns/call/?result__exact=answered&platform=airudder",
    "a_call_7moor": "/admin/campaigns/call/?result__exact=answered&platform=moor7",
    "an_agent": "/admin/campaigns/agent/",
    "a_contact": "/admin/campaigns/contact/?status__exact=finished",
    "a_receipt": "/admin/callbacks/receipt/?status__exact=processed",
    "not_understood": "/admin/callbacks/receipt/?status__exact=quarantined",
    "an_experiment": "/admin/campaigns/experiment/",
    "a_redial": "/admin/campaigns/redial/",
    "an_export": "/admin/campaigns/export/",
    "a_bulk_job": "/admin/campaigns/bulkjob/?action__exact=bar",
    "an_approval": "/admin/campaigns/approval/",
    "a_decision": "/admin/campaigns/attempt/",
    "a_gap": "/admin/campaigns/gap/",
    "a_failed_push_day": "/admin/campaigns/failedpushday/",
    "an_import": "/admin/campaigns/contactimport/",
    "an_exchange": "/admin/campaigns/exchange/",
}
#: name → list, what its first row's address ends with instead of "change/"
BELOW = {
    "launch": ("/admin/campaigns/task/?q=Spring", "launch/"),
    "split": ("/admin/campaigns/task/?q=Spring", "split/"),
    "import_file": ("/admin/campaigns/task/?q=Spring", "import/"),
    "judging": ("/admin/campaigns/review/?state=waiting", "judge/"),
    "addresses": ("/admin/campaigns/account/?q=Sandbox&platform=yeta", "addresses/"),
}
FIRST_ROW = "#result_list tbody th a"


def list_screens(page: Page) -> dict[str, str]:
    """Name → path of every page that the navigation leads to, and of the ``OTHERS``."""
    links = page.locator("nav a[href^='/admin/'], #nav-sidebar a[href^='/admin/']")
    paths = sorted({str(link.get_attribute("href")).partition("?")[0] for link in links.all()})
    found = {path.removeprefix("/admin/").strip("/").replace("/", "_"): path for path in paths}
    left_out = ("", "logout", "password_change", "jsi18n")
    return {name: path for name, path in found.items() if name not in left_out} | OTHERS


def log_in(page: Page, *, address: str, user: str, password: str) -> None:
    page.goto(f"{address}/admin/login/")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/admin/")


def take(page: Page, path: Path, *, whole: bool) -> None:
    """JPEG is compressed: that is for the README; PNG is for looking closely."""
    page.wait_for_load_state("networkidle")
    if path.suffix == ".png":
        page.screenshot(path=path, full_page=whole)
    else:
        page.screenshot(path=path, type="jpeg", quality=60, full_page=whole)


def visit(browser: Browser, options: argparse.Namespace, *, language: str, dark: bool) -> None:
    context = browser.new_context(
        viewport={"width": options.width, "height": options.height},
        locale=language,
        color_scheme="dark" if dark else "light",
        timezone_id="Asia/Shanghai",
    )
    page = context.new_page()
    log_in(page, address=options.address, user=options.user, password=options.password)
    ending = f"{language.partition('-')[0]}{'-dark' if dark else ''}{options.suffix}"
    ending += ".png" if options.png else ".jpg"
    for name, path, end in [
        *((name, path, "") for name, path in list_screens(page).items()),
        *((name, path, "change/") for name, path in ROWS.items()),
        *((name, path, end) for name, (path, end) in BELOW.items()),
    ]:
        if options.only and name not in options.only:
            continue
        page.goto(options.address + path)
        if end:
            if not page.locator(FIRST_ROW).count():
                print(f"{name}: {path} has no row")  # noqa: T201
                continue
            row = str(page.locator(FIRST_ROW).first.get_attribute("href")).partition("?")[0]
            page.goto(options.address + row.removesuffix("change/") + end)
        take(page, options.to / f"{name}-{ending}", whole=options.whole)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("password")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--languages", nargs="*", default=["en-US", "zh-CN"])
    parser.add_argument("--prepare", metavar="SANDBOX", help="make what is missing first")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--whole", action="store_true", help="the whole page, not one screen")
    parser.add_argument("--width", type=int, default=1360)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--only", nargs="*", help="names of screens")
    parser.add_argument("--suffix", default="")
    parser.add_argument("--png", action="store_true")
    parser.add_argument("--to", type=Path, default=HERE, help="another folder")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        if options.prepare:
            page = browser.new_page(locale="en-US", viewport={"width": 1360, "height": 900})
            log_in(page, address=options.address, user=options.user, password=options.password)
            prepare(page, address=options.address, sandbox=options.prepare)
            page.context.close()
        for language in options.languages:
            visit(browser, options, language=language, dark=options.dark)
        browser.close()


if __name__ == "__main__":
    main()
