"""Each kind of table: string tables of engines, spreadsheets, translations, transcripts; other readers read them."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import polib
import pysrt
import pytest
import webvtt

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import load_cast, make_plan
from tau_stage.tables import FORMATS, read_table, scenes_of_table
from tests.test_tables_cells import problems, said, table_of

YARN = """language,id,text,file,node,lineNumber,lock,comment
en,line:0a1b,Ann: The [wave]harbour[/wave] sleeps.,/a.yarn,Harbour,4,1f2e3d4c,at night
en,line:0a1c,"Old Ben: Say \\[sic\\], and {0} coins.",/a.yarn,Harbour,5,aabbccdd,
en,line:0a1d,"[character name=""Ann""/]Time: nine.",/a.yarn,Quay,6,aabbccde,
en,line:0a1e,Nobody says this.,/a.yarn,Quay,7,aabbccdf,
"""


def test_strings_of_yarn_spinner(tmp_path: Path) -> None:
    table = table_of(tmp_path, YARN)
    assert said(table) == [
        ("0a1b", "Ann", "The harbour sleeps."),
        ("0a1c", "Old Ben", "Say [sic], and {0} coins."),
        ("0a1d", "Ann", "Time: nine."),
        ("0a1e", "", "Nobody says this."),
    ]
    first = table.lines[0]
    assert (first.scene, first.lock, first.note) == ("Harbour", "1f2e3d4c", "at night")
    assert (table.format, table.language) == ("yarn", "en")


RENPY = (
    "Identifier\tCharacter\tDialogue\tFilename\tLine Number\tRen'Py Script\n"
    'start_a1\te\tSay \\"{i}no{/i}\\".{w}And [[go]]\\nnow, [name].\tgame/script.rpy\t5\te "[what]"\n'
    'start_a2\t"Old Man"\tI said: "100%%.\t{\tgame/x.rpy\n'
    "start_a3\t\tIt rains.\tgame/script.rpy\t7\n"
    "\t\tOptions\tgame/screens.rpy\t8\n"
)


def test_the_dialogue_of_renpy(tmp_path: Path) -> None:
    table = table_of(tmp_path, RENPY, "dialogue.tab")
    assert said(table) == [
        ("start_a1", "e", 'Say "no". And [go]]\nnow, [name].'),
        ("start_a2", "Old Man", 'I said: "100%.'),
        ("start_a3", "", "It rains."),
    ]
    assert (table.format, table.lines[0].scene) == ("renpy", "game/script.rpy")


def test_a_translation_of_renpy_by_ids(tmp_path: Path) -> None:
    base = table_of(tmp_path, RENPY, "dialogue.tab")
    german = table_of(tmp_path, RENPY.replace("It rains", "Es regnet"), "de.tab", base=base, language="de")
    assert german.lines[2].words == "Es regnet."


DINK = [
    "Line ID",
    "Block ID",
    "Character",
    "Actor",
    "Text",
    "Direction",
    "Comments",
    "Tags",
    "Snippet ID",
    "Audio Status",
]


def test_a_recording_sheet_of_dink(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(DINK)
    sheet.append(["main_X1", "Tavern", "FRED", "Bo", "Hi.", "loudly", "VO: far", "", "wKwoeG", "TTS"])
    sheet.append(["main_X2", "Street", "FRED", "Bo", "Hi.", "", "", "", "wKwoeG", "Unknown"])
    book.save(tmp_path / "main-recording.xlsx")
    table = read_table(str(tmp_path / "main-recording.xlsx"))
    assert (table.format, said(table)) == ("dink", [("main_X1", "FRED", "Hi."), ("main_X2", "FRED", "Hi.")])
    assert [(line.scene, line.direction) for line in table.lines] == [
        ("Tavern wKwoeG", "loudly"),
        ("Street wKwoeG", ""),
    ]
    assert table.lines[0].place.cell("words") == "E2 (Text)"


STRUCTURE = """[
 {"SceneID": "Tavern", "Blocks": [{"BlockID": "", "Snippets": [{"SnippetID": "wK", "Beats": [
  {"Type": "Line", "CharacterID": "FRED", "Direction": "loudly", "Text": "It's over.", "LineID": "main_1",
   "Comments": ["a", "b"]},
  {"Type": "Action", "Text": "He leaves.", "LineID": "main_2"},
  {"BeatType": "Line", "CharacterID": "JIM", "Text": "", "LineID": "main_3"}]}]}]}]"""


def test_the_structure_of_dink(tmp_path: Path) -> None:
    assert problems(tmp_path, STRUCTURE, "main-dink-structure.json") == ["6:1: the line has no words"]
    table = table_of(tmp_path, STRUCTURE.replace('"Text": ""', '"Text": "Yes."'), "main-dink-structure.json")
    assert said(table) == [("main_1", "FRED", "It's over."), ("main_3", "JIM", "Yes.")]
    first = table.lines[0]
    assert (first.scene, first.direction, first.note) == ("Tavern wK", "loudly", "a\nb")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "1:2: this is not valid JSON: Expecting property name enclosed in double quotes"),
        ("[]", "1:1: the file has no lines: no entry has a LineID and a CharacterID"),
        ("[" * 100_000, "1:1: this JSON is nested too deeply for a table"),
        ('[{"LineID": 3, "CharacterID": "A", "Text": "x"}]', "1:1: LineID is not text"),
        (
            '[{"LineID": "a/b", "CharacterID": "A", "Text": "x"}]',
            "1:1: 'a/b' is not a valid id, because ids are used in file names",
        ),
    ],
)
def test_json_that_is_no_structure(text: str, told: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text, "x.json") == [told]


UNREAL = (
    "SpokenDialogue,VoiceActorDirection,DialogueAsset,IsRecorded,AudioFileName,SpeakingVoice,TargetVoices\n"
    '"Hello, you.",softly,/Game/Greeting,false,Greeting_01.wav,Ann,"(""Ben"")"\n'
)


def test_a_dialogue_of_unreal(tmp_path: Path) -> None:
    table = table_of(tmp_path, UNREAL)
    assert (table.format, said(table)) == ("unreal", [("Greeting_01", "Ann", "Hello, you.")])
    assert (table.lines[0].direction, table.lines[0].scene) == ("softly", "/Game/Greeting")


PO = """msgid ""
msgstr ""
"Language: de\\n"
"Content-Type: text/plain; charset=UTF-8\\n"

#. he lies
msgctxt "k-1"
msgid "Well, no."
msgstr ""
"Nun, "
"\\"nein\\"."

msgctxt "k-2"
msgid "Well, no."
msgstr "Also nein."

#, fuzzy
msgctxt "k-3"
msgid "Yes."
msgstr "Vielleicht."

msgctxt "k-4"
msgid "Maybe."
msgstr ""

msgctxt "menu|File"
msgid "Open"
msgstr "Öffnen"

msgctxt "count"
msgid "one line"
msgid_plural "%d lines"
msgstr[0] "eine Zeile"

#~ msgctxt "k-5"
#~ msgid "Old."
#~ msgstr "Alt."
"""


def test_a_translation_of_gettext(tmp_path: Path) -> None:
    rows = "".join(f"k-{number},Ann,x,,harbour\n" for number in range(1, 6))
    base = table_of(tmp_path, "Line ID,Character,Text,Notes,Scene\n" + rows)
    table = table_of(tmp_path, PO, "de.po", base=base)
    assert said(table) == [("k-1", "Ann", 'Nun, "nein".'), ("k-2", "Ann", "Also nein.")]
    assert (table.language, table.lines[0].scene, table.lines[0].note) == ("de", "harbour", "he lies")
    assert table.lines[0].place.line == 6
    theirs = {entry.msgctxt: entry.msgstr for entry in polib.pofile(PO) if entry.translated()}
    assert {line.id: line.words for line in table.lines}.items() <= theirs.items()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PO, "26:1: 'menu|File' is not a valid id, because ids are used in file names"),
        ('msgid "a"\nmsgstr "b" c"\n', "2:1: this is not a valid PO file: unescaped double quote found"),
        ("hello\n", "1:1: this is not a valid PO file: a syntax error"),
        ('msgid "a"\nmsgstr "b"\n', "1:1: no message has a context (msgctxt), which is used as the line id"),
        ("", "1:1: the table has no lines"),
    ],
)
def test_what_is_wrong_with_a_po_file(text: str, told: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text, "x.po") == [told]


def test_a_transcript(tmp_path: Path) -> None:
    text = (
        "# The harbour\n\n[00:12] **ANN:** (softly) *No*, [sic] ${x}.\nOLD BEN (low): Yes.\n  And more.\n"
        "Ann: - One\n- Ann: two\n"
    )
    table = table_of(tmp_path, text, "harbour.txt")
    assert [(line.id, line.player, line.direction, line.words) for line in table.lines] == [
        ("ann-1", "ANN", "", "(softly) *No*, [sic] ${x}."),
        ("old-ben-1", "OLD BEN", "low", "Yes. And more."),
        ("ann-2", "Ann", "", "- One"),
        ("ann-3", "Ann", "", "two"),
    ]
    assert (table.lines[0].place.line, table.lines[0].place.column, table.lines[0].scene) == (3, 18, "harbour")


def test_an_unknown_name_is_an_error_and_never_words_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("players: {Ann: }\n")
    table = table_of(tmp_path, "ANN: Hi.\nAnnn: Ho.\nShe said: no.\n", "a.txt")
    with pytest.raises(SceneError) as raised:
        scenes_of_table(table, load_cast(tmp_path / "cast.yaml"))
    assert [(each.line, each.problem) for each in (raised.value, *raised.value.also)] == [
        (2, "unknown player 'Annn'"),
        (3, "unknown player 'She said'"),
    ]
    assert problems(tmp_path, "ANN: Hi.\n\nHo.\n", "b.txt") == ["3:1: these words have no speaker"]


def test_names_that_are_known_may_stand_without_a_colon(tmp_path: Path) -> None:
    table = table_of(tmp_path, "[Ben] Hi.\nANN - Ho.\n", "a.txt", players=("Ann", "Ben"))
    assert said(table) == [("ben-1", "Ben", "Hi."), ("ann-1", "Ann", "Ho.")]


SRT = """1
00:00:01,000 --> 00:00:02,500
{\\an8}<i>ANN: It's late,
said nobody.</i>

2
00:00:03,000 --> 00:00:04,000
- BEN: No.
- ANN: Yes.
"""


def test_subtitles(tmp_path: Path) -> None:
    table = table_of(tmp_path, SRT, "a.srt")
    assert said(table) == [
        ("ann-1", "ANN", "It's late, said nobody."),
        ("ben-1", "BEN", "No."),
        ("ann-2", "ANN", "Yes."),
    ]
    assert pysrt.from_string(SRT)[1].text == "- BEN: No.\n- ANN: Yes."


def test_subtitles_that_name_nobody_are_the_narrators(tmp_path: Path) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,500\nIt is\nlate.\n\n2\n00:00:03,000 --> 00:00:04,000\nVery.\n"
    table = table_of(tmp_path, text, "a.srt")
    assert said(table) == [("narrator-1", "", "It is late."), ("narrator-2", "", "Very.")]
    (tmp_path / "cast.yaml").write_text("players: {Narrator: }\n")
    (scene,) = scenes_of_table(table, load_cast(tmp_path / "cast.yaml"))
    assert [line.player for line in make_plan(scene).lines] == ["Narrator", "Narrator"]
    assert [caption.text.replace("\n", " ") for caption in pysrt.from_string(text)] == [
        line.words for line in table.lines
    ]


VTT = """WEBVTT - the harbour

NOTE
ANN: is not spoken

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start
<v.loud Ann>Tom &amp; <00:01.500><c.red>Jerry</c></v>
<v Old Ben>No.

00:03.000 --> 00:04.000
<v Ann>Yes.</v> <v Old Ben>No.</v>
"""


def test_captions_of_the_web(tmp_path: Path) -> None:
    table = table_of(tmp_path, VTT, "a.vtt")
    assert said(table) == [
        ("intro", "Ann", "Tom & Jerry"),
        ("old-ben-1", "Old Ben", "No."),
        ("ann-1", "Ann", "Yes."),
        ("old-ben-2", "Old Ben", "No."),
    ]
    assert [line.place.line for line in table.lines] == [11, 12, 15, 15]
    (tmp_path / "b.vtt").write_text(VTT)
    assert len(webvtt.read(str(tmp_path / "b.vtt")).captions) == 2


def test_a_format_that_is_given_wins(tmp_path: Path) -> None:
    assert said(table_of(tmp_path, "id\tplayer\twords\na\tAnn\tHi\n", "a.txt", format="plain")) == [("a", "Ann", "Hi")]
    assert said(table_of(tmp_path, "ANN: Hi\n", "a.log", format="transcript")) == [("ann-1", "ANN", "Hi")]


@pytest.mark.parametrize(("name", "given"), [("a.docx", None), ("a.csv", "yarm")])
def test_what_is_no_table_is_refused(name: str, given: str | None, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not a table of lines|unknown table format 'yarm'") as raised:
        table_of(tmp_path, "x", name, format=given)
    assert raised.value.hint
    assert "yarn" in FORMATS
