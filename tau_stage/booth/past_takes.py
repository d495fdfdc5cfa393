"""Takes that are over, as a page replays them: the journal's records, and the files of the folder."""

from __future__ import annotations

from pathlib import Path

from tau_stage.booth.hub import Hub, Source
from tau_stage.protocol import JsonObject
from tau_stage.take import read_journal, read_take


def attach(hub: Hub, path: Path) -> Source:
    """Let pages replay a take.

    Args:
        hub: Of the booth.
        path: The take's folder, or a link to it.

    Raises:
        TakeError: There is none, or it is broken.
    """
    folder, take = read_take(path)
    mix = folder.mix
    hello: JsonObject = {
        "kind": "take",
        "name": take.scene.slug,
        "title": take.scene.title,
        "players": [
            {"name": each.name, "voice": each.voice, "model": each.model, "human": each.human} for each in take.players
        ],
        "lines": [
            {"id": line.id, "player": line.player, "words": line.asked, "direction": line.direction}
            for line in take.lines
        ],
        "folder": str(folder.path.absolute()),
        "mix": mix.name if mix else None,
        "seconds": take.samples / take.rate,
        "ended": take.ended,
        "can": ["retake", "pick"],
    }
    source = hub.join(hello, None)
    source.gone = "it is over"
    for record in read_journal(folder.journal):
        hub.keep_record(source, record.at_s, record.model_dump(mode="json"))
    return source
