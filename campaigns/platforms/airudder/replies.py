"""In: a whole reply of AI Rudder. Out: what it says, or the error that it means.

A call succeeded when HTTP 200 brought the integer ``code`` 200, a ``status`` that says nothing else
than ``OK``, and the documented ``data``. The vendor fails with HTTP 200 too, in a body that no text
shows, and no code of an error is documented. So a failing ``code`` is told to the operator where we
only asked; where calls might have been added it leaves open whether they were (``Uncertain``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from campaigns.platforms.airudder.callbacks import read_record
from campaigns.platforms.airudder.numbers import is_same_number
from campaigns.platforms.bodies import read_body
from campaigns.platforms.contract import Reading, Verified
from campaigns.platforms.errors import Consequence, ErrorCode, Rejected, Uncertain, Unrecognised
from campaigns.platforms.events import AnyEvent
from campaigns.platforms.http import Reply
from campaigns.platforms.values import Problem, clean, read_id

UNUSABLE = "The platform's answer is not the documented one"
SUCCESS, FINE = 200, "OK"
#: what the platform says over its own interface is believed over any push
VERIFIED_RANK = 100
#: asked for as well, in a shape that we only infer: over a push, under a verification
DETAIL_RANK = 30

REFUSED = (
    "The platform did not do what it was asked. What it said stands beside; the meaning of its "
    "codes is documented nowhere to us."
)
REFUSED_TOKEN = (
    "The platform does not accept the token it has just given us. Check app_key and app_secret of "
    "the account, and ask the vendor whether they may use this interface."
)
REFUSED_LOGIN = (
    "The platform refuses the login. Check app_key and app_secret of the account, and its base URL."
)
REFUSED_VERIFY = (
    "The platform does not confirm this push. It answers about pushes of custom API nodes of the "
    "last three months only; if this is one, the push may be forged."
)
_TOKEN_CODES = (401, 403)


# ------------------------------------------------------------------------------- success or refusal


def read_success(
    reply: Reply,
    *,
    adds_calls: bool,
    redact: Callable[[str], str],
    advice: str = REFUSED,
    consequence: Consequence = Consequence.TELL_OPERATOR,
) -> Any:
    """``data`` of a successful reply, None where it has none.

    Raises ``Uncertain`` for what is no answer of this interface, and for a failing one when the
    request adds calls; else ``Rejected`` for a failing one.
    """
    try:
        body = read_body(reply.body)
    except Unrecognised as error:
        raise Uncertain(f"{UNUSABLE}: {error.reason}, HTTP {reply.status}.") from None
    code, status = body.value.get("code"), body.value.get("status")
    if type(code) is not int or body.problems.keys() & {"code", "status", "data"}:  # True is no 1
        raise Uncertain(f"{UNUSABLE}: no integer code, HTTP {reply.status}.")
    if code == SUCCESS:
        if reply.status != 200 or status not in (None, FINE):
            raise Uncertain(f"{UNUSABLE}: it says both success and failure, HTTP {reply.status}.")
        if body.problems:
            raise Uncertain(f"{UNUSABLE}: a name is given twice.")
        return body.value.get("data")
    said = " ".join(
        redact(str(clean(words)))
        for words in (status, body.value.get("message"))
        if isinstance(words, str)
    )[:200]
    if adds_calls:
        raise Uncertain(f"The platform answered with an undocumented code: {code} {said}".strip())
    raise Rejected(ErrorCode(str(code), said, consequence, advice))


def may_be_token(reply: Reply) -> bool:
    """Whether the reply may mean that the token is refused: 401 or 403, as HTTP status or code."""
    if reply.status in _TOKEN_CODES:
        return True
    try:
        return read_body(reply.body).value.get("code") in _TOKEN_CODES
    except Unrecognised:
        return False


def read_token(data: Any) -> str:
    """``data.token``."""
    token = data.get("token") if isinstance(data, dict) else None
    if not isinstance(token, str) or not re.fullmatch(r"[\w.~+/=:-]{1,4000}", token, re.ASCII):
        raise Uncertain(f"{UNUSABLE}: no token.")
    return token


def read_workflow_id(data: Any) -> str:
    """``data.workflow_id`` of createinstance."""
    found = _read_own_id(data.get("workflow_id")) if isinstance(data, dict) else None
    if found is None:
        raise Uncertain(f"{UNUSABLE}: no workflow_id.")
    return found


def _read_own_id(value: Any) -> str | None:
    try:
        found = read_id(value)
    except Problem:
        return None
    return None if found is None or re.fullmatch(r"0+|-.*", found) else found


# ------------------------------------------------------------------------------------------ asking


def read_workflow_ids(data: Any) -> tuple[str, ...]:
    """Every workflow_id in ``data`` of detailinstances, each once.

    Its shape is not documented: a list of ids or of objects with ``workflow_id``, such an object,
    or an object with one such list in it. Anything else is ``Uncertain``, also nothing at all: that
    nobody was found must be said.
    """
    return tuple(dict.fromkeys(_list_ids(data)))


def _list_ids(data: Any) -> Iterator[str]:
    if isinstance(data, list):
        for item in data:
            found = _read_own_id(item.get("workflow_id") if isinstance(item, dict) else item)
            if found is None:
                raise Uncertain(f"{UNUSABLE}: an entry without a workflow_id.")
            yield found
        return
    if isinstance(data, dict):
        if (found := _read_own_id(data.get("workflow_id"))) is not None:
            yield found
            return
        inner = [value for value in data.values() if isinstance(value, list)]
        if len(inner) == 1:
            yield from _list_ids(inner[0])
            return
    raise Uncertain(f"{UNUSABLE}: no workflow_id.")


def read_calls(data: Any, reading: Reading, *, workflow_id: str) -> tuple[AnyEvent, ...]:
    """The calls in ``data`` of taskdetail, each read like a record that is pushed.

    Entries that are none are left out, unless nothing is left. Whose workflow an entry does not
    name is that of the one asked for.
    """
    rows = data
    if isinstance(data, dict) and "call" not in data and "call_id" not in data:
        inner = [value for value in data.values() if isinstance(value, list)]
        rows = inner[0] if len(inner) == 1 else None
    elif isinstance(data, dict):
        rows = [data]
    if not isinstance(rows, list):
        raise Uncertain(f"{UNUSABLE}: no list of calls.")
    events: list[AnyEvent] = []
    for row in rows:
        if not isinstance(row, dict):
            continue
        named = _read_own_id(row.get("workflow_id"))
        if named not in (None, workflow_id):
            raise Uncertain(f"{UNUSABLE}: a call of another workflow than asked for.")
        record = {**row, "workflow_id": workflow_id}
        try:
            events += read_record(record, reading, source="taskdetail", rank=DETAIL_RANK)
        except Unrecognised:
            continue
    if rows and not events:
        raise Uncertain(f"{UNUSABLE}: no call in it can be read.")
    return tuple(events)


def read_verified(data: Any, reading: Reading, *, query: Mapping[str, str]) -> Verified:
    """``data`` of apinoticeinfo, which must be of the workflow, node and number asked for."""
    if not isinstance(data, dict):
        raise Uncertain(f"{UNUSABLE}: no record.")
    for name in ("workflow_id", "node_id"):
        if _read_own_id(data.get(name)) != query[name]:
            raise Uncertain(f"{UNUSABLE}: the record of another {name} than asked for.")
    callee = data.get("callee")
    told = callee if isinstance(callee, dict) else {"callee_number": callee}
    number, case_id = told.get("callee_number"), told.get("case_id")
    asked = query.get("case_id")
    # A spreadsheet makes floats of ids that are numbers: 123456.0 is the case 123456.
    other_case = asked and case_id and str(case_id).removesuffix(".0") != asked.removesuffix(".0")
    other = isinstance(number, str) and number and not is_same_number(number, query["callee"])
    if other or other_case:
        # The push names somebody else than the platform does: that is where they differ. What it
        # says of that one is no news of this call.
        return Verified(record=clean(data), events=())
    try:
        events = read_record(data, reading, source="apinoticeinfo", rank=VERIFIED_RANK)
    except Unrecognised as error:
        raise Uncertain(f"{UNUSABLE}: {error.reason}.") from None
    return Verified(record=clean(data), events=events)
