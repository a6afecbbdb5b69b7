"""In: the setting and a task. Out: whether its form offers to watch its folder, and says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from campaigns.drafting import clone_task
from tests.factories import make_task

pytestmark = pytest.mark.django_db


def test_it_is_offered_where_there_are_folders(admin_client: Any, settings: Any) -> None:
    task = make_task()
    address = reverse("admin:campaigns_task_change", args=[task.pk])
    assert b"watch_folder" not in admin_client.get(address).content
    settings.IMPORT_FOLDER = Path("/srv/inbox")
    page = admin_client.get(address).content.decode()
    assert 'name="watch_folder"' in page
    assert f"/srv/inbox/{task.pk} " in page


def test_it_is_kept(admin_client: Any, settings: Any) -> None:
    settings.IMPORT_FOLDER = Path("/srv/inbox")
    task = make_task()
    line = task.lines.get()
    values = {
        "name": task.name,
        "robot": task.robot_id,
        "lines": [line.pk],
        "windows_text": "",
        "recall_count": "0",
        "watch_folder": "on",
    }
    address = reverse("admin:campaigns_task_change", args=[task.pk])
    reply = admin_client.post(address, values)
    assert reply.status_code == 302, reply.context["adminform"].form.errors
    task.refresh_from_db()
    assert task.watch_folder
    assert clone_task(task).watch_folder
