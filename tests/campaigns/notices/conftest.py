"""In: nothing. Out: a house without the rules that an installation begins with."""

from __future__ import annotations

import pytest

from campaigns.models import NoticeRule


@pytest.fixture(autouse=True)
def _no_rules(db: None) -> None:
    NoticeRule.objects.all().delete()
