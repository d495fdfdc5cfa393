"""Tables of cells: which column holds what, which row is a line, and what an error says."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tau_stage.errors import SceneError, StageError, UsageError
from tau_stage.scene import Line, load_cast, make_plan
from tau_stage.tables import LineTable, read_table, scenes_of_table

HEADER = "Line ID,Character,Text,Notes,Scene\n"


def table_of(folder: Path, text: str | bytes, name: str = "a.csv", **options: object) -> LineTable:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(str(file), **options)  # type: ignore[arg-type]


def problems(folder: Path, text: str | bytes, name: str = "a.csv", **options: object) -> list[str]:
    """What is wrong with a table, each as a place in it and a problem."""
    with pytest.raises(StageError) as raised:
        table_of(folder, text, name, **options)
    error = raised.value
    assert isinstance(error, SceneError), error
    return [f"{each.line}:{each.column}: {each.problem}" for each in (error, *error.also)]


def said(table: LineTable) -> list[tuple[str, str, str]]:
    return [(line.id, line.player, line.words) for line in table.lines]


def test_a_line_has_all_its_parts_and_its_place(tmp_path: Path) -> None:
    table = table_of(tmp_path, HEADER + 'k-1,Ben,"Well, no.",softly,harbour\n')
    (line,) = table.lines
    assert (line.id, line.player, line.words, line.direction) == ("k-1", "Ben", "Well, no.", "softly")
    assert (line.scene, table.format, line.place.cell("words")) == ("harbour", "plain", "C2 (Text)")
    assert (table.sheets[0].header_row, table.sheets[0].headers[0]) == (1, "Line ID")


@pytest.mark.parametrize(
    "header",
    ["ID,Speaker,Line", "key,CHARACTER,Dialogue", "Line_ID,player,words", " id , Character Name , Spoken Line "],
)
def test_usual_headers_are_known(header: str, tmp_path: Path) -> None:
    assert said(table_of(tmp_path, f"{header}\na,Ann,Hi\n")) == [("a", "Ann", "Hi")]


def test_any_header_may_be_named(tmp_path: Path) -> None:
    table = table_of(tmp_path, "Nr,Wer,Was\n7,Ann,Hallo\n", columns={"id": "Nr", "player": "wer", "words": "Was"})
    assert said(table) == [("7", "Ann", "Hallo")]


def test_a_table_without_ids_numbers_the_lines_of_each_player(tmp_path: Path) -> None:
    text = "Character,Text\nAnn,Hi\nBen,Hi\nAnn,Hm\n"
    assert problems(tmp_path, text) == ["1:1: no column contains the line ids"]
    lines = table_of(tmp_path, text, columns={"id": "none"}).lines
    assert [line.id for line in lines] == ["ann-1", "ben-1", "ann-2"]


def test_made_ids_differ_from_scene_to_scene(tmp_path: Path) -> None:
    lines = table_of(tmp_path, "Scene,Character,Text\na,Ann,1\nb,Ann,2\n", columns={"id": "none"}).lines
    assert [line.id for line in lines] == ["a-ann-1", "b-ann-1"]


WORDS = "(x) [y] *z* ${a} $${b} - c: d # e \\( 'f'"


def test_words_are_plain_text_from_the_table_to_the_plan(tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("players: {Ann: {voice: ash}, Ben: }\n")
    table = table_of(tmp_path, HEADER + f'1,ANN,"{WORDS}",,s\n2,Ben,-,"(low) ${{a}}",s\n')
    (scene,) = scenes_of_table(table, load_cast(tmp_path / "cast.yaml"))
    plan = make_plan(scene)
    assert [(line.id, line.player, line.words) for line in plan.lines] == [("1", "Ann", WORDS), ("2", "Ben", "-")]
    assert (plan.lines[1].direction, plan.warnings) == ("(low) ${a}", ())
    assert plan.locations["line", "2", "direction"].column == 4
    assert (plan.locations["line", "2"].path, plan.locations["line", "2"].line) == (str(tmp_path / "a.csv"), 3)


def test_a_scene_has_those_players_who_speak_in_it(tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("players: {Ann: , Ben: , narrator: }\n")
    table = table_of(tmp_path, HEADER + "1,Ann,a,,x\n2,Ben,b,,y\n3,,c,,x\n")
    scenes = [*scenes_of_table(table, load_cast(tmp_path / "cast.yaml"))]
    assert [(scene.title, [*scene.players]) for scene in scenes] == [("x", ["Ann", "narrator"]), ("y", ["Ben"])]
    assert [make_plan(scene).slug for scene in scenes] == ["x", "y"]


def test_who_is_not_in_the_cast_is_told_with_all_others(tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("players: {Ann: , Ben: }\n")
    table = table_of(tmp_path, HEADER + "1,Anne,a,,x\n2,,b,,y\n3,Ann,c,,X\n")
    with pytest.raises(SceneError) as raised:
        scenes_of_table(table, load_cast(tmp_path / "cast.yaml"))
    told = [(each.problem, each.hint.split("?")[0]) for each in (raised.value, *raised.value.also)]
    assert told[0] == ("B2 (Character): unknown player 'Anne'", "did you mean 'Ann'")
    assert told[1][0] == "B3 (Character): this line has no speaker"
    assert told[2][0] == "E4 (Scene): scenes 'x' and 'X' would have the same name 'x'"


def test_a_cast_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("players: {Ann: }\nlines:\n- Ann: Hi\n")
    with pytest.raises(SceneError, match="but not 'lines'"):
        load_cast(tmp_path / "cast.yaml")


def test_a_translation_takes_who_speaks_from_its_base(tmp_path: Path) -> None:
    base = table_of(tmp_path, HEADER + "1,Ann,a,low,x\n2,Ben,b,,y\n")
    table = table_of(tmp_path, "id,translation\n2,zwei\n9,neun\n", "de.csv", language="de", base=base)
    (line,) = table.lines
    assert (line.id, line.player, line.words, line.scene, table.language) == ("2", "Ben", "zwei", "y", "de")
    assert line.place.cell("words") == "B2 (translation)"


@pytest.mark.parametrize("columns", [{"who": "Character"}, {"wrods": "Text"}])
def test_a_part_that_no_line_has_is_refused(columns: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a field of a line"):
        table_of(tmp_path, HEADER, columns=columns)


def test_words_may_be_markup_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("vars: {city: Oslo}\nplayers: {Ann: }\n")
    cast = load_cast(tmp_path / "cast.yaml", {"city": "Rome"})
    text = HEADER + '1,Ann,"(low) In ${city}, [sighs] \\(no\\) $${x}.",slowly,s\n'
    (scene,) = scenes_of_table(table_of(tmp_path, text), cast, markup=True)
    (line,) = make_plan(scene).lines
    assert (line.words, line.direction) == ("In Rome, [sighs] (no) ${x}.", "low, slowly")
    wrong = HEADER + "1,Ann,(low,,s\n2,Ann,${town},,s\n3,Ann,x,${cyti},s\n"
    with pytest.raises(SceneError) as raised:
        scenes_of_table(table_of(tmp_path, wrong), cast, markup=True)
    assert [each.problem for each in (raised.value, *raised.value.also)] == [
        "C2 (Text): this parenthesis is never closed",
        "C3 (Text): unknown variable 'town'",
        "D4 (Notes): unknown variable 'cyti'",
    ]


def test_scenes_of_a_table_are_made_one_after_another(tmp_path: Path) -> None:
    """However many there are: none is kept that nobody asks for."""
    (tmp_path / "cast.yaml").write_text("players: {Ann: }\n")
    rows = "".join(f"k{n},Ann,Yes.,,s{n // 10}\n" for n in range(1000))
    table, cast = table_of(tmp_path, HEADER + rows), load_cast(tmp_path / "cast.yaml")
    alive = []
    for scene in scenes_of_table(table, cast):
        if make_plan(scene).slug.endswith("9"):
            gc.collect()
            alive.append(sum(type(found) is Line for found in gc.get_objects()))
    assert len(alive) == 10
    assert max(alive) <= min(alive) + 10
