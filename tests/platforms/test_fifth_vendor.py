"""A platform is added by following docs/adding-a-platform.md, and little else changes.

The made-up vendor *acme* (``fifth/``) is put into a copy of this tree, step by step, and the shared
lines are those of the page's own table. Then everything that finds platforms by itself must have
found it.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from campaigns.platforms.registry import PLATFORMS

BASE_DIR = Path(__file__).resolve().parents[2]
FIFTH = Path(__file__).parent / "fifth"
PAGE = "docs/adding-a-platform.md"
CODE, PROOF = "campaigns/platforms/acme", "tests/platforms/acme"
#: made from the declarations by a command, and written by nobody
GENERATED = {"docs/platforms.md"}
MOST_LINES = 5

OFFERED = """
import django
django.setup()
from django.apps import apps
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from campaigns.models import Account
loader = MigrationLoader(None)
now = ProjectState.from_apps(apps)
found = MigrationAutodetector(loader.project_state(), now).changes(graph=loader.graph)
assert not found, f"migrations are missing: {found}"
field = Account._meta.get_field("platform")
assert ("acme", "Acme Calls") in list(field.flatchoices), list(field.flatchoices)
account = Account(platform="acme", name="Acme", base_url="https://api.acme.example/acme")
account.credentials = {"app_key": "a", "app_secret": "b"}
account.clean_fields()
assert account.vendor.name == "Acme Calls"
from campaigns.platforms.registry import find_platform
assert find_platform("ACME calls").slug == "acme"
"""


UNTRANSLATED = """
import django
django.setup()
from django.core.management import call_command
from django.core.management.base import CommandError
try:
    call_command("check_translations", verbosity=0)
except CommandError as error:
    print(*(line.replace("  ", "* ", 1) for line in str(error).splitlines()[1:]), sep="\\n")
"""
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"


def list_tree() -> list[str]:
    """What is, or would be, in the repository."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name and (BASE_DIR / name).is_file()]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    copy = tmp_path / "tree"
    for name in list_tree():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(BASE_DIR / name, copy / name)
    return copy


def read_shared_lines(tree: Path) -> list[tuple[str, str, str]]:
    """(file, line, what the line begins with that it comes before), from step 5 of the page."""
    rows = re.findall(
        r"^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \|$", (tree / PAGE).read_text(), re.M
    )
    assert rows
    return [(name, line.replace(r"\|", "|"), mark.replace(r"\|", "|")) for name, line, mark in rows]


def follow_the_page(tree: Path) -> None:
    """Steps 1 to 4 are the made-up vendor's own files, 5 is the table."""
    shutil.copytree(FIFTH / "package", tree / CODE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(FIFTH / "proof", tree / PROOF, ignore=shutil.ignore_patterns("__pycache__"))
    for name, line, mark in read_shared_lines(tree):
        lines = (tree / name).read_text().split("\n")
        place = next(index for index, old in enumerate(lines) if old.startswith(mark))
        lines.insert(place, line)
        (tree / name).write_text("\n".join(lines))


def run(tree: Path, *command: str) -> str:
    """The output of a Python command in the copy, which has no database at all."""
    env = {name: word for name, word in os.environ.items() if name != "DATABASE_URL"}
    env |= {"CALLBOARD_DATABASE": "none", "DATA_DIR": str(tree.parent / "var")}
    env |= {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONDONTWRITEBYTECODE": "1"}
    env["HYPOTHESIS_STORAGE_DIRECTORY"] = str(tree.parent / "hypothesis")
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    if done.returncode:
        raise AssertionError(f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def prove(tree: Path, *names: str) -> str:
    """The contract tests of the copy, for acme alone."""
    files = names or tuple(
        f"tests/platforms/{path.name}" for path in (tree / "tests/platforms").glob("test_contract*")
    )
    return run(tree, "-m", "pytest", "-k", "acme", *files)


def read_command(tree: Path) -> list[str]:
    """The page's own command for the tests of the new vendor."""
    (command,) = re.findall(r"`(pytest [^`]+)`", (tree / PAGE).read_text())
    return str(command).split()


def list_untranslated(tree: Path) -> set[str]:
    """What check_translations finds, by a run of the extraction in the copy."""
    done = run(tree, "-c", UNTRANSLATED)
    return {line.removeprefix("* ") for line in done.splitlines() if line.startswith("* ")}


def read_all(tree: Path) -> dict[str, str]:
    return {
        name: (tree / name).read_bytes().decode("utf-8", "replace")
        for path in tree.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        for name in [path.relative_to(tree).as_posix()]
    }


def check_little_changed(before: Mapping[str, str], after: Mapping[str, str]) -> int:
    """The number of shared lines that are new, other or gone: at most ``MOST_LINES``. New files
    are the vendor's own."""
    strangers = [
        name for name in {*after} - {*before} if not name.startswith((f"{CODE}/", f"{PROOF}/"))
    ]
    assert strangers == []
    changed = [
        f"{name}: {line}"
        for name in sorted({*before} - GENERATED)
        for line in difflib.unified_diff(
            before[name].splitlines(), after.get(name, "").splitlines(), lineterm="", n=0
        )
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert len(changed) <= MOST_LINES, "\n".join(changed)
    return len(changed)


def plant(tree: Path, name: str, old: str, new: str) -> None:
    text = (tree / name).read_text()
    assert old in text
    (tree / name).write_text(text.replace(old, new, 1))


def test_a_fifth_platform_is_five_steps_and_few_lines(tree: Path) -> None:
    before = read_all(tree)
    follow_the_page(tree)
    run(tree, "manage.py", "platforms_table", "--write")
    assert check_little_changed(before, read_all(tree)) == len(read_shared_lines(tree)) > 0
    run(tree, "-c", OFFERED)
    run(tree, "manage.py", "platforms_table", "--check")
    told = run(tree, "-m", *read_command(tree))
    (passed,) = re.findall(r"(\d+) passed", told)
    assert int(passed) >= 60
    assert "skipped" not in told
    assert "test_a_push_is_tried" in run(tree, "-m", *read_command(tree), "--collect-only")


def test_the_import_contracts_know_the_new_package(tree: Path) -> None:
    follow_the_page(tree)
    assert "0 broken" in run(tree, "-c", LINT)
    plant(tree, "pyproject.toml", "    | acme\n", "")
    with pytest.raises(AssertionError, match="acme"):
        run(tree, "-c", LINT)


def test_only_its_own_sentences_want_a_translation(tree: Path) -> None:
    """The catalogue is data: `make messages` writes them into it, and a translator fills them."""
    before = list_untranslated(tree)
    follow_the_page(tree)
    new = list_untranslated(tree) - before
    assert new
    for problem in new:
        assert re.fullmatch(rf"missing: .+ \({CODE}/\w+\.py\)", problem), problem


def test_the_page_has_five_steps_and_fits_on_a_page() -> None:
    text = (BASE_DIR / PAGE).read_text()
    assert re.findall(r"^\*\*(\d)\. ", text, re.M) == ["1", "2", "3", "4", "5"]
    assert len(text.splitlines()) <= 60
    assert len(text.split()) <= 700
    named = set(re.findall(r"`((?:campaigns|tests|docs)/[\w./-]+)`", text))
    missing = {
        name
        for name in named
        if not name.startswith((CODE, PROOF)) and not (BASE_DIR / name).exists()
    }
    assert missing == set()


@pytest.mark.parametrize(
    ("name", "old", "new", "proof", "word"),
    [
        (f"{PROOF}/expectations.py", '"outcomes": "wrong"', "", "words", "wrong"),
        (f"{PROOF}/expectations.py", '"call__nobody"', '"call__noone"', "facts", "FACTS of acme"),
        (f"{CODE}/vocabulary.py", "Result.BUSY", "Result.REJECTED", "facts", "rejected"),
        (f"{CODE}/vocabulary.py", "Result.INVALID_NUMBER", "Result.BUSY", "facts", "outcomes"),
        (f"{CODE}/vocabulary.py", '"them": HangupBy.CONTACT', "", "facts", "sides"),
        (f"{CODE}/callbacks.py", 'fields.id("job")', 'fields.id("began")', "facts", "77"),
        (f"{CODE}/client.py", "def find_contact", "def find", "", "find_contact"),
        (f"{CODE}/callbacks.py", '"began")', '"began").replace(tzinfo=None)', "", "tzinfo"),
        (f"{CODE}/__init__.py", '"token"', '"other"', "exchanges", "test_no_secret"),
        (f"{PROOF}/payloads/SOURCES.md", "| call__nobody", "| call__somebody", "", "call__nobody"),
    ],
    ids=[
        "a word nobody saw",
        "a push that nobody read",
        "another result",
        "another result that no payload shows",
        "a word less",
        "another id",
        "a method missing",
        "a time without a zone",
        "a token kept",
        "a source",
    ],
)
def test_a_platform_that_is_not_whole_is_refused(
    tree: Path, *, name: str, old: str, new: str, proof: str, word: str
) -> None:
    follow_the_page(tree)
    plant(tree, name, old, new)
    suffix = f"_{proof}" if proof else ""
    with pytest.raises(AssertionError, match=word) as refused:
        prove(tree, f"tests/platforms/test_contract{suffix}.py")
    assert re.search(r"FAILED .*acme", str(refused.value))


def test_one_line_too_many_is_refused(tree: Path) -> None:
    before = read_all(tree)
    follow_the_page(tree)
    used = check_little_changed(before, read_all(tree))
    events = tree / "campaigns/platforms/events.py"
    events.write_text(events.read_text() + "# more\n" * (MOST_LINES - used))
    assert check_little_changed(before, read_all(tree)) == MOST_LINES
    events.write_text(events.read_text() + "# one too many\n")
    with pytest.raises(AssertionError, match="one too many"):
        check_little_changed(before, read_all(tree))


def test_nobody_else_knows_a_name() -> None:
    """Of a platform, in quotes; but for the demo, which is optional."""
    named = re.compile(rf"""["'](?:{"|".join(PLATFORMS)})["']""")
    places = [
        name
        for name in list_tree()
        if name.startswith(("campaigns/", "callbacks/", "config/", "templates/"))
        and not name.startswith(("campaigns/platforms/", "campaigns/locale/"))
        and name.endswith((".py", ".html", ".txt", ".js"))
        and named.search((BASE_DIR / name).read_text())
    ]
    assert places == ["campaigns/management/demo.py"]


def test_a_new_file_elsewhere_is_refused(tree: Path) -> None:
    before = read_all(tree)
    follow_the_page(tree)
    (tree / "campaigns/acme_rules.py").write_text("")
    with pytest.raises(AssertionError, match="acme_rules"):
        check_little_changed(before, read_all(tree))


def test_a_migration_that_is_missing_is_refused(tree: Path) -> None:
    follow_the_page(tree)
    field = "    is_sandbox = models"
    more = "    is_acme = models.BooleanField(default=False)\n"
    plant(tree, "campaigns/models/accounts.py", field, more + field)
    with pytest.raises(AssertionError, match="migrations are missing"):
        run(tree, "-c", OFFERED)


def test_a_platform_that_is_in_no_list_is_refused(tree: Path) -> None:
    follow_the_page(tree)
    plant(tree, "campaigns/platforms/registry.py", "    ACME,\n", "")
    with pytest.raises(AssertionError, match=r"AssertionError: \[\('yeta'"):
        run(tree, "-c", OFFERED)
