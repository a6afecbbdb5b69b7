"""In: a call with sound and words, and a queue of such calls. Out: it is heard with its words, and
judged one after the other without a mouse.

Must catch: a waveform that is not drawn; a turn that is not heard by a click on it, or not marked
while it is; keys that play while somebody types; places pretended where none are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.urls import reverse
from django.utils import timezone

from campaigns import reviewing
from campaigns.models import Call, Correction, Judgement, Recording, ReviewRule, Task
from tests.browser.pages import PASSWORD, log_in, look_up, open_page, take
from tests.campaigns.admin.world import make_call, make_turns, make_user, make_wav
from tests.factories import make_account, make_contact, make_line, make_robot, make_task
from tests.processes import find_free_port, run_web

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
#: seconds after the pick-up at which the five turns are said
PLACES = (0, 2, 4, 7, 9)
CLOCK = "document.querySelector('audio').currentTime"
MARKED = "document.querySelector('[aria-current]')?.id"


def make_heard_call(task: Task, number: int, *, timed: bool = True) -> Call:
    contact = make_contact(task=task, phone=f"1990000000{number}")
    call = make_call(task, contact, platform_call_id=f"heard-{number}", talk_seconds=12)
    make_turns(call)
    for turn, second in zip(call.turns.order_by("position"), PLACES, strict=True):
        turn.started_at = call.answered_at + timedelta(seconds=second) if timed else None
        turn.spoke_at = None
        turn.save()
    recording = Recording.objects.create(call=call, address="/a.wav", announced_seconds=12)
    sound = make_wav(12)
    recording.file.save("voice.wav", ContentFile(sound), save=False)
    recording.bytes, recording.content_type, recording.status = len(sound), "audio/wav", "stored"
    recording.save()
    return call


@pytest.fixture
def calls(settings: Any, tmp_path: Path) -> list[Call]:
    settings.MEDIA_ROOT = tmp_path / "media"
    account = make_account(name="讯飞外呼", is_sandbox=True)
    robot = make_robot(account=account, name="理财回访")
    task = make_task(account=account, robot=robot, lines=[make_line(account=account)])
    made = [make_heard_call(task, 1), make_heard_call(task, 2), make_heard_call(task, 3)]
    made.append(make_heard_call(task, 4, timed=False))
    return made


@pytest.fixture
def address(settings: Any, tmp_path: Path, chromium_path: str, calls: list[Call]) -> Iterator[str]:
    user = make_user("operator", username="boss")
    user.set_password(PASSWORD)
    user.save()
    environment = {
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
    }
    with run_web(find_free_port(), **environment) as running:
        yield running


def test_a_call_is_heard_with_its_words(address: str, browser: Any, calls: list[Call]) -> None:
    with open_page(browser, "en") as page:
        log_in(page, address)
        page.goto(address + reverse("admin:campaigns_call_change", args=[calls[0].pk]))
        page.wait_for_selector("[data-wave][data-drawn]")
        blank = "canvas => !canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
        blank += ".data.some(value => value)"
        assert not page.eval_on_selector("[data-wave] canvas", blank)
        assert page.evaluate(MARKED) is None, "Nothing is heard yet."

        page.click("#turn-4 p")
        page.wait_for_function(f"{CLOCK} > 7 && {MARKED} === 'turn-4'")
        page.wait_for_function(f"{MARKED} === 'turn-5'")
        take(page, "listening-en")
        page.keyboard.press("Space")
        page.wait_for_function("document.querySelector('audio').paused")
        page.keyboard.press("k")
        page.wait_for_function(f"{MARKED} === 'turn-4'")
        page.keyboard.press("Space")
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(f"{CLOCK} < 4 && {MARKED} !== 'turn-4'")
        page.keyboard.press("+")
        assert page.evaluate("document.querySelector('audio').playbackRate") == 1.25
        page.click("a[data-jump][href='#turn-3']")
        page.wait_for_function(f"{CLOCK} >= 4 && {MARKED} === 'turn-3'")

        page.keyboard.press("Space")
        page.wait_for_function("document.querySelector('audio').paused")
        page.fill("#remark", "")
        page.type("#remark", "a b - c + jk")
        assert page.input_value("#remark") == "a b - c + jk"
        assert page.evaluate("document.querySelector('audio').paused"), "Who types does not play."

        page.fill("#right-intention", "B")
        page.press("#right-intention", "Enter")
        page.wait_for_selector("#corrected")
        assert "B" in page.inner_text("#corrected")
        assert look_up(lambda: Correction.objects.get().was) == "A"

        page.goto(address + reverse("admin:campaigns_call_change", args=[calls[3].pk]))
        page.wait_for_selector("[data-wave][data-drawn]")
        assert page.locator("[data-at]").count() == 0
        assert page.locator("text=the words cannot follow").count() == 1


def test_the_queue_is_worked_off_with_the_keyboard(
    address: str, browser: Any, calls: list[Call]
) -> None:
    def draw() -> int:
        rule = ReviewRule.objects.create(name="All talks", percent=100, second_percent=0)
        return reviewing.draw_reviews(rule.pk, now=timezone.now() + timedelta(hours=1)).number

    assert look_up(draw) == 4
    with open_page(browser, "en", viewport={"width": 400, "height": 800}) as page:
        log_in(page, address)
        page.goto(address + reverse("admin:campaigns_review_changelist"))
        page.click("#begin-review")
        page.wait_for_selector("[data-review]")
        page.keyboard.press("Enter")
        assert page.is_visible("[data-missing]"), "Not without a verdict."
        assert page.input_value("#right-intention") == "", "Who judges is told no answer."
        assert page.locator(".cb-turn .cb-badge.info").count() == 0
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        assert page.is_visible("[data-missing-intention]"), "Not without an intention."
        page.keyboard.press("i")
        page.keyboard.type("B")
        first = page.url
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: url != first)
        second = page.url
        page.keyboard.press("2")
        page.keyboard.press("i")
        page.keyboard.type("A")
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        page.keyboard.type("1 2 s k")
        take(page, "reviewing-en-400")
        page.keyboard.press("Control+Enter")
        page.wait_for_url(lambda url: url not in (first, second))
        third = page.url
        page.keyboard.press("s")
        page.wait_for_url(lambda url: url not in (first, second, third))
        page.keyboard.press("3")
        page.keyboard.press("u")
        page.keyboard.press("i")
        page.keyboard.type("C")
        assert not page.is_checked("[name=unsure]"), "What was said last is meant."
        page.keyboard.press("Escape")
        page.keyboard.press("o")
        assert page.input_value("#right-intention") == ""
        page.keyboard.press("n")
        page.keyboard.type("Loud street.")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#waiting")

    def list_said() -> list[tuple[str, str | None, str]]:
        rows = Judgement.objects.order_by("pk")
        return list(rows.values_list("verdict", "intention", "note"))

    assert look_up(list_said) == [
        ("approved", "B", ""),
        ("rejected", "A", "1 2 s k"),
        ("noted", "", "Loud street."),
    ]
    corrected = Correction.objects.order_by("intention").values_list("intention", flat=True)
    assert look_up(lambda: list(corrected)) == ["", "B"]
