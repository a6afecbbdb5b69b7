"""In: proof that somebody was called who should not have been. Out: an open incident, once."""

from __future__ import annotations

from typing import Any

from campaigns.models import Attempt, Contact, Incident, Task


def open_incident(
    kind: str,
    *,
    task: Task,
    reason: str,
    values: dict[str, Any] | None = None,
    attempt: Attempt | None = None,
    contact: Contact | None = None,
) -> Incident:
    """Write an incident down; the open one of the same attempt is given back instead of a second.

    ``reason`` is an English sentence with places for ``values``, without numbers of people.
    """
    wanted: dict[str, Any] = {
        "account_id": task.account_id,
        "task": task,
        "contact": contact,
        "reason": reason,
        "reason_values": values or {},
    }
    if attempt is None:
        return Incident.objects.create(kind=kind, **wanted)
    return Incident.objects.get_or_create(
        kind=kind, attempt=attempt, closed_at=None, defaults=wanted
    )[0]
