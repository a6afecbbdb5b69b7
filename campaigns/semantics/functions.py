"""In: a request and a function that an installation wrote. Out: its values, or why there are none.

The contract (docs/answering.md): ``function(request: Asked) -> list of {"key", "type", "value"}``.
It runs in a thread of its own and has a time limit. Whatever goes wrong in it, nothing else does:
an exception, a value of the wrong type, or no end are all "no values". A thread that does not end
is told to (which reaches everything but a call of C that waits); while too many are still running,
no new one is begun.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as N_

from campaigns.platforms.questions import MOST_INTEGER, Asked, Value

log = logging.getLogger(__name__)

Function = Callable[[Asked], Iterable[Mapping[str, Any]]]

#: functions that run at a time, those that were given up included
MOST_RUNNING = 16
MOST_VALUES = 100
MOST_TEXT = 4_000

_lock = threading.Lock()
_running: list[threading.Thread] = []


class FunctionFailed(Exception):
    """The function gave no usable values; the message is an English sentence without its data."""


class _TooSlow(BaseException):
    """Raised inside a function that is given up. No ``except Exception`` of its stops it."""


def semantic_function(function: Function) -> Function:
    """Marks a function for the setting ``SEMANTIC_FUNCTIONS``; changes nothing about it."""
    function.is_semantic = True  # type: ignore[attr-defined]
    return function


def run_function(
    function: Function, asked: Asked, *, seconds: float, leave: Callable[[], None] | None = None
) -> list[Value]:
    """Its values. ``leave`` is called in its thread when it ends. Raises ``FunctionFailed``."""
    call = _Call(function, asked, leave)
    with _lock:
        _running[:] = [thread for thread in _running if thread.is_alive()]
        if len(_running) >= MOST_RUNNING:
            raise FunctionFailed(N_("Too many functions are running that were given up."))
        thread = threading.Thread(target=call.run, name="semantic", daemon=True)
        _running.append(thread)
        thread.start()
    if not call.ended.wait(max(0.0, seconds)):
        _give_up(thread)
        raise FunctionFailed(N_("The function took too long."))
    if call.error is not None:
        log.warning("A semantic function raised %s.", call.error)
        raise FunctionFailed(N_("The function raised an error, or gave what it must not."))
    return call.values


class _Call:
    def __init__(self, function: Function, asked: Asked, leave: Callable[[], None] | None) -> None:
        self.function, self.asked, self.leave = function, asked, leave
        self.ended = threading.Event()
        self.values: list[Value] = []
        self.error: str | None = None

    def run(self) -> None:
        try:
            try:
                self.values = read_values(self.function(self.asked))
            except Exception as error:  # whatever somebody else's program raises
                self.error = type(error).__name__
            finally:
                if self.leave is not None:
                    self.leave()
            self.ended.set()
        except _TooSlow:
            log.warning("A semantic function was given up.")


def read_values(told: Any) -> list[Value]:
    """What a function returned, checked. Raises ``TypeError`` or ``ValueError``."""
    values: dict[str, Value] = {}
    for number, one in enumerate(told or ()):
        if number >= MOST_VALUES:
            raise ValueError("too many values")
        key: Any
        type_: Any
        value: Any
        if isinstance(one, Value):
            key, type_, value = one.key, one.type, one.value
        elif isinstance(one, Mapping):
            key, type_, value = one.get("key"), one.get("type"), one.get("value")
        else:
            raise TypeError("not a mapping")
        wanted: type | None = {"integer": int, "string": str}.get(str(type_))
        if not isinstance(key, str) or not key or wanted is None:
            raise TypeError("not a key and a type")
        if type(value) is not wanted or not isinstance(value, int | str):
            raise TypeError("not a key, a type and a value of it")
        if isinstance(value, int) and abs(value) > MOST_INTEGER:
            raise ValueError("an integer that is too large")
        cut = value if isinstance(value, int) else value[:MOST_TEXT]
        values.setdefault(key[:MOST_TEXT], Value(key[:MOST_TEXT], cut))
    return list(values.values())


def _give_up(thread: threading.Thread) -> None:
    """Have the thread raise ``_TooSlow`` where it is. It may have ended just now: then nobody
    minds, for nothing comes behind the function in its thread."""
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(_TooSlow)
        )
