"""Tags of a mix: title, artist, cover and chapters, as MP3, FLAC and OGG have them.

Sources: ID3v2 Chapter Frame Addendum 1.0 (id3.org); Vorbis comments, *Chapter Extension* and *METADATA_BLOCK_PICTURE*
(wiki.xiph.org).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tau_stage.errors import TakeError, UsageError, os_reason
from tau_stage.scene import Mix, picture_type, resolve_path
from tau_stage.take.take_model import Take

FRONT_COVER = 3


def write_tags(draft: Path, take: Take, wanted: Mix) -> None:
    """Write the tags of a mix into its file; a WAV has none of them.

    Raises:
        TakeError: The cover cannot be read.
        OSError: The file cannot be written.
    """
    if wanted.kind == "wav":
        return
    from mutagen import MutagenError

    tag = {"mp3": _tag_mp3, "flac": _tag_flac, "ogg": _tag_ogg}[wanted.kind]
    texts = {"title": wanted.title or take.scene.title, "artist": wanted.artist or ""}
    cover = _read_cover(resolve_path(take.scene.path, wanted.cover)) if wanted.cover else None
    try:
        tag(draft, {name: text for name, text in texts.items() if text}, cover)
    except MutagenError as error:
        failure = error.args[0] if error.args else error
        raise failure if isinstance(failure, OSError) else OSError(None, str(failure)) from None


def _tag_mp3(draft: Path, texts: dict[str, str], cover: tuple[str, bytes] | None) -> None:
    from mutagen.id3 import APIC, ID3, TIT2, TPE1

    tags = ID3()
    frames: Sequence[tuple[str, Any]] = (("title", TIT2), ("artist", TPE1))
    for name, frame in frames:
        if name in texts:
            tags.add(frame(encoding=3, text=texts[name]))
    if cover:
        tags.add(APIC(encoding=3, mime=cover[0], type=FRONT_COVER, desc="", data=cover[1]))
    tags.save(draft, v2_version=3)


def _tag_flac(draft: Path, texts: dict[str, str], cover: tuple[str, bytes] | None) -> None:
    from mutagen.flac import FLAC

    file = FLAC(draft)
    file.update(texts)
    if cover:
        file.add_picture(_picture(*cover))
    file.save()


def _tag_ogg(draft: Path, texts: dict[str, str], cover: tuple[str, bytes] | None) -> None:
    from mutagen.oggvorbis import OggVorbis

    file = OggVorbis(draft)
    file.update(texts)
    if cover:
        file["metadata_block_picture"] = b64encode(_picture(*cover).write()).decode()
    file.save()


def _picture(mime: str, data: bytes) -> Any:
    from mutagen.flac import Picture

    picture = Picture()
    picture.type, picture.mime, picture.data = FRONT_COVER, mime, data
    return picture


def _read_cover(file: Path) -> tuple[str, bytes]:
    hint = "put the picture back beside the scene"
    try:
        data = file.read_bytes()
        return picture_type(data, str(file), len(data)), data
    except OSError as error:
        raise TakeError(str(file), f"the mix has no cover: {os_reason(error)}", hint) from None
    except UsageError:
        raise TakeError(str(file), "the mix has no cover: is no picture", hint) from None
