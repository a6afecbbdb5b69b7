"""In: payload files of a platform. Out: their requests, as a test sends or parses them.

A file ``<v>/payloads/<event>__<variant>.http`` is one HTTP request: request line, headers, an empty
line, the body's bytes up to the end of the file. ``SOURCES.md`` beside them says of each where it
is from. ``event`` is the kind of callback; a reply of the platform is an event ``reply_<call>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from campaigns.platforms.contract import Push

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload file, read."""

    platform: str
    event: str
    variant: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def name(self) -> str:
        return f"{self.event}__{self.variant}"

    @property
    def is_reply(self) -> bool:
        return self.event.startswith("reply_")

    def make_push(self) -> Push:
        """The push at the address it was sent to: ``/callbacks/TOKEN/<kind>``, ``/callbacks/TOKEN/``
        where one address takes all."""
        return self.make_push_at(self.target.strip("/").partition("TOKEN")[2].strip("/"))

    def make_push_at(self, kind: str) -> Push:
        return Push(kind=kind, body=self.body, headers=self.headers)


def read_payload(path: Path) -> Payload:
    head, _, body = path.read_bytes().partition(b"\n\n")
    request_line, *header_lines = head.decode().split("\n")
    method, target, _ = request_line.split(" ")
    pairs = [line.split(": ", 1) for line in header_lines]
    event, _, variant = path.stem.partition("__")
    return Payload(
        platform=path.parent.parent.name,
        event=event,
        variant=variant,
        method=method,
        target=target,
        headers={name.lower(): value for name, value in pairs},
        body=body.removesuffix(b"\n"),
    )


def list_payloads(platform: str) -> list[Payload]:
    return [read_payload(path) for path in sorted((HERE / platform / "payloads").glob("*.http"))]


def find_payload(platform: str, name: str) -> Payload:
    return read_payload(HERE / platform / "payloads" / f"{name}.http")
