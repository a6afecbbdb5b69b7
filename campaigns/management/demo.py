"""In: the address of a sandbox. Out: an account, a task and contacts that show the main job.

Made once. Later starts only tell both sides where the other one is now: ports may have changed.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import time
from typing import Any
from urllib.parse import urlsplit

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.catalog import sync_account
from campaigns.dispatch import launch_task
from campaigns.drafting import Draft, create_draft
from campaigns.importing import import_file
from campaigns.management.secret_files import keep_token, read_token
from campaigns.models import Account, Task
from campaigns.platforms.http import SANDBOX_HEADER

PLATFORM = "yeta"
NAME = "Sandbox"
#: what the sandbox knows from the start, see docs/sandbox.md
APP_KEY, APP_SECRET = "sandbox-key", "sandbox-secret"
ROBOT, LINES = "719002", ("055160000001", "055160000002")
SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴", ("伟", "芳", "娜", "敏", "静", "强")
PRODUCTS = ("宽带", "会员", "保险")


def seed_demo(sandbox_url: str, *, public_url: str, by: Any) -> str:
    """Returns a sentence on what was done. Raises OSError when the sandbox does not answer."""
    wait_for_sandbox(sandbox_url)
    account = Account.objects.filter(name=NAME, platform=PLATFORM).first()
    is_new = account is None
    account = point_account(account or Account(platform=PLATFORM, name=NAME), sandbox_url)
    point_sandbox(sandbox_url, account, public_url=public_url)
    if not is_new:
        return ""
    sync_account(account)
    task = make_task(account, by=by)
    import_file(task, ContentFile(make_csv()), file_name="demo.csv", mapping=None, by=by)
    launch_task(task, by=by)
    return _("The demo task “%(name)s” is launched.") % {"name": task.name}


def wait_for_sandbox(url: str, *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            ask_sandbox(url, "GET", "/_sandbox/state")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def ask_sandbox(url: str, method: str, path: str, body: Any = None) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request(
            method,
            path,
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        if answer.status != 200:
            raise OSError(f"The sandbox answered {answer.status} to {path}.")
        if answer.getheader(SANDBOX_HEADER) is None:
            raise OSError("What answers there does not say that it is a sandbox.")
        answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"The sandbox answered nonsense to {path}.") from error
    finally:
        connection.close()


def point_account(account: Account, sandbox_url: str) -> Account:
    account.base_url = f"{sandbox_url}/openapi"
    account.settings = account.settings | {
        "recording_prefix": f"{sandbox_url}/voice/",
        "push_download_prefix": f"{sandbox_url}/push_download/",
    }
    account.credentials = {"app_key": APP_KEY, "app_secret": APP_SECRET}  # type: ignore[assignment]
    account.full_clean()
    account.save()
    # It said so when it was waited for; a new address alone would not be believed.
    Account.objects.filter(pk=account.pk).update(is_sandbox=True)
    account.is_sandbox = True
    return account


def point_sandbox(sandbox_url: str, account: Account, *, public_url: str) -> None:
    """Tell the sandbox where to push. The token is kept in a file, for it must survive a change of
    the port: the database has only its hash."""
    token = read_token(account) or keep_token(account)
    urls = {kind: f"{public_url}/callbacks/{token}/{kind}" for kind in account.vendor.kinds}
    ask_sandbox(
        sandbox_url, "PUT", f"/_sandbox/apps/{APP_KEY}", {"platform": PLATFORM, "urls": urls}
    )


@transaction.atomic
def make_task(account: Account, *, by: Any) -> Task:
    return create_draft(
        Draft(
            account=account,
            name=_("Demo: renewal reminder"),
            robot=account.robot_set.get(platform_id=ROBOT),
            lines=list(account.line_set.filter(number__in=LINES)),
            recall_count=1,
            recall_wait_seconds=30,
        ),
        by=by,
    )


def make_csv() -> bytes:
    """Sixty numbers of a range that nobody has; a few of them name their own outcome."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["客户手机号码", "姓名", "产品", "到期日"])
    phones = [f"19900000{number:03d}" for number in range(1, 49)]
    phones += [f"19997{intention}{n:05d}" for intention in range(1, 6) for n in (1, 2)]
    phones += ["19990600001", "19992000001"]
    # Those whose outcome is sure come first: something is to be heard soon.
    for number, phone in enumerate(sorted(phones, reverse=True)):
        name = SURNAMES[number % len(SURNAMES)] + GIVEN[number % len(GIVEN)]
        table.writerow([phone, name, PRODUCTS[number % 3], f"2027-0{1 + number % 9}-15"])
    return out.getvalue().encode("utf-8-sig")
