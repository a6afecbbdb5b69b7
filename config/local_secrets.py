"""In: the data folder. Out: keys that an installation without a configured environment needs.

``make run`` on a bare machine has no ``SECRET_KEY`` and no ``FIELD_KEYS``: they are made once and
kept in files that only their owner can read. Production sets both in the environment.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def read_or_make(path: Path, *, length: int = 48) -> str:
    """The key kept in ``path``; made there (mode 0600) when there is none.

    Two processes that start together get the same key: the file is written whole under another
    name and linked into place, and whoever comes second reads the first one's.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(length))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
