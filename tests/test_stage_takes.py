"""Several takes of one line, and one line of a take again."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tau_stage.audio.riff import read_chunks
from tau_stage.audio.wav import read_wav
from tau_stage.report.delivering import rebuild
from tau_stage.scene.plan import LinePlan, Plan
from tau_stage.stage.takes import TakeOption, pick_take
from tau_stage.take.folder import TakeFolder
from tau_stage.take.reuse import ReusedLines
from tau_stage.take.take_model import Take
from tau_stage.text import closeness
from tau_stage.understudy import faults as fault
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tests.support.in_memory_stage import Playhouse, plan_of, reused_for_retake
from tests.support.report_pages import read
from tests.support.tone_voice import Tones, tone

TRIO = """
pause: 300ms
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}
lines:
  - ann: Good evening to you all.
  - bob: Is it?
  - cid: It was.
  - ann: Now then.%s
  - bob: Now what?
"""


class Fickle(Tones):
    """Says a line otherwise each time it is asked."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        if "Now then." in request.user and self.said:
            words = self.said.pop(0)
            return SpokenLine(words, tone(request.voice, words))
        return await super().speak(request)


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


# ---- picking


@pytest.mark.parametrize("apart", ["", "\n    conversation: none"])
async def test_every_take_of_a_line_sounds_otherwise_on_the_understudy(house: Playhouse, apart: str) -> None:
    take = await house.perform(TRIO % f"\n    takes: 3\n    pick: first{apart}")
    line = take.lines[3]
    assert len({line.sha256, *(other.sha256 for other in line.alternatives)}) == 3
    assert house.received("ann", "error") == []
    again = await house.perform(TRIO % "")
    assert [each.sha256 for each in again.lines] == [each.sha256 for each in take.lines]


async def test_other_takes_are_in_every_session_on_the_page_and_in_the_sheet(house: Playhouse) -> None:
    take = await house.perform(TRIO % "\n    takes: 3\n    pick: first")
    rebuild(house.folder)
    folder, line = house.folder, take.lines[3]
    files = [str(line.file), *(str(other.file) for other in line.alternatives)]
    project = (folder.path / "session.rpp").read_text()
    assert [project.count(f'FILE "{file}"') for file in files] == [1, 1, 1]
    assert project.count('NAME "ann-2, take ') == 2
    timeline = json.loads((folder.path / "session.otio").read_text())
    clips = [clip for track in timeline["tracks"]["children"] for clip in track["children"] if clip["name"] == "ann-2"]
    assert clips[0]["active_media_reference_key"] == "take-1"
    references = clips[0]["media_references"]
    assert {key: told["target_url"] for key, told in references.items()} == {
        f"take-{number}": file for number, file in enumerate(files, 1)
    }
    rows = [row for row in csv.DictReader((folder.path / "sheet.csv").read_text().splitlines()) if row["id"] == "ann-2"]
    told = [(row["take"], row["picked"], row["file"]) for row in rows]
    assert told == [("1", "yes", files[0]), ("2", "", files[1]), ("3", "", files[2])]
    sheet = read(folder.report.read_text())
    (others,) = sheet.all("div", "takes")
    assert [button.attributes["data-url"] for button in others.all("button")] == [f"./{file}" for file in files[1:]]
    assert "tau-stage pick TAKE ann-2 2" in others.text
    assert all(b"bext" in read_chunks(folder.path / file) for file in files)


async def test_a_retake_takes_the_other_takes_of_a_line_over(house: Playhouse) -> None:
    folder, take, again, second = await again_of(house)
    assert [other.sha256 for other in second.lines[3].alternatives] == [o.sha256 for o in take.lines[3].alternatives]
    assert all((again.path / str(other.file)).is_file() for other in second.lines[3].alternatives)
    assert second.lines[3].cost.total == 0
    assert folder.path != again.path


async def again_of(house: Playhouse) -> tuple[TakeFolder, Take, TakeFolder, Take]:
    return await again(house, plan_of(TRIO % "\n    takes: 3"), "bob-1")


async def test_a_line_that_is_asked_for_once_more_is_no_other_take(tmp_path: Path) -> None:
    plain = await Playhouse(tmp_path / "a").perform(TRIO % "")
    house = Playhouse(tmp_path / "b", [fault.BreakOff(reason="who_knows")], judges=False)
    take = await house.perform(TRIO % "")
    assert take.lines[0].attempts == 2
    assert [line.sha256 for line in take.lines] == [line.sha256 for line in plain.lines]


@pytest.mark.parametrize(
    ("pick", "chosen"),
    [("closest", 2), ("first", 0), ("shortest", 1), ("ask", 2)],
)
def test_which_take_is_the_line(pick: str, chosen: int) -> None:
    options = [
        TakeOption("Now, man!", 2.0),
        TakeOption("Now.", 0.5),
        TakeOption("now then", 1.0),
        TakeOption("Now then.", 1.0),
    ]
    assert pick_take("*Now* then. [sighs]", options, pick) == chosen  # type: ignore[arg-type]


def test_words_are_the_same_however_they_are_written() -> None:
    options = [TakeOption("No, go.", 1.0), TakeOption("Don't go.", 1.0)]
    assert pick_take("Don’t go.", options, "closest") == 1
    options = [TakeOption("Twenty-two.", 1.0), TakeOption("twenty one", 1.0)]
    assert pick_take("[sighs] Twenty-one.", options, "closest") == 1


def test_a_take_that_broke_off_is_picked_only_where_all_did() -> None:
    broken = TakeOption("Now then.", 0.1, is_whole=False)
    assert pick_take("Now then.", [broken, TakeOption("Then now.", 2.0)], "closest") == 1
    assert pick_take("Now then.", [TakeOption("", 0.0), broken], "shortest") == 0
    assert closeness("", "") == 1.0


# ---- takes


async def test_one_of_several_takes_is_the_line_and_the_others_are_kept(house: Playhouse) -> None:
    house.understudy.actor = Fickle("Now, man.", "Now then.", "Then, now.")
    take = await house.perform(TRIO % "\n    takes: 3")
    line = take.lines[3]
    assert (line.said, line.take, line.attempts) == ("Now then.", 2, 1)
    assert [(other.take, other.said) for other in line.alternatives] == [(1, "Now, man."), (3, "Then, now.")]
    for other in line.alternatives:
        kept = read_wav(house.folder.path / str(other.file))
        assert (kept.sha256, len(kept)) == (other.sha256, other.samples)
    assert house.file(line) == tone("ash", "Now then.")
    assert house.heard("bob") == ["ann-1", "cid-1", "ann-2"]
    bill = house.understudy.visits[0].bill
    assert len(bill) == 4
    told = [usage["output_token_details"]["audio_tokens"] for usage in bill.values()]
    assert take.players[0].usage.audio_out == sum(told)
    assert not list(house.folder.path.rglob("*.part.wav"))


async def test_every_take_is_asked_for_in_the_same_conversation(house: Playhouse) -> None:
    house.understudy.actor = Fickle("Now then.", "Then, now.")
    await house.perform(TRIO % "\n    takes: 2\n    pick: first")
    asked = [event for event in house.sent("ann") if event["type"].startswith(("conversation.item", "response.create"))]
    kinds = [event["type"].removeprefix("conversation.item.") for event in asked[-9:]]
    # the line is put once; what was said first is taken back; what was picked is told again, as words
    assert kinds.count("delete") == 2
    said = [event["item"] for event in asked if event["type"] == "conversation.item.create"]
    assert sum(item["content"][0].get("text") == 'Perform this line: "Now then."' for item in said) == 1
    (told,) = [item for item in said if item["role"] == "assistant"]
    assert told["content"] == [{"type": "output_text", "text": "Now then."}]
    assert house.received("ann", "error") == []


async def test_somebody_may_choose(house: Playhouse) -> None:
    house.understudy.actor = Fickle("One.", "Two.", "Three.")
    shown: list[Sequence[TakeOption]] = []

    async def ask(line: LinePlan, options: Sequence[TakeOption]) -> int:
        assert line.id == "ann-2"
        shown.append(options)
        return 1

    take = await house.perform(TRIO % "\n    takes: 3\n    pick: ask", ask=ask)
    assert take.lines[3].said == "Two."
    assert [option.said for option in shown[0]] == ["One.", "Two.", "Three."]


# ---- retakes


async def performed(house: Playhouse, plan: Plan) -> tuple[TakeFolder, Take]:
    take = await house.perform(plan)
    return house.folder, take


async def again(house: Playhouse, plan: Plan, line: str, **options: bool) -> tuple[TakeFolder, Take, TakeFolder, Take]:
    """A scene performed, and one line of it again, in another way."""
    first, take = await performed(house, plan)
    house.understudy.visits.clear()
    house.sockets.clear()
    house.understudy.actor = Fickle("Now, then.")
    former = reused_for_retake(plan, first, take, line, **options)
    other = await house.perform(plan, former=former)
    return first, take, house.folder, other


async def test_a_retake_performs_one_line_and_takes_over_all_others(house: Playhouse) -> None:
    plan = plan_of(TRIO % "")
    first, take, second, other = await again(house, plan, "ann-2")
    assert other.ended == "complete"
    assert [line.former for line in other.lines] == [True, True, True, False, True]
    assert [line.outdated for line in other.lines] == [(), (), (), (), ("ann-2",)]
    assert other.lines[3].said == "Now, then."
    for old, new in zip(take.lines, other.lines, strict=True):
        if new.former:
            assert (first.path / str(old.file)).read_bytes() == (second.path / str(new.file)).read_bytes()
            assert {hearing.player for hearing in new.hearers} == {hearing.player for hearing in old.hearers}
    assert list(house.sockets) == ["ann"]
    assert sum(line.usage.audio_out for line in other.lines) == other.lines[3].usage.audio_out
    assert (len(house.understudy.visits[0].bill), other.cost.total) == (1, other.lines[3].cost.total)


async def test_who_retakes_a_line_has_heard_the_same_before(house: Playhouse) -> None:
    plan = plan_of(TRIO % "")
    first, take, _, _ = await again(house, plan, "ann-2")
    before = [read_wav(first.path / str(line.file)) for line in take.lines[1:3]]
    heard = list(house.understudy.visits[0].heard.values())
    assert heard[:2] == before
    assert house.items("ann")[:5] == [
        'user: Perform this line: "Good evening to you all."', "assistant: Good evening to you all.",
        "user: <bob-1>", "user: <cid-1>", 'user: Perform this line: "Now then."',
    ]  # fmt: skip


async def test_a_retake_through_performs_what_follows_again(house: Playhouse) -> None:
    plan = plan_of(TRIO % "")
    _, _, _, other = await again(house, plan, "ann-2", through=True)
    assert [line.former for line in other.lines] == [True, True, True, False, False]
    assert [line.outdated for line in other.lines] == [()] * 5
    assert sorted(house.sockets) == ["ann", "bob"]
    assert house.heard("bob")[-1] == "ann-2"


async def test_the_timeline_is_laid_anew(house: Playhouse) -> None:
    plan = plan_of(TRIO % "")
    _, take, second, other = await again(house, plan, "ann-2")
    longer = other.lines[3].samples - take.lines[3].samples
    assert longer
    assert other.lines[4].offset_samples == take.lines[4].offset_samples + longer
    assert read_wav(second.stems / "bob.wav")[other.lines[4].offset_samples :] == read_wav(
        second.path / str(other.lines[4].file)
    )


async def test_free_play_cues_people_and_effects_are_taken_over_too(house: Playhouse) -> None:
    plan = plan_of(
        """
players: {ann: {voice: ash}, bob: {voice: sage}, guest: {human: sounds/guest.wav}}
on: [{said: {player: ann, words: umbrella}, times: 1, do: [bob: Mine!]}]
lines:
  - bed: sounds/rain.wav
  - guest: Good evening.
  - ann: An umbrella.
  - sfx: sounds/mug.wav
  - improvise: {turns: 3}
  - listen: {player: ann, from: guest}
  - ann: Now then.
"""
    )
    _, take, _, other = await again(house, plan, "ann-2")
    assert [line.id for line in other.lines] == [line.id for line in take.lines]
    assert [line.id for line in other.lines if not line.former] == ["ann-2"]
    assert [line.offset_samples for line in other.lines] == [line.offset_samples for line in take.lines]
    assert [sound.id for sound in other.sounds] == [sound.id for sound in take.sounds]


async def test_a_line_that_is_not_there_cannot_be_retaken(house: Playhouse) -> None:
    plan = plan_of(TRIO % "")
    folder, take = await performed(house, plan)
    with pytest.raises(KeyError):
        reused_for_retake(plan, folder, take, "ann-9")


async def test_a_former_line_whose_sound_is_damaged_ends_the_retake_and_leaves_the_old_take(house: Playhouse) -> None:
    from tau_stage.errors import TakeError

    plan = plan_of(TRIO % "")
    folder, take = await performed(house, plan)
    (folder.path / str(take.lines[0].file)).write_bytes(b"RIFF")
    with pytest.raises(TakeError, match="cannot read the audio of line ann-1"):
        await house.perform(plan, former=reused_for_retake(plan, folder, take, "ann-2"))
    other = replace(ReusedLines(folder, {"ann-1": take.lines[1]}))
    assert other.sound(take.lines[1])
    with pytest.raises(TakeError, match="is not the audio of line bob-1: its sha256 differs"):
        other.sound(take.lines[1].model_copy(update={"sha256": "0"}))
