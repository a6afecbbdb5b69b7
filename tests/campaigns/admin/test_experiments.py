"""In: people at the pages of experiments. Out: a draft is parted by a click of who may, and the
page says what came of it and whether it means anything.

Must catch: parting by somebody who may only look, or twice; a page that calls chance a result; a
500 for odd input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns import experiments
from campaigns.experiments.counting import Group
from campaigns.models import Contact, Experiment, Task
from tests.campaigns.admin.test_odd_requests import post_odd
from tests.campaigns.admin.world import World, make_call
from tests.factories import make_contact, make_robot, make_voice


@pytest.fixture
def draft(world: World) -> Task:
    for number in range(1, 31):
        make_contact(task=world.draft, phone=f"198{number:08d}")
    return world.draft


def find_url(task: Task) -> str:
    return reverse("admin:campaigns_task_split", args=[task.pk])


def make_answers(task: Task, **fields: Any) -> dict[str, Any]:
    answers = {"name": "Voices", "robot": task.robot_id, "share": 50, "measure": "reached"}
    return answers | fields


def page_of(client: Client, experiment: Experiment) -> str:
    url = reverse("admin:campaigns_experiment_change", args=[experiment.pk])
    response = client.get(url)
    assert response.status_code == 200
    return str(response.content.decode())


def part(client: Client, draft: Task) -> Experiment:
    voice = make_voice(account=draft.account)
    response = client.post(find_url(draft), make_answers(draft, voice=voice.pk))
    assert response.status_code == 302
    experiment = Experiment.objects.get()
    experiments.split_experiment(experiment.pk)
    experiment.refresh_from_db()
    return experiment


def test_a_click_has_the_contacts_parted_and_the_page_shows_both(root: Client, draft: Task) -> None:
    page = root.get(reverse("admin:campaigns_task_change", args=[draft.pk])).content.decode()
    assert find_url(draft) in page
    assert "Part the contacts" in root.get(find_url(draft)).content.decode()
    experiment = part(root, draft)
    assert experiment.second is not None
    page = page_of(root, experiment)
    assert reverse("admin:campaigns_task_change", args=[experiment.second.pk]) in page
    assert reverse("admin:campaigns_task_launch", args=[experiment.second.pk]) in page
    # a second time there is nothing to part
    response = root.post(find_url(draft), make_answers(draft))
    assert "part of an experiment already" in response.content.decode()
    assert Experiment.objects.count() == 1


def test_columns_that_the_rows_have_not_are_asked_for(root: Client, draft: Task) -> None:
    robot = make_robot(account=draft.account, columns=["phone", "姓名", "金额"], name="Other")
    answers = make_answers(draft, robot=robot.pk)
    response = root.post(find_url(draft), answers)
    assert "金额" in response.content.decode()
    assert not Experiment.objects.exists()
    assert root.post(find_url(draft), answers | {"column_0": "=nonsense"}).status_code == 200
    assert not Experiment.objects.exists()
    response = root.post(find_url(draft), answers | {"column_0": "-"})
    assert response.status_code == 302
    assert Experiment.objects.get().mapping["金额"] == ""


def test_who_may_only_look_parts_nothing(log_in: Callable[[str], Client], draft: Task) -> None:
    viewer = log_in("viewer")
    assert viewer.get(find_url(draft)).status_code == 403
    assert viewer.post(find_url(draft), make_answers(draft)).status_code == 403
    assert not Experiment.objects.exists()
    experiment = part(log_in("operator"), draft)
    assert experiment.status == "split"
    page = page_of(viewer, experiment)
    assert experiment.second is not None
    # to launch is a right of its own
    assert reverse("admin:campaigns_task_launch", args=[experiment.second.pk]) not in page


def set_counts(experiment: Experiment, first: Group, second: Group) -> None:
    from dataclasses import asdict

    counts = {"first": asdict(first), "second": asdict(second)}
    Experiment.objects.filter(pk=experiment.pk).update(counts=counts, counted_at=timezone.now())
    experiment.refresh_from_db()


def test_the_page_says_in_words_whether_it_means_anything(root: Client, draft: Task) -> None:
    experiment = part(root, draft)
    assert "Nothing can be said yet" not in page_of(root, experiment)  # not counted at all
    set_counts(experiment, Group(people=15), Group(people=15, called=3, reached=1))
    assert "Nothing can be said yet" in page_of(root, experiment)
    set_counts(experiment, Group(called=100, reached=10), Group(called=100, reached=15, calls=100))
    page = page_of(root, experiment)
    assert "means nothing yet" in page
    assert "586 more people" in page
    set_counts(experiment, Group(called=1000, reached=100), Group(called=1000, reached=150))
    page = page_of(root, experiment)
    assert "B is higher: by this measure" in page
    assert "decide when both tasks are over" not in page
    Task.objects.filter(pk=experiment.first_id).update(status="running")
    assert "decide when both tasks are over" in page_of(root, experiment)


def test_only_the_measure_that_was_chosen_beforehand_decides(root: Client, draft: Task) -> None:
    experiment = part(root, draft)
    Experiment.objects.update(measure="intention", measure_intention="Z")
    many = {"A": 50}
    set_counts(
        experiment,
        Group(called=100, reached=90, intentions=many),
        Group(called=100, reached=20, intentions={}),
    )
    page = page_of(root, experiment)
    assert "A is higher" in page  # the rates beside it are shown as they are
    assert "as good as equal" in page  # and nobody has the intention that decides


def test_numbers_come_from_the_calls_and_count_again(root: Client, draft: Task) -> None:
    experiment = part(root, draft)
    contact = draft.contacts.order_by("id").first()
    make_call(draft, contact)
    url = reverse("admin:campaigns_experiment_count", args=[experiment.pk])
    assert root.get(url).status_code == 405
    assert root.post(url).status_code == 302
    experiments.count_experiment(experiment.pk)
    live = reverse("admin:campaigns_experiment_live", args=[experiment.pk])
    assert "1 of 1" in root.get(live).content.decode()
    assert "counted" in root.get(live).content.decode()


@pytest.mark.parametrize("text", ["x\x00y", "\ud800", "9" * 5000, "-1", "", "[]", "<script>"])
def test_odd_input_is_refused(root: Client, draft: Task, text: Any) -> None:
    root.raise_request_exception = False
    robot = make_robot(account=draft.account, columns=["phone", "金额"])
    good = make_answers(draft, robot=robot.pk, column_0="-")
    for field in (*good, "voice", "measure_intention"):
        if field == "name" and text in ("-1", "[]", "<script>", "\ud800"):
            continue  # a name may be anything
        if (field, text) in (("voice", ""), ("measure_intention", "")):
            continue  # nothing has to be chosen
        response = post_odd(root, find_url(draft), good | {field: text})
        assert response.status_code in (200, 302), (field, text)
        if response.status_code == 302:
            assert field == "measure_intention"
            Experiment.objects.all().delete()
    assert Contact.objects.filter(task=draft).count() >= 30


def test_the_list_and_both_languages(root: Client, draft: Task) -> None:
    part(root, draft)
    for language in ("en", "zh-hans"):
        root.cookies["django_language"] = language
        assert root.get(reverse("admin:campaigns_experiment_changelist")).status_code == 200
        page_of(root, Experiment.objects.get())
