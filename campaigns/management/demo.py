"""In: the address of a sandbox. Out: an account at each platform it speaks, and tasks to look at.

Made once. Later starts only tell both sides where the other one is now: ports may have changed.
What somebody deleted is not made again, what is not active is left alone.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from auditlog.models import LogEntry
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.catalog import sync_account
from campaigns.dispatch import launch_task
from campaigns.drafting import Draft, create_draft
from campaigns.importing import import_file
from campaigns.management.secret_files import keep_token, read_token
from campaigns.models import Account, ContextDefault, SemanticRule, Task
from campaigns.platforms.contract import Can
from campaigns.platforms.http import SANDBOX_HEADER
from campaigns.platforms.registry import PLATFORMS

#: what the sandbox knows from the start, see docs/sandbox.md
APP_KEY, APP_SECRET = "sandbox-key", "sandbox-secret"
COLUMNS = ("客户手机号码", "姓名", "产品", "到期日")
WORKFLOW, WORKFLOW_COLUMNS = "301 Payment reminder", ("callee", "callee_name", "comments")
ROBOT, LINES = "719002", ("055160000001", "055160000002")
SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴", ("伟", "芳", "娜", "敏", "静", "强")
PRODUCTS = ("宽带", "会员", "保险")
#: a demo that is left running must not fill the disk: so many calls of each side, each time
CALLS_PER_START = 120


@dataclass(frozen=True, kw_only=True)
class Guest:
    """One platform of the demo. ``path`` follows the sandbox's address in the account's base URL
    (None: nobody is called there); in ``settings`` SANDBOX stands for the sandbox's address, HOST
    for its host; ``kinds``: the platform has an address for each kind of push, else one for all;
    ``rate``: calls per minute that it makes up by itself."""

    platform: str
    name: str
    path: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    has_key: bool = False
    kinds: bool = False
    rate: float = 6
    make_task: Callable[[Account, Any], Task | None] | None = None


def seed_demo(
    sandbox_url: str, *, public_url: str, by: Any, platforms: Sequence[str] | None = None
) -> str:
    """Make what is not there yet, for these platforms (None: all that the sandbox speaks). Returns
    a sentence on each task that was launched. Raises OSError when the sandbox does not answer."""
    spoken = wait_for_sandbox(sandbox_url)["platforms"]
    told = []
    for guest in GUESTS:
        if guest.platform not in spoken or guest.platform not in PLATFORMS:
            continue
        if platforms is None or guest.platform in platforms:
            told.append(seed_guest(guest, sandbox_url, public_url=public_url, by=by))
        else:
            silence_sandbox(sandbox_url, guest, for_now=False)
    return "\n".join(sentence for sentence in told if sentence)


def seed_guest(guest: Guest, sandbox_url: str, *, public_url: str, by: Any) -> str:
    account, was_made = find_account(guest)
    if account is None and was_made:
        # Somebody deleted it, and was right to.
        return ""
    is_new = account is None
    if account is None:
        account = Account(platform=guest.platform, name=guest.name)
    elif not account.is_active:
        silence_sandbox(sandbox_url, guest, for_now=True)
        return ""
    account = point_account(account, guest, sandbox_url)
    point_sandbox(sandbox_url, account, guest, public_url=public_url)
    if is_new and account.vendor.questions:
        make_answers(account)
    task = guest.make_task(account, by) if is_new and guest.make_task is not None else None
    return _("The demo task “%(name)s” is launched.") % {"name": task.name} if task else ""


def find_account(guest: Guest) -> tuple[Account | None, bool]:
    """The account, and whether it was ever made: it may have been renamed or deleted since."""
    account = Account.objects.filter(name=guest.name, platform=guest.platform).first()
    if account is not None:
        return account, True
    made = LogEntry.objects.get_for_model(Account).filter(
        action=LogEntry.Action.CREATE, object_repr=guest.name
    )
    ids = list(made.values_list("object_id", flat=True))
    found = Account.objects.filter(pk__in=ids, platform=guest.platform).first()
    return found, bool(ids)


def wait_for_sandbox(url: str, *, seconds: float = 20) -> dict[str, Any]:
    """What it says of itself."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            told: dict[str, Any] = ask_sandbox(url, "GET", "/_sandbox/state")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return told


def ask_sandbox(url: str, method: str, path: str, body: Any = None) -> Any:
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
        return json.loads(answer.read())
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"The sandbox answered nonsense to {path}.") from error
    finally:
        connection.close()


def point_account(account: Account, guest: Guest, sandbox_url: str) -> Account:
    places = {"SANDBOX": sandbox_url, "HOST": urlsplit(sandbox_url).netloc}
    settings = dict(guest.settings)
    for word, place in places.items():
        settings = {name: text.replace(word, place) for name, text in settings.items()}
    account.base_url = "" if guest.path is None else f"{sandbox_url}{guest.path}"
    account.settings = account.settings | settings
    if guest.has_key:
        account.credentials = {  # type: ignore[assignment]
            "app_key": APP_KEY,
            "app_secret": APP_SECRET,
        }
    account.full_clean()
    account.save()
    # It said so when it was waited for; a new address alone would not be believed. One that only
    # pushes never answers us: this is all that it can say.
    Account.objects.filter(pk=account.pk).update(is_sandbox=True)
    account.is_sandbox = True
    return account


def point_sandbox(sandbox_url: str, account: Account, guest: Guest, *, public_url: str) -> None:
    """Tell the sandbox where to push. The token is kept in a file, for it must survive a change of
    the port: the database has only its hash."""
    token = read_token(account) or keep_token(account)
    address = f"{public_url}/callbacks/{token}/"
    urls = {kind: f"{address}{kind}" for kind in account.vendor.kinds}
    if not guest.kinds:
        urls = {"*": address}
    apps = ask_sandbox(sandbox_url, "GET", "/_sandbox/apps")
    knows_us = any(
        app["platform"] == guest.platform and app["app_key"] == APP_KEY and app["modules"]
        for app in apps
    )
    ask_sandbox(
        sandbox_url,
        "PUT",
        f"/_sandbox/apps/{APP_KEY}",
        {"platform": guest.platform, "urls": urls},
    )
    if not knows_us:
        # Only once: whoever switches it off wants it off after the next start too.
        ask_sandbox(
            sandbox_url,
            "PUT",
            f"/_sandbox/sides/{guest.platform}",
            {"live": True, "rate": guest.rate, "most": CALLS_PER_START},
        )


def silence_sandbox(sandbox_url: str, guest: Guest, *, for_now: bool) -> None:
    """Let this side make up nothing; unless it is only for now, forget our addresses too, so that
    it is as new when it is wanted again."""
    ask_sandbox(sandbox_url, "PUT", f"/_sandbox/sides/{guest.platform}", {"live": False})
    if not for_now:
        wish = {"platform": guest.platform, "urls": {}}
        ask_sandbox(sandbox_url, "PUT", f"/_sandbox/apps/{APP_KEY}", wish)


def make_answers(account: Account) -> None:
    """What the platform is told when somebody calls in, and when a script asks what was meant."""
    ContextDefault.objects.create(account=account, values={"姓名": "客户", "产品": "宽带"})
    code = {"account": account, "code": "SELF1"}
    yes = ["是的", "对的", "没错", "可以", "有兴趣", "好的", "行吧"]
    no = ["不需要", "不用", "不对", "没空", "不是"]
    SemanticRule.objects.bulk_create(
        [
            SemanticRule(
                **code,
                order=10,
                kind="choice",
                key="interested",
                choices=[*([word, "1"] for word in yes), *([word, "0"] for word in no)],
            ),
            SemanticRule(**code, order=20, kind="number", key="pressed", low=0, high=9),
            SemanticRule(**code, order=30, kind="date", key="call_back_on", type="string"),
        ]
    )


def make_renewal_task(account: Account, by: Any) -> Task:
    """Sixty contacts with a reminder, called at once."""
    sync_account(account)
    with transaction.atomic():
        task = create_draft(
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
    import_file(task, ContentFile(make_csv()), file_name="demo.csv", mapping=None, by=by)
    launch_task(task, by=by)
    return task


def make_workflow_task(account: Account, by: Any) -> Task | None:
    """Sixty contacts for the workflow that the account's setting names."""
    if not account.can(Can.CREATE_TASK):
        return None
    sync_account(account)
    robot = account.robot_set.order_by("platform_id").first()
    draft = Draft(
        account=account,
        name=_("Demo: payment reminder"),
        robot=robot,
        lines=[],
        end_at=timezone.now() + timedelta(days=7),
    )
    with transaction.atomic():
        task = create_draft(draft, by=by)
    file = ContentFile(make_csv(WORKFLOW_COLUMNS))
    import_file(task, file, file_name="demo.csv", mapping=None, by=by)
    launch_task(task, by=by)
    return task


def make_csv(columns: Sequence[str] = COLUMNS) -> bytes:
    """Sixty numbers of a range that nobody has; a few of them name their own outcome."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(columns)
    phones = [f"19900000{number:03d}" for number in range(1, 49)]
    phones += [f"19997{intention}{n:05d}" for intention in range(1, 6) for n in (1, 2)]
    phones += ["19990600001", "19992000001"]
    # Those whose outcome is sure come first: something is to be heard soon.
    for number, phone in enumerate(sorted(phones, reverse=True)):
        name = SURNAMES[number % len(SURNAMES)] + GIVEN[number % len(GIVEN)]
        row = [phone, name, PRODUCTS[number % 3], f"2027-0{1 + number % 9}-15"]
        table.writerow(row[: len(columns)])
    return out.getvalue().encode("utf-8-sig")


GUESTS = (
    Guest(
        platform="yeta",
        name="Sandbox",
        path="/openapi",
        settings={
            "recording_prefix": "SANDBOX/voice/",
            "push_download_prefix": "SANDBOX/push_download/",
        },
        has_key=True,
        kinds=True,
        rate=1,
        make_task=make_renewal_task,
    ),
    Guest(
        platform="airudder",
        name="Sandbox AI Rudder",
        path="",
        # Here everything may be tried, and each push be asked about: nobody is called.
        settings={
            "allow_unverified": "on",
            "verify": "always",
            "recording_hosts": "HOST",
            "workflow_templates": f"{WORKFLOW}: {', '.join(WORKFLOW_COLUMNS)}",
        },
        has_key=True,
        make_task=make_workflow_task,
    ),
    Guest(platform="moor7", name="Sandbox 7moor", settings={"recording_hosts": "HOST"}),
    Guest(platform="ima51", name="Sandbox 51ima"),
)
