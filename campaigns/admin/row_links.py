"""In: what rows are chosen by. Out: the address of the list that shows them, or of what is done
with them. The names are those of ``campaigns.criteria``."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from campaigns.criteria import quote_text

#: words of a platform or of a script, as they are
_TEXTS = ("intention", "node", "left_at")


def link_rows(kind: str, **params: Any) -> str:
    """The list of these contacts or calls."""
    model = "contact" if kind == "contacts" else "call"
    query = write_query(params)
    return f"{reverse(f'admin:campaigns_{model}_changelist')}?{query}"


def link_redial(kind: str, **params: Any) -> str:
    """Where these contacts, or the people of these calls, are called again."""
    query = write_query(params)
    return f"{reverse('admin:campaigns_redial_start', args=[kind])}?{query}"


def write_query(params: dict[str, Any]) -> str:
    """The part after the question mark; a text with a comma means itself, not its parts."""
    told = {
        name: quote_text(value) if name in _TEXTS and isinstance(value, str) else value
        for name, value in params.items()
    }
    return urlencode(told, doseq=True)
