"""``tau-stage import`` and ``tau-stage cast``: from a table to scenes to go on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.scene import Line, cast_entries, load_cast, load_scene, make_plan
from tau_stage.scene.load import parse_scene
from tau_stage.tables import LineTable, Place, Sheet, TableLine, scene_text, scenes_of_table
from tests.test_cli_validate import run

TABLE = (
    "Line ID,Character,Text,Notes,Scene\n"
    'k-1,ANN,"(well) ${x} [no] ""hm"" # - a: b",softly ${y},Harbour\n'
    'k-2,Old Ben,"Line\ntwo",,Harbour\n'
    "k-3,Cléo,- Hi,,Quay\n"
    "k-4,ann,Yo,,Quay\n"
)
CAST = """# The speakers in dialogue.csv.
players:
  ANN: {voice: alloy}  # 2 lines
  Old Ben: {voice: ash}  # 1 line
  Cléo: {voice: ballad}  # 1 line
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dialogue.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def test_a_cast_has_everybody_who_speaks_with_a_voice(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cast", "dialogue.csv") == 0
    assert (here / "cast.yaml").read_text(encoding="utf-8") == CAST
    assert run("cast", "dialogue.csv") == 0
    assert (here / "cast.yaml").read_text(encoding="utf-8") == CAST
    said = capsys.readouterr().out.splitlines()
    assert said == ["wrote cast.yaml: 3 players", "unchanged cast.yaml: it already contains every speaker"]


def test_a_cast_that_is_there_gets_who_is_missing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = "# mine\nplayers:   # all\n    Old Ben: {voice: alloy, accent: Irish}\n    Ann: \n\nspeed: 1.1  # so\n"
    (here / "cast.yaml").write_text(old)
    assert run("cast", "dialogue.csv") == 0
    new = old.replace("    Ann: \n", "    Ann: \n    Cléo: {voice: ash}  # 1 line\n")
    assert (here / "cast.yaml").read_text(encoding="utf-8") == new
    assert capsys.readouterr().out == "added 1 player to cast.yaml\n"


@pytest.mark.parametrize(("endpoint", "voice"), [("xai", "{voice: altair}"), ("speaches", "{}")])
def test_voices_are_those_of_the_casts_endpoint(endpoint: str, voice: str, here: Path) -> None:
    (here / "cast.yaml").write_text(f"endpoint: {endpoint}\nplayers:\n  Ann:\n  Old Ben:\n")
    assert run("cast", "dialogue.csv") == 0
    assert (here / "cast.yaml").read_text(encoding="utf-8").endswith(f"  Cléo: {voice}  # 1 line\n")
    assert len(load_cast(here / "cast.yaml").players) == 3


def test_voices_are_shared_when_none_is_left(here: Path) -> None:
    rows = "".join(f"x{number},P{number},Hi,,s\n" for number in range(11))
    (here / "dialogue.csv").write_text("Line ID,Character,Text,Notes,Scene\n" + rows)
    assert run("cast", "dialogue.csv") == 0
    assert (here / "cast.yaml").read_text().endswith("  P10: {voice: alloy}  # 1 line; alloy is also the voice of P0\n")
    assert len(load_cast(here / "cast.yaml").players) == 11


def test_scenes_are_written_with_ids_and_words_as_they_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cast", "dialogue.csv") == 0
    assert run("import", "dialogue.csv", "--cast", "cast.yaml") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "wrote scenes/harbour.yaml",
        "wrote scenes/quay.yaml",
        "4 lines in 2 scenes",
    ]
    plans = [make_plan(load_scene(here / "scenes" / name)) for name in ("harbour.yaml", "quay.yaml")]
    assert [(line.id, line.player, line.words, line.direction) for plan in plans for line in plan.lines] == [
        ("k-1", "ANN", '(well) ${x} [no] "hm" # - a: b', "softly ${y}"),
        ("k-2", "Old Ben", "Line\ntwo", ""),
        ("k-3", "Cléo", "- Hi", ""),
        ("k-4", "ANN", "Yo", ""),
    ]
    assert [[player.name for player in plan.players] for plan in plans] == [["ANN", "Old Ben"], ["ANN", "Cléo"]]
    assert [plan.warnings for plan in plans] == [(), ()]


def test_no_file_is_overwritten_unasked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cast.yaml").write_text(CAST, encoding="utf-8")
    (here / "scenes").mkdir()
    (here / "scenes" / "quay.yaml").write_text("mine")
    assert run("import", "dialogue.csv", "--cast", "cast.yaml") == 2
    assert [file.name for file in (here / "scenes").iterdir()] == ["quay.yaml"]
    assert (
        "scenes/quay.yaml would be overwritten\n  hint: choose another folder with --out, or add --force"
        in capsys.readouterr().err
    )
    assert run("import", "dialogue.csv", "--cast", "cast.yaml", "--force") == 0
    assert load_scene(here / "scenes" / "quay.yaml").title == "Quay"


def test_a_player_is_copied_as_it_is_seen_from_its_scene(here: Path) -> None:
    (here / "voices" / "ben").mkdir(parents=True)
    (here / "cover.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (here / "cast.yaml").write_text(
        "direction: Be calm.\ndeliver: {mix: {file: mix.mp3, cover: cover.png}}\n"
        "players:\n  ann: {hears: [Old Ben, Cléo]}\n  Cléo: {hears: Old Ben}\n"
        "  Old Ben: {human: mic, stand_in: voices/ben}\n",
        encoding="utf-8",
    )
    assert run("import", "dialogue.csv", "--cast", "cast.yaml") == 0
    harbour, quay = (load_scene(here / "scenes" / name) for name in ("harbour.yaml", "quay.yaml"))
    assert (harbour.players["ann"].hears, harbour.players["Old Ben"].stand_in) == (("Old Ben",), "../voices/ben")
    assert harbour.deliver.mix is not None
    assert harbour.deliver.mix.cover == "../cover.png"
    assert (quay.players["ann"].hears, quay.players["Cléo"].hears, quay.direction) == (("Cléo",), "nobody", "Be calm.")


def test_columns_and_the_kind_of_a_table_may_be_given(here: Path) -> None:
    (here / "x.dat").write_text("Nr;Wer;Was\n1;Ann;Hallo\n")
    given = ["--format", "plain", "--column", "id=Nr", "--column", "player=Wer", "--column", "words=Was"]
    assert run("cast", "x.dat", *given) == 0
    assert run("import", "x.dat", "--cast", "cast.yaml", *given) == 0
    (line,) = load_scene(here / "scenes" / "x.yaml").lines
    assert isinstance(line, Line)
    assert (line.id, line.speaker, line.text) == ("1", "Ann", "Hallo")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["cast", "dialogue.csv", "--column", "Text"], "--column expects a name and a value, not 'Text'"),
        (["cast", "none.csv"], "none.csv:1:1: the table does not exist"),
        (
            ["cast", "bad.csv"],
            "bad.csv:2:2: B2 (Character): 'A/B' is not a valid player name, because names are used in file names",
        ),
        (["import", "dialogue.csv", "--cast", "none.yaml"], "none.yaml:1:1: the cast file does not exist"),
        (
            ["import", "dialogue.csv", "--cast", "ann.yaml"],
            "dialogue.csv:3:2: B3 (Character): unknown player 'Old Ben'",
        ),
        (
            ["import", "big.csv", "--cast", "ann.yaml"],
            "the scene 'big' of big.csv would be 2.4 MB, but the limit is 2 MB",
        ),
    ],
)
def test_what_is_wrong_is_told(arguments: list[str], told: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "ann.yaml").write_text("players: {Ann: }\n")
    (here / "bad.csv").write_text("Line ID,Character,Text\n1,A/B,Hi\n")
    (here / "big.csv").write_text("Line ID,Character,Text\n" + "".join(f"{n},Ann,{'x' * 1100}\n" for n in range(2100)))
    assert run(*arguments) == 2
    assert capsys.readouterr().err.startswith(told)


SPEAKABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n()（）$${}\\\"'[]*#-:,&!|>%@`"))


@given(st.lists(SPEAKABLE.map(str.strip).filter(bool), min_size=1, max_size=5))
def test_any_words_are_read_back_as_they_were(texts: list[str]) -> None:
    sheet = Sheet("t.csv")
    lines = tuple(
        TableLine(f"x{at}", "Ann", words, words, "s", Place(sheet, at, at), note=words)
        for at, words in enumerate(texts, 2)
    )
    table = LineTable("t.csv", lines=lines)
    cast = parse_scene("players: {Ann: }\nlines: [Ann: x]", "cast.yaml")
    (scene,) = scenes_of_table(table, cast)
    read = make_plan(parse_scene(scene_text(scene, {"players": {"Ann": ""}}, table, Path()), "s.yaml"))
    assert [line.words for line in read.lines] == texts
    assert [line.direction for line in read.lines] == [line.direction for line in make_plan(scene).lines]


def test_a_cast_may_include_others(here: Path) -> None:
    (here / "more.yaml").write_text("players: {Ann: {voice: ash}}\n")
    (here / "cast.yaml").write_text("include: [more.yaml]\nplayers: {Ben: }\n")
    assert [*cast_entries(here / "cast.yaml")["players"]] == ["Ben", "Ann"]
