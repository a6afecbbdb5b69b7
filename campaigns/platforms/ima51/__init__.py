"""In: nothing. Out: ``PLATFORM``, what the 51ima call centre tells us.

From "通话记录回调说明": it sends call records, and nothing else of it is documented to us, so there
is no client and nothing that it can be asked for.
"""

from __future__ import annotations

from campaigns.platforms.contract import Limits, Platform
from campaigns.platforms.ima51.callbacks import KINDS, TOLD_KINDS, parse
from campaigns.platforms.ima51.capabilities import CAPABILITIES
from campaigns.platforms.ima51.vocabulary import RESULTS, VOCABULARY

PLATFORM = Platform(
    slug="ima51",
    name="51ima",
    default_base_url="",
    can=frozenset(),
    limits=Limits(),
    settings=(),
    credentials=(),
    kinds=KINDS,
    told_kinds=TOLD_KINDS,
    errors={},
    parse=parse,
    connect=None,
    documents=("通话记录回调说明 (platforms/51ima-call-record.txt)",),
    results=RESULTS,
    aliases=("51ima", "51ima 云呼叫中心"),
    vocabulary=VOCABULARY,
    capabilities=CAPABILITIES,
)
