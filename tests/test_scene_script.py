"""Play scripts, in our notation and in Fountain: who says what, where it stands, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import SceneError
from tau_stage.scene.compose import is_script_file
from tau_stage.scene.fountain import plain, read_fountain, stressed
from tau_stage.scene.load import parse_scene
from tau_stage.scene.names import nearest
from tau_stage.scene.planner import make_plan
from tau_stage.scene.script import (
    ScriptItem,
    ScriptSpeech,
    Speech,
    closing,
    head_of,
    is_item,
    is_stamp,
    marked_head,
    names_in_script,
    parse_speech,
    read_script,
    read_transcript,
    unknown_head,
)
from tau_stage.scene.source import SceneWarning, Source
from tests.test_long_transcripts import steps

PLAYERS = ["clerk", "tourist", "Old Man"]


def script(text: str, players: list[str] | None = None) -> list[ScriptSpeech | ScriptItem]:
    source = Source.of(text, "x.yaml")
    return read_script(source, 1, len(source.lines), PLAYERS if players is None else players)


def said(text: str, players: list[str] | None = None) -> list[tuple[str, str]]:
    return [(part.speaker, part.text) for part in script(text, players) if isinstance(part, ScriptSpeech)]


def refused(text: str, players: list[str] | None = None) -> SceneError:
    with pytest.raises(SceneError) as raised:
        script(text, players)
    return raised.value


@pytest.mark.parametrize(
    "words",
    [
        "(nervously) I'm afraid that is the last one.",
        '"No," she said: *never* [sighs] # not now #3',
        "- a dash",
        "'tis: so",
        "@you & {me} | > ! % ` \\",
        "CLERK: no, you",
        "Ünïcode 你好 🎭",
        "http://example.org",
        "a  wide   gap\tand a tab",
    ],
)
def test_whatever_follows_the_colon_is_words(words: str) -> None:
    assert said(f"CLERK: {words}") == [("clerk", words)]


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn"), exclude_characters="\ufeff")))
def test_any_text_of_one_line_is_words(words: str) -> None:
    assert said(f"CLERK: {words}") == [("clerk", words.strip())]


@pytest.mark.parametrize("cue", ["CLERK:", "clerk :", "  Clerk:", "clerk:"])
def test_the_speaker_is_known_however_spelt(cue: str) -> None:
    assert said(f"{cue} Yes") == [("clerk", "Yes")]


def test_names_of_several_words_and_foreign_ones() -> None:
    assert said("OLD MAN: Hm\nSTRASSE: Ja\nÉLISE: Oui", ["Old Man", "straße", "élise"]) == [
        ("Old Man", "Hm"),
        ("straße", "Ja"),
        ("élise", "Oui"),
    ]


def test_players_who_differ_in_capitals_only_are_called_exactly() -> None:
    assert said("Ж: Да", ["ж", "Ж"]) == [("Ж", "Да")]
    assert refused("CLERK: Yes", ["clerk", "Clerk"]).problem == "unknown player 'CLERK'"


def test_a_speech_goes_on_until_a_blank_line_or_the_next_speech() -> None:
    text = "CLERK: One\n  two: three\n# not heard\n four\n   # nor this\nTOURIST:\n    Five\n\nCLERK: Six\n"
    assert said(text) == [("clerk", "One two: three four"), ("tourist", "Five"), ("clerk", "Six")]


def test_places_are_where_the_text_starts() -> None:
    text = "x:\n  CLERK: One\n  TOURIST:\n\n  # hm\n  OLD MAN:\n     (low)\n     so\n  CLERK:   \ttwo"
    source = Source.of(text, "x.yaml")
    parts = read_script(source, 2, 99, PLAYERS)
    assert [(part.text, part.line, part.column) for part in parts if isinstance(part, ScriptSpeech)] == [
        ("One", 2, 10),
        ("", 3, 11),
        ("(low) so", 7, 6),
        ("two", 9, 13),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
def test_every_end_of_a_line_is_one(end: str) -> None:
    assert said(f"CLERK: One{end} two{end}{end}TOURIST: Three") == [("clerk", "One two"), ("tourist", "Three")]


def test_items_of_the_scene_language_stand_between_speeches() -> None:
    text = (
        "CLERK: One\n- pause: 1s\n- clerk: Yes\n  id: yes-1\n\n# hm\n  note: so\n# after\n\nTOURIST: Two\n"
        "-\n  sfx: door.wav\n-\tbed: rain.wav\n    # its own\n# not its own"
    )
    assert [part for part in script(text) if isinstance(part, ScriptItem)] == [
        ScriptItem(2, 2),
        ScriptItem(3, 7),
        ScriptItem(11, 12),
        ScriptItem(13, 14),
    ]
    assert said(text) == [("clerk", "One"), ("tourist", "Two")]


def test_dashes_that_are_no_items_are_words() -> None:
    assert said("CLERK: One\n -- two\n —three\n -four") == [("clerk", "One -- two —three -four")]


def test_an_empty_script_says_nothing() -> None:
    assert script("") == script("\n \n\t\n# only this\n") == []


@pytest.mark.parametrize(
    ("text", "place", "name", "hint"),
    [
        ("CLARK: hello", (1, 1), "CLARK", "did you mean 'clerk'?"),
        ("BARISTA: hello", (1, 1), "BARISTA", "players: clerk, tourist, Old Man"),
        ("CLERK: One\n\n  Barista: hello", (3, 3), "Barista", "players: clerk, tourist, Old Man"),
        ("- pause: 1s\nTWO MEN: hello", (2, 1), "TWO MEN", "players: clerk, tourist, Old Man"),
    ],
)
def test_who_is_no_player_does_not_speak(text: str, place: tuple[int, int], name: str, hint: str) -> None:
    error = refused(text)
    assert (error.line, error.column) == place
    assert (error.problem, error.hint) == (f"unknown player '{name}'", hint)


@pytest.mark.parametrize("cue", ["TOURISTS: Two", "tuorist: Two", "BARISTA:\nTwo"])
def test_a_misspelt_cue_is_not_swallowed_by_the_speech_above(cue: str) -> None:
    error = refused(f"CLERK: One\n{cue}")
    assert (error.line, error.column) == (2, 1)
    assert error.problem.startswith("unknown player")
    assert error.hint.endswith("\n  indent the continuation of a speech more than its first line")
    deeper = cue.replace("\n", "\n  ")
    assert said(f"CLERK: One\n  {deeper}") == [("clerk", f"One {cue}".replace("\n", " "))]


@pytest.mark.parametrize(
    "words",
    [
        "and then I said to him: no", "Well, I said: no", "“So: no", "Never. Ever: no", "X" * 70 + ": no", "NO:no",
        "so be it", "10:30 it was", "http://example.org", "glad :D", "?: no", ": no", "at 10:30", "...:",
        "*shouts: no*!", "[no]: no", "[0:1] no", "[GUEST] no", "<Guest> no", "Guest\tno", "I. Never.",
    ],
)  # fmt: skip
def test_only_what_stands_deeper_goes_on(words: str) -> None:
    assert said(f"CLERK: One\n {words}") == [("clerk", f"One {words}")]
    assert said(f"CLERK:\n{words}\n{words}") == [("clerk", f"{words} {words}")]
    error = refused(f"CLERK: One\n{words}\nmore of it\nTOURIST: Two")
    assert (error.line, error.column, error.problem, error.also) == (2, 1, "these words have no speaker", ())
    assert error.hint.endswith("\n  indent the continuation of a speech more than its first line")


@pytest.mark.parametrize("name", ["GUEST", "GUEST.", "**GUEST.** Hm.", "GUEST. Hm.", "GUEST - Hm.", "GUEST\tHm."])
def test_a_name_in_capitals_without_a_colon_is_somebody_s(name: str) -> None:
    for text in (f"CLERK: One\n{name}\nTwo", f"CLERK:\nOne\n{name}\nTwo"):
        error = refused(text)
        assert (error.line, error.problem) == (text[: text.index(name)].count("\n") + 1, "unknown player 'GUEST'")
        assert error.hint.endswith("\n  indent the continuation of a speech more than its first line")


@pytest.mark.parametrize(
    "text",
    [
        "CLERK. One\nTOURIST. Two",
        "**CLERK.** One\n**TOURIST.** Two",
        "CLERK\nOne\nTOURIST\nTwo",
        "Clerk\n  One\nTourist.\n  Two",
        "CLERK:\nOne\nTOURIST. Two",
        "[Clerk] 10:02:13\nOne\n\n[Tourist] 10:02:15\nTwo",
        "Clerk\n00:00\nOne\n\nTourist\n  10:03 AM\nTwo",
        "00:00:00.000 --> 00:00:02.000\n<v Clerk>One</v>\n\n00:00:03.000 --> 00:00:04.000\n<v.loud Tourist>Two</v>",
        "CLERK (V.O.) (CONT'D): One\nTOURIST (O.S.): Two",
    ],
)
def test_stage_plays_and_exports_of_meetings_are_read(text: str) -> None:
    assert said(text) == [("clerk", "One"), ("tourist", "Two")]


def test_several_parentheses_beside_a_name_are_one_direction() -> None:
    assert said("CLERK (low) (O.S.) (slow): One") == [("clerk", "(low, slow) One")]
    assert refused("GUEST (low) (slow): One").problem == "unknown player 'GUEST'"


@pytest.mark.parametrize(
    ("line", "name", "column"),
    [
        ("Guest: Hello", "Guest", 1),
        ("guest: Hello", "guest", 1),
        ("Guest:Hello", "Guest", 1),
        ("Guest :", "Guest", 1),
        ("GUEST：Hi", "GUEST", 1),
        ("客人：你好", "客人", 1),
        ("Speaker 2: Hi", "Speaker 2", 1),
        ("SPEAKER_02: Hi", "SPEAKER_02", 1),
        ("I said: no", "I said", 1),
        ("A VERY LONG SHOUT INDEED: no", "A VERY LONG SHOUT INDEED", 1),
        ("DR. NO, M.D.: Hi", "DR. NO, M.D.", 1),
        ("Mr. Fox: Hi", "Mr. Fox", 1),
        ("BEN (laughing): Hi", "BEN", 1),
        ("[00:12] ANNA: Hi", "ANNA", 9),
        ("00:00:12.340 --> 00:00:14.000 - Anna: Hi", "Anna", 33),
        ("**BEN:** Hi", "BEN", 3),
        ("**BEN**: Hi", "BEN", 3),
        ("**BEN: Hi**", "BEN", 3),
        ("[00:12] __BEN__ (low): Hi", "BEN", 11),
        ("• Ben: Hi", "Ben", 3),
        ("Anna Smith  0:12", "Anna Smith", 1),
        ("Speaker 1 (00:12): Hi", "Speaker 1", 1),
        ("Speaker 1 [0:00:12]: Hi", "Speaker 1", 1),
        ("[12/03/2024, 16:12:01] Guest: Hi", "Guest", 24),
        (">> GUEST: Hi", "GUEST", 4),
        ("12. Guest: Hi", "Guest", 5),
        ("* Guest: Hi", "Guest", 3),
        ("Guest — Today at 4:12 PM", "Guest", 1),
    ],
)
def test_a_speech_of_a_stranger_is_never_words(line: str, name: str, column: int) -> None:
    for before in ("CLERK: One\n", "CLERK: One\n\n", "", "WAITER: One\n"):
        error = refused(f"{before}{line}")
        told = [(each.line, each.column, each.problem) for each in (error, *error.also)]
        assert told[-1] == (before.count("\n") + 1, column, f"unknown player '{name}'")
    if ": " in line:
        assert said(f"CLERK: One\n  {line}") == [("clerk", f"One {line}")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[00:12] TOURIST: Hi", "Hi"),
        ("(0:12) TOURIST: Hi", "Hi"),
        ("00:12 tourist: Hi", "Hi"),
        ("00:01:12,500 --> 00:01:13,000 TOURIST: Hi", "Hi"),
        ("[00:12 - 00:14] - TOURIST: Hi", "Hi"),
        ("**TOURIST:** Hi", "Hi"),
        ("**TOURIST**: *Hi*", "*Hi*"),
        ("_TOURIST_: Hi", "Hi"),
        ("**TOURIST: Hi**", "**Hi**"),
        ("[00:12] **Tourist:** Hi", "Hi"),
        ("> TOURIST: Hi", "Hi"),
        ("TOURIST：Hi", "Hi"),
        ("ＴＯＵＲＩＳＴ: Hi", "Hi"),
        ("TOURIST (laughing): Hi", "(laughing) Hi"),
        ("TOURIST（笑）：Hi", "(笑) Hi"),
        ("**TOURIST** (laughing): Hi", "(laughing) Hi"),
        ("**TOURIST (laughing):** (low) Hi", "(laughing, low) Hi"),
        ("TOURIST (laughing):", "(laughing)"),
        ("TOURIST ():  Hi", "Hi"),
        ("TOURIST (V.O.): Hi", "Hi"),
        ("TOURIST (CONT’D): (low) Hi", "(low) Hi"),
        ("TOURIST [laughs]: Hi", "[laughs] Hi"),
        ("(laughing) TOURIST: Hi", "(laughing) Hi"),
        ("[laughs] TOURIST: Hi", "[laughs] Hi"),
        ("TOURIST  0:12\nHi", "Hi"),
        ("Tourist [00:12]\n[00:12]\nHi", "Hi"),
        ("Tourist — Today at 4:12 PM\nHi", "Hi"),
        ("Tourist – 12.03.2024 16:12\nHi", "Hi"),
        ("TOURIST [00:12]: Hi", "Hi"),
        ("TOURIST 00:12: Hi", "Hi"),
        ("Tourist 01:00:12.5: Hi", "Hi"),
        ("**TOURIST 00:12:** Hi", "Hi"),
        ("Tourist (0:00:12): Hi", "Hi"),
        ("**Tourist (00:12):** Hi", "Hi"),
        ("[12/03/2024, 16:12:01] Tourist: Hi", "Hi"),
        ("\u200e[12.03.24, 4:12:01\u202fPM] Tourist: Hi", "Hi"),
        ("12/03/24, 16:12 - Tourist: Hi", "Hi"),
        ("2024-03-12T16:12:01Z TOURIST: Hi", "Hi"),
        ("2024-03-12 16:12:01.250 TOURIST: Hi", "Hi"),
        ("4:12 pm TOURIST: Hi", "Hi"),
        ("01:00:02:15 TOURIST: Hi", "Hi"),
        ("[0.00s -> 2.50s] TOURIST: Hi", "Hi"),
        ("[12.5s] TOURIST: Hi", "Hi"),
        (">> TOURIST: Hi", "Hi"),
        (">>TOURIST: Hi", "Hi"),
        ("–TOURIST: Hi", "Hi"),
        ("-TOURIST: Hi", "Hi"),
        ("* Tourist: Hi", "Hi"),
        ("1. Tourist: Hi", "Hi"),
        ("12) TOURIST: Hi", "Hi"),
        ("[00:12] >> TOURIST: Hi", "Hi"),
        ("TOURIST\tHi", "Hi"),
        ("TOURIST \t\t Hi: so", "Hi: so"),
        ("Tourist – Hi", "Hi"),
        ("TOURIST - Hi", "Hi"),
        ("TOURIST — Hi: so", "Hi: so"),
        ("**Tourist** — Hi", "Hi"),
        ("<Tourist> Hi", "Hi"),
        ("[16:12] <Tourist> Hi", "Hi"),
        ("<v Tourist>Hi", "Hi"),
        ("[TOURIST] Hi: so", "Hi: so"),
        ("[TOURIST]: Hi", "Hi"),
        ("7\n00:00:14,000 --> 00:00:15,000 align:start position:0%\nTOURIST: Hi", "Hi"),
    ],
)
def test_what_stands_around_a_name_is_taken_off(line: str, words: str) -> None:
    assert said(f"CLERK: One\n{line}\n\nCLERK: Two") == [("clerk", "One"), ("tourist", words), ("clerk", "Two")]


def test_a_time_stamp_alone_is_nobodys_words() -> None:
    assert said("[00:10]\nCLERK: One\n[00:12]\n two\n\n00:00:14,000 --> 00:00:15,000\nTOURIST: Hi") == [
        ("clerk", "One two"),
        ("tourist", "Hi"),
    ]


def test_what_nobody_speaks_in_webvtt_is_passed_over() -> None:
    cues = (
        "WEBVTT - a talk\nKind: captions\n\nNOTE\nmade by hand\n\nintro\n00:00.000 --> 00:02.000\n<v Clerk>Hello.\n\n"
        "2\n00:02.500 --> 00:04.000\n<v Tourist>NOTE this.\n\nSTYLE\n::cue { color: red }\n"
    )
    assert said(cues) == [("clerk", "Hello."), ("tourist", "NOTE this.")]
    assert refused("CLERK: Hi\n\nWEBVTT\n").problem == "unknown player 'WEBVTT'"
    assert refused("NOTE\n").problem == "unknown player 'NOTE'"
    assert said("WEBVTT: Hi", ["WEBVTT"]) == said("WEBVTT\nHi", ["WEBVTT"]) == [("WEBVTT", "Hi")]


def test_a_time_before_a_colon_belongs_to_a_name_only() -> None:
    assert refused("Meet me at 12:30: here").problem == "these words have no speaker"
    assert refused("ZOE 12:30: here").problem == "unknown player 'ZOE'"


def test_names_that_look_the_same_are_the_same() -> None:
    assert said("ZOE\u0308: Hi\nZoë: Ho", ["Zoë"]) == [("Zoë", "Hi"), ("Zoë", "Ho")]
    error = refused("ZO\u200bË: Hi", ["Zoë"])
    assert error.hint == "did you mean 'Zoë'? the text contains invisible characters: U+200B"


@pytest.mark.parametrize("words", ["and so on", ": hm", "I said so to him then: no", "-1"])
def test_words_without_a_speaker_are_refused(words: str) -> None:
    error = refused(f"# so\n  {words}")
    assert (error.line, error.column, error.problem) == (2, 3, "these words have no speaker")
    assert error.hint == "write a speech as 'PLAYER: words', and end it with a blank line"


def test_all_errors_are_told_at_once_and_each_speech_once() -> None:
    error = refused("ONE: a\nmore of it\n\nTWO: b\nmore: of it\n\nCLERK: Yes\n\nlost")
    assert [(each.line, each.problem) for each in (error, *error.also)] == [
        (1, "unknown player 'ONE'"),
        (4, "unknown player 'TWO'"),
        (5, "unknown player 'more'"),
        (9, "these words have no speaker"),
    ]


def test_lines_are_read_in_steps_that_grow_with_their_number() -> None:
    def read(times: int) -> int:
        return steps(lambda: script("CLERK: One\n  two: three\n- pause: 1s\n\n" * times))

    assert read(400) < 2.5 * read(200)


def fountain(text: str, players: list[str] | None = None) -> list[tuple[str, str]]:
    read = read_fountain(Source.of(text, "x.fountain"), PLAYERS if players is None else players)
    return [(part.speaker, part.text) for part in read]


SCREENPLAY = """\
Title:
    _**THE LAST UMBRELLA**_
Author: CLERK

INT. SHOP - DAY

It rains.  CLERK waits.

CLERK
(nervously)
I'm afraid we're down to the...
(clears throat)
the last umbrella.

TOURIST (O.S.)
The *last* one?!

# Act

= They haggle.

!CLERK
The sign over the desk.

OLD MAN (V.O.) (CONT'D) ^
~That's my umbrella[[or is it?]]
[[nobody knows]]
 [[at all]] of old
{blank}
(beat)

> CUT TO:

/*
CLERK
Struck out.

TOURIST
So is this.
*/

.THE STREET

@old man
Hm.

CLERK

TOURIST /* runs */

CUT TO:
Nothing.

BANG:
""".replace("{blank}", "  ")


def test_a_screenplay_is_what_is_spoken_in_it() -> None:
    assert fountain(SCREENPLAY) == [
        ("clerk", "(nervously) I'm afraid we're down to the... [clears throat] the last umbrella."),
        ("tourist", "The *last* one?!"),
        ("Old Man", "That's my umbrella of old [beat]"),
        ("Old Man", "Hm."),
    ]


def test_places_of_a_screenplay_are_those_of_the_file() -> None:
    text = "FADE IN:\n\n  [[x]] CLERK ^\r\n\t(low)\r\n(and slow)\n[[a\nb]] Yes\n\n@TOURIST\n [[c]]\n  No"
    assert read_fountain(Source.of(text, "x"), PLAYERS) == [
        ScriptSpeech("clerk", "(low, and slow) Yes", 4, 2),
        ScriptSpeech("tourist", "No", 11, 3),
    ]


def test_a_note_within_words_leaves_one_blank() -> None:
    assert fountain("CLERK\nOne [[note]] two[[note]], three/*\n\nout*/\n[[not a note\n\nCLERK\nFour") == [
        ("clerk", "One two, three [[not a note"),
        ("clerk", "Four"),
    ]


@pytest.mark.parametrize("text", ["/*" * 50_000, "[[" * 50_000, "[[\n\n]]" * 5_000 + "]]/*", "CLERK\n" * 20_000])
def test_signs_without_end_come_to_an_end(text: str) -> None:
    fountain(text)


def test_a_name_may_have_no_capitals_or_end_in_a_parenthesis() -> None:
    assert fountain("幽霊\nうらめしや\n\n雨\n降る。\n\nMAN (OLD)\nHm", ["幽霊", "Man (old)"]) == [
        ("幽霊", "うらめしや"),
        ("Man (old)", "Hm"),
    ]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "Title: X", "Title: X\nCLERK\nYes", "INT. SHOP\nYes", "clerk\nYes", "1\n2"]
)
def test_a_screenplay_without_dialogue_says_nothing(text: str) -> None:
    assert fountain(text) == []


_IN_CAPITALS = "start an action in capitals with '!'"
_ON_ITS_LINE = "write a cue on its own line, with a blank line above it and its words directly below"


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("CLERK: Yes", 1, f"{_ON_ITS_LINE}; {_IN_CAPITALS}"),
        ("INT. SHOP\n\nOLD MAN (low)： Yes", 3, f"{_ON_ITS_LINE}; {_IN_CAPITALS}"),
        ("INT. SHOP\nCLERK\nYes", 2, f"{_ON_ITS_LINE}; {_IN_CAPITALS}"),
        ("INT. SHOP\n\nCLERK (V.O.)\n\nYes", 3, f"{_ON_ITS_LINE}; {_IN_CAPITALS}"),
        ("clerk\nYes", 1, "write '@clerk' to make clerk speak, or '!clerk' for an action"),
    ],
)
def test_an_action_that_reads_as_a_speech_of_a_player_is_told(text: str, line: int, hint: str) -> None:
    warnings: list[SceneWarning] = []
    assert read_fountain(Source.of(text, "x"), PLAYERS, warnings) == []
    assert [(each.location.line, each.problem.partition(",")[0], each.hint) for each in warnings] == [
        (line, "nobody speaks here", hint)
    ]
    rest = text.splitlines()
    forced: list[SceneWarning] = []
    rest[line - 1] = "!" + rest[line - 1]
    assert read_fountain(Source.of("\n".join(rest), "x"), PLAYERS, forced) == []
    assert forced == []


@pytest.mark.parametrize(
    "text", ["The clerk: yes", "The\nCLERK\n\nsits", "The\nclerk\nsits", "GUEST: Yes", "C" * 300, "~CLERK: Yes"]
)
def test_other_actions_are_not_told(text: str) -> None:
    warnings: list[SceneWarning] = []
    assert (read_fountain(Source.of(text, "x"), PLAYERS, warnings), warnings) == ([], [])


def test_a_parenthetical_alone_is_a_moment() -> None:
    assert fountain("CLERK\n(coughs)\n*(loudly)*\n()") == [("clerk", "[coughs] [loudly]")]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("(low)\nHi.\n(beat)\nHo.\n(laughs)", "(low) Hi. [beat] Ho. [laughs]"),
        ("*(low)*\nHi.", "(low) Hi."),
        ("(_very_ low)\nHi.", "(very low) Hi."),
        ("（小声で）\nはい", "(小声で) はい"),
        ("(starting\nthe (old)\nengine)\nHi.", "(starting the (old) engine) Hi."),
        ("(low) Hi.", "(low) Hi."),
        ("Hi.\n(MORE)", "Hi."),
        ("(CONT'D)\n(low)\nHi.", "(low) Hi."),
        ("Hi.\n(one) and (two)", "Hi. (one) and (two)"),
        ("Hi.\n(one\ntwo) and so", "Hi. (one two) and so"),
        ("Hi.\n(never\nclosed", "Hi. (never closed"),
        ("\\(Nobody\\) came.", "\\(Nobody\\) came."),
        ("Hi.\n(\\) so)", "Hi. [\\) so]"),
        ("~La *la*\n~la", "La *la* la"),
        ("Then let us retire them.\n_Permanently_.", "Then let us retire them. *Permanently*."),
        ("The code is \\*9765\\*.", "The code is *9765*."),
    ],
)
def test_dialogue_is_read_as_fountain_says(lines: str, words: str) -> None:
    assert fountain(f"CLERK\n{lines}\n") == [("clerk", words)]


@pytest.mark.parametrize(
    "cue",
    [
        "TOURIST ^", "TOURIST^", "TOURIST   ＾", "@tourist ^", "＠tourist", "TOURIST (V.O.) (CONT'D)",
        "TOURIST (on the (old) radio)",
        "  **TOURIST**", "_TOURIST_ (O.S.)", "TOURIST（声）", "ＴＯＵＲＩＳＴ", "[[a note]] TOURIST",
        "TOURIST /* out */",
    ],
)  # fmt: skip
def test_cues_are_read_as_fountain_says(cue: str) -> None:
    assert fountain(f"CLERK\nHi.\n\n{cue}\nHo.\n") == [("clerk", "Hi."), ("tourist", "Ho.")]


@pytest.mark.parametrize("line", ["TOURIST " + "(x)" * 100_000, "(v.o.)", "x)", "23", "@" + "X" * 300])
def test_what_is_no_cue_is_an_action(line: str) -> None:
    assert fountain(f"{line}\nHo.\n") == []


@pytest.mark.parametrize(
    ("between", "dual"),
    [
        ("", True), ("[[a note]]\n\n", True), ("/* out\n\nof it */\n\n", True), ("Bob waits.\n\n", False),
        ("INT. CELLAR - NIGHT\n\n", False), ("# Act\n\n", False), ("= They wait.\n\n", False), ("===\n\n", False),
        ("> CUT TO:\n\n", False), ("OLD MAN\nHm.\n\nHe waits.\n\n", False),
    ],
)  # fmt: skip
def test_only_dialogues_that_follow_each_other_are_dual(between: str, dual: bool) -> None:
    text = f"CLERK\nHi.\n\n{between}TOURIST ^\nHo."
    assert [part.dual for part in read_fountain(Source.of(text, "x"), PLAYERS)][-1] is dual


def test_a_caret_with_nothing_before_it_says_nothing() -> None:
    text = "CLERK ^\nHi.\n\nCLERK waits.\n\nCLERK ^\nHo."
    assert [part.dual for part in read_fountain(Source.of(text, "x"), PLAYERS)] == [False, False]


@pytest.mark.parametrize(
    ("fountain", "ours", "bare"),
    [
        ("*italics*", "*italics*", "italics"),
        ("**bold**", "**bold**", "bold"),
        ("***both***", "**both**", "both"),
        ("_underline_", "*underline*", "underline"),
        ("_***all***_", "**all**", "all"),
        ("**_both_**", "**both**", "both"),
        ("_Steel's face FILLS the *Leupold Mark 4* scope_.", "*Steel's face FILLS the Leupold Mark 4 scope*.", None),
        (r"keypad: **\*9765\***", "keypad: ***9765***", "keypad: *9765*"),
        ("He dialed *69 and then *23, and hung up.", "He dialed *69 and then *23, and hung up.", None),
        ("He dialed *69 and then 23*, and hung up.", "He dialed *69 and then 23*, and hung up.", None),
        (r"dialed *69 and then 23\*, and", "dialed *69 and then 23*, and", "dialed *69 and then 23*, and"),
        ("***bold* it**", "**bold it**", "bold it"),
        ("**bold *it***", "**bold it**", "bold it"),
        ("*one***two**", "*one***two**", "onetwo"),
        ("*a _b* c_", "*a _b* c_", "a _b c_"),
        ("snake_case_name, 2 * 3 * 4", "snake_case_name, 2 * 3 * 4", "snake_case_name, 2 * 3 * 4"),
        ("*share a look.", "*share a look.", "*share a look."),
        ("\\(x\\) \\[ \\\\ \\", "\\(x\\) [ \\ \\", None),
        ("", "", ""),
    ],
)
def test_emphasis_is_stress(fountain: str, ours: str, bare: str | None) -> None:
    assert stressed(fountain) == ours
    assert stressed(ours) == ours or "\\" in fountain
    assert bare is None or plain(fountain) == bare


@given(st.text("ab *_\\(", max_size=30))
def test_emphasis_changes_no_letter(text: str) -> None:
    for told in (stressed(text), plain(text)):
        assert [sign for sign in told if sign in "ab ("] == [sign for sign in text if sign in "ab ("]


def test_strangers_in_a_screenplay_are_all_told() -> None:
    with pytest.raises(SceneError) as raised:
        fountain("CLARK (V.O.)\nYes\n\n BANG!\nThe door.\n\n@Hal\nYes")
    assert [(e.line, e.column, e.problem, e.hint) for e in (raised.value, *raised.value.also)] == [
        (1, 1, "unknown player 'CLARK'", "did you mean 'clerk'?\n  start an action in capitals with '!'"),
        (
            4,
            2,
            "unknown player 'BANG!'",
            "players: clerk, tourist, Old Man\n  start an action in capitals with '!'",
        ),
        (7, 1, "unknown player 'Hal'", "players: clerk, tourist, Old Man"),
    ]


def test_nobody_is_looked_up_by_what_is_no_word() -> None:
    assert nearest("clerk" * 100_000, ["clerk" * 100_000]) == ""


def test_parentheses_within_words_are_remarked_on() -> None:
    plan = make_plan(parse_scene("players: {ann: }\nlines:\n  - ann: Well, (laughs) no.\n"))
    (remark,) = plan.warnings
    assert (remark.location.line, remark.location.column) == (3, 10)
    assert (
        str(remark)
        == r"'(laughs)' will be spoken: write [laughs] for a sound or an action, or \(laughs\) to have it spoken"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Hello {{name}}.", "'{{name}}' will be spoken: write a variable as ${name}"),
        (
            "Well. <break time='1s'/> No.",
            "'<break time='1s'/>' will be spoken: write [like this] for a sound or an action",
        ),
        ("Hello ${name.", "'${name.' will be spoken: write a variable as ${name}"),
        ("Well. [sighs", "'[sighs' will be spoken: write [like this] for a sound or an action"),
        ("I <3 you, and 2 < 3 > 1. [sighs] So.", None),
    ],
)
def test_markup_of_other_tools_is_remarked_on(words: str, told: str | None) -> None:
    plan = make_plan(parse_scene(f"players: {{ann: }}\nlines:\n  - ann: {words}\n"))
    assert [str(remark) for remark in plan.warnings] == ([told] if told else [])


@pytest.mark.parametrize(
    ("script", "is_file"), [("acts/play.fountain", True), ("episode.TXT", True), ("ANN: Hi.", False)]
)
def test_the_name_of_a_script_s_file(script: str, is_file: bool) -> None:
    assert is_script_file(script) == is_file


def test_the_words_of_a_cue_stand_where_they_begin() -> None:
    source = Source.of("INT. SHOP\n\nANN (V.O.)\n(low)\nHi.", "x.fountain")
    assert read_fountain(source, ["ann"]) == [ScriptSpeech("ann", "(low) Hi.", line=4, column=1)]


@pytest.mark.parametrize(
    ("text", "ours", "bare"),
    [
        ("_Never_, **I** said.", "*Never*, **I** said.", "Never, I said."),
        (r"The code is \*9765\*.", "The code is *9765*.", "The code is *9765*."),
        ("*69 and *23", "*69 and *23", "*69 and *23"),
        ("_**STEEL**_", "**STEEL**", "STEEL"),
        (r"snake_case \*", "snake_case *", "snake_case *"),
    ],
)
def test_emphasis_and_what_is_none(text: str, ours: str, bare: str) -> None:
    assert (stressed(text), plain(text)) == (ours, bare)


@pytest.mark.parametrize(
    ("line", "is_one"),
    [("[00:12]", True), ("00:00:12,000 --> 00:00:14,500", True), ("1:30", False)],
)
def test_a_time_stamp_alone(line: str, is_one: bool) -> None:
    assert is_stamp(line) == is_one


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("BEN: Hi", "Hi"),
        ("[00:12] **BEN:** Hi", "Hi"),
        ("BEN (low)：Hi", "(low) Hi"),
        ("and then he said it all again: no", None),
    ],
)
def test_the_head_of_a_speech(line: str, words: str | None) -> None:
    head = head_of(line, {"BEN": "ben"}.get)
    assert (head and head.words) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [("[BEN] Hi", "Hi"), ("<BEN> Hi", "Hi"), ("BEN - Hi", "Hi"), ("BEN\tHi", "Hi"), ("[sighs] Hi", None)],
)
def test_a_marked_head(line: str, words: str | None) -> None:
    head = marked_head(line, {"BEN": "ben"}.get)
    assert (head and head.words) == words


@pytest.mark.parametrize(
    ("line", "name"), [("CARL", "CARL"), ("CARL. Hi.", "CARL"), ("THE MAN - Hi", "THE MAN"), ("I. Never.", None)]
)
def test_the_head_of_somebody_unknown(line: str, name: str | None) -> None:
    head = unknown_head(line)
    assert (head and head.name) == name


def test_words_stand_behind_their_speaker() -> None:
    assert script("ANN: (low) Hi.", ["ann"]) == [ScriptSpeech("ann", "(low) Hi.", line=1, column=6)]


def test_an_item_begins_with_a_dash_and_a_blank() -> None:
    assert (is_item("- pause: 1s"), is_item("-well, no")) == (True, False)


@pytest.mark.parametrize(
    ("line", "speech"),
    [
        (
            "(nervously, (very) low) I'm afraid... [sighs] so.",
            Speech("nervously, (very) low", "I'm afraid... [sighs] so."),
        ),
        (r"\(Aside\) he said.", Speech("", "(Aside) he said.")),
    ],
)
def test_a_line_s_direction(line: str, speech: Speech) -> None:
    assert parse_speech(line) == speech


@pytest.mark.parametrize(
    ("text", "opened", "closed"),
    [(r"(very (low\)) now) so", 0, (18, 0)), ("(low", 0, (None, 1)), ("and low)", 1, (8, 0))],
)
def test_where_a_parenthesis_closes(text: str, opened: int, closed: tuple[int | None, int]) -> None:
    assert closing(text, opened) == closed


def test_a_transcript_has_no_items_and_its_names_can_be_found() -> None:
    source = Source.of("Ann: one\n  Note: two\n- Ben: three\n", "x.txt")
    assert names_in_script(source) == ["Ann", "Ben"]
    found = [(speech.speaker, speech.text) for speech in read_transcript(source, ["Ann", "Ben"])]
    assert found == [("Ann", "one Note: two"), ("Ben", "three")]
    assert names_in_script(Source.of("\n", "x.txt")) == []
