"""In: marks of what changed. Out: the numbers of calls by hour and by day, and of tasks."""

from campaigns.counting.calls import Counted, count_all, count_marked, count_when_due
from campaigns.counting.tasks import Progress, count_tasks, read_progress

__all__ = [
    "Counted",
    "Progress",
    "count_all",
    "count_marked",
    "count_tasks",
    "count_when_due",
    "read_progress",
]
