"""Files of callers' variables: what is taken, what is refused, and the same file again."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from campaigns.importing import ImportRefused
from campaigns.importing.contexts import import_contexts
from campaigns.models import Account, ContextImport, InboundContext
from tests.factories import make_account, make_robot

FILE = "call_relation_id,姓名,产品\n1111,张三,宽带\n2222,李四,\n"


def bring(account: Account, text: str | bytes, **fields: Any) -> ContextImport:
    body = text if isinstance(text, bytes) else text.encode()
    return import_contexts(body, account=account, file_name="a.csv", **fields)


def count(row: ContextImport) -> tuple[int, int, int, int]:
    return row.added, row.updated, row.unchanged, row.rejected


def read_all(**fields: Any) -> dict[str, dict[str, str]]:
    return dict(InboundContext.objects.filter(**fields).values_list("relation_id", "values"))


@pytest.mark.django_db
def test_the_header_names_the_variables_and_empty_cells_are_left_to_the_defaults() -> None:
    account = make_account()
    row = bring(account, FILE)
    assert count(row) == (2, 0, 0, 0)
    assert read_all() == {"1111": {"姓名": "张三", "产品": "宽带"}, "2222": {"姓名": "李四"}}
    assert (row.id_column, row.columns) == ("call_relation_id", ["姓名", "产品"])


@pytest.mark.django_db
def test_the_same_file_again_changes_nothing_and_a_newer_one_updates() -> None:
    account = make_account()
    first = bring(account, FILE)
    before = list(InboundContext.objects.order_by("id").values())
    again = bring(account, FILE)
    assert count(again) == (0, 0, 2, 0) and again.sha256 == first.sha256
    assert list(InboundContext.objects.order_by("id").values()) == before
    assert count(bring(account, FILE.replace("张三", "张四") + "3,王五,\n")) == (1, 1, 1, 0)
    assert read_all()["1111"]["姓名"] == "张四"
    later = timezone.now() + timedelta(days=1)
    assert count(bring(account, FILE, expires_at=later)) == (0, 2, 0, 0)


@pytest.mark.django_db
def test_who_is_entered_again_as_before_was_entered_now() -> None:
    """Else the retention would forget whom the newest file still names."""
    account = make_account()
    robot = make_robot(account=account)
    bring(account, FILE)
    bring(account, FILE, robot=robot)
    long_ago = timezone.now() - timedelta(days=400)
    InboundContext.objects.update(updated_at=long_ago)
    assert count(bring(account, FILE.partition("2222")[0])) == (0, 0, 1, 0)
    fresh = InboundContext.objects.filter(updated_at__gt=timezone.now() - timedelta(hours=1))
    assert list(fresh.values_list("relation_id", "robot")) == [("1111", None)]
    bring(account, FILE, robot=robot)
    assert fresh.filter(robot=robot).count() == 2


@pytest.mark.django_db
def test_robots_and_accounts_have_their_own() -> None:
    account = make_account()
    robot = make_robot(account=account)
    bring(account, FILE)
    assert count(bring(account, FILE, robot=robot)) == (2, 0, 0, 0)
    assert count(bring(account, FILE, robot=robot)) == (0, 0, 2, 0)
    assert count(bring(make_account(), FILE)) == (2, 0, 0, 0)
    assert InboundContext.objects.count() == 6


@pytest.mark.django_db
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_encodings_and_delimiters_are_found(encoding: str, delimiter: str) -> None:
    text = FILE.replace(",", delimiter).replace("call_relation_id", "关联ID")
    bring(make_account(), text.encode(encoding))
    assert read_all()["1111"] == {"姓名": "张三", "产品": "宽带"}


@pytest.mark.django_db
def test_bad_rows_are_told_and_the_good_ones_are_taken() -> None:
    text = (
        "id,name\n"
        ",nobody\n"
        "1.99E+10,rounded\n"
        "19900000001.0,decimal\n"
        f"{'9' * 201},long\n"
        "7,good\n"
        "7,twice\n"
        "8,a,b,c\n"
        "9,\0\n"
        f"10,{'x' * 2001}\n"
        '"11,open\n'
        "12,=1+1\n"
    )
    row = bring(make_account(), text)
    assert read_all() == {"7": {"name": "good"}, "12": {"name": "=1+1"}}
    assert row.rejected == 9
    assert [one["line"] for one in row.rejected_rows] == [2, 3, 4, 5, 7, 8, 9, 10, 11]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [b"", b"id\n1\n", b"name,b\n1,2\n", b"id,a,a\n1,2,3\n", b"id,a\n", b"%PDF-1.7", b"\x00\x01"],
)
def test_a_file_that_cannot_be_used_stores_nothing(body: bytes) -> None:
    with pytest.raises(ImportRefused):
        bring(make_account(), body)
    assert not InboundContext.objects.exists() and not ContextImport.objects.exists()


@pytest.mark.django_db
def test_the_column_of_the_ids_can_be_named() -> None:
    bring(make_account(), "会员号,name\n5,a\n", id_column="会员号")
    assert read_all() == {"5": {"name": "a"}}


@pytest.mark.django_db
def test_the_command_does_what_the_screen_does(tmp_path: Any) -> None:
    account = make_account()
    robot = make_robot(account=account)
    path = tmp_path / "a.csv"
    path.write_text(FILE + ",x,\n")
    out = io.StringIO()
    arguments = [str(account.pk), str(path), "--robot", robot.platform_id, "--json"]
    call_command("import_variables", *arguments, stdout=out)
    told = json.loads(out.getvalue())
    assert (told["added"], told["rejected"]) == (2, 1)
    assert read_all(robot=robot)["1111"]["产品"] == "宽带"
    for bad in (["--robot", "none"], ["--expires", "soon"], ["--id-column", "none"]):
        with pytest.raises(CommandError):
            call_command("import_variables", str(account.pk), str(path), *bad)
    with pytest.raises(CommandError):
        call_command("import_variables", str(account.pk), str(tmp_path / "none"))
