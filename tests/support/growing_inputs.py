"""Inputs that ask much of each parser, of any size: what ``tests.linear`` measures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from tau_stage.cassette.format import (
    MANIFEST,
    CassetteEvent,
    Manifest,
    PlayerTrack,
    format_manifest,
    load_cassette,
    write_events,
)
from tau_stage.cassette.redaction import Redactor
from tau_stage.checks.snapshot import parse_snapshot
from tau_stage.errors import LimitReached
from tau_stage.protocol.conversation import Conversation
from tau_stage.protocol.decoding import decode
from tau_stage.protocol.secrets import Secrets, Striker
from tau_stage.protocol.usage import Usage
from tau_stage.report.tables import plain_text, tabulate_take
from tau_stage.report.words import render_labels, render_sheet, render_srt, render_transcript, render_vtt
from tau_stage.scene.load import load_variants, parse_scene
from tau_stage.scene.planner import make_plan
from tau_stage.suite.output import as_junit
from tau_stage.suite.result import Result, Row
from tau_stage.tables import read_table, scenes_of_table
from tau_stage.take import records as record
from tau_stage.take.folding import fold
from tau_stage.take.journal import Journal, read_journal
from tau_stage.take.take_model import Take, silences
from tau_stage.text import (
    closeness,
    diff_speech,
    diff_words,
    hidden,
    holds,
    is_found,
    letters_apart,
    one_line,
    printable,
    printable_json,
    spoken_words,
    word_error_rate,
)
from tau_stage.text.urls import redact_url
from tau_stage.understudy.actor import SpeechRequest, Utterance
from tau_stage.understudy.delivery import plan_speech
from tau_stage.understudy.dialogue import parse
from tau_stage.understudy.improvisation import improvise, read_briefing
from tests.test_take import BEGAN, journal_of, spoken

Parse = Callable[[], Any]
Shape = Callable[[int, Path], Parse]

SHAPES: dict[str, Shape] = {}

BEAT = '{{"LineID": "k{n}", "CharacterID": "ann", "Text": "Yes."}},\n'
PLAYERS = "players: {ann: {voice: ash}, bob: {voice: sage}}\n"
LINES = PLAYERS + "lines:\n"
ONE = LINES + "  - ann: Yes.\n"


def fill(text: str, size: int) -> str:
    """A text again and again, up to a size."""
    return text * (size // len(text.encode()))


def numbered(text: str, size: int) -> str:
    """A text again and again with numbers in it, up to a size."""
    return "".join(text.format(n=n) for n in range(size // len(text.format(n=10_000))))


def scene(name: str, made: Callable[[int], str]) -> None:
    """A scene file, read, checked and planned."""

    def shape(size: int, _folder: Path) -> Parse:
        text = made(size)
        return lambda: make_plan(parse_scene(text))

    SHAPES[f"scene: {name}"] = shape


def one_value(name: str, before: str, made: Callable[[int], str], after: str = "\n") -> None:
    """A scene file in which one value is long; it stands in double quotes, as JSON writes it."""
    scene(name, lambda size: f"{before}{json.dumps(made(size), ensure_ascii=False)}{after}")


# ---- YAML

scene("many lines", lambda n: LINES + fill("  - ann: Yes.\n", n))
scene("one long line", lambda n: LINES + f"  - ann: {fill('so ', n)}\n")
scene("many lines with ids", lambda n: LINES + numbered("  - {{ann: Yes., id: a-{n}}}\n", n))
scene("one id for all", lambda n: LINES + fill("  - {ann: Yes., id: same}\n", n))
scene("many players", lambda n: "players:\n" + numbered("  p{n}: {{}}\n", n) + "lines:\n  - p1: Yes.\n")
scene(
    "many players, many lines",
    lambda n: "players:\n" + numbered("  p{n}: {{}}\n", n // 2) + "lines:\n" + numbered("  - p{n}: Yes.\n", n // 2),
)
scene(
    "many players, many strangers",
    lambda n: "players:\n" + numbered("  p{n}: {{}}\n", n // 2) + "lines:\n" + numbered("  - q{n}: Yes.\n", n // 2),
)
scene("many strangers", lambda n: LINES + numbered("  - q{n}: Yes.\n", n))
scene("many unknown keys", lambda n: ONE + numbered("key{n}: 1\n", n))
scene("many keys in a line", lambda n: LINES + "  - ann: Yes.\n" + numbered("    key{n}: 1\n", n))
scene("lines with unknown keys", lambda n: LINES + fill("  - {ann: Yes., voise: 3}\n", n))
scene("lines to strangers", lambda n: LINES + numbered("  - {{ann: Yes., to: [x{n}]}}\n", n))
scene("a line to many strangers", lambda n: LINES + f"  - {{ann: Yes., to: [{numbered('x{n}, ', n)}]}}\n")
scene("cuts of lines that are not there", lambda n: LINES + numbered("  - {{ann: Yes., cut_in: x{n}}}\n", n))
scene("cuts", lambda n: LINES + fill("  - ann: Yes.\n  - {bob: No., cut_in: ann}\n", n))
scene("one key again and again", lambda n: ONE + fill("a: 1\n", n))
scene("an unknown key of one size", lambda n: ONE + f"{'k' * n}: 1\n")
scene("brackets open", lambda n: ONE + "x-a: " + "[" * n)
scene("braces open", lambda n: ONE + "x-a: " + "{" * n)
scene("brackets open, in words", lambda n: LINES + "  - ann: " + "[" * n)
scene("brackets open, then closed, in words", lambda n: LINES + "  - ann: " + "[" * n + "] so\n")
scene("brackets after each other", lambda n: ONE + "x-a: [" + fill("[], ", n) + "]\n")
scene("list items on one line", lambda n: ONE + "x-a:\n  " + "- " * (n // 2))
scene("block nested deep", lambda n: ONE + "x-a:\n" + "".join(f"{' ' * d}- \n" for d in range(int((2 * n) ** 0.5))))
scene("anchors", lambda n: ONE + "x-a:\n" + numbered("  - &a{n} b\n  - *a{n}\n", n))
scene("anchors not used", lambda n: ONE + "x-a:\n" + numbered("  - &a{n} b\n", n))
scene("aliases of a list", lambda n: ONE + f"x-b: &b [{'c, ' * 100}]\nx-a: [{fill('*b, ', n)}]\n")
scene("aliases of aliases", lambda n: ONE + "x-0: &a0 [b, b]\n" + numbered("x-{n}: &a{n} [*a0, *a0]\n", n))
scene("properties in words", lambda n: LINES + "  - ann: " + fill("!a ", n) + "so\n")
scene("properties before a bracket", lambda n: LINES + "  - ann: " + fill("!a ", n) + "[so\n")
scene("quote never closed", lambda n: LINES + '  - ann: "' + fill("so ", n) + "\n")
scene("quote closed before words", lambda n: LINES + '  - ann: "so" ' + fill("so ", n) + "\n")
scene("quote and many blanks", lambda n: LINES + '  - ann: "so"' + " " * n + "so\n")
scene("apostrophe and many blanks", lambda n: LINES + "  - ann: 'tis" + " " * n + "so\n")
scene("star and many blanks", lambda n: LINES + "  - ann: *so" + " " * n + "so\n")
scene("bracket and many blanks", lambda n: LINES + "  - ann: [so" + " " * n + "so\n")
scene("list in brackets and many blanks", lambda n: LINES + "  - ann: [so]" + " " * n + "\n")
scene("many blanks, then a colon", lambda n: LINES + "  - ann: so" + " " * n + ": so\n")
scene("colons", lambda n: LINES + "  - ann: " + fill("so: ", n) + "so\n")
scene("colons without blanks", lambda n: LINES + "  - ann: " + fill("so:", n) + "\n")
scene("blanks and colons", lambda n: LINES + "  - ann: " + fill("a  : ", n) + "so\n")
scene("comments", lambda n: ONE + fill("# no\n", n))
scene("cut by a comment", lambda n: LINES + "  - ann: " + fill("so ", n) + "#so\n")
scene("cuts by comments", lambda n: LINES + fill("  - ann: so #so\n", n))
scene("empty lines", lambda n: ONE + "\n" * n)
scene("carriage returns", lambda n: ONE + "\r" * n)
scene("blanks at the end", lambda n: ONE + " " * n)
scene("tabs", lambda n: LINES + "\t" * n + "- ann: so\n")
scene("text of many lines", lambda n: LINES + "  - ann: |\n" + fill("      so so\n", n))
scene("folded text", lambda n: LINES + "  - ann: >\n" + fill("      so\n\n", n))
scene("indented otherwise at the end", lambda n: LINES + fill("  - ann: Yes.\n", n) + " - ann: No.\n")
scene("deeper at the end", lambda n: LINES + fill("  - ann: Yes.\n", n) + "     bob: No.\n")
scene("no-break spaces", lambda n: LINES + fill("  -\u00a0ann: Yes.\n", n))
scene("dashes that are none", lambda n: LINES + fill("  – ann: Yes.\n", n))
scene("escapes", lambda n: LINES + '  - ann: "' + fill("\\n", n) + '"\n')
scene("wrong escapes", lambda n: LINES + '  - ann: "' + fill("\\q", n) + '"\n')
scene("documents", lambda n: ONE + fill("--- a\n", n))
scene("question marks", lambda n: ONE + fill("? ", n))
scene("percent", lambda n: fill("%A b\n", n) + ONE)
scene("control character at the end", lambda n: LINES + fill("  - ann: Yes.\n", n) + "\x01")
scene("notes", lambda n: ONE + "note: " + fill("so ", n) + "\n")
scene("cues", lambda n: ONE + "on:\n" + fill("  - {said: so, do: [ann: Yes.]}\n", n))
scene("tools", lambda n: ONE + "tools:\n" + numbered("  tool{n}: {{description: so, returns: 1}}\n", n))
scene("tools that are not there", lambda n: LINES + numbered("  - {{ann: Yes., tools: [t{n}]}}\n", n))
scene(
    "lines with unknown tools",
    lambda n: (
        "tools:\n"
        + numbered("  tool{n}: {{returns: 1}}\n", n // 2)
        + LINES
        + numbered("  - {{ann: Yes., tools: [tol{n}]}}\n", n // 2)
    ),
)
scene("a tool's schema", lambda n: ONE + f"tools: {{a: {{returns: {{{numbered('k{n}: 1, ', n)}}}}}}}\n")
scene("together", lambda n: LINES + "  - together:\n" + fill("    - ann: Yes.\n    - bob: No.\n", n))
scene("improvisations", lambda n: LINES + fill("  - improvise: {turns: 2}\n", n))
scene(
    "improvisations of many players",
    lambda n: (
        "players:\n" + numbered("  p{n}: {{}}\n", n // 2) + "lines:\n" + fill("  - improvise: {turns: 2}\n", n // 2)
    ),
)
scene("sounds that are not there", lambda n: ONE + numbered("  - sfx: no{n}.wav\n", n))
scene("beds", lambda n: ONE + numbered("  - bed: no.wav\n    until: b{n}\n", n))
scene("includes", lambda n: ONE + f"include: [{numbered('c{n}.yaml, ', n)}]\n")
scene("voices", lambda n: "players:\n" + numbered("  p{n}: {{voice: mari}}\n", n) + "lines: [p1: Yes.]\n")

# ---- values

one_value("direction", LINES + "  - ann: Yes.\n    direction: ", lambda n: fill("so ", n))
one_value("parentheses open", LINES + "  - ann: ", lambda n: "(" * n)
one_value("parentheses closed", LINES + "  - ann: ", lambda n: ")" * n)
one_value("parentheses in pairs", LINES + "  - ann: ", lambda n: fill("()", n))
one_value("asides", LINES + "  - ann: ", lambda n: "so " + fill("(a) ", n))
one_value("asides open", LINES + "  - ann: ", lambda n: "so " + fill("(a ", n))
one_value("backslashes", LINES + "  - ann: ", lambda n: "so " + "\\" * n)
one_value("moments", LINES + "  - ann: ", lambda n: "so " + fill("[laughs] ", n))
one_value("moments open", LINES + "  - ann: ", lambda n: "so " + "[" * n)
one_value("stress", LINES + "  - ann: ", lambda n: "so " + fill("*so* ", n))
one_value("stars", LINES + "  - ann: ", lambda n: "so " + "*" * n)
one_value("blanks", LINES + "  - ann: ", lambda n: "so" + " " * n + "so")
for _key, _of in {
    "pause": "  - ann: Yes.\n    pause: ",
    "timeout": "  - ann: Yes.\n    timeout: ",
    "takes": "  - ann: Yes.\n    takes: ",
    "max_output_tokens": "  - ann: Yes.\n    max_output_tokens: ",
}.items():
    one_value(f"{_key}, digits", LINES + _of, lambda n: "1" * n)
    one_value(f"{_key}, blanks", LINES + _of, lambda n: "1" + " " * n + "x")
for _name, _made in {
    "digits": lambda n: "1" * n,
    "dollar and blanks": lambda n: "$" + " " * n + "x",
    "blanks and digits": lambda n: "$" + fill(" 1", n),
    "usd": lambda n: "$" + fill(" usd ", n),
}.items():
    one_value(f"budget, {_name}", ONE + "limits:\n  budget: ", _made)
    one_value(f"start_rate, {_name}", ONE + "limits:\n  start_rate: ", _made)
    one_value(f"gain, {_name}", ONE + "  - sfx: a.wav\n    gain: ", _made)
for _name, _made in {
    "blanks": lambda n: "1" + " " * n + "s",
    "dots": lambda n: "." * n,
    "dashes": lambda n: "1" + "-" * n,
    "dashes and blanks": lambda n: "1" + fill(" -", n),
    "to": lambda n: "1" + fill(" to ", n) + "2",
    "at most": lambda n: "at most" + " " * n,
    "words": lambda n: fill("so ", n),
}.items():
    one_value(f"length, {_name}", ONE + "expect:\n  length: ", _made)
    one_value(f"loudness, {_name}", ONE + "expect:\n  loudness: ", _made)
    one_value(f"rate, {_name}", ONE + "expect:\n  rate: ", _made)
    one_value(f"tolerance, {_name}", ONE + "expect:\n  tolerances:\n    length: ", _made)
    one_value(f"passes, {_name}", ONE + "expect:\n  pass: ", _made)
one_value("says", ONE + "expect:\n  says: ", lambda n: fill("so ", n))
one_value("matches, alternatives", ONE + "expect:\n  says: {matches: ", lambda n: fill("a|", n), "}\n")
one_value("matches, groups open", ONE + "expect:\n  says: {matches: ", lambda n: fill("(", n), "}\n")
one_value("matches, groups", ONE + "expect:\n  says: {matches: ", lambda n: fill("(a)", n), "}\n")
one_value("matches, classes", ONE + "expect:\n  says: {matches: ", lambda n: fill("[ab]", n), "}\n")
one_value("matches, backslashes", ONE + "expect:\n  says: {matches: ", lambda n: fill("\\w", n), "}\n")
one_value("said, alternatives", ONE + "on:\n  - said: ", lambda n: fill("a|", n), "\n    do: [ann: Yes.]\n")

# ---- conditions

for _name, _made in {
    "blanks": lambda n: "a" + " " * n + "b",
    "blanks before a sign": lambda n: "a" + " " * n + "= b",
    "blanks after a sign": lambda n: "a ==" + " " * n + "b",
    "blanks and signs": lambda n: "a" + fill(" =", n),
    "signs": lambda n: "=" * n,
    "comparisons": lambda n: fill("a == b ", n),
    "parentheses": lambda n: "(" * n,
    "not": lambda n: fill("!", n),
    "words": lambda n: fill("so ", n),
    "lines": lambda n: fill("a\n", n),
}.items():
    one_value(f"when, {_name}", LINES + "  - ann: Yes.\n    when: ", _made)
scene("when, many", lambda n: LINES + fill("  - {ann: Yes., when: 'a  ==  b'}\n  - bob: No.\n", n))
scene("when, not in not", lambda _n: LINES + "  - ann: Yes.\n    when: " + "{not: " * 40 + "so" + "}" * 40 + "\n")

# ---- variables

VARS = "vars: {city: Oslo}\n"
for _name, _made in {
    "places open": lambda n: fill("${", n),
    "places open with names": lambda n: fill("${city", n),
    "places open on lines": lambda n: fill("${city\n", n),
    "places open, one closed": lambda n: fill("${", n) + "}",
    "places": lambda n: fill("${city} ", n),
    "places of nothing": lambda n: fill("${no} ", n),
    "places without names": lambda n: fill("${}", n),
    "plain places": lambda n: fill("$${", n),
    "dollars": lambda n: "$" * n,
    "a long name": lambda n: "${" + "a" * n + "}",
    "braces": lambda n: "${" + "{" * n + "}",
}.items():
    one_value(f"variables, {_name}", VARS + LINES + "  - ann: ", _made)
    one_value(f"variables, {_name}, in a variable", PLAYERS + "lines: [ann: Yes.]\nvars:\n  city: ", _made)
scene(
    "variables, many unknown",
    lambda n: "vars:\n" + numbered("  v{n}: a\n", n // 2) + LINES + numbered("  - ann: ${{w{n}}}\n", n // 2),
)
scene("variables, one in many lines", lambda n: VARS + LINES + fill("  - ann: ${city}\n", n))
scene(
    "variables, long in many lines",
    lambda n: f"vars: {{city: {'o' * (n // 2)}}}\n{LINES}" + fill("  - ann: ${city}\n", n // 2),
)
scene("variables, many", lambda n: ONE + "vars:\n" + numbered("  v{n}: a\n", n))
scene("variables, wrong names", lambda n: ONE + "vars:\n" + numbered("  1v{n}: a\n", n))

# ---- matrix


def matrix(name: str, made: Callable[[int], str]) -> None:
    def shape(size: int, folder: Path) -> Parse:
        file = folder / "scene.yaml"
        file.write_text(made(size), "utf-8")
        return lambda: [make_plan(each) for each in load_variants(file)]

    SHAPES[f"matrix: {name}"] = shape


HUNDRED = f"matrix: {{mood: [{', '.join(f'm{n}' for n in range(100))}]}}\n"
matrix("100 variants of many lines", lambda n: HUNDRED + LINES + fill("  - ann: Yes, ${mood}.\n", n))
matrix("100 variants of many wrong lines", lambda n: HUNDRED + LINES + fill("  - an: Yes, ${mood}.\n", n))
matrix("100 variants of one long line", lambda n: HUNDRED + LINES + f"  - ann: {fill('so ', n)}\n")
matrix("100 variants of a long script", lambda n: HUNDRED + PLAYERS + "script: |\n" + fill("  ANN: Yes.\n", n))
matrix("many values", lambda n: ONE + f"matrix: {{mood: [{numbered('m{n}, ', n)}]}}\n")
matrix("many axes", lambda n: ONE + "matrix:\n" + numbered("  a{n}: [b]\n", n))
matrix("long values", lambda n: ONE + f"matrix: {{mood: [{'m' * n}, b]}}\n")

# ---- scripts

SCRIPT = PLAYERS + "script: |\n"


def script(name: str, made: Callable[[int], str]) -> None:
    """A script in a scene file."""
    scene(f"script, {name}", lambda n: SCRIPT + made(n))


for _name, _made in {
    "speeches": lambda n: fill("  ANN: Yes.\n", n),
    "strangers": lambda n: numbered("  PERSON {n}: Yes.\n", n),
    "one long speech": lambda n: "  ANN: " + fill("so ", n) + "\n",
    "a speech of many lines": lambda n: "  ANN: so\n" + fill("    so\n", n),
    "words of nobody": lambda n: fill("  so\n", n),
    "colons": lambda n: "  " + ":" * n + "\n",
    "colons after blanks": lambda n: "  " + fill(" :", n) + "\n",
    "parentheses": lambda n: "  ANN " + "(" * n + ": Yes.\n",
    "stars": lambda n: "  " + "*" * n + "ANN: Yes.\n",
    "time stamps": lambda n: fill("  [00:12] ANN: Yes.\n", n),
    "time stamps on one line": lambda n: "  " + fill("00:12 ", n) + "ANN: Yes.\n",
    "items": lambda n: "  ANN: Yes.\n" + fill("  - pause: 1s\n", n),
    "items and comments": lambda n: "  ANN: Yes.\n" + fill("  - pause: 1s\n  # so\n", n),
    "items and speeches": lambda n: fill("  ANN: Yes.\n  - pause: 1s\n", n),
    "comments": lambda n: "  ANN: Yes.\n" + fill("  # so\n", n),
    "an item and comments": lambda n: "  ANN: Yes.\n  - pause: 1s\n" + fill("  # so\n", n),
    "empty lines": lambda n: "  ANN: Yes.\n" + "\n" * n,
    "directions": lambda n: fill("  ANN (low): Yes.\n", n),
    "a long name": lambda n: "  " + "A" * n + ": Yes.\n",
}.items():
    script(_name, _made)
scene(
    "script, strangers among many players",
    lambda n: (
        "players:\n" + numbered("  p{n}: {{}}\n", n // 2) + "script: |\n" + numbered("  PERSON {n}: Yes.\n", n // 2)
    ),
)

# ---- Fountain


def fountain(name: str, made: Callable[[int], str], players: str = PLAYERS) -> None:
    def shape(size: int, folder: Path) -> Parse:
        (folder / "play.fountain").write_text(made(size), "utf-8")
        file = folder / "scene.yaml"
        file.write_text(players + "script: play.fountain\n", "utf-8")
        return lambda: [make_plan(each) for each in load_variants(file)]

    SHAPES[f"Fountain: {name}"] = shape


for _name, _made in {
    "speeches": lambda n: fill("ANN\nYes.\n\n", n),
    "dual": lambda n: "ANN\nYes.\n\n" + fill("BOB ^\nYes.\n\nANN ^\nNo.\n\n", n),
    "strangers": lambda n: numbered("PERSON {n}\nYes.\n\n", n),
    "notes open": lambda n: "ANN\nYes.\n\n" + "[[" * (n // 2),
    "notes": lambda n: "ANN\nYes.\n\n" + fill("[[a]] ", n),
    "notes on lines": lambda n: "ANN\nYes.\n\n" + fill("[[a]]\n", n),
    "notes under a cue": lambda n: fill("ANN\n[[a]]\n[[b]]\nYes.\n\n", n),
    "notes under cues": lambda n: fill("ANN\n", n // 2) + fill("[[a]]\n", n // 2),
    "cues over notes": lambda n: "\n" + fill("ANN\n[[a]]\n\n", n),
    "boneyards open": lambda n: "ANN\nYes.\n\n" + "/*" * (n // 2),
    "boneyards open and one closed": lambda n: "ANN\nYes.\n\n" + "/*" * (n // 2) + "*/",
    "boneyards": lambda n: "ANN\nYes.\n\n" + fill("/*a*/ ", n),
    "a boneyard of many lines": lambda n: "ANN\nYes.\n\n/*" + fill("a\n", n) + "*/\n",
    "both open": lambda n: "ANN\nYes.\n\n" + fill("/*[[", n),
    "blank lines": lambda n: "ANN\nYes.\n\n" + "\n" * n,
    "blanks": lambda n: "ANN\nYes.\n\n" + " " * n,
    "blanks and lines": lambda n: "ANN\nYes.\n\n" + fill(" \n", n),
    "stars": lambda n: "ANN\n" + "*" * n + "\n",
    "stars and blanks": lambda n: "ANN\n" + fill("* ", n) + "\n",
    "stars and words": lambda n: "ANN\n" + fill("*a", n) + "\n",
    "stars and underlines": lambda n: "ANN\n" + fill("*_", n) + "\n",
    "stars and underlines and words": lambda n: "ANN\n" + fill("*a _b ", n) + "\n",
    "emphasis": lambda n: "ANN\n" + fill("*a* ", n) + "\n",
    "emphasis nested": lambda n: "ANN\n" + fill("*_a_* ", n) + "\n",
    "emphasis opened deep": lambda n: "ANN\n" + fill("*a _b ", n // 2) + fill("c_ d* ", n // 2) + "\n",
    "emphasis in runs": lambda n: "ANN\n" + "".join("*" * k + "a " for k in range(1, int((2 * n) ** 0.5))) + "\n",
    "backslashes": lambda n: "ANN\n" + "\\" * n + "\n",
    "parentheses open": lambda n: "ANN\n" + "(" * n + "\n",
    "parentheses open on lines": lambda n: "ANN\n" + "(\n" * (n // 2) + "\n",
    "parentheticals": lambda n: "ANN\n" + fill("(low)\nYes.\n", n),
    "parentheses in cues": lambda n: fill(f"ANN {'(' * 200}\nYes.\n\n", n),
    "parentheses closed in cues": lambda n: fill(f"ANN {'()' * 100}\nYes.\n\n", n),
    "a long cue": lambda n: "A" * n + "\nYes.\n\n",
    "a cue and blanks": lambda n: "ANN" + " " * n + "\nYes.\n\n",
    "a title page": lambda n: "Title: so\n" + fill("  so\n", n) + "\nANN\nYes.\n",
    "a title page of one line": lambda n: fill("a ", n) + "\nANN\nYes.\n",
    "a speech of many lines": lambda n: "ANN\n" + fill("so\n", n),
    "headings": lambda n: fill("INT. SHOP\n\n", n) + "ANN\nYes.\n",
    "holes": lambda n: "ANN\n" + fill("a [[b]] c ", n) + "\n",
}.items():
    fountain(_name, _made)

# ---- words, and what is shown


def text(name: str, made: Callable[[int], Any], *parsers: Callable[[Any], Any]) -> None:
    """What is made of a text by some functions."""
    for parser in parsers:

        def shape(size: int, _folder: Path, parser: Callable[[Any], Any] = parser) -> Parse:
            given = made(size)
            return lambda: parser(given)

        SHAPES[f"{parser.__name__}: {name}"] = shape


def differ_from_itself(said: str) -> Any:
    return diff_speech(said, said[::-1])


def closeness_to_itself(said: str) -> Any:
    return closeness(said, said[::-1])


def error_rate(said: str) -> Any:
    return word_error_rate(said, said[::-1])


def letters(said: str) -> Any:
    return letters_apart(said, said[::-1])


def diff(said: str) -> Any:
    return diff_words(said, said[::-1])


def phrase(said: str) -> Any:
    return holds(said, said[len(said) // 2 :])


def request(*, instructions: str = "", user: str = "", heard: tuple[Utterance, ...] = ()) -> SpeechRequest:
    return SpeechRequest(instructions=instructions, system=(), user=user, heard=heard, voice="ash")


def asked(given: str) -> Any:
    return plan_speech(request(instructions=given, user=f'Perform this line: "{given}"'))


def briefed(given: str) -> Any:
    return read_briefing((given,)), plan_speech(request(user=given))


def topical(given: str) -> Any:
    return improvise(request(heard=(Utterance(given, "ann"),)))


def search(name: str, pattern: str) -> None:
    """A regular expression in a long word; it may be given up."""

    def searched(given: str) -> Any:
        try:
            return is_found(pattern, given)
        except LimitReached:
            return None

    text(name, lambda n: "a" * n, searched)


TEXTS: dict[str, Callable[[int], str]] = {
    "words": lambda n: numbered("word{n} ", n),
    "few words": lambda n: fill("so it is ", n),
    "letters": lambda n: "a" * n,
    "moments": lambda n: fill("[laughs] ", n),
    "moments open": lambda n: "[" * n,
    "moments open, words": lambda n: fill("[so ", n),
    "stars": lambda n: "*" * n,
    "stars open": lambda n: fill("*so ", n),
    "hyphens": lambda n: "a" + "-" * n,
    "hyphens and words": lambda n: fill("a-", n),
    "dots": lambda n: "a" + "." * n + " a",
    "commas": lambda n: fill("1,000,", n),
    "blanks": lambda n: "a" + " " * n + "a",
    "marks": lambda n: "a" + "\u0301" * (n // 2),
    "ligatures": lambda n: "\ufdfa" * (n // 3),
    "Japanese": lambda n: "今" * (n // 3),
    "escapes": lambda n: "\x1b" * n,
    "joiners": lambda n: "\u200d" * (n // 3),
    "commands": lambda n: fill("::error::\n", n),
    "colons": lambda n: ":" * n,
    "number signs": lambda n: "#" * n,
    "commands of others": lambda n: fill("##vso[", n),
    "line breaks": lambda n: "\n" * n,
    "blanks and line breaks": lambda n: fill(" \n", n),
    "questions": lambda n: fill("Why? ", n),
    "colons and blanks": lambda n: "say" + fill(": ", n) + "x",
    "quotes": lambda n: 'say: "' + fill('" ', n) + "x",
    "names": lambda n: "You are a. With you play: " + numbered("a{n}, ", n),
    "selves": lambda n: numbered("You are a{n}. ", n // 2) + "With you play: " + numbered("b{n}, ", n // 2),
    "players and blanks": lambda n: "With you play: a" + " " * n + "b",
    "ands and blanks": lambda n: "With you play: a" + " " * n + ", b.",
    "players again": lambda n: fill("With you play: ", n),
    "fruit": lambda n: fill("apple pear ", n),
    "titles": lambda n: "With you play: " + fill("Dr. ", n),
}
for _name, _made in TEXTS.items():
    text(
        _name,
        _made,
        spoken_words,
        differ_from_itself,
        closeness_to_itself,
        error_rate,
        letters,
        diff,
        phrase,
        printable,
        one_line,
        hidden,
        printable_json,
        asked,
        briefed,
        topical,
    )
for _name, _pattern in {
    "a word": "lamps?",
    "repeated": "(a+)+$",
    "alternatives": "(a|aa)+$",
    "anything": ".*so.*it.*x",
}.items():
    search(_name, _pattern)

# ---- takes


def read(facts: list[record.Record]) -> Callable[[int, Path], Parse]:
    def shape(_size: int, folder: Path) -> Parse:
        journal = Journal(folder / "journal.jsonl")
        for fact in facts:
            journal.append(fact)
        journal.close()
        return lambda: fold(read_journal(folder / "journal.jsonl"))

    return shape


def journal(name: str, made: Callable[[int], list[record.Record]]) -> None:
    """A journal, and all that is made of the take that it tells of."""

    def reading(size: int, folder: Path) -> Parse:
        return read(made(size))(size, folder)

    SHAPES[f"journal: {name}"] = reading
    for writer in (render_vtt, render_srt, render_transcript, render_labels, render_sheet, tabulated, taken, score):

        def writing(size: int, folder: Path, writer: Callable[[Any], Any] = writer) -> Parse:
            take = read(made(size))(size, folder)()
            return lambda: writer(take)

        SHAPES[f"{writer.__name__}: {name}"] = writing


def taken(take: Take) -> Any:
    return Take.model_validate_json(take.model_dump_json())


def tabulated(take: Take) -> Any:
    return plain_text(tabulate_take(take))


def score(take: Take) -> Any:
    return silences(take.lines)


def lines_of(said: str, number: int) -> list[record.Record]:
    facts = [
        spoken(f"clerk-{n}", "clerk", 24_000, Usage(), number=n, offset_samples=24_000 * n, said=said, asked=said)
        for n in range(1, number + 1)
    ]
    return [BEGAN, *journal_of(*facts)[1:]]


journal("many lines", lambda n: lines_of("so", n // 600 + 1))
journal("one long line", lambda n: lines_of(fill("so ", n // 2), 1))
journal("one long word", lambda n: lines_of("a" * (n // 2), 1))
journal("marks", lambda n: lines_of("a" + "\u0301" * (n // 4), 1))
journal("full stops", lambda n: lines_of(fill(". ", n // 2), 1))
journal("moments open", lambda n: lines_of("[" * (n // 2), 1))
journal(
    "sounds and lines",
    lambda n: [
        *lines_of("so", n // 1200 + 1),
        *(
            record.SoundPlayed(
                sound=f"sfx-{k}",
                kind="sfx",
                source="a.wav",
                stem="sfx-a",
                gain_db=0.0,
                offset_samples=k,
                samples=1,
                sha256="0",
                hearers=(),
            )
            for k in range(n // 400)
        ),
    ],
)
journal("warnings", lambda n: [*lines_of("so", 1), *[record.Warned(text="so")] * (n // 60)])
journal(
    "dropped", lambda n: [*lines_of("so", n // 1200 + 1), *[record.LineDropped(line="x", problem="so")] * (n // 120)]
)


def damaged(size: int, folder: Path) -> Parse:
    file = folder / "journal.jsonl"
    file.write_bytes(b'{"type": "' + b"a" * size + b'"}\n')
    return lambda: read_journal(file)


SHAPES["journal: one long word for a record"] = damaged


def nested(size: int, folder: Path) -> Parse:
    file = folder / "journal.jsonl"
    file.write_bytes(b"[" * size + b"\n")
    return lambda: read_journal(file)


SHAPES["journal: brackets"] = nested

# ---- conversations


def frames(name: str, made: Callable[[int], list[dict[str, Any]]]) -> None:
    """Events of a server: struck, decoded and applied."""

    def shape(size: int, _folder: Path) -> Parse:
        sent = [to_json(event) for event in made(size)]

        def receive() -> None:
            striker, conversation = Striker(Secrets(["sk-0123456789abcdef"])), Conversation()
            for frame in sent:
                for kept in striker.strike(frame):
                    conversation.apply(decode(kept))

        return receive

    SHAPES[f"wire: {name}"] = shape


RESPONSE = {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}
DELTA = {
    "type": "response.output_audio_transcript.delta",
    "response_id": "r",
    "item_id": "i",
    "output_index": 0,
    "content_index": 0,
}
frames("deltas of words", lambda n: [RESPONSE, *[DELTA | {"delta": "so "}] * (n // 150)])
frames("deltas of a key that may have begun", lambda n: [RESPONSE, *[DELTA | {"delta": "sk-01234"}] * (n // 150)])
frames("deltas of backslashes", lambda n: [RESPONSE, *[DELTA | {"delta": "\\"}] * (n // 150)])
frames("one delta", lambda n: [RESPONSE, DELTA | {"delta": "so " * (n // 3)}])
frames("one delta of backslashes", lambda n: [RESPONSE, DELTA | {"delta": "\\" * n}])
frames("one delta of per cents", lambda n: [RESPONSE, DELTA | {"delta": "%" * n}])
frames("one delta of the beginning of a key", lambda n: [RESPONSE, DELTA | {"delta": "sk-0123456789abcde" * (n // 18)}])
frames(
    "deltas of many items",
    lambda n: [RESPONSE, *[DELTA | {"item_id": f"i{k}", "delta": "sk-"} for k in range(n // 150)]],
)
frames(
    "items",
    lambda n: [
        {"type": "conversation.item.added", "item": {"id": f"i{k}", "type": "message", "role": "user", "content": []}}
        for k in range(n // 120)
    ],
)
frames(
    "responses",
    lambda n: [
        event
        for k in range(n // 220)
        for event in (
            {"type": "response.created", "response": {"id": f"r{k}", "status": "in_progress", "output": []}},
            {"type": "response.done", "response": {"id": f"r{k}", "status": "completed", "output": []}},
        )
    ],
)
frames("errors", lambda n: [{"type": "error", "error": {"message": "so"}}] * (n // 60))
frames("unknown events", lambda n: [{"type": f"new.{k}", "a": 1} for k in range(n // 30)])
frames("an unknown event of brackets", lambda n: [{"type": "new", "a": [[]] * (n // 4)}])
frames(
    "rate limits", lambda n: [{"type": "rate_limits.updated", "rate_limits": [{"name": "a", "limit": 1}] * (n // 30)}]
)
frames("wrong fields", lambda n: [{"type": "response.done", "response": {f"k{k}": [k] for k in range(n // 14)}}])
frames(
    "a session of many keys", lambda n: [{"type": "session.created", "session": {f"k{k}": [k] for k in range(n // 14)}}]
)


def struck(given: str) -> Any:
    secrets = Secrets(["sk-0123456789abcdef", "another-key-of-ours"])
    return secrets.strike(given), secrets.strike_bytes(given.encode()), secrets.begun(given)


def addressed(given: str) -> Any:
    return redact_url(f"wss://host/v1?{given}"), redact_url(f"wss://{given}")


def redacted(given: str) -> Any:
    return Redactor("clerk", ["sk-0123456789abcdef"]).redact_received({"type": "error", "error": {"why": given}})


def redacted_ids(given: str) -> Any:
    redactor = Redactor("clerk")
    for number in range(len(given) // 60):
        redactor.redact_received({"type": "x", "item_id": f"item_{number}abcdef", "note": "see item_0abcdef"})


def parsed_event(given: str) -> Any:
    return parse(to_json({"type": "conversation.item.create", "item": {"type": given}}))


for _name, _made in {
    "backslashes": lambda n: "\\" * n,
    "a key again and again": lambda n: fill("sk-0123456789abcdef", n),
    "a key begun again and again": lambda n: fill("sk-0123456789abcde", n),
    "s": lambda n: "s" * n,
    "s and backslashes": lambda n: fill("s\\", n),
    "ids": lambda n: numbered("item_{n}abcd ", n),
    "parameters": lambda n: numbered("key{n}=1&", n),
    "at signs": lambda n: "@" * n,
}.items():
    text(_name, _made, struck, addressed, redacted, redacted_ids, parsed_event)


def cassette(name: str, made: Callable[[int], list[dict[str, Any]]]) -> None:
    def shape(size: int, folder: Path) -> Parse:
        entries = [CassetteEvent(k, k, "clerk", 1, "told", event) for k, event in enumerate(made(size), 1)]
        count, digest = write_events(folder, "clerk.jsonl", entries)
        track = PlayerTrack(file="clerk.jsonl", endpoint="openai", dialect="ga", events=count, sha256=digest)
        manifest = Manifest(tau_stage="0", title="a", slug="a", players={"clerk": track}, lines={})
        (folder / MANIFEST).write_text(format_manifest(manifest), "utf-8")
        return lambda: (load_cassette(folder), load_cassette(folder).wanted_clips)

    SHAPES[f"cassette: {name}"] = shape


cassette("deltas", lambda n: [DELTA | {"delta": "so "}] * (n // 20))
cassette("events", lambda n: [{"type": f"new.{k}", "a": 1} for k in range(n // 60)])
cassette("one long event", lambda n: [{"type": "new", "a": "so " * (n // 3)}])


def manifest(name: str, made: Callable[[int], bytes]) -> None:
    def shape(size: int, folder: Path) -> Parse:
        (folder / "cassette.json").write_bytes(made(size))
        return lambda: load_cassette(folder)

    SHAPES[f"manifest: {name}"] = shape


manifest("brackets", lambda n: b"[" * n)
manifest("keys", lambda n: to_json({f"k{k}": 1 for k in range(n // 12)}))
manifest("players", lambda n: to_json({"cassette": 1, "players": {f"k{k}": 1 for k in range(n // 12)}}))


def snapshot(name: str, made: Callable[[int], str]) -> None:
    def shape(size: int, _folder: Path) -> Parse:
        given = made(size)
        return lambda: parse_snapshot(given, Path("x.json"))

    SHAPES[f"snapshot: {name}"] = shape


snapshot("brackets", lambda n: "[" * n)
snapshot("keys", lambda n: json.dumps({f"k{k}": 1 for k in range(n // 12)}))
snapshot("lines", lambda n: json.dumps({"version": 1, "lines": {f"k{k}": {} for k in range(n // 12)}}))
snapshot("digits", lambda n: "1" * n)


def results(size: int, _folder: Path) -> Parse:
    rows = tuple(Row(f"line {n}", 1.0, 1, (), 1, 1, 1) for n in range(size // 60))
    return lambda: as_junit([Result("a.yaml", rows=rows)] * 3)


SHAPES["JUnit: many lines"] = results


# ---- tables of lines


def table(name: str, file: str, made: Callable[[int], str]) -> None:
    """A table of lines, read; where it is sound, its scenes are made and planned."""

    def shape(size: int, folder: Path) -> Parse:
        path = folder / file
        path.write_text(made(size), encoding="utf-8")
        cast = parse_scene(PLAYERS + "lines: [ann: Yes.]\n", str(folder / "cast.yaml"))
        return lambda: [make_plan(each) for each in scenes_of_table(read_table(str(path)), cast)]

    SHAPES[f"table: {name}"] = shape


CSV = "id,player,words,scene\n"
TAB = "Identifier\tCharacter\tDialogue\tFilename\tLine Number\n"
YARN = "language,id,text,file,node,lineNumber\n"
CUE = "{n}\n00:00:01,000 --> 00:00:02,000\n"

table("many lines", "a.csv", lambda n: CSV + numbered("k{n},ANN,Yes.,s\n", n))
table("many scenes", "a.csv", lambda n: CSV + numbered("k{n},ann,Yes.,s{n}\n", n))
table("strangers", "a.csv", lambda n: CSV + numbered("k{n},q{n},Yes.,s\n", n))
table("one id for all", "a.csv", lambda n: CSV + fill("k,ann,Yes.,s\n", n))
table("wrong ids", "a.csv", lambda n: CSV + numbered("k/{n},ann,Yes.,s\n", n))
table("no header", "a.csv", lambda n: fill("a,b,c\n", n))
table("a quote that is never closed", "a.csv", lambda n: CSV + 'k,ann,"' + fill('""x', n))
table("quotes closed too early", "a.csv", lambda n: CSV + fill('k,ann,"Yes" no,s\n', n))
table("a long cell", "a.csv", lambda n: CSV + f"k,ann,{fill('so ', min(n, 130_000))},s\n")
table("tags of Yarn", "a.csv", lambda n: YARN + f"en,line:1,ann: {fill('[a', min(n, 130_000))},f,n,1\n")
table("escapes of Yarn", "a.csv", lambda n: YARN + "en,line:1," + "\\" * min(n, 130_000) + ",f,n,1\n")
table("tags of Ren'Py", "a.tab", lambda n: TAB + f"k\tann\t{fill('{rt}', min(n, 130_000))}x\tf\t1\n")
table("a transcript", "a.txt", lambda n: fill("ANN: Yes.\n", n))
table("a transcript of strangers", "a.txt", lambda n: numbered("Q{n}: Yes.\n", n))
table("subtitles", "a.srt", lambda n: numbered(CUE + "ANN: Yes.\n\n", n))
table("tags of captions", "a.vtt", lambda n: "WEBVTT\n\n00:01.000 --> 00:02.000\n" + fill("<v ann>", n))
table("translations", "a.po", lambda n: numbered('msgctxt "k{n}"\nmsgid "Yes."\nmsgstr "Ja."\n\n', n))
table("a structure", "a.json", lambda n: f"[{numbered(BEAT, n)}0]")
