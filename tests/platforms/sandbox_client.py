"""In: a running sandbox. Out: a plain client of its HTTP, and a receiver of its pushes."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from campaigns.platforms.sandbox import SandboxServer

MODULES = ("receiveCallRecord", "receiveVoice", "receiveDialog")
LINE, ROBOT = "055160000001", "719001"
COLUMNS = ["客户手机号码", "姓名"]


def wait_until(told: Callable[[], Any], *, seconds: float = 60) -> Any:
    """The first true answer; fails when there is none in time."""
    ends_at = time.monotonic() + seconds
    while not (answer := told()):
        assert time.monotonic() < ends_at, "It did not happen in time."
        time.sleep(0.01)
    return answer


def make_rows(count: int, *, first: int = 1) -> list[list[str]]:
    return [[f"199{first + n:08d}", "张三"] for n in range(count)]


class Answer:
    """A reply as it came."""

    def __init__(self, reply: http.client.HTTPResponse) -> None:
        self.status = reply.status
        self.headers = {name.lower(): value for name, value in reply.getheaders()}
        self.body = reply.read()

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Speaks with a sandbox as the demo application does."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.address = sandbox.address
        self.token = ""

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def post(self, path: str, told: Any, *, timeout: float = 30) -> Answer:
        headers = {"Content-Type": "application/json;charset=UTF-8"}
        body = json.dumps(told).encode()
        return self.send("POST", path, body=body, headers=headers, timeout=timeout)

    def control(self, name: str, told: Any, *, method: str = "POST") -> Any:
        headers = {"Content-Type": "application/json"}
        answer = self.send(
            method, f"/_sandbox/{name}", body=json.dumps(told).encode(), headers=headers
        )
        assert answer.status == 200, answer.body
        if "advance_seconds" in told:
            self.token = ""  # tokens age with the jump
        return answer.json()

    def look(self, name: str) -> Any:
        return self.send("GET", f"/_sandbox/{name}").json()

    def set_app(self, **wish: Any) -> None:
        self.control("apps/sandbox-key", wish, method="PUT")

    def get_token(self) -> str:
        told = {"app_key": "sandbox-key", "app_secret": "sandbox-secret"}
        self.token = self.post("/openapi/oauth/v1/token", told).json()["result"]["token"]
        return self.token

    def path_of(self, name: str) -> str:
        group, call = name.split("/")
        version = {"task": "outbound/v1/task", "config": "config/v1", "push": "download/v1/push"}
        return f"/openapi/{version[group]}/{call}?token={self.token or self.get_token()}"

    def ask(self, name: str, *, timeout: float = 30, **told: Any) -> Any:
        """The whole reply of a call such as `task/create`."""
        return self.post(self.path_of(name), told, timeout=timeout).json()

    def code_of(self, name: str, **told: Any) -> int:
        reply = self.ask(name, **told)
        assert set(reply) == {"code", "message", "result"}
        code: int = reply["code"]
        return code

    def get(self, name: str, **told: Any) -> Any:
        """The result of a call that must succeed."""
        reply = self.ask(name, **told)
        assert type(reply["code"]) is int and reply["code"] == 0, reply
        return reply["result"]

    def create(self, **told: Any) -> str:
        wish = {
            "task_name": "试验",
            "line_num": LINE,
            "robot_id": ROBOT,
            "time_begin": int(time.time() * 1000) - 60_000,
            **told,
        }
        number: str = self.get("task/create", **wish)["task_id"]
        return number

    def insert(self, task: str, rows: list[list[str]]) -> list[int]:
        ids: list[int] = []
        for n in range(0, len(rows), 50):
            told = {"task_id": task, "call_column": COLUMNS, "call_list": rows[n : n + 50]}
            ids += self.get("task/insert", **told)["task_data_ids"]
        return ids

    def run(self, rows: list[list[str]], **told: Any) -> str:
        """A task with these rows, started."""
        task = self.create(**told)
        self.insert(task, rows)
        self.get("task/start", task_id=task)
        return task

    def row_of(self, task: str) -> Any:
        rows = self.get("task/query", task_id=task)["rows"]
        assert len(rows) == 1
        return rows[0]

    def wait_for(self, task: str, *, status: int = 4) -> Any:
        return wait_until(lambda: (row := self.row_of(task))["status"] == status and row)

    def wait_quiet(self) -> Any:
        """The ledger once neither a call nor a push is under way."""
        return wait_until(
            lambda: (told := self.look("ledger"))["busy"] == {"calls": 0, "pushes": 0} and told
        )


class Receiver:
    """An application that takes pushes; `answer` is what it says to each of them."""

    def __init__(self) -> None:
        self.answer: Callable[[str, int], bytes] = lambda _, __: b'{"message": "success"}'
        self.got: list[tuple[str, Any]] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                module = urlsplit(self.path).path.strip("/")
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    outer.got.append((module, body))
                    count = len(outer.got)
                said = outer.answer(module, count)
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(said)))
                    self.end_headers()
                    self.wfile.write(said)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        self._server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    @property
    def urls(self) -> dict[str, str]:
        base = f"http://127.0.0.1:{self._server.server_port}"
        every = (*MODULES, "getDialogContext", "semantic")
        return {module: f"{base}/{module}" for module in every}

    def told(self, module: str) -> list[Any]:
        return [body for name, body in list(self.got) if name == module]

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
