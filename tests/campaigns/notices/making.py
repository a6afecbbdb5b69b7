"""In: what a test cares about. Out: rules, webhooks and those who are told."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.utils import timezone

from campaigns import lifecycle, notices
from campaigns.models import Notice, NoticeHook, NoticeRule, Task


def make_reader(name: str, *rights: str, **fields: Any) -> User:
    """Of the staff, with the right to see notices and these."""
    user = User.objects.create_user(name, password="x", is_staff=True, **fields)
    codenames = {"view_notice", *rights}
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return User.objects.get(pk=user.pk)


def make_rule(
    event: str, *users: User, hooks: list[NoticeHook] | None = None, **fields: Any
) -> NoticeRule:
    """The only rule there is, unless a test makes another one after it."""
    rule = NoticeRule.objects.create(event=event, **fields)
    rule.users.set(users)
    rule.hooks.set(hooks or [])
    return rule


def make_hook(url: str = "https://hooks.example.org/in/very-secret-path", **fields: Any) -> Any:
    number = NoticeHook.objects.count() + 1
    hook: Any = NoticeHook(**{"name": f"Hook {number}", **fields})
    notices.set_address(hook, url)
    hook.save()
    hook.known_secret = notices.make_secret(hook)
    return hook


def finish(task: Task) -> None:
    """As polling does."""
    assert lifecycle.move(task, "finished", of=["running"], finished_at=timezone.now())


def told(user: User) -> list[str]:
    """What is in somebody's bell, the oldest first, as sentences."""
    return [notices.tell_notice(one) for one in reversed(notices.list_notices(user))]


def list_events() -> list[str]:
    return list(Notice.objects.order_by("id").values_list("event", flat=True))
