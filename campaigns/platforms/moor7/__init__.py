"""In: nothing. Out: ``PLATFORM``, what 7moor (容联七陌) is: a call centre that pushes its events.

From "事件推送接口" alone: it takes no calls from us, and nothing can be asked.
"""

from __future__ import annotations

from campaigns.platforms.contract import AccountField, Limits, Platform
from campaigns.platforms.moor7.callbacks import ACCOUNT_SETTING, KINDS, TOLD_KINDS, parse
from campaigns.platforms.moor7.capabilities import CAPABILITIES
from campaigns.platforms.moor7.vocabulary import RESULTS, VOCABULARY

PLATFORM = Platform(
    slug="moor7",
    name="7moor",
    aliases=("容联七陌",),
    default_base_url="",
    can=frozenset(),
    limits=Limits(),
    settings=(
        AccountField(
            ACCOUNT_SETTING,
            "Account number (accountId)",
            help="Pushes that name another one are quarantined. Left empty, the first one seen is "
            "taken.",
        ),
        AccountField(
            "recording_hosts",
            "Further hosts of recordings",
            help="Comma-separated names of hosts from which recordings may be fetched too.",
        ),
    ),
    credentials=(),
    kinds=KINDS,
    told_kinds=TOLD_KINDS,
    errors={},
    parse=parse,
    connect=None,
    documents=("7moor 事件推送接口 (platforms/7moor-event-push.txt)",),
    results=RESULTS,
    vocabulary=VOCABULARY,
    capabilities=CAPABILITIES,
    # the host of every recording in the text
    recording_hosts=frozenset({"v7call-1256921685.cos.ap-beijing.myqcloud.com"}),
)
