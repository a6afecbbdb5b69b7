"""In: contacts and calls. Out: the funnel of a task and of a family, each number that of its rows.

Must catch: a number whose link shows other rows, a mailbox that talked, invalid numbers in a rate,
somebody of two rounds counted twice, a node that nobody left, an hour of another zone, a large task
that is counted while somebody waits, and figures that stay old.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from campaigns import counting, figures
from campaigns.criteria import CALLS, CONTACTS, read_criteria
from campaigns.figures import keeping
from campaigns.funnels import CALL_STEPS, PEOPLE_STEPS, write_slot
from campaigns.models import Call, Contact, RobotVersion, Task, TaskFigures, Turn
from tests.campaigns.admin.world import make_call
from tests.factories import make_account, make_contact, make_task

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 11, 16, 1, 20, tzinfo=UTC)  # 09:20 in Shanghai


def say(call: Call, *nodes: str) -> None:
    """A dialog that comes to these nodes, the robot and the contact speaking at each."""
    for position, node in enumerate(node for node in nodes for _twice in range(2)):
        role = "contact" if position % 2 else "robot"
        Turn.objects.create(call=call, position=position, role=role, node_name=node, text="…")
    Call.objects.filter(pk=call.pk).update(turns_count=2 * len(nodes))


def make_person(task: Task, *calls: dict[str, Any], **fields: Any) -> Contact:
    """A contact as ``linking`` would leave it after these calls."""
    contact = make_contact(task=task, **{"status": "finished", "calls_made": len(calls)} | fields)
    for one in calls:
        make_call(task, contact, **{"happened_at": MONDAY, "intention": ""} | one)
    return contact


NOBODY = {"result": "no_answer", "answered": False, "talk_seconds": None}
MAILBOX = {"result": "voicemail", "answered": True, "talk_seconds": 30}
NO_SUCH = {"result": "invalid_number", "answered": False, "talk_seconds": None}
SHORT = {"talk_seconds": 4}
TALK = {"talk_seconds": 45, "intention": "A"}
NOT_KNOWN = {"result": "unknown", "answered": None, "talk_seconds": None}


def make_campaign(**fields: Any) -> Task:
    """One of each kind of person."""
    task = make_task(status="running", **fields)
    make_contact(task=task, status="excluded")
    make_contact(task=task, status="ready")
    make_contact(task=task, status="rejected")
    make_contact(task=task, status="accepted")
    make_person(task, NOBODY, NOBODY)
    make_person(task, NO_SUCH)
    # a platform may give a call an intention that no person picked up: nobody is at that step
    make_person(task, MAILBOX | {"intention": "F"}, intention="F")
    make_person(task, NOT_KNOWN, status="accepted")
    make_person(task, NOBODY, SHORT)
    talked = make_person(task, TALK, intention="A")
    make_person(task, TALK | {"intention": "B"}, intention="B", status="unknown")
    call = talked.calls.get()
    say(call, "开场白", "产品介绍")
    say(make_call(task, None, happened_at=MONDAY, hangup_by="robot"), "开场白", "结束语")
    # a call that is going on counts for nothing
    make_call(task, None, has_record=False, answered=None, result="unknown", stage="ringing")
    return task


def count(kind: str, **params: Any) -> int:
    return int(
        read_criteria(kind, {name: str(value) for name, value in params.items()}).select().count()
    )


def test_every_number_is_that_of_its_rows() -> None:
    task = make_campaign()
    make_campaign()  # of another task: in no number
    found = figures.look_at(task).figures
    people = found.read_people()
    for step in PEOPLE_STEPS:
        assert people.rows[step.slug] == count(CONTACTS, task__id__exact=task.pk, step=step.slug)
    for step in CALL_STEPS:
        assert found.read_steps()[step.slug] == count(
            CALLS, task__id__exact=task.pk, step=step.slug
        ), step.slug
    for word, number in people.intentions.items():
        here = {"task__id__exact": task.pk, "step": "reached"}
        assert number == count(CONTACTS, **here, intention=word)
    for word, number in found.read_intentions().items():
        assert number == count(CALLS, task__id__exact=task.pk, step="reached", intention=word)
    for slot in found.slots:
        here = {"task__id__exact": task.pk, "slot": write_slot(slot.weekday, slot.hour)}
        assert slot.calls == count(CALLS, **here, step="counted")
        assert slot.base == count(CALLS, **here, step="existing")
        assert slot.reached == count(CALLS, **here, step="reached")
    for node in found.nodes.nodes:
        here = {"task__id__exact": task.pk, "step": "reached"}
        assert node.reached == count(CALLS, **here, node=node.name)
        assert node.left == count(CALLS, **here, left_at=node.name)
        assert node.hung_up == count(CALLS, **here, left_at=node.name, hangup_by__exact="contact")
    assert found.states == {**dict.fromkeys(found.states, 0)} | {
        state: count(CONTACTS, task__id__exact=task.pk, status__exact=state)
        for state in found.states
    }


def test_the_steps_of_one_task() -> None:
    found = figures.look_at(make_campaign()).figures
    people = found.read_people()
    assert list(people.people.values()) == [11, 10, 8, 7, 3, 2]
    assert people.people == people.rows
    assert people.intentions == {"A": 1, "B": 1}
    assert list(found.read_steps().values()) == [10, 9, 8, 5, 4, 3]
    assert found.tally.answer_rate == 4 / 8
    assert found.tally.answer_base == found.read_steps()["existing"]
    assert found.results["no_answer"] == 3
    assert found.read_intentions() == {"A": 2, "B": 1}
    assert found.dialogs == 2
    assert sum(slot.base for slot in found.slots) == 8
    assert sum(slot.reached for slot in found.slots) == 4


def test_who_is_at_a_step_was_at_each_before() -> None:
    task = make_campaign()
    for kind, steps in ((CONTACTS, PEOPLE_STEPS), (CALLS, CALL_STEPS)):
        before: set[int] | None = None
        for step in steps:
            chosen = read_criteria(kind, {"task__id__exact": str(task.pk), "step": step.slug})
            now = set(chosen.select().values_list("pk", flat=True))
            assert before is None or now <= before, step.slug
            rest = read_criteria(
                kind, {"task__id__exact": str(task.pk), "short_of": step.slug}
            ).select()
            assert not now & set(rest.values_list("pk", flat=True))
            before = now


def test_nodes_come_in_their_order_and_tell_who_left() -> None:
    nodes = figures.look_at(make_campaign()).figures.nodes
    told = [(one.name, one.reached, one.left, one.hung_up) for one in nodes.nodes]
    assert told[0] == ("开场白", 2, 0, 0)
    assert set(told[1:]) == {("产品介绍", 1, 1, 1), ("结束语", 1, 1, 0)}
    assert nodes.dialogs == 2


def test_a_mailbox_leaves_no_node() -> None:
    task = make_task()
    say(make_call(task, None, **MAILBOX), "开场白")
    assert figures.look_at(task).figures.nodes.nodes == []


def test_an_empty_task_has_no_rates() -> None:
    found = figures.look_at(make_task()).figures
    assert found.tally.answer_rate is None
    assert found.slots == []
    assert set(found.read_people().people.values()) == {0}


@pytest.mark.parametrize(
    ("zone", "weekday", "hour"),
    [("Asia/Shanghai", 1, 9), ("America/Los_Angeles", 7, 17), ("Asia/Kolkata", 1, 6)],
)
def test_hours_are_those_of_the_accounts_clock(zone: str, weekday: int, hour: int) -> None:
    make_account(time_zone="UTC")
    task = make_task(account=make_account(time_zone=zone))
    make_call(task, None, happened_at=MONDAY)
    (slot,) = figures.look_at(task).figures.slots
    assert (slot.weekday, slot.hour, slot.calls) == (weekday, hour, 1)
    assert count(CALLS, slot=write_slot(weekday, hour)) == 1


def test_somebody_of_two_rounds_is_one_person() -> None:
    first = make_task()
    second = make_task(account=first.account, robot=first.robot, family=first, round=2)
    for task, calls in ((first, NOBODY), (second, TALK)):
        make_person(task, calls, phone="19900000001", intention=calls.get("intention", ""))
    make_person(first, NOBODY, phone="19900000002")
    for task in (first, second):
        found = figures.look_at(task, family=True).figures
        people = found.read_people()
        assert (people.people["called"], people.rows["called"]) == (2, 3)
        assert (people.people["reached"], people.rows["reached"]) == (1, 1)
        assert people.intentions == {"A": 1}
        assert found.read_people(1).people["called"] == 2
        assert found.read_people(2).people["called"] == 1
        assert found.read_people(2).intentions == {"A": 1}
        assert found.read_steps(first.pk)["reached"] == 0
        assert found.read_steps(second.pk)["reached"] == 1
        assert found.read_steps()["counted"] == 3
        assert count(CONTACTS, family=first.pk, step="called") == 3
    alone = figures.look_at(first).figures.read_people()
    assert alone.people["called"] == 2


def test_calls_are_of_the_version_seen_last_before_them() -> None:
    task = make_task()
    for number, since in ((1, MONDAY), (2, MONDAY + timedelta(hours=1))):
        RobotVersion.objects.create(
            robot=task.robot,
            number=number,
            begins_at=since,
            first_seen_at=since + timedelta(minutes=5),
            last_seen_at=since + timedelta(minutes=5),
        )
    for minutes, fields in ((-1, TALK), (0, NOBODY), (59, TALK), (60, SHORT), (61, NO_SUCH)):
        make_call(task, None, happened_at=MONDAY + timedelta(minutes=minutes), **fields)
    looked = figures.look_at(task)
    found = {one.number: one for one in looked.figures.versions}
    assert {number: one.calls for number, one in found.items()} == {None: 1, 1: 2, 2: 2}
    assert found[1].answer_rate == 1 / 2
    assert found[2].answer_rate == 1.0
    assert found[2].talk_average == 4
    assert found[1].intentions == {"A": 1}
    total = figures.merge_versions([looked.figures, looked.figures])
    assert total[task.robot_id, 1].calls == 4
    assert total[task.robot_id, 1].intentions == {"A": 2}


# ---------------------------------------------------------------------------- when it is counted


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task that is too large to be counted while somebody waits."""
    monkeypatch.setattr(keeping, "FEW", 3)
    return make_campaign()


def list_waiting() -> list[dict[str, Any]]:
    jobs = ProcrastinateJob.objects.filter(task_name="campaigns.jobs.count_figures")
    return list(jobs.order_by("id").values_list("args", flat=True))


def test_few_rows_are_counted_at_once_and_left_to_no_job() -> None:
    look = figures.look_at(make_campaign())
    assert not look.is_old
    assert look.counted_at is not None
    assert not TaskFigures.objects.exists()
    assert list_waiting() == []


def test_a_large_task_is_counted_by_a_job(large: Task, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12):
        look = figures.look_at(large)
    assert (look.counted_at, look.is_old, bool(look.figures)) == (None, True, False)
    assert list_waiting() == [{"task_id": large.pk, "scope": "task"}]
    figures.look_at(large)
    assert len(list_waiting()) == 1
    assert figures.count_task(large.pk)
    look = figures.look_at(large)
    assert look.counted_at is not None
    assert look.figures.read_steps()["counted"] == 10


def age(minutes: float) -> None:
    """As if it had been counted so long ago."""
    TaskFigures.objects.update(counted_at=timezone.now() - timedelta(minutes=minutes))


def test_it_is_counted_again_when_calls_changed(large: Task) -> None:
    counting.count_marked()
    figures.count_task(large.pk)
    age(-1)
    assert not figures.look_at(large).is_old
    ProcrastinateJob.objects.all().delete()
    Call.objects.filter(task=large, intention="A").update(intention="C")
    counting.count_marked()
    age(1)
    look = figures.look_at(large)
    assert look.is_old
    assert look.figures.read_intentions() == {"A": 2, "B": 1}
    assert len(list_waiting()) == 1
    figures.count_task(large.pk)
    assert figures.look_at(large).figures.read_intentions() == {"B": 1, "C": 2}


def test_it_is_counted_again_when_contacts_moved(large: Task) -> None:
    figures.count_task(large.pk)
    age(1)
    states = figures.look_at(large).figures.states
    assert not figures.look_at(large, states=states).is_old
    assert figures.look_at(large, states=states | {"ready": 2}).is_old


def test_counting_leaves_most_of_the_time_to_others(large: Task) -> None:
    counting.count_marked()
    figures.count_task(large.pk)
    TaskFigures.objects.update(seconds=30)
    assert figures.look_at(large).is_old
    assert list_waiting() == []
    age(6)
    figures.look_at(large)
    assert len(list_waiting()) == 1


def test_what_a_dead_job_left_undone_is_found(large: Task) -> None:
    figures.look_at(large)
    ProcrastinateJob.objects.all().delete()
    assert (large.pk, "task") in figures.list_due()
    figures.count_task(large.pk)
    assert figures.list_due() == []


def test_what_nobody_looks_at_is_counted_now_and_then(large: Task) -> None:
    counting.count_marked()
    assert figures.list_due() == [(large.pk, "task")]
    figures.count_task(large.pk)
    assert figures.list_due() == []
    Call.objects.filter(task=large).update(intention="D")
    counting.count_marked()
    assert figures.list_due() == []
    age(11)
    assert figures.list_due() == [(large.pk, "task")]


def test_a_family_is_old_when_any_of_it_changed(large: Task) -> None:
    second = make_task(account=large.account, robot=large.robot, family=large, round=2)
    counting.count_marked()
    figures.count_task(large.pk, "family")
    age(-1)
    assert not figures.look_at(second, family=True).is_old
    make_call(second, None)
    counting.count_marked()
    age(1)
    assert figures.look_at(second, family=True).is_old
    assert {"task_id": large.pk, "scope": "family"} in list_waiting()


def test_a_task_that_is_gone_is_counted_by_nobody() -> None:
    assert not figures.count_task(10**9)


def test_only_numbers_and_words_of_the_platform_are_kept(large: Task) -> None:
    figures.count_task(large.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT figures::text FROM campaigns_taskfigures")
        kept = cursor.fetchone()[0]
    assert "199" not in kept
