"""In: nothing. Out: ``PLATFORM``, what the iFlytek yeta open platform is and can do.

From "yeta开放平台开发接口": Part 1 in ``client``, Part 2 in ``callbacks``, both with the words of
``vocabulary``, Part 3 in ``answers``.
"""

from __future__ import annotations

from campaigns.platforms.contract import AccountField, Can, Limits, Platform
from campaigns.platforms.yeta.answers import QUESTIONS
from campaigns.platforms.yeta.callbacks import KINDS, parse
from campaigns.platforms.yeta.capabilities import CAPABILITIES
from campaigns.platforms.yeta.client import ROWS_PER_REQUEST, SPEEDS, YetaClient
from campaigns.platforms.yeta.failed_pushes import split_failed_pushes
from campaigns.platforms.yeta.vocabulary import ERRORS, RESULTS, VOCABULARY

PLATFORM = Platform(
    slug="yeta",
    name="iFlytek yeta",
    default_base_url="https://www.xfyeta.com/openapi",
    can=frozenset(
        {Can.SYNCHRONISE, Can.CREATE_TASK, Can.PAUSE_TASK, Can.DELETE_TASK, Can.QUERY_TASKS}
        | {Can.CALL_DIRECTLY, Can.LIST_FAILED_PUSHES}
    ),
    limits=Limits(
        rows_per_insert=ROWS_PER_REQUEST,
        rows_per_direct_call=ROWS_PER_REQUEST,
        recall_count=3,
        speed=SPEEDS,
        failed_push_days=7,
    ),
    settings=(
        AccountField(
            "recording_prefix",
            "Recording prefix",
            help="Put before the relative addresses of recordings, "
            "e.g. http://voice.kxjlcc.com:9000/",
        ),
        AccountField(
            "push_download_prefix",
            "Prefix of failed-push files",
            help="Put before the relative addresses of the files with failed pushes.",
            default="https://www.xfyeta.com/push_download/",
        ),
    ),
    credentials=(
        AccountField("app_key", "app_key", help="Given by the platform.", required=True),
        AccountField("app_secret", "app_secret", help="Given by the platform.", required=True),
    ),
    kinds=KINDS,
    told_kinds={kind: kind for kind in KINDS},
    errors=ERRORS,
    parse=parse,
    connect=YetaClient,
    recording_prefix_setting="recording_prefix",
    documents=("yeta开放平台开发接口 (platforms/yeta-openapi.txt)",),
    secret_fields=frozenset({"token", "app_secret", "app_key"}),
    results=RESULTS,
    questions=QUESTIONS,
    split_failed_pushes=split_failed_pushes,
    failed_push_prefix_setting="push_download_prefix",
    follow_ups={
        "record": "receiveCallRecord",
        "result": "receiveCallRecord",
        "dialog": "receiveDialog",
        "recording": "receiveVoice",
    },
    # process_count: 已呼叫次数; process_tel_count: 已呼叫号码数, recalls not counted; both are
    # "process_…", and the sample of the text has them equal where they cannot be
    counters={
        "process_count": "calls",
        "process_tel_count": "numbers",
        "process_through_count": "answered",
    },
    vocabulary=VOCABULARY,
    capabilities=CAPABILITIES,
)
