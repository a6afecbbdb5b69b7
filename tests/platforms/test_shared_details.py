"""In: records with a field of the vendor's that is called like a shared detail. Out: both are kept.

Must catch: a vendor's ``path`` or ``person`` that takes the place of ours, or is lost to it; a name
in the table of ``events`` that the constant does not have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from campaigns.platforms import events
from campaigns.platforms.contract import Push
from campaigns.platforms.events import SHARED_DETAILS, keep_apart
from campaigns.platforms.yeta.callbacks import parse as parse_yeta
from tests.platforms.airudder.making import parse_call
from tests.platforms.ima51 import making as ima51
from tests.platforms.moor7 import making as moor7
from tests.platforms.payloads import find_payload

#: the vendor's own fields, with the meaning of the shared name
OWN = {"airudder": {"labels", "slots", "questions"}}


def parse_yeta_record(**fields: Any) -> Any:
    payload = find_payload("yeta", "receiveCallRecord__outbound")
    body = json.dumps(json.loads(payload.body) | fields).encode()
    push = Push(kind=payload.make_push().kind, body=body)
    return parse_yeta(push, ima51.READING)[0]


RECORDS: dict[str, Callable[..., Any]] = {
    "yeta": parse_yeta_record,
    "airudder": parse_call,
    "moor7": moor7.parse_record,
    "ima51": ima51.parse_record,
}


@pytest.mark.parametrize("platform", RECORDS)
def test_a_field_called_like_a_shared_detail_is_kept_apart(platform: str) -> None:
    plain = RECORDS[platform]().details
    for name in SHARED_DETAILS - OWN.get(platform, set()):
        details = RECORDS[platform](**{name: "theirs"}).details
        assert details == plain | {f"{name} (platform)": "theirs"}, name


def test_names_kept_apart_hide_nothing() -> None:
    own = {"path": 1, "path (platform)": 2, "x": 3}
    assert keep_apart(own) == {"path (platform) (platform)": 1, "path (platform)": 2, "x": 3}
    assert list(keep_apart(dict(reversed(own.items()))).values()) == [3, 2, 1]


def test_the_table_names_every_shared_detail() -> None:
    table = re.findall(r"^``(\w+)``  ", events.__doc__ or "", re.M)
    assert set(table) == SHARED_DETAILS
    assert len(table) == len(SHARED_DETAILS)
