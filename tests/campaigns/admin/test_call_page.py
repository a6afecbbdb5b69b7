"""In: a call with words, sound and a later push. Out: the places of the words in the sound, where
they are told and nowhere else; a corrected intention beside the platform's; remarks.

Must catch: places pretended where all times are one; a robot's sentence placed by the contact's
time; a push that overwrites what a person said; a correction without the right to it; a remark
written twice by two clicks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns import correcting
from campaigns.admin.call_page import describe_call
from campaigns.admin.call_sound import describe_sound, place_turns
from campaigns.ingest import apply_events
from campaigns.models import Call, Correction, Remark, Turn
from campaigns.platforms.events import CallEnded
from tests.campaigns.admin.world import World, make_user

Turns = list[Turn]


def make_talk(*, talk: int | None = 60, seconds: tuple[float | None, ...] = (0, 3, 8, 12)) -> tuple:
    """A call and turns of robot and contact by turns, said so many seconds after the pick-up."""
    start = timezone.now()
    turns = [
        Turn(
            position=position,
            role="contact" if position % 2 else "robot",
            started_at=None if second is None else start + timedelta(seconds=second),
        )
        for position, second in enumerate(seconds)
    ]
    return Call(answered_at=start, talk_seconds=talk, details={}), turns


def test_places_are_counted_from_the_pick_up() -> None:
    call, turns = make_talk()
    assert place_turns(call, turns) == [0, 3, 8, 12]


def test_who_speaks_when_is_not_mixed_up() -> None:
    """A node's row says when the contact spoke, on the robot's row too."""
    call, turns = make_talk()
    for turn in turns:
        turn.spoke_at = call.answered_at + timedelta(seconds=20 + turn.position)
    assert place_turns(call, turns) == [0, 21, 8, 23]


@pytest.mark.parametrize(
    "seconds",
    [(None, None, None), (7, 7, 7), (900, 1000, 1100), (-900, -800, -700)],
    ids=["no times", "one time", "after the talk", "before the talk"],
)
def test_times_that_tell_nothing_are_no_places(seconds: tuple[float | None, ...]) -> None:
    call, turns = make_talk(seconds=seconds)
    assert place_turns(call, turns) == [None] * 3
    told, places = describe_sound(call, turns, heard=True)
    assert not told["synced"] and told["why"] and places == ["", "", ""]


def test_a_turn_out_of_the_talk_alone_has_no_place() -> None:
    call, turns = make_talk(seconds=(0, 4, 9999, 8))
    assert place_turns(call, turns) == [0, 4, None, 8]


def test_without_a_pick_up_the_begin_of_the_dialog_counts() -> None:
    call, turns = make_talk()
    start, call.answered_at = call.answered_at, None
    assert place_turns(call, turns) == [None] * 4
    call.details = {"dialog_began_at": (start - timedelta(seconds=1)).isoformat()}
    assert place_turns(call, turns) == [1, 4, 9, 13]
    for odd in ("tomorrow", "2026-01-01T00:00:00", 12, None, "2026-99-99T00:00:00+00:00"):
        call.details = {"dialog_began_at": odd}
        assert place_turns(call, turns) == [None] * 4, odd


def test_the_page_ties_words_and_sound(world: World, root: Client) -> None:
    call = world.call
    url = reverse("admin:campaigns_call_change", args=[call.pk])
    page = root.get(url).content.decode()
    assert "data-player" in page and "player.js" in page
    assert "data-at=" not in page, "All turns have one time: nothing is pretended."
    assert "the words cannot follow the sound" in page.replace("\n", " ")
    for turn in call.turns.all():
        turn.started_at = call.answered_at + timedelta(seconds=turn.position * 8 + 0.25)
        turn.spoke_at = None
        turn.save()
    page = root.get(url).content.decode()
    assert page.count("data-at=") == 5 and 'data-at="8.25"' in page
    assert "the words cannot follow the sound" not in page
    assert 'href="#turn-3" data-jump' in page, "The path leads to the words."


# ---------------------------------------------------------------------------------- the intention


def post(client: Client, name: str, call: Call, **data: str) -> int:
    return client.post(reverse(f"admin:campaigns_call_{name}", args=[call.pk]), data).status_code


def test_both_values_are_kept_whatever_is_pushed_later(world: World, root: Client) -> None:
    call = world.call
    assert post(root, "correct", call, intention="D") == 302
    assert post(root, "correct", call, intention="B") == 302
    call.refresh_from_db()
    assert call.intention == "A"
    apply_events(
        call.account,
        [
            CallEnded(
                platform_call_id=call.platform_call_id,
                source="receiveCallRecord",
                rank=50,
                intention="C",
            )
        ],
    )
    call.refresh_from_db()
    held = Correction.objects.get(call=call, withdrawn_at=None)
    assert (call.intention, held.intention, held.was) == ("C", "B", "A")
    assert held.by is not None and Correction.objects.filter(call=call).count() == 2
    page = root.get(reverse("admin:campaigns_call_change", args=[call.pk])).content.decode()
    assert "The platform said A then." in page and "Earlier corrections" in page


def test_the_list_shows_both(world: World, root: Client) -> None:
    correcting.correct_intention(world.call, intention="ZZ", by=None)
    page = root.get(reverse("admin:campaigns_call_changelist"), {"intention": "A"}).content.decode()
    assert "<s>A</s>" in page and ">ZZ</span>" in page
    assert "?query=intention%3DA" in page, "The way to a rule that draws such calls."


def test_the_platforms_word_needs_no_correction(world: World, root: Client) -> None:
    call = world.call
    assert correcting.correct_intention(call, intention="A", by=None) is None
    assert correcting.correct_intention(call, intention="", by=None) is not None
    assert correcting.correct_intention(call, intention="", by=None) is None
    assert correcting.correct_intention(call, intention="A", by=None) is None
    assert not Correction.objects.filter(call=call, withdrawn_at=None).exists()
    correcting.correct_intention(call, intention="B", by=None)
    assert post(root, "correct", call, withdraw="1") == 302
    assert not Correction.objects.filter(call=call, withdrawn_at=None).exists()


def test_the_words_to_choose_are_those_of_the_task(world: World) -> None:
    assert "A" in correcting.list_intentions(world.call)


@pytest.mark.parametrize("name", ["correct", "remark"])
def test_only_who_may_says_something(
    world: World, log_in: Callable[[str], Client], name: str
) -> None:
    data = {"intention": "B", "text": "He asked for a leaflet."}
    call = world.call
    assert post(log_in("viewer"), name, call, **data) == 403
    assert post(Client(), name, call, **data) == 302  # to the login
    assert not Correction.objects.exists() and not Remark.objects.exists()
    operator = log_in("operator")
    assert operator.get(reverse(f"admin:campaigns_call_{name}", args=[call.pk])).status_code == 405
    assert post(operator, name, call, **data) == 302
    page = log_in("admin").get(reverse("admin:campaigns_call_change", args=[call.pk]))
    viewer = Client()
    viewer.force_login(make_user("viewer", username="another"))
    page = viewer.get(reverse("admin:campaigns_call_change", args=[call.pk])).content.decode()
    assert 'id="right-intention"' not in page and 'id="remark"' not in page


# ------------------------------------------------------------------------------------- the remarks


def test_a_remark_is_written_once_and_its_numbers_are_masked(world: World, root: Client) -> None:
    url = reverse("admin:campaigns_call_change", args=[world.call.pk])
    token = root.get(url).context["remark_token"]
    data = {"text": "Call back at 19912345678 <b>now</b>.", "form_token": token}
    assert post(root, "remark", world.call, **data) == 302
    assert post(root, "remark", world.call, **data) == 302
    assert Remark.objects.count() == 1
    page = root.get(url).content.decode()
    assert "19912345678" not in page and "199****5678" in page
    assert "&lt;b&gt;now" in page


@pytest.mark.parametrize("odd", ["", "   ", "x" * 2001, "a\x00b", "\ud800"])
def test_odd_words_are_refused(world: World, root: Client, odd: str) -> None:
    token = root.get(reverse("admin:campaigns_call_change", args=[world.call.pk])).context
    data = {"text": odd, "form_token": token["remark_token"]}
    body = "&".join(
        f"{name}={'%ED%A0%80' if value == chr(0xD800) else value}" for name, value in data.items()
    ).encode()
    for name in ("remark", "correct"):
        url = reverse(f"admin:campaigns_call_{name}", args=[world.call.pk])
        sent = body if name == "remark" else body.replace(b"text=", b"intention=")
        kind = "application/x-www-form-urlencoded"
        assert root.post(url, sent, content_type=kind).status_code in (302, 400)
    assert not Remark.objects.exclude(text__regex="^\ufffd+$").exists()


def test_a_relation_id_that_is_a_number_is_masked(root: Client, world: World) -> None:
    Call.objects.filter(pk=world.call.pk).update(relation_id="19900000077")
    url = reverse("admin:campaigns_call_change", args=[world.call.pk])
    page = root.get(url).content.decode()
    assert "199****0077" in page and "19900000077" not in page
    Call.objects.filter(pk=world.call.pk).update(relation_id="rel-7")
    assert "?q=rel-7" in root.get(url).content.decode()


def test_the_way_to_the_inbox_holds_whatever_the_platforms_id_is_made_of(
    root: Client, world: World
) -> None:
    odd = "a&platform_call_id__exact=b#c d+e%"
    Call.objects.filter(pk=world.call.pk).update(platform_call_id=odd)
    world.call.refresh_from_db()
    address = describe_call(root.get("/").wsgi_request, world.call)["receipts_url"]
    asked = parse_qs(urlsplit(address).query)
    assert asked["platform_call_id__exact"] == [odd]
