"""Names of code and words of speech, made comparable. Pure."""

from __future__ import annotations

import re
from typing import Any

IDENTIFIERS = {"number", "id", "code"}


def spelt(name: str) -> str:
    """A name of code in words.

    >>> spelt("get_order_status"), spelt("orderNumber")
    ('get order status', 'order Number')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_|-", " ", name)


def stems(words: str) -> set[str]:
    """The words of a text, without case and plural.

    >>> sorted(stems("The lights, thanks!"))
    ['light', 'thank', 'the', 'you']
    """
    found = re.findall(r"[^\W\d_]+", re.sub(r"\bthanks\b", "thank you", words.lower()))
    return {_stem(word) for word in found}


def identifies(name: str, schema: dict[str, Any]) -> bool:
    """Whether an argument is a text that stands for a thing: an order's number, an id, a code."""
    told = schema.get("type", "string")
    is_text = told == "string" or (isinstance(told, list) and "string" in told)
    return is_text and not schema.get("enum") and bool(stems(spelt(name)) & IDENTIFIERS)


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
