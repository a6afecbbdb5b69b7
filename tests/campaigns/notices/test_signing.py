"""Must catch: a signature that does not cover the time, or the whole body; old ones that go on
being good; an address that is taken although its host may not be sent to."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from campaigns import notices
from campaigns.models import NoticeHook
from campaigns.notices.hooks import list_secrets
from campaigns.notices.signing import is_signed, make_signature, sign
from tests.campaigns.notices.making import make_hook

BODY = '{"text":"任务完成"}'.encode()


def test_the_signature_is_the_one_that_the_docs_describe() -> None:
    wanted = hmac.new(b"geheim", b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert make_signature(BODY, secrets=["geheim"], timestamp=1_700_000_000) == f"v1={wanted}"
    # a value that never changes with the code: what receivers were built on
    fixed = "4bbe8d39de1ffea42cffafb4727e02f761bef8ed2886b51575ce417d542e918f"
    assert sign(b"{}", secret="secret", timestamp=0) == fixed


def test_what_was_changed_or_is_old_is_not_signed() -> None:
    header = make_signature(BODY, secrets=["new", "old"], timestamp=1000)
    good: dict[str, Any] = {"secret": "old", "timestamp": "1000", "now": 1100.0}
    assert is_signed(header, BODY, **good)
    assert is_signed(header, BODY, **good | {"secret": "new"})
    assert not is_signed(header, BODY + b" ", **good)
    assert not is_signed(header, BODY, **good | {"secret": "other"})
    assert not is_signed(header, BODY, **good | {"timestamp": "1001"})
    assert not is_signed(header, BODY, **good | {"now": 1000.0 + 301})
    assert not is_signed(header, BODY, **good | {"now": 1000.0 - 301})
    for odd in ("", "１０００", "-1", "9" * 5000, "1e3"):
        assert not is_signed(header, BODY, **good | {"timestamp": odd})
    assert not is_signed("v1=ü", BODY, **good)


@pytest.mark.django_db
def test_secrets_are_of_256_bits_encrypted_and_the_one_before_signs_for_a_day() -> None:
    hook = make_hook("https://hooks.example.org/T0/very-secret")
    first = hook.known_secret
    assert len(first) >= 43
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM campaigns_noticehook")
        row = str(cursor.fetchall())
    assert first not in row
    assert "very-secret" not in row
    assert hook.shown == "https://hooks.example.org/…"
    second = notices.make_secret(hook)
    hook = NoticeHook.objects.get(pk=hook.pk)
    assert list_secrets(hook) == [second, first]
    assert hook.secrets["url"] == "https://hooks.example.org/T0/very-secret"
    hook.rotated_at = timezone.now() - timedelta(days=1, minutes=1)
    assert list_secrets(hook) == [second]


ODD_ADDRESSES = [
    *("", "hooks.example.org", "ftp://example.org/", "https://", "https://[::1", "javascript:1"),
    *("https://user:pw@example.org/", "https://example.org:99999/", "https://ex ample.org/"),
    *("https://example.org/\x00", "https://例子.org/", "http://example.org/", "http://127.0.0.1/"),
    "https://example.org/" + "a" * 5000,
]


@pytest.mark.parametrize("url", ODD_ADDRESSES)
def test_an_odd_address_is_refused_with_a_sentence(url: str, settings: Any) -> None:
    settings.NOTICE_ALLOW_HOSTS = []
    with pytest.raises(notices.AddressRefused, match=r"\w"):
        notices.check_address(url)


def test_http_is_for_hosts_of_the_setting(settings: Any) -> None:
    settings.NOTICE_ALLOW_HOSTS = ["127.0.0.1:8000", "tools.internal"]
    assert notices.check_address(" http://127.0.0.1:8000/x ") == "http://127.0.0.1:8000/x"
    assert notices.check_address("http://tools.internal/")
    with pytest.raises(notices.AddressRefused):
        notices.check_address("http://127.0.0.1:8001/x")
