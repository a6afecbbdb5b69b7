"""In: a database and a note of the last start. Out: whether everything is still prepared.

``manage.py prepare`` loads all of Django to find out that there is nothing to do. A second start
should take seconds, so this looks with three queries, and where anything is in doubt says no.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

BASE_DIR = Path(__file__).resolve().parent.parent
NOTE = "prepared.json"
LOGIN = "admin"


@dataclass(frozen=True)
class Login:
    """``password`` is None when it is not ours to print."""

    name: str
    password: str | None


def fingerprint(told: Mapping[str, str]) -> str:
    """Of all that ``prepare`` looks at beside the database: our migrations, the packages', what
    both sides of the demo were told of each other."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {sorted(told.items())}".encode())
    digest.update((BASE_DIR / "requirements.txt").read_bytes())
    for path in sorted(BASE_DIR.glob("*/migrations/*.py")):
        digest.update(f"{path.relative_to(BASE_DIR)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def note_prepared(data_dir: Path, *, url: str, mark: str, given_password: str) -> Login:
    """After ``prepare``: note how things are, and return the log-in."""
    count, encoded = _look(url)
    kept = "" if given_password else read_kept_password(data_dir)
    is_ours = bool(kept) and is_password(kept, encoded)
    path = data_dir / NOTE
    path.touch(mode=0o600)
    note = {"mark": mark, "migrations": count, "is_ours": is_ours, "user": _mark_text(encoded)}
    path.write_text(json.dumps(note))
    return Login(LOGIN, kept if is_ours else None)


def find_prepared(data_dir: Path, *, url: str, mark: str, given_password: str) -> Login | None:
    """The log-in when nothing has to be done, else None."""
    try:
        note = json.loads((data_dir / NOTE).read_text())
        if note["mark"] != mark:
            return None
        count, encoded = _look(url)
        if count != note["migrations"] or not encoded:
            return None
        # Checking a password takes a second of a processor, so only what changed is checked.
        is_same = note["user"] == _mark_text(encoded)
        is_ours = bool(note["is_ours"]) and is_same
    except (OSError, ValueError, KeyError, TypeError, psycopg.Error):
        return None
    if given_password:
        return Login(LOGIN, None) if is_password(given_password, encoded) else None
    return Login(LOGIN, read_kept_password(data_dir) or None if is_ours else None)


def read_kept_password(data_dir: Path) -> str:
    try:
        return (data_dir / "secrets" / "admin_password").read_text().strip()
    except OSError:
        return ""


def _mark_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _look(url: str) -> tuple[int, str]:
    """How many migrations are applied, and the administrator's password as Django keeps it."""
    with psycopg.connect(url, connect_timeout=3) as connection:
        row = connection.execute("SELECT count(*) FROM django_migrations").fetchone()
        user = connection.execute(
            "SELECT password FROM auth_user WHERE username = %s", [LOGIN]
        ).fetchone()
    return int(row[0]) if row else 0, str(user[0]) if user else ""


def is_password(password: str, encoded: str) -> bool:
    """Django's default hash, ``pbkdf2_sha256$iterations$salt$hash``; another kind is "no"."""
    algorithm, _, rest = encoded.partition("$")
    parts = rest.split("$")
    if algorithm != "pbkdf2_sha256" or len(parts) != 3 or not parts[0].isdigit():
        return False
    raw = hashlib.pbkdf2_hmac("sha256", password.encode(), parts[1].encode(), int(parts[0]))
    return hmac.compare_digest(base64.b64encode(raw).decode(), parts[2])
