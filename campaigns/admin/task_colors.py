"""In: the status of a task. Out: the colour class of its badge, the same on every page."""

from __future__ import annotations

TASK_COLORS = {
    "loading": "info",
    "loaded": "info",
    "starting": "info",
    "running": "good",
    "paused": "warn",
    "finished": "done",
    "failed": "bad",
    "deleted": "mute",
}
