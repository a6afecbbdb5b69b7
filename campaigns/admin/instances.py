"""In: the tasks at the platform that together are one of ours. Out: what the task's page shows of
each: how many contacts it has, its state, and its parts with their counters."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from campaigns.admin.base import hide_phones, make_badge, show_moment, tell_age
from campaigns.admin.call_details import list_facts
from campaigns.models import Instance

#: shown of one task, and parts of one instance; sums are of all
SHOWN_INSTANCES, SHOWN_PARTS = 200, 30
#: the details of a part that are moments of ours
MOMENTS = ("started_at", "finished_at")
STATE_COLORS = {
    "running": "good",
    "started": "info",
    "waiting_retry": "info",
    "paused": "warn",
    "outside_hours": "warn",
    "expired": "bad",
    "finished": "done",
    "deleted": "mute",
}


def name_platform_state(state: str) -> str:
    """The platform's own state of a task, in the reader's language."""
    words = {
        "created": pgettext("at the platform", "created"),
        "started": _("started"),
        "running": _("running"),
        "paused": _("paused"),
        "finished": _("finished"),
        "waiting_retry": _("waiting for the next recall"),
        "outside_hours": _("outside working hours"),
        "expired": _("expired"),
        "deleted": _("deleted"),
        "unknown": _("unknown"),
    }
    return words.get(state, state)


def describe_instances(instances: list[Any]) -> dict[str, Any]:
    """The instances of a task, as ``summarise_instances`` has them."""
    return {
        "instances": [describe_instance(one) for one in instances[:SHOWN_INSTANCES]],
        "instances_total": len(instances),
        "instances_cut": len(instances) > SHOWN_INSTANCES,
        "instances_made": sum(bool(one.platform_task_id) for one in instances),
        "handed": sum(one.handed for one in instances),
    }


def describe_instance(instance: Any) -> dict[str, Any]:
    """One task at the platform of those that together are ours."""
    parts = list_parts(instance)
    return {
        "instance": instance,
        "handed": instance.handed,
        "waiting": instance.waiting,
        "unsure": instance.unsure,
        "state": show_state(instance.platform_state, instance.platform_word),
        "told": tell_age(instance.platform_checked_at) if instance.platform_checked_at else "",
        "parts": parts[:SHOWN_PARTS],
        "more_parts": len(parts[SHOWN_PARTS:]),
    }


def show_state(state: str, word: str) -> Any:
    """A badge in our word, the platform's own on hovering; nothing where it is not told."""
    if not state and not word:
        return ""
    named = name_platform_state(state) if state else hide_phones(word)
    return make_badge(named, STATE_COLORS.get(state, ""), title=str(hide_phones(word)))


def list_parts(instance: Instance) -> list[dict[str, Any]]:
    """The parts of an instance, whatever shape earlier readings gave them, by their names."""
    nodes = instance.nodes if isinstance(instance.nodes, dict) else {}
    parts = [describe_part(str(name), node) for name, node in nodes.items()]
    return sorted(parts, key=lambda part: (str(part["name"]), str(part["id"])))


def describe_part(part_id: str, node: Any) -> dict[str, Any]:
    node = node if isinstance(node, dict) else {"word": str(node)}
    counts = node.get("counts")
    details = node.get("details")
    told = dict(details) if isinstance(details, dict) else {}
    told |= {name: node[name] for name in MOMENTS if node.get(name)}
    times = {name: told.pop(name, None) for name in MOMENTS}
    named = hide_phones(str(node.get("name") or ""))
    return {
        "id": hide_phones(part_id) if named else "",
        "name": named or hide_phones(part_id),
        "state": show_state(str(node.get("state") or ""), str(node.get("word") or "")),
        "counts": sorted(counts.items()) if isinstance(counts, dict) else [],
        "started": show_told_moment(times["started_at"]),
        "finished": show_told_moment(times["finished_at"]),
        "details": list_facts(hide_phones(told)),
    }


def show_told_moment(text: Any) -> str:
    """A moment kept as text, in the reader's zone; what is none as it is."""
    try:
        moment: datetime | None = parse_datetime(str(text)) if text else None
    except ValueError:
        moment = None
    if moment is not None and moment.tzinfo is not None:
        return show_moment(moment)
    return str(hide_phones(str(text))) if text else ""
