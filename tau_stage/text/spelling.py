r"""How names are compared: composed (Unicode NFC), and, where capitals do not count, folded.

``Zoë`` may be four characters or five and looks the same; names are composed wherever they are read, so that all that
comes after compares plain texts.

The dotted and the dotless I of Turkish are one letter where capitals do not count: ``I`` and ``i`` may be either.

Sources: Unicode Standard Annex 15 (normalisation), Unicode 16 section 5.18 (caseless matching).
"""

from __future__ import annotations

import unicodedata


def composed(name: str) -> str:
    r"""Return a name in the one form in which names are compared.

    >>> composed("Zoe\u0308") == "Zoë"
    True
    """
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    r"""Return a name as it is compared where capitals, the width of letters and the number of blanks do not count.

    >>> folded("OLD\u00a0 MAN") == folded("Old Man"), folded("ＡＮＮ"), folded("ZOE\u0308") == folded("zoë")
    (True, 'ann', True)
    """
    return " ".join(caseless(name).split())


def caseless(text: str) -> str:
    """Return a text without capitals, in one form (Unicode NFKC).

    >>> caseless("STRASSE") == caseless("Straße"), caseless("IŞIK") == caseless("ışık"), caseless("ﬁne")
    (True, True, 'fine')
    """
    small = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return small.replace("i\u0307", "i").replace("ı", "i")
