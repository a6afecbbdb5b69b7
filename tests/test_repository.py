"""The tree as a stranger finds it: commands that exist, and nothing of anybody's machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from campaigns.management.extraction import (
    Constants,
    extract_python,
    extract_spoken,
    extract_template,
    gather_constants,
)

BASE_DIR = Path(__file__).resolve().parent.parent
TEXTS = {".py", ".md", ".html", ".toml", ".txt", ".yml", ".yaml", ".js", ".css", ".example", ""}
#: a home, a scratch folder or a mount of one machine
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work|workspace|mnt)/[\w.-]+")


def list_files() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=BASE_DIR, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return [BASE_DIR / name for name in done.stdout.split("\0") if name]


def test_no_path_of_a_machine() -> None:
    found = []
    for path in list_files():
        if path.suffix in TEXTS and path.is_file() and path != Path(__file__):
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if MACHINE_PATH.search(line) and "://" not in line:
                    found.append(f"{path.relative_to(BASE_DIR)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_make_lists_its_targets() -> None:
    done = subprocess.run(
        ["make", "help"], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    told = re.findall(r"make ([\w-]+)", done.stdout)
    assert {"help", "run", "test", "check", "bench"} <= set(told)
    assert all(re.search(rf"^  make {name} +\w", done.stdout, re.MULTILINE) for name in told[:5])


def list_commands() -> set[str]:
    folders = ("campaigns/management/commands", "callbacks/management/commands")
    return {
        path.stem
        for folder in folders
        for path in (BASE_DIR / folder).glob("*.py")
        if path.stem != "__init__"
    }


def test_the_commands_that_others_build_on_exist() -> None:
    assert {
        "add_account",
        "create_task",
        "delete_task",
        "import_contacts",
        "inbox_status",
        "launch_task",
        "pause_task",
        "resume_task",
        "sandbox",
        "show_call",
        "show_contact",
        "sync_account",
        "task_status",
        "up",
        "worker",
    } <= list_commands()


@pytest.mark.parametrize("name", ["README.md", *(f"docs/{n}" for n in ("sandbox.md",))])
def test_documents_name_only_what_exists(name: str) -> None:
    path = BASE_DIR / name
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (BASE_DIR / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    django = {"migrate", "createsuperuser", "shell", "dbshell", "changepassword", "check"}
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= list_commands() | django
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text)
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_a_setting_of_the_example_is_one_that_is_read() -> None:
    code = "".join(
        path.read_text()
        for folder in ("config", "campaigns")
        for path in (BASE_DIR / folder).rglob("*.py")
    )
    names = re.findall(r"^#?([A-Z][A-Z_]+)=", (BASE_DIR / ".env.example").read_text(), re.MULTILINE)
    assert len(names) > 20
    assert [name for name in names if f'"{name}"' not in code] == []


def test_the_python_that_is_asked_for_is_the_same_everywhere() -> None:
    project = (BASE_DIR / "pyproject.toml").read_text()
    assert 'requires-python = ">=3.11"' in project
    assert "OLDEST = (3, 11)" in (BASE_DIR / "config/bootstrap.py").read_text()
    assert "(3, 11)" in (BASE_DIR / "Makefile").read_text()


def test_texts_are_found_wherever_they_stand() -> None:
    python = 'x = _("One")\nngettext("a", "b", 2)\npgettext_lazy("month", "May")\n_(f"no {x}")\n_()'
    assert [(m.context, m.singular, m.plural) for m in extract_python(python)] == [
        ("", "One", ""),
        ("", "a", "b"),
        ("month", "May", ""),
    ]
    template = (
        '{% load i18n %}{% translate "Two" %}{% blocktranslate with n=x %}It\'s {{ n }}'
        '{% endblocktranslate %}{% translate "May" context "month" %}'
        "{% blocktranslate count n=y %}{{ n }} call{% plural %}{{ n }} calls{% endblocktranslate %}"
    )
    assert [(m.context, m.singular, m.plural) for m in extract_template(template)] == [
        ("", "Two", ""),
        ("", "It's %(n)s", ""),
        ("month", "May", ""),
        ("", "%(n)s call", "%(n)s calls"),
    ]
    spoken = 'class E:\n    advice = "Do it."\nAccountField("key", "The key", help="Ask for it.")'
    assert {m.singular for m in extract_spoken(spoken)} == {"Do it.", "The key", "Ask for it."}
    spoken = """
A, B = 1, 2
NO = "Not at all."
OTHER: str = (NO if A else "Not now.")
def ask(path, advice=NO, *, why="by default"):
    problems["x"] = "is odd" if path else "is even"
    advice, state = other.NEVER or "Not so.", 5
    return Body({}, dict.fromkeys(names, "has no comma"), problems={"y": "is 5 too much"})
self.problems[place] = f"is not {A} of these"
fields.name_problem("a", OTHER)
unspoken = "Nobody sees it."
"""
    constants: Constants = {}
    gather_constants(constants, 'NEVER = "Not in this life."\nnever = "No."')
    gather_constants(constants, spoken)
    assert {m.singular for m in extract_spoken(spoken, constants=constants)} == {
        *("Not at all.", "Not now.", "Not in this life.", "Not so.", "by default"),
        *("is odd", "is even", "has no comma", "is 5 too much", "is not {} of these"),
    }
