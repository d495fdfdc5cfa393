"""Signs that look like YAML's and are not: dashes, bullets, no-break spaces, full-width colons, missing spaces.

YAML takes a line with one of them for something else, in silence, so this is asked only where a line made no sense.
"""

import re
import unicodedata

from tau_stage.errors import SceneError
from tau_stage.scene.source import Place, Source

SPACES = "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000"
BULLETS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2022\u00b7\u25cf\u25aa"
COLONS = "\uff1a\ufe55"
FULL_WIDTH = {"\uff0c": ",", "\u3001": ",", "\uff5d": "}", "\uff3d": "]"}

_LINE = re.compile(
    rf"(?P<indent>[ {SPACES}]*)(?:(?P<bullet>[-{BULLETS}]|[*](?= )|\d{{1,3}}[.)](?= ))(?P<gap>[ {SPACES}]*))?"
    rf"(?P<key>[^\s:{COLONS}\-\[\]{{}}\"'#][^:{COLONS}\n]{{0,80}}?)(?P<colon>[:{COLONS}])"
    rf"(?P<after>[ {SPACES}]*)(?P<rest>.*)"
)


def misread(source: Source, number: int) -> SceneError | None:
    """Return the error for a line of a source in which a sign only looks like one of YAML's, or a space is missing."""
    line = source.line(number)
    parts = _LINE.fullmatch(line)
    if not parts or parts["rest"].startswith("//"):
        return None
    found = re.search(f"[{SPACES}{BULLETS}{COLONS}]", line[: parts.start("rest")])
    dash = "-" if parts["bullet"] else ""
    gap = re.sub(f"[{SPACES}]", " ", parts["gap"] or "") or " "
    head = " " * len(parts["indent"]) + (f"{dash}{gap}" if dash else "")
    key = re.sub(f"[{SPACES}]", " ", parts["key"])
    rest = parts["rest"]
    mended = f"{head}{key}:{' ' if rest else ''}{rest}"
    if re.sub(" +", " ", mended.strip(" ")) == re.sub(" +", " ", line.strip(" ")):
        return None
    hint = f"write it like this:\n  {mended}"
    if (parts["bullet"] or "-") not in f"-{BULLETS}":
        place = Place(number, parts.start("bullet") + 1)
        return source.error(place, f"a line starts with '- ', not with '{parts['bullet']}'", hint)
    place = Place(number, (found.start() if found else _missing(parts)) + 1)
    return source.error(place, _problem(found[0] if found else ""), hint)


def misread_sign(source: Source, place: Place) -> SceneError | None:
    """Return the error for a place in brackets where a sign of full width stands for one of YAML's."""
    line = source.line(place.line)
    sign = line[place.column - 1 : place.column]
    if sign not in FULL_WIDTH:
        return None
    mended = "".join(FULL_WIDTH.get(other, other) for other in line)
    mended = re.sub(r",(?=\S)", ", ", mended)
    problem = f"YAML does not take {unicodedata.name(sign)} (U+{ord(sign):04X}) for '{FULL_WIDTH[sign]}'"
    return source.error(place, problem, f"write it like this:\n  {mended}")


def _missing(parts: re.Match[str]) -> int:
    """Tell where a space is missing."""
    return parts.end("bullet") if parts["bullet"] and not parts["gap"] else parts.end("colon")


def _problem(sign: str) -> str:
    if not sign:
        return "YAML wants a space here"
    own = "a space" if sign in SPACES else "':'" if sign in COLONS else "'-'"
    return f"YAML does not take {unicodedata.name(sign)} (U+{ord(sign):04X}) for {own}"
