"""The traps YAML sets for dialogue: values it takes for something else, each shown with the line as it should be.

``yaml_text`` finds a trap that YAML accepts in silence. Signs that only look like YAML's (dashes, bullets, no-break
spaces, full-width colons) are sought only where a line made no sense, as YAML takes them for text.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from yaml import MarkedYAMLError

from tau_stage.errors import SceneError
from tau_stage.scene.model import LINE_OPTIONS, RESERVED
from tau_stage.scene.names import HINTS
from tau_stage.scene.source import Position, Source

SPACES = "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000"
BULLETS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2022\u00b7\u25cf\u25aa"
COLONS = "\uff1a\ufe55"
FULL_WIDTH = {"\uff0c": ",", "\u3001": ",", "\uff5d": "}", "\uff3d": "]"}
_OWN = {
    **dict.fromkeys(SPACES, "a space"),
    **dict.fromkeys(BULLETS, "'-'"),
    **dict.fromkeys(COLONS, "':'"),
    **{sign: f"'{own}'" for sign, own in FULL_WIDTH.items()},
}
"""Signs that look like YAML's, and YAML's own."""

_LINE = re.compile(
    rf"(?P<indent>[ {SPACES}]*)(?:(?P<bullet>[-{BULLETS}]|[*](?= )|\d{{1,3}}[.)](?= ))(?P<gap>[ {SPACES}]*))?"
    rf"(?P<key>[^\s:{COLONS}\-\[\]{{}}\"'#][^:{COLONS}\n]{{0,80}}?)(?P<colon>[:{COLONS}])"
    rf"(?P<after>[ {SPACES}]*)(?P<rest>.*)"
)
_SPACES, _LOOKALIKES = re.compile(f"[{SPACES}]"), re.compile(f"[{SPACES}{BULLETS}{COLONS}]")
_EMPHASIZED = re.compile(r"(?P<head> *- )[*_]+(?P<name>[^*:]+?)(?:[*_]+:|:[*_]+) +(?P<words>.*)")


def misread(source: Source, number: int) -> SceneError | None:
    """Return the error for a line of a source in which a sign only looks like one of YAML's, or a space is missing."""
    line = source.line(number)
    if name := _EMPHASIZED.fullmatch(line):
        hint = f"write it like this:\n  {name['head']}{name['name']}: {name['words']}"
        return source.error(Position(number, name.end("head") + 1), "a player's name must not be in asterisks", hint)
    parts = _LINE.fullmatch(line)
    if not parts or parts["rest"].startswith("//"):
        return None
    dash = f"-{parts['gap'] or ' '}" if parts["bullet"] else ""
    head = _SPACES.sub(" ", f"{parts['indent']}{dash}{parts['key']}:")
    mended = f"{head} {parts['rest']}".rstrip(" ")
    if re.sub(" +", " ", mended.strip(" ")) == re.sub(" +", " ", line.strip(" ")):
        return None
    column, problem = _odd_entry(line, parts)
    return source.error(Position(number, column + 1), problem, f"write it like this:\n  {mended}")


def _odd_entry(line: str, parts: re.Match[str]) -> tuple[int, str]:
    """Tell where in a line the first sign is that YAML takes for another, and what is wrong with it."""
    bullet = parts["bullet"] or "-"
    if bullet not in f"-{BULLETS}":
        return parts.start("bullet"), f"a line starts with '- ', not with '{bullet}'"
    if found := _LOOKALIKES.search(line, 0, parts.start("rest")):
        return found.start(), _unlike(found[0])
    missing = "bullet" if parts["bullet"] and not parts["gap"] else "colon"
    return parts.end(missing), "YAML needs a space here"


def lookalike_sign(source: Source, place: Position) -> SceneError | None:
    """Return the error for a place in brackets where a sign of full width stands for one of YAML's."""
    line = source.line(place.line)
    sign = line[place.column - 1 : place.column]
    if sign not in FULL_WIDTH:
        return None
    mended = "".join(FULL_WIDTH.get(other, other) for other in line)
    mended = re.sub(r",(?=\S)", ", ", mended)
    return source.error(place, _unlike(sign), f"write it like this:\n  {mended}")


def _unlike(sign: str) -> str:
    return f"YAML does not read {unicodedata.name(sign)} (U+{ord(sign):04X}) as {_OWN[sign]}"


MEANINGS: Mapping[str, str] = HINTS["signs"]  # what YAML takes a value for that starts with a sign

LONGEST_CORRECTION = 400

DEEPEST = 50  # how deep a scene may be nested

_SCANNED = re.compile(r"while scanning an? (alias|anchor|tag|block scalar|quoted scalar)")
_COMMENT = re.compile(r"(?<!\s)\s{2,}#|\s#\s")
_CUT = re.compile(r" #\w")
# Text that stands for itself as a key or a value: no sign of YAML's first, no ': ' and no ' #' within.
_PLAIN = re.compile(r"""[^\s\-?:,\[\]{}#&*!|>'"%@`](?:[^:#]|:(?![ \t]|$)|(?<![ \t])#)*""")
_BEFORE_VALUE = re.compile(r"(?:(?:^|\s)-|:)\s*$")
_PROPERTIES = re.compile(r"(?<=\s)(?:[!&]\S*\s+)+$")
_SLASHES = re.compile(r"(?<=[\s,{\[])//(?=\s)")
_FLOW = re.compile(r"[\[{][^\]}]*$")


@dataclass(slots=True)
class ParserState:
    """How far the parser had come."""

    before: tuple[Position, Position] | None = None  # where the text, list or mapping is that it had just read
    brackets: list[Position] = field(default_factory=list)  # where those in brackets begin that are still open
    words: Position | None = None  # where the outermost of these begins, if it stands where words belong


def place_of(mark: Any) -> Position:
    """Convert a mark of YAML's, counted from 1; none is at the beginning."""
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


def quoted(text: str) -> str:
    """Quote a text with the quotes that disturb it least."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def yaml_scalar(text: str) -> str:
    """Write a text of one line as a key or a value in block style: in quotes only where YAML needs them."""
    return text if _PLAIN.fullmatch(text) and text == text.strip() else quoted(text)


def in_brackets(text: str) -> str:
    """Write a text of one line as a value in a mapping in brackets."""
    return quoted(text) if set(text) & set(",[]{}") else yaml_scalar(text)


_LISTS = ("lines", "on")
_MAPPINGS = ("players", "vars", "matrix", "tools", "limits", "deliver", "expect")
_OPENS = re.compile(rf"(?P<indent> *)(?P<key>{'|'.join((*_LISTS, *_MAPPINGS))}): +")


def _below(line: str, column: int) -> str | None:
    """Make a hint that shows the value of a list or mapping, which starts at a column, under its key; else None."""
    head = _OPENS.fullmatch(line[: column - 1])
    if head is None:
        return None
    value = line[column - 1 :]
    dash = "- " if head["key"] in _LISTS and not value.startswith("- ") else ""
    shown = f"{head['indent']}{head['key']}:\n  {head['indent']}  {dash}{value}"
    return _mended(shown, "write it under its key")


MOST_SHOWN = 12  # lines of a hint that shows several


def with_dashes(source: Source, first: Position, hint: str) -> str:
    """Show, behind a hint, the entries that begin at a place as the steps of a list; of very many, the first one."""
    own = first.column - 1
    if source.line(first.line)[:own].strip():
        return hint
    shown: list[str] = []
    for line in source.lines[first.line - 1 :]:
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and indent < own:
            break
        key = line.partition(":")[0].strip()
        is_step = indent == own and not key.startswith("#") and key not in LINE_OPTIONS
        shown.append(f"{' ' * own}{'- ' if is_step else '  '}{line[own:]}".rstrip())
    mended = "\n".join(shown).rstrip().split("\n")
    return f"{hint}:\n  " + "\n  ".join(mended if len(mended) <= MOST_SHOWN else mended[:1])


def quote_hint(line: str, column: int) -> str:
    """Make a hint that shows a line with its value, which starts at a column, in quotes."""
    head, value = line[: column - 1], line[column - 1 :]
    comment = _COMMENT.search(value)
    end = comment.start() if comment else len(value)
    value, rest = value[:end].rstrip(), value[end:]
    fixed = f"{head}{quoted(value)}{rest}"
    return _mended(fixed, "put the text in quotes")


def comma_hint(line: str, column: int, end: int) -> str:
    r"""Make a hint that shows a line with the text between two columns, which has a comma, in quotes.

    >>> comma_hint("ann: {persona: old, tired}", 16, 26)
    'put text that contains a comma in quotes:\n  ann: {persona: "old, tired"}'
    """
    fixed = f"{line[: column - 1]}{quoted(line[column - 1 : end - 1])}{line[end - 1 :]}"
    return _mended(fixed, "put text that contains a comma in quotes")


def close_quote(line: str, column: int) -> str | None:
    """Close the quote of a line that opens at a column; None where it is closed there, or cannot simply be."""
    sign, value = line[column - 1 : column], line[column:]
    if sign not in ("'", '"') or sign in value or "\\" in value or len(line) > LONGEST_CORRECTION:
        return None
    comment = _COMMENT.search(value)
    end = re.search(r"\s*[\]},]", value) if _FLOW.search(line[: column - 1]) else None
    cut = next((found.start() for found in (comment, end) if found), len(value.rstrip()))
    return f"{line[: column - 1]}{sign}{value[:cut]}{sign}{value[cut:]}".rstrip()


def unclosed_quote(source: Source, place: Position) -> SceneError | None:
    """Make the error for a quote that is not closed on its line; None where it is."""
    line = source.line(place.line)
    mended = close_quote(line, place.column)
    if mended is None:
        return None
    sign = line[place.column - 1]
    hint = f"close the quote:\n  {mended}"
    if sign == "'":  # it may be one of 'tis
        hint += f"\n  or, if it is an apostrophe, {quote_hint(line, place.column)}"
    return source.error(place, f"this {sign} is not closed on its line", hint)


def trap(source: Source, place: Position, progress: ParserState) -> SceneError:
    """Make the error for a value at a place that starts with a sign of YAML's.

    Within brackets where words belong it is the bracket that should not be one; within others, the end of the value is
    not known, so that no corrected line is shown.
    """
    place = progress.words or place
    if error := unclosed_quote(source, place):
        return error
    if properties := _PROPERTIES.search(source.line(place.line)[: place.column - 1]):
        place = Position(place.line, properties.start() + 1)
    alone = not progress.brackets or progress.brackets[0] == progress.words
    sign, line = _sign(source, place), source.line(place.line)
    hint = quote_hint(line, place.column) if alone else "put the text in quotes"
    hint = (_below(line, place.column) if sign == "-" else None) or hint
    meaning = MEANINGS.get(sign, "something other than text")
    return source.error(place, f"YAML reads a value that starts with {sign} as {meaning}", hint)


def _sign(source: Source, place: Position) -> str:
    return source.line(place.line)[place.column - 1 : place.column]


def cut(source: Source, start: Position, end: Position) -> SceneError | None:
    """Make the error for unquoted text that a comment cuts, where a word is glued to its ``#``."""
    line = source.line(end.line)
    if not _CUT.match(line, end.column - 1):
        return None
    hint = "put the whole text in quotes"
    if start.line == end.line:
        hint = quote_hint(line, start.column + (start == end))
    hint += "\n  (a comment needs a space after the #)"
    return source.error(Position(end.line, end.column + 1), "YAML cuts off this text at ' #'", hint)


def explain(source: Source, error: MarkedYAMLError, progress: ParserState) -> SceneError:
    """Explain what an error of YAML's means to somebody who writes dialogue."""
    at = place_of(error.problem_mark or error.context_mark)
    begun = place_of(error.context_mark or error.problem_mark)
    problem, context = error.problem or "", error.context or ""
    if "nesting depth" in problem:
        return source.error(
            _deepest(source), f"nested more than {DEEPEST} levels deep", "a scene needs only four levels"
        )
    if progress.words:
        return trap(source, at, progress)
    return (
        misread(source, at.line)
        or misread(source, begun.line)
        or _odd_sign(source, at, problem)
        or _trapped_value(source, at, begun, context, problem, progress)
        or _broken(source, at, begun, context, problem)
    )


def _odd_sign(source: Source, at: Position, problem: str) -> SceneError | None:
    """Make the error for a tab, a fence or a backslash, which mean something elsewhere; None where there is none."""
    line = source.line(at.line)
    if "\t" in line[: len(line) - len(line.lstrip())] or _sign(source, at) == "\t":
        hint = _mended(line.replace("\t", "  "), "replace the tab with spaces")
        return source.error(at, "there is a tab where YAML needs spaces", hint)
    if line.startswith("```"):
        return source.error(
            at, "this is a Markdown code fence, which does not belong in a scene", "remove the lines with ```"
        )
    if "escape" in problem or "hexdecimal" in problem:  # libyaml spells it so
        hint = "in double quotes, write the backslash twice; in single quotes, write it once"
        return source.error(
            at, "this backslash is not a valid escape in YAML", _mended(line.replace("\\", "\\\\"), hint)
        )
    return None


def _trapped_value(
    source: Source, at: Position, begun: Position, context: str, problem: str, progress: ParserState
) -> SceneError | None:
    """Make the error for a value whose signs YAML takes for its own; None where none is to blame."""
    before = progress.before
    if _SCANNED.match(context):
        return trap(source, before[0] if _adjoins(before, source, begun) else begun, progress)
    if progress.brackets:
        return _in_brackets(source, at, progress.brackets[-1])
    if "mapping values" in problem:
        return _second_colon(source, at, before)
    if _sign(source, at) in MEANINGS and _BEFORE_VALUE.search(source.line(at.line)[: at.column - 1]):
        return trap(source, at, progress)
    if not _adjoins(before, source, at):
        return None
    if _sign(source, before[0]) in ("|", ">") and before[0].line < at.line:
        hint = "indent every line of a text block at least as far as its first line"
        return source.error(at, "YAML reads this as the end of the text block above", hint)
    return trap(source, before[0], progress)


def _mended(line: str, hint: str) -> str:
    """Return a hint, with a line as it should be, unless that is very long."""
    return f"{hint}:\n  {line}" if len(line) <= LONGEST_CORRECTION else hint


def _deepest(source: Source) -> Position:
    """Tell where brackets are first nested deeper than a scene may be; libyaml tells only where its own limit is."""
    depth = 0
    for number, line in enumerate(source.text.split("\n"), 1):
        for column, sign in enumerate(line, 1):
            depth += (sign in "[{") - (sign in "]}")
            if depth == DEEPEST:
                return Position(number, column)
    return Position(1, 1)


def _adjoins(
    before: tuple[Position, Position] | None, source: Source, at: Position
) -> TypeGuard[tuple[Position, Position]]:
    """Tell whether what was read before ends at a place, or with nothing but spaces before it."""
    if before is None or before[1].line != at.line:
        return False
    return not source.line(at.line)[before[1].column - 1 : at.column - 1].strip()


def _open_above(source: Source, number: int) -> list[tuple[int, bool]]:
    """Return the columns at which something above a line is still open, and whether each is an item's."""
    open_at: list[tuple[int, bool]] = []
    for above in source.lines[: number - 1]:
        text = above.lstrip(" ")
        indent = len(above) - len(text)
        if text.strip() and not text.startswith("#"):
            open_at = [(at, item) for at, item in open_at if at < indent or (at, item) == (indent, False)]
            if text.startswith("- "):
                open_at.append((indent, True))
                indent = len(above) - len(text[2:].lstrip(" "))
            open_at.append((indent, False))
    return open_at


def _indent(source: Source, number: int, otherwise: str) -> str:
    """Make a hint that shows a line indented as the nearest of those above that it could stand beside."""
    line, open_at = source.line(number), _open_above(source, number)
    body = line.lstrip(" ")
    own, is_item = len(line) - len(body), body.startswith("- ")
    fits = [column for column, item in open_at if item == is_item and column != own]
    if not fits or ": " not in f"{body} " or len(line) > LONGEST_CORRECTION:
        return otherwise
    column = min(fits, key=lambda column: (abs(column - own), -column))
    dashes = [dash for dash, item in open_at if item and dash < column]
    is_step = not is_item and (column, False) == open_at[-1] and body.partition(":")[0] not in RESERVED
    shown = f"{' ' * dashes[-1]}- {body}" if is_step and dashes else f"{' ' * column}{body}"
    return f"{otherwise}:\n  {shown}"


def _second_colon(source: Source, at: Position, before: tuple[Position, Position] | None) -> SceneError:
    if before and before[0].line == at.line:
        line = source.line(at.line)
        hint = _below(line, before[0].column) or quote_hint(line, before[0].column)
        if line.startswith("script:"):
            hint = f"write it under its key:\n  script: |\n    {line[before[0].column - 1 :]}"
        return source.error(at, "YAML reads the text before this ': ' as a key", hint)
    line = source.line(at.line)
    first = Position(at.line, len(line) - len(line.lstrip()) + 1)
    if odd := _no_entry(source, first):
        return odd
    hint = _indent(source, first.line, "indent it to match the lines around it")
    hint += "\n  (put multi-line text in quotes, or under '|')"
    return source.error(first, "YAML reads this as part of the text above, because it is indented more", hint)


def _no_entry(source: Source, below: Position) -> SceneError | None:
    """Make the error for a line that is no ``key: value`` and swallows the one below; None where that is deeper."""
    numbers = range(below.line - 1, 0, -1)
    number = next((each for each in numbers if source.line(each).strip() and source.line(each).lstrip()[0] != "#"), 0)
    line = source.line(number) if number else ""
    indent = len(line) - len(line.lstrip())
    deeper = not line or indent + 1 < below.column
    if deeper and not line.rstrip().endswith(tuple(COLONS)):
        return None
    if (odd := misread(source, number)) or deeper:
        return odd
    hint = "write 'key: value'"
    if line.lstrip().startswith("//"):
        hint = f"start a comment with '# ':\n  {' ' * indent}# {line.lstrip(' /')}"
    return source.error(Position(number, indent + 1), "this is neither 'key: value' nor a comment", hint)


def _in_brackets(source: Source, at: Position, bracket: Position) -> SceneError:
    sign = _sign(source, bracket)
    if odd := lookalike_sign(source, at):
        return odd
    for number in range(bracket.line, at.line + 1):
        if slashes := _SLASHES.search(source.line(number)):
            place = Position(number, slashes.start() + 1)
            mended = _mended(_SLASHES.sub("#", source.line(number), count=1), "start a comment with '# '")
            return source.error(place, "YAML does not read // as a comment", mended)
    if at.line > bracket.line:
        return source.error(bracket, f"this {sign} is never closed", "close it on the same line")
    return source.error(at, f"YAML expected a comma or the closing bracket for {sign}", "put the text in quotes")


def _broken(source: Source, at: Position, begun: Position, context: str, problem: str) -> SceneError:
    line = source.line(begun.line)
    if "simple key" in context:
        if comment := _CUT.search(line):
            at = Position(begun.line, comment.start() + 2)
            return source.error(at, "YAML cuts off this line at ' #'", "put the text in quotes")
        hint = "write a line as '- player: words'"
        above = source.line(begun.line - 1).rstrip()
        if above.endswith((": |", ": >")):
            deeper = " " * (len(above) - len(above.lstrip(" -")) + 2)
            hint = _mended(deeper + line.lstrip(), "indent the text more than its key")
        return source.error(begun, "this is neither 'key: value' nor a continuation of the text above", hint)
    if "block" in context:
        hint = _indent(
            source, at.line, "indent it to match the lines around it; each line of the scene starts with '- '"
        )
        return source.error(at, "the indentation of this line does not match any line above it", hint)
    return source.error(at, f"this is not valid YAML: {problem}", "put the text in quotes")
