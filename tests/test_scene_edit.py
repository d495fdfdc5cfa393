"""Scene files rewritten: ids are added, notations changed, and nothing else is lost or moved."""

import re
from collections import Counter
from pathlib import Path as FilePath

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tau_stage.errors import SceneError
from tau_stage.scene.edit import add_ids, add_players, as_lines, as_script
from tau_stage.scene.load import parse_scene
from tau_stage.scene.model import AnyStep
from tau_stage.scene.names import automatic_id
from tau_stage.scene.planner import make_plan
from tau_stage.scene.source import Source
from tau_stage.scene.validate import written_lines
from tau_stage.scene.yaml_text import Document, Node, Path, read_yaml

HEAD = "scene: x\nplayers: {ann: , Ben: , 'It''s me': }\n"
PLAYERS = ["ann", "Ben", "It's me"]


def document(text: str) -> Document:
    return read_yaml(Source.of(text, "x.yaml"))


def script_of(text: str, players: list[str] | None = None) -> str:
    return as_script(document(text), players or PLAYERS)


def lines_of(text: str, players: list[str] | None = None) -> str:
    return as_lines(document(text), players or PLAYERS)


def unnamed(read: Document, players: list[str]) -> list[tuple[Path, str]]:
    """Path and id of each line without an id, of scenes that need not be sound."""
    found: list[tuple[Path, str]] = []
    numbers: Counter[str] = Counter()

    def look(node: Node, path: Path) -> None:
        for number, item in enumerate(node if isinstance(node, list) else []):
            here = (*path, number)
            speaker = next((key for key in item if key in players), None) if isinstance(item, dict) else None
            if isinstance(item, dict) and "together" in item:
                look(item["together"], (*here, "together"))
            elif isinstance(item, dict) and speaker:
                numbers[speaker] += 1
                if "id" not in item:
                    found.append((here, automatic_id(speaker, numbers[speaker])))

    look(read.data.get("lines", ""), ("lines",))
    return found


def tag(text: str, players: list[str] | None = None) -> str:
    read = document(text)
    return add_ids(read, unnamed(read, players or PLAYERS))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("- ann: Yes", "- ann: Yes\n  id: ann-1"),
        ("- ann: Yes  # so\n\n# end\n", "- ann: Yes  # so\n  id: ann-1\n\n# end\n"),
        ("-   ann: 'Yes'\n", "-   ann: 'Yes'\n    id: ann-1\n"),
        ("- ann: Yes\n  note: x\n", "- ann: Yes\n  id: ann-1\n  note: x\n"),
        ("- note: x\n  ann: |\n   Yes\n", "- note: x\n  id: ann-1\n  ann: |\n   Yes\n"),
        ("- ann: |  # so\n    Yes\n    No\n", "- id: ann-1\n  ann: |  # so\n    Yes\n    No\n"),
        ("- ann: Yes\n    and no\n", "- id: ann-1\n  ann: Yes\n    and no\n"),
        ('- ann:\n    "Yes"\n', '- id: ann-1\n  ann:\n    "Yes"\n'),
        ("-\n  # so\n  ann: Yes\n", "-\n  # so\n  ann: Yes\n  id: ann-1\n"),
        ("- {ann: Yes}\n", "- {id: ann-1, ann: Yes}\n"),
        ("- { # so\n  ann: Yes}\n", "- { # so\n  id: ann-1, ann: Yes}\n"),
        ("- 'It''s me': Yes\n", "- 'It''s me': Yes\n  id: it-s-me-1\n"),
        ("- ann: Yes\r\n- ann: No\r\n", "- ann: Yes\r\n  id: ann-1\r\n- ann: No\r\n  id: ann-2\r\n"),
        ("- ann: Yes\n  id: x\n- ann: No\n", "- ann: Yes\n  id: x\n- ann: No\n  id: ann-2\n"),
        ("- prompt: {ann: be sad}\n- pause: 1s\n- Carl: no\n- text\n", None),
        (
            "- together:\n    - ann: Yes\n    - Ben: No\n- ann: So\n",
            "- together:\n    - ann: Yes\n      id: ann-1\n    - Ben: No\n      id: ben-1\n- ann: So\n  id: ann-2\n",
        ),
        ("- together: [ann: Yes, Ben: No]", "- together: [{id: ann-1, ann: Yes}, {id: ben-1, Ben: No}]"),
    ],
)
def test_ids_are_written_beside_the_words(before: str, after: str | None) -> None:
    newline = "\r\n" if "\r\n" in before else "\n"
    text = f"{HEAD}lines:\n".replace("\n", newline) + before
    assert tag(text) == text.replace(before, before if after is None else after)


@pytest.mark.parametrize(
    "lines", ["[ann: Yes, {Ben: No}]", "[{ann: Yes, id: x}, Ben: 'No']  # so", "[ # so\n ann: Yes,\nBen: No ]"]
)
def test_ids_are_written_into_lists_in_brackets(lines: str) -> None:
    read = document(tag(f"{HEAD}lines: {lines}")).data["lines"]
    assert isinstance(read, list)
    assert [item.get("id") for item in read if isinstance(item, dict)][1] == "ben-1"


def test_an_id_that_stands_there_stays() -> None:
    text = "lines:\n- ann: Yes\n  id: mine\n"
    assert add_ids(document(text), [(("lines", 0), "ann-1")]) == text


def test_an_id_that_yaml_would_misread_is_quoted() -> None:
    assert add_ids(document("lines:\n- ann: Yes"), [(("lines", 0), "a: b")]).endswith('\n  id: "a: b"')


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("x: &x {ann: Yes}\nlines:\n- *x", (3, 3)),
        ("lines:\n- &x {ann: Yes}\n- *x", (2, 3)),
        ("lines:\n- together: &t [ann: Yes]\n- together: *t", (3, 13)),
        ("lines:\n- ? ann\n  : Yes", (2, 3)),
    ],
)
def test_where_no_id_can_stand_none_is_written(lines: str, place: tuple[int, int]) -> None:
    with pytest.raises(SceneError, match="cannot add an id") as raised:
        tag(lines)
    assert (raised.value.line, raised.value.column) == place


def test_a_file_without_lines_has_none_to_name() -> None:
    assert add_ids(document(HEAD), []) == HEAD


SCENE = """\
# the whole
scene: x
players: {ann: , Ben: , It's me: }

lines:  # what happens

  # first
  - ann: (low) "Yes", it's so: I am
  - It's me: "*I* [sighs]"  # at last
  - Ben: |
      One
      two

# between
  - Ben: |
      One.
  - ann: Yes
    # beside
    id: yes-1
  - prompt: {ann: be sad}
  -   # so
    ann: "# what"
  - ann: ""
  - ann: |  # why
      Because.
# last
limits: {budget: $1}  # dear
"""

SCRIPT = """\
# the whole
scene: x
players: {ann: , Ben: , It's me: }

script: |  # what happens

  # first
  ANN: (low) "Yes", it's so: I am
  # at last
  IT'S ME: *I* [sighs]
  - Ben: |
      One
      two

  # between
  BEN: One.
  - ann: Yes
    # beside
    id: yes-1
  - prompt: {ann: be sad}
  # so
  ANN: # what
  - ann: ""
  - ann: |  # why
      Because.
# last
limits: {budget: $1}  # dear
"""


def test_lines_become_a_script() -> None:
    text = SCENE.replace('- ann: (low) "Yes", it\'s so: I am', "- ann: '(low) \"Yes\", it''s so: I am'")
    assert script_of(text) == SCRIPT
    assert script_of(SCRIPT) == SCRIPT


def test_a_script_becomes_lines() -> None:
    text = lines_of(SCRIPT)
    assert text.split("\n")[4:13] == [
        "lines:  # what happens",
        "",
        "  # first",
        '  - ann: "(low) \\"Yes\\", it\'s so: I am"',
        "  # at last",
        '  - It\'s me: "*I* [sighs]"',
        "  - Ben: |",
        "      One",
        "      two",
    ]
    assert lines_of(text) == text
    assert script_of(text) == SCRIPT


@pytest.mark.parametrize(
    ("lines", "script"),
    [
        ("lines:\n- ann: Yes", "script: |\n  ANN: Yes"),
        ("lines:\r\n- ann: Yes\r\n", "script: |\r\n  ANN: Yes\r\n"),
        ("lines:\n- ann: Yes\n- pause: 1s\nlimits: {}", "script: |\n  ANN: Yes\n  - pause: 1s\nlimits: {}"),
        ('"lines" :\n- ann: Yes', "script: |\n  ANN: Yes"),
        ("lines: [ann: Yes, Ben: No]  # so", "script: |\n  ANN: Yes\n  BEN: No\n  # so"),
        (
            "lines: # one\n  # two\n  [ann: Yes, # three\n   {Ben: No,\nid: x # four\n}, pause: 1s,]\n",
            "script: | # one\n  # two\n  ANN: Yes\n  # three\n  - {Ben: No,\n   id: x # four\n   }\n  - pause: 1s\n",
        ),
        (
            "lines: [{ # one\n ann: # two\n Yes }, prompt: {ann: x}]",
            "script: |\n  # one\n  # two\n  ANN: Yes\n  - prompt: {ann: x}",
        ),
        (
            '     lines:\n      - ann: "one\n\n two"\n        id: x\n      - Ben: No',
            '     script: |\n       - ann: "one\n\n        two"\n         id: x\n       BEN: No',
        ),
        ("lines:\n- ann: 'a\n    b\n  # c'", "script: |\n  ANN: a b # c"),
        (
            "lines:\n- ann: |\n   a\n    \n   b\n  id: x\n- - c",
            "script: |\n  - ann: |\n     a\n      \n     b\n    id: x\n  - - c",
        ),
        (r'lines: [ann: "a\u2028b"]', 'script: |\n  - ann: "a\\u2028b"'),
        (r'lines: [ann: "\uFEFF"]', 'script: |\n  - ann: "\\uFEFF"'),
        ("lines:\n- ann: > # so\n   a\n", "script: |\n  - ann: > # so\n     a\n"),
    ],
)
def test_each_way_to_write_lines_has_its_script(lines: str, script: str) -> None:
    assert script_of(lines) == script
    assert spoken(lines_of(script)) == spoken(lines)


def test_players_who_differ_in_capitals_only_keep_them() -> None:
    assert script_of("lines: [ж: Да, Ж: Нет]", ["ж", "Ж"]) == "script: |\n  ж: Да\n  Ж: Нет"


def test_a_name_that_a_script_would_misread_stays_in_yaml() -> None:
    assert script_of("lines:\n- '#1': Yes", ["#1"]) == "script: |\n  - '#1': Yes"
    assert script_of("lines:\n- '- a': Yes", ["- a"]) == "script: |\n  - '- a': Yes"


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ("script: |\n  ANN: Yes", "lines:\n  - ann: Yes"),
        ("script: |\n\n  ANN:\n    # so\n    Yes\n    it is\n", "lines:\n\n    # so\n  - ann: Yes it is\n"),
        ("script: >-\n    IT'S ME: Yes: no\n", 'lines:\n    - It\'s me: "Yes: no"\n'),
        ("script: |\n  ANN:\n\n  BEN: a #b", 'lines:\n  - ann:\n\n  - Ben: "a #b"'),
        ("script: |2\n     ANN: a\n  # b\n    - pause: 1s\n       # c\nlimits:", None),
        ("script: |\n\nlimits:", "lines:\n\nlimits:"),
        ("script: |", "lines:"),
    ],
)
def test_each_way_to_write_a_script_has_its_lines(script: str, lines: str | None) -> None:
    expected = lines or "lines:\n  - ann: a\n  # b\n  - pause: 1s\n     # c\nlimits:"
    assert lines_of(script).replace("    # so", "    # so") == expected.replace("    # so", "  # so")


@pytest.mark.parametrize(
    "text",
    [
        "{players: {ann: }, lines: [ann: hi]}",
        "? lines\n: - ann: hi",
        "lines: &x\n- ann: hi",
        "lines:\n- ann: &x hi\n- Ben: *x",
        "x: &x hi\nlines: [ann: *x]",
        "lines: ",
        "lines: []",
        "lines: so",
        "lines: {ann: hi}",
    ],
)
def test_lines_that_no_script_can_stand_for_are_refused(text: str) -> None:
    with pytest.raises(SceneError) as raised:
        script_of(text)
    assert raised.value.hint


@pytest.mark.parametrize("text", ["script:\n  |\n  ANN: hi", "script: 'ANN: hi'", "{script: x}"])
def test_a_script_that_stands_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(SceneError, match="there is no script here"):
        lines_of(text)


SCREENPLAY = "INT. SHOP\n\nANN\n(low)\nWell: yes #1.\n\nBEN\nNo.\n\nANN ^\nNo!\n\nIT'S ME ^\nYes.\n\nBEN\n- Hm?\n"
PLAYED = """
  - ann: "(low) Well: yes #1."
  - together:
      - Ben: No.
      - ann: No!
      - It's me: Yes.
  - Ben: "- Hm?\""""


@pytest.fixture
def play(tmp_path: FilePath) -> str:
    """Where a scene lies beside a screenplay."""
    (tmp_path / "x.fountain").write_text(SCREENPLAY)
    return str(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ("script: x.fountain\nlimits: {cues: 3}", f"lines:{PLAYED}\nlimits: {{cues: 3}}"),
        ("'script': 'x.fountain'  # a play", f"lines:  # a play{PLAYED}"),
        ("script:  # a\n  # b\n  x.fountain # c\n# d\n", f"lines:  # a\n  # b\n  # c{PLAYED}\n# d\n"),
    ],
)
def test_a_screenplay_is_written_into_the_scene(script: str, lines: str, play: str) -> None:
    read = read_yaml(Source.of(HEAD + script, play))
    assert as_lines(read, PLAYERS) == HEAD + lines
    before, after = (make_plan(parse_scene(HEAD + text, play)) for text in (script, lines))
    assert [(line.id, line.prompt) for line in after.lines] == [(line.id, line.prompt) for line in before.lines]


def test_a_screenplay_becomes_a_script(play: str) -> None:
    text = as_script(read_yaml(Source.of(HEAD + "script: x.fountain", play)), PLAYERS)
    assert text.startswith(HEAD + "script: |\n  ANN: (low) Well: yes #1.\n  - together:\n      - Ben: No.\n")
    before, after = (make_plan(parse_scene(each, play)) for each in (HEAD + "script: x.fountain", text))
    assert [(line.id, line.prompt) for line in after.lines] == [(line.id, line.prompt) for line in before.lines]


def test_a_text_is_written_into_the_scene(play: str) -> None:
    text = "# one\nANN: Hi: yes\n   there.\n  - ann: Hm.\n      # hm\n    id: x\n\n**Ben** (low): No.\n"
    FilePath(play).with_suffix(".txt").write_text(text)
    lines = 'lines:\n  - ann: "Hi: yes there."\n  - ann: Hm.\n      # hm\n    id: x\n  - Ben: (low) No.'
    assert as_lines(read_yaml(Source.of(HEAD + "script: x.txt", play)), PLAYERS) == HEAD + lines
    before, after = (make_plan(parse_scene(HEAD + each, play)) for each in ("script: x.txt", lines))
    assert [(line.id, line.prompt) for line in after.lines] == [(line.id, line.prompt) for line in before.lines]


def test_a_screenplay_of_a_scene_in_brackets_is_refused(play: str) -> None:
    with pytest.raises(SceneError, match="there is no script here"):
        as_lines(read_yaml(Source.of("{players: {ann: }, script: x.fountain}", play)), PLAYERS)


def test_an_error_of_the_script_keeps_its_place() -> None:
    with pytest.raises(SceneError, match=r"x\.yaml:2:3: unknown player 'BARISTA'"):
        lines_of("script: |\n  BARISTA: hi")


def spoken(text: str) -> object:
    """What a file's lines hold, with words as they are performed."""
    items = document(text).data["lines"]
    assert isinstance(items, list)
    return [
        {key: value.strip() if isinstance(value, str) else value for key, value in item.items()}
        if isinstance(item, dict)
        else item
        for item in items
    ]


LETTERS = st.characters(
    exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp", "Co"), exclude_characters="\ufeff\ufffe\uffff"
)
TEXT = st.one_of(
    st.text(LETTERS, min_size=1, max_size=30),
    st.text("ab \"':#[]{}*-&!|>%@`\\,?()~\t.", min_size=1, max_size=20),
).filter(lambda text: text.strip(" \t") == text.strip() != "")
NAMES = st.lists(
    st.text("aAbBñß幽 '-#&!%@`,.[]{}()~", min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda name: re.search(r"[^\W_]", name) is not None),
    min_size=1,
    max_size=4,
    unique_by=str.casefold,
)
END = "# between"


@st.composite
def items(draw: st.DrawFn, names: list[str]) -> list[str]:
    """One item of a block list, as its lines without indentation."""
    name, words = written_key(draw(st.sampled_from(names))), draw(TEXT)
    comment = draw(st.sampled_from(["", "", "  # beside"]))
    other = draw(TEXT)
    single = "'" + words.replace("'", "''") + "'"
    double = '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'
    block = [f"    {line.strip()}" for line in (words, other)]
    return draw(
        st.sampled_from(
            [
                [f"- {name}: {single}{comment}"],
                [f"- {name}: {double}{comment}"],
                [f"- {name}: {single}{comment}", "  # inside", f"  note: {single}"],
                [f"- {name}: |{comment}", *block],
                [f"- {name}: |+{comment}", block[0], ""],
                [f"- {name}: >-{comment}", *block, "# low", "  note: so"],
                [f"- {name}: Plain", "    and on" + comment],
                [f"- {name}: 'Quoted", "", "# and on'" + comment],
                [f"- {{{name}: {double}, # in", "to: nobody}" + comment],
                ["-" + comment, f"  {name}: {single}"],
                [f"- prompt: {{{name}: {double}}}{comment}"],
                [f"- together:{comment}", f"  - {name}: {single}", f"  - {name}: So"],
                ["- pause: 1s" + comment],
            ]
        )
    )


def written_key(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


@st.composite
def scenes(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A scene's text and its players."""
    names = draw(NAMES)
    indent = " " * draw(st.integers(0, 5))
    lines = [
        "# top",
        "players:",
        *(f"  {written_key(name)}:" for name in names),
        "lines:" + draw(st.sampled_from(["", " # so"])),
    ]
    for _ in range(draw(st.integers(1, 5))):
        lines += draw(st.sampled_from([[], [""], [END], [f"{indent}{END}", ""]]))
        lines += [f"{indent}{line}" if line else "" for line in draw(items(names))]
    lines += draw(st.sampled_from([[], [""], ["# low"], ["", "limits: {} # end"]]))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    return newline.join(lines) + draw(st.sampled_from(["", newline])), names


def comments(text: str) -> list[str]:
    """Comments that scenes here hold."""
    return sorted(re.findall(r"# (?:top|so|between|beside|inside|low|in|end)(?=[\r\n]|\Z)", text))


@settings(max_examples=30)
@given(scenes())
def test_notations_change_and_lines_and_comments_stay(scene: tuple[str, list[str]]) -> None:
    text, players = scene
    script = script_of(text, players)
    back = lines_of(script, players)
    assert spoken(back) == spoken(text)
    assert comments(back) == comments(script) == comments(text)
    assert script_of(back, players) == script_of(lines_of(script_of(back, players), players), players)


@settings(max_examples=30)
@given(scenes())
def test_tagging_adds_ids_and_nothing_else(scene: tuple[str, list[str]]) -> None:
    text, players = scene
    wanted = unnamed(document(text), players)
    result = tag(text, players)
    without = re.sub(r"(?:\r?\n *id: [\w-]+(?=\r?\n|\Z))|(?:id: [\w-]+(?:, |\r?\n *))", "", result)
    assert without == text
    assert len(re.findall(r"\bid: [\w-]+", result)) == len(wanted)
    assert tag(result, players) == result
    assert unnamed(document(result), players) == []


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(PLAYERS), TEXT), min_size=1, max_size=5))
def test_every_word_survives_from_script_to_lines(said: list[tuple[str, str]]) -> None:
    text = "script: |\n" + "".join(f"  {who.upper()}: {words}\n" for who, words in said)
    read = document(lines_of(text)).data["lines"]
    assert read == [{who: words.strip()} for who, words in said]


@settings(max_examples=20)
@given(scenes())
def test_both_parsers_agree_on_where_things_end(scene: tuple[str, list[str]]) -> None:
    read = document(scene[0])
    other = read_yaml(read.source, yaml.SafeLoader)
    assert (read.values, read.keys) == (other.values, other.keys)


def test_the_ids_are_those_of_the_plan() -> None:
    text = f"{HEAD}lines:\n- ann: a\n- Ben: b\n  id: x\n- prompt: {{ann: c}}\n- ann: d\n- Ben: e\n"
    plan = make_plan(parse_scene(text))
    assert [line.id for line in make_plan(parse_scene(tag(text))).lines] == [line.id for line in plan.lines]
    assert [line.id or made for made, line in written_lines(parse_scene(text))] == [line.id for line in plan.lines]
    scene = parse_scene(lines_of(script_of(text)))
    steps = [replace_line(step) for step in scene.lines]
    assert steps == [replace_line(step) for step in parse_scene(text).lines]


def replace_line(step: AnyStep) -> AnyStep:
    return step.model_copy(update={"source_line": 0})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "players:\n  ann: {voice: ash} # low\nx-a: b\n",
            "players:\n  ann: {voice: ash} # low\n  ben: {voice: ash}  # 2 lines\nx-a: b\n",
        ),
        (
            "players:\n    ann:\n        voice: ash",
            "players:\n    ann:\n        voice: ash\n    ben: {voice: ash}  # 2 lines",
        ),
        ("players: {ann: }\n", "players: {ann: , ben: {voice: ash}}\n"),
        ("players: {}\n", "players: {ben: {voice: ash}}\n"),
        ("players: {\n  ann: x,\n}\n", "players: {\n  ann: x,\nben: {voice: ash}}\n"),
        ("players:\r\nx-a: b\r\n", "players:\r\n  ben: {voice: ash}  # 2 lines\r\nx-a: b\r\n"),
        ("x-a: b", "x-a: b\nplayers:\n  ben: {voice: ash}  # 2 lines\n"),
        ("x-a: b\n", "x-a: b\nplayers:\n  ben: {voice: ash}  # 2 lines\n"),
    ],
)
def test_players_are_added_and_no_other_byte_changes(old: str, new: str) -> None:
    document = read_yaml(Source.of(old, "cast.yaml"))
    assert add_players(document, [("ben", {"voice": "ash"}, "2 lines")]) == new


def test_no_player_is_added_where_the_players_are_an_alias() -> None:
    document = read_yaml(Source.of("x-a: &all {ann: {voice: ash}}\nplayers: *all\n", "cast.yaml"))
    with pytest.raises(SceneError, match="cannot add a player here"):
        add_players(document, [("ben", {"voice": "ash"}, "2 lines")])
