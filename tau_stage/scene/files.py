"""Files that a scene names: they are looked for beside it."""

from pathlib import Path

from tau_stage.errors import LFS_HINT, LFS_PROBLEM, UsageError, is_lfs_pointer

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
"""Endings of recordings in a folder."""

PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
"""How pictures begin, and what they are."""

LARGEST_PICTURE = 10 * 1024**2
"""Bytes of a cover: programs that play sound leave out larger ones, or stop."""

BESIDE = "it is looked for beside the scene"
"""A hint about a file that is not there."""


def beside(scene: str, name: str) -> Path:
    """Tell where a file lies that a scene names.

    Args:
        scene: The scene file, as the user named it.
        name: As the scene has it: relative to the scene, or absolute.

    >>> beside("scenes/tavern.yaml", "sounds/door.wav").as_posix()
    'scenes/sounds/door.wav'
    """
    return Path(scene).parent / name


def sounds_in(folder: Path) -> list[Path]:
    """Return the recordings in a folder, by name.

    Raises:
        OSError: It cannot be read.
    """
    return sorted(file for file in folder.iterdir() if file.suffix in SOUNDS)


def picture_type(data: bytes, name: str, size: int = 0) -> str:
    r"""Return the media type of a picture.

    Args:
        data: Its first bytes.
        name: What an error calls it.
        size: How many bytes it has.

    Raises:
        UsageError: It is neither a JPEG nor a PNG, or larger than programs that play sound take.

    >>> picture_type(b"\x89PNG\r\n\x1a\n", "cover.png")
    'image/png'
    """
    if is_lfs_pointer(data):
        raise UsageError(f"{name}: {LFS_PROBLEM}", LFS_HINT)
    found = next((kind for begins, kind in PICTURES.items() if data.startswith(begins)), None)
    if found and size > LARGEST_PICTURE:
        told = f"{size / 1024**2:.1f} MiB are too large for a cover, which has {LARGEST_PICTURE // 1024**2} MiB at most"
        raise UsageError(f"{name}: {told}", "save it smaller: 3000 by 3000 points as JPEG are enough")
    if found:
        return found
    raise UsageError(f"{name}: is neither a JPEG nor a PNG picture", "save the cover as one of these")
