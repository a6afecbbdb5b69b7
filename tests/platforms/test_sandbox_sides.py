"""In: sides that only push. Out: what arrives by each side's own rules, switched, and restarted."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from campaigns.platforms import sandbox as sandbox_module
from campaigns.platforms.sandbox import SIDES, SandboxServer, serve
from campaigns.platforms.sandbox_clock import Clock, Scheduler
from campaigns.platforms.sandbox_live import Live
from campaigns.platforms.sandbox_push import Delivery, Push, is_ok
from campaigns.platforms.sandbox_side import PushApp, PushOnlySide
from campaigns.platforms.sandbox_store import Store
from tests.platforms.ear import Ear
from tests.platforms.payloads import find_expectation
from tests.platforms.sandbox_client import Client, wait_until

ODD = b'{"data": {"kind": "{}", "kind": "[1]", "name": "\xd7\xaa"}}'


class Post(PushOnlySide):
    """A made-up vendor: a ring now, a record when the call is over, in bytes that are no JSON."""

    name = "post"
    delivery = Delivery(2.0, 60.0, 6, is_ok)

    def plan_call(self, app: PushApp, wish: Mapping[str, Any]) -> dict[str, Any]:
        seconds = wish.get("seconds", 0)
        if not isinstance(seconds, int | float):
            raise ValueError("seconds must be a number.")
        number = str(self.give_number())
        self.note_call({"seconds": seconds}, call_id=number, result="ended", contact="CB-1")
        self.push(app, "ring", {"call": number}, call=number)
        if wish.get("breaks"):
            raise ValueError("It broke in the middle.")
        ends_at = self.engine.clock.now() + seconds
        self.push(app, "record", {"call": number}, at=ends_at, raw=ODD, call=number, contact="CB-1")
        return {"call": number}

    def render_file(self, name: str) -> tuple[bytes, str] | None:
        return (b"sound", "audio/wav") if name.removesuffix(".wav") in self.calls else None


class Other(Post):
    name = "other"
    delivery = Delivery(1.0, 0.0, 1, is_ok)


@pytest.fixture
def ear() -> Iterator[Ear]:
    with Ear() as ear:
        yield ear


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module, "SIDES", (*SIDES[:1], Post, Other))


@pytest.fixture
def sandbox(made_up: None) -> Iterator[SandboxServer]:
    with serve(seed="sides") as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: SandboxServer) -> Client:
    return Client(sandbox)


def put_app(client: Client, url: str, *, platform: str = "post", key: str = "sandbox-key") -> Any:
    wish = {"platform": platform, "urls": {"*": url}}
    return client.control(f"apps/{key}", wish, method="PUT")


def place(client: Client, *, platform: str = "post", **wish: Any) -> str:
    told = client.control("calls", {"platform": platform, **wish})
    call: str = told.get("call", "")
    return call


def refuse(client: Client, name: str, wish: Any, *, method: str = "POST") -> str:
    headers = {"Content-Type": "application/json"}
    answer = client.send(
        method, f"/_sandbox/{name}", body=json.dumps(wish).encode(), headers=headers
    )
    assert answer.status == 400, answer.body
    sentence: str = answer.json()["error"]
    return sentence


# The rules of delivery, over all sides that there are

#: what an attempt may be answered with; which of it counts, each platform's text says
ANSWERS: dict[str, tuple[int, bytes] | None] = {
    "ok": (200, b"{}"),
    "word": (200, b'{"message": "success"}'),
    "word_500": (500, b'{"success": false}'),
    "error": (503, b"{}"),
    "silence": None,
}
NAMES = [make.name for make in SIDES]  # type: ignore[attr-defined]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_push_is_tried_as_often_as_its_platform_says(name: str, answer: str, ear: Ear) -> None:
    """``DELIVERY`` of ``<v>/expectations.py``: ``tries`` in all, the ``taken`` answers, and where
    the text says it ``timeout`` and ``retry_wait`` in seconds, what a push that nobody takes is
    ``undelivered`` as, and ``kinds`` of addresses where one is not enough."""
    ear.answer = lambda _: ANSWERS[answer]
    rules = find_expectation(name, "DELIVERY")
    assert rules, f"expectations of {name} have no DELIVERY"
    with serve(seed="rules", speed=1000) as sandbox:
        client = Client(sandbox)
        told = client.look("state")["sides"][name]
        for rule in {"timeout", "retry_wait", "tries"} & set(rules):
            assert told[f"push_{rule}"] == rules[rule]
        client.control("settings", {"push_timeout": 0.2, "push_retry_wait": 0.01})
        kinds = rules.get("kinds", ("*",))
        urls = {kind: f"{ear.url}/{kind.strip('*')}" for kind in kinds}
        client.control("apps/sandbox-key", {"platform": name, "urls": urls}, method="PUT")
        place(client, platform=name)
        wait_until(lambda: client.look("pushes")["items"])
        client.wait_quiet()
        pushes = client.look(f"pushes?platform={name}")["items"]
        taken = answer in rules["taken"].split()
        for push in pushes:
            assert len(push["attempts"]) == (1 if taken else rules["tries"]), push
            assert (push["state"] == "acknowledged") is taken
        assert any(push["call"] for push in pushes)
        assert len(ear.got) == sum(len(push["attempts"]) for push in pushes)
        counted = client.look("ledger")["platforms"][name]["pushes"]
        assert counted["created"] == len(pushes)
        word = "acknowledged" if taken else rules.get("undelivered", "given_up")
        assert counted[word] == len(pushes)


def test_the_waits_of_one_platform_are_changed_alone(client: Client) -> None:
    client.control("settings", {"platform": "post", "push_retry_wait": 0.5, "push_tries": 2})
    sides = client.look("sides")
    assert (sides["post"]["push_retry_wait"], sides["post"]["push_tries"]) == (0.5, 2)
    assert (sides["other"]["push_retry_wait"], sides["other"]["push_tries"]) == (0.0, 1)
    client.control("settings", {"push_timeout": 0.25})
    assert {side["push_timeout"] for side in client.look("sides").values()} == {0.25}
    assert client.look("state")["push_timeout"] == 0.25


def test_the_next_try_waits_as_long_as_its_side_says(client: Client, ear: Ear) -> None:
    ear.answer = lambda path: (500, b"")
    put_app(client, f"{ear.url}/post")
    put_app(client, f"{ear.url}/other", platform="other")
    client.control("settings", {"platform": "post", "push_retry_wait": 0.4, "push_tries": 2})
    began = time.monotonic()
    place(client)
    place(client, platform="other")
    client.wait_quiet()
    assert time.monotonic() - began >= 0.4
    paths = [path for path, _ in ear.got]
    assert (paths.count("/post"), paths.count("/other")) == (4, 2)


# What goes out


def test_bytes_go_out_as_they_are_and_addresses_by_kind(client: Client, ear: Ear) -> None:
    urls = {"": f"{ear.url}/all", "ring": f"{ear.url}/ring"}
    client.control("apps/k", {"platform": "post", "urls": urls}, method="PUT")
    call = place(client, app_key="k")
    client.wait_quiet()
    assert sorted(ear.got) == [
        ("/all", ODD),
        ("/ring", json.dumps({"call": call}).encode()),
    ]
    (record,) = client.look("pushes?module=post.record")["items"]
    assert (record["platform"], record["call"], record["contact"]) == ("post", call, "CB-1")


def test_the_ledger_counts_each_side_by_itself(client: Client, ear: Ear) -> None:
    put_app(client, ear.url)
    first, second = place(client), place(client, platform="other")
    client.wait_quiet()
    calls = client.look("calls")["items"]
    assert [(c["platform"], c["call"], c["contact"], c["result"]) for c in calls] == [
        ("post", first, "CB-1", "ended"),
        ("other", second, "CB-1", "ended"),
    ]
    told = client.look("ledger")["platforms"]
    assert told["post"] == {
        "calls": 1,
        "calls_by_result": {"ended": 1},
        "pushes": {"created": 2, "sent": 2, "acknowledged": 2},
    }
    # Nobody listens there: each push is given up after its one try.
    assert told["other"]["pushes"] == {"created": 2, "given_up": 2}


def test_fault_rules_tell_sides_apart(client: Client, ear: Ear) -> None:
    put_app(client, f"{ear.url}/post")
    put_app(client, f"{ear.url}/other", platform="other")
    client.control("faults", {"endpoint": "push.post.*", "kind": "duplicate", "times": 3})
    client.control("faults", {"endpoint": "push.other.ring", "kind": "vanish"})
    place(client)
    place(client, platform="other")
    client.wait_quiet()
    paths = [path for path, _ in ear.got]
    assert (paths.count("/post"), paths.count("/other")) == (6, 1)


def test_files_are_served_and_broken_on_wish(client: Client, sandbox: SandboxServer) -> None:
    call = place(client)
    path = f"/post/files/{call}.wav"
    whole = client.send("GET", path)
    assert (whole.status, whole.body, whole.headers["content-type"]) == (200, b"sound", "audio/wav")
    assert client.send("GET", path, headers={"Range": "bytes=1-2"}).body == b"ou"
    assert client.send("GET", "/post/files/nothing.wav").status == 404
    assert client.send("POST", path).status == 405
    client.control("faults", {"endpoint": "post/file", "kind": "cut", "count": 1})
    with pytest.raises(http.client.IncompleteRead):
        client.send("GET", path)
    side = Post(sandbox._engine)
    assert side.tell_file_url("a.wav") == f"{sandbox.url}/post/files/a.wav"


@pytest.mark.parametrize(
    ("name", "wish", "method", "word"),
    [
        ("calls", {"platform": "nobody"}, "POST", "no such platform"),
        ("calls", {"platform": "post", "app_key": "nobody"}, "POST", "app_key"),
        ("calls", {"platform": "post", "seconds": "long"}, "POST", "seconds"),
        ("calls", {}, "POST", "app_key"),
        ("inbound", {"platform": "post"}, "POST", "/_sandbox/calls"),
        ("sides/nobody", {"live": True}, "PUT", "no such platform"),
        ("sides/post", {"live": "yes"}, "PUT", "live"),
        ("sides/post", {"rate": -1}, "PUT", "rate"),
        ("sides/post", {"rate": 1e9}, "PUT", "rate"),
        ("apps/k", {"platform": "post", "urls": {"*": 7}}, "PUT", "urls"),
        ("settings", {"platform": "nobody", "push_tries": 1}, "POST", "no such platform"),
    ],
)
def test_a_wish_that_makes_no_sense_is_a_sentence(
    client: Client, name: str, wish: Any, method: str, word: str
) -> None:
    assert word in refuse(client, name, wish, method=method)


def test_a_call_that_breaks_in_the_middle_is_not_pushed_by_half(client: Client, ear: Ear) -> None:
    put_app(client, ear.url)
    assert "middle" in refuse(client, "calls", {"platform": "post", "breaks": True})
    place(client)
    client.wait_quiet()
    assert len(ear.got) == 2 == client.look("pushes")["total"]


# Live traffic


def switch(client: Client, **wish: Any) -> Any:
    name = wish.pop("platform", "post")
    return client.control(f"sides/{name}", wish, method="PUT")


def count_calls(client: Client, platform: str = "post") -> int:
    told = client.look("ledger")["platforms"].get(platform, {"calls": 0})
    count: int = told["calls"]
    return count


def test_live_traffic_is_switched_by_side(client: Client, ear: Ear) -> None:
    assert client.look("sides")["post"]["live"] is False
    put_app(client, ear.url)
    put_app(client, ear.url, platform="other")
    assert switch(client, live=True, rate=600)["live"] is True
    wait_until(lambda: count_calls(client) >= 3)
    assert count_calls(client, "other") == 0
    switch(client, live=False)
    client.wait_quiet()
    before = count_calls(client)
    client.control("clock", {"advance_seconds": 3600})
    time.sleep(0.3)
    assert count_calls(client) == before
    assert client.look("state")["sides"]["post"] | {"done": 0} == {
        "live": False,
        "rate": 600,
        "most": None,
        "done": 0,
        "push_timeout": 2.0,
        "push_retry_wait": 60.0,
        "push_tries": 6,
    }


def test_live_traffic_waits_for_somebody_who_listens(client: Client, ear: Ear) -> None:
    switch(client, live=True, rate=600)
    time.sleep(0.3)
    assert count_calls(client) == 0
    put_app(client, ear.url)
    wait_until(lambda: count_calls(client) >= 1)
    client.control("apps/sandbox-key", {"platform": "post", "urls": {}}, method="PUT")
    client.wait_quiet()
    before = count_calls(client)
    time.sleep(0.4)
    assert count_calls(client) == before
    put_app(client, ear.url)
    wait_until(lambda: count_calls(client) > before)


def test_live_traffic_ends_after_its_number(client: Client, ear: Ear) -> None:
    put_app(client, ear.url)
    switch(client, live=True, rate=600, most=3)
    wait_until(lambda: count_calls(client) == 3)
    time.sleep(0.4)
    assert count_calls(client) == 3
    assert client.look("sides")["post"]["done"] == 3


def test_a_jump_of_the_clock_is_no_flood(client: Client, ear: Ear) -> None:
    put_app(client, ear.url)
    switch(client, live=True, rate=60)
    wait_until(lambda: count_calls(client) >= 1)
    client.control("clock", {"advance_seconds": 86_400})
    time.sleep(0.3)
    assert count_calls(client) <= 3


def test_switching_often_does_not_multiply_it(client: Client, ear: Ear) -> None:
    put_app(client, ear.url)
    for _ in range(30):
        switch(client, live=True, rate=60)
    time.sleep(1.2)
    assert count_calls(client) <= 4


def test_what_was_scheduled_asks_again_whether_it_is_wished() -> None:
    clock, acts, ready = Clock(), [], [True]
    scheduler = Scheduler(clock)
    live = Live(
        side="x",
        clock=clock,
        scheduler=scheduler,
        store=Store(None),
        seed="s",
        act=lambda: acts.append(1),
        is_ready=lambda: ready[0],
    )
    live.switch(live=True, rate=60)
    assert scheduler.pending() == 1
    ready[0] = False
    scheduler.start()
    clock.change(advance=60)
    wait_until(lambda: scheduler.pending() == 0)
    scheduler.close()
    assert acts == []


def test_a_side_that_was_reset_sends_nothing_of_before(
    sandbox: SandboxServer, client: Client, ear: Ear
) -> None:
    put_app(client, ear.url)
    place(client, seconds=60)
    wait_until(lambda: len(ear.got) == 1)
    sandbox._sides["post"].reset()
    put_app(client, ear.url)
    client.control("clock", {"advance_seconds": 61})
    wait_until(lambda: sandbox._engine.scheduler.pending() == 0)
    client.wait_quiet()
    assert len(ear.got) == 1


def test_one_call_that_cannot_be_made_up_does_not_end_the_rest(
    made_up: None, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, seen = Post.plan_call, []

    def fail_first(self: Post, app: PushApp, wish: Mapping[str, Any]) -> dict[str, Any]:
        seen.append(app.key)
        if len(seen) == 1:
            raise KeyError("planted")
        return plan(self, app, wish)

    monkeypatch.setattr(Post, "plan_call", fail_first)
    with serve(seed="fails") as sandbox:
        client = Client(sandbox)
        put_app(client, ear.url)
        switch(client, live=True, rate=600)
        wait_until(lambda: count_calls(client) >= 1)


def test_somebody_calls_in_at_yeta(client: Client, ear: Ear) -> None:
    client.control("clock", {"speed": 300})
    client.set_app(urls={"receiveCallRecord": ear.url})
    told = client.control("calls", {"platform": "yeta"})
    client.wait_quiet()
    (record,) = (json.loads(body) for _, body in ear.got[:1])
    assert record["call_uuid"] == told["call_uuid"] and record["direction"] == 1
    switch(client, platform="yeta", live=True, rate=600)
    wait_until(lambda: count_calls(client, "yeta") >= 3)


# After a restart


def test_everything_is_taken_up_after_a_restart(made_up: None, ear: Ear, tmp_path: Path) -> None:
    with serve(state_dir=tmp_path) as sandbox:
        client = Client(sandbox)
        put_app(client, f"{ear.url}/post")
        put_app(client, f"{ear.url}/other", platform="other", key="k")
        client.control("clock", {"speed": 0})
        call = place(client, seconds=60)
        wait_until(lambda: len(ear.got) == 1)
        switch(client, platform="other", live=True, rate=5, most=7)
        assert client.look("ledger")["busy"]["calls"] == 1
    with serve(state_dir=tmp_path) as sandbox:
        client = Client(sandbox)
        assert client.look("ledger")["busy"]["calls"] == 1
        side = client.look("sides")["other"]
        assert (side["live"], side["rate"], side["most"]) == (True, 5, 7)
        switch(client, platform="other", live=False)
        apps = {(app["platform"], app["app_key"]): app for app in client.look("apps")}
        assert apps["post", "sandbox-key"]["modules"] == ["*"] == apps["other", "k"]["modules"]
        (kept,) = client.look("calls?platform=post")["items"]
        assert (kept["call"], kept["seconds"], kept["contact"]) == (call, 60, "CB-1")
        assert client.send("GET", f"/post/files/{call}.wav").status == 200
        client.control("clock", {"advance_seconds": 60})
        client.wait_quiet()
        assert [body for path, body in ear.got if path == "/post"][1:] == [ODD]
        assert int(place(client)) > int(call)
    with serve(state_dir=tmp_path) as sandbox:
        client = Client(sandbox)
        assert client.look("ledger")["busy"] == {"calls": 0, "pushes": 0}
        assert client.look("sides")["other"]["live"] is False


def test_reset_forgets_all_sides_and_nothing_comes_afterwards(
    made_up: None, ear: Ear, tmp_path: Path
) -> None:
    with serve(state_dir=tmp_path) as sandbox:
        client = Client(sandbox)
        put_app(client, ear.url)
        switch(client, live=True, rate=600)
        place(client, seconds=60)
        number = place(client)
        client.control("reset", {})
        assert int(place(client)) > int(number), "no id is given out twice"
        client.control("reset", {})
        heard = len(ear.got)
        client.control("clock", {"advance_seconds": 3600})
        time.sleep(0.2)
        assert len(ear.got) <= heard + 1  # one may have been on its way
        assert client.look("sides")["post"]["live"] is False
        assert client.look("calls")["items"] == []
        assert {app["app_key"] for app in client.look("apps")} == {"sandbox-key"}
        seed = client.look("state")["seed"]
    with serve(state_dir=tmp_path) as sandbox:
        client = Client(sandbox)
        assert client.look("state")["seed"] == seed
        assert client.look("apps")[1]["modules"] == []


def test_a_push_of_an_older_state_folder_is_still_sent() -> None:
    told = {"id": "1", "side": "yeta", "app_key": "k", "module": "m", "data": {"a": 1}}
    push = Push.from_dict({**told, "created_ms": 5})
    assert push.body == b'{"a": 1}' and push.call == "" and push.raw is None
    raw = Push.from_dict({**told, "created_ms": 5, "raw": "\xd7"})
    assert raw.body == b"\xd7" and Push.from_dict(raw.to_dict()).body == b"\xd7"
