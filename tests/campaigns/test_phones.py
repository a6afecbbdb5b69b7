"""In: numbers as people and spreadsheets write them. Out: one form, or a refusal with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import phones
from campaigns.phones import PhoneRefused, normalise_phone, search_forms, tell_phone


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("19900000001", "19900000001"),
        (" 199 0000 0001 ", "19900000001"),
        ("199-0000-0001", "19900000001"),
        ("+86 199-0000-0001", "19900000001"),
        ("(+86)19900000001", "19900000001"),
        ("0086 19900000001", "19900000001"),
        ("8619900000001", "19900000001"),
        ("019900000001", "19900000001"),
        ("'19900000001", "19900000001"),
        ("’19900000001", "19900000001"),
        ('="19900000001"', "19900000001"),
        ('"19900000001"', "19900000001"),
        ("＝＂１９９００００００01＂", "19900000001"),
        ("１９９－００００－０００１", "19900000001"),
        ("＋８６１９９００００００01", "19900000001"),
        ("\ufeff199\u00a00000\u200b0001\u3000", "19900000001"),
        ("\u202d19900000001\u202c", "19900000001"),
        ("199\n00000001", "19900000001"),
        ("19900000001\r\n", "19900000001"),
        ("01012345678", "01012345678"),
        ("(010) 1234-5678", "01012345678"),
        ("+86 10 12345678", "01012345678"),
        ("+86 (0)10 12345678", "01012345678"),
        ("0551-69101407", "055169101407"),
        ("0086-551-69101407", "055169101407"),
        ("0310-1234567", "03101234567"),
        ("0710 351 2345", "07103512345"),
        ("0710 3512 3456", "071035123456"),
        ("010 6234-5678", "01062345678"),
        ("139 0012 3456", "13900123456"),
        ("139-001-23456", "13900123456"),
        ("1390 123 4567", "13901234567"),
        ("+1 212 555 0100", "+12125550100"),
        ("+1 212.555.0100", "+12125550100"),
        ("0012125550100", "+12125550100"),
        ("+852 2345 6789", "+85223456789"),
    ],
)
def test_one_normal_form(text: str, form: str) -> None:
    assert normalise_phone(text) == form
    assert normalise_phone(form) == form


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", phones.EMPTY),
        (" \u200b\n", phones.EMPTY),
        ("1.99E+10", phones.ROUNDED),
        ("1,99e+10", phones.ROUNDED),
        ("１．９９Ｅ＋１０", phones.ROUNDED),
        ("2E10", phones.ROUNDED),
        ("19900000001.0", phones.DECIMAL),
        ("19900000001.00", phones.DECIMAL),
        ("19900000001.", phones.DECIMAL),
        ("19900000001,0", phones.DECIMAL),
        ("199****0001", phones.MASKED),
        ("+86 199xxxx0001", phones.MASKED),
        ("12125550100", phones.AMBIGUOUS),
        ("1-310-234-5678", phones.AMBIGUOUS),
        ("1 (310) 234-5678", phones.AMBIGUOUS),
        ("1 310 234 5678", phones.AMBIGUOUS),
        ("1(310)2345678", phones.AMBIGUOUS),
        ("0013102345678", phones.AMBIGUOUS),
        ("0710-3512345-8", phones.EXTENSION),
        ("0710-3512345 8", phones.EXTENSION),
        ("(0710)3512345-1", phones.EXTENSION),
        ("+86 710 3512345-1", phones.EXTENSION),
        ("010-62345678-801", phones.EXTENSION),
        ("010-6234 5678 转 801", phones.EXTENSION),
        ("０７１０－３５１２３４５－８", phones.EXTENSION),
        ("010-11012345", phones.SERVICE),
        ("010-12012345", phones.SERVICE),
        ("+86 10 11912345", phones.SERVICE),
        ("0551-1101234", phones.SERVICE),
        ("1062345678", phones.LOST_ZERO),
        ("861062345678", phones.LOST_ZERO),
        ("75526123456", phones.LOST_ZERO),
        ("2024-03-01", phones.A_DATE),
        ("2024/3/1 00:00:00", phones.A_DATE),
        ("3/1/2024", phones.A_DATE),
        ("88888888", phones.NO_AREA),
        ("1990000000", phones.WRONG_LENGTH),
        ("199000000011", phones.WRONG_LENGTH),
        ("19900000001 19900000002", phones.WRONG_LENGTH),
        ("19900000001,19900000002", phones.NOT_A_PHONE),
        ("19900000001/19900000002", phones.NOT_A_PHONE),
        ("-19900000001", phones.NOT_A_PHONE),
        ("=19900000001", phones.NOT_A_PHONE),
        ("=1+1", phones.NOT_A_PHONE),
        ("192.168.10.100", phones.NOT_A_PHONE),
        ("张三", phones.NOT_A_PHONE),
        ("19900000001转8", phones.NOT_A_PHONE),
        ("1" * 5_000, phones.NOT_A_PHONE),
        ("19900000001\0", phones.NOT_A_PHONE),
        ("+19900000001", phones.NOT_IN_USE),
        ("+999 123456789", phones.NOT_IN_USE),
    ],
)
def test_a_refusal_says_why(text: str, reason: str) -> None:
    with pytest.raises(PhoneRefused) as refused:
        normalise_phone(text)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "number",
    [
        "110",
        "112",
        "119",
        "120",
        "122",
        "114",
        "12110",
        "12315",
        "12345",
        "10000",
        "10086",
        "95588",
        "96110",
        "9558801",
        "999",
        "911",
        "106575000001",
        "4008001234",
        "8008001234",
    ],
)
@pytest.mark.parametrize("prefix", ["", "0", "010", "0551-", "+86", "0086", "86-", "+86 10 ", "'"])
def test_emergency_and_service_numbers_are_refused_however_written(
    prefix: str, number: str
) -> None:
    with pytest.raises(PhoneRefused):
        normalise_phone(prefix + number)


@pytest.mark.parametrize("text", ["+1 911", "+44 999", "+49 112", "00911", "+852 999", "+1 411"])
def test_emergency_numbers_elsewhere_are_refused(text: str) -> None:
    with pytest.raises(PhoneRefused):
        normalise_phone(text)


def test_another_region() -> None:
    assert normalise_phone("(212) 555-0100", region="US") == "+12125550100"
    assert normalise_phone("+86 199 0000 0001", region="US") == "19900000001"
    with pytest.raises(PhoneRefused):
        normalise_phone("911", region="US")


def test_search_forms() -> None:
    assert search_forms("+86 199-0000-0001") == ["19900000001"]
    assert search_forms("12125550100") == ["+12125550100"]
    assert search_forms("10 12345678") == ["01012345678"]
    assert search_forms("张三") == []
    assert search_forms("9" * 1_000) == []


@given(st.text(max_size=120))
def test_any_text_has_a_normal_form_or_a_reason(text: str) -> None:
    try:
        form = normalise_phone(text)
    except PhoneRefused as refused:
        assert refused.reason.endswith(".")
    else:
        assert form.isascii()
        assert 9 <= len(form) <= 16
        assert normalise_phone(form) == form


@given(
    st.integers(3, 9),
    st.integers(0, 10**9 - 1),
    st.sampled_from(["", "+86", "0086", "86", "'", "+86 "]),
    st.sampled_from(["", " ", "-", "\u00a0", "\u200b", "\n"]),
    st.booleans(),
)
def test_every_way_to_write_a_mobile_is_the_same(
    second: int, rest: int, prefix: str, gap: str, is_wide: bool
) -> None:
    mobile = f"1{second}{rest:09d}"
    text = f"{prefix}{mobile[:3]}{gap}{mobile[3:7]}{gap}{mobile[7:]}"
    if is_wide:
        text = text.translate({ord("0") + digit: ord("０") + digit for digit in range(10)})
    assert normalise_phone(text) == mobile


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("+8619900000003", "19900000003"),
        ("19900000003", "19900000003"),
        ("+861xxxxxx721", "+861xxxxxx721"),
        ("8001", "8001"),
        ("", ""),
    ],
)
def test_a_number_that_a_platform_told(told: str, shown: str) -> None:
    assert tell_phone(told) == shown
