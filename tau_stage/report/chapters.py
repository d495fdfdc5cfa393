"""Chapters of a take, as programs that play podcasts and books read them beside the mix.

Sources: the Podcast Namespace's *JSON Chapters Format* 1.2 (podcastindex.org); FFmpeg's *Metadata* (ffmpeg-formats);
WebVTT, W3C Candidate Recommendation, 6.4 "Chapter cues".
"""

from __future__ import annotations

import json
import re
from html import escape

from tau_stage.report.words import cue_clock
from tau_stage.scene import Deliver
from tau_stage.take import ChapterSpan, Take, chapters_of
from tau_stage.text import printable

JSON = "chapters.json"
VTT = "chapters.vtt"
FFMETADATA = "chapters.ffmetadata"


def write_chapters(take: Take, wanted: Deliver) -> dict[str, str]:
    """Write the chapters of a take in each form, by file name; none where it has none. Times are those of the mix."""
    chapters = chapters_of(take, wanted.mix)
    if not chapters:
        return {}
    title = printable(wanted.mix.title if wanted.mix and wanted.mix.title else take.scene.title)
    artist = printable(wanted.mix.artist if wanted.mix and wanted.mix.artist else "")
    file = wanted.mix.file if wanted.mix else ""
    return {
        JSON: render_json(chapters, title, artist, file),
        VTT: render_vtt_chapters(chapters),
        FFMETADATA: render_ffmetadata(chapters, title, artist),
    }


def render_json(chapters: tuple[ChapterSpan, ...], title: str, artist: str, file: str) -> str:
    """Write chapters as JSON chapters of the Podcast Namespace."""
    about = {"title": title, "author": artist, "fileName": file}
    marks = [
        {"startTime": chapter.start_ms / 1000, "endTime": chapter.end_ms / 1000, "title": chapter.title}
        for chapter in chapters
    ]
    told = {"version": "1.2.0", **{key: text for key, text in about.items() if text}, "chapters": marks}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def render_vtt_chapters(chapters: tuple[ChapterSpan, ...]) -> str:
    """Write chapters as WebVTT: a cue lasts to the next chapter, and its text is the title."""
    blocks = ["WEBVTT\n"]
    for chapter in chapters:
        times = f"{cue_clock(chapter.start_ms)} --> {cue_clock(chapter.end_ms)}"
        blocks.append(f"{chapter.id}\n{times}\n{escape(chapter.title, quote=False)}\n")
    return "\n".join(blocks)


def render_ffmetadata(chapters: tuple[ChapterSpan, ...], title: str, artist: str) -> str:
    """Write chapters as FFmpeg reads them: ``ffmpeg -i mix.wav -i chapters.ffmetadata -map_chapters 1``."""
    about = [f"{key}={_escaped(text)}" for key, text in (("title", title), ("artist", artist)) if text]
    parts = (
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={chapter.start_ms}\nEND={chapter.end_ms}\ntitle={_escaped(chapter.title)}"
        for chapter in chapters
    )
    return "\n".join([";FFMETADATA1", *about, *parts, ""])


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)
