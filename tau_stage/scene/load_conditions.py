"""What cues wait for and steps depend on, from the document to the model."""

import re

from tau_stage.scene.conditions import EVENTS, EXAMPLES, SHORT, Call, Condition, Event, Failed, Not, Said, Silence
from tau_stage.scene.findings import Findings
from tau_stage.scene.text import Node, Path
from tau_stage.scene.words import did_you_mean

_COMPARED = re.compile("==|!=")
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off", "")


def load_event(word: str, node: Node, path: Path, found: Findings) -> Event | None:
    """Load an event: a mapping, or its most important text alone; None if it is wrong, which is noted."""
    short = SHORT[word]
    entries: Node = {short: node} if isinstance(node, str) and node and node != "any" else node
    if node == "any":
        entries = {}
    model = EVENTS[word]
    known = found.mapping(entries, path, f"'{word}'", f"write it like '{word}: {EXAMPLES[word]}'")
    if known is None:
        return None
    event = found.build(model, dict(found.known(known, model.options(), path, f"'{word}'")), path, f"'{word}'")
    if isinstance(event, Said) and not event.words and "words" not in known:
        found.add(path, "what is said?", "write it like 'said: umbrella', or {player: name, words: umbrella}")
        return None
    assert isinstance(event, Call | Said | Silence | Failed)  # noqa: S101 - every model of EVENTS is one
    return event


def load_when(node: Node, path: Path, found: Findings) -> Condition | bool | None:
    """Load a condition: what has happened, what has not, or a comparison that is decided now."""
    if isinstance(node, str):
        return _compared(node, path, found)
    hint = "write it like {said: umbrella}, {call: lights_on}, or '${mood} == happy'"
    entries = found.mapping(node, path, "'when'", hint)
    if not entries:
        if entries is not None:
            found.add(path, "'when' holds nothing", hint)
        return None
    if list(entries) == ["not"]:
        inner = load_when(entries["not"], (*path, "not"), found)
        if isinstance(inner, Call | Said | Failed):
            return Not(condition=inner)
        if not found.is_wrong((*path, "not")):
            found.add((*path, "not"), "'not' wants something that may happen", "write it like {not: {said: umbrella}}")
        return None
    word = next(iter(entries))
    known = tuple(name for name in (*EVENTS, "not") if name != "silence")
    if stranger := next((word for word in entries if word not in known), None):
        problem = f"'when' knows no '{stranger}'"
        found.add((*path, stranger), problem, did_you_mean(stranger, known, hint), key=True)
        return None
    if len(entries) > 1:
        found.add((*path, list(entries)[1]), "'when' holds one condition", "remove the others", key=True)
        return None
    event = load_event(word, entries[word], (*path, word), found)
    return event if isinstance(event, Call | Said | Failed) else None


def _compared(text: str, path: Path, found: Findings) -> bool | None:
    """Decide what a comparison of texts comes to.

    Examples: ``happy == happy``, ``happy != sad``, ``yes``.
    """
    if sign := _COMPARED.search(text):
        is_same = text[: sign.start()].strip() == text[sign.end() :].strip()
        return is_same == (sign[0] == "==")
    if text.strip().lower() in (*_TRUE, *_FALSE):
        return text.strip().lower() in _TRUE
    found.add(path, f"'{text}' is neither a comparison nor true or false", "write it like '${mood} == happy'")
    return None
