"""The traps YAML sets for dialogue: values it takes for something else, each told with the line as it should be.

A trap that YAML itself trips over comes here as its error; one it accepts in silence is found by ``text``.
"""

import re
from typing import Any

from yaml import MarkedYAMLError

from tau_stage.errors import SceneError
from tau_stage.scene.source import Place, Source

MEANINGS = {
    "*": "an alias",
    "&": "an anchor",
    "!": "a tag",
    "[": "a list",
    "{": "a mapping",
    '"': "a quoted text, which ends at the next quote",
    "'": "a quoted text, which ends at the next apostrophe",
    "@": "a reserved sign",
    "`": "a reserved sign",
    "%": "a directive",
    "|": "a block of text",
    ">": "a folded block of text",
    "-": "a list item",
    "?": "a key of several lines",
    ",": "a comma of a list",
    "]": "the end of a list",
    "}": "the end of a mapping",
}
"""What YAML takes a value for that starts with a sign."""

LONGEST_CORRECTION = 400

_SCANNED = re.compile(r"while scanning an? (alias|anchor|tag|block scalar|quoted scalar)")
_COMMENT = re.compile(r"\s{2,}#|\s#\s")
_CUT = re.compile(r" #\w")
_FLOW_EXPECTED = re.compile(r"(hears|to|limits|prompt|players)\s*:\s*$|[\[{]")
_GLUED_COLON = re.compile(r"\s*(?:- +)?[\w.-]+:[^\s:/]")


def place_of(mark: Any) -> Place:
    """A mark of YAML's, counted from 1."""
    return Place(mark.line + 1, mark.column + 1)


def quoted(text: str) -> str:
    r"""A text in the quotes that disturb it least.

    >>> print(quoted("*Today*"), quoted('"Hi" he said'), quoted("\"I'm\" he said"))
    "*Today*" '"Hi" he said' "\"I'm\" he said"
    """
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def corrected(line: str, column: int) -> str:
    """A hint that shows a line with its value, which starts at a column, in quotes."""
    head, value = line[: column - 1], line[column - 1 :]
    comment = _COMMENT.search(value)
    end = comment.start() if comment else len(value)
    value, rest = value[:end].rstrip(), value[end:]
    fixed = f"{head}{quoted(value)}{rest}"
    return f"put the text in quotes:\n  {fixed}" if len(fixed) <= LONGEST_CORRECTION else "put the text in quotes"


def trapped(source: Source, place: Place) -> SceneError:
    """The error for a value at a place that starts with a sign of YAML's."""
    line = source.line(place.line)
    sign = line[place.column - 1 : place.column]
    meaning = MEANINGS.get(sign, "something other than text")
    problem = f"YAML takes a value that starts with {sign} for {meaning}"
    return source.error(place, problem, corrected(line, place.column))


def cut(source: Source, start: Place, end: Place) -> SceneError | None:
    """The error for unquoted text that a comment cuts, where a word is glued to its ``#``."""
    line = source.line(end.line)
    if not _CUT.match(line, end.column - 1):
        return None
    hint = "put the whole text in quotes"
    if start.line == end.line:
        hint = corrected(line, start.column + (start == end))
    hint += "\n  (a comment has a space after its #)"
    return source.error(Place(end.line, end.column + 1), "YAML cuts this text at ' #'", hint)


def explained(source: Source, error: MarkedYAMLError, before: tuple[Place, Place] | None) -> SceneError:
    """What an error of YAML's means to somebody who writes dialogue.

    Args:
        source: The file.
        error: What the parser said.
        before: Where the text, list or mapping begins and ends that the parser had just read.
    """
    mark = error.problem_mark or error.context_mark
    at = place_of(mark) if mark else Place(1, 1)
    begun = place_of(error.context_mark) if error.context_mark else at
    problem, context, line = error.problem or "", error.context or "", source.line(at.line)
    if "\t" in line[: len(line) - len(line.lstrip())] or line[at.column - 1 : at.column] == "\t":
        return source.error(at, "a tab stands where YAML wants spaces", "replace the tab with spaces")
    if "escape" in problem:
        hint = "inside double quotes a backslash is written twice; inside single quotes it is an ordinary sign"
        return source.error(at, "this backslash means nothing to YAML", hint)
    if _SCANNED.match(context):
        return trapped(source, begun)
    if "mapping values" in problem:
        return _second_colon(source, at, before)
    if "flow" in context:
        return _open_bracket(source, begun)
    if line[at.column - 1 : at.column] in MEANINGS and line[: at.column - 1].rstrip().endswith((":", "-")):
        return trapped(source, at)
    if before and before[1].line == at.line and not line[before[1].column - 1 : at.column - 1].strip():
        return trapped(source, before[0])
    return _broken(source, at, begun, context, problem)


def _second_colon(source: Source, at: Place, before: tuple[Place, Place] | None) -> SceneError:
    if before and before[0].line == at.line:
        hint = corrected(source.line(at.line), before[0].column)
        return source.error(at, "YAML takes the text before this ': ' for a key", hint)
    line = source.line(at.line)
    first = Place(at.line, len(line) - len(line.lstrip()) + 1)
    hint = "give it the indentation of its neighbours; put text of several lines in quotes or under '|'"
    return source.error(first, "YAML takes this for more of the text above, as it is indented deeper", hint)


def _open_bracket(source: Source, begun: Place) -> SceneError:
    line = source.line(begun.line)
    if not _FLOW_EXPECTED.search(line[: begun.column - 1]):
        return trapped(source, begun)
    return source.error(begun, f"this {line[begun.column - 1]} is never closed", "close it on the same line")


def _broken(source: Source, at: Place, begun: Place, context: str, problem: str) -> SceneError:
    line = source.line(begun.line)
    if "simple key" in context:
        if comment := _CUT.search(line):
            at = Place(begun.line, comment.start() + 2)
            return source.error(at, "YAML cuts this line at ' #'", "put the text in quotes")
        hint = "a line is '- player: words'"
        if _GLUED_COLON.match(line):
            hint = "put a space after the colon"
        return source.error(begun, "this is neither 'key: value' nor more of the text above", hint)
    if "block" in context:
        hint = "neighbours stand at the same indentation; each line of the scene starts with '- '"
        return source.error(at, "YAML expected another key or list item here", hint)
    return source.error(at, f"this is not YAML: {problem}", "put the text in quotes")
