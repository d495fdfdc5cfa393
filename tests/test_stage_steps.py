"""Every step and option, performed on a virtual clock, and looked at from the server's side."""

from __future__ import annotations

from pathlib import Path

import anyio
import numpy as np
import pytest

from tau_stage.audio.files import read_audio
from tau_stage.audio.pcm import RATE
from tau_stage.audio.wav import WavWriter
from tau_stage.take import records as record
from tau_stage.understudy import faults as fault
from tests.support.in_memory_stage import SCENES, Playhouse
from tests.support.tone_voice import tone

HEAD = """
pause: 300ms
players:
  ann: {voice: ash}
  bob: {voice: sage}
  cid: {voice: coral}
"""
LONG = "I have a very long story to tell you, and it is going to take all of the evening and most of the night."


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


def starts(take: object) -> dict[str, int]:
    return {line.id: line.offset_samples for line in take.lines}  # type: ignore[attr-defined]


# ---- items


async def test_items_are_put_into_one_conversation_and_nobody_answers(house: Playhouse) -> None:
    take = await house.perform(
        HEAD
        + """
lines:
  - prompt: {ann: Whisper from now on., bob: Be loud.}
  - user: {ann: Where are you?}
  - assistant: {ann: I am here.}
  - user: {bob: {wav: sounds/mug.wav}}
  - ann: One.
"""
    )
    assert take.ended == "complete"
    assert house.items("ann")[:3] == ["system: Whisper from now on.", "user: Where are you?", "assistant: I am here."]
    assert house.items("bob")[0] == "system: Be loud."
    (sound,) = [event for event in house.sent("bob", "conversation.item.create") if "heard" not in event["item"]["id"]][
        1:
    ]
    audio = read_audio(SCENES / "sounds/mug.wav").base64.decode()
    assert sound["item"]["content"] == [{"type": "input_audio", "audio": audio}]
    assert [(fact.player, fact.role) for fact in house.facts(record.ItemGiven)] == [
        ("ann", "system"), ("bob", "system"), ("ann", "user"), ("ann", "assistant"), ("bob", "user"),
    ]  # fmt: skip


async def test_setup_is_there_before_the_first_line(house: Playhouse) -> None:
    await house.perform(
        """
players: {ann: {setup: [system: You are blind., user: Who goes there?, assistant: Nobody.]}}
lines: [ann: One.]
"""
    )
    assert house.items("ann") == [
        "system: You are blind.", "user: Who goes there?", "assistant: Nobody.", 'user: Perform this line: "One."',
    ]  # fmt: skip


# ---- pauses, effects, beds


async def test_a_pause_is_added_to_the_pause_of_the_line_before(house: Playhouse) -> None:
    take = await house.perform(
        HEAD + "lines: [ann: One., pause: 700ms, bob: Two., {pause: 1s, when: {said: Never}}, ann: Three.]"
    )
    one, two, three = take.lines
    assert two.offset_samples == one.samples + RATE
    assert three.offset_samples == two.offset_samples + two.samples + round(0.3 * RATE)
    assert len(house.facts(record.StepSkipped)) == 1


async def test_a_pause_at_the_end_is_silence_at_the_end_of_the_take(house: Playhouse) -> None:
    take = await house.perform(HEAD + "lines: [bed: sounds/rain.wav, ann: One., pause: 1s, pause: 1s]")
    assert take.samples == take.lines[0].samples + round(2.3 * RATE)
    assert take.sounds[0].samples == take.samples == len(house.stem("ann")) == len(house.stem("bed-rain"))


async def test_an_effect_stands_between_lines_on_a_stem_of_its_own_and_nobody_hears_it(house: Playhouse) -> None:
    take = await house.perform(HEAD + "lines: [ann: One., {sfx: sounds/mug.wav, gain: -6 dB, pause: 1s}, bob: Two.]")
    one, two = take.lines
    mug = read_audio(SCENES / "sounds/mug.wav", -6.0)
    (effect,) = take.sounds
    assert effect.offset_samples == one.samples + round(0.3 * RATE)
    assert two.offset_samples == effect.offset_samples + len(mug) + RATE
    stem = house.stem("sfx-mug")
    assert stem[effect.offset_samples : effect.offset_samples + len(mug)] == mug
    assert len(stem) == len(house.stem("ann")) == take.samples
    assert house.heard("cid") == ["ann-1", "bob-1"]
    assert (effect.stem, effect.source, effect.sha256) == ("stems/sfx-mug.wav", "sounds/mug.wav", mug.sha256)


async def test_an_effect_is_heard_where_it_is_to_be_and_waited_for(house: Playhouse) -> None:
    take = await house.perform(HEAD + "lines: [{sfx: sounds/mug.wav, heard: true}, bob: Two.]")
    assert house.heard("ann") == ["sfx-1", "bob-1"]
    assert house.heard("bob") == ["sfx-1"]
    assert all(hearing.heard_at_s is not None for hearing in take.sounds[0].hearers)


async def test_a_bed_lies_under_lines_until_its_line_has_ended(house: Playhouse) -> None:
    take = await house.perform(
        HEAD
        + "lines: [ann: One., {bed: sounds/rain.wav, gain: -20 dB, until: bob-1}, bob: Two and three and four.,"
        + " ann: Five.]"
    )
    one, two, _ = take.lines
    (bed,) = take.sounds
    assert bed.offset_samples == one.samples + round(0.3 * RATE) == two.offset_samples
    assert bed.samples == two.samples
    stem = house.stem("bed-rain").array
    assert not stem[: bed.offset_samples].any()
    rain = read_audio(SCENES / "sounds/rain.wav", -20.0).array
    end = bed.offset_samples + bed.samples
    assert np.array_equal(stem[bed.offset_samples + 2400 : end - 2400], rain[2400 : bed.samples - 2400])
    assert not stem[end:].any()
    assert len(house.facts(record.BedEnded)) == 1


async def test_a_bed_without_end_lasts_as_long_as_the_lines(house: Playhouse) -> None:
    take = await house.perform(HEAD + f"lines: [bed: sounds/rain.wav, ann: '{LONG}', bob: '{LONG}', ann: '{LONG}']")
    assert take.sounds[0].samples == take.samples
    assert take.samples > 4 * RATE
    assert house.stem("bed-rain").array[4 * RATE : 5 * RATE].any()


@pytest.mark.parametrize("lines", ["ann: One., bed: sounds/rain.wav", "ann: One., pause: 2s, bed: sounds/rain.wav"])
async def test_a_bed_with_nothing_over_it_is_not_heard(house: Playhouse, lines: str) -> None:
    take = await house.perform(HEAD + f"lines: [{lines}]")
    assert take.ended == "complete"
    assert [bed.samples for bed in take.sounds] == [0]
    assert len(house.stem("bed-rain")) >= take.samples >= take.sounds[0].offset_samples


async def test_a_bed_before_a_stop_at_the_budget_is_not_heard(house: Playhouse) -> None:
    take = await house.perform(
        HEAD + "lines: [pause: 1s, bed: sounds/rain.wav, ann: One.]\nlimits: {budget: $0.0000001}"
    )
    assert take.ended == "budget"
    assert [bed.samples for bed in take.sounds] == [0]


async def test_a_sound_that_is_odd_is_told_of_once(house: Playhouse, tmp_path: Path) -> None:
    with WavWriter(tmp_path / "nothing.wav") as file:
        file.silence(RATE)
    await house.perform(HEAD + f"lines: [sfx: {tmp_path}/nothing.wav, ann: One., sfx: {tmp_path}/nothing.wav]")
    told = [fact.text for fact in house.facts(record.Warned)]
    assert told == [f"{tmp_path}/nothing.wav is silent"]


async def test_a_bed_without_end_lasts_as_long_as_what_is_heard_last(house: Playhouse) -> None:
    take = await house.perform(HEAD + "lines: [bed: sounds/rain.wav, ann: One., sfx: sounds/door.wav]")
    assert take.sounds[0].samples == take.samples == len(house.stem("bed-rain"))


# ---- together, and cut in


async def test_who_speaks_together_begins_at_once_and_is_heard_by_all_others(house: Playhouse) -> None:
    take = await house.perform(
        HEAD
        + "lines: [cid: Zero., {together: [ann: One., bob: Two three four., {sfx: sounds/mug.wav}], pause: 1s},"
        + " cid: Five.]"
    )
    at = starts(take)
    assert at["ann-1"] == at["bob-1"] == take.sounds[0].offset_samples
    ends = [line.offset_samples + line.samples for line in take.lines[:3]]
    longest = max([*ends, at["ann-1"] + take.sounds[0].samples])
    assert at["cid-2"] == longest + RATE
    assert sorted(house.heard("cid")) == ["ann-1", "bob-1"]
    assert house.heard("ann") == ["cid-1", "bob-1", "cid-2"]
    assert house.heard("bob") == ["cid-1", "ann-1", "cid-2"]


async def test_a_line_that_is_cut_is_truncated_to_the_sample_that_was_heard(house: Playhouse) -> None:
    take = await house.perform(
        HEAD
        + f"lines: [ann: '{LONG}', {{bob: Stop it at once!, cut_in: {{on: ann, after: 901ms, overlap: 150ms}}}},"
        + " cid: So.]"
    )
    one, two, three = take.lines
    whole = tone("ash", LONG)
    assert one.samples == 1051 * RATE // 1000
    assert house.file(one) == whole[: one.samples]
    assert two.offset_samples == 901 * RATE // 1000
    assert three.offset_samples == two.offset_samples + two.samples + round(0.3 * RATE)
    assert (one.ended, one.reason, one.said) == (
        "cancelled",
        "cut_in",
        "I have a very long story to tell you, and it is-",
    )
    (cut,) = house.sent("ann", "conversation.item.truncate")
    assert cut["audio_end_ms"] == 1051
    assert len(house.received("ann", "conversation.item.truncated")) == 1
    assert house.received("ann", "error") == []
    assert house.heard("bob") == ["ann-1", "cid-1"]
    assert house.heard("cid") == ["ann-1", "bob-1"]
    ann, bob = house.stem("ann").array, house.stem("bob").array
    assert ann[two.offset_samples : one.samples].any()
    assert bob[two.offset_samples : one.samples].any()
    assert not ann[one.samples :].any()
    assert take.warnings == ()
    assert one.usage.audio_out > 0


async def test_a_line_that_ends_before_it_is_cut_stays_whole(house: Playhouse) -> None:
    take = await house.perform(HEAD + "lines: [ann: One., {bob: Two., cut_in: {on: ann, after: 5s}}]")
    one, two = take.lines
    assert (one.ended, one.reason) == ("completed", None)
    assert two.offset_samples == one.samples
    assert house.sent("ann", "conversation.item.truncate") == []


async def test_a_line_that_was_sent_whole_before_it_is_cut_is_truncated_without_a_cancel(house: Playhouse) -> None:
    take = await house.perform(
        HEAD + "lines: [ann: One two three., {bob: Two., cut_in: {after: 100ms, overlap: 50ms}}]"
    )
    assert take.lines[0].samples == 150 * RATE // 1000
    assert house.sent("ann", "conversation.item.truncate")[0]["audio_end_ms"] == 150
    assert house.received("ann", "error") == []


# ---- hearing


async def test_an_aside_reaches_nobody_else(house: Playhouse) -> None:
    take = await house.perform(HEAD + "lines: [{ann: Psst., to: [cid]}, bob: What?, {ann: Nothing., to: nobody}]")
    assert house.heard("bob") == []
    assert house.heard("cid") == ["ann-1", "bob-1"]
    assert [[hearing.player for hearing in line.hearers] for line in take.lines] == [["cid"], ["ann", "cid"], []]


async def test_who_hears_as_text_reads_and_who_is_told_speakers_knows_them(house: Playhouse) -> None:
    await house.perform(
        """
label_speakers: true
players: {ann: , bob: {hears_as: text}, cid: {label_speakers: false}}
lines: [ann: One., bob: Two.]
"""
    )
    assert house.items("bob")[0] == "user: ann: One."
    assert house.items("ann")[-2:] == ["user: bob says:", "user: <bob-1>"]
    assert house.items("cid") == ["user: <ann-1>", "user: <bob-1>"]


# ---- improvised lines, and improvisation


async def test_an_improvised_line_answers_what_was_heard(house: Playhouse) -> None:
    take = await house.perform(
        HEAD + "lines: [ann: Where is my umbrella?, {bob: , improvise: Be evasive.}, {cid: , improvise: }]"
    )
    _, answer, other = take.lines
    assert "umbrella" in answer.said.lower()
    assert (answer.asked, answer.scripted, other.scripted) == ("", False, False)
    assert "system: Be evasive." in house.items("bob")
    assert not [item for item in house.items("cid") if item.startswith("system")]
    assert house.heard("ann") == ["bob-1", "cid-1"]


async def test_free_play_goes_on_until_its_turns_are_taken(house: Playhouse) -> None:
    take = await house.perform(
        HEAD
        + "lines: [ann: The ferry is late., {improvise: {players: [ann, bob], about: the ferry, turns: 4}}, cid: End.]"
    )
    assert [line.id for line in take.lines] == ["ann-1", *(f"improvise-1-{n}" for n in range(1, 5)), "cid-1"]
    assert [line.player for line in take.lines[1:5]] == ["bob", "ann", "bob", "ann"]
    assert all(line.said for line in take.lines)
    assert (
        "system: You are bob. With you play: ann. It is about: the ferry. Answer what you hear" in house.items("bob")[1]
    )
    assert house.heard("cid") == [line.id for line in take.lines[:5]]


async def test_free_play_ends_when_nobody_says_anything(house: Playhouse) -> None:
    take = await house.perform(
        """
players: {ann: , bob: }
lines: [{improvise: {turns: 9, about: Say nothing. You are mute}}, ann: One.]
"""
    )
    assert take.ended == "complete"
    assert [(line.said, line.file, line.hearers) for line in take.lines[:-1]] == [("", None, ())] * (
        len(take.lines) - 1
    )
    assert len(take.lines) <= 10


# ---- what a line may take


async def test_a_line_beside_the_conversation_is_not_remembered(house: Playhouse) -> None:
    take = await house.perform(HEAD + "lines: [{ann: One., conversation: none}, ann: Two.]")
    assert [line.said for line in take.lines] == ["One.", "Two."]
    assert house.items("ann") == ['user: Perform this line: "Two."']
    first, second = house.sent("ann", "response.create")
    assert first["response"]["conversation"] == "none"
    assert "conversation" not in second["response"]
    assert take.lines[1].usage.audio_in == 0


async def test_options_of_a_line_go_with_its_response(house: Playhouse) -> None:
    await house.perform(
        HEAD
        + "tools: {lamp: {returns: ok}}\n"
        + "lines: [{ann: One., metadata: {shot: 12a}, output: text, reasoning: low, tools: [lamp], tool_choice: lamp},"
        + " bob: Two.]"
    )
    asked = house.sent("ann", "response.create")[0]["response"]
    assert asked["metadata"]["shot"] == "12a"
    assert asked["metadata"]["line"] == "ann-1"
    assert (asked["output_modalities"], asked["reasoning"]) == (["text"], {"effort": "low"})
    assert [tool["name"] for tool in asked["tools"]] == ["lamp"]
    assert asked["tool_choice"] == {"type": "function", "name": "lamp"}
    assert house.sent("bob", "response.create")[0]["response"]["tool_choice"] == "none"


# ---- cues


async def test_a_cue_is_performed_in_any_session_and_told(house: Playhouse) -> None:
    take = await house.perform(
        HEAD + "on: [{said: {player: ann, words: umbrella}, do: [{prompt: {bob: Yours is gone.}}, bob: Mine!]}]\n"
        "lines: [ann: An umbrella., cid: So?]"
    )
    assert [line.id for line in take.lines] == ["ann-1", "cue-1-bob-1", "cid-1"]
    assert "system: Yours is gone." in house.items("bob")
    assert [(fact.cue, fact.source_line) for fact in house.facts(record.CueStarted)] == [("cue-1", 7)]


async def test_a_cycle_of_cues_is_ended_by_its_limit(house: Playhouse) -> None:
    take = await house.perform(HEAD + "limits: {cues: 3}\non: [{said: ping, do: [bob: ping]}]\nlines: [ann: ping]")
    assert take.ended == "limit"
    assert "test.yaml:8: the cue would start again, but limits.cues is 3" in take.problem
    assert len(take.lines) == 4


async def test_a_failure_that_a_cue_waits_for_does_not_end_the_scene(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.FailResponses(times=1, code="content_filter", message="No.")])
    scene = HEAD + "on: [{error: {player: ann}, do: [bob: She cannot.]}]\nlines: [ann: One., cid: Two.]"
    take = await house.perform(scene)
    assert (take.ended, [line.id for line in take.lines]) == ("complete", ["cue-1-bob-1", "cid-1"])
    assert take.warnings == (
        "line ann-1, player ann: the model refused (content_filter): No; the scene continued without the line",
    )
    without = Playhouse(tmp_path / "b", faults=[fault.FailResponses(times=1, code="content_filter", message="No.")])
    assert (await without.perform(HEAD + "lines: [ann: One., cid: Two.]")).ended == "failed"


async def test_a_failure_in_free_play_is_a_pass_where_a_cue_waits_for_it(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.FailResponses(times=1, code="content_filter", message="No.")])
    take = await house.perform(
        HEAD + "on: [{error: any, do: [cid: Hm.]}]\nlines: [{improvise: {players: [ann, bob], turns: 2}}]"
    )
    assert [line.player for line in take.lines] == ["cid", "bob", "ann"]


async def test_a_cue_that_starts_again_refers_to_its_own_lines(house: Playhouse) -> None:
    take = await house.perform(
        HEAD
        + f"on: [{{said: again, do: [ann: '{LONG}', {{bob: Stop it at once!, cut_in: {{after: 500ms}}}},"
        + " {bed: sounds/rain.wav, until: cue-1-cid-1}, cid: So.]}]\n"
        + "lines: [bob: again, cid: Well., bob: again]"
    )
    at = starts(take)
    assert at["cue-1-bob-1"] == at["cue-1-ann-1"] + RATE // 2
    assert at["cue-1-bob-1.2"] == at["cue-1-ann-1.2"] + RATE // 2
    assert len(house.facts(record.BedEnded)) == 2


async def test_a_line_is_not_cut_by_one_that_is_left_out(house: Playhouse) -> None:
    take = await house.perform(
        HEAD + f"lines: [ann: '{LONG}', {{bob: Stop!, cut_in: {{after: 500ms}}, when: {{said: never}}}}, cid: So.]"
    )
    assert [(line.id, line.ended) for line in take.lines] == [("ann-1", "completed"), ("cid-1", "completed")]
    assert house.file(take.lines[0]) == tone("ash", LONG)


async def test_who_cuts_in_comes_before_the_cues_of_the_line_that_is_cut(house: Playhouse) -> None:
    take = await house.perform(
        HEAD
        + "on: [{said: {player: ann, words: story}, do: [cid: A story!]}]\n"
        + f"lines: [ann: '{LONG}', {{bob: Stop it at once!, cut_in: {{after: 1s}}}}]"
    )
    assert [line.id for line in take.lines] == ["ann-1", "bob-1", "cue-1-cid-1"]
    ends = [line.offset_samples + line.samples for line in take.lines]
    assert take.lines[1].offset_samples == RATE
    assert take.lines[2].offset_samples == ends[1] + round(0.3 * RATE)


async def test_one_who_fails_does_not_silence_who_speaks_together_with_it(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "in_response", visit=visit) for visit in (2, 4, 5)])
    take = await house.perform(
        HEAD
        + "on: [{error: bob, times: 1, do: [cid: Oh.]}]\n"
        + f"lines: [{{together: [ann: '{LONG}', bob: Two.]}}, cid: Three.]"
    )
    assert take.ended == "complete"
    assert [line.id for line in take.lines] == ["ann-1", "cue-1-cid-1", "cid-1"]
    assert house.file(take.lines[0]) == tone("ash", LONG)
    assert [fact.line for fact in house.facts(record.LineLost)] == ["bob-1"]


async def test_a_cue_for_failures_does_not_start_itself(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "in_response", visit=visit) for visit in (2, 4, 5, 6)])
    take = await house.perform(HEAD + "on: [{error: any, do: [bob: Sorry.]}]\nlines: [ann: One., bob: Two., cid: 3.]")
    assert take.ended == "failed"
    assert "player bob: the session was closed" in take.problem
    assert len(house.facts(record.CueStarted)) == 1


# ---- pace


async def test_in_real_time_each_line_is_waited_for(house: Playhouse) -> None:
    began = anyio.current_time()
    take = await house.perform(HEAD + f"pace: realtime\nlines: [ann: '{LONG}', bob: '{LONG}']")
    took = anyio.current_time() - began
    spoken = sum(line.duration_s for line in take.lines)
    assert spoken - 0.1 <= took <= spoken + 2


@pytest.mark.slow
async def test_a_pattern_that_would_search_for_ever_ends_the_scene(house: Playhouse) -> None:
    """Slow: a search may take a quarter of a second."""
    cue = "on: [{said: '^(a|aa)+$', do: [bob: Yes.]}]"
    take = await house.perform(HEAD + f"{cue}\nlines: [ann: {'a' * 80}b, bob: So.]")
    assert take.ended == "limit"
    assert "the regular expression '^(a|aa)+$' takes too long" in str(take.problem)
