"""In: a secret of this installation. Out: it, kept in a file that only its owner can read."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from campaigns.models import Account, CallbackToken
from campaigns.models.accounts import hash_token

#: The first demo knew one platform only, and its file named none. It still opens that account.
NAMELESS = "demo_callback_token"


def token_file(account: Account) -> Path:
    return Path(settings.DATA_DIR) / "secrets" / f"{NAMELESS}_{account.platform}"


def read_token(account: Account) -> str:
    """The token, "" when there is none or it opens nothing any more."""
    for path in (token_file(account), token_file(account).with_name(NAMELESS)):
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        live = account.callback_tokens.filter(hash=hash_token(text), revoked_at=None)
        if live.exists():
            return text
    return ""


def keep_token(account: Account) -> str:
    """A new token, in a file that only its owner reads."""
    text = CallbackToken.make(account)[1]
    write_private(token_file(account), text)
    return text


def write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text + "\n")
