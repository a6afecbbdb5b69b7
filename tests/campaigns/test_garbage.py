"""In: work that asks not to be disturbed. Out: proof that the collector is as before when it is
done, and that it still comes once in a while."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from campaigns.garbage import SELDOM, collect_seldom


def test_what_was_there_before_is_let_go_as_ever() -> None:
    """A thread's connection, for example: it is part of a circle, and closed when that is found."""

    class Kept:
        itself: object = None

    kept = Kept()
    kept.itself = kept
    seen = weakref.ref(kept)
    with collect_seldom():
        pass
    del kept
    gc.collect()
    assert seen() is None


def test_the_collector_is_as_before_when_the_last_one_is_done() -> None:
    usual = gc.get_threshold()
    ready, done = threading.Event(), threading.Event()

    def work() -> None:
        with collect_seldom():
            ready.set()
            done.wait(10)

    thread = threading.Thread(target=work)
    with collect_seldom():
        assert gc.get_threshold() == (SELDOM, *usual[1:])
        thread.start()
        assert ready.wait(10)
    assert gc.get_threshold()[0] == SELDOM
    done.set()
    thread.join()
    assert gc.get_threshold() == usual


def test_work_that_fails_leaves_nothing_behind() -> None:
    usual = gc.get_threshold()
    with pytest.raises(ValueError, match="x"), collect_seldom():
        raise ValueError("x")
    assert gc.get_threshold() == usual
    assert gc.isenabled()
