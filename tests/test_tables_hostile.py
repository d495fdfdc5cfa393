"""Tables as nobody should write them: each is a clear error with its row and column, or the right line."""

from __future__ import annotations

import csv
import io
import random
import re
import subprocess
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet

from tau_stage.errors import SceneError, StageError
from tau_stage.scene import load_cast
from tau_stage.tables import LineTable, read_table, scenes_of_table
from tests.support.forked import python
from tests.test_tables_cells import problems, said, table_of

HEADER = "ID,Character,Text\n"
LONGER = 131_073  # characters: one more than a cell has

TEXTS: dict[str, tuple[str | bytes, list[tuple[str, str, str]]]] = {
    "a byte order mark": (b"\xef\xbb\xbf" + HEADER.encode() + b"a,Ann,Hi\n", [("a", "Ann", "Hi")]),
    "utf-16, little end": (
        "\ufeff".encode("utf-16-le") + (HEADER + "a,Ann,é\n").encode("utf-16-le"),
        [("a", "Ann", "é")],
    ),
    "utf-16, big end": ("\ufeff".encode("utf-16-be") + (HEADER + "a,Ann,é\n").encode("utf-16-be"), [("a", "Ann", "é")]),
    "windows line ends": ("ID,Character,Text\r\na,Ann,Hi\r\n", [("a", "Ann", "Hi")]),
    "old line ends": ("ID,Character,Text\ra,Ann,Hi\rb,Ben,Ho\r", [("a", "Ann", "Hi"), ("b", "Ben", "Ho")]),
    "no end": (HEADER + "a,Ann,Hi", [("a", "Ann", "Hi")]),
    "semicolons": (
        "ID;Character;Text\na;Ann;Hi, you, there, all, of, you\n",
        [("a", "Ann", "Hi, you, there, all, of, you")],
    ),
    "tabs": ("ID\tCharacter\tText\na\tAnn\tHi; you, there\n", [("a", "Ann", "Hi; you, there")]),
    "semicolons in words": (HEADER + "a,Ann,x;y;z;1;2;3\n", [("a", "Ann", "x;y;z;1;2;3")]),
    "semicolons in a header": ('ID,"Who; Character",Character,Text\na,x,Ann,Hi\n', [("a", "Ann", "Hi")]),
    "a line for spreadsheets": ("sep=;\r\nID;Character;Text\r\na;Ann;Hi\r\n", [("a", "Ann", "Hi")]),
    "quotes": (HEADER + 'a,Ann,"She said ""no"", twice"\n', [("a", "Ann", 'She said "no", twice')]),
    "quotes within": (HEADER + 'a,Ann,She said "no" twice\n', [("a", "Ann", 'She said "no" twice')]),
    "a newline in quotes": (HEADER + 'a,Ann,"one\r\ntwo"\nb,Ben,x\n', [("a", "Ann", "one\ntwo"), ("b", "Ben", "x")]),
    "empty rows": (HEADER + "\n,,\na,Ann,Hi\n\n ,\t, \n", [("a", "Ann", "Hi")]),
    "rows that are no lines": (HEADER + ",ACT TWO,\na,Ann,Hi\n,,\n", [("a", "Ann", "Hi")]),
    "a title": ("The harbour\n\n" + HEADER + "a,Ann,Hi\n", [("a", "Ann", "Hi")]),
    "a longer row of nothing": (HEADER + "a,Ann,Hi,,,\n", [("a", "Ann", "Hi")]),
    "blanks around": (HEADER + " a , Ann , Hi \n", [("a", "Ann", "Hi")]),
    "other columns": ("x,ID,y,Character,Text,z\n1,a,2,Ann,Hi,3\n", [("a", "Ann", "Hi")]),
    "columns without a header": (",ID,,Character,Text\n1,a,2,Ann,Hi\n", [("a", "Ann", "Hi")]),
    "other columns of one name": ("Tag,ID,Tag,Character,Text\n1,a,2,Ann,Hi\n", [("a", "Ann", "Hi")]),
    "words twice": (HEADER + "a,Ann,Hi\nb,Ann,Hi\n", [("a", "Ann", "Hi"), ("b", "Ann", "Hi")]),
    "right to left": (HEADER + "a,دانا,\u202bمرحبا\u202c\n", [("a", "دانا", "\u202bمرحبا\u202c")]),
    "zero width": (HEADER + "a,Ann,zero\u200bwidth\n", [("a", "Ann", "zero\u200bwidth")]),
    "emoji": (HEADER + "a,Ann,Yes 👩‍🚀!\n", [("a", "Ann", "Yes 👩‍🚀!")]),
    "a formula as text": (
        HEADER + "a,Ann,=1+1\nb,Ben,@home\nc,Ann,+1\nd,Ben,-1\n",
        [("a", "Ann", "=1+1"), ("b", "Ben", "@home"), ("c", "Ann", "+1"), ("d", "Ben", "-1")],
    ),
    "markup": (HEADER + "a,Ann,<b>no</b> {{x}} ${y} [z] *w*\n", [("a", "Ann", "<b>no</b> {{x}} ${y} [z] *w*")]),
    "numbers as ids": (HEADER + "007,Ann,Hi\n", [("007", "Ann", "Hi")]),
    "a null": (HEADER + "null,Ann,None\n", [("null", "Ann", "None")]),
    "dots and dashes in ids": (HEADER + "a.b-c_1,Ann,Hi\n", [("a.b-c_1", "Ann", "Hi")]),
    "the longest id": (HEADER + f"{'x' * 64},Ann,Hi\n", [("x" * 64, "Ann", "Hi")]),
    "the longest cell": (HEADER + f"a,Ann,{'x' * (LONGER - 1)}\n", [("a", "Ann", "x" * (LONGER - 1))]),
    "nobody": (HEADER + "a,,Hi\n", [("a", "", "Hi")]),
    "a separator of lines": (HEADER + "a,Ann,one\u2028two\n", [("a", "Ann", "one\u2028two")]),
    "a form feed in another column": ("ID,Character,Text,x\na,Ann,Hi,\f\n", [("a", "Ann", "Hi")]),
    "a known header that is another's": ("Key,ID,Speaker,Text\nq,a,Ann,Hi\n", [("a", "Ann", "Hi")]),
    "tabs at the end": ("ID\tCharacter\tText\t\t\na\tAnn\tHi\t\t\n", [("a", "Ann", "Hi")]),
}
"""Tables that are read, and their lines."""


@pytest.mark.parametrize("name", TEXTS)
def test_the_right_lines_are_read(name: str, tmp_path: Path) -> None:
    text, lines = TEXTS[name]
    assert said(table_of(tmp_path, text)) == lines


UNFIT = "is not a valid id, because ids are used in file names"
WRONG: dict[str, tuple[str | bytes, list[str]]] = {
    "nothing": ("", ["1:1: the table is empty"]),
    "blanks": ("\n \n,,\n", ["1:1: the table is empty"]),
    "only a header": (HEADER, ["1:1: the table has no lines"]),
    "only a header, and empty rows": (HEADER + "\n,,\n", ["1:1: the table has no lines"]),
    "no header": (
        "a,Ann,Hi\nb,Ben,Ho\n",
        [
            "1:1: no column contains the line ids",
            "1:1: no column contains the speakers",
            "1:1: no column contains the words",
        ],
    ),
    "half a header": ("ID,Text\na,Hi\n", ["1:1: no column contains the speakers"]),
    "a header far below": (
        "x\n" * 30 + HEADER + "a,Ann,Hi\n",
        [
            "1:1: no column contains the line ids",
            "1:1: no column contains the speakers",
            "1:1: no column contains the words",
        ],
    ),
    "a header twice in a row": (
        "ID,Character,Text,Text\na,Ann,Hi,Ho\n",
        ["1:1: columns C and D are both called 'Text'"],
    ),
    "a header twice in the table": (HEADER + "a,Ann,Hi\n" + HEADER, ["3:3: C3 (Text): this row repeats the header"]),
    "windows-1252": (HEADER.encode() + b"a,Ann,Hi\nb,Ben,caf\xe9\n", ["3:10: byte 0xe9 is not valid UTF-8"]),
    "utf-16 without a mark": (HEADER.encode("utf-16-le"), ["1:1: this is UTF-16 text without a byte order mark"]),
    "half of utf-16": (
        b"\xff\xfe" + HEADER.encode("utf-16-le") + b"x",
        ["1:1: this is not valid UTF-16 text: truncated data"],
    ),
    "a NUL": (HEADER + "a,Ann,H\0i\n", ["2:8: a table must be text, but it contains U+0000"]),
    "an escape": (HEADER + "a,Ann,\x1b[2J\n", ["2:3: C2 (Text): the cell contains U+001B, a control character"]),
    "a vertical tab": (
        HEADER + "a,Ann,one\x0btwo\n",
        ["2:3: C2 (Text): the cell contains U+000B, a control character"],
    ),
    "a bell in a name": (
        HEADER + "a,An\x07n,Hi\n",
        ["2:2: B2 (Character): the cell contains U+0007, a control character"],
    ),
    "a next line": (HEADER + "a,Ann,one\x85two\n", ["2:3: C2 (Text): the cell contains U+0085, a control character"]),
    "a quote that is never closed": (HEADER + 'a,Ann,"Hi\nb,Ben,Ho\n', ["2:3: C2: this quote is never closed"]),
    "a quote that is never closed, in a later cell": (
        HEADER + 'a,"Ann, or so","Hi\n',
        ["2:3: C2: this quote is never closed"],
    ),
    "a quote that is closed too early": (
        HEADER + 'a,Ann,"Hi" you\n',
        ["2:3: C2: there is text after this cell's closing quote"],
    ),
    "quotes that are not doubled": (
        HEADER + 'x,Ann,"one\ntwo"\na,Ann,"She said "no"."\n',
        ["4:3: C3: there is text after this cell's closing quote"],
    ),
    "a cell of a megabyte": (
        HEADER + f"a,Ann,{'x' * 1_000_000}\n",
        ["2:3: C2: this cell has more than 131,072 characters"],
    ),
    "a cell of a megabyte in quotes": (
        HEADER + f'a,Ann,"{"x" * 1_000_000}"\n',
        ["2:3: C2: this cell has more than 131,072 characters"],
    ),
    "no id": (HEADER + ",Ann,Hi\n", ["2:1: A2 (ID): the line has no id"]),
    "no words": (HEADER + "a,Ann,\n", ["2:3: C2 (Text): the line has no words"]),
    "short rows": (
        HEADER + "a,Ann\nb\n",
        ["2:3: C2 (Text): the line has no words", "3:3: C3 (Text): the line has no words"],
    ),
    "a comma in words": (HEADER + "a,Ann,Hi, you\n", ["2:3: C2 (Text): the row has 4 cells, but the header has 3"]),
    "an id twice": (HEADER + "a,Ann,Hi\n\na,Ben,Ho\n", ["4:1: A4 (ID): the id 'a' is already used in A2"]),
    "an id twice but for capitals": (
        HEADER + "Key,Ann,Hi\nKEY,Ben,Ho\n",
        ["3:1: A3 (ID): the id 'KEY' is already used in A2 as 'Key' (case is ignored)"],
    ),
    "an id three times": (
        HEADER + "a,A,x\na,A,x\na,A,x\n",
        ["3:1: A3 (ID): the id 'a' is already used in A2", "4:1: A4 (ID): the id 'a' is already used in A2"],
    ),
    "a slash": (HEADER + "a/b,Ann,Hi\n", [f"2:1: A2 (ID): 'a/b' {UNFIT}"]),
    "a backslash": (HEADER + "a\\b,Ann,Hi\n", [f"2:1: A2 (ID): 'a\\b' {UNFIT}"]),
    "a way up": (HEADER + "../a,Ann,Hi\n", [f"2:1: A2 (ID): '../a' {UNFIT}"]),
    "dots alone": (HEADER + "..,Ann,Hi\n", [f"2:1: A2 (ID): '..' {UNFIT}"]),
    "a dot at the end": (HEADER + "a.,Ann,Hi\n", [f"2:1: A2 (ID): 'a.' {UNFIT}"]),
    "a hidden file": (HEADER + ".a,Ann,Hi\n", [f"2:1: A2 (ID): '.a' {UNFIT}"]),
    "a blank in an id": (HEADER + "a b,Ann,Hi\n", [f"2:1: A2 (ID): 'a b' {UNFIT}"]),
    "a colon": (HEADER + "line:a,Ann,Hi\n", [f"2:1: A2 (ID): 'line:a' {UNFIT}"]),
    "another script": (HEADER + "é,Ann,Hi\n", [f"2:1: A2 (ID): 'é' {UNFIT}"]),
    "an id that is too long": (HEADER + f"{'x' * 101},Ann,Hi\n", [f"2:1: A2 (ID): '{'x' * 101}' {UNFIT}"]),
    "an id with nothing to see": (HEADER + "a\u200b,Ann,Hi\n", [f"2:1: A2 (ID): 'a\u200b' {UNFIT}"]),
    "a newline in an id": (HEADER + '"a\nb",Ann,Hi\n', [f"2:1: A2 (ID): 'a\nb' {UNFIT}"]),
    "an id of the stage's": (
        HEADER + "cue-1,Ann,Hi\n",
        ["2:1: A2 (ID): the id 'cue-1' is reserved for the stage"],
    ),
    "a row number behind a cell of several lines": (
        HEADER + 'a,Ann,"1\n2\n3"\nb/,Ben,x\n',
        [f"5:1: A3 (ID): 'b/' {UNFIT}"],
    ),
    "several at once": (
        HEADER + "a,Ann,\n,Ben,x\nc/,Ann,y\n",
        ["2:3: C2 (Text): the line has no words", "3:1: A3 (ID): the line has no id", f"4:1: A4 (ID): 'c/' {UNFIT}"],
    ),
    "a Git LFS pointer": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        ["1:1: the table is a Git LFS pointer"],
    ),
}
"""Tables that are refused, and what is said of each."""


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_row_and_column(name: str, tmp_path: Path) -> None:
    text, told = WRONG[name]
    assert problems(tmp_path, text) == told


OTHERS: dict[str, tuple[str, str, list[str]]] = {
    "words of nobody": ("a.txt", "Hello.\n", ["1:1: these words have no speaker"]),
    "a name in capitals without a colon": ("a.txt", "ANN: Hi.\n\nBEN\nHo.\n", ["3:1: unknown player 'BEN'"]),
    "a sentence with a colon": ("a.txt", "Ann: Hi.\nWhat I mean is that: no.\n", ["2:1: these words have no speaker"]),
    "a time": ("a.txt", "10:30\nAnn: Hi.\n", ["1:1: these words have no speaker"]),
    "a transcript of nothing": ("a.txt", "\n \n# note\n", ["1:1: the table has no lines"]),
    "a transcript with a NUL": ("a.txt", "Ann: H\0i\n", ["1:7: a table must be text, but it contains U+0000"]),
    "a transcript with an escape": (
        "a.txt",
        "Ann: \x1b[2J\n",
        ["1:6: a scene must be text, but U+001B is a control character"],
    ),
    "a name alone": ("a.txt", "Ann:\n\nBen: Hi.\n", ["1:1: the line has no words"]),
    "a cue of nobody between others": (
        "a.srt",
        "1\n00:00:01,000 --> 00:00:02,000\nANN: Hi.\n\n2\n00:00:03,000 --> 00:00:04,000\nHo.\n",
        ["7:1: these words have no speaker"],
    ),
    "subtitles of nothing": ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n\n", ["1:1: the table has no lines"]),
    "captions of nothing": ("a.vtt", "WEBVTT\n\nNOTE x\n", ["1:1: the table has no lines"]),
    "captions with one id": (
        "a.vtt",
        "WEBVTT\n\nx\n00:01.000 --> 00:02.000\n<v Ann>Hi\n\nX\n00:03.000 --> 00:04.000\n<v Ann>Ho\n",
        ["9:8: the id 'X' is already used in line 5 as 'x' (case is ignored)"],
    ),
    "a caption whose id names no file": (
        "a.vtt",
        "WEBVTT\n\na/b\n00:01.000 --> 00:02.000\n<v Ann>Hi\n",
        [f"5:8: 'a/b' {UNFIT}"],
    ),
    "an empty voice": ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann></v>\n", ["4:1: the line has no words"]),
    "a PO file with a message twice": (
        "a.po",
        'msgctxt "a"\nmsgid "x"\nmsgstr "y"\n\nmsgctxt "A"\nmsgid "x"\nmsgstr "z"\n',
        ["5:1: the id 'A' is already used in line 1 as 'a' (case is ignored)"],
    ),
    "a PO file with half a message": (
        "a.po",
        'msgctxt "a"\nmsgod "x"\n',
        ["2:1: this is not a valid PO file: a syntax error"],
    ),
    "dialogue.tab with a short row": (
        "dialogue.tab",
        "Identifier\tCharacter\tDialogue\tFilename\tLine Number\tRen'Py Script\na_1\te\n",
        ["2:3: C2 (Dialogue): the line has no words"],
    ),
    "dialogue.tab with tags alone": (
        "dialogue.tab",
        "Identifier\tCharacter\tDialogue\tFilename\tLine Number\tRen'Py Script\na_1\te\t{w}{/i}\tx\t1\n",
        ["2:3: C2 (Dialogue): the line has no words"],
    ),
    "Yarn's names alone": (
        "a.csv",
        "language,id,text,file,node,lineNumber,lock,comment\nen,line:1,Ann:,f,n,1,x,\n",
        ["2:3: C2 (text): the line has no words"],
    ),
    "JSON that is no list": (
        "a.json",
        '"x"',
        ["1:1: the file has no lines: no entry has a LineID and a CharacterID"],
    ),
    "JSON with an id twice": (
        "a.json",
        '[{"LineID": "a", "CharacterID": "A", "Text": "x"},\n {"LineID": "a", "CharacterID": "B", "Text": "y"}]',
        ["2:1: the id 'a' is already used in line 1"],
    ),
    "JSON with a number for words": (
        "a.json",
        '[{"LineID": "a", "CharacterID": "A", "Text": 3}]',
        ["1:1: Text is not text"],
    ),
}
"""Other kinds of tables that are refused, and what is said of each."""


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_wrong_with_other_kinds_is_told(name: str, tmp_path: Path) -> None:
    file, text, told = OTHERS[name]
    assert problems(tmp_path, text, file) == told


@pytest.mark.skipif(which("iconv") is None, reason="iconv is not here")
def test_the_way_out_of_windows_1252_works_when_it_is_pasted(tmp_path: Path) -> None:
    (tmp_path / "act one.csv").write_bytes(HEADER.encode() + b"a,Ann,caf\xe9 \x93hm\x94\n")
    with pytest.raises(SceneError) as raised:
        read_table(str(tmp_path / "act one.csv"))
    command = raised.value.hint.partition("it has a Windows encoding: ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    assert said(read_table(str(tmp_path / "act one-utf8.csv"))) == [("a", "Ann", "café “hm”")]


DEVICES = ("con", "NUL", "aux.1", "com1", "LPT9")


@pytest.mark.parametrize("name", DEVICES)
def test_an_id_that_is_a_device_of_windows_is_refused(name: str, tmp_path: Path) -> None:
    (told,) = problems(tmp_path, HEADER + f"{name},Ann,Hi\n")
    assert told == f"2:1: A2 (ID): the id '{name}' is the name of a Windows device and cannot be a file name"


NAMES: dict[str, tuple[str, str]] = {
    "capitals": ("ZOË", "Zoë"),
    "another form of the letters": ("Zoe\u0308", "Zoë"),
    "wide letters": ("Ａｎｎ", "Ann"),
    "blanks within": ("Old \u00a0 Ben", "Old Ben"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_spelt_otherwise_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("players: {Zoë: , Ann: , Old Ben: }\n", encoding="utf-8")
    spelt, meant = NAMES[name]
    (scene,) = scenes_of_table(table_of(tmp_path, HEADER + f"a,{spelt},Hi\n"), load_cast(tmp_path / "cast.yaml"))
    assert [*scene.players] == [meant]


@pytest.mark.parametrize(
    ("players", "spelt", "hint"),
    [
        ("{Zoë: }", "Zo\u200bë", "did you mean 'Zoë'? the text contains invisible characters: U+200B"),
        ("{Zoë: }", "Zoe", "did you mean 'Zoë'?"),
        ("{Ann: , Annie: }", "Bob", "players: Ann, Annie"),
        ("{Ann: }", "\u202eAnn", "did you mean 'Ann'? the text contains invisible characters: U+202E"),
    ],
)
def test_a_name_that_is_nobodys_is_refused_with_the_nearest(
    players: str, spelt: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "cast.yaml").write_text(f"players: {players}\n", encoding="utf-8")
    with pytest.raises(SceneError, match="unknown player") as raised:
        scenes_of_table(table_of(tmp_path, HEADER + f"a,{spelt},Hi\n"), load_cast(tmp_path / "cast.yaml"))
    assert raised.value.hint.startswith(hint)


# ---- spreadsheets

Fill = Callable[[Worksheet], object]


def workbook(folder: Path, *fills: Fill, name: str = "a.xlsx") -> Path:
    """A workbook whose sheets have a header, and what is filled in."""
    book = openpyxl.Workbook()
    for number, fill in enumerate(fills):
        sheet = book.worksheets[0] if not number else book.create_sheet(f"Sheet{number + 1}")
        sheet.title = f"Sheet{number + 1}"
        sheet.append(["ID", "Character", "Text"])
        fill(sheet)
    book.save(folder / name)
    return folder / name


def told_of(file: Path) -> list[str]:
    with pytest.raises(StageError) as raised:
        read_table(str(file))
    assert isinstance(raised.value, SceneError)
    return [
        f"{each.path.removeprefix(str(file))}:{each.line}:{each.column}: {each.problem}"
        for each in (raised.value, *raised.value.also)
    ]


def put(row: list[object], form: str = "General", column: int = 0) -> Fill:
    def fill(sheet: Worksheet) -> None:
        sheet.append(row)
        if column:
            sheet.cell(sheet.max_row, column).number_format = form

    return fill


AFTERNOON = datetime(2026, 3, 4, 14, 5, 6)  # noqa: DTZ001 - a spreadsheet knows no zones
SHOWN: dict[str, tuple[Fill, str]] = {
    "a whole number": (put(["a", "Ann", 7]), "7"),
    "a number": (put(["a", "Ann", 2.5]), "2.5"),
    "a sum": (put(["a", "Ann", 0.1 + 0.2]), "0.3"),
    "leading zeros": (put(["a", "Ann", 7], "000", 3), "007"),
    "decimals": (put(["a", "Ann", 2.5], "0.00", 3), "2.50"),
    "thousands": (put(["a", "Ann", 1234567], "#,##0", 3), "1,234,567"),
    "per cent": (put(["a", "Ann", 0.25], "0%", 3), "25%"),
    "words around a number": (put(["a", "Ann", 3], '"take "0', 3), "take 3"),
    "a truth": (put(["a", "Ann", True]), "TRUE"),
    "a date": (put(["a", "Ann", date(2026, 3, 4)], "yyyy-mm-dd", 3), "2026-03-04"),
    "a date in words": (put(["a", "Ann", date(2026, 3, 4)], "d mmmm yyyy", 3), "4 March 2026"),
    "a time": (put(["a", "Ann", time(14, 5)], "hh:mm", 3), "14:05"),
    "a time of twelve hours": (put(["a", "Ann", AFTERNOON], "hh:mm:ss AM/PM", 3), "02:05:06 PM"),
    "a formula as text": (put(["a", "Ann", "'=1+1"]), "'=1+1"),
    "lines": (put(["a", "Ann", "one\ntwo"]), "one\ntwo"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_cell_is_read_as_a_spreadsheet_shows_it(name: str, tmp_path: Path) -> None:
    fill, shown = SHOWN[name]
    (line,) = read_table(str(workbook(tmp_path, fill))).lines
    assert line.words == shown


UNSHOWN: dict[str, tuple[Fill, str]] = {
    "a date that was an id": (
        put([date(2026, 1, 2), "Ann", "x"], "mm-dd-yy", 1),
        "A2 (ID): the spreadsheet program has converted this cell to a date: 2026-01-02 00:00:00",
    ),
    "too many digits": (
        put([12345678901234567890, "Ann", "x"]),
        "A2 (ID): the number 1.23457e+19 has more digits than a spreadsheet keeps",
    ),
    "another form": (
        put(["a", "Ann", 5], "0.0E+0", 3),
        "C2 (Text): the cell's number format is not supported: 5 ('0.0E+0')",
    ),
    "a length of time": (
        put(["a", "Ann", timedelta(hours=30)]),
        "C2 (Text): the cell contains a duration (1 day, 6:00:00), not text",
    ),
    "a formula that was never computed": (
        put(["a", "Ann", '="Hi "&A2']),
        "C2 (Text): the cell contains a formula whose result was never saved",
    ),
    "an error": (put(["a", "Ann", "#REF!"]), "C2 (Text): the result of the formula is #REF!"),
    "no words": (put(["a", "Ann", None]), "C2 (Text): the line has no words"),
    "an id of two": (put(["a/b", "Ann", "x"]), f"A2 (ID): 'a/b' {UNFIT}"),
}


@pytest.mark.parametrize("name", UNSHOWN)
def test_a_cell_whose_text_is_not_known_is_refused(name: str, tmp_path: Path) -> None:
    fill, told = UNSHOWN[name]
    column = 1 if told.startswith("A") else 3
    assert told_of(workbook(tmp_path, fill)) == [f":Sheet1:2:{column}: {told}"]


def test_a_cell_whose_text_is_not_known_does_not_matter_in_another_column(tmp_path: Path) -> None:
    assert said(read_table(str(workbook(tmp_path, put(["a", "Ann", "Hi", "=1+1"]))))) == [("a", "Ann", "Hi")]


def test_a_cell_merged_downwards_holds_the_same_in_all_its_rows(tmp_path: Path) -> None:
    def fill(sheet: Worksheet) -> None:
        for row in (["a", "Ann", "1"], ["b", None, "2"], ["c", None, "3"], ["d", "Ben", "4"]):
            sheet.append(row)
        sheet.merge_cells("B2:B4")

    lines = said(read_table(str(workbook(tmp_path, fill))))
    assert [player for _, player, _ in lines] == ["Ann", "Ann", "Ann", "Ben"]


def test_an_id_that_is_merged_is_told_as_taken(tmp_path: Path) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(["a", "Ann", "1"])
        sheet.append([None, "Ann", "2"])
        sheet.merge_cells("A2:A3")

    assert told_of(workbook(tmp_path, fill)) == [":Sheet1:3:1: A3 (ID): the id 'a' is already used in A2"]


def test_sheets_that_are_no_tables_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    file = workbook(tmp_path, put(["a", "Ann", "1"]), put(["b", "Ben", "2"]), put(["c/", "Cleo", "3"]))
    book = openpyxl.load_workbook(file)
    book["Sheet3"].sheet_state = "hidden"
    book.create_sheet("Notes")["A1"] = "Do not touch"
    book["Sheet1"].row_dimensions[2].hidden = True
    book.save(file)
    table = read_table(str(file))
    assert [(line.id, line.scene) for line in table.lines] == [("a", "Sheet1"), ("b", "Sheet2")]
    assert [sheet.name for sheet in table.sheets] == ["Sheet1", "Sheet2"]


def test_an_error_names_the_sheet(tmp_path: Path) -> None:
    file = workbook(tmp_path, put(["a", "Ann", "1"]), put(["a", "Ben", "2"]))
    assert told_of(file) == [":Sheet2:2:1: A2 (ID): the id 'a' is already used in Sheet1!A2"]
    book = openpyxl.load_workbook(file)
    book["Sheet2"]["C1"] = "Txt"
    book.save(file)
    assert told_of(file) == [":Sheet2:1:1: no column contains the words"]


def test_a_workbook_without_a_table(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.save(tmp_path / "a.xlsx")
    assert told_of(tmp_path / "a.xlsx") == [":Sheet:1:1: the table is empty"]


Parts = dict[str, bytes]


def rezipped(file: Path, change: Callable[[Parts], object]) -> Path:
    """A workbook whose parts were changed."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file


SHEET = "xl/worksheets/sheet1.xml"


def replaced(old: str, new: str) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        assert old.encode() in parts[SHEET]
        parts[SHEET] = parts[SHEET].replace(old.encode(), new.encode())

    return change


def with_result(parts: Parts) -> None:
    """What a spreadsheet leaves of a formula: its result, too."""
    parts[SHEET] = re.sub(rb"(<f>[^<]*</f>)<v(?: ?/>|></v>)", rb"\1<v>5</v>", parts[SHEET])


def test_a_formula_with_a_result_is_its_result(tmp_path: Path) -> None:
    file = rezipped(workbook(tmp_path, put(["a", "Ann", "=2+3"])), with_result)
    assert read_table(str(file)).lines[0].words == "5"


RICH = """<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="1" uniqueCount="1"><si>
<r><t>Hi, </t></r><r><rPr><b/></rPr><t xml:space="preserve">you_x000D_
there </t></r><rPh sb="0" eb="1"><t>no</t></rPh></si></sst>"""


SHARED = (
    '<Override PartName="/xl/sharedStrings.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
)


def test_text_of_several_styles_is_read_as_one(tmp_path: Path) -> None:
    def change(parts: Parts) -> None:
        replaced('t="inlineStr"><is><t>Hi</t></is>', 't="s"><v>0</v>')(parts)
        parts["xl/sharedStrings.xml"] = RICH.encode()
        types = parts["[Content_Types].xml"].decode()
        parts["[Content_Types].xml"] = types.replace("</Types>", f"{SHARED}</Types>").encode()

    file = rezipped(workbook(tmp_path, put(["a", "Ann", "Hi"])), change)
    assert read_table(str(file)).lines[0].words == "Hi, you\nthere"


@pytest.mark.parametrize(
    "change",
    [
        replaced('<dimension ref="A1:C2"', '<dimension ref="A1:XFD1048576"'),
        replaced('<dimension ref="A1:C2"', '<dimension ref="A1"'),
        replaced("</sheetData>", '<row r="1048576"><c r="A1048576"/></row></sheetData>'),
        replaced("</sheetData>", "".join(f'<row r="{number}"/>' for number in range(3, 20_000)) + "</sheetData>"),
        replaced("<sheetData>", "<sheetProtection sheet='1'/><sheetData>"),
        lambda parts: parts.update({"xl/vbaProject.bin": b"macro"}),
    ],
)
@pytest.mark.slow
def test_what_a_workbook_says_of_its_size_does_not_matter(change: Callable[[Parts], object], tmp_path: Path) -> None:
    """Slow: a row at the end of a sheet comes after a million others."""
    file = rezipped(workbook(tmp_path, put(["a", "Ann", "Hi"])), change)
    assert said(read_table(str(file))) == [("a", "Ann", "Hi")]


BOMB = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><x>&a;</x>'
BROKEN: dict[str, tuple[Callable[[Parts], object], str]] = {
    "rows beyond the last": (
        replaced("</sheetData>", '<row r="99999999"><c r="A99999999"/></row></sheetData>'),
        ":1048577:1: the sheet 'Sheet1' has too many rows or cells",
    ),
    "no sheet": (lambda parts: parts.pop(SHEET), ":1:1: the workbook has no visible sheet"),
    "no types": (lambda parts: parts.pop("[Content_Types].xml"), ":1:1: the workbook is not in the .xlsx format"),
    "a binary workbook": (
        lambda parts: parts.update({"xl/workbook.bin": b""}),
        ":1:1: the workbook is not in the .xlsx format",
    ),
    "no XML": (lambda parts: parts.update({SHEET: b"<worksheet"}), ":1:1: the workbook is damaged"),
    "entities": (
        lambda parts: parts.update({SHEET: BOMB}),
        ":1:1: the workbook contains a DTD, which is not allowed",
    ),
    "a text that is not there": (
        replaced('t="inlineStr"><is><t>Hi</t></is>', 't="s"><v>333</v>'),
        ":1:1: the workbook is damaged",
    ),
    "a cell that is nowhere": (replaced('r="C2"', 'r="2C"'), ":1:1: the workbook is damaged"),
    "a bomb": (
        lambda parts: parts.update({f"xl/media/{number}": bytes(60_000_000) for number in range(10)}),
        ":1:1: the workbook unpacks to 600 MB, but the limit is 537 MB",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.slow
def test_a_workbook_that_is_damaged_is_told_as_that(name: str, tmp_path: Path) -> None:
    """Slow: a sheet is read to its end, and hundreds of megabytes are packed."""
    change, told = BROKEN[name]
    (error,) = told_of(rezipped(workbook(tmp_path, put(["a", "Ann", "Hi"])), change))
    assert error.startswith(told)


def test_a_workbook_in_which_no_zip_can_be_found(tmp_path: Path) -> None:
    olds = {
        b"": "this is not a spreadsheet workbook",
        b"ID,Character,Text\n": "this is not a spreadsheet workbook",
        b"PK\x03\x04": "the workbook is damaged: BadZipFile: File is not a zip file",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "the workbook is in the old Excel format (.xls)",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + "EncryptedPackage".encode("utf-16-le"): "the workbook is password-protected",
    }
    for data, told in olds.items():
        (tmp_path / "a.xlsx").write_bytes(data)
        assert told_of(tmp_path / "a.xlsx") == [f":1:1: {told}"]


@pytest.mark.slow
def test_a_workbook_with_any_bytes_changed_is_read_or_refused(tmp_path: Path) -> None:
    """Slow: hundreds of workbooks are read."""
    chance = random.Random(17)
    whole = workbook(tmp_path, put(["a", "Ann", "Hi"]), put(["b", "Ben", 7])).read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for round_ in range(300):
        if round_ % 2:
            data = bytearray(whole)
            spoil(data, chance)
        else:
            name = chance.choice([*parts])
            part = bytearray(parts[name])
            spoil(part, chance)
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                for each, content in {**parts, name: bytes(part)}.items():
                    archive.writestr(each, content)
            data = bytearray(packed.getvalue())
        (tmp_path / "b.xlsx").write_bytes(bytes(data))
        reads_or_refuses(tmp_path / "b.xlsx")


def spoil(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        data[at : at + chance.choice([0, 1, 1, 8])] = bytes(
            chance.randrange(256) for _ in range(chance.choice([0, 1, 1, 4]))
        )


def reads_or_refuses(file: Path) -> LineTable | None:
    """The table, or None where it is refused with a place."""
    try:
        return read_table(str(file))
    except SceneError as refusal:
        error = refusal
    assert error.problem
    assert min(error.line, error.column) >= 1
    return None


_CELLS = (
    "ID",
    "Character",
    "Text",
    "Ann",
    "Hi",
    ",",
    ";",
    "\t",
    "\n",
    "\r\n",
    '"',
    '""',
    "",
    " ",
    "\0",
    "\x1b",
    "\ufeff",
)
_CUES = ("NAME: x", "1\n00:00:01,000 --> 00:00:02,000\n", "WEBVTT\n\n", "<v Ann>", "</v>", "a", "é")
_MESSAGES = ("msgid", "msgstr", "msgctxt", '"x"', "{", "}", "[", "]", '"LineID":', ":")
PIECES = st.sampled_from([*_CELLS, *_CUES, *_MESSAGES])
ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".srt", ".vtt", ".po", ".json")


@pytest.mark.parametrize("ending", ENDINGS)
@given(st.lists(PIECES, max_size=30).map("".join))
@pytest.mark.slow
def test_any_text_is_read_or_refused(ending: str, text: str) -> None:
    """Slow: a hundred files are written."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"a{ending}"
        file.write_bytes(text.encode())
        table = reads_or_refuses(file)
    if table:
        ids = [line.id.casefold() for line in table.lines]
        assert len(ids) == len(set(ids))
        assert all(line.words and line.place.line >= 1 for line in table.lines)


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)] * 2), min_size=1, max_size=6
    )
)
@pytest.mark.slow
def test_any_cells_are_read_as_a_csv_writer_of_pythons_wrote_them(rows: list[tuple[str, str]]) -> None:
    """Slow: a hundred files are written."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.csv"
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(["ID", "Character", "Text"])
            writer.writerows([f"x{at}", player, words] for at, (player, words) in enumerate(rows))
        table = reads_or_refuses(file)
    if table is not None:
        assert [(line.player, line.words) for line in table.lines] == [
            (player.strip(), words.strip()) for player, words in rows
        ]
    else:
        assert not all(words.strip() for _, words in rows)


def test_folders_and_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(SceneError, match="the table is a folder"):
        read_table(str(tmp_path / "b.csv"))
    with pytest.raises(SceneError, match="the table is not a file"):
        read_table("/dev/null", format="plain")
    with pytest.raises(SceneError, match="does not exist") as raised:
        read_table(str(tmp_path / "bb.csv"))
    assert "did you mean 'b.csv'?" in raised.value.hint


WITHOUT = """
import sys
class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("openpyxl", "polib"):
            raise ImportError(name)
sys.meta_path.insert(0, Missing)
from tau_stage.cli.main import main; main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told"),
    [("a.xlsx", "reading spreadsheets requires openpyxl"), ("a.po", "reading PO files requires polib")],
)
def test_without_the_extra_one_sentence_says_what_to_install(name: str, told: str, tmp_path: Path) -> None:
    """Slow: a process of its own whose path holds no extras."""
    (tmp_path / name).write_text("")
    done = python("-c", WITHOUT, "cast", name, cwd=tmp_path, env={})
    assert (done.returncode, done.stderr) == (
        2,
        f"{told}, which is not installed\n  hint: pip install 'tau-stage[tables]'\n",
    )


@pytest.mark.parametrize("columns", [{"words": "Txt"}, {"id": "Text", "words": "Text"}])
def test_columns_that_are_not_there(columns: dict[str, str], tmp_path: Path) -> None:
    if "id" in columns:
        assert problems(tmp_path, HEADER + "a,Ann,Hi!\n", columns=columns) == [f"2:3: C2 (Text): 'Hi!' {UNFIT}"]
    else:
        assert problems(tmp_path, HEADER, columns=columns) == ["1:1: unknown column 'Txt'"]
