"""In: a task whose platform dials at once. Out: it driven, and what the platform has of it."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from campaigns import batching, dispatch, reconcile
from campaigns.linking import name_contact
from campaigns.models import Attempt, Contact, Task
from campaigns.statistics import summarise_task
from tests.platforms.sandbox_client import Client

#: states of contacts that the platform may have
WITH_THE_PLATFORM = {"sending", "unknown", "accepted", "finished"}


def status_of(task: Task) -> str:
    task.refresh_from_db()
    return task.status


def count_states(task: Task) -> dict[str, int]:
    """The states that contacts of the task are in, of those that the screens count."""
    return {state: count for state, count in summarise_task(task).contacts.items() if count}


def count_requests(platform: Client, name: str) -> int:
    told: dict[str, int] = platform.look("ledger")["requests"]
    return told.get(f"airudder/{name}", 0)


def list_calls(platform: Client) -> list[dict[str, Any]]:
    told = platform.look("calls?platform=airudder&limit=200000")
    assert told["gone"] == 0
    calls: list[dict[str, Any]] = told["items"]
    return calls


def count_handovers(platform: Client) -> dict[str, int]:
    """{case id: how often the platform took it in}: each time its calls begin at the first."""
    return dict(Counter(call["contact"] for call in list_calls(platform) if call["attempt"] == 1))


def strike(platform: Client, name: str, kind: str, **rule: Any) -> None:
    """A fault of the next request, or of so many."""
    platform.control("faults", {"endpoint": f"airudder/{name}", "kind": kind, "count": 1} | rule)


def check_nobody_is_lost(task: Task, platform: Client, *, contacts: int) -> None:
    """Every contact is counted in one state, the platform has nobody twice, and whom it has we do
    not take for somebody it has not."""
    assert sum(count_states(task).values()) == contacts
    there = count_handovers(platform)
    assert set(there.values()) <= {1}, [key for key, count in there.items() if count > 1]
    for pk, status in task.contacts.values_list("pk", "status"):
        if name_contact(pk) in there:
            assert status in WITH_THE_PLATFORM, (pk, status)
        else:
            assert status not in ("accepted", "finished"), (pk, status)


def drive(task: Task, *, settle: bool = True, rounds: int = 100) -> None:
    """Do in turn what the jobs of the task would do, until there is nothing to do.

    Waits are over at once, and what is unknown is asked about each time.
    """
    idle = 0
    for _ in range(rounds):
        Task.objects.filter(pk=task.pk).update(not_before=None)
        following = dispatch.advance_task(task.pk)
        if following.what == "plan":
            batching.plan_batches(Task.objects.get(pk=task.pk))
        elif following.what == "send":
            send_all(task)
        asked = settle and task.attempts.filter(status=Attempt.Status.UNKNOWN).exists()
        if asked:
            reconcile.settle_task(task.pk)
        idle = 0 if asked or following.what in ("plan", "send") else idle + 1
        if idle > 1:
            return
    raise AssertionError(f"It did not come to rest: {list(task.attempts.values())}")


def send_all(task: Task) -> None:
    while attempt := dispatch.claim_batch(task.pk):
        dispatch.send_batch(attempt)


def launch(task: Task) -> None:
    """Launched, its batches planned and its first instance made; nothing handed over."""
    dispatch.launch_task(task, by=None)
    assert dispatch.advance_task(task.pk) == dispatch.Next("plan")
    batching.plan_batches(task)
    assert dispatch.advance_task(task.pk) == dispatch.Next("send")


def claim(task: Task) -> Attempt:
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None
    return attempt


def keys_of(contacts: Any) -> list[str]:
    return [name_contact(pk) for pk in contacts.order_by("id").values_list("pk", flat=True)]


def phones_of(task: Task) -> list[str]:
    return list(Contact.objects.filter(task=task).order_by("id").values_list("phone", flat=True))


class Relay:
    """A door in front of the sandbox that can hold or change an answer on its way back.

    ``change`` gets the name of the call (``uploaddetails``) and the answer, when the platform has
    done it already.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.change: Callable[[str, int, bytes], tuple[int, bytes]] = lambda _, status, body: (
            status,
            body,
        )
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                there = http.client.HTTPConnection(*target, timeout=30)
                try:
                    there.request("POST", self.path, body=body, headers=dict(self.headers))
                    reply = there.getresponse()
                    status, said = reply.status, reply.read()
                finally:
                    there.close()
                name = urlsplit(self.path).path.rpartition("/")[2]
                status, said = outer.change(name, status, said)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(said)))
                    self.end_headers()
                    self.wfile.write(said)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self._server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
