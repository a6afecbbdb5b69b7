"""In: what rows are chosen by. Out: the address of the list that shows them, or of what is done
with them. The names are those of ``campaigns.criteria``."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse


def link_rows(kind: str, **params: Any) -> str:
    """The list of these contacts or calls."""
    model = "contact" if kind == "contacts" else "call"
    query = urlencode(params, doseq=True)
    return f"{reverse(f'admin:campaigns_{model}_changelist')}?{query}"


def link_redial(kind: str, **params: Any) -> str:
    """Where these contacts, or the people of these calls, are called again."""
    query = urlencode(params, doseq=True)
    return f"{reverse('admin:campaigns_redial_start', args=[kind])}?{query}"
