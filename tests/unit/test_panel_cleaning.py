"""Texts that enter the panel lose what may be a passkey, however it is written."""

import pytest

from pyrotorque_panel.cleaning import cleaned, cleaned_text

KEY = "0123456789abcdef0123456789abcdef"
SPELLINGS = (
    f"http://t.example/{KEY}/announce",
    f"https://me:{KEY}@t.example/announce?passkey={KEY}",
    f"udp://{KEY}.t.example:80/announce",
    f"tr=https%3A%2F%2Ft.example%2F{KEY}%2Fannounce&dn=A%20name",
    f"tr=https%253A%252F%252Ft.example%252F{KEY}%252Fannounce",
    f"http%3A%2F%2Ft%2Fannounce%3Fpasskey%3D{KEY}",
    f"passkey%3D{KEY}",
    f"passkey: {KEY}",
    f"TORRENT_PASS = {KEY}",
    f"rsskey={KEY}",
    f"//t.example/{KEY}/scrape",
    f"t.example/{KEY}/announce",
    f"x{KEY}z",
    f"'%61uthkey={KEY}'",
)


@pytest.mark.parametrize("text", SPELLINGS)
def test_no_spelling_of_a_key_remains(text: str) -> None:
    assert KEY not in cleaned_text(text)
    assert KEY not in str(cleaned({text: [text, (text,)]}))


@pytest.mark.parametrize("key", ["abcdefghijk", KEY[:20], "PqRsTuVwXyZ012345"])
def test_a_key_of_any_length_before_announce_is_removed(key: str) -> None:
    assert key not in cleaned_text(f"the tracker //t.example/{key}/announce refused")
    assert key not in cleaned_text(f"t.example%2F{key}%2Fannounce")


@pytest.mark.parametrize(
    "text",
    [
        "50% of 100%25",
        "A%20name%2C%20of%20a%20release",
        "magnet:?xt=urn:btih:" + "A" * 40 + "&dn=x%20y",
        "key: value",
        "/home/me/watch/announce",
        "A" * 40,
        "b" * 64,
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert cleaned_text(text) == text
