"""In: robots as a platform listed them just now. Out: a version for each that is new or different.

A platform gives no history of its scripts: what it says of a robot is compared with what it said
the last time. What is read of its words counts, with its own time of change among them; a field
that nobody has documented does not, it may change by itself.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from campaigns.models import Account, Robot, RobotVersion

#: fields of a robot that are the platform's words
SAID = (
    *("name", "columns", "state", "platform_state", "kind", "deleted"),
    *("platform_created_at", "platform_updated_at"),
)


def read_said(robot: Robot) -> dict[str, Any]:
    """The platform's words about a robot, as JSON keeps them."""
    said = {name: getattr(robot, name) for name in SAID}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in said.items()
    }


def digest_said(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def find_changes(before: dict[str, Any], now: dict[str, Any]) -> dict[str, list[Any]]:
    """{field: [before, now]} of what is not the same."""
    return {
        name: [before.get(name), now.get(name)]
        for name in SAID
        if before.get(name) != now.get(name)
    }


def find_begin(robot: Robot, *, seen_at: datetime, last_at: datetime | None) -> datetime:
    """From when calls are taken to be made with what was seen: the platform's own time of change,
    if it lies between this look and the one before, else this look."""
    told = robot.platform_updated_at
    if told is None or told > seen_at or (last_at is not None and told <= last_at):
        return seen_at
    return told


def note_versions(account: Account, *, seen_at: datetime) -> int:
    """Compare the robots that were listed at ``seen_at`` with their last versions; returns how many
    new versions there are. Called under the account's lock."""
    robots = list(Robot.objects.filter(account=account, seen_at=seen_at))
    newest = RobotVersion.objects.filter(robot__in=robots).order_by("robot_id", "-number")
    last = {one.robot_id: one for one in newest.distinct("robot_id")}
    fresh, same = [], []
    for robot in robots:
        said = read_said(robot)
        digest = digest_said(said)
        known = last.get(robot.pk)
        if known is not None and known.digest == digest:
            same.append(known.pk)
            continue
        fresh.append(
            RobotVersion(
                robot=robot,
                number=known.number + 1 if known else 1,
                digest=digest,
                said=said,
                changes=find_changes(known.said, said) if known else {},
                begins_at=find_begin(
                    robot, seen_at=seen_at, last_at=known.last_seen_at if known else None
                ),
                first_seen_at=seen_at,
                last_seen_at=seen_at,
                platform_updated_at=robot.platform_updated_at,
            )
        )
    RobotVersion.objects.bulk_create(fresh)
    RobotVersion.objects.filter(pk__in=same).update(last_seen_at=seen_at)
    return len(fresh)
