"""Every word of every status table was seen in a payload, or is said to be unseen."""

from __future__ import annotations

import pytest

from campaigns.platforms.contract import Platform, StatusTable
from campaigns.platforms.registry import PLATFORMS
from tests.platforms.payloads import list_payloads, list_unseen, stands_at, walk_words

ALL = [pytest.param(platform, id=slug) for slug, platform in PLATFORMS.items()]
TABLES = [
    pytest.param(platform, table, id=f"{slug}-{table.name}")
    for slug, platform in PLATFORMS.items()
    for table in platform.vocabulary
]


def find_seen(platform: Platform, table: StatusTable) -> set[str]:
    """Words that some payload or reply has under a field of the table."""
    return {
        word
        for payload in list_payloads(platform.slug)
        for path, word in walk_words(payload.text)
        if any(stands_at(path, field) for field in table.fields)
    }


@pytest.mark.parametrize(("platform", "table"), TABLES)
def test_every_word_is_seen_or_said_to_be_unseen(platform: Platform, table: StatusTable) -> None:
    missing = set(table.words) - find_seen(platform, table)
    assert missing == list_unseen(platform.slug).get(table.name, set())


@pytest.mark.parametrize(("platform", "table"), TABLES)
def test_every_word_is_a_string_as_it_comes(platform: Platform, table: StatusTable) -> None:
    assert table.fields
    assert table.words
    assert all(isinstance(word, str) and word == word.strip() for word in table.words)


@pytest.mark.parametrize("platform", ALL)
def test_the_tables_are_told_apart(platform: Platform) -> None:
    names = [table.name for table in platform.vocabulary]
    assert names
    assert len(names) == len(set(names))
    assert set(list_unseen(platform.slug)) <= set(names)
    assert all(list_unseen(platform.slug).values()), "an empty list says nothing"


@pytest.mark.parametrize("platform", ALL)
def test_every_result_stands_in_a_table(platform: Platform) -> None:
    """The page of unknown codes goes by the results and these tests by the tables: both must know
    a code."""
    words = {word for table in platform.vocabulary for word in table.words}
    assert set(platform.results) <= words


def test_values_are_found_where_they_stand() -> None:
    text = (
        '{"data":{"a":1,"rows":[{"status":4}],"x":"[{\\"status\\":\\"7\\"}]"}, "a": "2" "b": null,'
        ' "odd":"["A","B"]", "c": [true, "t"]}'
    )
    found = set(walk_words(text))
    assert (("data", "a"), "1") in found
    assert (("a",), "2") in found
    assert (("b",), "null") in found
    assert (("data", "rows", "status"), "4") in found
    assert (("data", "x", "status"), "7") in found
    assert (("c",), "true") in found
    assert stands_at(("data", "rows", "status"), "rows.status")
    assert not stands_at(("data", "x", "status"), "rows.status")
