"""In: a request to a platform. Out: its whole reply, or an error that says whether it was sent.

The only outbound door: nothing else imports ``requests``. What every request gets here: an address
that was checked and is the one connected to, a fresh connection, no redirect, no automatic retry,
no proxy from the environment, a deadline for the whole exchange on a monotonic clock, a cap on the
decoded size, and a redacted record. Whether bytes were written is observed at the socket, not
guessed from the type of an exception (``quality.md``, "Unknown outcomes").
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import http.client
import ipaddress
import itertools
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from campaigns.platforms.errors import Forbidden, NotSent, PlatformError, Throttled, Uncertain

MAX_REPLY_BYTES = 10_000_000
RECORDED_CHARS = 20_000
REDACTED = "‹redacted›"
#: headers whose value is a secret of one request: a platform may repeat it in its answer
SECRET_HEADERS = frozenset({"authorization"})
#: a pretend platform says so with every reply; no other platform is taken for one
SANDBOX_HEADER = "X-Callboard-Sandbox"

# A Chinese mobile or land line, or anything written in E.164; other digits are ids and times.
# Chinese text may touch the number on either side, as itself or escaped (\u5ba2199…).
_PHONE = re.compile(
    r"(?=[+018])(?:(?<![A-Za-z0-9_.])|(?<=\\u[0-9a-fA-F]{4})|(?<=\\[nrt]))"
    r"((?:\+?86)?1[3-9]\d(?=\d{8}(?!\d))|0\d{2}(?=\d{7,9}(?!\d))|\+\d{3})\d{3,8}(\d{4})"
    r"(?![A-Za-z0-9_]|\.\d)"
)


#: what JSON writes as it is
_PLAIN = re.compile(r"[A-Za-z0-9 _.~+/=:;,-]*\Z")

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


@dataclass(slots=True)
class _Probe:
    """What the connection of one request observes."""

    allow_hosts: frozenset[str]
    ends: float
    fence: Callable[[], Callable[[], None] | None] | None
    written: bool = False
    expired: bool = False
    #: whether a body comes after the head, and the head until then
    follows: bool = False
    head: bytes = b""
    #: a second handle on the socket: TLS takes the first one away, and the timer still needs one
    handle: socket.socket | None = None

    def remaining(self) -> float:
        return max(0.001, self.ends - time.monotonic())

    def expire(self) -> None:
        """Called by the timer: ends whatever the socket is doing."""
        self.expired = True
        if self.handle is not None:
            with contextlib.suppress(OSError):
                self.handle.shutdown(socket.SHUT_RDWR)

    def watch(self, sock: socket.socket) -> None:
        self.handle = sock.dup()
        if self.expired:  # the timer fired while there was nothing to shut down
            self.expire()

    def close(self) -> None:
        if self.handle is not None:
            self.handle.close()


class _Alarms:
    """Calls things at their moment: one thread for all exchanges, since starting one for each costs
    more than all else that is done for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def set(self, ends: float, act: Callable[[], None]) -> list[Callable[[], None]]:
        """``act`` is called at ``ends`` unless what is returned is emptied before."""
        alarm = [act]
        with self._changed:
            heapq.heappush(self._waiting, (ends, next(self._numbers), alarm))
            if self._thread is None or not self._thread.is_alive():  # the first, or after a fork
                self._thread = threading.Thread(target=self._ring, name="deadlines", daemon=True)
                self._thread.start()
            elif self._waiting[0][2] is alarm:
                self._changed.notify()
        return alarm

    def _ring(self) -> None:
        while True:
            with self._changed:
                while self._waiting and not self._waiting[0][2]:
                    heapq.heappop(self._waiting)
                if not self._waiting:
                    self._changed.wait()
                    continue
                ends, _number, alarm = self._waiting[0]
                if (away := ends - time.monotonic()) > 0:
                    self._changed.wait(away)
                    continue
                heapq.heappop(self._waiting)
            for act in list(alarm):
                act()


_alarms = _Alarms()
_probe: ContextVar[_Probe] = ContextVar("probe")


def check_address(host: str, port: int, *, allow_hosts: Collection[str]) -> list[tuple[Any, ...]]:
    """Resolve a host and return the addresses that may be connected to.

    Raises ``Forbidden`` when any of them is not public, unless the host (or ``host:port``) is in
    ``allow_hosts``; ``socket.gaierror`` when the name is not known.
    """
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if host in allow_hosts or f"{host}:{port}" in allow_hosts:
        return list(infos)
    for info in infos:
        if not _is_public(str(info[4][0])):
            raise Forbidden("The address is loopback, private or reserved.")
    return list(infos)


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(str(inner))
    return address.is_global and not address.is_multicast


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _within(seconds: float, resolve: Callable[[], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    """What ``resolve`` returns or raises, but no later than this: a resolver knows no deadline."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(resolve())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise NotSent("The name of the host was not resolved in time.")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    found: list[tuple[Any, ...]] = outcome[0]
    return found


class _Observed:
    """Mixed into urllib3's connections: checks the address, tells the probe what was written."""

    def _new_conn(self) -> socket.socket:
        probe = _probe.get()
        host, port = self._dns_host, self.port  # type: ignore[attr-defined]
        try:
            if _is_address(host):  # nobody has to be asked
                infos = check_address(host, port, allow_hosts=probe.allow_hosts)
            else:
                infos = _within(
                    probe.remaining(),
                    lambda: check_address(host, port, allow_hosts=probe.allow_hosts),
                )
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(host, self, error) from error  # type: ignore[arg-type]
        failure: OSError | None = None
        for family, kind, protocol, _, address in infos:
            if probe.expired:
                break
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(min(probe.remaining(), 10.0))
                sock.connect(address)
            except TimeoutError:
                sock.close()
                raise ConnectTimeoutError(self, "connect timed out") from None
            except OSError as error:
                sock.close()
                failure = error
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(probe.remaining())
            probe.watch(sock)
            return sock
        raise NewConnectionError(self, "no address could be connected to") from failure  # type: ignore[arg-type]

    def send(self, data: Any) -> None:
        probe = _probe.get()
        let_go = None
        if getattr(self, "sock", None) is None:
            self.connect()  # type: ignore[attr-defined]
        if probe.follows:  # the head waits for its body: one packet, where it fits into one
            probe.follows = False
            probe.head = data
            return
        if probe.head:
            data, probe.head = probe.head + data, b""
        if not probe.written:
            if probe.expired:
                raise NotSent("The deadline passed before anything was written.")
            if probe.fence is not None:
                let_go = probe.fence()
            probe.written = True
        try:
            super().send(data)  # type: ignore[misc]
        finally:
            if let_go is not None:
                let_go()


class _ObservedHTTP(_Observed, HTTPConnection):
    pass


class _ObservedHTTPS(_Observed, HTTPSConnection):
    pass


class _Fresh:
    """Mixed into urllib3's pools, which keep nothing: each request has a connection of its own, and
    it ends with it, whatever the other side says."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        return self._new_conn()  # type: ignore[attr-defined]

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.close()

    def urlopen(self, *_: Any, **given: Any) -> Any:
        """One request on a connection of its own. The library's looks for retries, redirects,
        proxies and a connection that was kept, none of which there is."""
        conn = self._get_conn()
        try:
            return self._make_request(  # type: ignore[attr-defined]
                conn,
                given["method"],
                given["url"],
                body=given["body"],
                headers=given["headers"],
                timeout=given["timeout"],
                response_conn=conn,
                preload_content=False,
                decode_content=False,
            )
        except BaseException:
            conn.close()
            raise


class _HTTPPool(_Fresh, urllib3.HTTPConnectionPool):
    ConnectionCls = _ObservedHTTP


class _HTTPSPool(_Fresh, urllib3.HTTPSConnectionPool):
    ConnectionCls = _ObservedHTTPS


@functools.lru_cache(maxsize=4)
def _open_trust(bundle: str) -> ssl.SSLContext:
    """Whom TLS believes. Reading the bundle takes longer than a request, so it is read once."""
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(bundle)
    return context


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
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        host, kwargs = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            kwargs["ssl_context"] = _open_trust(requests.adapters.DEFAULT_CA_BUNDLE_PATH)
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
    def _observe(self, timeout: float) -> Iterator[_Probe]:
        probe = _Probe(self.allow_hosts, time.monotonic() + timeout, self.fence)
        token = _probe.set(probe)
        alarm = _alarms.set(probe.ends, probe.expire)
        try:
            yield probe
        finally:
            alarm.clear()
            probe.close()
            _probe.reset(token)

    def _send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: dict[str, str],
        *,
        probe: _Probe,
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
        for secret in (*hidden, *self.secrets):
            if len(secret) >= 4:
                text = text.replace(secret, REDACTED)
                if not _PLAIN.match(secret):
                    text = text.replace(json.dumps(secret)[1:-1], REDACTED)
        for name in self.secret_fields:
            if name in text:
                in_json, in_address = _find_field(name)
                text = in_json.sub(rf'\1"{REDACTED}"', text)
                text = in_address.sub(rf"\1{REDACTED}", text)
        return _hide_middles(text)[:RECORDED_CHARS]


def _hide_middles(text: str) -> str:
    """The text without the middle of the phone numbers in it, of which a request has fifty."""
    pieces = _PHONE.split(text)  # what stands before a number, its begin, its end, and so on
    if len(pieces) == 1:
        return text
    hidden = [""] * (len(pieces) // 3 * 4 + 1)
    hidden[0::4], hidden[1::4], hidden[3::4] = pieces[0::3], pieces[1::3], pieces[2::3]
    hidden[2::4] = ["****"] * (len(pieces) // 3)
    return "".join(hidden)


@functools.lru_cache(maxsize=256)
def _find_field(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Where a field of this name has its value: in JSON, and in an address."""
    escaped = re.escape(name)
    return (
        re.compile(
            rf'("{escaped}"\s*:\s*)("(?:[^"\\]|\\.)*(?:"|\\?$)|[^\s",}}\[{{][^,}}]*)',
        ),
        re.compile(rf"([?&]{escaped}=)[^&\s\"]*"),
    )


def _read_body(
    response: requests.Response,
    *,
    probe: _Probe,
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
