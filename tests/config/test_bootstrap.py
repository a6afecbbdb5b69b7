"""`make` on a machine that lacks something: one sentence that says what to do, and no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASE_DIR = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Only what stands before the packages are there."""
    folder = tmp_path / "a clone"
    (folder / "config").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "config/bootstrap.py"):
        shutil.copy(BASE_DIR / name, folder / name)
    return folder


def make(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        [shutil.which("make") or "make", "--no-print-directory", "venv", *arguments],
        cwd=tree,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def read_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What is on stderr beside make's own line."""
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def make_python(folder: Path, script: str) -> Path:
    """A program of that name that is no Python we can use."""
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_no_python_that_is_new_enough(tree: Path, tmp_path: Path) -> None:
    old = make_python(tmp_path, "exit 1")
    told = read_sentence(make(tree, f"PYTHON={old}"))
    assert "Python 3.11 or newer was not found" in told
    assert "PYTHON=" in told


def test_no_python_on_the_path(tree: Path, tmp_path: Path) -> None:
    told = read_sentence(make(tree, PATH=str(tmp_path)))
    assert "Python 3.11 or newer was not found" in told


def test_the_registry_is_away(tree: Path) -> None:
    done = make(
        tree,
        f"PYTHON={sys.executable}",
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_RETRIES="0",
        PIP_CONFIG_FILE=os.devnull,
    )
    assert "check the network" in read_sentence(done)
    assert not list((tree / ".venv").glob(".installed*")), "the next try begins again"


def test_neither_venv_nor_pip(tree: Path) -> None:
    """As Debian's python3 is before python3-venv is installed."""
    script = (
        "import sys, importlib.util as u, runpy\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name in ('ensurepip', 'pip') else find(name, *a)\n"
        "sys.argv = ['config/bootstrap.py']\n"
        "runpy.run_path('config/bootstrap.py', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tree, capture_output=True, text=True, check=False
    )
    assert "apt install python3-venv" in read_sentence(done)


def test_nothing_is_done_when_nothing_changed(tree: Path) -> None:
    (tree / "requirements.txt").write_text("# nothing\n")
    first = make(tree, f"PYTHON={sys.executable}")
    assert first.returncode == 0, first.stderr
    assert "Installing" in first.stdout
    assert make(tree, f"PYTHON={sys.executable}").stdout == ""
    (tree / "requirements.txt").write_text("# nothing more\n")
    assert "Installing" in make(tree, f"PYTHON={sys.executable}").stdout
