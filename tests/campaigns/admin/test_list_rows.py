"""In: every list of the admin, with rows. Out: that the rows we draw are the library's to the byte.

Must catch: a cell whose value is not escaped, a column that is shown by another function or under
another heading, a box of another row, a link to another page, a time or a yes and no shown raw.
"""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.core.exceptions import ObjectDoesNotExist
from django.test import Client
from django.urls import reverse
from unfold.templatetags.unfold_list import items_for_result, result_headers

from campaigns.admin import list_rows
from tests.campaigns.admin.world import World, make_call
from tests.factories import make_agent, make_semantic_rule, make_task

pytestmark = pytest.mark.django_db

#: lists that have rows in the world of these tests, whatever is added to it
SURE = {
    *("account", "call", "contact", "task", "robot", "recording", "receipt", "exchange", "attempt"),
    *("agent", "semanticrule", "user", "contactimport"),
}


def list_names() -> dict[str, str]:
    return {
        model._meta.model_name or "": reverse(
            f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        )
        for model in admin.site._registry
    }


@pytest.mark.parametrize("query", ["", "o=1", "all="])
def test_the_rows_are_those_of_the_library(world: World, root: Client, query: str) -> None:
    odd = "<b>&\"'{}%s cb0row0cb \u202e"
    task = make_task(account=world.account, robot=world.robot, name=f"odd {odd}")
    make_call(task, intention=odd, platform_result_text=odd, result="busy", stage="ringing")
    make_call(task, callee="", answered=None, talk_seconds=None, platform_result_text="")
    make_agent(account=world.account, name=odd)
    make_semantic_rule(account=world.account)
    seen, plain = set(), set()
    for name, address in list_names().items():
        response = root.get(f"{address}?{query}", secure=True)
        if response.context is None or "cl" not in response.context:
            continue
        changelist = response.context["cl"]
        if not list_rows.is_plain(changelist) or not changelist.result_list:
            continue
        headers = list(result_headers(changelist))
        ours = list(list_rows.write_rows(changelist, headers))
        for row, told in zip(changelist.result_list, ours, strict=True):
            assert told == "\n".join(items_for_result(changelist, row, None)), (name, row.pk)
        seen.add(name)
        if all(told in response.content.decode() for told in ours):
            plain.add(name)
    if not query:
        assert seen >= SURE, SURE - seen
        # ages say another second by now; users are no list of ours
        assert plain >= SURE - {"call", "agent", "account", "user"}, SURE - plain


def test_what_is_more_than_cells_is_left_to_the_library(world: World, root: Client) -> None:
    address = reverse("admin:campaigns_task_changelist")
    assert list_rows.is_plain(root.get(address, secure=True).context["cl"])
    popup = root.get(f"{address}?_popup=1", secure=True)
    assert not list_rows.is_plain(popup.context["cl"])
    assert "data-popup-opener" in popup.content.decode()


def test_what_is_deleted_while_the_rows_are_drawn_is_an_empty_cell(
    world: World, root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = reverse("admin:campaigns_task_changelist")
    response = root.get(address, secure=True)
    changelist = response.context["cl"]
    name = changelist.list_display[2]

    def show(_row: object) -> str:
        raise ObjectDoesNotExist

    monkeypatch.setattr(changelist.model_admin, name, show)
    for links in (changelist.list_display_links, [], ["nothing that is shown"]):
        changelist.list_display_links = links
        ours = list(list_rows.write_rows(changelist, list(result_headers(changelist))))
        for row, told in zip(changelist.result_list, ours, strict=True):
            assert told == "\n".join(items_for_result(changelist, row, None)), links
