"""Files that a scene names: they are looked for beside it."""

from pathlib import Path

from tau_stage.errors import LFS_HINT, LFS_PROBLEM, UsageError, is_lfs_pointer

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
"""Endings of recordings in a folder."""

BESIDE = "it is looked for beside the scene"
"""A hint about a file that is not there."""


def beside(scene: str, name: str) -> Path:
    """Where a file lies that a scene names.

    Args:
        scene: The scene file, as the user named it.
        name: As the scene has it: relative to the scene, or absolute.

    >>> beside("scenes/tavern.yaml", "sounds/door.wav").as_posix()
    'scenes/sounds/door.wav'
    """
    return Path(scene).parent / name


def sounds_in(folder: Path) -> list[Path]:
    """The recordings in a folder, by name.

    Raises:
        OSError: It cannot be read.
    """
    return sorted(file for file in folder.iterdir() if file.suffix in SOUNDS)


def picture_type(data: bytes, name: str) -> str:
    r"""The media type of a picture.

    Args:
        data: Its first bytes.
        name: What an error calls it.

    Raises:
        UsageError: It is neither a JPEG nor a PNG.

    >>> picture_type(b"\x89PNG\r\n\x1a\n", "cover.png")
    'image/png'
    """
    if is_lfs_pointer(data):
        raise UsageError(f"{name}: {LFS_PROBLEM}", LFS_HINT)
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    raise UsageError(f"{name}: is neither a JPEG nor a PNG picture", "save the cover as one of these")
