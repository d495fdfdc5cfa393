"""Snapshots: what is kept, what accepting changes, and how lines are found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tau_stage.checks.snapshot import (
    LineSnapshot,
    Snapshot,
    accept_snapshot,
    format_snapshot,
    parse_snapshot,
    read_snapshot,
    write_snapshot,
)
from tau_stage.checks.snapshot_diff import changed_lines, compare_snapshot, moved, pair_lines
from tau_stage.checks.verdict import Verdict
from tau_stage.errors import TakeError, UsageError
from tests.support.rehearsed_scene import Rehearsal, rehearse

pytestmark = pytest.mark.anyio

SCENE = """players: {ann: {voice: ash}, bob: {voice: coral}}
lines:
- ann: One.
- bob: Two.
- sfx: sounds/door.wav
- ann: Three.
- sfx: sounds/door.wav
- bob: Four.
  id: last
"""


def frozen(player: str, asked: str) -> LineSnapshot:
    none = dict.fromkeys(["length", "loudness", "silence", "clipping", "first_audio", "dead_air", "rate", "cost"])
    facts = {"player": player, "asked": asked, "said": asked, "direction": "", "ended": "completed", "pause": None}
    return LineSnapshot.model_validate({**facts, **none, "heard_by": (), "calls": (), "voice": None})


def lines(**asked: str) -> dict[str, LineSnapshot]:
    """Lines by id, with ``_`` for ``-``."""
    return {name.replace("_", "-"): frozen(name.partition("_")[0], words) for name, words in asked.items()}


def snapshot(**asked: str) -> Snapshot:
    return Snapshot(scene="x", players={}, cues={}, sounds={}, lines=lines(**asked))


# ---- which line is which


def test_lines_without_names_are_paired_by_their_words() -> None:
    old = lines(ann_1="A", bob_1="B", ann_2="C", ann_3="D")
    assert pair_lines(old, lines(bob_1="B", ann_1="C", ann_2="D")) == {
        "bob-1": "bob-1",
        "ann-2": "ann-1",
        "ann-3": "ann-2",
    }
    assert pair_lines(old, lines(ann_1="A", bob_1="B", ann_2="X", ann_3="D")) == {name: name for name in old}
    more = lines(ann_1="A", bob_1="B", ann_2="X", ann_3="C", ann_4="D")
    assert pair_lines(old, more) == {"ann-1": "ann-1", "bob-1": "bob-1", "ann-2": "ann-3", "ann-3": "ann-4"}
    swapped = lines(ann_1="C", bob_1="B", ann_2="A", ann_3="D")
    assert pair_lines(old, swapped) == {"ann-1": "ann-2", "bob-1": "bob-1", "ann-2": "ann-1", "ann-3": "ann-3"}


def test_a_name_is_that_line_whatever_it_says() -> None:
    assert pair_lines(lines(ann_door="A"), lines(ann_door="B")) == {"ann-door": "ann-door"}
    assert pair_lines(lines(ann_door="A"), lines(ann_1="A")) == {}


def test_as_few_lines_have_moved_as_tell_it() -> None:
    old = lines(ann_1="A", bob_1="B", ann_2="C")
    pairs = pair_lines(old, old)
    assert moved(pairs, lines(bob_1="B", ann_2="C", ann_1="A")) == ["ann-1"]
    assert moved(pairs, old) == []


# ---- the file


async def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    performed = await rehearse(SCENE, tmp_path)
    kept = performed.snapshot()
    assert parse_snapshot(format_snapshot(kept), Path("x")) == kept
    assert list(kept.lines) == ["ann-1", "bob-1", "ann-2", "last"]
    assert list(kept.sounds) == ["sounds/door.wav", "sounds/door.wav 2"]
    assert [effect.after for effect in kept.sounds.values()] == ["bob-1", "ann-2"]
    assert max(len(line) for line in format_snapshot(kept).splitlines()) < 120
    assert format_snapshot(kept).count("\n") < 20 * len(kept.lines) + 40


def test_what_is_no_snapshot_is_told(tmp_path: Path) -> None:
    file = tmp_path / "snapshots" / "x.json"
    assert read_snapshot(file) is None
    file.parent.mkdir()
    for text, problem in [
        ("{", "is not valid JSON"),
        ("[]", "is not a valid snapshot: the document"),
        (json.dumps({"version": 7}), "has version 7, but this tau-stage supports version 1"),
        (
            json.dumps({**json.loads(format_snapshot(snapshot(ann_1="A"))), "extra": 1}),
            "is not a valid snapshot: extra",
        ),
    ]:
        file.write_text(text)
        with pytest.raises(TakeError, match=problem):
            read_snapshot(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(TakeError, match="is not valid UTF-8"):
        read_snapshot(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(TakeError, match="cannot be read: is a directory"):
        read_snapshot(file)


def test_it_moves_only_where_something_differs(tmp_path: Path) -> None:
    file = tmp_path / "snapshots" / "x.json"
    assert write_snapshot(file, snapshot(ann_1="A"))
    assert not write_snapshot(file, snapshot(ann_1="A"))
    assert write_snapshot(file, snapshot(ann_1="B"))


def test_accepting_some_lines_leaves_the_others_byte_for_byte() -> None:
    old = snapshot(ann_1="A", bob_1="B", ann_2="C")
    new = snapshot(ann_1="X", bob_1="Y", ann_2="Z")
    assert format_snapshot(accept_snapshot(new, old, ["bob-1"])) == format_snapshot(old).replace('"B"', '"Y"')
    assert accept_snapshot(new, old) == new
    assert list(accept_snapshot(new, None, ["ann-2"]).lines) == ["ann-2"]
    more = snapshot(bob_0="S", ann_1="A", bob_1="B", cid_1="N", ann_2="C")
    assert list(accept_snapshot(more, old, ["cid-1", "bob-0"]).lines) == ["bob-0", "ann-1", "bob-1", "cid-1", "ann-2"]
    assert list(accept_snapshot(snapshot(ann_1="A"), old, ["bob-1"]).lines) == ["ann-1", "ann-2"]
    with pytest.raises(UsageError, match="no line 'bob-9'"):
        accept_snapshot(new, old, ["bob-9"])


# ---- against it


def failures(performed: Rehearsal, kept: Snapshot) -> list[str]:
    return [verdict.message for verdict in bad(performed, kept)]


def bad(performed: Rehearsal, kept: Snapshot) -> list[Verdict]:
    return [verdict for verdict in performed.check(kept) if not verdict.passed]


async def test_tolerances_are_the_scenes_and_the_lines_own(tmp_path: Path) -> None:
    kept = (await rehearse(SCENE, tmp_path)).snapshot()

    async def louder(text: str) -> list[str]:
        performed = await rehearse(text, tmp_path)
        figures = kept.lines["ann-1"].model_copy(update={"loudness": (kept.lines["ann-1"].loudness or 0) - 3})
        return failures(performed, kept.model_copy(update={"lines": {**kept.lines, "ann-1": figures}}))

    assert len(await louder(SCENE)) == 1
    assert await louder(f"expect: {{tolerances: {{loudness: 4 LU}}}}\n{SCENE}") == []
    assert await louder(f"expect: {{tolerances: {{loudness: off}}}}\n{SCENE}") == []
    line = SCENE.replace("- ann: One.\n", "- ann: One.\n  expect: {tolerances: {loudness: 20%}}\n")
    assert await louder(line) == []
    own = line.replace("20%", "1 LU")
    assert len(await louder(f"expect: {{tolerances: {{loudness: 4 LU}}}}\n{own}")) == 1


async def test_words_may_differ_by_a_share(tmp_path: Path) -> None:
    performed = await rehearse(SCENE, tmp_path)
    kept = performed.snapshot()
    changed = performed.told("ann-1", {"said": "Uno."})
    assert [verdict.what for verdict in bad(changed, kept)] == ["said"]
    lenient = await rehearse(f"expect: {{tolerances: {{words: 100%}}}}\n{SCENE}", tmp_path)
    assert bad(lenient.told("ann-1", {"said": "Uno."}), kept) == []


async def test_what_is_new_or_missing_is_named(tmp_path: Path) -> None:
    performed = await rehearse(SCENE, tmp_path)
    kept = performed.snapshot()
    added = await rehearse(SCENE + "- ann: Five.\n- sfx: sounds/mug.wav\n", tmp_path)
    assert [(verdict.of, verdict.line) for verdict in bad(added, kept)] == [("ann-3", 10), ("sounds/mug.wav", 11)]
    removed = await rehearse(SCENE.replace("- ann: One.\n", "").replace("- sfx: sounds/door.wav\n", "", 1), tmp_path)
    told = {(verdict.of, verdict.line) for verdict in bad(removed, kept) if verdict.what in ("line", "sound")}
    assert told == {("ann-1", 2), ("sounds/door.wav", 3)}
    cast = await rehearse(SCENE.replace("bob: {voice: coral}}", "bob: {voice: coral}, cid: {voice: sage}}"), tmp_path)
    assert "cid: player is new and not in the snapshot" in failures(cast, kept)
    assert "cid: player is missing" in failures(performed, cast.snapshot())


async def test_a_sound_that_is_heard_otherwise_is_told(tmp_path: Path) -> None:
    kept = (await rehearse(SCENE, tmp_path)).snapshot()
    other = SCENE.replace(
        "- sfx: sounds/door.wav\n- bob", "- sfx: sounds/door.wav\n  gain: -6 dB\n  heard: true\n- bob"
    )
    told = {(verdict.what, verdict.line) for verdict in bad(await rehearse(other, tmp_path), kept)}
    assert {("gain", 7), ("heard_by", 7)} <= told


async def test_a_cue_that_starts_more_often_is_told(tmp_path: Path) -> None:
    cue = "on:\n- said: Two\n  do:\n  - ann: Again.\n"
    kept = (await rehearse(SCENE + cue, tmp_path)).snapshot()
    twice = await rehearse(SCENE + cue.replace("Two", "Two|Four"), tmp_path)
    assert "cue-1: it started 2 times, was 1 time" in failures(twice, kept)
    assert any(verdict.of == "cue-1-ann-1.2" and verdict.line == 13 for verdict in bad(twice, kept))


async def test_who_is_told_something_else_is_named_with_all_its_lines(tmp_path: Path) -> None:
    kept = (await rehearse(SCENE, tmp_path)).snapshot()
    (verdict,) = bad(await rehearse(SCENE.replace("{voice: ash}", "{voice: ash, persona: A king.}"), tmp_path), kept)
    assert (verdict.of, verdict.lines, verdict.what) == ("ann", ("ann-1", "ann-2"), "direction")
    assert verdict.message == "ann: direction A king., was none"


async def test_a_call_is_compared_with_all_its_arguments(tmp_path: Path) -> None:
    text = (
        "players: {ann: {voice: ash}}\n"
        "tools: {lamp: {description: The listener wants light., returns: {ok: true}}}\n"
        "lines:\n- ann: Light!\n  tool_choice: lamp\n"
    )
    performed = await rehearse(text, tmp_path)
    kept = performed.snapshot()
    (call,) = performed.line("ann-1").calls
    odd = call.model_copy(update={"arguments": "{not json"})
    assert [verdict.what for verdict in bad(performed.told("ann-1", {"calls": (odd,)}), kept)] == ["calls"]


async def test_how_long_the_understudy_took_is_neither_kept_nor_a_change(tmp_path: Path) -> None:
    performed = (await rehearse(SCENE, tmp_path)).told("ann-1", {"first_audio_s": 0.1})
    busy = performed.told("ann-1", {"first_audio_s": 9.0})
    assert performed.snapshot() == busy.snapshot()
    assert busy.snapshot().lines["ann-1"].first_audio is None
    live = performed.on("openai").snapshot()
    assert live.lines["ann-1"].first_audio == 0.1
    assert bad(busy, live) == []
    assert changed_lines(live, busy.snapshot()) == []
    assert changed_lines(live, busy.on("openai").snapshot()) == ["ann-1"]


async def test_first_audio_may_come_sooner(tmp_path: Path) -> None:
    performed = (await rehearse(SCENE, tmp_path)).on("openai")
    kept = performed.told("ann-1", {"first_audio_s": 3.0}).snapshot()
    assert bad(performed, kept) == []


async def test_files_and_what_is_delivered_are_as_they_were(tmp_path: Path) -> None:
    performed = await rehearse(SCENE, tmp_path)
    files = {"sounds/door.wav": "1", "gone.wav": "2"}
    kept = performed.snapshot().model_copy(update={"deliver": {"rate": 48_000}, "files": files})
    assert failures(performed, kept) == [
        "gone.wav: the sound file gone.wav has been removed since the scene was accepted",
        "the scene: deliver: rate is 24000, was 48000",
        "sounds/door.wav: the sound file sounds/door.wav has been removed since the scene was accepted",
    ]


async def test_a_line_that_is_gone_stood_where_it_is_written_or_after_another(tmp_path: Path) -> None:
    performed = await rehearse(SCENE, tmp_path)
    old = performed.snapshot()
    old = old.model_copy(update={"lines": {"cid-1": frozen("cid", "Hm."), **old.lines, "cid-2": frozen("cid", "So?")}})
    now = performed.snapshot()
    now = now.model_copy(update={"lines": {name: now.lines[name] for name in now.lines if name != "ann-2"}})
    found = compare_snapshot(old, performed.plan, performed.take, performed.measures(), now)
    told = {verdict.of: verdict for verdict in found if not verdict.passed}
    assert [(name, told[name].line, told[name].message) for name in ("cid-1", "ann-2", "cid-2")] == [
        ("cid-1", 2, "cid-1: line is missing: “Hm.”"),
        ("ann-2", 6, "ann-2: line is missing: “Three.”"),
        ("cid-2", 8, "cid-2: line is missing: “So?”; it was after last"),
    ]


async def test_a_voice_that_says_something_else_may_be_further_away(tmp_path: Path) -> None:
    performed = await rehearse(SCENE, tmp_path)
    kept = performed.snapshot()

    def sounding(pitch: float, said: str) -> Snapshot:
        line = kept.lines["ann-1"].model_copy(update={"voice": (pitch, *[0.0] * 6), "said": said})
        return kept.model_copy(update={"lines": {**kept.lines, "ann-1": line}})

    def bad_of(now: Snapshot) -> list[str]:
        found = compare_snapshot(sounding(12.0, "One."), performed.plan, performed.take, performed.measures(), now)
        return [verdict.what for verdict in found if not verdict.passed]

    assert bad_of(sounding(16.0, "One.")) == ["voice"]
    assert bad_of(sounding(16.0, "Uno.")) == ["said"]
    assert changed_lines(sounding(12.0, "One."), sounding(12.5, "One.")) == []
    assert changed_lines(sounding(12.0, "One."), sounding(16.0, "One.")) == ["ann-1"]


def test_a_figure_beyond_its_tolerance_is_a_change() -> None:
    def long(seconds: float) -> Snapshot:
        line = frozen("ann", "A").model_copy(update={"length": seconds})
        return snapshot().model_copy(update={"lines": {"ann-1": line}})

    assert changed_lines(long(4.0), long(4.3)) == []
    assert changed_lines(long(4.0), long(5.2)) == ["ann-1"]
    assert changed_lines(snapshot(ann_1="A"), snapshot(ann_1="B")) == ["ann-1"]
