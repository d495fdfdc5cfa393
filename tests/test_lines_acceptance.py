"""From tables to files by id and language, as users have them: one command, no code; then one cell, and one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from tau_stage.understudy.server import Understudy
from tests.support.batches import Asked, BatchRuns
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_testing import edit

__all__ = ["no_key", "serve"]

CAST = """
limits: {start_rate: 100/s}
conversation: none
players: {ann: {voice: ash, hears: nobody}, bob: {voice: sage, hears: nobody}}
"""


def tree(folder: str) -> dict[str, tuple[int, bytes]]:
    """When each file of sound was written, and what it holds."""
    files = (path for path in Path(folder).rglob("*") if path.suffix in (".wav", ".ogg"))
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_of_400_lines_in_two_languages_come_800_files_and_of_one_cell_one(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: 800 lines are performed."""
    Path("cast.yaml").write_text(CAST)
    for name, words in (("dialogue.csv", "Line"), ("dialogue.de.csv", "Zeile")):
        rows = (f"l-{n:03},{('ann', 'bob')[n % 2]},{words} {n} is here.,s{n // 20}\n" for n in range(400))
        Path(name).write_text("id,character,text,scene\n" + "".join(rows))
    Path("batch.yaml").write_text(
        "lines: dialogue.csv\ncast: cast.yaml\nlanguages: {en: {}, de: {lines: dialogue.de.csv}}\nexport: {to: game}\n"
    )
    asked = Asked()
    batch = BatchRuns(serve(Understudy(asked)), capsys)
    batch.run("--jobs", "8")
    assert asked.take().total() == 800
    before = tree("game")
    assert [*sorted(before)] == [f"{code}/l-{n:03}.wav" for code in ("de", "en") for n in range(400)]
    edit(Path("dialogue.de.csv"), "Zeile 217 is here.", "Zeile 217 ist da.")
    assert batch.run()["export"]["written"] == ["de/l-217.wav"]
    assert asked.take() == {"Zeile 217 ist da.": 1}
    after = tree("game")
    assert {name for name in before if after[name] != before[name]} == {"de/l-217.wav"}


SAID = [(f"x{n}", ("ann", "bob")[n % 2], f"This is line {n}.") for n in range(10)]


def yarn() -> str:
    rows = (f"en,line:{name},{who}: {said},a.yarn,Quay,{n},,\n" for n, (name, who, said) in enumerate(SAID))
    Path("strings.csv").write_text("language,id,text,file,node,lineNumber,lock,comment\n" + "".join(rows))
    return "strings.csv"


def renpy() -> str:
    header = "Identifier\tCharacter\tDialogue\tFilename\tLine Number\tRen'Py Script\n"
    rows = (f'{name}\t{who}\t{said}\tgame/a.rpy\t{n}\t{who} "[what]"\n' for n, (name, who, said) in enumerate(SAID))
    Path("dialogue.tab").write_text(header + "".join(rows))
    return "dialogue.tab"


def dink() -> str:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Line ID", "Block ID", "Character", "Actor", "Text", "Direction", "Snippet ID", "Audio Status"])
    for name, who, said in SAID:
        sheet.append([name, "main", who, "", said, "", "q1", "Unknown"])
    book.save("recording.xlsx")
    return "recording.xlsx"


def transcript() -> str:
    Path("play.txt").write_text("".join(f"{who.upper()}: {said}\n" for _, who, said in SAID))
    return "play.txt"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "layout", "deliver", "names"),
    [
        (yarn, "yarn", "wav", [f"en/{name}.wav" for name, _, _ in SAID]),
        (renpy, "renpy", "ogg", [f"voice/{name}.ogg" for name, _, _ in SAID]),
        (dink, "dink", "wav", [f"Audio/TTS/{name}.wav" for name, _, _ in SAID]),
        (
            transcript,
            "unity",
            "wav",
            [f"Resources/Voice/en/{who}-{n // 2 + 1}.wav" for n, (_, who, _) in enumerate(SAID)],
        ),
    ],
)
def test_other_sources_become_files_by_id_as_well(
    source: Callable[[], str],
    layout: str,
    deliver: str,
    names: list[str],
    serve: Serve,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Slow: ten lines are performed, and one of them again."""
    table = source()
    Path("cast.yaml").write_text(CAST)
    Path("batch.yaml").write_text(
        f"lines: {table}\ncast: cast.yaml\nlanguages: {{en: {{}}}}\nexport: {{layout: {layout}, to: game}}\n"
        f"deliver: {{lines: {{format: {deliver}}}}}\nstatus: on\n"
    )
    asked = Asked()
    batch = BatchRuns(serve(Understudy(asked)), capsys)
    batch.run()
    assert asked.take().total() == 10
    before = tree("game")
    assert sorted(before) == sorted(names)
    if table.endswith(".xlsx"):
        (status,) = load_workbook("recording.status.xlsx").worksheets
        assert [row[7].value for row in status.iter_rows(min_row=2)] == ["TTS"] * 10
        book = load_workbook(table)
        (sheet,) = book.worksheets
        sheet["E6"] = "This is another line."
        book.save(table)
    else:
        edit(Path(table), "This is line 4.", "This is another line.")
    assert batch.run()["export"]["written"] == [names[4]]
    assert asked.take() == {"This is another line.": 1}
    after = tree("game")
    assert {name for name in before if after[name] != before[name]} == {names[4]}
