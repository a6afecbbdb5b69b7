"""In: pushes over HTTP on loopback. Out: each as (path, bytes), answered as a test wants."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any


class Ear:
    """Takes pushes as they are; ``answer`` says status and body for each path (None: silence)."""

    def __init__(self) -> None:
        self.answer: Callable[[str], tuple[int, bytes] | None] = lambda _: (200, b"{}")
        self.got: list[tuple[str, bytes]] = []
        ear = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ear.got.append((self.path, body))
                said = ear.answer(self.path)
                if said is None:
                    ear.closing.wait(5)
                    self.close_connection = True
                    return
                self.send_response(said[0])
                self.send_header("Content-Length", str(len(said[1])))
                self.end_headers()
                self.wfile.write(said[1])

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.closing = threading.Event()
        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in list(self.got)]

    def told(self, kind: str) -> list[Any]:
        """What came to ``<url>/<kind>``, as JSON."""
        return [json.loads(body) for path, body in list(self.got) if path.strip("/") == kind]

    def __enter__(self) -> Ear:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
