"""Scene files that are rewritten in place: only sound ones, only where something changes, and never halfway."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tau_stage.cli.loading import each_scene
from tau_stage.scene import Document, Scene, load_scene, read_source, read_yaml
from tau_stage.take import clear_drafts, draft_beside, guarded

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Change = tuple[str, str, str]
"""What a file is called, what it holds, and what it is to hold."""


def changes(paths: Sequence[str], change: Callable[[Document, Scene], str]) -> list[Change]:
    """Return what scene files are to hold, as ``change`` makes it of their documents; nothing is written yet.

    Raises:
        SceneError: At least one is no sound scene; the errors of all are in it.
    """

    def rewritten(path: str) -> Change:
        scene = load_scene(path)
        document = read_yaml(read_source(path))
        return path, document.source.text, change(document, scene)

    return each_scene(paths, rewritten)


def rewrite(path: str, text: str) -> None:
    """Replace a scene file's text: beside it first, then renamed; its mode stays, and so does a byte order mark.

    Raises:
        TakeError: It cannot be written; then it is as it was.
    """
    file = Path(path).resolve()
    with guarded(file, "make room, or make it a file that you may write"):
        mark = _BYTE_ORDER_MARK if file.read_bytes().startswith(_BYTE_ORDER_MARK) else b""
        clear_drafts(file.parent)
        with draft_beside(file) as (number, draft):
            with open(number, "wb", closefd=False) as text_file:
                text_file.write(mark + text.encode("utf-8"))
            shutil.copymode(file, draft)
            draft.replace(file)
