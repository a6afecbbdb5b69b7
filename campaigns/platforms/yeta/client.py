"""In: an account's connection and what we want done. Out: yeta's answer, or a ``PlatformError``.

Part 1 of "yeta开放平台开发接口", all ten calls. A call succeeded when its reply holds the integer
``code`` 0 and an object ``result``, nothing looser; a code of the appendix is a refusal, and every
refusal means that nothing was done; everything else leaves open what happened (``Uncertain``).
How replies are read is in ``replies``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, time
from typing import Any

from campaigns.platforms.contract import (
    Catalog,
    Client,
    Connection,
    FailedPushFiles,
    Inserted,
    TaskOrder,
)
from campaigns.platforms.errors import Consequence, NotSent, Rejected, Throttled, Uncertain
from campaigns.platforms.events import PlatformTaskState, TaskChanged
from campaigns.platforms.http import Reply
from campaigns.platforms.yeta import replies
from campaigns.platforms.yeta.configuration import read_catalog
from campaigns.platforms.yeta.vocabulary import CONFIG_TYPES, ERRORS, TASK_SORTS, TASK_STATE_CODES

ROWS_PER_REQUEST = 50
SPEEDS = (-500, 500)
PAGE_SIZE = 50
MAX_PAGES = 100

_UNKNOWN_TASK = "200202"


class YetaClient(Client):
    """One account at yeta. Every method raises only ``PlatformError``s, and ``ValueError`` for an
    argument that may never be sent (more than 50 rows, times without a zone)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --------------------------------------------------------------------------- the account

    def test_connection(self) -> None:
        """Fetch a token past the cache, then ask for the configuration with it."""
        token, _ = self._fetch_token()
        self._read(self._post("config/v1/query", {"type": CONFIG_TYPES["all"]}, token=token))

    def fetch_catalog(self) -> Catalog:
        """config/query, all types."""
        return read_catalog(self._call("config/v1/query", {"type": CONFIG_TYPES["all"]}))

    def list_failed_pushes(self, day: datetime | None = None) -> FailedPushFiles:
        """push/failed. ``day`` is taken in the account's zone; which zone the platform means is not
        documented. Paths that could leave the download prefix are counted, not given."""
        payload = {}
        if day is not None:
            local = _check_aware(day).astimezone(self._connection.time_zone)
            payload["date"] = local.strftime("%Y-%m-%d")
        result = self._call("download/v1/push/failed", payload)
        prefix = self._connection.settings.get("push_download_prefix", "")
        return replies.read_paths(result, prefix=prefix)

    # ----------------------------------------------------------------------------- the tasks

    def create_task(self, order: TaskOrder) -> str:
        """task/create. *Adds calls*, though none rings before the start."""
        payload: dict[str, Any] = {
            "task_name": order.name,
            "line_num": ";".join(order.lines),
            "robot_id": order.robot_id,
            "recall_count": order.recall_count,
            "time_begin": _to_ms(order.begin_at),
        }
        if order.recall_wait_seconds is not None:
            payload["time_recall_wait"] = order.recall_wait_seconds
        if order.windows:
            payload["time_range"] = [_format_window(window) for window in order.windows]
        if order.end_at is not None:
            payload["time_end"] = _to_ms(order.end_at)
        if order.voice_code:
            payload["voice_code"] = order.voice_code
        if order.turbo:
            payload["trubo_mode"] = True  # spelled so by the platform
        return replies.read_task_id(self._call("outbound/v1/task/create", payload))

    def insert_contacts(
        self,
        platform_task_id: str,
        *,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        keys: Sequence[str] = (),
    ) -> Inserted:
        """task/insert, at most 50 rows. The platform gives ids of its own: ``keys`` are not sent.
        *Adds calls.*"""
        payload = {"task_id": platform_task_id, **_make_rows(columns, rows)}
        result = self._call("outbound/v1/task/insert", payload)
        return Inserted(platform_contact_ids=replies.read_contact_ids(result, count=len(rows)))

    def start_task(self, platform_task_id: str) -> None:
        """task/start. *Adds calls.*"""
        self._call("outbound/v1/task/start", {"task_id": platform_task_id})

    def pause_task(self, platform_task_id: str) -> None:
        """task/pause."""
        self._call("outbound/v1/task/pause", {"task_id": platform_task_id})

    def delete_task(self, platform_task_id: str) -> None:
        """task/delete: stops the task for good."""
        self._call("outbound/v1/task/delete", {"task_id": platform_task_id})

    def query_task(self, platform_task_id: str) -> TaskChanged | None:
        """task/query for one task. None when the platform has no such task."""
        try:
            found = self._query({"task_id": platform_task_id})
        except Rejected as error:
            if error.code.code == _UNKNOWN_TASK:
                return None
            raise
        same = [task for task in found if task.platform_task_id == platform_task_id]
        if found and not same:
            raise Uncertain("The platform was asked for one task and answered with others.")
        return same[0] if same else None

    def query_tasks(
        self,
        *,
        name: str | None = None,
        begin_at: datetime | None = None,
        end_at: datetime | None = None,
        states: Sequence[str] = (),
        sort: str | None = None,
        descending: bool = False,
    ) -> tuple[TaskChanged, ...]:
        """task/query, every page. ``name`` may be a part of it; ``states`` are our words; ``sort``
        is ``id``, ``name``, ``created_at``, ``begin_at`` or ``end_at``."""
        payload: dict[str, Any] = {}
        if name is not None:
            payload["task_name"] = name
        if begin_at is not None:
            payload["time_begin"] = _to_ms(begin_at)
        if end_at is not None:
            payload["time_end"] = _to_ms(end_at)
        if states:
            payload["task_status_list"] = [_get_state_code(state) for state in states]
        if sort is not None:
            if sort not in TASK_SORTS:
                raise ValueError(f"Tasks are not sorted by {sort!r}.")
            payload["sort_name"] = TASK_SORTS[sort]
            payload["sort_order"] = "DESC" if descending else "ASC"
        return self._query(payload)

    def call_directly(
        self,
        *,
        robot_id: str,
        line: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        voice_code: str | None = None,
        speed: int | None = None,
    ) -> Inserted:
        """task/callout, at most 50 rows; one bad row fails all of them. *Adds calls.*"""
        payload: dict[str, Any] = {
            "robot_id": robot_id,
            "line_num": line,
            **_make_rows(columns, rows),
        }
        if voice_code:
            payload["voice_code"] = voice_code
        if speed is not None:
            if not SPEEDS[0] <= speed <= SPEEDS[1]:
                raise ValueError("The speed lies between -500 and 500.")
            payload["robot_speed"] = speed
        result = self._call("outbound/v1/task/callout", payload)
        return Inserted(platform_contact_ids=replies.read_contact_ids(result, count=len(rows)))

    # ------------------------------------------------------------------------------- requests

    def _query(self, payload: dict[str, Any]) -> tuple[TaskChanged, ...]:
        """All pages. An incomplete list must not pass for a whole one (what is missing from it is
        taken for never created), so anything that does not add up is ``Uncertain``."""
        found: dict[str, TaskChanged] = {}
        seen = 0
        for index in range(1, MAX_PAGES + 1):
            asked = {**payload, "page_size": PAGE_SIZE, "page_index": index}
            page = replies.read_task_page(
                self._call("outbound/v1/task/query", asked, mend=replies.mend_query)
            )
            new = [task for task in page.tasks if task.platform_task_id not in found]
            found.update((task.platform_task_id, task) for task in new)
            seen += len(new) + page.unreadable
            if seen >= page.total:
                return tuple(found.values())
            if not new and not page.unreadable:
                raise Uncertain(
                    f"The platform says there are {page.total} tasks, and page {index} brought "
                    f"nothing new after {seen}."
                )
        raise Uncertain(f"The platform has more than {MAX_PAGES * PAGE_SIZE:,} such tasks.")

    def _call(
        self, path: str, payload: dict[str, Any], *, mend: Callable[[bytes], bytes] | None = None
    ) -> dict[str, Any]:
        """POST with a token and return ``result``. A refused token is replaced once: the refusal is
        documented, so the request was not carried out and may be sent again."""
        token = self._get_token(stale=None)
        try:
            return self._read(self._post(path, payload, token=token), mend=mend)
        except Rejected as error:
            if error.consequence is not Consequence.REFRESH_TOKEN:
                raise
        token = self._get_token(stale=token)
        return self._read(self._post(path, payload, token=token), mend=mend)

    def _post(self, path: str, payload: dict[str, Any], *, token: str | None) -> Reply:
        url = f"{self._connection.base_url.rstrip('/')}/{path}"
        if token is not None:
            url += f"?token={token}"
        return self._connection.transport.post_json(url, payload, purpose=path)

    def _read(
        self, reply: Reply, *, mend: Callable[[bytes], bytes] | None = None
    ) -> dict[str, Any]:
        return replies.read_result(
            reply, errors=ERRORS, redact=self._connection.transport.redact, mend=mend
        )

    def _get_token(self, *, stale: str | None) -> str:
        """The account's token. When logging in leaves anything open, the request it was for has
        certainly not been sent."""
        try:
            return self._connection.tokens.get(self._fetch_token, stale=stale)
        except Uncertain as error:
            raise NotSent(f"Logging in failed: {error}", advice=error.advice) from None

    def _fetch_token(self) -> tuple[str, float]:
        """oauth/token: the token and its life in seconds, which the store cuts short."""
        credentials = self._connection.credentials
        payload = {name: credentials.get(name, "") for name in ("app_key", "app_secret")}
        try:
            result = self._read(self._post("oauth/v1/token", payload, token=None))
            token, seconds = replies.read_token(result)
        except (Throttled, Rejected):
            raise
        except Uncertain as error:
            raise Uncertain(
                str(error),
                advice="The platform did not answer the login as documented. Check the base URL of "
                "the account.",
            ) from None
        return token, seconds


def _make_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    if not 1 <= len(rows) <= ROWS_PER_REQUEST:
        raise ValueError(f"A request takes 1 to {ROWS_PER_REQUEST} rows, not {len(rows)}.")
    if any(len(row) != len(columns) for row in rows):
        raise ValueError("Every row needs a value for each column.")
    return {"call_column": list(columns), "call_list": [list(row) for row in rows]}


def _check_aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("A time without a zone is no time.")
    return moment


def _to_ms(moment: datetime) -> int:
    return round(_check_aware(moment).timestamp() * 1000)


def _format_window(window: tuple[time, time]) -> str:
    return "-".join(edge.strftime("%H:%M:%S") for edge in window)


def _get_state_code(state: str) -> int:
    try:
        return TASK_STATE_CODES[PlatformTaskState(state)]
    except (ValueError, KeyError):
        raise ValueError(f"Tasks are not found by the state {state!r}.") from None
