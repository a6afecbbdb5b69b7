"""In: the working tree. Out: 0 when every check passes; else what failed, all of it at once.

What ``make check`` runs: format, lint, types, import contracts, Django's deploy check, missing
migrations, incomplete translations, a stale capability table.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
IMPORT_LINTER = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
CHECKS: dict[str, list[str]] = {
    "format": [PYTHON, "-m", "ruff", "format", "--check", "--quiet", "."],
    "lint": [PYTHON, "-m", "ruff", "check", "--quiet", "."],
    "types": [PYTHON, "-m", "mypy", "--no-error-summary", "."],
    "imports": [PYTHON, "-c", IMPORT_LINTER, "--no-cache"],
    "deploy": [PYTHON, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
    "migrations": [PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"],
    "translations": [PYTHON, "manage.py", "check_translations"],
    "platforms": [PYTHON, "manage.py", "platforms_table", "--check"],
}


def make_environment() -> dict[str, str]:
    """As an installation would set it: over HTTPS, with a key and a host of its own."""
    return os.environ | {
        "HTTPS": "1",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "FIELD_KEYS": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": "callboard.example.org",
        "DEBUG": "0",
    }


def main() -> int:
    failed = []
    for name, command in CHECKS.items():
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=BASE_DIR,
            env=make_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        verdict = "failed" if done.returncode else "ok"
        sys.stdout.write(f"{name:<13} {verdict:<7} {time.monotonic() - began:5.1f} s\n")
        if done.returncode:
            failed.append(name)
            sys.stdout.write(done.stdout.rstrip() + "\n")
        sys.stdout.flush()
    if failed:
        sys.stderr.write(f"Not passed: {', '.join(failed)}.\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
