"""In: tasks that run at a platform. Out: paused while a rule forbids them, let go on afterwards."""

from __future__ import annotations
