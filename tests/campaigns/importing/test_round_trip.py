"""In: tables written in every way, and files that we wrote ourselves. Out: the same contacts."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from campaigns.importing import csv_of_rejected, import_file
from campaigns.importing.cells import clean_cell, guard_cell, read_cell
from campaigns.importing.files import ENCODINGS, Found, check_encoding, inspect_file
from campaigns.importing.mapping import find_plan, make_layout
from campaigns.importing.reading import read_table
from campaigns.models import Call
from tests.campaigns.admin.world import make_call
from tests.campaigns.exporting.slow import write_calls
from tests.campaigns.importing.tables import COLUMNS, Outcome, check, read
from tests.factories import make_contact, make_robot, make_task

#: those that nobody can tell from others have to be chosen
CHOSEN = {"cp950", "cp1252"}
#: one number in the writings that every encoding has
WRITINGS = ["{0}", "+86 {0}", "0086{0}", "'{0}", '="{0}"', " {0}\t", "0{0}", "(+86){0}", "86-{0}"]


@st.composite
def tables(draw: st.DrawFn, encoding: str) -> list[tuple[str, str, str, str, str]]:
    """(number, as written, two values, a text of nobody's) of each contact."""
    codec = "utf-8" if encoding.startswith("utf") else encoding
    characters = st.characters(
        codec=codec, exclude_categories=["Cs"], exclude_characters="\0\ufffd\ufeff¢£¥•‾∼☉♁､"
    )
    # what tables are broken by is to be met often
    text = st.text(characters | st.sampled_from("',;|\t\n\r\"=+-@ \\%"), max_size=20)
    row = st.tuples(st.integers(0, 10**8 - 1), st.sampled_from(WRITINGS), text, text, text)
    rows = draw(st.lists(row, min_size=1, max_size=12))
    return [
        (phone := f"199{number:08d}", writing.format(phone), *values)
        for number, writing, *values in rows
    ]


dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    }
)
orders = st.permutations(range(4))


def write(rows: list[list[str]], dialect: dict[str, Any], *, is_ended: bool) -> str:
    ends = set("\r\n") - set(dialect["lineterminator"])
    if any(ends & set(cell) for row in rows for cell in row):
        # csv.writer would leave them bare, and they are line ends to everybody else
        dialect = dialect | {"quoting": csv.QUOTE_ALL}
    target = io.StringIO()
    csv.writer(target, **dialect).writerows(rows)
    text = target.getvalue()
    return text if is_ended else text.removesuffix(dialect["lineterminator"])


def read_in(encoding: str, content: bytes, *, columns: list[str], kept: list[str]) -> Outcome:
    """As ``read``, in an encoding that somebody chose."""
    handle = io.BytesIO(content)
    check_encoding(handle, encoding)
    plan, header = find_plan(handle, Found("text", encoding), columns=columns)
    layout = make_layout(plan, header, columns=columns, kept=kept)
    return check(read_table(handle, plan), layout)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.data(), dialects, orders, st.booleans())
def test_a_table_reads_back_as_it_was_written(
    encoding: str, data: st.DataObject, dialect: dict[str, Any], order: list[int], is_ours: bool
) -> None:
    table = data.draw(tables(encoding))
    columns = ["phone", "name", "city"] if encoding in CHOSEN else COLUMNS
    header = [*columns, "note"]
    show = guard_cell if is_ours else str
    rows = [[show(row[1:][place]) for place in order] for row in table]
    is_ended = data.draw(st.booleans())
    text = write([[header[place] for place in order], *rows], dialect, is_ended=is_ended)
    content = text.encode(encoding)
    if encoding in CHOSEN:
        outcome = read_in(encoding, content, columns=columns, kept=["note"])
    else:
        assert inspect_file(io.BytesIO(content)).encoding == encoding
        outcome = read(content, columns=columns, kept=["note"])
    assert outcome.rejected == []
    mean = clean_cell if is_ours else read_cell
    assert outcome.values == [(row[0], *map(mean, row[2:])) for row in table]
    assert [row[2] for row in outcome.rows] == [clean_cell(show(row[1])) for row in table]
    assert outcome.layout.plan.delimiter == dialect["delimiter"]


@pytest.mark.django_db
def test_an_export_of_calls_is_a_table_of_the_same_numbers() -> None:
    phones = ["19900000001", "+12125550100", "01082345678", "+442079460018"]
    texts = ["=1+1", "'=1+1", '-a, "b"\nc', "成功"]
    task = make_task()
    for phone, text in zip(phones, texts, strict=True):
        contact = make_contact(task=task, phone=phone)
        make_call(task, contact, platform_result_text=text)
    content = "".join(write_calls(Call.objects.order_by("id"), whole=True))
    outcome = read(
        content,
        columns=["phone", "text"],
        mapping={"phone": "callee", "text": "platform_result_text"},
        kept=["platform_call_id"],
    )
    assert outcome.rejected == []
    ids = Call.objects.order_by("id").values_list("platform_call_id", flat=True)
    assert outcome.values == list(zip(phones, texts, ids, strict=True))


@pytest.mark.django_db
def test_rejected_rows_come_back_as_they_were_and_corrected_are_contacts() -> None:
    task = make_task(robot=make_robot(columns=["手机"]))
    wrong = ["=1+1", "'=1+1", "+8611", "-19900000001", "@a", "''+b", '"a", b', "1.99E+10", "a\nb"]
    lines = write([["手机"], *([cell] for cell in wrong)], {"lineterminator": "\n"}, is_ended=True)
    result = import_file(task, lines.encode(), file_name="a.csv")
    assert (result.loaded, result.rejected) == (0, len(wrong))
    content = "".join(csv_of_rejected(result, masked=False))
    outcome = read(content, columns=["手机"], mapping={"手机": "value"}, kept=["line"])
    assert [rejection.value for rejection in outcome.rejected] == [guard_cell(c) for c in wrong]
    corrected = content.replace("1.99E+10", "19900000001").replace("'-1990", "1990")
    outcome = read(corrected, columns=["手机"], mapping={"手机": "value"}, kept=["line"])
    assert outcome.values == [("19900000001", "5"), ("19900000001", "9")]
