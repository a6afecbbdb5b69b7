"""In: a request of unknown outcome and a person's word about it. Out: accepted, or sent again."""

from __future__ import annotations
