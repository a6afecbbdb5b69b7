"""In: the texts of the program and the Chinese catalogue. Out: what is not translated, exit code 1.

``--update`` writes new texts into the catalogue, untranslated, and takes out those that are gone;
``--compile`` writes the .mo that is committed, for a bare machine has no msgfmt.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import polib
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from campaigns.management.extraction import Found, extract_all

LOCALE = "zh_Hans"
METADATA = {
    "Project-Id-Version": "Callboard",
    "Language": LOCALE,
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=UTF-8",
    "Content-Transfer-Encoding": "8bit",
    "Plural-Forms": "nplurals=1; plural=0;",
}
_PLACES = re.compile(r"%\(\w+\)[#0\- +]?[\d.]*[sdifg]|%[sdifg]|\{\w*\}")


class Command(BaseCommand):
    help = "Check that every text has a Chinese translation and that the compiled file is current."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--update", action="store_true", help="add new texts, drop old ones")
        parser.add_argument("--compile", action="store_true", help="write the .mo")

    def handle(self, *args: Any, **options: Any) -> None:
        base_dir = Path(settings.BASE_DIR)
        path = Path(settings.LOCALE_PATHS[0]) / LOCALE / "LC_MESSAGES" / "django.po"
        found = extract_all(base_dir, locale=LOCALE)
        catalogue = read_catalogue(path)
        if options["update"]:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.stdout.write(update_catalogue(catalogue, found))
            catalogue.save(str(path))
        compiled = path.with_suffix(".mo")
        if options["compile"]:
            compiled.parent.mkdir(parents=True, exist_ok=True)
            compiled.write_bytes(catalogue.to_binary())
        problems = find_problems(catalogue, found)
        if not compiled.is_file() or compiled.read_bytes() != catalogue.to_binary():
            problems.append(f"{compiled.name} is not what {path.name} compiles to")
        if problems:
            raise CommandError(
                f"{len(problems)} problems; `make messages` brings the catalogue up to date:\n  "
                + "\n  ".join(problems)
            )
        self.stdout.write(f"{len(found)} texts, all translated.")


def read_catalogue(path: Path) -> polib.POFile:
    if path.is_file():
        return polib.pofile(str(path), wrapwidth=100)
    catalogue = polib.POFile(wrapwidth=100)
    catalogue.metadata = dict(METADATA)
    return catalogue


def update_catalogue(catalogue: polib.POFile, found: Found) -> str:
    """Entries in the order of their places, so that two branches seldom touch the same lines."""
    before = {(entry.msgctxt or "", entry.msgid): entry for entry in catalogue}
    entries = []
    for message, places in sorted(found.items(), key=lambda item: (item[1][0], item[0].singular)):
        entry = before.get(message.key) or polib.POEntry(
            msgid=message.singular, msgctxt=message.context or None
        )
        entry.obsolete = False
        entry.occurrences = [(place, "") for place in places]
        entry.flags = [flag for flag in entry.flags if flag != "python-format"]
        if "%(" in message.singular:
            entry.flags.append("python-format")
        if message.plural:
            entry.msgid_plural = message.plural
            entry.msgstr_plural = {0: (entry.msgstr_plural or {}).get(0, entry.msgstr)}
            entry.msgstr = ""
        entries.append(entry)
    new = sum((entry.msgctxt or "", entry.msgid) not in before for entry in entries)
    gone = len(before) - (len(entries) - new)
    catalogue[:] = entries
    return f"{len(entries)} texts, {new} new, {gone} gone."


def find_problems(catalogue: polib.POFile, found: Found) -> list[str]:
    known = {(entry.msgctxt or "", entry.msgid): entry for entry in catalogue if not entry.obsolete}
    problems = []
    for message, places in found.items():
        entry = known.get(message.key)
        if entry is None:
            problems.append(f"missing: {message.singular!r} ({places[0]})")
            continue
        texts = list(entry.msgstr_plural.values()) if message.plural else [entry.msgstr]
        if entry.fuzzy:
            problems.append(f"fuzzy: {message.singular!r} ({places[0]})")
        elif not texts or not all(texts):
            problems.append(f"empty: {message.singular!r} ({places[0]})")
        else:
            problems += [
                f"places differ: {message.singular!r} → {text!r} ({places[0]})"
                for text in texts
                if not places_agree(message.singular, message.plural, text)
            ]
    return problems


def places_agree(singular: str, plural: str, text: str) -> bool:
    """A translation has the same %(name)s and {name}; a plural may leave out what "one" says."""
    wanted = set(_PLACES.findall(singular)) | set(_PLACES.findall(plural))
    least = set(_PLACES.findall(singular)) & set(_PLACES.findall(plural or singular))
    return least <= set(_PLACES.findall(text)) <= wanted
