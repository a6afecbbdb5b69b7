"""In: payload files of a platform. Out: their requests, as a test sends or parses them.

A file ``<v>/payloads/<event>__<variant>.http`` is one HTTP request: request line, headers, an empty
line, the body's bytes up to the end of the file. ``SOURCES.md`` beside them says of each where it
is from. ``event`` is the kind of callback; a reply of the platform is an event ``reply_<call>``.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    def text(self) -> str:
        return self.body.decode()

    @property
    def is_reply(self) -> bool:
        return self.event.startswith("reply_")

    def make_push(self) -> Push:
        """The push as it was sent to ``/callbacks/TOKEN/<kind>``, or to ``/callbacks/TOKEN/`` where
        one address takes all."""
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


# ---------------------------------------------------------- what is expected of a platform's own


def list_unseen(platform: str) -> dict[str, set[str]]:
    """{name of a status table: words that no payload shows}, from ``<v>/expectations.py``."""
    unseen: dict[str, str] = find_expectation(platform, "UNSEEN")
    return {table: set(words.split()) for table, words in unseen.items()}


def list_expected_problems(platform: str) -> dict[str, dict[str, str]]:
    """{payload: {unusable field of it: why}}, from ``<v>/expectations.py``."""
    problems: dict[str, dict[str, str]] = find_expectation(platform, "EXPECTED_PROBLEMS")
    return problems


def find_expectation(platform: str, name: str) -> Any:
    """What ``<v>/expectations.py`` calls so, an empty dictionary where it has none."""
    if not (HERE / platform / "expectations.py").is_file():
        return {}
    return getattr(importlib.import_module(f"tests.platforms.{platform}.expectations"), name, {})


# ------------------------------------------------------------------------------------ words in it

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\]:,]|[^\s"{}\[\]:,]+')


def walk_words(text: str, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """(names from the outside in, word) of every value in a JSON text, both of a doubled key, and
    of JSON inside strings too. Reads vendors' samples that are no JSON: a comma may be missing."""
    tokens = _TOKEN.findall(text)
    around: list[str] = []
    name = ""
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in ("{", "["):
            around.append(name)
            name = ""
        elif token in ("}", "]"):
            if around:
                around.pop()
            name = ""
        elif token.startswith('"') and following == ":":
            name = _read_string(token)
        elif token == ",":
            name = ""
        elif token != ":":
            word = _read_string(token) if token.startswith('"') else token
            path = (*place, *(part for part in (*around, name) if part))
            yield path, word
            if word.lstrip()[:1] in ("{", "["):
                yield from walk_words(word, path)


def _read_string(token: str) -> str:
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token.strip('"')


def stands_at(path: tuple[str, ...], field: str) -> bool:
    """Whether a value stands under this name; ``rows.status`` names the object around it too."""
    parts = tuple(field.split("."))
    return path[-len(parts) :] == parts
