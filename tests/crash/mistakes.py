"""In: mistakes that somebody could make. Out: for each the tests that turn red with it.

``python -m tests.crash.mistakes`` plants one after the other, runs the tests that must catch it and
prints a table; exit code 1 when a mistake went unseen. ``--bench`` tries those that only show when
workers die on the crash bench as well. The table of ``docs/reliability.md`` was seen this way.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.planted import rewrite, rewrite_text
from tests.processes import ROOT

#: pytest's own: some tests failed
RED = 1
#: what the bench says of calls that nobody should have had
TELLING = (" rang ", "requests arrived", "said no", "was called")


@dataclass(frozen=True)
class Mistake:
    """``says``: what the program does wrong. ``tests``: each of them must fail with it.
    ``bench``: options of a run of the crash bench that fails with it. ``unguarded``: the database's
    own guard would stop it; there it is taken away."""

    says: str
    plant: Callable[[], None]
    tests: tuple[str, ...]
    bench: tuple[str, ...] = ()
    quick: bool = False
    unguarded: bool = False


def retry_on_time_out() -> None:
    from campaigns.platforms import http
    from campaigns.platforms.errors import Uncertain

    send = http.Transport._send

    def send_again(self: Any, *args: Any, **named: Any) -> Any:
        try:
            return send(self, *args, **named)
        except Uncertain:
            with self._observe(self.timeout) as probe:
                return send(self, *args, **{**named, "probe": probe})

    http.Transport._send = send_again


def retry_in_library() -> None:
    import urllib3

    from campaigns.platforms import http
    from campaigns.platforms.http_connections import Fresh

    del Fresh.urlopen
    retry = urllib3.util.Retry(total=3, read=3, allowed_methods=None)
    http._adapter = http._Adapter(max_retries=retry)


def follow_redirects() -> None:
    import requests

    from campaigns.platforms import http

    del http._Adapter.build_response

    class Following(http._Adapter):
        def send(self, request: Any, *args: Any, **named: Any) -> Any:
            request.prepare_cookies({})
            with requests.Session() as session:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, http._Adapter(max_retries=0))
                return session.send(request, *args, **named)

    http._adapter = Following()


def keep_connections() -> None:
    from campaigns.platforms.http_connections import Fresh

    del Fresh.urlopen
    del Fresh._get_conn
    del Fresh._put_conn


def trust_exceptions() -> None:
    from campaigns.platforms import http

    rewrite(
        http.Transport._send,
        ("if not probe.written:", "if isinstance(error, requests.ConnectionError):"),
    )


def plan_again_after_restart() -> None:
    from django.db import transaction
    from django.utils import timezone

    from campaigns import attempts
    from campaigns.models import Attempt, Batch, Contact

    def reap_attempts() -> int:
        stale = Attempt.objects.filter(status="sending", lease_until__lt=timezone.now())
        for attempt in stale:
            with transaction.atomic():
                Contact.objects.filter(batch=attempt.batch_id, status="sending").update(
                    status="planned"
                )
                Batch.objects.filter(pk=attempt.batch_id).update(status="planned")
                Attempt.objects.filter(pk=attempt.pk).update(status="not_sent")
        return len(stale)

    attempts.reap_attempts = reap_attempts


def plan_again_by_update() -> None:
    from campaigns import lifecycle
    from campaigns.models import Batch, Contact

    lifecycle.MOVES[Batch]["sending"] |= {"planned"}
    lifecycle.MOVES[Contact]["sending"] |= {"planned"}


def look_at_lease_when_claiming() -> None:
    from campaigns import attempts

    rewrite(attempts.carry_out, ("time.monotonic() >= deadline", "False"))
    rewrite_text(attempts, "_LAST_LOOK", (" AND attempt.lease_until > clock_timestamp()", ""))


def start_on_reply_alone() -> None:
    from campaigns.dispatch import steps

    rewrite(steps.compare_count, ("state is not None and state.contacts == expected", "True"))


def bar_at_import_only() -> None:
    from campaigns import attempts
    from campaigns.barring import gate
    from campaigns.dispatch import statements

    rewrite(gate.has_barred, ("return contacts", "return False and contacts"))
    rewrite(gate.exclude_barred, ("account = Account", "return 0\n    account = Account"))
    nobody = (gate.BARRED_CONTACT_SQL, "SELECT FROM campaigns_donotcall entry WHERE false")
    rewrite_text(attempts, "_LAST_LOOK", nobody)
    for name in ("_SEND_CONTACTS", "_CLAIM_FREE", "_CLAIM_CAPPED"):
        rewrite_text(statements, name, nobody)


def launch_without_swap() -> None:
    from campaigns import lifecycle

    rewrite(
        lifecycle.move,
        (".filter(pk=row.pk, status__in=sources)", ".filter(pk=row.pk)"),
    )


def send_in_spite_of_pause() -> None:
    from campaigns import attempts

    asked = "AND NOT task.request = ANY(%(holding)s::text[])"
    rewrite_text(attempts, "_LAST_LOOK", (asked, ""))


def ask_hours_at_launch_only() -> None:
    from campaigns import gates

    rewrite(gates.find_hold, ("hold is None and lets_dial(task, command)", "False"))


def take_unknown_for_unsent() -> None:
    from campaigns import attempts

    rewrite(
        attempts.carry_out,
        ('return Outcome("unknown", reason=error.advice', 'return Outcome("not_sent", busy=True'),
    )


def believe_one_answer() -> None:
    from campaigns.reconcile import evidence

    rewrite(evidence.is_settled, ("return _add_answer", "return True or _add_answer"))


def pause_once() -> None:
    from campaigns.dispatch import requests

    rewrite(
        requests._again,
        ("return Next(", 'lifecycle.request_task(task, "")\n    return NOTHING or ('),
    )


def believe_absence_of_command() -> None:
    from campaigns.dispatch import requests

    rewrite(requests.Answer.gone.fget, ("self.asked and self.heard", "self.asked"))


def let_the_last_win() -> None:
    from campaigns import evidence

    evidence._weigh = lambda field, item: ()


def change_without_lock() -> None:
    from django.db.models import QuerySet

    QuerySet.select_for_update = lambda self, **named: self


def link_on_arrival_only() -> None:
    from campaigns import ingest

    link = ingest.link_calls

    def link_pushed(account_id: int, **named: Any) -> Any:
        return link(account_id, call_ids=named.get("call_ids", ()))

    ingest.link_calls = link_pushed


def forget_overtaking_calls() -> None:
    from campaigns import attempts

    rewrite(attempts.park, ("summarise_contacts(", "bool("))


def believe_ids_before_numbers() -> None:
    from campaigns.linking import joining

    joining._is_number_of = lambda number, phone: True


def count_tries_afterwards() -> None:
    from callbacks import processing
    from callbacks.models import Receipt

    claim = "tries = tries + 1, "
    if claim not in processing._CLAIM:
        raise LookupError("A claim does not count its try in these words any more.")
    processing._CLAIM = processing._CLAIM.replace(claim, "")
    work = processing.process_batch

    def work_and_count(receipts: Any) -> None:
        work(receipts)
        ids = [receipt.pk for receipt in receipts]
        for receipt in Receipt.objects.filter(pk__in=ids):
            Receipt.objects.filter(pk=receipt.pk).update(tries=receipt.tries + 1)

    processing.process_batch = work_and_count


HTTP = "tests/platforms/test_http.py::"
DISPATCH = "tests/campaigns/test_dispatch.py::"
PATHS = "tests/campaigns/test_barring_paths.py"
FILLING = "tests/campaigns/test_filling_faults.py::"
LINKING = "tests/campaigns/test_linking.py::"
INGEST = "tests/campaigns/test_ingest.py::"

MISTAKES: dict[str, Mistake] = {
    "retry-on-time-out": Mistake(
        "a request whose answer did not come is sent once more",
        retry_on_time_out,
        (f"{HTTP}test_what_breaks_after_the_first_byte_is_uncertain",),
        ("--contacts", "150"),
        quick=True,
    ),
    "retry-in-library": Mistake(
        "the HTTP library is told to try again",
        retry_in_library,
        (f"{HTTP}test_what_breaks_after_the_first_byte_is_uncertain",),
    ),
    "redirect-followed": Mistake(
        "a redirect (307) is followed, with the request in it",
        follow_redirects,
        (f"{HTTP}test_a_redirect_is_not_followed",),
    ),
    "connection-kept": Mistake(
        "a request goes over the connection of the one before it",
        keep_connections,
        (f"{HTTP}test_no_request_shares_anything_with_another",),
    ),
    "exceptions-decide": Mistake(
        "whether it was sent is guessed from the type of the exception",
        trust_exceptions,
        (f"{HTTP}test_what_breaks_after_the_first_byte_is_uncertain",),
    ),
    "planned-again": Mistake(
        "after a restart, what was being sent is planned again",
        plan_again_after_restart,
        (f"{DISPATCH}test_an_attempt_whose_worker_died_becomes_unknown_never_planned",),
        ("--sweep", "--contacts", "60", "--tasks", "2", "--rows", "5", "--chaos-seconds", "40"),
        quick=True,
        unguarded=True,
    ),
    "planned-again-in-table": Mistake(
        "the table of moves lets a batch go back from sending to planned",
        plan_again_by_update,
        (
            "tests/campaigns/test_lifecycle.py::test_no_table_leads_from_sending_back_to_planned",
            "tests/campaigns/test_guards.py::"
            "test_the_database_lets_rows_go_where_the_table_says_and_nowhere_else",
        ),
    ),
    "lease-at-claim": Mistake(
        "the lease is looked at when a batch is claimed, and not before the first byte",
        look_at_lease_when_claiming,
        (f"{DISPATCH}test_a_sender_past_its_lease_sends_nothing",),
        quick=True,
    ),
    "unknown-is-unsent": Mistake(
        "a request of unknown outcome counts as not sent",
        take_unknown_for_unsent,
        (
            f"{DISPATCH}test_an_insert_of_unknown_outcome_is_never_sent_again_and_settled_by_the"
            "_count",
            f"{FILLING}test_an_insert_is_sent_once_whatever_comes_back",
        ),
        ("--contacts", "150"),
    ),
    "one-answer-is-enough": Mistake(
        "one “it is not here” counts as proof that a request never arrived",
        believe_one_answer,
        (f"{DISPATCH}test_an_insert_that_never_arrived_is_sent_again_only_after_several_answers",),
    ),
    "start-on-reply": Mistake(
        "a task is started because the inserts were answered, whatever the platform counts",
        start_on_reply_alone,
        (f"{DISPATCH}test_a_task_whose_count_is_wrong_is_not_started",),
        ("--contacts", "150"),
        quick=True,
    ),
    "barred-at-import": Mistake(
        "the do-not-call list is looked at when a file is imported only",
        bar_at_import_only,
        (f"{PATHS}::TestCampaign",),
        ("--contacts", "150"),
        quick=True,
    ),
    "launch-without-swap": Mistake(
        "a launch does not look at the state that it leaves",
        launch_without_swap,
        ("tests/campaigns/test_lifecycle.py::test_of_many_moves_at_once_exactly_one_wins",),
    ),
    "pause-not-asked": Mistake(
        "a batch that was claimed before the pause click leaves after it",
        send_in_spite_of_pause,
        (f"{DISPATCH}test_after_the_pause_click_no_batch_leaves",),
    ),
    "pause-once": Mistake(
        "a pause is sent once, like what adds calls",
        pause_once,
        (f"{DISPATCH}test_a_pause_is_repeated_until_the_platform_confirms",),
    ),
    "absence-believed": Mistake(
        "a task that is not listed counts as deleted although the command failed",
        believe_absence_of_command,
        (f"{DISPATCH}test_an_empty_answer_confirms_nothing_while_the_command_failed",),
    ),
    "hours-at-launch": Mistake(
        "the calling hours are looked at when a task is launched only",
        ask_hours_at_launch_only,
        ("tests/campaigns/gates/test_hours.py::test_a_start_is_for_the_begin",),
    ),
    "last-write-wins": Mistake(
        "of two statements about a call, the one that came last is believed",
        let_the_last_win,
        (
            f"{INGEST}test_all_orders_give_the_same_evidence_and_no_field_is_ever_emptied",
            f"{INGEST}test_merge_is_commutative_associative_and_idempotent",
            f"{INGEST}test_orders_give_the_same_rows",
        ),
    ),
    "changed-without-lock": Mistake(
        "a call is read, changed and written back without a lock",
        change_without_lock,
        (f"{INGEST}test_the_four_pushes_of_a_call_on_sixteen_connections_at_once_lose_no_field",),
    ),
    "linked-on-arrival": Mistake(
        "a push is joined to its contact when it comes, and not when the contact learns its id",
        link_on_arrival_only,
        (f"{INGEST}test_a_push_that_overtakes_our_own_reply_is_linked_in_all_orders",),
    ),
    "overtaking-forgotten": Mistake(
        "a call that came back before the answer was given up is not looked at again",
        forget_overtaking_calls,
        (f"{LINKING}test_a_call_that_overtakes_an_answer_that_never_comes_proves_the_direct_call",),
        ("--contacts", "300"),
        quick=True,
    ),
    "id-before-number": Mistake(
        "a call is believed to be theirs whom an answer gave its id, whatever number was called",
        believe_ids_before_numbers,
        (
            f"{LINKING}test_an_id_of_a_direct_call_that_an_answer_gave_to_a_contact_of_a_campaign"
            "_is_not_theirs",
            f"{LINKING}test_an_id_beside_another_number_and_another_task_names_nobody",
        ),
        ("--contacts", "300"),
        quick=True,
    ),
    "counted-afterwards": Mistake(
        "a try is counted when it is over, so one that kills is never counted",
        count_tries_afterwards,
        (
            "tests/callbacks/test_processing.py::"
            "test_a_receipt_that_kills_its_worker_is_tried_five_times_and_alone",
            "tests/callbacks/test_poison.py",
        ),
    ),
}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems() -> None:
    """As a plugin of pytest: plant the mistake once the program is loaded."""
    from tests.crash.planted import plant

    plant(os.environ.get("CRASH_MISTAKE", ""))


def run_tests(
    mistake: str, tests: Sequence[str], *, database: str = "test_mistakes"
) -> tuple[int, list[str]]:
    """pytest's exit code, and which tests failed. The database is kept for the next ones."""
    command = [sys.executable, "-m", "pytest", "-q", "--reuse-db", "--tb=no", "-rf", *tests]
    command += ["-p", "tests.crash.mistakes", "-p", "no:randomly", "-x"]
    environment = {**os.environ, "CRASH_MISTAKE": mistake, "TEST_DATABASE": database}
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]  # of the tests that run these tests
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    failed = [line.split(" ")[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode not in (0, RED):
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    return done.returncode, failed


def run_bench(mistake: str, options: Sequence[str], *, folder: Path) -> list[str]:
    """What the crash bench finds wrong with the mistake in it."""
    command = [sys.executable, "-m", "tests.crash", "--seeds", "1", "--folder", str(folder)]
    command += ["--patience", "60", "--mistake", mistake, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    wrong = [line.strip() for line in done.stderr.splitlines() if line.startswith("  WRONG")]
    # That a run did not come to its end in time may be the machine's fault.
    return [line for line in wrong if any(word in line for word in TELLING)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.mistakes", description=__doc__)
    parser.add_argument("names", nargs="*", help="these only")
    parser.add_argument("--quick", action="store_true", help="a few of them")
    parser.add_argument("--bench", action="store_true", help="on the crash bench instead")
    given = parser.parse_args()
    chosen = {
        name: mistake
        for name, mistake in MISTAKES.items()
        if (not given.names or name in given.names)
        and (not given.quick or mistake.quick)
        and (not given.bench or mistake.bench)
    }
    sound = sorted({test for mistake in chosen.values() for test in mistake.tests})
    if not given.bench:
        code, failed = run_tests("", sound)
        if code:
            print(f"Without any mistake: {failed or 'no test ran'}")
            return 1
    unseen = 0
    folder = Path(tempfile.mkdtemp(prefix="cb-crash-", dir="/tmp"))
    for name, mistake in chosen.items():
        if given.bench:
            wrong = run_bench(name, mistake.bench, folder=folder)
            unseen += not wrong
            print(f"| {name} | {mistake.says} | {wrong[0] if wrong else 'NOT SEEN'} |", flush=True)
            continue
        missed = []
        for test in mistake.tests:
            code, failed = run_tests(name, [test])
            if code != RED or not failed:
                missed.append(test)
        unseen += bool(missed)
        told = f"NOT SEEN by {missed}" if missed else ", ".join(mistake.tests)
        print(f"| {name} | {mistake.says} | {told} |", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(chosen) - unseen} of {len(chosen)} mistakes were caught.")
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main())
