"""In: the days and files that a pretended platform has. Out: that much of its HTTP."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from campaigns.models import Account
from tests.factories import make_account


def make_wrapped(body: bytes, module: str = "receiveCallRecord") -> bytes:
    """A push as it stands in a file."""
    told = {"data": json.loads(body), "module": module, "retryTimes": 4}
    wrapped = {**told, "timestamp": 1_760_000_030_000}
    return json.dumps(wrapped, ensure_ascii=False, separators=(",", ":")).encode()


def make_zip(entries: Mapping[str, bytes], *, stored: bool = False) -> bytes:
    packed = io.BytesIO()
    method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return packed.getvalue()


class FailedPushes:
    """``days`` {"2026-11-20": result of push/failed}; ``files`` {path: bytes, or a status}."""

    def __init__(self) -> None:
        self.days: dict[str, Any] = {}
        self.files: dict[str, bytes | int] = {}
        self.asked: list[str] = []
        self.broken = False
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if "oauth" in self.path:
                    result: Any = {"token": "t" * 32, "time_expire": 7200}
                else:
                    platform.asked.append(told.get("date", ""))
                    result = platform.days.get(told.get("date", ""), {"url": []})
                reply = {"code": 0, "message": "ok", "result": result}
                status = 500 if platform.broken and "oauth" not in self.path else 200
                self._send(status, json.dumps(reply).encode())

            def do_GET(self) -> None:
                platform.asked.append(self.path)
                found = platform.files.get(self.path.removeprefix("/push_download/"), 404)
                self._send(found if isinstance(found, int) else 200,
                           b"" if isinstance(found, int) else found)  # fmt: skip

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def put(self, day: str, files: Mapping[str, bytes | int]) -> None:
        self.days[day] = {"url": list(files)}
        self.files.update(files)

    def make_account(self, **fields: Any) -> Account:
        settings = {"push_download_prefix": f"{self.url}/push_download/"}
        values: dict[str, Any] = {
            "base_url": f"{self.url}/openapi",
            "settings": settings,
            "rate_limit": 0,
        }
        return make_account(**values | fields)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
