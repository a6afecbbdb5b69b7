"""In: an account and the platform's id of a call. Out: all that we know of the call."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from campaigns.contradictions import Statement, list_contradictions
from campaigns.management.headless import HeadlessCommand, find_account
from campaigns.models import Call
from campaigns.phones import tell_phone
from campaigns.recordings import SHORT


class Command(HeadlessCommand):
    help = "Show what is known of a call. Numbers are shown whole."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="its name (or id)")
        parser.add_argument("platform_call_id")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        account = find_account(options["account"])
        call = account.call_set.filter(platform_call_id=options["platform_call_id"]).first()
        if call is None:
            raise CommandError(
                _("Account %(account)s knows of no call %(id)s.")
                % {"account": account.name, "id": options["platform_call_id"]}
            )
        return describe_call(call)


def describe_call(call: Call) -> dict[str, Any]:
    """Everything in plain values: null for what is not known, times aware, numbers normalised."""
    account = call.account
    return {
        "platform": account.platform,
        "account": account.name,
        "platform_call_id": call.platform_call_id,
        "task": call.task_id,
        "contact": call.contact_id,
        "direction": call.direction or None,
        "caller": show_number(call.caller, call),
        "callee": show_number(call.callee, call),
        "dialed_at": in_zone(call, "dialed_at"),
        "ringing_at": in_zone(call, "ringing_at"),
        "answered_at": in_zone(call, "answered_at"),
        "ended_at": in_zone(call, "ended_at"),
        "answered": call.answered,
        "ring_seconds": call.ring_seconds,
        "talk_seconds": call.talk_seconds,
        "result": call.result,
        "platform_result": call.platform_result or None,
        "platform_result_text": call.platform_result_text or None,
        "hangup_by": call.hangup_by,
        "intention": call.intention or None,
        "attempt": call.attempt,
        "turns": [{"role": turn.role, "text": turn.text} for turn in call.turns.all()],
        "dialog_deleted_at": in_zone(call, "dialog_deleted_at"),
        "recordings": [
            one.make_info() | ({"cut": True} if one.file and one.reason == SHORT else {})
            for one in call.recordings.order_by("id")
        ],
        "conflicts": list_conflicts(call),
        "receipts": account.receipts.filter(platform_call_id=call.platform_call_id).count(),
        "stage": call.stage,
        "agent": describe_agent(call),
        "queue": call.queue_name or None,
        "wait_seconds": call.wait_seconds,
        "details": call.details,
        "verification": find_verification(call),
    }


def describe_agent(call: Call) -> dict[str, str | None] | None:
    if not (call.agent_number or call.agent_name):
        return None
    return {"number": call.agent_number or None, "name": call.agent_name or None}


def find_verification(call: Call) -> str | None:
    """The best of what asking the platform about the pushes gave; null where none can be asked."""
    statuses = set(call.verifications.values_list("status", flat=True))
    order = ("verified", "mismatch", "asking", "failed", "too_old", "unasked")
    return next((status for status in order if status in statuses), None)


def in_zone(call: Call, field: str) -> Any:
    moment = getattr(call, field)
    return moment and moment.astimezone(call.account.zone)


def show_number(text: str, call: Call) -> str | None:
    return tell_phone(text, region=call.account.region) or None


def list_conflicts(call: Call) -> list[Any]:
    """[{"field", "values"}]: fields of which the platform said different things, the one that is
    believed first; each with the kind of message, and the pushes that say so."""
    return [
        {"field": field, "values": [describe_statement(one) for one in statements]}
        for field, statements in list_contradictions(call)
    ]


def describe_statement(one: Statement) -> Any:
    if not one.source:
        return one.value
    return {
        "source": one.source,
        "value": one.value,
        "receipts": [
            {"id": push.receipt_id, "kind": push.kind, "received_at": push.received_at}
            for push in one.sources
        ],
    }
