"""In: a dictionary of secrets. Out: one encrypted column. Keys come from ``settings.FIELD_KEYS``.

The value decrypts only when code asks for it; a dump, a form or a history row sees ciphertext.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


def _cipher() -> MultiFernet:
    """The first key encrypts, every key decrypts. A key may be any text: it is hashed to size."""
    return MultiFernet(
        [
            Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))
            for key in settings.FIELD_KEYS
        ]
    )


class SecretsUnreadable(Exception):
    """None of the configured keys opens this value."""


class EncryptedSecrets(models.TextField):
    """A dict[str, str] kept as one Fernet token."""

    def get_prep_value(self, value: Any) -> str:
        plain = json.dumps(value or {}, ensure_ascii=False, sort_keys=True)
        return _cipher().encrypt(plain.encode()).decode()

    def from_db_value(self, value: str | None, *_: Any) -> dict[str, str]:
        if not value:
            return {}
        try:
            return dict(json.loads(_cipher().decrypt(value.encode())))
        except InvalidToken:
            raise SecretsUnreadable(
                "The stored secrets open with none of FIELD_KEYS. Add the key they were made with."
            ) from None

    def to_python(self, value: Any) -> Any:
        return value or {}

    def value_to_string(self, obj: models.Model) -> str:
        """What ``dumpdata`` writes: never the plain text, nothing that could be loaded as it."""
        return ""
