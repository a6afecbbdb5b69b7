"""In: calls told with codes, a table that changes. Out: history read again, and nothing else
touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from campaigns import results
from campaigns.evidence import merge, revise_results
from campaigns.ingest import apply_events
from campaigns.models import Call
from campaigns.platforms.events import CallEnded, Direction, Result
from campaigns.platforms.registry import PLATFORMS
from campaigns.platforms.yeta.vocabulary import CallResult
from tests.factories import make_account, make_contact, make_task

START = datetime(2026, 3, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Known:
    result: Result
    answered: bool
    hangup_by: None = None


def make_call(code: str, *, call: str = "c1", **fields: Any) -> CallEnded:
    known = PLATFORMS["yeta"].results.get(code)
    values: dict[str, Any] = {
        "source": "receiveCallRecord.outbound",
        "rank": 20,
        "platform_call_id": call,
        "direction": Direction.OUTBOUND,
        "dialed_at": START,
        "ended_at": START + timedelta(seconds=20),
        "platform_result": code,
        "platform_result_text": "新词",
        "result": known.result if known else Result.UNKNOWN,
        "answered": known.answered if known else None,
    }
    return CallEnded(**values | fields)


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of yeta as it was, with code 21 learnt and code 20 corrected."""
    table = dict(PLATFORMS["yeta"].results)
    table["21"] = CallResult("限时", Result.TIMED_OUT, False)
    table["20"] = CallResult("用户未接", Result.REJECTED, False)
    monkeypatch.setattr(results, "get_platform", lambda slug: _with(table))


def _with(table: Any) -> Any:
    return replace(PLATFORMS["yeta"], results=table)


@pytest.mark.django_db
def test_a_code_nobody_documents_is_counted() -> None:
    account = make_account()
    apply_events(account, [make_call("21"), make_call("21", call="c2"), make_call("20", call="c3")])
    (code,) = results.list_unknown_codes()
    assert (code.platform, code.code, code.text, code.count) == ("yeta", "21", "新词", 2)


@pytest.mark.django_db
def test_a_corrected_table_is_applied_to_history(learnt: None) -> None:
    account = make_account()
    apply_events(
        account,
        [make_call("21"), make_call("20", call="c2"), make_call("0", call="c3")],
    )
    before = Call.objects.get(platform_call_id="c3").updated_at
    assert results.reapply_results("yeta") == 2
    told = dict(Call.objects.values_list("platform_call_id", "result"))
    assert told == {"c1": "timed_out", "c2": "rejected", "c3": "answered"}
    assert Call.objects.get(platform_call_id="c1").conflicts == {}
    assert Call.objects.get(platform_call_id="c3").updated_at == before
    assert results.reapply_results("yeta") == 0


@pytest.mark.django_db
def test_other_platforms_and_the_contact_follow(learnt: None) -> None:
    task = make_task()
    contact = make_contact(task=task, status="accepted", platform_contact_id="77")
    apply_events(task.account, [make_call("21", platform_contact_id="77")])
    contact.refresh_from_db()
    assert contact.result == "unknown"
    results.reapply_results("yeta")
    contact.refresh_from_db()
    assert contact.result == "timed_out"


def test_what_was_said_without_a_code_stays() -> None:
    evidence = {
        "platform_result": [[10, "a", "9"]],
        "result": [[20, "b", "busy"], [10, "a", "unknown"]],
        "answered": [[10, "a", True]],
        "answered_at": [[10, "a", "2026-03-01T01:00:00.000000+00:00"]],
    }
    revised = revise_results(evidence, {"9": Known(Result.SUSPENDED, False)})
    assert revised["result"] == [[20, "b", "busy"], [10, "a", "suspended"]]
    assert revised["answered"] == [[10, "a", True]]  # a time of answering says more than a code
    assert revise_results(revised, {"9": Known(Result.SUSPENDED, False)}) == merge(revised, {})


def test_a_word_that_says_nothing_takes_nothing_away() -> None:
    evidence = {"platform_result": [[10, "a", "ByCallee"]], "result": [[10, "a", "answered"]]}
    assert revise_results(evidence, {"ByCallee": Known(Result.UNKNOWN, False)}) == evidence


def test_an_unknown_platform_is_refused() -> None:
    with pytest.raises(KeyError):
        results.reapply_results("nobody")
