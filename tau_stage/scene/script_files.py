"""Scripts in files of their own: a screenplay in Fountain, or a text in our own notation."""

from collections.abc import Sequence
from pathlib import PurePath

from tau_stage.scene.files import beside
from tau_stage.scene.fountain import read_fountain
from tau_stage.scene.script import Item, Spoken, read_script
from tau_stage.scene.source import Source, read_source

SCREENPLAYS = (".fountain", ".spmd")
"""How names of files in Fountain end; the second is its old ending."""

TEXTS = (".txt", ".md")
"""How names of files in our own notation end."""


def is_script_file(script: str) -> bool:
    """Tell whether what stands at ``script:`` is the name of a file.

    >>> is_script_file("acts/play.fountain"), is_script_file("episode.TXT"), is_script_file("ANN: Hi.")
    (True, True, False)
    """
    return PurePath(script).suffix.lower() in (*SCREENPLAYS, *TEXTS) and "\n" not in script


def read_script_file(scene: str, name: str, players: Sequence[str]) -> tuple[Source, list[Spoken | Item]]:
    """Read the file of a script.

    Args:
        scene: The scene file, as the user named it.
        name: As the scene has it.
        players: The scene's players.

    Raises:
        SceneError: The file cannot be read, or somebody speaks in it who is no player.
    """
    screenplay = PurePath(name).suffix.lower() in SCREENPLAYS
    source = read_source(beside(scene, name), f"the {'screenplay' if screenplay else 'script'} '{name}'")
    if screenplay:
        return source, [*read_fountain(source, players)]
    return source, read_script(source, 1, len(source.lines), players)
