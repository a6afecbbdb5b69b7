"""In: the declarations of the platforms. Out: docs/platforms.md, the capability table, as text.

English, for whoever reads the repository, and the same every time: `make check` compares it with
the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from campaigns.platforms.contract import (
    UNVERIFIED_SETTING,
    AccountField,
    Can,
    Limits,
    Platform,
    Standing,
)

HEAD = """\
# The platforms, and what Callboard does with each

Made by `manage.py platforms_table --write` from the declarations in `campaigns/platforms`;
`make check` fails when this file is not current.

**documented**: the vendor's text or a page of its own documentation says it.
**unverified**: it rests on others' client code or on inference; what would send something because
of it is off until the account's setting `allow_unverified` is on.
**not documented to us**: we have a title or a mention and nothing more, and guess nothing.

What a platform lets us do is *yes* where it rests on what is documented or on what the operator
enters, *unverified*, or a dash: the platform does not offer it, or nothing that we have says how.
"""

CAN_LABELS: dict[Can, str] = {
    Can.SYNCHRONISE: "mirror robots, lines and voices",
    Can.CREATE_TASK: "create tasks and hand contacts over",
    Can.FILL_INSTANCES: "tasks of several instances that dial at once",
    Can.PAUSE_TASK: "pause and resume tasks",
    Can.DELETE_TASK: "delete tasks",
    Can.QUERY_TASKS: "ask for the state of tasks",
    Can.CALL_DIRECTLY: "call directly, without a task",
    Can.LIST_FAILED_PUSHES: "list pushes that failed",
    Can.FIND_CONTACTS: "ask in which task a contact is",
    Can.FETCH_CALLS: "ask for the calls of a task",
    Can.VERIFY_PUSHES: "ask whether a push is true",
}
NONE = "–"


def make_table(platforms: Sequence[Platform]) -> str:
    """The whole file."""
    parts = [HEAD, "## Overview", _make_overview(platforms)]
    for platform in platforms:
        parts.extend(_describe(platform))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _make_overview(platforms: Sequence[Platform]) -> str:
    rows: list[list[str]] = [
        ["name on the command line", *(f"`{platform.slug}`" for platform in platforms)],
        ["we drive it", *map(_tell_driving, platforms)],
        ["it pushes to us", *map(_tell_receiving, platforms)],
        ["it asks us while a call goes on", *map(_tell_answering, platforms)],
        ["its pushes can be verified", *map(_tell_verifying, platforms)],
    ]
    rows += [
        [label, *(_tell_ability(platform, ability) for platform in platforms)]
        for ability, label in CAN_LABELS.items()
    ]
    rows += [
        [f"features: {standing.value}", *(_count(platform, standing) for platform in platforms)]
        for standing in Standing
    ]
    return _draw(["", *(platform.name for platform in platforms)], rows)


def _describe(platform: Platform) -> Iterator[str]:
    yield f"## {platform.name} (`{platform.slug}`)"
    yield "From " + "; ".join(platform.documents) + "."
    facts = [
        ["we drive it", _tell_driving(platform)],
        ["base URL", f"`{platform.default_base_url}`" if platform.default_base_url else NONE],
        ["it pushes to us", _tell_receiving(platform)],
        ["it asks us while a call goes on", _tell_answering(platform)],
        ["its pushes can be verified", _tell_verifying(platform)],
        ["limits", "; ".join(_list_limits(platform.limits, drives=bool(platform.can))) or NONE],
        ["also called", ", ".join(platform.aliases) or NONE],
    ]
    yield _draw(["How it is connected", ""], facts)
    if platform.can:
        yield _draw(
            ["What it lets us do", ""],
            [[label, _tell_ability(platform, can)] for can, label in CAN_LABELS.items()],
        )
    yield _draw(
        ["Address", "takes"],
        [
            [f"`/callbacks/TOKEN/{kind}`", what + _tell_answer(platform, kind)]
            for kind, what in platform.kinds.items()
        ],
    )
    yield _draw(
        ["Setting or credential", "is", "default"],
        [
            *([f"`{entry.name}`", *_tell_field(entry)] for entry in platform.settings),
            *([f"`{entry.name}` (secret)", *_tell_field(entry)] for entry in platform.credentials),
        ],
    )
    for group in dict.fromkeys(row.group for row in platform.capabilities):
        yield f"### {group}" if group else "### Features"
        yield _draw(
            ["Feature", "known how", "what Callboard does", "remark"],
            [
                [row.feature, row.standing.value, row.support or NONE, row.note or NONE]
                for row in platform.capabilities
                if row.group == group
            ],
        )


# ------------------------------------------------------------------------------- one cell each


def _tell_driving(platform: Platform) -> str:
    if platform.connect is None:
        return "no, it only pushes"
    if Can.CREATE_TASK not in platform.can:
        return "asked only"
    return _tell_ability(platform, Can.CREATE_TASK)


def _tell_receiving(platform: Platform) -> str:
    named = [f"`{kind}`" for kind in platform.kinds if kind]
    if "" not in platform.kinds:
        return "at an address for each kind: " + ", ".join(named)
    return "at one address" + (f", or by kind: {', '.join(named)}" if named else "")


def _tell_answering(platform: Platform) -> str:
    return ", ".join(f"`{kind}`" for kind in platform.questions) or "no"


def _tell_verifying(platform: Platform) -> str:
    return _tell_ability(platform, Can.VERIFY_PUSHES).replace(NONE, "no")


def _tell_ability(platform: Platform, ability: Can) -> str:
    if ability not in platform.can:
        return NONE
    return "unverified" if ability in platform.unverified else "yes"


def _tell_answer(platform: Platform, kind: str) -> str:
    question = platform.questions.get(kind)
    if question is None:
        return ""
    return f"; answered by what is configured, with `{question.empty.decode()}` when that is none"


def _count(platform: Platform, standing: Standing) -> str:
    return str(sum(row.standing is standing for row in platform.capabilities))


def _list_limits(limits: Limits, *, drives: bool) -> Iterator[str]:
    if not drives:
        return
    for number, what in (
        (limits.rows_per_insert, "contacts that we put into one request"),
        (limits.rows_per_direct_call, "contacts in one direct call"),
        (limits.contacts_per_instance, "contacts in one instance"),
        (limits.recall_count, "recalls at most"),
        (limits.verify_days, "days back that a push can be asked about"),
    ):
        if number:
            yield f"{number:,} {what}"
    if limits.speed:
        yield f"speed from {limits.speed[0]} to {limits.speed[1]}"
    if not limits.lines:
        yield "a task names no line"
    if not limits.windows:
        yield "a task has no calling windows"
    if limits.end_required:
        yield "a task must have an end"


def _tell_field(entry: AccountField) -> tuple[str, str]:
    what = entry.label + (f". {entry.help}" if entry.help else "")
    if entry.choices:
        what += " One of " + ", ".join(f"`{choice}`" for choice in entry.choices) + "."
    if entry.name == UNVERIFIED_SETTING and not entry.help:
        what += ". Switches on what is unverified."
    default = f"`{entry.default}`" if entry.default else "required" if entry.required else NONE
    return what, default


def _draw(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    drawn = [head, ["---"] * len(head), *rows]
    if len(drawn) == 2:
        return f"{head[0]}: none."
    return "\n".join("| " + " | ".join(_escape(cell) for cell in row) + " |" for row in drawn)


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
