"""In: what one person may not do alone. Out: asked, answered by another one, used once."""

from __future__ import annotations
