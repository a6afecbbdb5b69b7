"""In: a page whose database is away. Out: a sentence and 503, never a bare 500."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from campaigns.admin import home


@pytest.mark.django_db
@pytest.mark.parametrize(("error", "status"), [(OperationalError, 503), (KeyError, 500)])
def test_a_database_without_connections_is_told(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, error: type[Exception], status: int
) -> None:
    def fail(*_args: Any, **_fields: Any) -> None:
        raise error("19900000001 remaining connection slots are reserved")

    monkeypatch.setattr(home, "summarise_home", fail)
    admin_client.raise_request_exception = False
    response = admin_client.get("/admin/")
    assert response.status_code == status
    assert b"19900000001" not in response.content
    assert ("try again" in response.content.decode()) == (status == 503)
