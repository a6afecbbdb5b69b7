"""In: what callbacks did not tell. Out: the platform asked, and our rows brought in line with it.

``polling`` follows running tasks and ends them; ``settling`` finds out what became of requests of
unknown outcome, ``filled`` where a platform dials at once what it is given.
"""

from campaigns.reconcile.polling import (
    SILENT,
    ask_for_calls,
    end_task,
    finish_called,
    has_ended_there,
    is_time_to_ask,
    list_watched_tasks,
    poll_task,
)
from campaigns.reconcile.settling import list_unsettled_tasks, settle_task

__all__ = [
    "SILENT",
    "ask_for_calls",
    "end_task",
    "finish_called",
    "has_ended_there",
    "is_time_to_ask",
    "list_unsettled_tasks",
    "list_watched_tasks",
    "poll_task",
    "settle_task",
]
