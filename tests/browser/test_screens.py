"""In: a database with something of everything. Out: every page of the navigation, and the pages of
its rows, as a manager needs them: in English on a light screen, in Chinese on a dark one, wide and
narrow.

Must catch: a page that fails, a script that complains, a page wider than its screen, a control that
a screen reader has no name for, no heading or two, a word of another language, a host of somebody
else, words that cannot be told from what is behind them.

One server, one browser, and one log-in per language for all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from django.urls import reverse

from tests.browser.conftest import FLAGS
from tests.browser.pages import LOCALES, log_in, run_console, take
from tests.browser.rows import Rows, make_rows

# the rows are those of the module: what a test of it would write is rolled back
pytestmark = [pytest.mark.browser, pytest.mark.django_db]
WIDTHS = (1280, 420)
THEMES = {"en": "light", "zh-hans": "dark"}
#: what has a name for screen readers
CONTROLS = {
    "button", "checkbox", "combobox", "ColorWell", "Date", "DateTime", "DisclosureTriangle",
    "InputTime", "link", "listbox", "menuitem", "radio", "searchbox", "slider", "spinbutton",
    "switch", "tab", "textbox",
}  # fmt: skip
#: below this a word cannot be told from what is behind it: WCAG 2.1, level AA
LEAST_CONTRAST = {"text": 4.5, "large": 3.0}
SCRIPT = Path(__file__).with_name("screens.js").read_text()


def list_navigation() -> dict[str, str]:
    """Name → path of every entry of the navigation."""
    groups = settings.UNFOLD["SIDEBAR"]["navigation"]
    return {str(item["icon"]): str(item["link"]) for group in groups for item in group["items"]}


#: name → path of pages that no entry of the navigation leads to
OTHERS: dict[str, Callable[[Rows], str]] = {
    "a task": lambda rows: reverse("admin:campaigns_task_change", args=[rows.world.running.pk]),
    "a draft": lambda rows: reverse("admin:campaigns_task_change", args=[rows.world.draft.pk]),
    "launch": lambda rows: reverse("admin:campaigns_task_launch", args=[rows.world.draft.pk]),
    "split": lambda rows: reverse("admin:campaigns_task_split", args=[rows.world.draft.pk]),
    "import": lambda rows: reverse("admin:campaigns_task_import", args=[rows.world.draft.pk]),
    "new task": lambda rows: reverse("admin:campaigns_task_add"),
    "a call": lambda rows: reverse("admin:campaigns_call_change", args=[rows.world.call.pk]),
    "a contact": lambda rows: reverse(
        "admin:campaigns_contact_change", args=[rows.world.contact.pk]
    ),
    "a robot": lambda rows: reverse("admin:campaigns_robot_change", args=[rows.world.robot.pk]),
    "an account": lambda rows: reverse(
        "admin:campaigns_account_change", args=[rows.world.account.pk]
    ),
    "an import": lambda rows: reverse(
        "admin:campaigns_contactimport_change", args=[rows.world.contact_import.pk]
    ),
    "an exchange": lambda rows: reverse(
        "admin:campaigns_exchange_change", args=[rows.world.exchange.pk]
    ),
    "a re-dial": lambda rows: reverse("admin:campaigns_redial_change", args=[rows.redial.pk]),
    "re-dial begins": lambda rows: (
        reverse("admin:campaigns_redial_start", args=["contacts"]) + "?step=called&short_of=reached"
    ),
    "an experiment": lambda rows: reverse(
        "admin:campaigns_experiment_change", args=[rows.experiment.pk]
    ),
    "an export": lambda rows: reverse("admin:campaigns_export_change", args=[rows.export.pk]),
    "export begins": lambda rows: reverse("admin:campaigns_call_export") + "?intention=A",
    "daily exports": lambda rows: reverse("admin:campaigns_exportplan_changelist"),
    "new daily export": lambda rows: reverse("admin:campaigns_exportplan_add"),
    "a bulk job": lambda rows: reverse("admin:campaigns_bulkjob_change", args=[rows.job.pk]),
    "bulk begins": lambda rows: reverse("admin:campaigns_call_bulk", args=["bar"]) + "?intention=A",
    "keep a filter": lambda rows: reverse("admin:campaigns_call_keep") + "?intention=A",
    "an odd list": lambda rows: reverse("admin:campaigns_call_changelist") + "?nonsense=1",
    "nothing found": lambda rows: reverse("admin:campaigns_call_changelist") + "?intention=Z",
    "judging": lambda rows: reverse("admin:campaigns_review_judge", args=[rows.review.pk]),
    "a review": lambda rows: reverse("admin:campaigns_review_change", args=[rows.review.pk]),
    "what reviews say": lambda rows: reverse("admin:campaigns_review_figures"),
    "review rules": lambda rows: reverse("admin:campaigns_reviewrule_changelist"),
    "new review rule": lambda rows: reverse("admin:campaigns_reviewrule_add"),
    "a notice rule": lambda rows: reverse("admin:campaigns_noticerule_change", args=[rows.rule.pk]),
    "new notice rule": lambda rows: reverse("admin:campaigns_noticerule_add"),
    "new webhook": lambda rows: reverse("admin:campaigns_noticehook_add"),
    "a user": lambda rows: reverse("admin:auth_user_change", args=[rows.user.pk]),
    "unknown codes": lambda rows: reverse("admin:campaigns_call_unknown_codes"),
    "numbers to forbid": lambda rows: reverse("admin:campaigns_donotcall_add"),
}


@dataclass
class Screens:
    """A page per language, and what it complained of since it was asked last."""

    address: str
    rows: Rows
    pages: dict[str, Any]
    faults: dict[str, list[str]] = field(default_factory=dict)

    def visit(self, language: str, path: str, *, width: int = WIDTHS[0]) -> Any:
        page = self.pages[language]
        page.set_viewport_size({"width": width, "height": 900})
        self.faults[language] = []
        reply = page.goto(self.address + path)
        refused = "?nonsense" in path
        assert reply.status == (400 if refused else 200), (path, reply.status)
        if refused:  # which Chromium tells as a fault
            self.faults[language] = [
                one for one in self.faults[language] if "status of 400" not in one
            ]
        return page


@pytest.fixture(scope="module")
def console(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Rows]]:
    """A server on rows that stay for all tests of this module."""
    folder = tmp_path_factory.mktemp("screens")
    with django_db_blocker.unblock(), override_settings(MEDIA_ROOT=folder / "media"):
        try:
            with run_console(folder, role="") as address:
                yield address, make_rows()
        finally:
            call_command("flush", verbosity=0, interactive=False)


@pytest.fixture(scope="module")
def screens(console: tuple[str, Rows], chromium_path: str) -> Iterator[Screens]:
    from playwright.sync_api import sync_playwright

    address, rows = console
    # the browser's loop runs between the tests, where the database is told of each of them
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)
        shown = Screens(address, rows, {})
        for language, scheme in THEMES.items():
            context = browser.new_context(
                locale=LOCALES[language],
                color_scheme=scheme,
                viewport={"width": WIDTHS[0], "height": 900},
            )
            page = context.new_page()
            page.set_default_timeout(60_000)
            listen(page, shown, language)
            log_in(page, address)
            shown.pages[language] = page
        yield shown
        browser.close()


def listen(page: Any, shown: Screens, language: str) -> None:
    def note(fault: str) -> None:
        shown.faults.setdefault(language, []).append(fault)

    def note_host(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.netloc not in shown.address:
            note(f"asks {parts.netloc}")

    page.on("pageerror", lambda error: note(str(error)))
    page.on("console", lambda said: note(said.text) if said.type == "error" else None)
    page.on("request", note_host)


@pytest.mark.parametrize("name", [*list_navigation(), *OTHERS])
def test_a_page_is_as_it_should_be(screens: Screens, name: str) -> None:
    path = list_navigation().get(name) or OTHERS[name](screens.rows)
    told, found = {}, []
    for language in THEMES:
        page = screens.visit(language, path)
        told[language], faults = look_at(page, language, picture=name)
        faults += [one for one in screens.faults[language] if "favicon" not in one]
        found += [f"{language}: {fault}" for fault in faults]
    english = sorted(filter(is_english, told["en"] & told["zh-hans"]))
    assert found + [f"English: {text}" for text in english] == [], path


def look_at(page: Any, language: str, *, picture: str) -> tuple[set[str], list[str]]:
    """What a page says, and what is wrong with it."""
    if page.locator(".admin-autocomplete, .vTimeField").count():
        page.wait_for_timeout(500)  # these fields are made anew by scripts, and then named
    found = page.evaluate(SCRIPT, LEAST_CONTRAST)
    names, faults = name_controls(page)
    if page.locator("html").get_attribute("lang") != language:
        faults.append("is of another language")
    if found["headings"] != 1:
        faults.append(f"{found['headings']} headings of the first rank")
    faults += [f"no words for a picture: {one}" for one in found["nameless"]]
    faults += [f"pale: {one}" for one in found["pale"]]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        with suppress(Exception):  # a chart follows a moment later
            page.wait_for_function("findTooWide().length === 0", timeout=15_000)
        faults += [f"{width} wide: {one}" for one in page.evaluate("findTooWide()")]
        take(page, f"{picture}-{language}-{width}")
    return set(found["texts"]) | set(names), faults


def name_controls(page: Any) -> tuple[list[str], list[str]]:
    """What Chromium tells a screen reader of each control, and those of which it tells nothing."""
    session = page.context.new_cdp_session(page)
    names, faults = [], []
    for node in session.send("Accessibility.getFullAXTree")["nodes"]:
        if node["ignored"] or node["role"]["value"] not in CONTROLS:
            continue
        name = node.get("name", {}).get("value", "").strip()
        # of a field for a day Chromium makes one for each part, and names it in its own language
        if name and not re.fullmatch(r"(Day|Month|Year) .*", name):
            names.append(name)
        elif not name:
            told = session.send("DOM.getOuterHTML", {"backendNodeId": node["backendDOMNodeId"]})
            words = re.sub(r"\s+", " ", told["outerHTML"])
            faults.append(f"no name for a {node['role']['value']}: {words[:200]}")
    session.detach()
    return names, faults


#: names of things that are the same in every language
NAMES = re.compile(
    r"Callboard|AI Rudder|7moor|yeta|51ima|English|Excel|CSV|XLSX|ZIP|JSON|HTTPS?|URL|PDF"
    r"|[Bb]oss|root"
    r"|esc|sha256|UTC|SHA-256|Webhook|Sandbox|semantic"
    r"|(Account|Agent|Line|Robot|Task|Voice) \d+"  # of tests/factories.py
    r"|\b[a-z]+[A-Z]\w*|\b(pds|cdr|login|logout)\b|^value$"  # kinds of pushes, keys of answers
    r"|\b(Ctrl|Enter|Esc)\b"  # keys
    # what Chromium and Django's own widgets say, in the language that they have
    r"|audio time scrubber|Show date picker|\(click to clear\)"
    r"|^(play|mute|volume|show more media controls|volume slider|media control)$"
)
#: an id, a file, an address, a moment: no spaces, and something that no word has
IDS = re.compile(r"\S*[\d_./@*:#=<>{}\[\]&-]\S*")
WORD = re.compile(r"[A-Za-z]{3,}")


def is_english(text: str) -> bool:
    """Whether a text that is the same in both languages is words of ours."""
    return bool(WORD.search(IDS.sub(" ", NAMES.sub(" ", text))))


def test_what_is_looked_for_would_be_found(screens: Screens) -> None:
    """The script itself: a page with one of every mistake."""
    page = screens.visit("en", reverse("admin:index"))
    page.evaluate(
        """() => {
          document.querySelector("main, #content, body").insertAdjacentHTML("beforeend", `
            <div id="mistakes"><h1>Two</h1><button></button>
            <p style="color:#bbb;background:#fff">Too pale to be read</p>
            <div style="width:3000px">Too wide</div></div>`);
        }"""
    )
    found = page.evaluate(SCRIPT, LEAST_CONTRAST)
    assert found["headings"] == 2
    assert [one for one in name_controls(page)[1] if "<button></button>" in one]
    assert [one for one in found["pale"] if "Too pale" in one]
    assert page.evaluate("findTooWide()")
    assert "Too wide" in found["texts"]
    assert is_english("Too wide")
    assert not is_english("call-1")
    json.dumps(found)
