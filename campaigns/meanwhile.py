"""In: work that needs no database. Out: it is done, a step at a time, while the database works.

A batch of pushes takes the database about as long as it takes us to read the next one. A second
thread would read it beside, but whoever then gets an answer waits for the other to let go of the
interpreter. So it is this thread that looks whether the answer is there, and takes a step when not.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

#: what a waiting generator of the driver is sent when nothing has happened
_NOTHING = 0


@contextmanager
def work_meanwhile(step: Callable[[], bool]) -> Iterator[None]:
    """Call ``step`` whenever the database of this thread has not answered yet, until it returns
    False. It must not use that database, and what it raises is passed over: nothing is left to it
    that is not done afterwards where it is missing."""
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    session: Any = database.connection
    wait = session.wait
    more = True

    def take_step() -> bool:
        nonlocal more
        try:
            more = step()
        except Exception:  # a half-read answer would be lost with it, and the session
            more = False
        return more

    def wait_and_work(generator: Any, *args: Any, **named: Any) -> Any:
        if not more or args or named:
            return wait(generator, *args, **named)
        ended, value = wait(_ask_and_work(generator, take_step), interval=0)
        return value if ended else wait(_go_on(generator, value))

    vars(session)["wait"] = wait_and_work
    try:
        yield
    finally:
        vars(session).pop("wait", None)


def _ask_and_work(
    generator: Generator[Any, Any, Any], take_step: Callable[[], bool]
) -> Generator[Any, Any, tuple[bool, Any]]:
    """(True, the result), or (False, what is waited for) when there is nothing more to do."""
    try:
        wanted = next(generator)
        while True:
            ready = yield wanted
            if ready != _NOTHING:
                wanted = generator.send(ready)
            elif not take_step():
                return False, wanted
    except StopIteration as end:
        return True, end.value


def _go_on(generator: Generator[Any, Any, Any], wanted: Any) -> Generator[Any, Any, Any]:
    """The rest of a generator that waits for this."""
    try:
        while True:
            wanted = generator.send((yield wanted))
    except StopIteration as end:
        return end.value
