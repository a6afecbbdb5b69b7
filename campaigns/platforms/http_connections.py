"""In: one request. Out: a connection of its own, to an address that was checked; its probe knows
what was written on it."""

from __future__ import annotations

import functools
import socket
import ssl
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from campaigns.platforms.errors import NotSent
from campaigns.platforms.http_addresses import resolve_in_time
from campaigns.platforms.http_probe import observed


class Observed:
    """Mixed into urllib3's connections: checks the address, tells the probe what was written."""

    def _new_conn(self) -> socket.socket:
        probe = observed.get()
        host, port = self._dns_host, self.port  # type: ignore[attr-defined]
        try:
            infos = resolve_in_time(
                host, port, allow_hosts=probe.allow_hosts, seconds=probe.remaining()
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
        probe = observed.get()
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


class ObservedHTTP(Observed, HTTPConnection):
    pass


class ObservedHTTPS(Observed, HTTPSConnection):
    pass


class Fresh:
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


class HTTPPool(Fresh, urllib3.HTTPConnectionPool):
    ConnectionCls = ObservedHTTP


class HTTPSPool(Fresh, urllib3.HTTPSConnectionPool):
    ConnectionCls = ObservedHTTPS


@functools.lru_cache(maxsize=4)
def open_trust(bundle: str) -> ssl.SSLContext:
    """Whom TLS believes. Reading the bundle takes longer than a request, so it is read once."""
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(bundle)
    return context
