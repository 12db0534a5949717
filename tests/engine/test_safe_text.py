"""Invisible characters become visible, whatever they come from; JSON keeps its values."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from aws_setup.engine.safe_text import json_text, one_line, shorten, visible

CANARY = "\x1b]0;x\x07 \u202etxt\u202c \r\n[bold]\x9b2J\u200b\ufeff\U000e0041"

pytestmark = pytest.mark.kind("C5")


def harmful(character: str) -> bool:
    """Whether a terminal may obey a character, or show nothing or something else for it."""
    bidi = unicodedata.bidirectional(character) in {
        "LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI", "BN",
    }  # fmt: skip
    category = unicodedata.category(character)
    return bidi or category in {"Cc", "Cs", "Zl", "Zp"}


def test_no_harmful_character_of_unicode_stays() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if harmful(character) and unicodedata.category(character) != "Cn":
            assert not any(map(harmful, one_line(f"a{character}b"))), hex(code)


def test_other_texts_stay_as_they_are() -> None:
    text = "λFS on AWS — „naïve“ 日本語 é́ 100 % → 👍 [x] \\x1b"
    assert visible(text) == one_line(text) == text


def test_lines_are_joined_or_kept() -> None:
    assert one_line("one\r\ntwo\n\nthree\tfour\u2028five") == "one two three four five"
    assert visible("one\r\ntwo\n") == "one\ntwo\n"
    assert visible("one\rtwo") == "one\\x0dtwo"
    assert one_line(CANARY) == (
        "\\x1b]0;x\\x07 \\u202etxt\\u202c  [bold]\\x9b2J\\u200b\\ufeff\\U000e0041"
    )


def test_a_shortened_text_says_that_it_is() -> None:
    assert shorten("abc\ndef", 7) == "abc def"
    assert shorten("abc\ndef", 6) == "abc d…"


def test_json_has_the_same_values_in_harmless_characters() -> None:
    document = {"text λ": CANARY, "surrogate": "\udc80"}
    text = json_text(document)
    assert json.loads(text) == document
    assert not any(map(harmful, text))
    assert "λ" in text
