"""Where engines look for the files of lines, and the tables with which they import them: pure data and text.

Sources of the columns: Wwise, "Importing Media Files from Tab Delimited Text Files"
(https://www.audiokinetic.com/en/library/edge/?source=Help&id=importing_media_files_from_tab_delimited_text_file);
Unreal, ``FDialogueScriptEntry``
(https://dev.epicgames.com/documentation/unreal-engine/API/Editor/UnrealEd/FDialogueScriptEntry).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Literal

LayoutName = Literal["plain", "wwise", "unreal", "yarn", "renpy", "fmod", "naninovel", "unity", "dink"]

WWISE_COLUMNS = ("Audio File", "Object Path", "Object Type")
UNREAL_COLUMNS = (
    *("SpeakingVoice", "TargetVoices", "SpokenDialogue", "VoiceActorDirection", "AudioFileName"),
    "LocalizationKeys",
)


@dataclass(frozen=True, slots=True)
class EngineLine:
    """A line whose file an engine is to find.

    Attributes:
        id: As the table or the scene has it.
        language: Its code, or empty.
        scene: The name of its scene.
        folders: Folders that tell it from other lines of one id: its variant and, of scene files, its scene.
        hearers: Who hears it.
    """

    id: str
    language: str
    scene: str
    folders: tuple[str, ...]
    player: str
    words: str
    direction: str
    hearers: tuple[str, ...]


Files = Mapping[str, EngineLine]
"""Lines by their files, which are relative to the folder of the export."""


@dataclass(frozen=True, slots=True)
class EngineLayout:
    """Where an engine looks for files.

    Attributes:
        files: Where the file of a line is, without its ending: with ``{language}``, ``{scene}`` and ``{id}``.
        first: The same for the first language of a batch, where that has a place of its own.
        endings: Of files that the engine imports.
        tables: Makes the tables that the engine imports, by name, of the files that are there.
    """

    files: str
    first: str = ""
    endings: tuple[str, ...] = (".wav", ".flac", ".ogg", ".mp3")
    tables: Callable[[Files], Mapping[str, str]] = lambda _: {}

    def place(self, line: EngineLine, *, is_first: bool) -> str:
        """Return the file of a line, without its ending.

        >>> line = EngineLine("hello-1", "pt-BR", "quay", ("calm",), "ann", "Hello.", "", ())
        >>> LAYOUTS["renpy"].place(line, is_first=False), LAYOUTS["renpy"].place(line, is_first=True)
        ('tl/pt_BR/voice/calm/hello-1', 'voice/calm/hello-1')
        """
        names = {"language": line.language, "scene": line.scene, "id": "/".join((*line.folders, line.id))}
        names["identifier"] = re.sub(r"\W", "_", line.language)
        place = self.first if self.first and (is_first or not line.language) else self.files
        return "/".join(filter(None, place.format(**names).split("/")))


def _wwise(files: Files) -> dict[str, str]:
    """Make a table for each language, as Wwise imports one language at a time; paths are relative to the table."""
    tables: dict[str, list[tuple[str, ...]]] = {}
    for file, line in files.items():
        name = f"wwise-{line.language}.tsv" if line.language else "wwise.tsv"
        path = "".join(f"<Virtual Folder>{folder}\\" for folder in line.folders or (line.scene,))
        row = (file.replace("/", "\\"), f"{path}<Sound Voice>{line.id}", "Sound Voice")
        tables.setdefault(name, [WWISE_COLUMNS]).append(row)
    return {name: "".join("\t".join(row) + "\r\n" for row in rows) for name, rows in tables.items()}


def _unreal(files: Files) -> dict[str, str]:
    """Make a script for each culture, in its folder, as the engine's own export of dialogue has it."""
    tables: dict[str, list[tuple[str, ...]]] = {}
    for file, line in files.items():
        name = "/".join(filter(None, (line.language, "Dialogue.csv")))
        audio = file.removeprefix(f"{line.language}/")
        row = (line.player, _targets(line.hearers), line.words, line.direction, audio, _array([line.id]))
        tables.setdefault(name, [UNREAL_COLUMNS]).append(row)
    return {name: _quoted(rows) for name, rows in tables.items()}


def _targets(hearers: Sequence[str]) -> str:
    """Write who hears a line as the engine does: several are one text in brackets."""
    names = ",".join(hearers)
    return _array([f"[{names}]" if len(hearers) > 1 else names] if hearers else [])


def _array(texts: Iterable[str]) -> str:
    """Write an array of texts as the engine's properties are written."""
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return ",".join(f'"{text}"' for text in escaped).join("()")


def _quoted(rows: Iterable[Sequence[str]]) -> str:
    out = StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return out.getvalue()


LAYOUTS: Mapping[str, EngineLayout] = {
    "plain": EngineLayout("{language}/{id}"),
    "wwise": EngineLayout("{language}/{id}", endings=(".wav",), tables=_wwise),
    "unreal": EngineLayout("{language}/{id}", endings=(".wav",), tables=_unreal),
    "yarn": EngineLayout("{language}/{id}"),
    "renpy": EngineLayout("tl/{identifier}/voice/{id}", "voice/{id}"),
    "fmod": EngineLayout("{language}/{id}"),
    "naninovel": EngineLayout(
        "Resources/Naninovel/Localization/{language}/Voice/{scene}/{id}", "Resources/Naninovel/Voice/{scene}/{id}"
    ),
    "unity": EngineLayout("Resources/Voice/{language}/{id}"),
    "dink": EngineLayout("{language}/Audio/TTS/{id}", "Audio/TTS/{id}"),
}
