"""The capability table: rows for everything, honest ones, and the file that shows them current."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.core.management.base import CommandError

from campaigns.management.capability_table import CAN_LABELS, make_table
from campaigns.platforms.airudder.capability_index import list_entries
from campaigns.platforms.contract import Can, Platform, Standing
from campaigns.platforms.registry import PLATFORMS
from tests.platforms.payloads import HERE
from tests.platforms.test_contract import ALL

FILE = Path(__file__).resolve().parents[2] / "docs" / "platforms.md"


@pytest.mark.parametrize("platform", ALL)
def test_every_row_is_whole(platform: Platform) -> None:
    assert platform.capabilities
    keys = [(row.group, row.feature) for row in platform.capabilities]
    assert len(keys) == len(set(keys))
    for row in platform.capabilities:
        assert row.feature.strip()
        assert row.group.strip()
        assert row.standing in Standing
        assert not row.support.endswith(".")
        if row.standing is Standing.UNVERIFIED:
            assert row.support or row.note, f"what is unverified of {row.feature}?"


@pytest.mark.parametrize("platform", ALL)
def test_what_is_declared_unverified_has_rows_that_say_so(platform: Platform) -> None:
    rows = [row for row in platform.capabilities if row.standing is Standing.UNVERIFIED]
    off = [row for row in rows if "allow_unverified" in row.support]
    assert bool(off) == bool(platform.unverified)


def test_every_ability_is_told_in_words() -> None:
    assert set(CAN_LABELS) == set(Can)


def test_the_file_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == make_table(list(PLATFORMS.values()))


def test_the_table_is_the_same_every_time() -> None:
    assert make_table(list(PLATFORMS.values())) == make_table(list(PLATFORMS.values()))


def test_every_feature_is_in_the_file() -> None:
    text = FILE.read_text(encoding="utf-8")
    for platform in PLATFORMS.values():
        section = text.partition(f"\n## {platform.name} (")[2].partition("\n## ")[0]
        for row in platform.capabilities:
            assert f"| {row.feature} | {row.standing.value} |" in section
        for entry in (*platform.settings, *platform.credentials):
            assert f"| `{entry.name}`" in section
        for kind in platform.kinds:
            assert f"| `/callbacks/TOKEN/{kind}` |" in section


def test_a_stale_file_is_refused(settings: LazySettings, tmp_path: Path, capsys: Any) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    with pytest.raises(CommandError, match="not current"):
        call_command("platforms_table", "--check")
    call_command("platforms_table", "--write")
    call_command("platforms_table", "--check")
    written = tmp_path / "docs" / "platforms.md"
    written.write_text(written.read_text(encoding="utf-8").replace("documented", "known", 1))
    with pytest.raises(CommandError, match="not current"):
        call_command("platforms_table", "--check")
    call_command("platforms_table")
    assert capsys.readouterr().out == FILE.read_text(encoding="utf-8")


# ------------------------------------------------------------------------- AI Rudder's long index


def read_index() -> list[tuple[str, ...]]:
    """The entries of the index of the text, each with the titles above it. ``index_titles.txt`` is
    that index, two spaces for each level."""
    entries: list[tuple[str, ...]] = []
    above: list[str] = []
    lines = (HERE / "airudder" / "index_titles.txt").read_text(encoding="utf-8").splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        level = _count_level(line)
        del above[level:]
        above.append(line.strip())
        if _count_level(following) <= level:
            entries.append(tuple(above))
    return entries


def _count_level(line: str) -> int:
    return (len(line) - len(line.lstrip())) // 2


def _split(text: str) -> set[str]:
    return {part for level in text.split(" / ") for part in level.split(" · ")}


@pytest.mark.parametrize("entry", read_index(), ids=" / ".join)
def test_every_entry_of_the_index_has_a_row(entry: tuple[str, ...]) -> None:
    *above, title = entry
    rows = PLATFORMS["airudder"].capabilities
    assert any(title in _split(row.feature) and set(above) <= _split(row.group) for row in rows)


def test_the_index_is_whole() -> None:
    assert len(read_index()) == 320
    assert ("催收", "调用任务相关 API", "创建外呼拨打任务") in read_index()
    assert ("Chatbot", "华为", "api", "用户发送消息") in read_index()


def test_no_row_of_the_index_is_invented() -> None:
    titles = {title for entry in read_index() for title in entry}
    for group, entry in list_entries():
        assert _split(entry) <= titles, group
