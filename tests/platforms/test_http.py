"""The outbound door against servers that fail in every way, on real sockets.

Each fault must end in the right type of error, and the server must have seen at most one request.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from campaigns.platforms.errors import Forbidden, NotSent, PlatformError, Throttled, Uncertain
from campaigns.platforms.http import MAX_REPLY_BYTES, ExchangeRecord, Transport
from campaigns.platforms.http_addresses import check_address
from tests.platforms.faulty import FaultyServer, make_reply, read_request

OK = b'{"code":0,"message":"ok","result":{}}'
LOOPBACK = frozenset({"127.0.0.1", "localhost"})


def make_transport(**wishes: object) -> Transport:
    settings: dict[str, object] = {"allow_hosts": LOOPBACK, "timeout": 5.0, **wishes}
    return Transport(**settings)  # type: ignore[arg-type]


def post(url: str, **wishes: object) -> bytes:
    return make_transport(**wishes).post_json(url, {"task_id": "129"}, purpose="test").body


def drip(connection: socket.socket, data: bytes, stopping: threading.Event) -> None:
    for index in range(len(data)):
        connection.sendall(data[index : index + 1])
        if stopping.wait(0.1):
            return


def stall(connection: socket.socket, request: bytes) -> None:
    connection.settimeout(20)
    connection.recv(1)  # until the other side gives up


def reset(connection: socket.socket, request: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def send(data: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda connection, request: connection.sendall(data)


def test_a_whole_reply_comes_back() -> None:
    with FaultyServer(send(make_reply(OK))) as server:
        assert post(server.url) == OK
    assert server.receipts == 1
    assert b'{"task_id": "129"}' in server.requests[0]
    assert b"application/json;charset=UTF-8" in server.requests[0]


def test_no_request_shares_anything_with_another() -> None:
    """The server leaves its connection open and hands out a cookie: neither is used again."""

    def serve(connection: socket.socket, _: bytes) -> None:
        head = f"Content-Length: {len(OK)}\r\nSet-Cookie: who=first; Path=/\r\n"
        connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + OK)
        seen.append(read_request(connection))  # until the other side closes it

    seen: list[bytes] = []
    with FaultyServer(serve) as server:
        for _ in range(2):
            assert post(server.url) == OK
        ends = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < ends:
            time.sleep(0.01)
    assert seen == [b"", b""]  # both were closed, with nothing more on them
    assert (server.receipts, server.connections) == (2, 2)
    assert not any(b"cookie" in request.lower() for request in server.requests)


# ------------------------------------------------------------------------------------- not sent


def test_a_refused_connection_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotSent):
        post(f"http://127.0.0.1:{port}/")


def test_an_unknown_name_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NotSent):
        post("http://platform.invalid/")


def test_a_resolver_that_hangs_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(30) and [])
    began = time.monotonic()
    with pytest.raises(NotSent):
        post("http://platform.invalid/", timeout=0.5)
    assert time.monotonic() - began < 20
    done.set()


def test_a_connect_timeout_is_not_sent() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    address = listener.getsockname()
    fillers = []
    for _ in range(4):  # a full queue: the kernel answers no further handshake
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(address)
        fillers.append(filler)
    with pytest.raises(NotSent):
        post(f"http://127.0.0.1:{address[1]}/", timeout=0.5)
    for each in (*fillers, listener):
        each.close()


def test_a_refused_tls_handshake_is_not_sent() -> None:
    refusal = send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with FaultyServer(refusal, read=False) as server, pytest.raises(NotSent):
        post(server.url.replace("http:", "https:"))


def test_a_stalled_tls_handshake_is_not_sent() -> None:
    with FaultyServer(stall, read=False) as server, pytest.raises(NotSent):
        post(server.url.replace("http:", "https:"), timeout=0.5)


def test_a_lost_lease_is_not_sent() -> None:
    def fence() -> None:
        raise NotSent("the lease is over")

    with FaultyServer(send(make_reply(OK))) as server, pytest.raises(NotSent):
        post(server.url, fence=fence)
    assert server.receipts == 0


# ------------------------------------------------------------------------------------ uncertain

BOMB = zlib.compressobj(9, zlib.DEFLATED, 31)
BOMB_BYTES = b"".join(BOMB.compress(b"0" * 1_000_000) for _ in range(100)) + BOMB.flush()

UNCERTAIN: dict[str, Callable[[socket.socket, bytes], None]] = {
    "closed without a reply": lambda connection, request: None,
    "reset after reading": reset,
    "cut in the status line": send(b"HTTP/1.1 2"),
    "cut in the body": send(make_reply(OK, length=len(OK) + 1)),
    "cut in a chunk": send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"),
    "cut between chunks": send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n'),
    "nonsense": send(b"\x00\x01\x02success\r\n\r\n"),
    "stalled": stall,
    "500": send(make_reply(OK, status="500 Internal Server Error")),
    "503 html": send(make_reply(b"<html>", status="503 Service Unavailable")),
    "304": send(make_reply(b"", status="304 Not Modified")),
    "bomb": send(make_reply(BOMB_BYTES, headers="Content-Encoding: gzip\r\n")),
    "broken gzip": send(make_reply(b"\x1f\x8bnope", headers="Content-Encoding: gzip\r\n")),
    "endless headers": send(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000),
    "long header": send(b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 200_000 + b"\r\n\r\n"),
    "huge": send(
        make_reply(b"0" * (MAX_REPLY_BYTES + 1)),
    ),
}


@pytest.mark.parametrize("fault", UNCERTAIN)
def test_what_breaks_after_the_first_byte_is_uncertain(fault: str) -> None:
    with FaultyServer(UNCERTAIN[fault]) as server, pytest.raises(Uncertain):
        post(server.url, timeout=1.0 if fault == "stalled" else 5.0)
    assert (server.receipts, server.connections) == (1, 1)


def test_a_connection_closed_before_reading_is_no_answer() -> None:
    with FaultyServer(reset, read=False) as server, pytest.raises((Uncertain, NotSent)):
        post(server.url)
    assert server.connections == 1


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_drip_ends_at_the_deadline(part: str) -> None:
    data = make_reply(OK * 10)
    head = data.index(b"\r\n\r\n") if part == "body" else 0
    stopping = threading.Event()

    def act(connection: socket.socket, request: bytes) -> None:
        connection.sendall(data[:head])
        drip(connection, data[head:], stopping)

    with FaultyServer(act) as server:
        began = time.monotonic()
        with pytest.raises(Uncertain):
            post(server.url, timeout=0.6)
        assert time.monotonic() - began < 20  # the drip would take 40 s
        stopping.set()
    assert server.receipts == 1


def test_a_redirect_is_not_followed() -> None:
    with FaultyServer(send(make_reply(OK))) as second:
        moved = make_reply(
            b"", status="307 Temporary Redirect", headers=f"Location: {second.url}\r\n"
        )
        with FaultyServer(send(moved)) as first, pytest.raises(Uncertain):
            post(first.url)
    assert (first.receipts, second.connections) == (1, 0)


# --------------------------------------------------------------------------------------------- TLS


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context whose certificate this process trusts for "localhost"."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = tmp_path / "chain.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


def speak_tls(
    context: ssl.SSLContext, act: Callable[[socket.socket], None]
) -> Callable[[socket.socket, bytes], None]:
    def serve(connection: socket.socket, _: bytes) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            read_request(secure)
            act(secure)

    return serve


def test_a_reply_over_tls(certified: ssl.SSLContext) -> None:
    act = speak_tls(certified, lambda secure: secure.sendall(make_reply(OK)))
    with FaultyServer(act, read=False) as server:
        assert post(f"https://localhost:{server.port}/") == OK
        with pytest.raises(NotSent):  # the certificate is not one for this name
            post(f"https://127.0.0.1:{server.port}/")


def test_a_drip_over_tls_ends_at_the_deadline(certified: ssl.SSLContext) -> None:
    """TLS takes the socket away from whoever made it; the timer must still reach it."""
    stopping = threading.Event()
    act = speak_tls(certified, lambda secure: drip(secure, make_reply(OK * 10), stopping))
    with FaultyServer(act, read=False) as server:
        began = time.monotonic()
        with pytest.raises(Uncertain):
            post(f"https://localhost:{server.port}/", timeout=0.6)
        assert time.monotonic() - began < 20  # the drip would take 40 s
        stopping.set()


# --------------------------------------------------------------------------- answers that are whole


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("", None), ("soon", None), ("99999999", 3600.0)]
)
def test_429_is_throttled(header: str, seconds: float | None) -> None:
    reply = make_reply(b"", status="429 Slow", headers=f"Retry-After: {header}\r\n")
    with FaultyServer(send(reply)) as server, pytest.raises(Throttled) as caught:
        post(server.url)
    assert caught.value.retry_after == seconds
    assert server.receipts == 1


def test_html_with_200_is_a_reply_for_the_client_to_judge() -> None:
    with FaultyServer(send(make_reply(b"<html>success</html>"))) as server:
        assert post(server.url) == b"<html>success</html>"


def test_a_gzipped_reply_is_unpacked() -> None:
    reply = make_reply(gzip.compress(OK), headers="Content-Encoding: gzip\r\n")
    with FaultyServer(send(reply)) as server:
        assert post(server.url) == OK


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with FaultyServer(send(make_reply(OK))) as server:
        assert post(server.url) == OK


def test_a_download_comes_in_pieces_and_stops_at_its_limit() -> None:
    with FaultyServer(send(make_reply(b"RIFF" * 50_000))) as server:
        pieces: list[bytes] = []
        door = make_transport()
        reply = door.download(
            server.url, purpose="recording", max_bytes=200_000, timeout=5, into=pieces.append
        )
        assert (reply.body, b"".join(pieces)) == (b"", b"RIFF" * 50_000)
        with pytest.raises(Uncertain):
            door.download(
                server.url, purpose="recording", max_bytes=199_999, timeout=5, into=pieces.append
            )


# ------------------------------------------------------------------------------ forbidden addresses


PRIVATE = [
    "127.0.0.1",
    "localhost",
    "10.0.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "0.0.0.0",
    "100.64.0.1",
    "224.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[fe80::1]",
    "[fd00::1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "2130706433",
    "0x7f.1",
    "127.1",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_forbidden(host: str) -> None:
    with FaultyServer(send(make_reply(OK))) as server, pytest.raises(Forbidden):
        post(f"http://{host}:{server.port}/", allow_hosts=frozenset({"sandbox:1"}))
    assert server.connections == 0


@pytest.mark.parametrize("host", ["8.8.8.8", "::ffff:8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses_are_not(host: str) -> None:
    assert check_address(host, 443, allow_hosts=())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "//127.0.0.1/", ""])
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(Forbidden):
        post(url)


def test_a_host_may_be_allowed_with_its_port_only() -> None:
    with FaultyServer(send(make_reply(OK))) as server:
        assert post(server.url, allow_hosts=frozenset({f"127.0.0.1:{server.port}"})) == OK
        with pytest.raises(Forbidden):
            post(server.url, allow_hosts=frozenset({"127.0.0.1:1"}))


def test_the_address_that_was_checked_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that resolves to a public address first and to loopback afterwards."""
    answers = [[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))]]
    asked: list[str] = []

    def resolve(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        return list(answers[0])

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Forbidden):
        check_address("rebinding.example", 80, allow_hosts=())
    with pytest.raises(Forbidden):
        post("http://rebinding.example/")
    assert asked == ["rebinding.example"] * 2  # once for each request, never again for connecting


# ------------------------------------------------------------------------------------- the record


def record_of(act: Callable[[socket.socket, bytes], None], **wishes: object) -> ExchangeRecord:
    kept: list[ExchangeRecord] = []
    with FaultyServer(act) as server:
        door = make_transport(
            secrets=("s3cr3t-value",),
            secret_fields=frozenset({"token", "app_secret", "app_key"}),
            record=kept.append,
            **wishes,
        )
        try:
            door.post_json(
                server.url + "?token=t0k3n-value",
                {"app_secret": "s3cr3t-value", "call_list": [["19900000001", "张先生"]]},
                purpose="task/insert",
            )
        except PlatformError as error:
            assert "t0k3n-value" not in str(error)
    assert len(kept) == 1
    return kept[0]


def test_an_exchange_is_kept_without_secrets_and_numbers() -> None:
    said = (
        '{"code":200203,"message":"错误的号码19900000001。","result":'
        '{"token":"t0k3n-value","echo":"s3cr3t-value","id":1527321492000}}'
    )
    kept = record_of(send(make_reply(said.encode())))
    text = kept.url + kept.request + kept.response
    for secret in ("t0k3n-value", "s3cr3t-value", "19900000001"):
        assert secret not in text
    assert "199****0001" in kept.response
    assert "1527321492000" in kept.response
    assert "张先生" in kept.request
    assert (kept.status, kept.outcome, kept.purpose) == (200, "replied", "task/insert")
    assert kept.started_at.tzinfo is not None


def test_a_failed_exchange_is_kept_too() -> None:
    kept = record_of(lambda connection, request: None)
    assert (kept.status, kept.outcome) == (None, "Uncertain")
    assert "t0k3n-value" not in kept.url


def test_a_500_is_kept_with_its_status() -> None:
    kept = record_of(send(make_reply(b"<html>", status="500 Oops")))
    assert (kept.status, kept.outcome, kept.response) == (500, "Uncertain", "<html>")


def test_the_value_of_an_authorization_header_is_sent_and_not_kept() -> None:
    """Neither where the platform repeats it, whole or in part; other headers are no secrets."""
    kept: list[ExchangeRecord] = []
    said = b'{"said": "Token abc.12-3 of Airudder is old", "why": "abc.12-3"}'
    with FaultyServer(send(make_reply(said))) as server:
        reply = make_transport(record=kept.append).post_json(
            server.url,
            {"note": "abc.12-3"},
            purpose="test",
            headers={"Authorization": "Token abc.12-3", "User-Agent": "Airudder"},
        )
    assert reply.body == said
    assert b"\r\nAuthorization: Token abc.12-3\r\n" in server.requests[0]
    assert b"\r\nUser-Agent: Airudder\r\n" in server.requests[0]
    assert "abc.12-3" not in kept[0].request + kept[0].response + kept[0].url
    assert "Airudder is old" in kept[0].response
