"""In: an account's connection and what we want done. Out: AI Rudder's answer, or an error.

Its cloud API as far as platforms/facts.md knows it, and no more. Documented: the token, finding a
workflow, verifying a push, the parameters of a new workflow. From others' client code, *unverified*
and off until the account's setting ``allow_unverified`` is on: how a workflow is filled, what the
answers hold, and the calls of a workflow. There is no start: what is filled in is dialled. There is
no pause, no delete, no query that is documented to us. How replies are read is in ``replies``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from campaigns.platforms.airudder import replies
from campaigns.platforms.airudder.configuration import (
    KEY_COLUMN,
    SETTING,
    fold_column,
    read_templates,
)
from campaigns.platforms.airudder.numbers import to_international
from campaigns.platforms.contract import (
    Catalog,
    Client,
    Connection,
    Inserted,
    Reading,
    TaskOrder,
    Verified,
)
from campaigns.platforms.errors import (
    Consequence,
    NotSent,
    PlatformError,
    Rejected,
    Throttled,
    Uncertain,
)
from campaigns.platforms.events import AnyEvent
from campaigns.platforms.http import Reply

ROWS_PER_REQUEST = 100
TOKEN_SECONDS = 86_400.0

_PAUSE = Consequence.PAUSE_TASK
_KEY = re.compile(r"CB-[0-9]{1,18}", re.ASCII)
_QUERY = ("workflow_id", "node_id", "callee")


class AIRudderClient(Client):
    """One account at AI Rudder. Every method raises only ``PlatformError``s, and ``ValueError`` for
    an argument that may never be sent (more than 100 rows, an id that a spreadsheet would change,
    times without a zone)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reading = Reading(connection.time_zone, connection.settings)

    # --------------------------------------------------------------------------- the account

    def test_connection(self) -> None:
        """Fetch a token past the cache."""
        self._fetch_token()

    def fetch_catalog(self) -> Catalog:
        """The workflow templates named in the account's settings, without the network: how they
        are listed is not documented to us. Raises ``NotSent`` with a sentence for a bad setting."""
        robots = read_templates(self._connection.settings.get(SETTING, ""))
        return Catalog(robots=robots, lines=(), voices=(), callback_urls={})

    # ----------------------------------------------------------------------------- the tasks

    def create_task(self, order: TaskOrder) -> str:
        """workflow/createinstance, *unverified*: the form of ``end_time`` and the answer are known
        from client code only. *Adds calls*, though an empty workflow calls nobody."""
        if order.end_at is None:
            raise ValueError("A workflow needs an end.")
        if order.lines or order.windows or order.recall_count:
            raise ValueError("A workflow takes no lines, no hours and no recalls.")
        if not re.fullmatch(r"[0-9]{1,18}", order.robot_id, re.ASCII):
            raise ValueError("The id of a workflow template is a number.")
        end = _check_aware(order.end_at).astimezone(self._connection.time_zone)
        payload = {
            "workflow_template_id": int(order.robot_id),
            "name": order.name,
            "end_time": end.isoformat(sep=" ", timespec="seconds"),
        }
        # An empty workflow calls nobody, so what the platform says of a failure is believed here: a
        # template that does not exist must not be tried for ever.
        return replies.read_workflow_id(self._add("createinstance", payload, believed=True))

    def insert_contacts(
        self,
        platform_task_id: str,
        *,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        keys: Sequence[str],
    ) -> Inserted:
        """workflow/uploaddetails, 1 to 100 rows, *unverified*. The first column is the number, sent
        as E.164; ``keys`` go along as ``case_id``. The answer names no ids: the case ids are the
        platform's. *Adds calls.*"""
        payload = {
            "workflow_id": platform_task_id,
            "details": _make_details(columns, rows, keys),
        }
        self._add("uploaddetails", payload)
        return Inserted(platform_contact_ids=tuple(keys))

    # -------------------------------------------------------------------------------- asking

    def find_contact(
        self,
        *,
        key: str | None = None,
        number: str | None = None,
        begin_at: datetime,
        end_at: datetime,
    ) -> tuple[str, ...]:
        """workflow/detailinstances: the workflows that hold this case or number. In which zone the
        platform takes the times is not documented: that of the account."""
        payload: dict[str, Any] = {}
        if key:
            payload[KEY_COLUMN] = key
        if number:
            payload["callee"] = to_international(number)
        if not payload:
            raise ValueError("A contact is found by its key or its number.")
        payload["start_time"] = self._write_time(begin_at)
        payload["end_time"] = self._write_time(end_at)
        return replies.read_workflow_ids(self._ask("detailinstances", payload))

    def fetch_calls(self, platform_task_id: str) -> tuple[AnyEvent, ...]:
        """workflow/taskdetail, *unverified*: that it is asked by ``workflow_id`` alone, and answers
        with records like those pushed, is inferred; its page is cut in what we have."""
        data = self._ask("taskdetail", {"workflow_id": platform_task_id})
        return replies.read_calls(data, self._reading, workflow_id=platform_task_id)

    def verify_push(self, query: Mapping[str, str]) -> Verified:
        """workflow/apinoticeinfo: the record of a custom push, of the last three months."""
        if not all(query.get(name) for name in _QUERY):
            raise ValueError("A push is asked for by its workflow, node and number.")
        names = (*_QUERY, KEY_COLUMN)
        payload = {name: query[name] for name in names if query.get(name)}
        data = self._ask("apinoticeinfo", payload, advice=replies.REFUSED_VERIFY)
        return replies.read_verified(data, self._reading, query=query)

    # ------------------------------------------------------------------------------- requests

    def _add(self, path: str, payload: dict[str, Any], *, believed: bool = False) -> Any:
        """POST what adds calls, once.

        No refusal of it is documented, so unless ``believed`` none is, not even of the token or for
        being busy: 401, 403 and 429 are ``Uncertain`` like any other failure. The token is then
        replaced all the same, so that what became of the request can be asked, and the next one is
        not refused as well.
        """
        token = self._get_token(stale=None)
        try:
            reply = self._post(f"workflow/{path}", payload, token=token)
        except Throttled:
            if believed:
                raise
            raise Uncertain("The platform answered that it is busy.") from None
        believed = believed and not replies.may_be_token(reply)
        try:
            return replies.read_success(
                reply, adds_calls=not believed, redact=self._hide(token), consequence=_PAUSE
            )
        except Rejected as error:
            if error.code.text.startswith(replies.FINE):
                raise Uncertain("The platform says both success and failure.") from None
            raise
        except Uncertain:
            if replies.may_be_token(reply):
                with contextlib.suppress(PlatformError):
                    self._get_token(stale=token)
            raise

    def _ask(self, path: str, payload: dict[str, Any], *, advice: str = replies.REFUSED) -> Any:
        """POST a question. What may be a refused token is replaced once and the question put again:
        asking twice does no harm."""
        consequence = Consequence.TELL_OPERATOR
        token = self._get_token(stale=None)
        reply = self._post(f"workflow/{path}", payload, token=token)
        if replies.may_be_token(reply):
            token = self._get_token(stale=token)
            reply = self._post(f"workflow/{path}", payload, token=token)
            if replies.may_be_token(reply):
                advice, consequence = replies.REFUSED_TOKEN, Consequence.PAUSE_ACCOUNT
        return replies.read_success(
            reply,
            adds_calls=False,
            redact=self._hide(token),
            advice=advice,
            consequence=consequence,
        )

    def _post(self, path: str, payload: dict[str, Any], *, token: str | None) -> Reply:
        headers = {"User-Agent": "Airudder"}
        if token is not None:
            headers["Authorization"] = f"Token {token}"
        return self._connection.transport.post_json(
            f"{self._connection.base_url.rstrip('/')}/service/cloud/{path}",
            payload,
            purpose=path,
            headers=headers,
        )

    def _hide(self, token: str | None) -> Callable[[str], str]:
        """A function that takes every secret out of what the platform said."""
        hidden = [token] if token else []
        return lambda text: self._connection.transport.redact(text, hidden=hidden)

    def _get_token(self, *, stale: str | None) -> str:
        """The account's token. When logging in leaves anything open, the request it was for has
        certainly not been sent."""
        try:
            return self._connection.tokens.get(self._fetch_token, stale=stale)
        except Uncertain as error:
            raise NotSent(f"Logging in failed: {error}", advice=error.advice) from None

    def _fetch_token(self) -> tuple[str, float]:
        """auth: the token, and the 24 hours that it lives."""
        credentials = self._connection.credentials
        payload = {
            "APPKey": credentials.get("app_key", ""),
            "APPSecret": credentials.get("app_secret", ""),
        }
        reply = self._post("auth", payload, token=None)
        try:
            data = replies.read_success(
                reply,
                adds_calls=False,
                redact=self._hide(None),
                advice=replies.REFUSED_LOGIN,
                consequence=Consequence.PAUSE_ACCOUNT,
            )
            return replies.read_token(data), TOKEN_SECONDS
        except Uncertain as error:
            raise Uncertain(
                str(error),
                advice="The platform did not answer the login as documented. Check the base URL of "
                "the account.",
            ) from None

    def _write_time(self, moment: datetime) -> str:
        local = _check_aware(moment).astimezone(self._connection.time_zone)
        return local.strftime("%Y-%m-%d %H:%M:%S")


def _make_details(
    columns: Sequence[str], rows: Sequence[Sequence[str]], keys: Sequence[str]
) -> list[dict[str, str]]:
    if not 1 <= len(rows) <= ROWS_PER_REQUEST:
        raise ValueError(f"A request takes 1 to {ROWS_PER_REQUEST} rows, not {len(rows)}.")
    if not columns or any(len(row) != len(columns) for row in rows):
        raise ValueError("Every row needs a value for each column.")
    plain = [fold_column(name) for name in columns]
    if len(set(columns)) < len(columns) or fold_column(KEY_COLUMN) in plain:
        raise ValueError("Each column is named once, and none is called case_id.")
    if len(keys) != len(rows) or len(set(keys)) < len(keys):
        raise ValueError("Every row needs a key of its own.")
    if not all(_KEY.fullmatch(key) for key in keys):
        raise ValueError("A key looks like CB-123: no spreadsheet takes it for a number.")
    return [
        dict(zip(columns, (to_international(row[0]), *row[1:]), strict=True)) | {KEY_COLUMN: key}
        for row, key in zip(rows, keys, strict=True)
    ]


def _check_aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("A time without a zone is no time.")
    return moment
