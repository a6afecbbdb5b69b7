"""`make run` as its user meets it: what is wrong is one sentence, what runs leaves no trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from config import up, warm
from tests.config.test_supervisor import eventually, list_processes
from tests.processes import hear_signals

BASE_DIR = Path(__file__).resolve().parent.parent.parent


def make_env(data_dir: Path, **values: Any) -> dict[str, str]:
    kept = {
        name: text
        for name, text in os.environ.items()
        if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "DATA_DIR")
    }
    ports = {"PORT": str(find_port()), "SANDBOX_PORT": str(find_port())}
    given = {name: str(value) for name, value in values.items()}
    return kept | ports | {"DATA_DIR": str(data_dir)} | given


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_up(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "config.up"],
        cwd=BASE_DIR,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read_refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence; anything else on either stream is a failure."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.endswith(".\n")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own, as only root can have one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=False)


@pytest.mark.parametrize("name", ["PORT", "SANDBOX_PORT"])
def test_a_taken_port_is_one_sentence(tmp_path: Path, name: str) -> None:
    with taken_port() as port:
        told = read_refusal(run_up(make_env(tmp_path, **{name: port})))
    assert str(port) in told
    assert f"{name}=" in told


@pytest.mark.parametrize("value", ["http", "0", "70000", "-1", "８０００"])
def test_a_port_that_is_none_is_one_sentence(tmp_path: Path, value: str) -> None:
    assert "PORT must be a number" in read_refusal(run_up(make_env(tmp_path, PORT=value)))


def test_the_same_port_twice_is_one_sentence(tmp_path: Path) -> None:
    env = make_env(tmp_path)
    told = read_refusal(run_up(env | {"SANDBOX_PORT": env["PORT"]}))
    assert "both" in told


def test_a_foreign_host_is_one_sentence(tmp_path: Path) -> None:
    assert "HOST" in read_refusal(run_up(make_env(tmp_path, HOST="192.0.2.1")))


def test_a_data_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "var"
    file.write_text("")
    assert "DATA_DIR" in read_refusal(run_up(make_env(file)))


def test_a_read_only_data_folder_is_one_sentence(tmp_path: Path) -> None:
    with mounted(tmp_path / "var", "ro,size=200m") as folder:
        told = read_refusal(run_up(make_env(folder)))
    assert "cannot be written" in told
    assert "DATA_DIR" in told


def test_a_full_data_folder_is_one_sentence(tmp_path: Path) -> None:
    with mounted(tmp_path / "var", "size=4m") as folder:
        told = read_refusal(run_up(make_env(folder)))
    assert "full" in told
    assert "DATA_DIR" in told


def test_a_second_one_in_the_same_folder_is_one_sentence(tmp_path: Path) -> None:
    lock = up.hold_folder(tmp_path)
    try:
        told = read_refusal(run_up(make_env(tmp_path)))
    finally:
        os.close(lock)
    assert "already runs" in told


def test_the_sandbox_is_allowed_beside_what_the_user_allows(tmp_path: Path) -> None:
    env = {"PLATFORM_ALLOW_HOSTS": "10.0.0.7", "DATA_DIR": str(tmp_path), "SANDBOX_PORT": "8955"}
    chosen = up.make_environment(up.read_plan(env), env)
    assert chosen["PLATFORM_ALLOW_HOSTS"] == "10.0.0.7,127.0.0.1:8955"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("127.0.0.1", "http://127.0.0.1:8000"),
    ],
)
def test_the_public_url_can_be_reached(host: str, url: str) -> None:
    assert up.read_plan({"HOST": host}).public_url == url


def test_a_password_is_known_again() -> None:
    from django.contrib.auth.hashers import make_password

    encoded = make_password("correct horse")
    assert warm.is_password("correct horse", encoded)
    assert not warm.is_password("correct mule", encoded)
    assert not warm.is_password("", "!unusable")


class Run:
    """`python -m config.up` with the private database in a folder of its own."""

    def __init__(self, env: dict[str, str], out: Path) -> None:
        self.env, self.out = env, out
        with out.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.up"],
                cwd=BASE_DIR,
                env=env,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=hear_signals,  # noqa: PLW1509
            )

    @property
    def text(self) -> str:
        return self.out.read_text()

    def wait_until_ready(self) -> None:
        eventually(lambda: "is ready" in self.text or self.process.poll() is not None, seconds=120)
        assert self.process.poll() is None, self.text

    def get(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self.env['PORT']}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def list_processes(self) -> list[tuple[int, str]]:
        mark = f"DATA_DIR={self.env['DATA_DIR']}".encode()
        found = []
        for pid, line in list_processes():
            try:
                environment = (Path("/proc") / str(pid) / "environ").read_bytes()
            except OSError:
                continue
            if mark in environment.split(b"\0") or self.env["DATA_DIR"] in line:
                found.append((pid, line))
        return found

    def find(self, word: str) -> int:
        return min(pid for pid, line in self.list_processes() if word in line)

    def postmaster(self) -> int:
        """0 while there is none."""
        for file in Path(self.env["DATA_DIR"]).glob("postgres-*/postmaster.pid"):
            with suppress(OSError, IndexError):
                return int(file.read_text().split()[0])
        return 0

    def is_healthy(self) -> bool:
        try:
            return bool(self.get("/readyz")["ready"])
        except OSError:
            return False

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(timeout=60) == 0, self.text
        eventually(lambda: self.list_processes() == [])


def test_run_kill_each_child_stop_and_run_again(tmp_path: Path) -> None:
    env = make_env(tmp_path / "var", ADMIN_PASSWORD="")
    first = Run(env, tmp_path / "first")
    try:
        first.wait_until_ready()
        password = first.text.partition("password: ")[2].split()[0]
        assert (tmp_path / "var/secrets/admin_password").stat().st_mode & 0o777 == 0o600
        for word, name in (
            ("config.web", "web"),
            ("manage.py worker", "worker"),
            ("config.sandbox", "sandbox"),
        ):
            before = first.find(word)
            os.kill(before, signal.SIGKILL)
            told = f"{name} was killed by SIGKILL; started again in"
            eventually(lambda told=told: told in first.text)
            eventually(
                lambda word=word, before=before: any(
                    word in line and pid != before for pid, line in first.list_processes()
                ),
                seconds=60,
            )
        eventually(first.is_healthy, seconds=60)
        before = first.postmaster()
        os.kill(before, signal.SIGKILL)
        eventually(lambda: "database is gone; started again in" in first.text)
        eventually(lambda: first.postmaster() not in (0, before) and first.is_healthy(), seconds=60)
        assert "already runs" in read_refusal(run_up(env))
        first.stop()
    finally:
        kill(first)

    second = Run(env, tmp_path / "second")
    try:
        second.wait_until_ready()
        assert password in second.text, "the log-in of the first start still holds"
        assert "prepare" not in second.text, "nothing had to be done"
        second.stop()
    finally:
        kill(second)
    order = [line.split()[-1] for line in second.text.splitlines() if "| stopping" in line]
    assert order == ["web", "worker", "sandbox", "database"]


def kill(run: Run) -> None:
    if run.process.poll() is None:
        os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()
