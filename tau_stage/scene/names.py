"""Names that become names of files: whatever an author writes, it never leaves its folder."""

import hashlib
import re
import unicodedata
from pathlib import PurePath

from tau_stage.text import composed

LONGEST = 60
LONGEST_STEM = 120

SOUND_STEMS = ("sfx-", "bed-")
"""How the stems of sounds begin; a player's must not."""

_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})


def slug(name: str) -> str:
    """Make a name a file's name: lower-case ASCII letters, digits and single hyphens, at most 60 of them.

    A name without any such letter gets one made from its hash, so that different names stay different.

    >>> slug("The last umbrella"), slug("Zoë"), slug("../etc/passwd"), slug("CON")
    ('the-last-umbrella', 'zoe', 'etc-passwd', 'con-')
    >>> slug("幽霊").startswith("x-")
    True
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    joined = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].strip("-")
    if not joined:
        return f"x-{hashlib.sha256(composed(name).encode(errors='replace')).hexdigest()[:8]}"
    return f"{joined}-" if joined == "latest" or is_device(joined) else joined


def identity(path: str, variant: str = "") -> str:
    """Return the one name of all that belongs to a scene: its file's stem, and the variant after a dot.

    A stem that is no name for a folder everywhere, or leaves no room for one, gets a name made from it.

    >>> identity("scenes/last_umbrella.yaml"), identity("scenes/moods.yaml", "calm"), identity("con.yaml")
    ('last_umbrella', 'moods.calm', 'con-')
    """
    stem = PurePath(path).stem
    plain = stem.isprintable() and not stem.startswith((".", "<")) and stem.rstrip(" .") == stem and stem != "latest"
    if not plain or is_device(stem) or len(stem.encode()) > LONGEST_STEM:
        stem = slug(stem)
    return f"{stem}.{variant}" if variant else stem


def is_device(name: str) -> bool:
    """Tell whether Windows keeps a file's name for itself, whatever follows a dot.

    >>> is_device("NUL.wav"), is_device("null.wav")
    (True, False)
    """
    return name.partition(".")[0].rstrip().lower() in _DEVICES


def shortened(name: str) -> str:
    """Shorten a name that is made of slugs to 60 characters; what is cut off is told by a hash.

    >>> shortened("calm-oslo"), len(shortened("a-" * 200))
    ('calm-oslo', 60)
    """
    if len(name) <= LONGEST:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-'):-<{LONGEST - 9}}-{mark}"
