"""Regular expressions that authors write: looked for with a limit, so that none can hang a performance or a test.

The package ``regex`` looks for them: it reads what Python's ``re`` reads, Unicode letters and boundaries too, looks
at signals while it searches, and gives up when it is told to. A linear engine (RE2) would refuse what Python's knows,
and would silently find no word boundary beside letters that are not ASCII.
"""

import re
import warnings

from tau_stage.errors import LimitReached

LONGEST_SEARCH_S = 0.25  # seconds of computing that a search may take
LONGEST_PATTERN = 10_000  # characters of a regular expression: one of a megabyte takes seconds to compile

SHOWN = 40


def pattern_problem(pattern: str) -> str:
    """Tell why a text is no regular expression; empty if it is one.

    >>> pattern_problem("lamps?"), pattern_problem("(lamp")
    ('', 'missing ), unterminated subpattern at position 0')
    """
    import regex

    if len(pattern) > LONGEST_PATTERN:
        return f"it has {len(pattern):,} characters, but the limit is {LONGEST_PATTERN:,}"
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(pattern)
            regex.compile(pattern)
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        return str(error)
    return ""


def is_found(pattern: str, text: str, *, any_case: bool = True, line: int = 0) -> bool:
    """Tell whether a regular expression is found in a text.

    Args:
        pattern: Valid.
        text: What is looked at.
        any_case: Whether case does not matter.
        line: Where the pattern stands in the scene, from 1; 0: the error tells that otherwise.

    Raises:
        LimitReached: It takes longer than a search may.

    >>> is_found("lamps?", "The LAMP is out.")
    True
    """
    import regex

    try:
        return regex.search(pattern, text, regex.IGNORECASE if any_case else 0, timeout=LONGEST_SEARCH_S) is not None
    except TimeoutError:
        place = f"line {line} of the scene: " if line else ""
        raise LimitReached(
            f"{place}the regular expression '{_shown(pattern)}' takes too long on “{_shown(text)}”",
            f"a search may take at most {LONGEST_SEARCH_S:g} s",
            "avoid nested repeats such as (a+)+ and overlapping choices such as (a|aa)+",
        ) from None


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
