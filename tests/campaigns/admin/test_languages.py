"""In: rows whose texts were written in English. Out: pages that tell them in Chinese.

Must catch: a text that is built before it is translated, a name from the database shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from campaigns.models import Call, Exchange
from campaigns.wording import tell_permission
from tests.campaigns.admin.world import World, make_user


def test_pages_tell_outcomes_and_problems_in_chinese(world: World, root: Client) -> None:
    root.cookies["django_language"] = "zh-hans"
    Exchange.objects.filter(pk=world.exchange.pk).update(outcome="NotSent", http_code=None)
    Call.objects.filter(pk=world.call.pk).update(problems={"a": "is longer than 300 characters"})
    for name, row in (("exchange", world.exchange), ("account", world.account)):
        page = root.get(reverse(f"admin:campaigns_{name}_change", args=[row.pk])).content.decode()
        assert 'title="NotSent">未发送<' in page, name
    page = root.get(reverse("admin:campaigns_call_change", args=[world.call.pk])).content.decode()
    assert "超过 300 个字符" in page
    world.account.connection_error = "The account is switched off. Nothing is sent for it."
    world.account.connection_checked_at = world.exchange.started_at
    world.account.save()
    for url in (reverse("admin:index"), reverse("admin:campaigns_account_changelist")):
        assert "账号已停用" in root.get(url).content.decode(), url


@pytest.mark.parametrize("role", ["", "admin"])
def test_groups_and_permissions_are_told_in_chinese(
    log_in: Callable[[str], Client], role: str
) -> None:
    """The all-powerful one chooses among them, an administrator only sees them."""
    client = log_in(role)
    client.cookies["django_language"] = "zh-hans"
    user = make_user("operator")
    user.user_permissions.add(Permission.objects.get(codename="unmask_phone"))
    group = Group.objects.get(name="manager")
    everywhere = {
        reverse("admin:auth_user_changelist"): ["操作员", "主管"],
        reverse("admin:auth_group_changelist"): ["查看者", "操作员", "主管", "管理员"],
        reverse("admin:auth_user_change", args=[user.pk]): ["操作员", "可以查看完整电话号码"],
        reverse("admin:auth_group_change", args=[group.pk]): ["可以直接呼叫号码", "可以查看"],
    }
    for url, words in everywhere.items():
        page = client.get(url).content.decode()
        assert [word for word in words if word not in page] == [], url
        assert "Can see whole" not in page and "Can view" not in page, url


def test_a_group_and_a_permission_made_elsewhere_keep_their_names(root: Client) -> None:
    Group.objects.create(name="Nachtschicht")
    root.cookies["django_language"] = "zh-hans"
    assert "Nachtschicht" in root.get(reverse("admin:auth_group_changelist")).content.decode()
    permission = Permission.objects.get(codename="unmask_phone")
    permission.codename, permission.name = "view_nothing", "Own words"
    assert tell_permission(permission).endswith("| Own words")
