"""Facts written into tables: their cells are there, and nothing else has changed, for readers that are not ours."""

from __future__ import annotations

import csv
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font

from tau_stage.errors import UsageError
from tau_stage.tables import is_same_file, read_table, with_facts

HEADERS = ("Status", "Seconds", "Said")
FACTS: dict[str, dict[str, str | float]] = {"a": {"Status": "performed", "Seconds": 1.5, "Said": 'Well, "no".'}}


def written(folder: Path, data: bytes, name: str = "a.csv") -> bytes:
    (folder / name).write_bytes(data)
    return with_facts(read_table(str(folder / name)), FACTS, HEADERS)


@pytest.mark.parametrize(
    ("table", "now"),
    [
        (
            b"id,character,text\r\na,Ann,Hi\r\nb,Ben,Ho\r\n",
            b'id,character,text,Status,Seconds,Said\r\na,Ann,Hi,performed,1.5,"Well, ""no""."\r\nb,Ben,Ho\r\n',
        ),
        (
            b'\xef\xbb\xbfid;character;text\na;Ann;"Hi;"\n',
            b'\xef\xbb\xbfid;character;text;Status;Seconds;Said\na;Ann;"Hi;";performed;1.5;"Well, ""no""."\n',
        ),
        (
            b'"id","character","text"\n"a","Ann","Hi\nyou"',
            b'"id","character","text","Status","Seconds","Said"\n"a","Ann","Hi\nyou","performed","1.5","Well, ""no""."',
        ),
        (
            b"Act one\n\nid,character,text,Said,note\n,,,,\na,Ann, Hi ,old\nb,Ben,Ho,kept,x\n",
            (
                b"Act one\n\nid,character,text,Said,note,Status,Seconds\n,,,,\n"
                b'a,Ann, Hi ,"Well, ""no"".",,performed,1.5\nb,Ben,Ho,kept,x\n'
            ),
        ),
        (
            b"sep=;\nid;character;text\na;Ann;Hi\n",
            b'sep=;\nid;character;text;Status;Seconds;Said\na;Ann;Hi;performed;1.5;"Well, ""no""."\n',
        ),
    ],
)
def test_a_table_of_text_keeps_its_dialect(table: bytes, now: bytes, tmp_path: Path) -> None:
    assert written(tmp_path, table) == now


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_a_table_of_utf_16_stays_one(codec: str, tmp_path: Path) -> None:
    mark = "\ufeff".encode(codec)
    now = written(tmp_path, mark + "id\tcharacter\ttext\r\na\tÄnne\tHi\r\n".encode(codec), "a.tsv")
    assert now.startswith(mark)
    assert now.decode("utf-16").splitlines()[1].split("\t")[:4] == ["a", "Änne", "Hi", "performed"]


def test_tables_of_renpy_have_no_quotes(tmp_path: Path) -> None:
    header = b"Identifier\tCharacter\tDialogue\tFilename\tLine Number\tRen'Py Script\n"
    now = written(tmp_path, header + b'a\tann\t"Hi" and\tgame/a.rpy\t7\t"[what]"\n', "dialogue.tab")
    assert now.splitlines()[1] == b'a\tann\t"Hi" and\tgame/a.rpy\t7\t"[what]"\tperformed\t1.5\tWell, "no".'


@pytest.mark.parametrize("said", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1"])
def test_what_was_said_is_no_formula_and_what_was_written_stays(said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,character,text\na,Ann,=1+1\n")
    now = with_facts(read_table(str(tmp_path / "a.csv")), {"a": {"Said": said}}, ["Said"])
    (row,) = csv.DictReader(StringIO(now.decode(), newline=""))
    assert (row["text"], row["Said"]) == ("=1+1", f"'{said}")


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n"), max_size=8)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), max_size=5),
    fact=CELLS,
    delimiter=st.sampled_from(",;\t"),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_all_other_cells_read_as_before(
    rows: list[tuple[str, str]],
    fact: str,
    delimiter: str,
    newline: str,
    quoting: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    out = StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows(
        [("id", "character", "text", "x"), *((f"r{n}", "Ann", f"w{a}", b) for n, (a, b) in enumerate(rows))]
    )
    file = tmp_path_factory.mktemp("tables") / "a.csv"
    file.write_bytes(out.getvalue().encode())
    table = read_table(str(file)) if rows else None
    if table is None:
        return
    now = with_facts(table, {line.id: {"Said": fact} for line in table.lines}, ["Said"]).decode()
    before = [*csv.reader(StringIO(out.getvalue(), newline=""), delimiter=delimiter)]
    after = [*csv.reader(StringIO(now, newline=""), delimiter=delimiter)]
    assert [row[:4] for row in after] == before
    assert {row[4] for row in after[1:]} <= {fact, f"'{fact}"}


def workbook() -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["Act one"], ["Line ID", "Character", "Text", "Takes"], ["a", "Ann", "Hi", "=1+2"], ["b", "Ben", "Ho"]):
        sheet.append(row)
    sheet.title = "Quay"
    sheet["B3"].font = Font(bold=True, color="FFFF0000")
    sheet.column_dimensions["C"].width = 50
    sheet.merge_cells("A1:C1")
    other = book.create_sheet("Notes")
    other["A1"] = "=1+1"
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_workbook_keeps_cells_and_styles(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(workbook())
    table = read_table(str(tmp_path / "a.xlsx"), columns={"id": "Line ID", "words": "Text", "player": "Character"})
    facts: dict[str, dict[str, str | float]] = {"a": FACTS["a"] | {"Said": "=1+1"}, "b": {"Status": "new", "Said": ""}}
    data = with_facts(table, facts, HEADERS)
    sheet = load_workbook(BytesIO(data))["Quay"]
    assert [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)] == [
        ["Line ID", "Character", "Text", "Takes", *HEADERS],
        ["a", "Ann", "Hi", "=1+2", "performed", 1.5, "=1+1"],
        ["b", "Ben", "Ho", None, "new", None, None],
    ]
    assert [sheet[cell].data_type for cell in ("D3", "F3", "G3")] == ["f", "n", "s"]  # G3 is text, no formula
    assert (sheet["B3"].font.bold, sheet["B3"].font.color.rgb) == (True, "FFFF0000")
    assert sheet.column_dimensions["C"].width == 50
    assert [str(each) for each in sheet.merged_cells.ranges] == ["A1:C1"]
    assert load_workbook(BytesIO(data))["Notes"]["A1"].value == "=1+1"
    again = with_facts(table, facts, HEADERS)
    assert is_same_file(data, again)
    assert not is_same_file(data, with_facts(table, {"a": {"Status": "failed"}}, HEADERS))
    assert not is_same_file(data, b"id,text\n")


def test_cells_that_are_kept_stay(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,character,text,Status\na,Ann,Hi,Final\nb,Ben,Ho,Unknown\n")
    table = read_table(str(tmp_path / "a.csv"))
    facts = {name: {"Status": "TTS"} for name in ("a", "b")}
    now = with_facts(table, facts, ["Status"], {"Status": {"Final"}})
    assert now == b"id,character,text,Status\na,Ann,Hi,Final\nb,Ben,Ho,TTS\n"


def test_a_file_without_cells_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ANN: Hi\n")
    with pytest.raises(UsageError, match="cannot write to this kind of file"):
        with_facts(read_table(str(tmp_path / "a.txt")), {}, ["Status"])
