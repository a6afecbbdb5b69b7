"""In: things to do at the same time. Out: each done in a thread and a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections


def run_at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each gave, in their order; the first failure is raised when all are over."""
    start = threading.Barrier(len(works))
    told: list[Any] = [None] * len(works)
    failed: list[BaseException] = []

    def run(place: int) -> None:
        try:
            start.wait()
            told[place] = works[place]()
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return told
