"""Names that become names of files: whatever an author writes, it never leaves its folder."""

import hashlib
import re
import unicodedata

LONGEST = 60

_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "latest", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)


def slug(name: str) -> str:
    """A name as a file's name: lower-case ASCII letters, digits and single hyphens, at most 60 of them.

    A name without any such letter gets one made from its hash, so that different names stay different.

    >>> slug("The last umbrella"), slug("Zoë"), slug("../etc/passwd"), slug("CON")
    ('the-last-umbrella', 'zoe', 'etc-passwd', 'con-')
    >>> slug("幽霊").startswith("x-")
    True
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    joined = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].strip("-")
    if not joined:
        return f"x-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
    return f"{joined}-" if joined in _RESERVED else joined
