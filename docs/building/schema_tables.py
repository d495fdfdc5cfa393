"""Tables of all keys of a JSON schema, as Markdown: what a key means, what it holds, and what holds without it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
DEFAULT = re.compile(r" ?\bDefault: (?P<value>.+?)\.(?= |$)")
PLAIN = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true`, `false`",
    "null": "nothing",
}
SCALAR = {"string", "number", "boolean", "null"}


def key_tables(schema: Schema, top: str) -> str:
    """Make a section for the whole, and one for each mapping that it is made of, in the order in which they are named.

    >>> print(key_tables({"description": "A lamp.", "properties": {"on": {"type": "boolean"}}}, "Lamp"))
    ## Lamp
    <BLANKLINE>
    A lamp.
    <BLANKLINE>
    | key | meaning | contents | default |
    |---|---|---|---|
    | `on` |  | `true`, `false` |  |
    <BLANKLINE>
    """
    parts = schema.get("$defs", {})
    names = [*dict.fromkeys(_names_in(schema, parts))]
    return "\n".join(_section(part, title) for part, title in [(schema, top), *((parts[name], name) for name in names)])


def _names_in(node: object, parts: Mapping[str, Schema], found: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the parts that a schema refers to, and those that they refer to."""
    if isinstance(node, list):
        for inner in node:
            yield from _names_in(inner, parts, found)
    elif isinstance(node, Mapping):
        if (name := _name(node)) and name not in found:
            yield name
            yield from _names_in(parts[name], parts, found | {name})
        for key, inner in node.items():
            if key != "$defs":
                yield from _names_in(inner, parts, found)


def _name(node: Schema) -> str:
    return str(node.get("$ref", "")).removeprefix("#/$defs/")


def heading(name: str) -> str:
    """Return the heading of a part: its name in words.

    >>> heading("ToolDefinition"), heading("Improvisation")
    ('Tool definition', 'Improvisation')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def anchor(name: str) -> str:
    """Return where a part is found on its page."""
    return heading(name).lower().replace(" ", "-")


def _section(part: Schema, name: str) -> str:
    lines = [f"## {heading(name)}", "", as_text(part.get("description", "")), ""]
    lines += ["| key | meaning | contents | default |", "|---|---|---|---|"]
    lines += [_row(key, value) for key, value in part.get("properties", {}).items()]
    extra = part.get("additionalProperties")
    if isinstance(extra, Mapping) and extra.get("description"):
        lines.append(_row("any other", extra, quoted=False))
    return "\n".join([*lines, ""])


def _row(key: str, value: Schema, *, quoted: bool = True) -> str:
    means = as_text(value.get("description", ""))
    default = DEFAULT.search(means)
    stands = (
        default["value"]
        if default
        else _json(value["default"])
        if value.get("default") not in (None, "", [], {})
        else ""
    )
    cells = [f"`{key}`" if quoted else key, DEFAULT.sub("", means).strip(), holds(value), stands]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def as_text(description: str) -> str:
    """Return a description as one line of Markdown."""
    text = " ".join(description.replace("``", "`").split())
    if "`" not in text:
        text = re.sub(r"(?<![\w-])--[a-z][\w-]*", r"`\g<0>`", text)
    return text if "`" in text else re.sub(r"([*_<{$])(?=[\w>{])", r"\\\1", text)


def _json(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def holds(value: Schema) -> str:
    """Say in few words what a key may hold.

    >>> holds({"enum": ["fast", "realtime"], "type": "string"})
    '`fast`, `realtime`'
    >>> holds({"type": "array", "items": {"$ref": "#/$defs/SetupItem"}})
    'a list of [setup item](#setup-item)'
    """
    match value:
        case {"$ref": _}:
            return f"[{heading(_name(value)).lower()}](#{anchor(_name(value))})"
        case {"anyOf": [*choices]} | {"oneOf": [*choices]} if not value.get("properties"):
            return _any(choices)
        case {"const": const}:
            return _json(const)
        case {"enum": [*choices]}:
            return ", ".join(_json(choice) for choice in choices if choice is not None)
        case {"type": "array"}:
            inner = holds(value.get("items", {}))
            return f"a list of {inner}" if inner else "a list"
        case {"type": "object"}:
            inner = (
                holds(value["additionalProperties"]) if isinstance(value.get("additionalProperties"), Mapping) else ""
            )
            return f"a mapping from names to {inner}" if inner else "a mapping"
    return _plain(value)


def _any(choices: list[Schema]) -> str:
    found = dict.fromkeys(holds(choice) for choice in choices if choice.get("type") != "null")
    return " or ".join(filter(None, found))


def _plain(value: Schema) -> str:
    kinds = value.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else {*kinds}
    said = "text" if kinds >= SCALAR else " or ".join(text for kind, text in PLAIN.items() if kind in kinds - {"null"})
    if "minimum" in value and "maximum" in value:
        said += f" from {value['minimum']} to {value['maximum']}"
    if examples := value.get("examples"):
        said += f", such as {', '.join(map(_json, examples))}"
    return said
