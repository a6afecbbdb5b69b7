"""In: a contact's page. Out: its time line in parts, links for who may follow, no number.

Must catch: a number that stands in a text or a value, a part that is not filtered, a link that
leads to a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.test import Client

from campaigns.barring import bar_number
from campaigns.models import Batch, Contact
from tests.campaigns.admin.world import World
from tests.factories import make_contact

KIND = re.compile(r'<span class="cb-badge [a-z]*">([^<]+)</span>')


def read_line(client: Client, contact: Contact, query: str = "") -> str:
    response = client.get(f"/admin/campaigns/contact/{contact.pk}/change/{query}")
    assert response.status_code == 200
    return response.content.decode().partition('id="time-line"')[2].partition("</section>")[0]


def test_the_time_line_in_parts(root: Client, world: World) -> None:
    contact = world.contact
    bar_number(contact.phone, source="manual", reason=f"call {contact.phone} no more")
    whole, numbers = read_line(root, contact), read_line(root, contact, "?show=list")
    calls = read_line(root, contact, "?show=calls")
    assert {"import", "do-not-call", "call"} <= set(KIND.findall(whole))
    assert set(KIND.findall(numbers)) == {"import", "do-not-call"}
    assert set(KIND.findall(calls)) <= {"call", "recording", "push"}
    assert contact.phone not in whole + numbers + calls
    assert "do_not_call" in numbers, "the rule is told below the words"
    for odd in ("?show=nothing", "?show=list&show=calls", "?show="):
        read_line(root, contact, odd)


def test_the_rules_that_let_a_batch_go_stand_in_one_line(root: Client, world: World) -> None:
    at = "2026-11-21T02:00:00.000+00:00"
    checks = [
        {"rule": "do_not_call", "value": {}, "at": at},
        {"rule": "cap", "value": {"allowed": 3, "days": 7, "adding": 1}, "at": at},
        {"rule": "of_tomorrow", "value": "odd", "at": "never"},
    ]
    task = world.contact.task
    batch = Batch.objects.create(task=task, number=77, size=1, status="accepted", checks=checks)
    Contact.objects.filter(pk=world.contact.pk).update(batch=batch)
    told = read_line(root, world.contact)
    assert told.count("Asked before it left") == 2, "the odd one has no time: that of its batch"
    assert "At most 3 calls to the number within 7 days" in told
    assert "of_tomorrow" in told


def test_links_lead_where_the_reader_may_go(
    root: Client, log_in: Callable[[str], Client], world: World
) -> None:
    bar_number(world.contact.phone, source="manual")
    for client in (root, log_in("viewer")):
        for url in set(
            re.findall(r'class="cb-link" href="([^"]+)"', read_line(client, world.contact))
        ):
            assert client.get(url).status_code == 200, url


def test_the_head_line_says_why_nobody_calls(root: Client, world: World) -> None:
    contact = make_contact(
        task=world.draft, status="excluded", reason="On the do-not-call list since %(since)s.",
        reason_values={"since": "2026-11-01"},
    )  # fmt: skip
    page = root.get(f"/admin/campaigns/contact/{contact.pk}/change/").content.decode()
    head = page.partition('id="time-line"')[0]
    assert head.count("Not called: On the do-not-call list since 2026-11-01.") == 1
    assert "Excluded: On the do-not-call list since 2026-11-01." in page
