"""Tags of a mix: title, artist, cover and chapters, as MP3, FLAC and OGG have them.

Sources: ID3v2 Chapter Frame Addendum 1.0 (id3.org); Vorbis comments, *Chapter Extension* and *METADATA_BLOCK_PICTURE*
(wiki.xiph.org).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tau_stage.errors import TakeError, UsageError, os_reason
from tau_stage.scene import FileKind, Mix, picture_type, resolve_path
from tau_stage.take.take_model import Take
from tau_stage.text import printable

FRONT_COVER = 3
MOST_IN_TABLE = 255  # chapters that an MP3's table of contents can hold
MOST_COMMENTS = 1000  # chapters that Vorbis comments can count
NO_BYTE = 0xFFFFFFFF  # as ID3 has it: only the time tells where a chapter is

Tagger = Callable[["Tags", Path], None]


@dataclass(frozen=True, slots=True)
class ChapterSpan:
    """A chapter as it lies in the mix, in milliseconds: it lasts to the next one, or to the end."""

    id: str
    title: str
    start_ms: int
    end_ms: int


def chapters_of(take: Take, mix: Mix | None) -> tuple[ChapterSpan, ...]:
    """Return the chapters of a take where they lie in its mix; in the stems, where there is none.

    One that begins before anything is heard begins with the file.
    """
    head, tail = (mix.head, mix.tail) if mix else (0.0, 0.0)
    end = round(1000 * (head + take.duration_s + tail))
    starts = [round(1000 * (head + mark.offset_s)) if mark.offset_samples else 0 for mark in take.chapters]
    ends = [*starts, end][1:]
    return tuple(
        ChapterSpan(mark.id, printable(mark.title), start, max(start + 1, min(after, end)))
        for mark, start, after in zip(take.chapters, starts, ends, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Tags:
    """What is written into a mix."""

    texts: dict[str, str]
    cover: tuple[str, bytes] | None
    chapters: tuple[ChapterSpan, ...]


def _tags_of(take: Take, wanted: Mix) -> Tags:
    texts = {"title": wanted.title or take.scene.title, "artist": wanted.artist or ""}
    cover = _read_cover(resolve_path(take.scene.path, wanted.cover)) if wanted.cover else None
    return Tags({name: text for name, text in texts.items() if text}, cover, chapters_of(take, wanted))


def write_tags(draft: Path, take: Take, wanted: Mix) -> None:
    """Write the tags of a mix into its file; a WAV has none of them.

    Raises:
        TakeError: The cover cannot be read.
        OSError: The file cannot be written.
    """
    if wanted.kind == "wav":
        return
    from mutagen import MutagenError

    tags = _tags_of(take, wanted)
    try:
        TAGGERS[wanted.kind](tags, draft)
    except MutagenError as error:
        failure = error.args[0] if error.args else error
        raise failure if isinstance(failure, OSError) else OSError(None, str(failure)) from None


def _tag_mp3(tags: Tags, draft: Path) -> None:
    from mutagen.id3 import APIC, CHAP, CTOC, ID3, TIT2, TPE1, CTOCFlags

    file = ID3()
    frames: Sequence[tuple[str, Any]] = (("title", TIT2), ("artist", TPE1))
    for name, frame in frames:
        if name in tags.texts:
            file.add(frame(encoding=3, text=tags.texts[name]))
    if tags.cover:
        file.add(APIC(encoding=3, mime=tags.cover[0], type=FRONT_COVER, desc="", data=tags.cover[1]))
    for chapter in tags.chapters:
        times = {"start_time": chapter.start_ms, "end_time": chapter.end_ms}
        title = TIT2(encoding=3, text=chapter.title)
        file.add(CHAP(element_id=chapter.id, **times, start_offset=NO_BYTE, end_offset=NO_BYTE, sub_frames=[title]))
    if listed := [chapter.id for chapter in tags.chapters[:MOST_IN_TABLE]]:
        flags = CTOCFlags.TOP_LEVEL | CTOCFlags.ORDERED
        file.add(CTOC(element_id="toc", flags=flags, child_element_ids=listed, sub_frames=[]))
    file.save(draft, v2_version=3)


def _comments(tags: Tags) -> dict[str, str]:
    """Return title, artist and chapters as Vorbis comments."""
    comments = dict(tags.texts)
    for number, chapter in enumerate(tags.chapters[:MOST_COMMENTS]):
        minutes, rest = divmod(chapter.start_ms, 60_000)
        comments[f"CHAPTER{number:03}"] = f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
        comments[f"CHAPTER{number:03}NAME"] = chapter.title
    return comments


def _tag_flac(tags: Tags, draft: Path) -> None:
    from mutagen.flac import FLAC

    file = FLAC(draft)
    file.update(_comments(tags))
    if tags.cover:
        file.add_picture(_picture(*tags.cover))
    file.save()


def _tag_ogg(tags: Tags, draft: Path) -> None:
    from mutagen.oggvorbis import OggVorbis

    file = OggVorbis(draft)
    file.update(_comments(tags))
    if tags.cover:
        file["metadata_block_picture"] = b64encode(_picture(*tags.cover).write()).decode()
    file.save()


TAGGERS: Mapping[FileKind, Tagger] = {"mp3": _tag_mp3, "flac": _tag_flac, "ogg": _tag_ogg}


def _picture(mime: str, data: bytes) -> Any:
    from mutagen.flac import Picture

    picture = Picture()
    picture.type, picture.mime, picture.data = FRONT_COVER, mime, data
    return picture


def _read_cover(file: Path) -> tuple[str, bytes]:
    hint = "restore the image beside the scene"
    try:
        data = file.read_bytes()
        return picture_type(data, str(file), len(data)), data
    except OSError as error:
        raise TakeError(str(file), f"the mix has no cover: {os_reason(error)}", hint) from None
    except UsageError:
        raise TakeError(str(file), "the mix has no cover: not an image", hint) from None
