"""In: the name of a mistake. Out: the program of this process makes it.

A mistake is a few words of a function's source, replaced; the function stays the same object, so
everybody who imported it makes the mistake too. A text that is not there any more is an error: a
mistake that is not planted is caught by nobody.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
import textwrap
import types
from datetime import timedelta
from typing import Any

from tests.processes import ROOT


def rewrite(function: Any, *changes: tuple[str, str]) -> None:
    """Replace each first text of the function's source by the second."""
    inner = inspect.unwrap(getattr(function, "__func__", function))
    source = textwrap.dedent(inspect.getsource(inner))
    for old, new in changes:
        if old not in source:
            raise LookupError(f"{inner.__qualname__} does not say {old!r} any more.")
        source = source.replace(old, new)
    namespace: dict[str, Any] = {}
    # Its own module's names, so that it finds what the function finds.
    text = f"from __future__ import annotations\n{source}"
    exec(compile(text, inspect.getsourcefile(inner) or "?", "exec"), inner.__globals__, namespace)
    made = namespace[inner.__name__]
    replace_code(inner, made.fget if isinstance(made, property) else made)


def rewrite_text(module: types.ModuleType, name: str, *changes: tuple[str, str]) -> None:
    """Replace each first text by the second in a module's statement, before anybody uses it."""
    text = getattr(module, name)
    for old, new in changes:
        if old not in text:
            raise LookupError(f"{name} does not say {old!r} any more.")
        text = text.replace(old, new)
    setattr(module, name, text)


def replace_code(function: Any, made: Any) -> None:
    """Let one function do what another does. Neither may have variables of an outer one."""
    assert isinstance(made, types.FunctionType)
    assert not function.__code__.co_freevars and not made.__code__.co_freevars, function
    function.__code__ = made.__code__
    function.__defaults__, function.__kwdefaults__ = made.__defaults__, made.__kwdefaults__


def plant(name: str) -> None:
    """Make the mistake of this name from now on; none for ""."""
    if name:
        from tests.crash.mistakes import MISTAKES

        MISTAKES[name].plant()


def take_guard_away(name: str) -> None:
    """Let the database allow every move, for a mistake that it would stop by itself."""
    from django.db import connection

    from tests.crash.mistakes import MISTAKES

    if name and MISTAKES[name].unguarded:
        with connection.cursor() as cursor:
            for table in ("contact", "batch", "attempt"):
                cursor.execute(f"ALTER TABLE campaigns_{table} DISABLE TRIGGER USER")


def take_smaller_batches(rows: str) -> None:
    """So few contacts are a request, so that a small run has many requests."""
    if not rows:
        return
    from campaigns.platforms.registry import PLATFORMS

    for platform in PLATFORMS.values():
        limits = platform.limits
        if limits.rows_per_insert:
            few = min(int(rows), limits.rows_per_insert)
            smaller = dataclasses.replace(limits, rows_per_insert=few)
            object.__setattr__(platform, "limits", smaller)


def follow_fast_clock() -> None:
    """The platform's clock runs hours ahead within a minute: its calls are of our requests all the
    same, and no two of ours go to the same number."""
    from campaigns import incidents
    from campaigns.linking import guessing

    guessing.DIRECT_WITHIN = incidents.DIRECT_WITHIN = timedelta(days=20)


def find_unfit(mistakes: str) -> str:
    """What fits the source no more of the ``MISTAKES`` of a module; "" when all can be planted.

    Each in a process of its own: the program makes the mistake from then on.
    """
    script = (
        "import django; django.setup()\n"
        "import os, sys\n"
        f"from {mistakes} import MISTAKES\n"
        "for name, mistake in MISTAKES.items():\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        mistake.plant()\n"
        "        os._exit(0)\n"
        "    if os.waitpid(child, 0)[1]:\n"
        "        sys.exit(f'{name} does not fit the source any more')\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stderr[-2000:] if done.returncode else ""
