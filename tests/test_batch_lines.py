"""Batches of lines: jobs of tables, languages by ids, what is missing and what is stale, what it costs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from decimal import Decimal
from hashlib import sha256
from io import StringIO
from pathlib import Path

import pytest

from tau_stage.batch.batch_file import TableStatus, is_batch, load_batch
from tau_stage.batch.batch_tables import read_tables
from tau_stage.batch.jobs import load_jobs
from tau_stage.batch.status_table import Facts, LineInLanguage, write_table
from tau_stage.cost import expected_cost
from tau_stage.errors import SceneError, UsageError
from tau_stage.understudy.server import Understudy
from tests.support.batches import Asked, BatchRuns
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_testing import edit
from tests.test_cli_validate import run

__all__ = ["no_key", "serve"]

HEADER = "Line ID,Character,Text,Notes,Snippet\n"
ROWS = "k-1,Keeper,Who goes there?,calm,quay\ns-1,Sailor,A friend.,,quay\nk-2,Keeper,Come in.,tired,gate\n"
GERMAN = "Line ID,Text,lock\nk-1,Wer da?,{k1}\nk-2,Herein.,00000000\nx-9,Nichts.,\n"
CAST = """
limits: {{start_rate: 100/s}}
players: {{keeper: {{voice: {keeper}, hears: nobody}}, sailor: {{voice: {sailor}, hears: nobody}}}}
"""
BATCH = """
lines: dialogue.csv
cast: cast.yaml
columns: {id: Line ID, words: Text, scene: Snippet}
languages: {en: {}, de: {lines: dialogue.de.csv, cast: cast.de.yaml}}
"""


def write_lines(batch: str = BATCH, rows: str = ROWS, german: str = GERMAN) -> None:
    """Write a batch of lines in two languages into this folder."""
    Path("dialogue.csv").write_text(HEADER + rows)
    Path("dialogue.de.csv").write_text(german.format(k1=sha256(b"Who goes there?").hexdigest()[:8]))
    Path("cast.yaml").write_text(CAST.format(keeper="ash", sailor="sage"))
    Path("cast.de.yaml").write_text(CAST.format(keeper="verse", sailor="coral"))
    Path("batch.yaml").write_text(batch)


def spoken() -> dict[str, list[tuple[str, str, str, str]]]:
    """Each job, and who says what, how and in which voice."""
    return {
        job.name: [(line.id, job.plan.player(line.player).voice, line.words, line.direction) for line in job.plan.lines]
        for job in load_jobs(load_batch("batch.yaml"))
    }


def test_a_table_has_a_job_for_each_scene_and_language() -> None:
    write_lines()
    assert is_batch("batch.yaml")
    Path("other.yaml").write_text("lines: dialogue.csv\nlanguages: {en: {cast: cast.yaml}}\n")
    assert is_batch("other.yaml")
    assert spoken() == {
        "en/dialogue/quay": [("k-1", "ash", "Who goes there?", "calm"), ("s-1", "sage", "A friend.", "")],
        "en/dialogue/gate": [("k-2", "ash", "Come in.", "tired")],
        "de/dialogue/quay": [("k-1", "verse", "Wer da?", "calm")],
        "de/dialogue/gate": [("k-2", "verse", "Herein.", "tired")],
    }


def test_lines_whose_players_hear_nobody_are_heard_by_nobody() -> None:
    write_lines()
    jobs = load_jobs(load_batch("batch.yaml"))
    assert {line.hearers for job in jobs for line in job.plan.lines} == {()}
    Path("cast.yaml").write_text("players: {keeper: , sailor: }\n")
    (quay, *_) = load_jobs(load_batch("batch.yaml"))
    assert [line.hearers for line in quay.plan.lines] == [("sailor",), ("keeper",)]


def test_what_a_language_has_not_and_has_of_an_older_text_is_known() -> None:
    write_lines()
    german = read_tables(load_batch("batch.yaml"))["de"]
    assert (german.missing, german.stale, german.unknown) == (("s-1",), ("k-2",), ("x-9",))
    assert german.told("de") == [
        "de: 1 translation missing: s-1",
        "de: 1 translation based on an older source text: k-2",
        "de: 1 translation with no matching line in the batch: x-9",
    ]


def test_a_cell_without_words_is_not_translated_yet() -> None:
    write_lines(german="Line ID,Text,lock\nk-1,,{k1}\ns-1, ,\nk-2,Herein.,\n")
    assert read_tables(load_batch("batch.yaml"))["de"].missing == ("k-1", "s-1")
    write_lines(rows="k-1,Keeper,,,\n")
    with pytest.raises(SceneError, match="the line has no words"):
        read_tables(load_batch("batch.yaml"))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("{columns: {said: Text}}", "the column 'Text' of dialogue.csv is already the column for words"),
        ("{columns: {file: Line ID}}", "the column 'Line ID' of dialogue.csv is already the column for id"),
        ("{columns: {said: X, file: X}}", "two status columns have the same header 'X'"),
    ],
)
def test_the_status_takes_no_column_of_the_lines(status: str, told: str) -> None:
    write_lines(f"{BATCH}status: {status}\n")
    with pytest.raises(UsageError, match=told):
        read_tables(load_batch("batch.yaml"))


def test_a_translation_by_gettext_tells_of_which_text_it_is() -> None:
    write_lines("lines: dialogue.csv\ncast: cast.yaml\nlanguages: {en: {}, de: {lines: de.po}}\n")
    messages = [("k-1", "Who goes there?", "Wer da?"), ("s-1", "A foe.", "Ein Feind."), ("k-2", "k-2", "Herein.")]
    entries = (f'msgctxt "{name}"\nmsgid "{text}"\nmsgstr "{said}"\n' for name, text, said in messages)
    Path("de.po").write_text("\n".join(entries))
    german = read_tables(load_batch("batch.yaml"))["de"]
    assert (german.missing, german.stale, german.unknown) == ((), ("s-1",), ())
    assert spoken()["de/dialogue/quay"] == [("k-1", "ash", "Wer da?", "calm"), ("s-1", "sage", "Ein Feind.", "")]


def test_the_locks_of_yarn_are_of_its_base_text() -> None:
    write_lines("lines: base.csv\ncast: cast.yaml\nlanguages: {en: {}, de: {lines: de.csv}}\n")
    header, texts = "language,id,text,file,node,lineNumber,lock,comment\n", ("Keeper: [b]Halt![/b]", "Sailor: Me.")
    locks = [sha256(text.encode()).hexdigest()[:8] for text in texts]
    rows = [(f"en,line:{n},{text},a.yarn,Quay,{n},{locks[n]},\n") for n, text in enumerate(texts)]
    Path("base.csv").write_text(header + "".join(rows))
    german = ("Keeper: Stehen bleiben!", "Sailor: Ich.")
    rows = [f"de,line:{n},{text},a.yarn,Quay,{n},{locks[0]},\n" for n, text in enumerate(german)]
    Path("de.csv").write_text(header + "".join(rows))
    assert read_tables(load_batch("batch.yaml"))["de"].stale == ("1",)
    assert spoken()["de/base/quay"] == [("0", "ash", "Stehen bleiben!", ""), ("1", "sage", "Ich.", "")]


def test_a_transcript_is_a_table_whose_names_the_cast_knows() -> None:
    write_lines("lines: play.txt\ncast: cast.yaml\n")
    Path("play.txt").write_text("**Keeper:** Who goes there?\nSailor: A friend.\n")
    assert spoken() == {
        "play/play": [("keeper-1", "ash", "Who goes there?", ""), ("sailor-1", "sage", "A friend.", "")]
    }


def test_many_missing_lines_are_counted_and_some_are_named() -> None:
    write_lines(rows="".join(f"n-{number},Keeper,Line {number}.,,\n" for number in range(1234)))
    (missing, _) = read_tables(load_batch("batch.yaml"))["de"].told("de")
    assert missing == "de: 1234 translations missing: n-0, n-1, n-2, n-3, n-4, and 1,229 more"


def test_one_sheet_may_have_a_column_for_each_language() -> None:
    columns = "{id: Line ID, player: Character, words: Text}"
    write_lines(
        f"lines: dialogue.csv\ncast: cast.yaml\ncolumns: {columns}\n"
        "languages: {en: {}, fr: {lines: dialogue.csv, columns: {words: Notes, direction: none}}}\n",
        "k-1,Keeper,Who?,Qui ?,\n",
    )
    assert spoken() == {
        "en/dialogue/dialogue": [("k-1", "ash", "Who?", "Qui ?")],
        "fr/dialogue/dialogue": [("k-1", "ash", "Qui ?", "Qui ?")],
    }


SHEET = "ID,Who,Line EN,Line DE,Scene\nk-1,Keeper,Hello.,Hallo.,quay\ns-1,Sailor,Bye.,,quay\n"
OF_SHEET = "lines: sheet.csv\ncast: cast.yaml\ncolumns: {%s}\nlanguages: {%s}\n"


def write_sheet(columns: str, languages: str, sheet: str = SHEET) -> None:
    """Write a batch whose one table has a column for each language."""
    write_lines(OF_SHEET % (columns, languages))
    Path("sheet.csv").write_text(sheet)


@pytest.mark.parametrize(
    ("columns", "languages"),
    [
        ("words: Line EN", "en: {}, de: {columns: {words: Line DE}}"),
        ("words: Line EN", "en: {columns: {words: Line EN}}, de: {columns: {words: Line DE}}"),
        ("id: ID", "en: {columns: {words: Line EN}}, de: {columns: {words: Line DE}}"),
        ("id: ID", "en: {columns: {words: Line EN}}, de: {lines: sheet.csv, columns: {words: Line DE}}"),
    ],
)
def test_columns_of_a_language_without_tables_are_of_the_batchs_own(columns: str, languages: str) -> None:
    write_sheet(columns, languages)
    assert spoken() == {
        "en/sheet/quay": [("k-1", "ash", "Hello.", ""), ("s-1", "sage", "Bye.", "")],
        "de/sheet/quay": [("k-1", "ash", "Hallo.", "")],
    }
    assert read_tables(load_batch("batch.yaml"))["de"].missing == ("s-1",)


def test_the_columns_of_a_language_leave_the_others_as_the_batch_has_them() -> None:
    sheet = "Nr,Wer,Was,Quoi,Wie,Comment\nk-1,Keeper,Hallo.,Salut.,leise,bas\n"
    columns = "id: Nr, player: Wer, words: Was, direction: Wie"
    write_sheet(columns, "de: {}, fr: {columns: {words: Quoi}}, be: {columns: {direction: Comment}}", sheet)
    assert spoken() == {
        "de/sheet/sheet": [("k-1", "ash", "Hallo.", "leise")],
        "fr/sheet/sheet": [("k-1", "ash", "Salut.", "leise")],
        "be/sheet/sheet": [("k-1", "ash", "Hallo.", "bas")],
    }


def test_a_language_has_no_column_that_is_not_there() -> None:
    write_sheet("words: Line EN", "en: {}, de: {columns: {words: Line GE}}")
    with pytest.raises(SceneError, match=r"sheet.csv:1:1: unknown column 'Line GE'"):
        spoken()
    write_sheet("id: ID", "en: {columns: {words: Line US}}, de: {columns: {words: Line DE}}")
    with pytest.raises(SceneError, match=r"sheet.csv:1:1: unknown column 'Line US'"):
        spoken()
    write_lines("lines: play.txt\ncast: cast.yaml\nlanguages: {en: {}, de: {columns: {words: Line DE}}}\n")
    Path("play.txt").write_text("Keeper: Who goes there?\n")
    with pytest.raises(UsageError, match=r"the language de has columns, but play\.txt is not a table with columns"):
        spoken()


@pytest.mark.parametrize(
    ("sheet", "status", "told"),
    [
        (
            "ID,Who,Line EN,Line DE,Remark,Take\nk-1,Keeper,Hi.,Ho.,tired,3\n",
            "off",
            "unused columns: Remark, Take; if one of them contains directions, write: columns: {direction: Remark}\n",
        ),
        ("ID,Who,Line EN,Line DE,Notes,Remark,Take\nk-1,Keeper,Hi.,Ho.,calm,,3\n", "off", "unused columns: Take\n"),
        ("ID,Who,Line EN,Line DE,Status,Said de\nk-1,Keeper,Hi.,Ho.,new,\n", "on", ""),
        ("ID,Who,Line EN,Line DE,Status\nk-1,Keeper,Hi.,Ho.,new\n", "off", "unused columns: Status"),
        ("ID,Who,Line EN,Line DE\nk-1,Keeper,Hi.,Ho.\n", "off", ""),
    ],
)
def test_columns_that_nothing_reads_are_told_once(
    sheet: str, status: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sheet("words: Line EN", "en: {}, de: {columns: {words: Line DE}}", sheet)
    with Path("batch.yaml").open("a") as file:
        file.write(f"status: {status}\n")
    assert run("validate", "batch.yaml") == 0
    err = capsys.readouterr().err
    assert (told in err, err.count("\n")) == (True, bool(told))
    assert run("validate", "batch.yaml", "--format", "json") == 0
    warnings = json.loads(capsys.readouterr().out)
    assert [f"{each['path']}: {each['problem']}" for each in warnings] == [
        line.removeprefix("warning: ") for line in err.splitlines()
    ]


def test_lines_without_ids_are_translated_in_their_rows() -> None:
    sheet = "Who,Line EN,Line DE\nKeeper,One.,\nKeeper,Two.,Zwei.\nSailor,Three.,Drei.\n"
    languages = "en: {columns: {words: Line EN}}, de: {columns: {words: Line DE}}"
    write_sheet("id: none", languages, sheet)
    assert spoken()["de/sheet/sheet"] == [("keeper-2", "ash", "Zwei.", ""), ("sailor-1", "sage", "Drei.", "")]
    write_sheet("id: none", languages, f"{sheet}Keeper,,Vier.\n")
    with pytest.raises(
        SceneError, match=r"sheet.csv:5:3: C5 \(Line DE\): this row has a translation, but no source words"
    ):
        spoken()


def test_several_tables_are_translated_by_one_or_several() -> None:
    write_lines(
        "lines: [dialogue.csv, 'act2/*.csv']\ncast: cast.yaml\nlanguages: {en: {}, de: {lines: dialogue.de.csv}}\n"
    )
    Path("act2").mkdir()
    Path("act2/end.csv").write_text("id,character,text\nx-9,Sailor,Nothing.\n")
    assert list(spoken()) == [
        *("en/dialogue/quay", "en/dialogue/gate", "en/act2/end/end"),
        *("de/dialogue/quay", "de/dialogue/gate", "de/act2/end/end"),
    ]
    assert spoken()["de/act2/end/end"] == [("x-9", "sage", "Nichts.", "")]
    Path("act2/end.csv").write_text("id,character,text\nK-1,Sailor,Nothing.\n")
    with pytest.raises(SceneError, match=r"act2/end.csv:2:1: A2 \(id\): the id 'K-1' is already used in dialogue.csv"):
        spoken()


def test_a_matrix_varies_the_cast() -> None:
    write_lines(
        "lines: dialogue.csv\ncast: cast.yaml\nmatrix: {voice: [ash, verse]}\nexport: plain\n", "k-1,Keeper,Hi.,,\n"
    )
    Path("cast.yaml").write_text("vars: {voice: ash}\nplayers: {keeper: {voice: '${voice}'}}\n")
    assert spoken() == {f"{voice}/dialogue/dialogue": [("k-1", voice, "Hi.", "")] for voice in ("ash", "verse")}


def test_words_are_plain_unless_they_are_to_be_as_in_scenes() -> None:
    batch = "lines: dialogue.csv\ncast: cast.yaml\n"
    write_lines(batch, rows="k-1,Keeper,(softly) Hi.,,\n")
    assert spoken() == {"dialogue/dialogue": [("k-1", "ash", "(softly) Hi.", "")]}
    write_lines(f"{batch}markup: scene\n", rows="k-1,Keeper,(softly) Hi.,,\n")
    assert spoken() == {"dialogue/dialogue": [("k-1", "ash", "Hi.", "softly")]}


def test_each_character_may_be_a_scene() -> None:
    write_lines("lines: dialogue.csv\ncast: cast.yaml\ncolumns: {scene: Character}\n")
    assert {name: len(lines) for name, lines in spoken().items()} == {"dialogue/keeper": 2, "dialogue/sailor": 1}


def test_a_cast_that_remembers_nothing_makes_each_line_cost_the_same() -> None:
    rows = "".join(f"k-{n},Keeper,There is a light on the water.,,\n" for n in range(200))
    write_lines("lines: dialogue.csv\ncast: cast.yaml\n", rows)

    def dollars_of(most: int) -> Decimal:
        (job,) = load_jobs(load_batch("batch.yaml"))
        return expected_cost(job.plan, [line.id for line in job.plan.lines[:most]]).known

    assert dollars_of(200) > 4 * dollars_of(100) / 2
    with Path("cast.yaml").open("a") as file:
        file.write("conversation: none\n")
    assert dollars_of(200) < Decimal("2.02") * dollars_of(100)


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        ("lines: dialogue.csv\n", "1:1: the batch has lines, but no cast"),
        ("lines: dialogue.csv\ncast: crew.yaml\n", "2:7: file not found: 'crew.yaml'"),
        ("lines: dialog.csv\ncast: cast.yaml\n", "1:8: no table matches 'dialog.csv'"),
        (
            "scenes: cast.yaml\nlanguages: {de: {lines: dialogue.de.csv}}\n",
            "2:17: a language has lines, but the batch has none",
        ),
        (
            "lines: dialogue.csv\ncast: cast.yaml\nlanguages: {de: {lines: de.csv}}\n",
            "3:17: file not found: 'de.csv'",
        ),
        ("scenes: cast.yaml\ncolumns: {id: Nr}\n", "2:1: the batch has columns, but no tables"),
        (
            "scenes: cast.yaml\nlanguages: {de: {columns: {words: Text}}}\n",
            "2:18: the batch has columns, but no tables",
        ),
        ("lines: dialogue.csv\ncast: cast.yaml\ncolumns: {ids: Nr}\n", "3:11: a line of a table has no field 'ids'"),
        (
            "lines: dialogue.csv\ncast: cast.yaml\ncolumns: Nr\n",
            "3:10: 'columns' must be a mapping of fields to headers",
        ),
        ("lines: dialogue.csv\ncast: cast.yaml\ncolumns: {id: [Nr]}\n", "3:15: 'id' needs a column header"),
    ],
)
def test_what_is_wrong_with_a_batch_of_lines_has_its_place(batch: str, told: str) -> None:
    write_lines(batch)
    with pytest.raises(SceneError) as raised:
        load_batch("batch.yaml")
    assert f"{raised.value.line}:{raised.value.column}: {raised.value.problem}" == told


def test_an_error_names_the_cell_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    write_lines(rows="k-1,Keeper,Hi.,,\nk-2,Kepper,Ho.,,\n")
    assert run("validate", "batch.yaml") == 2
    assert "dialogue.csv:3:2: B3 (Character): unknown player 'Kepper'" in capsys.readouterr().err
    write_lines()
    assert run("validate", "batch.yaml") == 0
    assert capsys.readouterr().out == "ok batch.yaml: batch, 4 jobs, 5 lines\n"


PEAK = """
import re, sys
from pathlib import Path
from tau_stage.cli.main import main
try:
    main(["batch", "plan", "batch.yaml"])
finally:
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def peak_kb(lines: int) -> int:
    """Memory that a process takes at most to plan so many lines, in scenes of forty."""
    write_lines(
        "lines: dialogue.csv\ncast: cast.yaml\n",
        "".join(f"l-{n},Keeper,Line {n} has some words.,,s{n // 40}\n" for n in range(lines)),
    )
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert f"{lines:,}" in done.stdout
    return int(done.stderr)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of a process")
def test_a_line_takes_few_kilobytes_to_plan() -> None:
    """Slow: 5,000 lines are planned, in processes of their own."""
    assert peak_kb(4000) - peak_kb(1000) < 3000 * 6


@pytest.mark.slow
def test_one_changed_cell_is_one_line_performed_and_one_file_written(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: a batch is performed three times."""
    write_lines(BATCH + "export: {to: game}\n")
    asked = Asked()
    batch = BatchRuns(serve(Understudy(asked)), capsys)
    planned = batch.plan()
    assert {code: (each["lines"], each["missing"]) for code, each in planned["languages"].items()} == {
        "en": (3, []),
        "de": (2, ["s-1"]),
    }
    told = batch.run("--jobs", "4")
    assert told["languages"]["de"]["stale"] == ["k-2"]
    assert sorted(told["export"]["written"]) == [
        *("de/k-1.wav", "de/k-2.wav"),
        *("en/k-1.wav", "en/k-2.wav", "en/s-1.wav"),
    ]
    assert asked.take().total() == 5
    edit(Path("dialogue.csv"), "A friend.", "An old friend.")
    edit(Path("dialogue.de.csv"), "00000000", "00000001")  # a lock is shown, and performs nothing
    assert batch.plan()["total"]["performed"] == 1
    assert batch.run()["export"]["written"] == ["en/s-1.wav"]
    assert asked.take() == {"An old friend.": 1}
    assert run("batch", "export", "batch.yaml", "--endpoint", batch.url) == 3
    assert "missing: 1 line not translated: de s-1" in capsys.readouterr().out
    assert run("batch", "export", "batch.yaml", "--endpoint", batch.url, "--only", "en/*") == 0
    assert run("retake", "out/takes/en/dialogue/quay/latest", "k-1") == 2
    assert "quay.csv: the scene was created from a table and has no scene file" in capsys.readouterr().err


ENGLISH = "The harbour is closed tonight, and nobody leaves before the morning."
GERMAN_LINE = "Der Hafen ist heute Nacht geschlossen, und vor dem Morgen geht niemand."


@pytest.mark.slow
def test_what_has_come_of_the_lines_is_written_beside_their_tables(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: a batch is performed twice."""
    write_lines(BATCH + "status: {columns: {status: State, said: none}}\n")
    originals = {name: Path(name).read_bytes() for name in ("dialogue.csv", "dialogue.de.csv")}
    batch = BatchRuns(serve(Understudy(Asked())), capsys)
    told = batch.run("--only", "en/*")["status"]
    assert (told["written"], told["unchanged"]) == (["dialogue.status.csv", "dialogue.de.status.csv"], 0)
    assert [row["State"] for row in cells("dialogue.de.status.csv")] == ["new", "new", ""]
    assert batch.run()["status"]["written"] == ["dialogue.de.status.csv"]
    assert [row["State"] for row in cells("dialogue.de.status.csv")] == ["performed", "stale translation", ""]
    assert [*cells("dialogue.status.csv")[0]][-3:] == ["State", "Audio File", "Seconds"]
    for row in cells("dialogue.status.csv"):
        assert Path("out", row["Audio File"]).is_file()
        assert float(row["Seconds"]) > 0
    assert {name: Path(name).read_bytes() for name in originals} == originals
    edit(Path("dialogue.csv"), "A friend.", "An old friend.")
    assert run("batch", "export", "batch.yaml", "--endpoint", batch.url, "--in-place", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"]["written"] == ["dialogue.csv", "dialogue.de.csv"]
    assert [row["State"] for row in cells("dialogue.csv")] == ["performed", "changed", "performed"]
    assert batch.plan()["total"]["performed"] == 1


def cells(name: str) -> list[dict[str, str]]:
    rows = csv.DictReader(StringIO(Path(name).read_text(), newline=""), restval="")
    return [{key: value for key, value in row.items() if key} for row in rows]


def test_a_pattern_finds_no_table_that_a_run_has_written() -> None:
    write_lines("lines: '*.csv'\ncast: cast.yaml\n")
    Path("dialogue.de.csv").rename("dialogue.de.status.csv")
    assert load_batch("batch.yaml").tables == ("dialogue.csv",)


def test_a_line_that_a_person_has_spoken_stays_so_for_dink() -> None:
    header = "Line ID,Block ID,Character,Actor,Text,Direction,Comments,Tags,Snippet ID,Audio Status\n"
    rows = "a,main,Keeper,,Hi.,,,,q,Unknown\nb,main,Keeper,,Ho.,,,,q,Recorded\nc,main,Keeper,,Hm.,,,,q,Unknown\n"
    write_lines("lines: dink.csv\ncast: cast.yaml\n")
    Path("dink.csv").write_text(header + rows)
    found = load_batch("batch.yaml")
    facts: dict[LineInLanguage, Facts] = {
        LineInLanguage("", name): {"status": status, "file": "f", "seconds": 1.0, "said": "x"}
        for name, status in (("a", "performed"), ("b", "performed"), ("c", "new"))
    }
    write_table(Path("dink.csv"), {"": read_tables(found)[""].sources[0]}, facts, TableStatus(), in_place=False)
    assert [row["Audio Status"] for row in cells("dink.status.csv")] == ["TTS", "Recorded", "Unknown"]


@pytest.mark.slow
def test_the_plan_of_three_languages_is_near_what_is_billed(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: 24 lines are performed with a real voice, whose sound is billed; it is English, and reads German slowly."""
    write_lines(
        "lines: dialogue.csv\ncast: cast.yaml\nlanguages: {en: {}, en-GB: {cast: cast.de.yaml}, de: {lines: de.csv}}\n",
        "".join(f'l-{n},{("Keeper", "Sailor")[n % 2]},"{ENGLISH}",,s{n // 4}\n' for n in range(8)),
    )
    Path("de.csv").write_text("id,text\n" + "".join(f'l-{n},"{GERMAN_LINE}"\n' for n in range(8)))
    batch = BatchRuns(serve(Understudy()), capsys)
    planned = batch.plan()
    by_language = {code: Decimal(each["dollars"]) for code, each in planned["languages"].items()}
    assert list(by_language) == ["en", "en-GB", "de"]
    assert sum(by_language.values()) == Decimal(planned["total"]["dollars"])
    billed = Decimal(batch.run("--jobs", "4")["total"]["dollars"])
    assert abs(sum(by_language.values()) / billed - 1) < Decimal("0.1"), (by_language, billed)
