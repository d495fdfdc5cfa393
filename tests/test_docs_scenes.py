"""Every block of docs/scenes.md and docs/scenes/ is performed, run or compared; every key stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tau_stage.audio.pcm import RATE
from tau_stage.checks.metrics import LIMITS
from tau_stage.checks.verdict import summary
from tau_stage.cost.forecasting import forecast
from tau_stage.errors import SceneError
from tau_stage.scene.delivery_options import Deliver, LineFiles, Mix
from tau_stage.scene.expect import CallWanted, Expect, Says, Tolerances
from tau_stage.scene.load import load_scene
from tau_stage.scene.model import (
    EVENTS,
    STEP_WORDS,
    Cascade,
    Cue,
    CutIn,
    Improvisation,
    Limits,
    Line,
    Listening,
    Player,
    Scene,
    SoundStep,
    Together,
    ToolDefinition,
)
from tau_stage.scene.planner import make_plan
from tau_stage.stage.people import people_of
from tau_stage.take.take_model import Take
from tests.support.in_memory_stage import SCENES, Playhouse
from tests.support.rehearsed_scene import rehearse
from tests.test_cli_validate import run

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [
    "scenes", "scenes/lines", "scenes/players", "scenes/steps", "scenes/hearing", "scenes/cues", "scenes/tools",
    "scenes/people", "scenes/scripts", "scenes/composition", "scenes/delivery", "scenes/expectations", "scenes/limits",
    "scenes/units",
]  # fmt: skip
TEXT = "".join((DOCS / f"{page}.md").read_text(encoding="utf-8") for page in PAGES)
PLAYERS = {
    "ann": "{voice: ash}",
    "bob": "{voice: coral}",
    "cid": "{voice: verse}",
    "guest": "{human: sounds/guest.wav}",
}
TOOLS = "tools:\n  lamp: {description: The listener wants the lamp on., returns: {ok: true}}\n"
FIRST = "ann: Good evening."
"""Before a fragment's steps; there is something to answer then."""


@dataclass(frozen=True)
class Block:
    """One block of the page.

    Attributes:
        section: The heading it stands under.
        marks: What the comment before it says: ``file``, ``wrong`` or ``in``, and of what.
        kind: yaml, sh, console...
        text: What stands in it.
    """

    section: str
    marks: tuple[str, str]
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.section}-{self.marks[1] or self.text.splitlines()[0]}"

    @property
    def scene(self) -> str:
        """The whole scene that a fragment is a part of."""
        indented = re.sub("^(?=.)", "  ", self.text, flags=re.MULTILINE)
        where = self.marks[1]
        own = set(re.findall(r"^([\w-]+):", self.text, re.MULTILINE))
        cast = {name: told for name, told in PLAYERS.items() if where != "players" or name not in own}
        parts = ["players:\n", *(f"  {name}: {told}\n" for name, told in cast.items())]
        parts += [indented] if where == "players" else []
        parts += [TOOLS] if "tools" not in own else []
        parts += [self.text] if where == "scene" else []
        if where == "lines":
            parts += [f"lines:\n  - {FIRST}\n", indented]
        elif "lines" not in own:
            parts += [f"lines:\n  - {FIRST}\n  - bob: Good evening, Ann.\n"]
        return "".join(parts)


def blocks() -> list[Block]:
    found, section = [], ""
    form = r"^#+ (?P<heading>[^\n]+)$|^(?:<!-- (?P<mark>\w+): (?P<what>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$"
    for part in re.finditer(form, TEXT, re.MULTILINE | re.DOTALL):
        if part["heading"]:
            section = re.sub(r"\W+", "-", part["heading"].lower()).strip("-")
        else:
            found.append(Block(section, (part["mark"] or "", part["what"] or ""), part["kind"], part["text"]))
    return found


BLOCKS = blocks()
FILES = {block.marks[1]: block.text for block in BLOCKS if block.marks[0] in ("file", "wrong")}
RIGHT = [
    block.marks[1]
    for block in BLOCKS
    if block.marks[0] == "file" and re.search("^(lines|script):", block.text, re.MULTILINE)
]
FRAGMENTS = [block for block in BLOCKS if block.marks[0] == "in"]
CONSOLES = [block for block in BLOCKS if block.kind in ("console", "sh")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every file of the page, beside the sounds of the repository's scenes."""
    place = tmp_path / "page"
    place.mkdir()
    (place / "sounds").symlink_to(SCENES / "sounds")
    for name, text in FILES.items():
        (place / name).write_text(text, encoding="utf-8")
    return place


async def performed(house: Playhouse, scene: Path, *, allow_tools: bool = False) -> Take:
    """A scene, planned, forecast and performed without a warning."""
    plan = make_plan(load_scene(scene))
    assert forecast(plan).lines
    take = await house.perform(plan, people=people_of(plan, stand_in=True), allow_tools=allow_tools)
    assert (take.ended, take.problem, take.warnings) == ("complete", "", ())
    return take


def test_every_page_of_scenes_is_read() -> None:
    assert {f"{page}.md" for page in PAGES[1:]} == {f"scenes/{file.name}" for file in (DOCS / "scenes").glob("*.md")}


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {block.kind for block in BLOCKS} == {"yaml", "sh", "console", "python", "fountain"}
    assert {block.marks[0] for block in BLOCKS if block.kind == "yaml"} == {"file", "wrong", "in"}
    assert {block.marks[1] for block in FRAGMENTS} == {"players", "lines", "scene"}
    assert RIGHT == ["ferry.yaml", "lamps.yaml", "door.yaml", "script.yaml", "shop.yaml", "tour.yaml"]
    assert len(BLOCKS) == TEXT.count("\n```") // 2


@pytest.mark.parametrize("name", [name for name in RIGHT if name != "lamps.yaml"])
async def test_each_scene_is_performed(name: str, folder: Path, tmp_path: Path) -> None:
    assert (await performed(Playhouse(tmp_path), folder / name)).lines


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_scene_whose_tools_are_code_is_performed(folder: Path, tmp_path: Path) -> None:
    """Slow: starts a program."""
    take = await performed(Playhouse(tmp_path), folder / "lamps.yaml", allow_tools=True)
    assert [(call.tool, call.output) for call in take.lines[0].calls] == [("lamp", '{"lamp":"on"}')]


@pytest.mark.parametrize("block", FRAGMENTS, ids=str)
async def test_each_fragment_is_performed(block: Block, folder: Path, tmp_path: Path) -> None:
    (folder / "scene.yaml").write_text(block.scene, encoding="utf-8")
    await performed(Playhouse(tmp_path), folder / "scene.yaml")


@pytest.mark.parametrize("name", [block.marks[1] for block in BLOCKS if block.marks[0] == "wrong"])
def test_each_mistake_is_one(name: str, folder: Path) -> None:
    with pytest.raises(SceneError):
        load_scene(folder / name)


# ---- what is typed, and what is printed


def commands(block: Block) -> list[tuple[list[str], list[str]]]:
    """The commands of a block, and what they print."""
    if block.kind == "sh":
        return [(shlex.split(line, comments=True), ["..."]) for line in block.text.splitlines()]
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)[1:]
    return [(shlex.split(typed), out.splitlines()) for typed, out in zip(parts[::2], parts[1::2], strict=True)]


def is_slow(block: Block) -> bool:
    return any(words[1] == "run" for words, _ in commands(block))


def is_printed(expected: list[str], printed: str, *, exactly: bool) -> bool:
    """Whether lines are what was printed; ``...`` stands for any, and sums differ from run to run."""

    def plain(line: str) -> str:
        return line if exactly else " ".join(re.sub(r"\d{8}T\w+-\w{6}|[\d,]*\d(\.\d+)?", "0", line).split())

    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(plain(line)) + "\n" for line in expected)
    return bool(re.fullmatch(pattern, "".join(f"{plain(line)}\n" for line in printed.splitlines())))


def typed(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    for name in ("OPENAI_API_KEY", "TAU_STAGE_ENDPOINT", "TAU_STAGE_API_KEY", "TAU_STAGE_UNDERSTUDY"):
        monkeypatch.delenv(name, raising=False)
    for (program, *words), expected in commands(block):
        assert program == "tau-stage"
        code, text = run(*words), "\n".join(expected)
        said = capsys.readouterr()
        assert is_printed(expected, said.err + said.out, exactly=words[0] not in ("run", "plan")), said
        assert code == (2 if "hint: " in text else "would change" in text)


@pytest.mark.parametrize("block", [block for block in CONSOLES if not is_slow(block)], ids=str)
def test_each_command_prints_what_stands_there(
    block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(block, folder, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in CONSOLES if is_slow(block)], ids=str)
def test_each_performance_prints_what_stands_there(
    block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: the embedded understudy, with its neural voices."""
    typed(block, folder, monkeypatch, capsys)


# ---- what the page says of its blocks


async def take_of(section: str, folder: Path, tmp_path: Path, number: int = 0) -> Take:
    block = [block for block in FRAGMENTS if block.section == section][number]
    (folder / "scene.yaml").write_text(block.scene, encoding="utf-8")
    return await performed(Playhouse(tmp_path), folder / "scene.yaml")


async def test_words_are_spoken_as_they_stand(folder: Path, tmp_path: Path) -> None:
    take = await take_of("the-line", folder, tmp_path)
    assert [line.said for line in take.lines[1:]] == [
        "There you are! I had almost given up.", "(Nobody) had almost given up.", "Yes", "007, at 1:30",
    ]  # fmt: skip


async def test_only_bob_hears_an_aside(folder: Path, tmp_path: Path) -> None:
    line = (await take_of("the-line", folder, tmp_path, 1)).lines[-1]
    assert (line.id, line.direction, [hearing.player for hearing in line.hearers]) == (
        "hush",
        "(very) quietly",
        ["bob"],
    )


async def test_a_pause_is_added_to_that_of_the_line_before(folder: Path, tmp_path: Path) -> None:
    *_, ann, bob = (await take_of("pause", folder, tmp_path)).lines
    assert bob.offset_samples == ann.offset_samples + ann.samples + round(2.5 * RATE)


async def test_who_is_cut_stops_after_the_overlap(folder: Path, tmp_path: Path) -> None:
    *_, ann, bob = (await take_of("cutting-in", folder, tmp_path)).lines
    assert (ann.reason, ann.samples) == ("cut_in", round(1.2 * RATE))
    assert bob.offset_samples == ann.offset_samples + round(0.9 * RATE)


async def test_who_speaks_together_begins_at_the_same_sample(folder: Path, tmp_path: Path) -> None:
    take = await take_of("together", folder, tmp_path)
    assert len({line.offset_samples for line in take.lines[1:]} | {take.sounds[0].offset_samples}) == 1
    assert all(len(line.hearers) == 2 for line in take.lines)


async def test_free_play_ends_with_its_first_end(folder: Path, tmp_path: Path) -> None:
    take = await take_of("improvise", folder, tmp_path, 1)
    turns = [line.id for line in take.lines[1:]]
    assert turns == [f"improvise-1-{number + 1}" for number in range(len(turns))]
    assert 1 <= len(turns) <= 4


async def test_the_tool_of_the_page_is_called(folder: Path, tmp_path: Path) -> None:
    take = await take_of("tools", folder, tmp_path)
    (call,) = take.lines[-1].calls
    assert (call.tool, call.output) == ("get_order_status", '{"status":"on its way","days":2}')


async def test_what_happened_decides_what_is_said(folder: Path, tmp_path: Path) -> None:
    take = await take_of("cues-and-when", folder, tmp_path, 1)
    assert [line.said for line in take.lines[1:]] == ["Fire!", "Where?", "It is dark."]


async def test_a_cue_speaks_before_the_next_step(folder: Path, tmp_path: Path) -> None:
    block = next(block for block in FRAGMENTS if block.section == "cues-and-when")
    (folder / "scene.yaml").write_text(block.scene.replace(FIRST, "ann: An umbrella!"), encoding="utf-8")
    take = await performed(Playhouse(tmp_path), folder / "scene.yaml")
    assert [line.id for line in take.lines] == ["ann-1", "cue-1-bob-1", "bob-1"]


async def test_a_screenplay_is_performed_as_far_as_it_is_spoken(folder: Path, tmp_path: Path) -> None:
    take = await performed(Playhouse(tmp_path), folder / "shop.yaml")
    one, two, three = sorted(take.lines, key=lambda line: (line.offset_samples, line.id != "tourist-1"))
    assert (one.direction, one.asked) == ("nervously", "I am afraid that is [a cough] the last one.")
    assert two.offset_samples == three.offset_samples


async def test_without_written_words_a_recording_is_inaudible_but_for_the_words_of_a_line(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copy(SCENES / "sounds" / "guest.wav", folder / "strange.wav")
    head = "players: {ann: {turn_detection: {silence: 800ms}}, guest: {human: strange.wav}}\n"
    (folder / "scene.yaml").write_text(head + "lines: [guest: Good evening., {listen: ann}]")
    take = await performed(Playhouse(tmp_path), folder / "scene.yaml")
    assert [line.said for line in take.lines if line.human] == ["Good evening.", "[inaudible]"]


def test_what_the_scene_says_itself_wins(folder: Path) -> None:
    plan = make_plan(load_scene(folder / "tour.yaml", {"city": "Bergen"}))
    assert {player.name: player.voice for player in plan.players} == {"guide": "cedar", "guest": "sage"}
    assert (plan.slug, plan.lines[0].words) == ("tour.calm", "Welcome to Bergen. This is the old harbour.")


async def test_what_the_page_expects_is_met(tmp_path: Path) -> None:
    block = next(block for block in FRAGMENTS if block.section == "expectations")
    verdicts = (await rehearse(block.scene, tmp_path)).check()
    assert [str(verdict) for verdict in verdicts if not verdict.passed] == []
    assert f"`{summary(verdicts)}`" in TEXT


def test_the_page_has_the_table_of_tolerances() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]*\|$", TEXT.split("## Snapshots")[1], re.MULTILINE)
    told = {}
    for name, limit in rows[: len(LIMITS)]:
        wish = getattr(Tolerances.model_validate({name: limit.strip()}), name)
        told[name] = (wish.absolute or 0.0, wish.relative or 0.0)
    assert told == {name: (limit.absolute, limit.relative) for name, limit in LIMITS.items()}


# ---- that nothing is missing


def keys(heading: str) -> set[str]:
    """The keys of a section's table."""
    section = re.split(r"^#", TEXT.split(f"# {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    (table,) = re.findall(r"^\| key \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", section, re.MULTILINE)
    return {key for row in table.splitlines() for key in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("The line", {*Line.options()}),
        ("Players", {*Player.options()}),
        ("Improvise", {*Improvisation.options()}),
        ("Listen", {*Listening.options()}),
        ("Tools", {*ToolDefinition.options()}),
        ("Composition", {"include", "vars", "matrix"}),
        ("Delivery", {*Deliver.options(), *Mix.options(), *LineFiles.options()}),
        ("Expectations", {*Expect.options(), *Says.options(), *CallWanted.options()}),
        ("Before you spend", {*Limits.options()}),
    ],
)
def test_each_table_has_every_key_and_no_other(heading: str, known: set[str]) -> None:
    assert keys(heading) == known


def test_the_table_of_players_says_what_cascades() -> None:
    rows = re.findall(r"^\| (.+?) \|.*\| (yes|no) \|$", TEXT, re.MULTILINE)
    cascading = {key for cell, yes in rows if yes == "yes" for key in re.findall(r"`([^`]+)`", cell)}
    assert cascading == {*Cascade.options()}


def test_every_word_of_the_language_stands_there() -> None:
    models = (
        Scene,
        Deliver,
        Mix,
        LineFiles,
        Cue,
        SoundStep,
        Together,
        CutIn,
        Expect,
        Says,
        CallWanted,
        *EVENTS.values(),
    )
    known = {key for model in models for key in model.options()} | STEP_WORDS | EVENTS.keys() | {"not"}
    spans = set(re.findall(r"`([^`\n]+)`", TEXT))
    words = {word for span in spans for word in re.findall(r"(?:^|[{ ,])([\w-]+)(?=:|$)", span)}
    assert known - words == set()
