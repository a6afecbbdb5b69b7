"""In: files at a pretend platform, good and bad. Out: proof of what is kept and how it is heard."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from campaigns import recordings
from campaigns.models import Call, Exchange, Recording
from tests.factories import make_account

pytestmark = pytest.mark.django_db


def make_sound(seconds: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(range(256)) * (8000 * seconds * 2 // 256))
    return file.getvalue()


SOUND = make_sound()
Answer = Callable[[BaseHTTPRequestHandler], None]


class Files:
    """A server of files over loopback; ``answers`` by path."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.asked.append(self.path)
                files.answers.get(self.path, reply(404, b"no"))(self)

            def log_message(self, *args: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def reply(status: int, body: bytes, *, length: int | None = None, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def files(settings: Any, tmp_path: Path) -> Iterator[Files]:
    server = Files()
    settings.PLATFORM_ALLOW_HOSTS = [server.host]
    settings.MEDIA_ROOT = str(tmp_path)
    yield server
    server.server.shutdown()
    server.server.server_close()


def make_recording(files: Files | None = None, **fields: Any) -> Recording:
    prefix = fields.pop("prefix", f"http://{files.host}/voice/" if files else "")
    account = make_account(settings={"recording_prefix": prefix})
    call = Call.objects.create(
        account=account, platform_call_id="call-1", happened_at=timezone.now()
    )
    values = {"address": "2018/05/a.wav", "announced_bytes": len(SOUND)}
    return Recording.objects.create(call=call, **values | fields)


def test_a_recording_is_copied_checked_and_kept(files: Files) -> None:
    files.answers["/voice/2018/05/a.wav"] = reply(200, SOUND)
    recording = make_recording(files)
    assert recordings.fetch_recording(recording.pk) is None
    recording.refresh_from_db()
    assert (recording.status, recording.bytes, recording.content_type, recording.reason) == (
        "stored",
        len(SOUND),
        "audio/wav",
        "",
    )
    assert recording.file.read() == SOUND
    assert recording.file.name.endswith(f"{recording.pk}.wav")
    assert "call-1" not in recording.file.name
    assert Exchange.objects.get().purpose == "fetch_recording"
    # Done is done: another job for it asks nobody.
    assert recordings.fetch_recording(recording.pk) is None
    assert files.asked == ["/voice/2018/05/a.wav"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(404, b"gone"), recordings.NOT_THERE),
        (reply(403, b"no"), recordings.NOT_THERE),
        (reply(500, b"no"), recordings.NO_ANSWER),
        (reply(302, b"", Location="http://127.0.0.1:1/"), recordings.NO_ANSWER),
        (reply(200, b"<html>error</html>", Content_Type="audio/wav"), recordings.NO_SOUND),
        (reply(200, b""), recordings.NO_SOUND),
        (reply(200, SOUND[:9000], length=len(SOUND)), recordings.NO_ANSWER),
        (reply(200, SOUND[:9000]), recordings.SHORT),
        (reply(429, b"", Retry_After="7"), recordings.NO_ANSWER),
    ],
)
def test_what_cannot_be_used_is_tried_again_later(
    files: Files, answer: Answer, reason: str
) -> None:
    files.answers["/voice/2018/05/a.wav"] = answer
    recording = make_recording(files)
    wait = recordings.fetch_recording(recording.pk)
    recording.refresh_from_db()
    assert (recording.status, recording.reason) == ("remote", reason)
    assert wait is not None and wait >= 7
    assert recording.next_try_at is not None and recording.next_try_at > timezone.now()
    # Not before its time ...
    assert recordings.fetch_recording(recording.pk) is None
    assert len(files.asked) == 1
    # ... and then it is kept after all.
    files.answers["/voice/2018/05/a.wav"] = reply(200, SOUND)
    Recording.objects.update(next_try_at=timezone.now())
    assert recordings.list_due_recordings() == [recording.pk]
    recordings.fetch_recording(recording.pk)
    recording.refresh_from_db()
    assert recording.status == "stored"


def test_too_large_is_refused_while_it_comes(files: Files, settings: Any) -> None:
    settings.RECORDING_MAX_BYTES = 5000
    files.answers["/voice/2018/05/a.wav"] = reply(200, SOUND)
    recording = make_recording(files)
    assert recordings.fetch_recording(recording.pk) is not None
    recording.refresh_from_db()
    assert recording.status == "remote"


def test_it_ends_as_unavailable_and_can_be_asked_for_again(files: Files, settings: Any) -> None:
    recording = make_recording(files)
    assert sum(settings.RECORDING_WAITS) >= 86_400
    for _ in range(len(settings.RECORDING_WAITS)):
        assert recordings.fetch_recording(recording.pk) is not None
        Recording.objects.update(next_try_at=timezone.now())
    assert recordings.fetch_recording(recording.pk) is None
    recording.refresh_from_db()
    assert (recording.status, recording.reason) == ("unavailable", recordings.NOT_THERE)
    assert recordings.list_due_recordings() == []
    assert recordings.retry_recordings(Recording.objects.all()) == [recording.pk]
    assert recordings.fetch_recording(recording.pk) is not None


def test_an_odd_size_is_kept_with_a_note(files: Files) -> None:
    files.answers["/voice/2018/05/a.wav"] = reply(200, SOUND)
    recording = make_recording(files, announced_bytes=17)
    recordings.fetch_recording(recording.pk)
    recording.refresh_from_db()
    assert (recording.status, recording.reason) == ("stored", recordings.OTHER_SIZE)


def test_the_recording_of_a_killed_worker_is_taken_up(files: Files) -> None:
    files.answers["/voice/2018/05/a.wav"] = reply(200, SOUND)
    recording = make_recording(files)
    assert recordings.claim(recording.pk) is not None
    assert recordings.claim(recording.pk) is None
    assert recordings.list_due_recordings() == []
    Recording.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    assert recordings.list_due_recordings() == [recording.pk]
    recordings.fetch_recording(recording.pk)
    recording.refresh_from_db()
    assert (recording.status, recording.tries) == ("stored", 2)


def test_who_comes_back_after_his_lease_leaves_nothing_behind(files: Files, tmp_path: Path) -> None:
    recording = make_recording(files)
    late = recordings.claim(recording.pk)
    assert late is not None
    Recording.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    files.answers["/voice/2018/05/a.wav"] = reply(200, SOUND)
    recordings.fetch_recording(recording.pk)
    fetched = recordings.Fetched("audio/wav", 3, "", "")
    recordings.keep(late, io.BytesIO(b"old"), fetched)
    recording.refresh_from_db()
    assert recording.file.read() == SOUND
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


PREFIX = "http://voice.example.com:9000/files/"


@pytest.mark.parametrize(
    ("address", "whole"),
    [
        ("a/b.wav", PREFIX + "a/b.wav"),
        ("/a/b.wav", PREFIX + "a/b.wav"),
        ("录音/b.wav", PREFIX + "%E5%BD%95%E9%9F%B3/b.wav"),
        ("a%20b.wav", PREFIX + "a%20b.wav"),
        ("a/b.wav?sign=1%2F2", PREFIX + "a/b.wav?sign=1%2F2"),
        ("http://voice.example.com:9000/other/b.wav", "http://voice.example.com:9000/other/b.wav"),
    ],
)
def test_addresses_below_the_prefix(address: str, whole: str) -> None:
    assert recordings.make_address(PREFIX, address) == whole


@pytest.mark.parametrize(
    "address",
    [
        "../secret.wav",
        "a/../../secret.wav",
        "a/%2e%2e/%2E%2E/secret.wav",
        "..",
        "a\\..\\secret.wav",
        "//evil.example.com/a.wav",
        "\\\\evil.example.com\\a.wav",
        "http://evil.example.com/a.wav",
        "http://voice.example.com/a.wav",
        "http://voice.example.com:9000@evil.example.com/a.wav",
        "http://user@voice.example.com:9000/a.wav",
        "https://voice.example.com:99999/a.wav",
        "file:///etc/passwd",
        "ftp://voice.example.com:9000/a.wav",
        "javascript:alert(1)",
        "a b.wav",
        "a\nb.wav",
        "",
        "http://[::1/a.wav",
    ],
)
def test_addresses_that_lead_elsewhere_are_never_fetched(address: str) -> None:
    with pytest.raises(recordings.Unusable):
        recordings.make_address(PREFIX, address)


def test_a_prefix_that_is_missing_or_forbidden_is_said(files: Files, settings: Any) -> None:
    recording = make_recording(None)
    recordings.fetch_recording(recording.pk)
    recording.refresh_from_db()
    assert recording.reason == recordings.NO_PREFIX
    settings.PLATFORM_ALLOW_HOSTS = []
    recording.call.account.settings = {"recording_prefix": f"http://{files.host}/"}
    recording.call.account.save()
    Recording.objects.update(next_try_at=timezone.now())
    recordings.fetch_recording(recording.pk)
    recording.refresh_from_db()
    assert (recording.reason, files.asked) == (recordings.FORBIDDEN, [])


def test_nothing_is_fetched_for_an_account_that_is_switched_off(files: Files) -> None:
    recording = make_recording(files)
    recording.call.account.is_active = False
    recording.call.account.save()
    assert recordings.fetch_recording(recording.pk) == recordings.INACTIVE_SECONDS
    recording.refresh_from_db()
    assert (recording.status, recording.tries, files.asked) == ("remote", 0, [])


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (SOUND[:64], "audio/wav"),
        (b"ID3\x04" + bytes(60), "audio/mpeg"),
        (b"\xff\xfb\x90\x44" + bytes(60), "audio/mpeg"),
        (b"OggS" + bytes(60), "audio/ogg"),
        (b"#!AMR\n" + bytes(60), "audio/amr"),
        (b"\xff\xf1\x50\x80" + bytes(60), "audio/aac"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        (b"<!DOCTYPE html><html>", ""),
        (b'{"code": 404}', ""),
        (b"RIFF\x00\x00\x00\x00AVI ", ""),
        (b"\xff\xd8\xff\xe0 jpeg", ""),
        (b"", ""),
    ],
)
def test_types_are_read_from_the_bytes(head: bytes, content_type: str) -> None:
    assert recordings.sniff_type(head) == content_type


# ---------------------------------------------------------------------------------------- serving


def make_stored(files: Files) -> Recording:
    files.answers["/voice/2018/05/a.wav"] = reply(200, SOUND)
    recording = make_recording(files)
    recordings.fetch_recording(recording.pk)
    recording.refresh_from_db()
    return recording


def make_user(*, may: bool = True) -> User:
    user = User.objects.create_user("listener")
    if may:
        user.user_permissions.add(Permission.objects.get(codename="view_recording"))
    return user


def ask(recording: Recording, *, method: str = "GET", **headers: str) -> Any:
    request = RequestFactory().generic(method, "/", headers=headers)
    request.user = User.objects.filter(username="listener").first() or make_user()
    return recordings.serve_recording(request, recording)


def read(response: Any) -> bytes:
    return b"".join(response.streaming_content)


SIZE = len(SOUND)


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-", 0, SIZE),
        ("bytes=0-99", 0, 100),
        ("bytes=100-199", 100, 200),
        ("bytes=15000-", 15000, SIZE),
        ("bytes=-44", SIZE - 44, SIZE),
        ("bytes=-999999999", 0, SIZE),
        ("bytes=10-999999999", 10, SIZE),
    ],
)
def test_ranges_are_served(files: Files, header: str, start: int, end: int) -> None:
    response = ask(make_stored(files), Range=header)
    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert response["Content-Length"] == str(end - start)
    assert read(response) == SOUND[start:end]


@pytest.mark.parametrize("header", ["bytes=999999999-", f"bytes={SIZE}-", "bytes=-0"])
def test_ranges_outside_the_file_are_refused(files: Files, header: str) -> None:
    response = ask(make_stored(files), Range=header)
    assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize(
    "header", ["", "bytes=5-3", "bytes=-", "bytes=a-b", "chars=0-1", "bytes=0-1,5-9", "9" * 5000]
)
def test_ranges_that_say_nothing_are_passed_over(files: Files, header: str) -> None:
    response = ask(make_stored(files), Range=header)
    assert response.status_code == 200
    assert read(response) == SOUND


def test_the_answer_is_in_our_own_words(files: Files) -> None:
    recording = make_stored(files)
    response = ask(recording)
    assert response["Content-Type"] == "audio/wav"
    assert response["Accept-Ranges"] == "bytes"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"].startswith("inline")
    assert response["Content-Security-Policy"].startswith("sandbox")
    assert "no-store" in response["Cache-Control"]
    etag = response["ETag"]
    assert read(response) == SOUND
    assert ask(recording, Range="bytes=0-1", If_Range=etag).status_code == 206
    assert ask(recording, Range="bytes=0-1", If_Range='"other"').status_code == 200
    head = ask(recording, method="HEAD")
    assert isinstance(head, HttpResponse)
    assert (head.content, head["Content-Length"]) == (b"", str(SIZE))
    recording.content_type = "text/html"
    odd = ask(recording)
    assert odd["Content-Type"] == "application/octet-stream"
    assert odd["Content-Disposition"].startswith("attachment")
    assert ask(recording, method="POST").status_code == 405


def test_only_who_may_hears_it_and_only_what_is_there(files: Files) -> None:
    recording = make_stored(files)
    make_user(may=False)
    with pytest.raises(PermissionDenied):
        ask(recording)
    User.objects.all().delete()
    recording.file.storage.delete(recording.file.name)
    with pytest.raises(Http404):
        ask(recording)
    with pytest.raises(Http404):
        ask(Recording(status="remote"))


@pytest.mark.django_db
def test_a_job_of_several_recordings_gives_its_place_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from procrastinate.contrib.django.models import ProcrastinateJob

    from campaigns import jobs

    fetched: list[int] = []
    monkeypatch.setattr(recordings, "fetch_recording", fetched.append)
    jobs.fetch_recordings([1, 2, 3])
    assert (fetched, ProcrastinateJob.objects.count()) == ([1, 2, 3], 0)
    monkeypatch.setattr(jobs, "FETCH_SECONDS", -1.0)
    jobs.fetch_recordings([4, 5, 6])
    assert fetched == [1, 2, 3, 4]
    job = ProcrastinateJob.objects.get()
    assert (job.task_name, job.args) == (jobs.FETCH_SEVERAL_JOB, {"recording_ids": [5, 6]})
