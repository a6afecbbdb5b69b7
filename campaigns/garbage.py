"""In: work that makes many objects and no circles. Out: nobody looks for circles among them.

Python's collector looks at what is new whenever a few hundred objects more are alive. A batch of
pushes keeps a hundred thousand alive and lets go of them by itself: to be looked at again and again
takes a fifth of all the time that it costs.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: so many more alive than at the last look, before the next one: still an end, whatever else this
#: process does meanwhile
SELDOM = 300_000

_lock = threading.Lock()
_inside: list[tuple[int, int, int]] = []


@contextmanager
def collect_seldom() -> Iterator[None]:
    """Until the last of those who asked for it is done, in whatever thread."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    with _lock:
        _inside.append(_inside[0] if _inside else gc.get_threshold())
        gc.set_threshold(SELDOM, *_inside[0][1:])


def _leave() -> None:
    with _lock:
        usual = _inside.pop()
        if not _inside:
            gc.set_threshold(*usual)
