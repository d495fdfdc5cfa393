"""Files that a scene names: they are looked for beside it."""

from pathlib import Path

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
