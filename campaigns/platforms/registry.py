"""In: a platform's slug. Out: its declaration. The one list of them; nothing registers itself."""

from __future__ import annotations

from campaigns.platforms.airudder import PLATFORM as AIRUDDER
from campaigns.platforms.contract import Platform
from campaigns.platforms.ima51 import PLATFORM as IMA51
from campaigns.platforms.moor7 import PLATFORM as MOOR7
from campaigns.platforms.yeta import PLATFORM as YETA

#: One line for each, in the order in which they are offered (docs/adding-a-platform.md).
_ALL = (
    YETA,
    AIRUDDER,
    MOOR7,
    IMA51,
)
PLATFORMS: dict[str, Platform] = {platform.slug: platform for platform in _ALL}


def get_platform(slug: str) -> Platform:
    """The platform with this slug. Raises ``KeyError`` with the known ones for an unknown slug."""
    try:
        return PLATFORMS[slug]
    except KeyError:
        known = ", ".join(sorted(PLATFORMS))
        raise KeyError(f"There is no platform {slug!r}. Known: {known}.") from None


def find_platform(text: str) -> Platform | None:
    """The platform that people mean by a word: its slug, name or alias, in any case."""
    word = text.strip().lower()
    for platform in PLATFORMS.values():
        if word in (platform.slug, platform.name.lower(), *map(str.lower, platform.aliases)):
            return platform
    return None
