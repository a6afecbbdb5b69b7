"""In: nothing. Out: ``PLATFORM``, what AI Rudder is and can do.

From "验证 自定义API 节点数据推送", "PDS 任务状态更改回调" and other public material: what we ask
for in ``client``, what it pushes in ``callbacks``, both with the words of ``vocabulary``. How each
feature is known stands in ``capabilities``.
"""

from __future__ import annotations

from campaigns.platforms.airudder.callbacks import KINDS, TOLD_KINDS, parse
from campaigns.platforms.airudder.capabilities import CAPABILITIES
from campaigns.platforms.airudder.client import ROWS_PER_REQUEST, AIRudderClient
from campaigns.platforms.airudder.configuration import SETTING
from campaigns.platforms.airudder.vocabulary import ERRORS, RESULTS, VOCABULARY
from campaigns.platforms.contract import UNVERIFIED_SETTING, AccountField, Can, Limits, Platform

UNVERIFIED = frozenset({Can.CREATE_TASK, Can.FILL_INSTANCES, Can.FETCH_CALLS})

PLATFORM = Platform(
    slug="airudder",
    name="AI Rudder",
    default_base_url="https://api.airudder.com",
    can=UNVERIFIED | {Can.SYNCHRONISE, Can.FIND_CONTACTS, Can.VERIFY_PUSHES},
    limits=Limits(
        rows_per_insert=ROWS_PER_REQUEST,
        contacts_per_instance=10_000,
        lines=False,
        windows=False,
        end_required=True,
        verify_days=92,
    ),
    settings=(
        AccountField(
            "verify",
            "Verify pushes",
            help="Whether the platform is asked about custom pushes by itself: never, about some, "
            "or about all of them. A button on the call asks at any time.",
            default="never",
            choices=("never", "sample", "always"),
        ),
        AccountField(
            UNVERIFIED_SETTING,
            "Allow what is not documented",
            help="Creating and filling workflows and asking for their calls is known from others' "
            "programs only. Switch it on after trying it with numbers of your own.",
            default="off",
            choices=("off", "on"),
        ),
        AccountField(
            SETTING,
            "Workflow templates",
            help="One per semicolon: the id, the name, and after a colon the fields of a row as "
            "your template takes them, the phone number first, e.g. "
            "301 Payment reminder: callee, callee_name, comments",
        ),
        AccountField(
            "recording_hosts",
            "Hosts of recordings",
            help="Hosts from which recordings may be fetched, separated by commas.",
        ),
    ),
    credentials=(
        AccountField("app_key", "APPKey", help="Given by the platform.", required=True),
        AccountField("app_secret", "APPSecret", help="Given by the platform.", required=True),
    ),
    kinds=KINDS,
    told_kinds=TOLD_KINDS,
    errors=ERRORS,
    parse=parse,
    connect=AIRudderClient,
    documents=(
        "验证 自定义API 节点数据推送 (platforms/airudder-index-and-verify.txt)",
        "PDS 任务状态更改回调 (platforms/airudder-pds-task-status.txt)",
    ),
    secret_fields=frozenset({"token", "APPKey", "APPSecret", "app_key", "app_secret"}),
    results=RESULTS,
    unverified=UNVERIFIED,
    vocabulary=VOCABULARY,
    capabilities=CAPABILITIES,
)
