"""In: the address and log-in of a running Callboard. Out: a picture of each screen in this folder.

`make run` in one terminal, then `make screens ADDRESS=http://127.0.0.1:8000 PASSWORD=…` in another.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

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
    "direct_call": "/admin/campaigns/task/direct/",
    "rule_new": "/admin/campaigns/reviewrule/add/",
    "redial_start": "/admin/campaigns/redial/start/contacts/?step=called&short_of=reached",
}
#: name → list whose first row is worth a picture
ROWS = {
    "a_task": "/admin/campaigns/task/",
    "an_account": "/admin/campaigns/account/",
    "a_robot": "/admin/campaigns/robot/",
    "a_call": "/admin/campaigns/call/?recording=yes&dialog=yes&platform=yeta",
    "a_call_airudder": "/admin/campaigns/call/?result__exact=answered&platform=airudder",
    "a_call_7moor": "/admin/campaigns/call/?result__exact=answered&platform=moor7",
    "an_agent": "/admin/campaigns/agent/",
    "a_contact": "/admin/campaigns/contact/?status__exact=finished",
    "a_receipt": "/admin/callbacks/receipt/",
    "an_experiment": "/admin/campaigns/experiment/",
    "a_redial": "/admin/campaigns/redial/",
    "an_export": "/admin/campaigns/export/",
    "a_bulk_job": "/admin/campaigns/bulkjob/",
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
    )
    page = context.new_page()
    log_in(page, address=options.address, user=options.user, password=options.password)
    ending = f"{language.partition('-')[0]}{'-dark' if dark else ''}{options.suffix}"
    ending += ".png" if options.png else ".jpg"
    wanted = list_screens(page)
    for name, path in wanted.items():
        if options.only and name not in options.only:
            continue
        page.goto(options.address + path)
        take(page, options.to / f"{name}-{ending}", whole=options.whole)
    for name, path in ROWS.items():
        if options.only and name not in options.only:
            continue
        page.goto(options.address + path)
        if page.locator(FIRST_ROW).count():
            page.locator(FIRST_ROW).first.click()
            take(page, options.to / f"{name}-{ending}", whole=options.whole)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("password")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--languages", nargs="*", default=["en-US", "zh-CN"])
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
        for language in options.languages:
            visit(browser, options, language=language, dark=options.dark)
        browser.close()


if __name__ == "__main__":
    main()
