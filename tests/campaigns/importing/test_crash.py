"""In: a load, and a database that is torn down in the middle of it. Out: the whole file, once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from config import local_postgres
from tests.processes import ROOT

BEGIN = """
import os, sys
from campaigns import importing
from campaigns.importing import loading
from tests.campaigns.importing.uploads import make_rows, receive
from tests.factories import make_task

one = receive(make_rows(3_000) + b"110,x\\n", task=make_task())
importing.begin_check(one, by=None)
importing.check_import(one.pk)
one.refresh_from_db()
importing.confirm_import(one, by=None)
print(one.pk, flush=True)

def tell(self, done):
    if self._status == "loading" and done >= 2_000:
        os.kill(int(sys.argv[1]), int(sys.argv[2]))
        while True:
            self._tell(done)  # until it is gone

loading.SLICE = 1_000
loading.Progress.tell = tell
importing.load_import(one.pk)
"""
GO_ON = """
import json, sys
from campaigns import importing
from campaigns.models import Contact, ContactImport, StagedRow, StatusChange

one = ContactImport.objects.get()
before = [one.status, Contact.objects.count(), StagedRow.objects.count()]
again = importing.settle_imports()
importing.load_import(one.pk)
one.refresh_from_db()
moves = StatusChange.objects.filter(subject="contactimport").order_by("id")
print(json.dumps({
    "before": before,
    "again": again,
    "status": one.status,
    "counts": one.counts,
    "contacts": Contact.objects.filter(status="ready").values("phone").distinct().count(),
    "rows": [Contact.objects.count(), StagedRow.objects.count(), one.rejected_rows.count()],
    "moves": [move.new for move in moves],
}))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="cb-crash-", dir="/tmp")).resolve()
    made.chmod(0o755)
    yield made
    local_postgres.release(made / "var")
    shutil.rmtree(made)


def run_script(script: str, url: str, folder: Path, *arguments: object) -> Any:
    begin = "import django; django.setup()\n"
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "CRITICAL"}
    return subprocess.run(
        [sys.executable, "-c", begin + script, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **settings, "DATABASE_URL": url, "DATA_DIR": str(folder / "var")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.django_db
def test_staged_rows_are_not_logged() -> None:
    """A million rows that a file can give again are not written twice."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, relpersistence FROM pg_class WHERE relname = ANY(%s)",
            [["campaigns_stagedrow", "campaigns_rejectedrow"]],
        )
        assert dict(cursor.fetchall()) == {"campaigns_stagedrow": "u", "campaigns_rejectedrow": "p"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_database_that_is_torn_down_in_the_middle_of_a_load(folder: Path) -> None:
    server = local_postgres.ensure_running(folder / "var")
    migrate = (
        "from django.core.management import call_command; call_command('migrate', verbosity=0)"
    )
    assert run_script(migrate, server.url, folder).returncode == 0
    # what ``pg_ctl stop -m immediate`` sends: no checkpoint, and recovery at the next start
    begun = run_script(BEGIN, server.url, folder, server.pid, int(signal.SIGQUIT))
    assert begun.returncode != 0
    assert "OperationalError" in begun.stderr
    assert begun.stdout.strip().isdigit(), begun.stderr
    ends = time.monotonic() + 90
    while local_postgres.is_running(folder / "var"):
        assert time.monotonic() < ends
        time.sleep(0.05)
    again = local_postgres.ensure_running(folder / "var")
    assert again.pid != server.pid
    gone_on = run_script(GO_ON, again.url, folder)
    assert gone_on.returncode == 0, gone_on.stderr
    told = json.loads(gone_on.stdout)
    assert told["before"] == ["loading", 0, 0], "nothing half there, and nothing staged either"
    assert (told["again"], told["status"]) == (1, "done")
    assert (told["counts"]["ready"], told["counts"]["rejected"]) == (3_000, 1)
    assert told["contacts"] == 3_000
    assert told["rows"] == [3_000, 0, 1]
    assert told["moves"] == [
        *("checking", "checked", "loading", "loading", "checking", "checked", "loading", "done"),
    ]
