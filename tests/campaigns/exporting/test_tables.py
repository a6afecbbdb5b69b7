"""In: rows with every oddity. Out: that the database writes the file that Python wrote, in bytes.

Must catch: a number in what people wrote that only Python would have hidden, a cell that begins
like a formula, a moment of another zone, an empty cell that is a word.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.criteria import CALLS, CONTACTS, Criteria, read_criteria
from campaigns.exporting import cells, tables
from campaigns.importing.cells import unguard_cell
from campaigns.masking import mask_numbers
from campaigns.models import Call
from tests.campaigns.admin.world import make_call
from tests.campaigns.exporting import slow
from tests.factories import make_account, make_contact, make_robot, make_task

pytestmark = pytest.mark.django_db

EVERYTHING = read_criteria(CALLS, {})
ODD = [
    "=1+1",
    "+86 199 0000 0001",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "'=x",
    "''+y",
    "'plain",
    'a "quoted" word',
    "a,b",
    "two\nlines",
    "two\r\nlines",
    " blank ",
    "19900000001",
    "转接19900000001，请回电",
    "转接１９９００００００01",
    "٠١٢٣٤٥٦٧٨٩٠",
    "+1 212 555 0100",
    "010-6234 5678",
    "20261121130000123456",
    "𝟏𝟗𝟗𝟎𝟎𝟎𝟎𝟎𝟎𝟎𝟏",
    "100%",
    "%s %(x)s",
    "\\N",
    "\\.",
    "",
]


def write(criteria: Criteria, *, whole: bool, words: str = "", zone: str = "") -> bytes:
    target = io.BytesIO()
    with connection.cursor() as cursor:
        tables.write_csv(
            cursor.cursor, criteria, target, whole=whole, words=words, zone=zone or "Asia/Shanghai"
        )
        # a job has a connection of its own for it: Django takes every moment of its own for UTC
        cursor.execute("SELECT set_config('TimeZone', 'UTC', true)")
    return target.getvalue()


def write_slowly(*, whole: bool) -> bytes:
    return "".join(slow.write_calls(Call.objects.all(), whole=whole)).encode()


def read(data: bytes) -> list[dict[str, str]]:
    text = data.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def odd_calls() -> None:
    account = make_account(name="=HYPERLINK(1)")
    for number, text in enumerate(ODD):
        task = make_task(account=account, name=text[:100] or "x")
        make_call(
            task,
            make_contact(task=task) if number % 2 else None,
            caller=text,
            callee=text[:2],
            platform_result=text,
            platform_result_text=text,
            agent_number=text,
            agent_name=f"{text} {text}"[:100],
            queue_name=text,
            relation_id=text,
            intention=text[:50],
            answered=(None, True, False)[number % 3],
            talk_seconds=None if number % 2 else number,
            dialed_at=None if number % 2 else timezone.now(),
            answered_at=datetime(2026, 3, 29, 1, 30, 59, 999999, tzinfo=UTC)
            + timedelta(hours=number),
        )


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "Asia/Kathmandu", "UTC"])
def test_the_database_writes_what_python_wrote(odd_calls: None, whole: bool, zone: str) -> None:
    with timezone.override(ZoneInfo(zone)):
        assert write(EVERYTHING, whole=whole, zone=zone) == write_slowly(whole=whole)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    texts=st.lists(
        st.one_of(
            st.text(
                st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"),
                max_size=60,
            ),
            st.text(alphabet="0123456789+-() =@'\t\r\n,\"１２٣%转", max_size=40),
            st.from_regex(r"[+']?[0-9 \-]{6,20}", fullmatch=True),
        ),
        min_size=3,
        max_size=3,
    )
)
def test_whatever_stands_in_it(db: None, texts: list[str]) -> None:
    first = Call.objects.first() or make_call(make_task())
    Call.objects.filter(pk=first.pk).update(
        platform_result_text=texts[0],
        agent_name=texts[1],
        queue_name=texts[2],
        relation_id=texts[0],
        intention=texts[1][:50],
        caller=texts[2],
    )
    assert write(EVERYTHING, whole=False) == write_slowly(whole=False)
    assert write(EVERYTHING, whole=True) == write_slowly(whole=True)


@given(text=st.text(alphabet="0123456789+- ()１２٣%20a转", max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_number_has_fewer_digits_than_are_looked_for(text: str) -> None:
    if sum(one.isdecimal() for one in text) < cells.FEWEST_DIGITS:
        assert mask_numbers(text, likely=True) == text


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("+8619900000001", "+86199****0001"),
        ("19900000001", "199****0001"),
        ("008619900000001", "0086199****0001"),
        ("008619900000002", "008619900000002"),
        ("27391823001", "27391823001"),
        ("0001", "0001"),
    ],
)
def test_a_name_of_somebody_that_is_their_number_is_masked(db: None, key: str, told: str) -> None:
    callee = "+8619900000001" if key.startswith("+") else "19900000001"
    fields = {"callee": callee, "platform_contact_id": key, "relation_id": key}
    make_call(make_task(), **fields)
    (row,) = read(write(EVERYTHING, whole=False))
    assert {unguard_cell(row[name]) for name in ("platform_contact_id", "relation_id")} == {told}
    (row,) = read(write(EVERYTHING, whole=True))
    assert {unguard_cell(row[name]) for name in ("platform_contact_id", "relation_id")} == {key}


def test_no_row_is_left_out_and_the_order_is_the_lists(odd_calls: None) -> None:
    told = [int(row["id"]) for row in read(write(EVERYTHING, whole=True))]
    assert told == list(Call.objects.values_list("pk", flat=True))
    one = Call.objects.filter(agent_number="@SUM(A1)").get()
    chosen = read_criteria(CALLS, {"agent": "@SUM(A1)", "task__id__exact": str(one.task_id)})
    assert [int(row["id"]) for row in read(write(chosen, whole=False))] == [one.pk]


def test_a_file_for_people_speaks_their_language() -> None:
    make_call(make_task(), result="no_answer", answered=False, hangup_by="robot")
    data = write(EVERYTHING, whole=False, words="zh-hans")
    assert data.startswith(b"\xef\xbb\xbf")
    heading = data.decode("utf-8-sig").split("\r\n")[0]
    assert "任务" in heading
    row = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))[1]
    assert "no_answer" not in row
    assert "否" in row
    assert not any("T" in cell and cell.startswith("20") for cell in row)


def test_contacts_of_one_task_bring_their_own_columns() -> None:
    robot = make_robot(columns=["客户手机号码", "姓名", "备注"])
    task = make_task(robot=robot)
    make_contact(
        task=task,
        phone="19900000001",
        values={"客户手机号码": "19900000001", "姓名": "=张三", "备注": "联系 19900000002"},
    )
    chosen = read_criteria(CONTACTS, {"task__id__exact": str(task.pk)})
    masked, whole = (read(write(chosen, whole=one))[0] for one in (False, True))
    assert masked["phone"] == "199****0001"
    assert masked["values.姓名"] == "'=张三"
    assert masked["values.备注"] == "联系 199****0002"
    assert whole["values.备注"] == "联系 19900000002"
    assert "values.客户手机号码" not in masked
    assert b"19900000001" not in write(chosen, whole=False)
    assert "values.姓名" not in read(write(read_criteria(CONTACTS, {}), whole=False))[0]


@pytest.mark.parametrize("whole", [False, True])
def test_a_reason_is_told_with_its_values(db: None, whole: bool) -> None:
    task = make_task()
    reasons = {
        "On the do-not-call list since %(since)s.": {"since": "2026-11-21"},
        "The task “%(task)s” of this account has had this number since %(since)s.": {
            "task": "Ask 19900000001",
            "since": "now",
        },
        "Left out by hand, with others.": {"bulk": 7},
        "=100% of them": {},
        "": {},
    }
    for reason, values in reasons.items():
        make_contact(task=task, status="excluded", reason=reason, reason_values=values)
    number = "19900000001" if whole else "199****0001"
    chosen = read_criteria(CONTACTS, {})
    assert [row["reason"] for row in read(write(chosen, whole=whole))] == [
        "On the do-not-call list since 2026-11-21.",
        f"The task “Ask {number}” of this account has had this number since now.",
        "Left out by hand, with others.",
        "'=100% of them",
        "",
    ]
    told = [row["原因"] for row in read(write(chosen, whole=whole, words="zh-hans"))]
    assert "2026-11-21" in told[0] and "since" not in told[0]
