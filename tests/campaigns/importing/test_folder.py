"""In: files dropped into a task's folder. Out: contacts, once, and a report beside each file."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection

from campaigns import jobs
from campaigns.importing import cancel_import, folder, places, receive_file
from campaigns.importing.folder import watch_folders
from campaigns.models import Contact, ContactImport, StagedRow, StatusChange, Task
from tests.factories import make_task
from tests.workers import run_jobs

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "客户手机号码,姓名\n"
ROWS = HEADER + "19900000001,张三\n19900000002,李四\n123,王五\n19900000001,张三\n"


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.IMPORT_FOLDER = tmp_path / "inbox"
    settings.IMPORT_FOLDER.mkdir()
    return settings.IMPORT_FOLDER


def watch(task: Task, root: Path) -> Path:
    place = root / str(task.pk)
    place.mkdir(exist_ok=True)
    return place


def make_watching(**fields: Any) -> Task:
    return make_task(watch_folder=True, **fields)


def look(*, later: float = 60) -> None:
    """As the job looks, so many seconds from now."""
    with time_machine.travel(time.time() + later):
        watch_folders()


def work(*, looks: int = 4) -> None:
    for _ in range(looks):
        look()
        run_jobs()


def list_files(place: Path) -> list[str]:
    """Every file and folder below, as paths."""
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


def read_report(path: Path) -> dict[str, Any]:
    told = json.loads(path.read_text("utf-8"))
    assert isinstance(told, dict)
    return told


def test_a_dropped_file_is_loaded_and_told(root: Path) -> None:
    task = make_watching()
    look()
    place = root / str(task.pk)
    assert place.is_dir(), "the folder is there to be found"
    (place / "spring.csv").write_text(ROWS, "utf-8")
    work()
    row = ContactImport.objects.get()
    assert (row.task, row.origin, row.status, row.file_name) == (
        *(task, "folder", "done"),
        "spring.csv",
    )
    assert (row.loaded, row.excluded, row.rejected) == (2, 1, 1)
    assert sorted(task.contacts.values_list("phone", "status")) == [
        ("19900000001", "excluded"),
        ("19900000001", "ready"),
        ("19900000002", "ready"),
    ]
    name = f"{row.pk}-spring.csv"
    assert list_files(place) == ["done", f"done/{name}", f"done/{name}.json"]
    assert (place / "done" / name).read_text("utf-8") == ROWS
    report = read_report(place / "done" / f"{name}.json")
    assert report["file"] == "spring.csv"
    assert (report["status"], report["problem"]) == ("done", "")
    assert (report["id"], report["loaded"], report["excluded"], report["rejected"]) == (
        *(row.pk, 2, 1),
        1,
    )
    assert [(one["line"], one["column"]) for one in report["rejected_rows"]] == [
        (4, "客户手机号码")
    ]
    assert "19900000001" not in json.dumps(report), "a report has no numbers"
    work()
    assert ContactImport.objects.count() == 1, "it is not taken twice"


def test_several_files_are_loaded_one_after_the_other(root: Path) -> None:
    task = make_watching()
    place = watch(task, root)
    for number in range(3):
        (place / f"{number}.csv").write_text(f"{HEADER}19900000001,a\n1990000001{number},b\n")
    work()
    assert ContactImport.objects.filter(status="done").count() == 3
    phones = task.contacts.filter(status="ready").values_list("phone", flat=True)
    assert sorted(phones) == ["19900000001", "19900000010", "19900000011", "19900000012"]
    assert task.contacts.filter(status="excluded").count() == 2


UNFINISHED = [
    *(".spring.csv", ".spring.csv.a1B2c3", "~$spring.xlsx", "spring.csv.part", "a.TMP"),
    *("a.csv~", "a.csv.crdownload", "a.csv.filepart"),
]


@pytest.mark.parametrize("name", UNFINISHED)
def test_what_is_not_finished_is_left_alone(root: Path, name: str) -> None:
    place = watch(make_watching(), root)
    (place / name).write_text(ROWS, "utf-8")
    work(looks=2)
    assert list_files(place) == [name]
    assert not ContactImport.objects.exists()


def test_a_file_is_taken_when_it_has_lain_unchanged(root: Path) -> None:
    place = watch(make_watching(), root)
    file = place / "spring.csv"
    file.write_text(ROWS, "utf-8")
    watch_folders()
    assert file.exists(), "somebody may be writing it"
    # a copy that brings the old file's time along is as new as any
    os.utime(file, (1_000_000_000, 1_000_000_000))
    watch_folders()
    look(later=places.QUIET_SECONDS - 5)
    assert file.exists()
    look(later=places.QUIET_SECONDS + 1)
    assert not file.exists()
    assert ContactImport.objects.get().status == "checking"


def test_folders_and_links_are_no_files(root: Path, tmp_path: Path) -> None:
    place = watch(make_watching(), root)
    (place / "more").mkdir()
    (place / "more" / "spring.csv").write_text(ROWS, "utf-8")
    secret = tmp_path / "secret.csv"
    secret.write_text(ROWS, "utf-8")
    (place / "link.csv").symlink_to(secret)
    os.mkfifo(place / "pipe.csv")
    work(looks=2)
    assert not ContactImport.objects.exists()
    assert sorted(os.listdir(place)) == ["link.csv", "more", "pipe.csv"]


@pytest.mark.parametrize(
    "fields", [{"watch_folder": False}, {"status": "running"}, {"kind": "direct"}]
)
def test_only_a_draft_that_watches_takes_files(root: Path, fields: dict[str, Any]) -> None:
    task = make_task(**{"watch_folder": True, **fields})
    place = watch(task, root)
    (place / "spring.csv").write_text(ROWS, "utf-8")
    work(looks=2)
    assert list_files(place) == ["spring.csv"]
    assert not ContactImport.objects.exists()


def test_nobody_looks_without_a_setting(settings: Any, root: Path) -> None:
    place = watch(make_watching(), root)
    (place / "spring.csv").write_text(ROWS, "utf-8")
    settings.IMPORT_FOLDER = None
    work(looks=2)
    settings.IMPORT_FOLDER = root / "missing"
    work(looks=2)
    assert list_files(place) == ["spring.csv"]
    assert not settings.IMPORT_FOLDER.exists(), "a disk that is away is not replaced by a folder"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n0000", "picture"),
        ("other,姓名\n19900000001,a\n".encode(), "客户手机号码"),
        (HEADER.encode(), "no row"),
    ],
)
def test_a_file_that_is_refused_says_why(root: Path, content: bytes, word: str) -> None:
    place = watch(make_watching(), root)
    (place / "bad.csv").write_bytes(content)
    (place / "good.csv").write_text(ROWS, "utf-8")
    work()
    refused = [name for name in list_files(place) if name.startswith("refused/")]
    assert len(refused) == 2
    report = read_report(place / refused[1])
    assert (report["file"], report["status"]) == ("bad.csv", "failed")
    assert word in report["problem"]
    assert Contact.objects.filter(status="ready").count() == 2, "the other file is loaded"
    assert ContactImport.objects.get(file_name="bad.csv").reason_text == report["problem"]


def test_a_task_that_is_launched_meanwhile_takes_nothing(root: Path) -> None:
    task = make_watching()
    place = watch(task, root)
    (place / "spring.csv").write_text(ROWS, "utf-8")
    look()
    run_jobs()
    assert ContactImport.objects.get().status == "checked"
    Task.objects.filter(pk=task.pk).update(status="running")
    work()
    assert not task.contacts.exists()
    row = ContactImport.objects.get()
    name = f"refused/{row.pk}-spring.csv"
    assert list_files(place) == ["refused", name, f"{name}.json"]
    assert "draft" in read_report(place / f"{name}.json")["problem"]
    assert not StagedRow.objects.exists()


@pytest.mark.parametrize("more", ["19900000002,b\n", ""])
def test_whoever_goes_on_writing_has_the_file_taken_again(root: Path, more: str) -> None:
    task = make_watching()
    place = watch(task, root)
    with (place / "spring.csv").open("w", encoding="utf-8") as slow:
        slow.write(HEADER + "19900000001,a\n")
        slow.flush()
        look()
        run_jobs()
        assert task.imports.get().status == "checked"
        slow.write(more)
        if not more:  # other bytes, as many of them
            slow.seek(0)
            slow.write(HEADER + "19900000003,a\n")
            slow.flush()
            os.utime(slow.fileno(), (time.time() + 100, time.time() + 100))
    look(later=200)
    first = task.imports.order_by("id")[0]
    assert (first.status, bool(first.file)) == ("cancelled", False)
    assert StatusChange.objects.filter(reason=folder.CHANGED).count() == 1
    for _ in range(4):
        look(later=200)
        run_jobs()
    phones = task.contacts.filter(status="ready").values_list("phone", flat=True)
    assert sorted(phones) == (["19900000001", "19900000002"] if more else ["19900000003"])
    assert [row.status for row in task.imports.order_by("id")] == ["cancelled", "done"]
    assert not list(place.glob("refused/*"))
    assert not StagedRow.objects.exists()


def test_two_that_look_at_once_take_each_file_once(root: Path) -> None:
    task = make_watching()
    place = watch(task, root)
    for number in range(8):
        (place / f"{number}.csv").write_text(f"{HEADER}1990000000{number},a\n", "utf-8")

    def run() -> None:
        try:
            watch_folders()
        finally:
            connection.close()

    with time_machine.travel(time.time() + 60):
        for _ in range(3):
            threads = [threading.Thread(target=run) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    work()
    assert task.imports.count() == 8
    assert task.contacts.filter(status="ready").count() == 8
    assert not task.contacts.exclude(status="ready").exists()


def test_two_that_claim_one_file_get_it_once(root: Path) -> None:
    """Whatever the lock is worth: the rename is what decides."""
    place = watch(make_watching(), root)
    (place / "a.csv").write_text(ROWS, "utf-8")
    claims: list[Any] = []
    ready = threading.Barrier(8)

    def run() -> None:
        ready.wait()
        claims.append(places.claim_file(place / "a.csv"))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in claims) == 1
    assert len(list((place / "working").iterdir())) == 1, "the others left nothing"


class TestWhoeverTookItDied:
    """At each step, as the disk and the rows stand then."""

    def claim(self, root: Path) -> tuple[Task, Path, places.Claim]:
        task = make_watching()
        place = watch(task, root)
        (place / "spring.csv").write_text(ROWS, "utf-8")
        claim = places.claim_file(place / "spring.csv")
        assert claim is not None
        return task, place, claim

    def receive(self, task: Task, claim: places.Claim) -> ContactImport:
        file = claim.find_file()
        assert file is not None
        with file.open("rb") as handle:
            return receive_file(task, handle, file_name=file.name, origin="folder")

    def check_loaded_once(self, task: Task, place: Path, *, imports: int = 1) -> None:
        work(looks=5)
        done = task.imports.get(status="done")
        assert task.imports.count() == imports
        assert task.contacts.filter(status="ready").count() == 2
        name = f"done/{done.pk}-spring.csv"
        assert [path for path in list_files(place) if "spring" in path] == [name, f"{name}.json"]
        assert not (place / "working").exists()

    def test_before_the_import_was_made(self, root: Path) -> None:
        task, place, _claim = self.claim(root)
        self.check_loaded_once(task, place)

    def test_before_the_file_was_in_its_place(self, root: Path) -> None:
        task, place, claim = self.claim(root)
        (claim.path / "spring.csv").rename(place / "spring.csv")
        self.check_loaded_once(task, place)

    def test_while_it_was_being_stored(self, root: Path) -> None:
        task, place, claim = self.claim(root)
        ContactImport.objects.create(task=task, file_name="spring.csv", origin="folder")
        self.check_loaded_once(task, place, imports=2)
        assert claim.path.name not in list_files(place)
        assert task.imports.order_by("id")[0].status == "failed"

    def test_when_the_import_was_made(self, root: Path) -> None:
        task, place, claim = self.claim(root)
        self.receive(task, claim)
        self.check_loaded_once(task, place)

    def test_when_it_was_refused(self, root: Path) -> None:
        task, place, claim = self.claim(root)
        file = claim.find_file()
        assert file is not None
        file.write_bytes(b"\x89PNG")
        with pytest.raises(folder.ImportRefused):
            self.receive(task, claim)
        work()
        row = task.imports.get()
        assert list_files(place) == [
            *("refused", f"refused/{row.pk}-spring.csv"),
            f"refused/{row.pk}-spring.csv.json",
        ]
        report = read_report(place / "refused" / f"{row.pk}-spring.csv.json")
        assert "picture" in report["problem"]

    def test_when_its_name_was_known(self, root: Path) -> None:
        task, place, claim = self.claim(root)
        places.name_claim(claim, self.receive(task, claim).pk)
        self.check_loaded_once(task, place)

    def test_while_it_was_put_away(self, root: Path) -> None:
        task, place, claim = self.claim(root)
        row = self.receive(task, claim)
        claim = places.name_claim(claim, row.pk)
        work(looks=2)
        while ContactImport.objects.get().status != "done":
            run_jobs()
        if claim.path.exists():
            (place / "done").mkdir()
            (place / "done" / f"{row.pk}-spring.csv.json").write_text("{}")
        self.check_loaded_once(task, place)
        report = read_report(place / "done" / f"{row.pk}-spring.csv.json")
        assert report["loaded"] == 2

    def test_each_time(self, root: Path) -> None:
        """A file that ends every process that reads it does not do so for ever."""
        task, place, claim = self.claim(root)
        for _ in range(folder.TRIES - 1):
            claim = places.claim_again(claim)
        look()
        assert not task.imports.exists()
        (report,) = (place / "refused").glob("*.json")
        assert "three times" in read_report(report)["problem"]

    def test_by_a_fault_that_passes(self, root: Path, settings: Any) -> None:
        """What came after it must not be taken for it."""
        task = make_watching()
        place = watch(task, root)
        for number, name in enumerate(("first.csv", "later.csv")):
            (place / name).write_text(f"{HEADER}1990000000{number},a\n", "utf-8")
            os.utime(place / name, (1_700_000_000 + number, 1_700_000_000 + number))
        settings.IMPORT_MAX_BYTES = None  # nothing can be compared with it
        look()
        look()
        tried = task.imports.values_list("file_name", "status")
        assert list(tried) == [("first.csv", "failed")] * 2, "the later one waits"
        settings.IMPORT_MAX_BYTES = 1_000
        work(looks=6)
        assert sorted(task.contacts.values_list("phone", "source__file_name")) == [
            ("19900000000", "first.csv"),
            ("19900000001", "later.csv"),
        ]
        assert not (place / "working").exists()


def test_a_person_may_stop_it(root: Path) -> None:
    task = make_watching()
    place = watch(task, root)
    (place / "spring.csv").write_text(ROWS, "utf-8")
    look()
    cancel_import(ContactImport.objects.get())
    work()
    assert not task.contacts.exists()
    row = ContactImport.objects.get()
    report = read_report(place / "refused" / f"{row.pk}-spring.csv.json")
    assert report["status"] == "cancelled"


def test_an_import_that_was_deleted_leaves_the_file(root: Path) -> None:
    task = make_watching()
    place = watch(task, root)
    (place / "spring.csv").write_text(ROWS, "utf-8")
    look()
    ContactImport.objects.all().delete()
    work()
    (report,) = (place / "refused").glob("*.json")
    assert read_report(report)["problem"] == folder.GONE


def test_a_name_as_long_as_names_may_be(root: Path) -> None:
    task = make_watching()
    place = watch(task, root)
    (place / ("名" * 83 + ".csv")).write_text(ROWS, "utf-8")
    (place / "b.csv").write_text(f"{HEADER}19900000009,a\n", "utf-8")
    odd = b"\xff\xfe" + "名".encode() * 83  # in no encoding
    os.rename(place / "b.csv", os.path.join(os.fsencode(place), odd))
    work()
    assert task.contacts.filter(status="ready").count() == 3
    reports = list((place / "done").glob("*.json"))
    assert [read_report(report)["status"] for report in reports] == ["done", "done"]


def test_the_job_looks(root: Path) -> None:
    task = make_watching()
    place = watch(task, root)
    (place / "spring.csv").write_text(ROWS, "utf-8")
    with time_machine.travel(time.time() + timedelta(minutes=1).seconds):
        jobs.watch_folders(timestamp=0)
    assert task.imports.count() == 1
