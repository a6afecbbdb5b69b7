"""In: the setting ``workflow_templates``. Out: the templates as robots, with their columns.

How the list of templates is asked for is documented nowhere to us, and neither is the row of
``uploaddetails``: so the operator names both, as they stand in the platform's own console. One
template per ``;`` or line, ``301 Payment reminder: callee, callee_name, comments``: its id, its
name, and after the colon the fields of a row, the phone number first.
"""

from __future__ import annotations

import re

from campaigns.platforms.contract import RobotInfo
from campaigns.platforms.errors import NotSent
from campaigns.platforms.values import MAX_NAME_CHARS, clean_text

SETTING = "workflow_templates"
NUMBER_COLUMN = "callee"
#: the field of a row that carries our own id of the contact
KEY_COLUMN = "case_id"

_ENTRY = re.compile(r"([0-9]{1,18})(?:\s+([^:]*))?(?::(.*))?", re.DOTALL)
_COLUMN = re.compile(r"\w(?:[\w .-]{0,98}\w)?")
_WIDE = str.maketrans("；：，", ";:,")


class UnusableSetting(NotSent):
    """The setting cannot be read; which entry of it stands in the message."""

    advice = (
        "The setting of the workflow templates cannot be read. Write one per semicolon, like "
        "301 Payment reminder: callee, callee_name - the template's id, its name, and after the "
        "colon the fields of a row, the phone number first. Each id and each field only once, and "
        "not case_id, which is ours."
    )


def read_templates(text: str) -> tuple[RobotInfo, ...]:
    """The templates named in the setting, none for an empty one. Raises ``UnusableSetting``."""
    robots: dict[str, RobotInfo] = {}
    entries = [entry.strip() for entry in re.split(r"[;\n]", clean_text(text).translate(_WIDE))]
    for position, entry in enumerate(filter(None, entries), 1):
        robot = _read_template(entry)
        if robot is None or robot.platform_id in robots:
            raise UnusableSetting(f"{SETTING}: entry {position}")
        robots[robot.platform_id] = robot
    return tuple(robots.values())


def _read_template(entry: str) -> RobotInfo | None:
    found = _ENTRY.fullmatch(entry)
    if found is None or not int(found[1]):
        return None
    identifier = str(int(found[1]))
    columns = _read_columns(found[3])
    name = " ".join((found[2] or "").split()) or identifier
    if columns is None or len(name) > MAX_NAME_CHARS:
        return None
    return RobotInfo(
        platform_id=identifier,
        name=name,
        columns=columns,
        state="published",
        platform_state="",
        kind="unknown",
        deleted=False,
    )


def _read_columns(text: str | None) -> tuple[str, ...] | None:
    if text is None or not text.strip():
        return (NUMBER_COLUMN,)
    columns = tuple(name.strip() for name in text.split(","))
    if not all(_COLUMN.fullmatch(name) for name in columns):
        return None
    plain = [fold_column(name) for name in columns]
    if len(set(plain)) < len(plain) or fold_column(KEY_COLUMN) in plain:
        return None
    return columns


def fold_column(name: str) -> str:
    """A column's name as one that a platform might take for the same."""
    return re.sub(r"[\W_]", "", name).lower()
