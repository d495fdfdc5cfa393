"""What is shown holds nothing that a terminal, a browser or a CI server would obey."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.text import one_line, printable, printable_json

SPECIAL = [*map(chr, range(0xA0)), *"\xad\u034f\u061c\u115f\u200b\u200c\u200d\u200e\u2028\u202e\u2066\u2069\u3164"]
SPECIAL += ["\ufe0f", "\ufeff", "\uffa0", "\uffff", "\ud800", "\udfff", "\U000e0041", "\U000e0101", "##", "::", "vso["]
SPECIAL += ["👩", "❤", "傘", "क", "ن", "#", "[", "TeamCity[", "\\", '"']
TEXTS = st.lists(st.one_of(st.sampled_from(SPECIAL), st.characters()), max_size=9).map("".join)
EMOJI = "👩\u200d🚀 👩🏽\u200d🚀 ❤\ufe0f 1\ufe0f\u20e3 🏳\ufe0f\u200d🌈"
JOINERS = "\u200c\u200d\ufe00\ufe01\ufe02\ufe0e\ufe0f"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\r\nthree", "two\nlines\nthree"),
        ("a\tb", "a b"),
        ("\x00\x1b\x7f\r", "␀␛␡␍"),
        ("\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
        ("\x1b]8;;http://127.0.0.1/\x1b\\here", "␛]8;;http://127.0.0.1/␛\\here"),
        ("\x9b31m \x9d52;c;x\x9c", r"\x9b31m \x9d52;c;x\x9c"),
        ("user\u202egpj.exe", r"user\u202egpj.exe"),
        ("\u2067a\u2069\u200e\u061c", r"\u2067a\u2069\u200e\u061c"),
        ("zero\u200bwidth\u2060\ufeff\xad", r"zero\u200bwidth\u2060\ufeff\xad"),
        ("line\u2028para\u2029\x85", r"line\u2028para\u2029\x85"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("half \ud83d, \udc80", r"half \ud83d, \udc80"),
        ("\u3164\u115f\uffa0\uffff", r"\u3164\u115f\uffa0\uffff"),
        ("a\u200db\ufe0f", r"a\u200db\ufe0f"),
        (EMOJI, EMOJI),
        ("می\u200cخواهم क्\u200dष 葛\U000e0100", "می\u200cخواهم क्\u200dष 葛\U000e0100"),
        ("👩\u200d\u200d", "👩\u200d\\u200d"),
        ("[red]no markup[/red]", "[red]no markup[/red]"),
        ("Zoë, 傘, привет, שלום", "Zoë, 傘, привет, שלום"),
    ],
    ids=ascii,
)
def test_what_is_not_meant_to_be_seen_becomes_a_mark(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error file=a::b", ": :error file=a::b"),
        ("well\n  ::add-mask::x\n\t::stop-commands::y", "well\n  : :add-mask::x\n : :stop-commands::y"),
        ("std::vector", "std::vector"),
        (":::", ": ::"),
        ("see ##[error]x", "see # #[error]x"),
        ("##vso[task.setvariable variable=a]b", "# #vso[task.setvariable variable=a]b"),
        ("###VSO[a]", "## #VSO[a]"),
        ("##teamcity[testFailed name='x']", "# #teamcity[testFailed name='x']"),
        ("## a heading", "## a heading"),
        ("section_start:1:x\r\x1b[0Kx", "section_start:1:x␍␛[0Kx"),
    ],
)
def test_no_text_is_a_command_of_a_ci_server(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(TEXTS)
def test_all_that_is_left_is_seen(text: str) -> None:
    shown = printable(text)
    unseen = {sign for sign in shown if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")}
    assert unseen <= {"\n"}
    for before, sign in zip(" " + shown, shown, strict=False):
        assert sign not in JOINERS or not before.isspace()
        assert unicodedata.bidirectional(sign) not in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    folded = shown.casefold()
    assert not any(command in folded for command in ("##[", "##vso[", "##teamcity["))
    assert not any(line.lstrip().startswith("::") for line in shown.split("\n"))


@given(TEXTS)
def test_a_second_pass_changes_nothing(text: str) -> None:
    assert printable(printable(text)) == printable(text)
    assert one_line(one_line(text)) == one_line(text)
    assert printable(one_line(text)) == one_line(text)


@given(TEXTS)
def test_one_line_is_one(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert one_line(text) == one_line(f"\n {text}\t\r\n")


@given(st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="#:\u3164\uffa0\u115f\u1160\u1175")))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_what_stands_between_the_parts_of_json_stays() -> None:
    assert printable_json('{\n\t"a": "❤\ufe0f\u200b"}') == '{\n\t"a": "❤\ufe0f\\u200b"}'


@given(st.dictionaries(TEXTS, TEXTS, max_size=2), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_json_says_the_same_and_holds_nothing_raw(data: object, indent: int | str | None, to_ascii: bool) -> None:
    shown = printable_json(json.dumps(data, indent=indent, ensure_ascii=to_ascii))
    assert json.loads(shown) == json.loads(json.dumps(data))
    assert printable(shown) == shown.replace("\t", " ")
    shown.encode()
