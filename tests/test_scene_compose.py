"""Scenes made of parts: included files, variables, variants, and scripts in place of lines."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from tau_stage.errors import SceneError
from tau_stage.scene.compose import fill_text
from tau_stage.scene.delivery_options import Deliver, LineFiles, Mix
from tau_stage.scene.load import load_scene, load_variants, load_varied, parse_scene
from tau_stage.scene.plan import Plan, TogetherPlan
from tau_stage.scene.planner import make_plan
from tests.support.tone_voice import write_tone

HEAD = "players: {ann: , ben: }\nlines:\n"


def written(folder: Path, **files: str) -> Path:
    """A scene, and files beside it."""
    for name, text in files.items():
        (folder / f"{name}.{'fountain' if name == 'play' else 'yaml'}").write_text(text)
    return folder / "scene.yaml"


def plan_of(path: Path) -> Plan:
    return make_plan(load_scene(path))


def refused(path: Path | str, given: dict[str, str] | None = None, only: Sequence[str] = ()) -> list[str]:
    """What is said of a scene that cannot be performed, without places."""
    with pytest.raises(SceneError) as raised:
        load_variants(path, given or {}, only)
    return [f"{error.problem} | {error.hint}" for error in (raised.value, *raised.value.also)]


# ---- include


def test_included_files_hold_players_tools_and_defaults(tmp_path: Path) -> None:
    scene = written(
        tmp_path,
        scene="include: [house.yaml, '', cast.yaml]\n"
        "vars: {city: Oslo}\nplayers: {ben: {voice: sage}}\nlines:\n- ann: Hello\n- ben: ${city}, ${street}\n",
        house="x-a: 1\naccent: Welsh\npersona: A neighbour\nvars: {city: Rome, street: Main}\n",
        cast="accent: plain\nplayers:\n  ann: {voice: echo}\n  ben: {voice: ash}\ntools: {lights_on: {returns: '1'}}\n",
    )
    plan = plan_of(scene)
    assert {player.name: player.voice for player in plan.players} == {"ann": "echo", "ben": "sage"}
    assert plan.player("ann").instructions == "A neighbour\nSpeak in plain."
    assert plan.lines[1].words == "Oslo, Main"
    assert plan.tools["lights_on"].returns == "1"


def test_what_the_scene_says_wins(tmp_path: Path) -> None:
    scene = written(
        tmp_path, scene=f"include: cast.yaml\nvoice: sage\n{HEAD}- ann: Hi\n", cast="voice: ash\npause: 2s\n"
    )
    plan = plan_of(scene)
    assert (plan.players[0].voice, plan.lines[0].pause_s) == ("sage", 2)


def test_what_is_included_from_a_folder_lies_beside_the_scene(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    write_tone(tmp_path / "guest.wav")
    scene = written(tmp_path, scene="include: parts/cast.yaml\nlines:\n- guest: Hi\n")
    (tmp_path / "parts" / "cast.yaml").write_text("players: {guest: {human: guest.wav}}\n")
    assert plan_of(scene).people[0].human == "guest.wav"


def test_errors_point_into_the_included_file(tmp_path: Path) -> None:
    scene = written(tmp_path, scene="include: cast.yaml\nlines:\n- bob: Hi\n", cast="players:\n  ann: {voise: ash}\n")
    with pytest.raises(SceneError) as raised:
        load_scene(scene)
    errors = (raised.value, *raised.value.also)
    assert [(Path(error.path).name, error.line, error.column) for error in errors] == [
        ("scene.yaml", 3, 3), ("cast.yaml", 2, 9),
    ]  # fmt: skip


# ---- variables


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${city}", "Oslo"),
        ("In ${city}, ${city}!", "In Oslo, Oslo!"),
        ("$${city} costs $5", "${city} costs $5"),
        ("$city ${}", None),
        ("${my-name_2}", "x"),
    ],
)
def test_variables_stand_in_texts(text: str, words: str | None) -> None:
    scene = f"vars: {{city: Oslo, my-name_2: x}}\n{HEAD}- ann: '{text}'\n"
    if words is None:
        with pytest.raises(SceneError, match="unknown variable ''"):
            parse_scene(scene)
    else:
        assert make_plan(parse_scene(scene)).lines[0].words == words


def test_variables_fill_whatever_is_text_but_no_name() -> None:
    scene = parse_scene(
        "scene: The ${city} case\nvars: {city: Oslo, who: ben, s: 2s}\nplayers: {ann: {accent: '${city}'}, ben: }\n"
        "lines:\n- ann: (as in ${city}) Hi\n  to: ['${who}']\n  pause: ${s}\n  metadata: {id: '${city}'}\n",
        given={"city": "Rome"},
    )
    plan = make_plan(scene)
    line = plan.lines[0]
    assert (plan.title, plan.slug) == ("The Rome case", "scene")
    assert (line.direction, line.hearers, line.pause_s, line.metadata) == ("as in Rome", ("ben",), 2, {"id": "Rome"})
    assert plan.player("ann").instructions == "Speak in Rome."


def test_a_variable_from_outside_must_be_the_scenes(tmp_path: Path) -> None:
    scene = written(tmp_path, scene=f"vars: {{city: Oslo}}\n{HEAD}- ann: Hi\n")
    assert refused(scene, {"citty": "Rome", "zoo": "Rome"}) == [
        "unknown variable 'citty' | did you mean 'city'?",
        "unknown variable 'zoo' | variables: city",
    ]
    bare = written(tmp_path, scene=f"{HEAD}- ann: Hi\n")
    assert refused(bare, {"city": "Rome"}) == ["unknown variable 'city' | variables: none"]


# ---- matrix

MATRIX = "scene: Moods\nvars: {who: you}\nmatrix: {mood: [calm, Very cross], n: ['1', '2']}\n" + HEAD


def test_a_matrix_makes_every_combination(tmp_path: Path) -> None:
    scene = written(tmp_path, scene=MATRIX + "- ann: ${mood} ${n} ${who}\n")
    plans = [make_plan(variant) for variant in load_variants(scene, {"who": "me"})]
    assert [plan.variant for plan in plans] == ["calm-1", "calm-2", "very-cross-1", "very-cross-2"]
    assert [plan.lines[0].words for plan in plans][1:3] == ["calm 2 me", "Very cross 1 me"]
    assert plans[3].slug == "scene.very-cross-2"
    assert make_plan(load_scene(scene)).variant == "calm-1"


def test_one_variant_is_chosen_by_its_name(tmp_path: Path) -> None:
    scene = written(tmp_path, scene=MATRIX + "- ann: ${mood} ${n}\n")
    (variant,) = load_variants(scene, only=["very-cross-1"])
    both = load_variants(scene, only=["very-cross-1", "calm-2"])
    assert sorted(each.variant for each in both) == ["calm-2", "very-cross-1"]
    assert make_plan(variant).lines[0].words == "Very cross 1"
    assert refused(scene, only=["calm-3"]) == ["unknown variant 'calm-3' | did you mean 'calm-2'?"]
    assert refused(scene, only=["zzz"]) == [
        "unknown variant 'zzz' | variants: calm-1, calm-2, very-cross-1, very-cross-2"
    ]
    bare = written(tmp_path, scene=f"{HEAD}- ann: Hi\n")
    assert refused(bare, only=["calm"]) == ["unknown variant 'calm' | the scene has no matrix"]


def test_what_is_varied_is_not_given(tmp_path: Path) -> None:
    scene = written(tmp_path, scene=MATRIX + "- ann: ${mood} ${n}\n")
    assert refused(scene, {"mood": "calm"}) == [
        "'mood' is in the matrix, but a value was also given | use --only to choose one variant"
    ]


# ---- scripts


def test_a_script_stands_for_lines() -> None:
    plan = make_plan(
        parse_scene(
            "players: {clerk: , tourist: }\nscript: |\n"
            "  CLERK: (nervously) I'm afraid: that's [sighs] *it* #3\n    and so on.\n\n  # a comment\n"
            "  - pause: 2s\n  - tourist: Oh?\n    to: 'nobody'\n  TOURIST: Can I have it?\n"
        )
    )
    assert [line.words for line in plan.lines] == [
        "I'm afraid: that's [sighs] *it* #3 and so on.",
        "Oh?",
        "Can I have it?",
    ]
    assert [step.source_line for step in plan.steps] == [3, 7, 8, 10]
    assert plan.lines[1].hearers == ()


@pytest.mark.parametrize(
    "text",
    [
        "  players: {ann: }\n  script: |\n    ANN: Hi\n    - pause: 1s\n",
        "players: {ann: }\n? script\n: |\n  ANN: Hi\n  - pause: 1s\n",
        "players: {ann: }\n'script': |\n  ANN: Hi\n  - pause: 1s\n",
    ],
)
def test_a_script_may_stand_wherever_yaml_lets_it(text: str) -> None:
    assert len(make_plan(parse_scene(text)).steps) == 2


def test_numbers_in_items_of_a_script_are_read_as_ever() -> None:
    scene = "players: {ann: }\nscript: |\n  ANN: Hi\n  - pause: 3\n  ANN: Ho\n  - ann: Hm\n    id: a/b\n"
    with pytest.raises(SceneError) as raised:
        parse_scene(scene)
    errors = (raised.value, *raised.value.also)
    assert [(error.line, error.column) for error in errors] == [(4, 12), (7, 9)]


FOUNTAIN = """\
Title: The last umbrella

INT. SHOP - DAY

CLERK
(nervously)
The last one.

TOURIST ^
The last one?!

GHOST ^
Boo.

CLERK
So.
"""


def test_a_screenplay_stands_for_lines(tmp_path: Path) -> None:
    scene = written(tmp_path, scene="players: {clerk: , tourist: , ghost: }\nscript: play.fountain\n", play=FOUNTAIN)
    plan = plan_of(scene)
    assert isinstance(plan.steps[0], TogetherPlan)
    assert [(line.id, line.direction, line.source_line) for line in plan.lines] == [
        ("clerk-1", "nervously", 6), ("tourist-1", "", 10), ("ghost-1", "", 13), ("clerk-2", "", 16),
    ]  # fmt: skip


def test_a_first_speech_is_together_with_nobody(tmp_path: Path) -> None:
    scene = written(tmp_path, scene="players: {ann: }\nscript: play.fountain\n", play="ANN ^\nHi.\n")
    assert [line.words for line in plan_of(scene).lines] == ["Hi."]


def test_errors_point_into_the_screenplay(tmp_path: Path) -> None:
    play = FOUNTAIN.replace("So.", "(low").replace("Boo.", "(boo")
    scene = written(tmp_path, scene="players: {clerk: , tourist: , ghost: }\nscript: play.fountain\n", play=play)
    with pytest.raises(SceneError) as raised:
        load_scene(scene)
    errors = (raised.value, *raised.value.also)
    assert [(Path(error.path).name, error.line, error.column) for error in errors] == [
        ("play.fountain", 13, 1), ("play.fountain", 16, 1),
    ]  # fmt: skip


def test_a_screenplay_that_is_no_text(tmp_path: Path) -> None:
    scene = written(tmp_path, scene="players: {ann: }\nscript: play.fountain\n", play="ANN\nHi \x07.\n")
    with pytest.raises(SceneError, match=r"play\.fountain:2:4: a scene must be text"):
        load_scene(scene)


EPISODE = """\
# Episode 1
- pause: 2s
[00:01] ANN: Well
  then.

00:00:04,000 --> 00:00:05,000
**Ben:** (low) So.
- ann: "Yes: no"
  id: yes
"""


@pytest.mark.parametrize("name", ["episode.txt", "episode.MD"])
def test_a_text_stands_for_lines_too(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(EPISODE)
    plan = plan_of(written(tmp_path, scene=f"players: {{ann: , ben: }}\nscript: {name}\n"))
    assert [(line.id, line.direction, line.words, line.source_line) for line in plan.lines] == [
        ("ann-1", "", "Well then.", 3), ("ben-1", "low", "So.", 7), ("yes", "", "Yes: no", 8),
    ]  # fmt: skip
    assert [type(step).__name__ for step in plan.steps] == ["PausePlan", "LinePlan", "LinePlan", "LinePlan"]


def test_errors_point_into_the_text(tmp_path: Path) -> None:
    (tmp_path / "episode.txt").write_text(EPISODE.replace("So.", "").replace("2s", "2").replace("yes\n", "yes?\n"))
    scene = written(tmp_path, scene="players: {ann: , ben: }\nscript: episode.txt\n")
    with pytest.raises(SceneError) as raised:
        load_scene(scene)
    errors = (raised.value, *raised.value.also)
    assert [(Path(error.path).name, error.line, error.column) for error in errors] == [
        ("episode.txt", 2, 10), ("episode.txt", 7, 10), ("episode.txt", 9, 7),
    ]  # fmt: skip


ZOE, ALSO_ZOE = "Zoë", "Zoe\u0308"


@pytest.mark.parametrize(
    "text",
    [
        "  - ann: Hi.\n    to: [{0}]",
        "  - ann: Hi.\n    to: {0}",
        "  - {0}: Hi.",
        "  - {0}: Hi.\n  - ann: Hm.\n    cut_in: {0}\n    when: {{not: {{said: {{words: x, player: {0}}}}}}}",
        "  - prompt: {{{0}: Whisper.}}\n  - {0}: Hi.",
        "  - improvise: {{players: [ann, {0}], order: [{0}, ann], turns: 2}}",
        "  - ann: Hi.\n    expect: {{heard_by: [{0}]}}",
    ],
)
def test_names_that_look_the_same_mean_the_same_player(text: str) -> None:
    plans = []
    for player, named in ((ZOE, ALSO_ZOE), (ALSO_ZOE, ZOE), (ZOE, ZOE)):
        scene = f"players: {{ann: , {player}: {{voice: coral}}}}\nlines:\n{text.format(named)}\n"
        plans.append(make_plan(parse_scene(scene)))
    assert plans[0].players == plans[1].players == plans[2].players
    assert plans[0].steps == plans[1].steps == plans[2].steps


def test_a_name_without_its_blank_is_told_of_however_it_is_composed() -> None:
    assert (
        refused_text(f"players: {{{ZOE}: }}\nlines:\n  - {ALSO_ZOE}:Hi.\n")
        == f"write it like this:\n    - {ALSO_ZOE}: Hi."
    )


def refused_text(text: str) -> str:
    with pytest.raises(SceneError) as raised:
        parse_scene(text)
    return raised.value.hint


def test_a_variant_is_found_however_its_value_is_written(tmp_path: Path) -> None:
    text = f"players: {{ann: }}\nmatrix: {{who: [{ZOE}, 幽霊, か\u3099]}}\nlines:\n  - ann: ${{who}}\n"
    scene = written(tmp_path, scene=text)
    for only in ("zoe", ZOE, ALSO_ZOE, "ZOË"):
        assert [each.variant for each in load_variants(scene, {}, [only])] == ["zoe"]
    assert [each.vars for each in load_variants(scene, {}, ["が"])] == [
        each.vars for each in load_variants(scene, {}, ["か\u3099"])
    ]


def test_what_is_laid_over_a_scene_wins(tmp_path: Path) -> None:
    (tmp_path / "scene.yaml").write_text("players: {ann: {voice: ash}, bob: {voice: sage}}\nlines: [{ann: Hello.}]\n")
    (tmp_path / "cast.yaml").write_text("players: {ann: {voice: coral}}\n")
    path, cast = str(tmp_path / "scene.yaml"), str(tmp_path / "cast.yaml")
    (scene,) = load_variants(path, overlays=[cast])
    assert {name: player.voice for name, player in scene.players.items()} == {"ann": "coral", "bob": "sage"}
    with pytest.raises(SceneError, match=r"cast\.none"):
        load_variants(path, overlays=[str(tmp_path / "cast.none")])


def test_of_a_file_that_is_laid_over_for_its_deliver_nothing_else_counts(tmp_path: Path) -> None:
    text = (
        "players: {ann: }\nlines: [{ann: Hello.}]\ndeliver: {stereo: true, mix: {loudness: -18 LUFS, peak: -2 dBTP}}\n"
    )
    (tmp_path / "scene.yaml").write_text(text)
    other = tmp_path / "batch.yaml"
    other.write_text("scenes: [scene.yaml]\ndeliver: {rate: 48 kHz, mix: {peak: -3 dBTP}, lines: {}}\n")
    (scene,) = load_variants(tmp_path / "scene.yaml", overlays=[f"{other}#deliver"])
    mix = Mix(loudness=-18.0, peak=-3.0)
    assert scene.deliver == Deliver(rate=48_000, stereo=True, mix=mix, lines=LineFiles())
    other.write_text("deliver: {mix: {peak: 3 dBTP}}\n")
    with pytest.raises(SceneError, match=r"batch\.yaml:1:23: peak must be from -20 to 0 dBTP"):
        load_variants(tmp_path / "scene.yaml", overlays=[f"{other}#deliver"])
    other.write_text("scenes: [scene.yaml]\n")
    assert load_variants(tmp_path / "scene.yaml", overlays=[f"{other}#deliver"])[0].deliver.rate == 24_000


def test_a_scene_is_loaded_for_several_sets_of_variables(tmp_path: Path) -> None:
    scene = tmp_path / "scene.yaml"
    scene.write_text("vars: {who: you}\nplayers: {ann: {voice: ash}}\nlines: [{ann: 'Hello, ${who}.'}]\n")
    plans = [make_plan(each) for each in load_varied(str(scene), [{"who": "me"}, {}])]
    assert [plan.lines[0].words for plan in plans] == ["Hello, me.", "Hello, you."]


def test_variables_are_filled_in_where_no_scene_file_is() -> None:
    assert fill_text("$${a} is ${a}, ${ not", {"a": "b"}) == "${a} is b, ${ not"
    with pytest.raises(PydanticCustomError, match="unknown variable 'b'"):
        fill_text("${b}", {"a": "b"})
