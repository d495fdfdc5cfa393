"""A scene has its measure: what just fits is taken, one more is a clear error; and names never leave their folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import SceneError
from tau_stage.scene.compose import MOST_FILLED, MOST_INCLUDED, MOST_VARIANTS, MOST_VARIED
from tau_stage.scene.load import MOST_PLAYERS, MOST_TOOLS, load_variants, parse_scene
from tau_stage.scene.names import LONGEST, is_device, shortened, slug
from tau_stage.scene.planner import make_plan
from tau_stage.scene.source import LARGEST_BYTES
from tau_stage.scene.validate import LONGEST_NAME
from tau_stage.scene.yaml_text import MOST_EXPANDED, MOST_VALUES
from tau_stage.scene.yaml_traps import DEEPEST
from tau_stage.text import LONGEST_PATTERN
from tests.support.growing_inputs import LINES, ONE, PLAYERS, numbered
from tests.test_stage_scene_tools import call  # noqa: F401 - a fixture

SCENE = "players: {ann: {voice: ash}}\nlines: [ann: Hello.]\n"


def read(text: str, folder: Path) -> int:
    (folder / "scene.yaml").write_text(text)
    return len(load_variants(folder / "scene.yaml"))


def sized(extra: int) -> str:
    return SCENE + "#" + "-" * (LARGEST_BYTES + extra - len(SCENE) - 1)


def deep(extra: int) -> str:
    return f"x-a: {'[' * (DEEPEST - 1 + extra)}{']' * (DEEPEST - 1 + extra)}\n{SCENE}"


def aliased(extra: int) -> str:
    return f"x-a: &a [{'l,' * 9}]\nx-b: [{'*a,' * (MOST_EXPANDED // 10 + extra)}]\n{SCENE}"


def included(extra: int) -> str:
    return f"include: [{'more.yaml,' * (MOST_INCLUDED + extra)}]\n{SCENE}"


def varied(extra: int) -> str:
    return f"matrix: {{a: [{','.join(map(str, range(MOST_VARIANTS + extra)))}]}}\n{SCENE}"


def filled(extra: int) -> str:
    value = "a" * 1000
    direction = "${v}" * (MOST_FILLED // 1000) + ("${w}" if extra else "")
    return f"vars: {{v: {value}, w: b}}\nplayers: {{ann: {{persona: '{direction}'}}}}\nlines: [ann: Hello.]\n"


def named(extra: int) -> str:
    name = "a" * (LONGEST_NAME + extra)
    return f"players: {{{name}: {{voice: ash}}}}\nlines: [{name}: Hello.]\n"


def searched(extra: int) -> str:
    pattern = "a" * (LONGEST_PATTERN + extra)
    return f"{PLAYERS}lines: [{{ann: Hello., expect: {{says: {{matches: {pattern}}}}}}}]\n"


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (searched, "a regular expression may have at most 10,000 characters, but this one has 10,001"),
        (sized, "the scene file is 2.1 MB, but the limit is 2.1 MB\n"),
        (deep, "nested more than 50 levels deep"),
        (aliased, "aliases expand to more than 10,000 values"),
        (included, "the scene includes 51 files, but the limit is 50"),
        (varied, "the matrix creates 101 variants, but the limit is 100"),
        (filled, "the variables insert more than 2,000,000 characters into the scene"),
        (named, "is not a valid player name, because names are used in file names"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_scene_has_its_measure(made: Callable[[int], str], told: str, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("pause: 0.5s\n")
    assert read(made(0), tmp_path) >= 1
    with pytest.raises(SceneError, match=re.escape(told)) as raised:
        read(made(1), tmp_path)
    assert raised.value.hint
    assert raised.value.also == ()


@pytest.mark.slow
def test_a_scene_has_a_hundred_thousand_values(tmp_path: Path) -> None:
    """Slow: they are all read."""
    assert read("x-a:\n" + "- a\n" * (MOST_VALUES - 8) + SCENE, tmp_path) == 1
    with pytest.raises(SceneError, match=rf":{MOST_VALUES}:3: the scene has more than 100,000 values"):
        read("x-a:\n" + "- a\n" * (MOST_VALUES + 1), tmp_path)


def test_a_bomb_of_variables_is_told_once() -> None:
    value, places = "a" * 100_000, "${v}" * 5_000
    text = f"vars: {{v: {value}}}\nplayers: {{ann: {{persona: '{places}', accent: '{places}'}}}}\nlines: [ann: Hi]\n"
    with pytest.raises(SceneError, match="more than 2,000,000 characters into the scene") as raised:
        parse_scene(text)
    assert raised.value.also == ()


# ---- names

HOSTILE = ("../..", "/etc/passwd", "a\0b", "A" * 300, "CON", "nul.wav", "com1 ", "x. ", "ﬁle", "аnn", "..\\x", "latest")


ANY_NAME = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=300))


@given(ANY_NAME)
def test_a_slug_is_a_file_of_its_folder_everywhere(name: str) -> None:
    made = slug(name)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-?", made)
    assert len(made) <= LONGEST + 1
    assert not is_device(f"{made}.wav")
    assert slug(made) in (made, made.rstrip("-"), f"{made.rstrip('-')}-")


@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=8))
def test_a_variant_has_a_short_name_of_its_own(values: list[str]) -> None:
    whole = "-".join(map(slug, values))
    made = shortened(whole)
    assert len(made) <= LONGEST
    assert shortened(f"{whole}-b") != made or whole == ""


@pytest.mark.parametrize(
    ("players", "told"),
    [
        ("Ann: , ann: ", "players 'Ann' and 'ann' would have the same file name 'ann'"),
        ("Zoë: , Zoe: ", "players 'Zoë' and 'Zoe' would have the same file name 'zoe'"),
        ("'\uff21nn': , ann: ", "would have the same file name 'ann'"),
        ("'Ж1': , 'Ш1': ", "players 'Ж1' and 'Ш1' would have the same file name '1'"),
        ("'../ann': ", "'../ann' is not a valid player name"),
        ("'ann ': ", "'ann ' is not a valid player name"),
        ("'C:ann': ", "'C:ann' is not a valid player name"),
    ],
)
def test_two_players_never_share_a_file(players: str, told: str) -> None:
    with pytest.raises(SceneError, match=re.escape(told)):
        parse_scene(f"players: {{{players}}}\nlines: [ann: Hello.]\n")


@pytest.mark.parametrize("name", ["con.wav", "NUL.mp3", "com1.x.wav", "../x.wav", "a\\b.wav"])
def test_the_mix_has_a_name_that_every_disk_takes(name: str) -> None:
    with pytest.raises(SceneError, match=r"cannot be the mix file name|is not a valid mix file name"):
        parse_scene(f"{SCENE}deliver: {{mix: {{file: '{name}'}}}}\n")


# ---- limits that keep products small


def problems(text: str) -> list[str]:
    with pytest.raises(SceneError) as caught:
        parse_scene(text)
    return [str(error) for error in (caught.value, *caught.value.also)]


def test_players_and_tools_are_as_many_as_a_scene_can_have() -> None:
    many = "players:\n" + "".join(f"  p{n}: {{}}\n" for n in range(MOST_PLAYERS + 1)) + "lines: [p0: Yes.]\n"
    assert "the scene has 201 players, but the limit is 200" in problems(many)[0]
    assert f"scene.yaml:{MOST_PLAYERS + 2}:3" in problems(many)[0]
    tools = ONE + "tools:\n" + "".join(f"  t{n}: {{returns: 1}}\n" for n in range(MOST_TOOLS + 1))
    assert "the scene has 1,001 tools, but the limit is 1,000" in problems(tools)[0]


def test_variants_of_a_long_scene_are_refused_before_they_are_read(tmp_path: Path) -> None:
    lines = MOST_VARIED // 200
    file = tmp_path / "scene.yaml"
    moods = ", ".join(f"m{n}" for n in range(100))
    file.write_text(f"matrix: {{mood: [{moods}]}}\n" + LINES + "  - ann: Yes.\n" * lines)
    with pytest.raises(SceneError, match="the 100 variants together have more than 300,000 values"):
        load_variants(file)


def test_lines_for_the_same_ears_share_the_list_of_them() -> None:
    plan = make_plan(parse_scene(LINES + "  - ann: Yes.\n  - bob: No.\n  - ann: So.\n"))
    one, _, three = plan.lines
    assert one.hearers == ("bob",)
    assert one.hearers is three.hearers


def test_free_play_again_and_again_shares_what_is_whispered() -> None:
    plan = make_plan(parse_scene(LINES + "  - improvise: {turns: 2}\n" * 2))
    one, two = plan.steps
    assert getattr(one, "whispers", None) is getattr(two, "whispers", 0)


def test_of_very_many_known_names_the_first_are_looked_at() -> None:
    tools = "tools:\n" + "".join(f"  tool-{n}: {{returns: 1}}\n" for n in range(400)) + "  lamp: {returns: 1}\n"
    told = problems(PLAYERS + tools + "lines:\n  - ann: Yes.\n    tools: [tool-1x, lampe]\n")
    assert "did you mean 'tool-1'?" in told[0]
    assert "define it under 'tools:'" in told[1]


def test_a_place_ends_at_the_first_brace_behind_it_and_an_open_one_is_text() -> None:
    scene = parse_scene("vars: {a: x}\n" + LINES + "  - ann: '${a} $${a} $${b ${'\n  - bob: '${a'\n")
    assert [getattr(line, "text", "") for line in scene.lines] == ["x ${a} ${b ${", "${a"]


def test_one_line_with_many_wrong_keys_is_looked_at_once() -> None:
    keys = numbered("key{n}: 1, ", 2_000)
    told = problems(PLAYERS + f"lines: [{{ann: Yes., {keys}}}]\n")
    assert len(told) == keys.count("key")
