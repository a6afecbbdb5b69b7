"""In: a request to a platform. Out: its whole reply, or an error that says whether it was sent.

The only outbound door: nothing else imports ``requests``. What every request gets here: an address
that was checked and is the one connected to, a fresh connection, no redirect, no automatic retry,
no proxy from the environment, a deadline for the whole exchange on a monotonic clock, a cap on the
decoded size, and a redacted record. Whether bytes were written is observed at the socket, not
guessed from the type of an exception (``quality.md``, "Unknown outcomes").

``Transport`` sends on a connection of ``http_connections``, to an address that ``http_addresses``
has checked, watched by ``http_probe``; what is recorded has been through ``http_redaction``.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from campaigns.platforms.errors import Forbidden, NotSent, PlatformError, Throttled, Uncertain
from campaigns.platforms.http_connections import HTTPPool, HTTPSPool, open_trust
from campaigns.platforms.http_probe import ALARMS, Probe, observed
from campaigns.platforms.http_redaction import redact

MAX_REPLY_BYTES = 10_000_000
RECORDED_CHARS = 20_000
#: headers whose value is a secret of one request: a platform may repeat it in its answer
SECRET_HEADERS = frozenset({"authorization"})
#: a pretend platform says so with every reply; no other platform is taken for one
SANDBOX_HEADER = "X-Callboard-Sandbox"


_TRANSPORT_ERRORS = (
    requests.RequestException,
    http.client.HTTPException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. ``body`` is decoded, ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_pretended(self) -> bool:
        return SANDBOX_HEADER.lower() in self.headers


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRecord:
    """One request and what came of it, redacted. ``outcome`` is ``replied`` or the error's name."""

    purpose: str
    method: str
    url: str
    request: str
    status: int | None
    response: str
    outcome: str
    started_at: datetime
    seconds: float


class _Address(NamedTuple):
    """An address as it is asked for, and the pool that it belongs to."""

    url: str
    path: str
    origin: tuple[str, str]


@functools.lru_cache(maxsize=64)
def _read_address(url: str) -> _Address:
    """Of the few that are asked for again and again. Raises ``ValueError``."""
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, None)
    whole = str(prepared.url)
    parts = urlsplit(whole)
    return _Address(whole, prepared.path_url, (parts.scheme, parts.netloc))


class _Adapter(HTTPAdapter):
    """What of ``requests`` is used: no session, so neither redirects nor cookies nor a proxy."""

    _pools: dict[tuple[str, str], Any]

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """A pool keeps nothing, so one for each origin does for all."""
        origin = _read_address(request.url).origin
        pool = self._pools.get(origin)
        if pool is None:
            if len(self._pools) >= 64:
                self._pools.clear()
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._pools[origin] = pool
        return pool

    def request_url(self, request: Any, proxies: Any) -> str:
        return _read_address(request.url).path

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Of the whole answer what is read of it here."""
        response = requests.Response()
        response.status_code, response.raw = resp.status, resp
        response.headers = CaseInsensitiveDict(resp.headers)
        return response

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._pools = {}
        self.poolmanager.pool_classes_by_scheme = {"http": HTTPPool, "https": HTTPSPool}

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        host, kwargs = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            kwargs["ssl_context"] = open_trust(requests.adapters.DEFAULT_CA_BUNDLE_PATH)
        return host, kwargs

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The pool's own context verifies; the bundle is not read again for each connection."""
        conn.cert_reqs = "CERT_REQUIRED"


#: for all threads: it keeps nothing of one request for another
_adapter = _Adapter(max_retries=0)
_USUAL_HEADERS = {
    "User-Agent": requests.utils.default_user_agent(),
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


def _prepare(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> requests.PreparedRequest:
    """What ``requests`` makes of a request, without what a session asks and we never have."""
    prepared = requests.PreparedRequest()
    prepared.method = method
    prepared.url = _read_address(url).url
    prepared.headers = CaseInsensitiveDict({**_USUAL_HEADERS, **headers})
    if body is not None:
        prepared.body = body
        prepared.headers["Content-Length"] = str(len(body))
    return prepared


@dataclass(slots=True)
class Transport:
    """One account's door to the outside.

    ``timeout`` seconds for a whole exchange; ``allow_hosts`` hosts that may be private;
    ``secrets`` values and ``secret_fields`` JSON names that no record keeps; ``record`` is given
    each finished exchange; ``pace`` waits until the account may send again; ``fence`` is called
    right before the first byte and raises ``NotSent`` when the sender has lost its right to send;
    if it returns something, that is called as soon as the first bytes are written.
    """

    allow_hosts: frozenset[str] = frozenset()
    timeout: float = 20.0
    secrets: Collection[str] = field(default=(), repr=False)
    secret_fields: frozenset[str] = frozenset()
    record: Callable[[ExchangeRecord], None] | None = None
    pace: Callable[[], None] | None = None
    fence: Callable[[], Callable[[], None] | None] | None = None
    #: is given every whole reply before it is judged; raises nothing
    heard: Callable[[Reply], None] | None = None

    def post_json(
        self, url: str, payload: Any, *, purpose: str, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """POST a JSON object. See ``_exchange`` for the errors."""
        body = json.dumps(payload, ensure_ascii=False).encode()
        sent = {"Content-Type": "application/json;charset=UTF-8", **(headers or {})}
        return self.post(url, body, purpose=purpose, headers=sent)

    def post(
        self,
        url: str,
        body: bytes,
        *,
        purpose: str,
        headers: Mapping[str, str],
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> Reply:
        """POST these bytes: what is signed must be what is sent. See ``_exchange``."""
        return self._exchange(
            "POST", url, body=body, headers=dict(headers), purpose=purpose, cap=max_bytes
        )

    def get(self, url: str, *, purpose: str, max_bytes: int = MAX_REPLY_BYTES) -> Reply:
        """GET an address, the whole body in memory. See ``_exchange`` for the errors."""
        return self._exchange("GET", url, body=None, headers={}, purpose=purpose, cap=max_bytes)

    def download(
        self,
        url: str,
        *,
        purpose: str,
        max_bytes: int,
        timeout: float,
        into: Callable[[bytes], Any],
    ) -> Reply:
        """GET an address piece by piece into ``into``; the returned reply has an empty body.

        ``into`` sees pieces only of a reply with status 200. Errors as in ``_exchange``.
        """
        return self._exchange(
            "GET", url, body=None, headers={}, purpose=purpose, cap=max_bytes, into=into,
            timeout=timeout,
        )  # fmt: skip

    def _exchange(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None,
        headers: dict[str, str],
        purpose: str,
        cap: int = MAX_REPLY_BYTES,
        into: Callable[[bytes], Any] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """Send once, read the whole reply.

        Raises ``NotSent`` when no byte was written, ``Throttled`` on a whole reply 429,
        ``Uncertain`` when bytes were written and the reply is cut, late, too large, 3xx or 5xx.
        """
        if urlsplit(url).scheme not in ("http", "https"):
            raise Forbidden("Only http and https addresses are used.")
        if self.pace is not None:
            self.pace()
        started_at, began = datetime.now(UTC), time.monotonic()
        status: int | None = None
        content = b""
        outcome = "replied"
        hidden = [
            part
            for name, value in headers.items()
            if name.lower() in SECRET_HEADERS
            for part in (value, value.rpartition(" ")[2])
        ]
        try:
            with self._observe(timeout or self.timeout) as probe:
                reply = self._send(method, url, body, headers, probe=probe, cap=cap, into=into)
            status, content = reply.status, reply.body
            if self.heard is not None:
                self.heard(reply)
            self._judge(reply)
            return reply
        except PlatformError as error:
            outcome = type(error).__name__
            raise
        finally:
            if self.record is not None:
                self.record(
                    ExchangeRecord(
                        purpose=purpose,
                        method=method,
                        url=self.redact(url, hidden=hidden),
                        request=self.redact((body or b"").decode(errors="replace"), hidden=hidden),
                        status=status,
                        response=self.redact(
                            content[: RECORDED_CHARS * 2].decode(errors="replace"), hidden=hidden
                        ),
                        outcome=outcome,
                        started_at=started_at,
                        seconds=time.monotonic() - began,
                    )
                )

    @contextlib.contextmanager
    def _observe(self, timeout: float) -> Iterator[Probe]:
        probe = Probe(self.allow_hosts, time.monotonic() + timeout, self.fence)
        token = observed.set(probe)
        alarm = ALARMS.set(probe.ends, probe.expire)
        try:
            yield probe
        finally:
            alarm.clear()
            probe.close()
            observed.reset(token)

    def _send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: dict[str, str],
        *,
        probe: Probe,
        cap: int,
        into: Callable[[bytes], Any] | None,
    ) -> Reply:
        try:
            prepared = _prepare(method, url, body, headers)
            probe.follows = bool(body)
            response = _adapter.send(
                prepared,
                stream=True,
                timeout=(min(10.0, probe.remaining()), probe.remaining()),
                proxies={},
            )
            with contextlib.closing(response):
                sink = into if into is not None and response.status_code == 200 else None
                content = _read_body(response, probe=probe, cap=cap, into=sink)
        except PlatformError:
            raise
        except _TRANSPORT_ERRORS as error:
            # The text of these errors holds the whole address, token included: only the type stays.
            what = type(error).__name__
            if not probe.written:
                raise NotSent(f"Nothing was sent ({what}).") from None
            late = "in time" if probe.expired else f"whole ({what})"
            raise Uncertain(f"The request was sent and no answer came {late}.") from None
        if probe.expired:
            raise Uncertain("The request was sent and no answer came in time.")
        return Reply(
            response.status_code,
            {name.lower(): value for name, value in response.headers.items()},
            content,
        )

    def _judge(self, reply: Reply) -> None:
        if reply.status == 429:
            after = reply.headers.get("retry-after", "")
            raise Throttled(
                "The platform answered HTTP 429.",
                retry_after=min(float(after), 3600.0) if after.isdecimal() else None,
            )
        if 300 <= reply.status < 400 or reply.status >= 500 or reply.status < 200:
            raise Uncertain(f"The platform answered HTTP {reply.status}.")

    def redact(self, text: str, *, hidden: Collection[str] = ()) -> str:
        """Take secrets, tokens and phone numbers out of a text that is going to be kept. ``hidden``
        are secrets beside those of the account."""
        kept = redact(text, secrets=(*hidden, *self.secrets), fields=self.secret_fields)
        return kept[:RECORDED_CHARS]


def _read_body(
    response: requests.Response,
    *,
    probe: Probe,
    cap: int,
    into: Callable[[bytes], Any] | None,
) -> bytes:
    """The decoded body, at most ``cap`` bytes of it, handed to ``into`` piece by piece if given."""
    pieces: list[bytes] = []
    size = 0
    while piece := response.raw.read(65536, decode_content=True):
        size += len(piece)
        if size > cap:
            raise Uncertain(f"The answer is larger than {cap:,} bytes.")
        if probe.expired:
            raise Uncertain("The request was sent and no answer came in time.")
        if into is not None:
            into(piece)
        else:
            pieces.append(piece)
    return b"".join(pieces)
