"""What a scene is likely to take, by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Literal

import pytest

from tau_stage.cost.durations import speech_duration_s
from tau_stage.cost.forecasting import Forecast, PlayerForecast, expected_cost, forecast
from tau_stage.cost.pricing import price
from tau_stage.protocol.usage import Usage
from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import ImprovisePlan, ItemPlan, Plan, SoundPlan, TogetherPlan
from tau_stage.scene.planner import make_plan

DUET = """
players: {ann: {model: gpt-realtime-2.1}, ben: {model: gpt-realtime-2.1}}
lines:
  - ann: One two.
  - ben: Three.
  - ann: Seven.
"""

THOUGHT = 23
"""Tokens of reasoning before a line that is spoken, of the models of the second generation."""

BRIEFED = f"direction: {'Be brief. ' * 26}\n{DUET}"
"""The same with 65 tokens of instructions: from 64 on there is a cache."""


def plan_of(text: str) -> Plan:
    return make_plan(parse_scene(text, "x.yaml"))


def told(text: str) -> Forecast:
    return forecast(plan_of(text))


def player(found: Forecast, name: str) -> PlayerForecast:
    return next(player for player in found.players if player.name == name)


def read(found: Forecast, name: str) -> Usage:
    return player(found, name).cost.likely.tokens


def dear(found: Forecast) -> Decimal:
    total = found.cost.likely.total
    assert total is not None
    return total


def test_a_duet_by_hand() -> None:
    found = told(DUET)
    # ann reads her prompt (8); then both prompts (15), her 0.66 s (14) and ben's 0.605 s (7); so little is not cached
    assert read(found, "ann") == Usage(text_in=8 + 15, audio_in=21, text_out=4 + 2 * THOUGHT, audio_out=14 + 13)
    assert read(found, "ben") == Usage(text_in=7, audio_in=7, text_out=2 + THOUGHT, audio_out=13)
    assert (player(found, "ann").context.likely, player(found, "ben").context.likely) == (15 + 21 + 13, 7 + 7 + 13)
    assert found.cost.likely.total == price(read(found, "ann") + read(found, "ben"), "gpt-realtime-2.1").total
    assert [round(line.at_s, 3) for line in found.lines] == [0, 0.66 + 0.35, 0.66 + 0.605 + 0.7]
    assert [line.hearers for line in found.lines] == [("ben",), ("ann",), ("ben",)]


def test_what_was_read_and_said_before_is_cached_in_steps_of_64() -> None:
    long = told(f"players: {{ann: {{model: gpt-realtime}}}}\nlines: [{', '.join(['ann: Seven.'] * 12)}]")
    # each answer reads 7 tokens of its prompt, and adds 13 of its 0.605 s; 11 * 7 = 77 are read, 11 * 13 = 143 heard
    found = read(long, "ann")
    assert found.text_in + found.cached_text_in == 7 * sum(range(1, 13))
    assert found.audio_in + found.cached_audio_in == 13 * sum(range(12))
    assert found.cached_text_in == 2 * 64  # from the ninth answer's 63 tokens on, it is the last two
    assert found.cached_audio_in == 64 * 5 + 128 * 2
    assert found.text_out == 12 * 2


def test_a_line_that_was_cut_is_read_anew() -> None:
    words = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."
    scene = f"players: {{ann: , ben: }}\nlines:\n  - ann: {words}\n  - ben: No.\n%s  - ann: Seven.\n"
    cut = "    cut_in: {after: 3.8s}\n"
    assert (read(told(scene % ""), "ann").cached_audio_in, read(told(scene % cut), "ann").cached_audio_in) == (64, 0)


def test_high_is_slower_and_nothing_is_cached_and_low_is_faster() -> None:
    found = told(BRIEFED)
    low, likely, high = (getattr(found.cost, case).tokens for case in ("low", "likely", "high"))
    assert (low.cached_text_in, likely.cached_text_in, high.cached_text_in) == (64, 64, 0)
    assert low.audio_out < likely.audio_out < high.audio_out
    assert found.seconds.low < found.seconds.likely < found.seconds.high


def test_sessions_open_in_the_order_of_their_first_lines() -> None:
    found = told("players: {ann: , ben: , cid: }\nlines: [cid: Hm., ann: Ah.]\nlimits: {start_rate: 6/min}")
    assert [(opening.player, opening.at_s) for opening in found.openings] == [("cid", 0), ("ann", 10), ("ben", 20)]


def test_the_understudy_opens_without_a_gap_unless_the_scene_orders_one() -> None:
    scene = "endpoint: understudy\nplayers: {ann: , ben: , cid: {endpoint: xai}}\nlines: [ann: Ah., ben: Hm., cid: Oh.]"
    assert [opening.at_s for opening in told(scene).openings] == [0, 0, 0.2]
    assert [opening.at_s for opening in told(scene + "\nlimits: {start_rate: 1/s}").openings] == [0, 1, 2]


def test_hearing_text_is_cheaper_and_saves_what_was_told() -> None:
    sound = told(DUET)
    text = told(DUET.replace("ben: {", "ben: {hears_as: text, "))
    assert read(text, "ben") == Usage(text_in=7 + 2, text_out=2 + THOUGHT, audio_out=13)
    assert dear(sound) - dear(text) == player(sound, "ben").savings.hears_as_text
    assert player(text, "ben").savings.hears_as_text == 0
    nobody = told(DUET.replace("ben: {", "ben: {hears: nobody, "))
    assert dear(sound) - dear(nobody) == player(sound, "ben").savings.hears_nobody


def test_who_is_told_who_speaks_reads_the_name() -> None:
    label = DUET.replace("ben: {", "ben: {label_speakers: true, ")
    assert read(told(label), "ben").text_in == 7 + 3  # ann says:
    assert read(told(label.replace("ben: {", "ben: {hears_as: text, ")), "ben").text_in == 7 + 2 + 2  # ann: One two.


def test_a_line_apart_reads_everything_afresh_and_is_not_remembered() -> None:
    apart = told(BRIEFED + "    conversation: none\n  - ann: Seven.\n")
    # the second line reads all and finds nothing cached; the last one finds what the first has read
    assert read(apart, "ann") == Usage(
        text_in=3 * 65 + 8 + 15 + 15 - 64, audio_in=42, cached_text_in=64, text_out=6 + 3 * THOUGHT, audio_out=40
    )
    assert player(apart, "ann").context.likely == 65 + 15 + 21 + 13
    only = told("players: {ann: }\ndirection: Be brief.\nlines: [{ann: Seven., conversation: none}]")
    assert read(only, "ann") == Usage(text_in=3 + 7, text_out=2 + THOUGHT, audio_out=13)
    assert player(only, "ann").context.likely == 3 + 7 + 13


def test_a_line_that_is_cut_is_heard_until_then_and_billed_whole() -> None:
    words = "One two three four five six seven eight nine ten eleven twelve."
    cut = "cut_in: {after: 1s, overlap: 200ms}"
    found = told(f"players: {{ann: , ben: }}\nlines:\n  - ann: {words}\n  - ben: No.\n    {cut}\n")
    assert read(found, "ann").audio_out == pytest.approx(20 * speech_duration_s(words), abs=1)
    assert read(found, "ben").audio_in == 12
    assert [line.at_s for line in found.lines] == [0, 1]
    assert found.lines[0].seconds.likely == 1.2


def test_direction_speed_moments_and_rests_change_the_seconds() -> None:
    assert speech_duration_s("Good morning to you.", "slowly") > speech_duration_s("Good morning to you.")
    assert speech_duration_s("Good morning.", speed=0.5) == 2 * speech_duration_s("Good morning.")
    assert speech_duration_s("Good [sighs] morning.") > speech_duration_s("Good morning.") + 0.5
    assert speech_duration_s("Good... morning.") > speech_duration_s("Good morning.")
    assert speech_duration_s("**Good** *morning*.") > speech_duration_s("Good morning.")
    assert speech_duration_s("[sighs]") == 0.5
    assert speech_duration_s("1999") > speech_duration_s("year")
    assert speech_duration_s("早上好") > speech_duration_s("día")


def test_each_language_has_its_own_pace() -> None:
    said = "Guten Abend, mein Herr. Wer da?"
    assert speech_duration_s(said, language="fr") < speech_duration_s(said, language="de")
    assert speech_duration_s(said, language="en-gb") == speech_duration_s(said)
    assert speech_duration_s("Habari ya jioni", language="sw") > 0
    assert speech_duration_s("傘です", language="ja") > speech_duration_s("かです", language="ja")
    assert speech_duration_s("好。好。") > speech_duration_s("好好")
    assert speech_duration_s("نعم، نعم") > speech_duration_s("نعم نعم")


def test_a_player_is_foreseen_in_the_language_that_it_is_told() -> None:
    scene = "players: {{ann: {{language: {}}}}}\nlines: [ann: Der letzte Schirm ist leider weg.]"
    german, french = (read(told(scene.format(code)), "ann").audio_out for code in ("de", "fr"))
    assert german > french


def test_a_cap_cuts_an_answer() -> None:
    sung = "{ann: , improvise: Sing.}, {ann: , improvise: Cry., max_output_tokens: 10}"
    found = told(f"players: {{ann: {{max_output_tokens: 20}}}}\nlines: [{sung}]")
    assert (read(found, "ann").text_out, read(found, "ann").audio_out) == (15 + 10, 5)


def test_written_answers_have_no_sound_and_are_heard_as_words() -> None:
    found = told(DUET.replace("ann: {", "ann: {output: text, "))
    assert read(found, "ann").audio_out == 0
    assert read(found, "ann").text_out == 2 + 2  # what is written is not thought over
    assert read(found, "ben") == Usage(text_in=7 + 2, text_out=2 + THOUGHT, audio_out=13)
    assert player(found, "ann").seconds.likely == 0


def sound(kind: Literal["sfx", "bed"]) -> SoundPlan:
    return SoundPlan("sound-1", kind, "a.wav", "a", 0.0, hearers=("ann", "ben"), until=None, pause_s=0.5, source_line=1)


def test_items_and_setup_and_effects_are_read() -> None:
    plan = plan_of("""
players: {ann: {setup: [{system: It is late.}]}, ben: }
lines:
  - prompt: {ann: It is night.}
  - chapter: The night
  - pause: 2s
  - ann: Seven.
""")
    prompt, *rest = plan.steps
    user = ItemPlan("user", (), 1, sounds=(("ann", "a.wav"),))
    found = forecast(replace(plan, steps=(prompt, user, sound("sfx"), sound("bed"), *rest)))
    assert read(found, "ann") == Usage(text_in=3 + 3 + 7, audio_in=60, text_out=2 + THOUGHT, audio_out=13)
    assert found.lines[0].at_s == 2 + 0.5 + 2


def test_a_pause_at_the_end_counts() -> None:
    short, long = (
        forecast(plan_of(f"players: {{ann: }}\nlines: [pause: 1s, ann: Seven.{end}]")).seconds.likely
        for end in ("", ", pause: 2s")
    )
    assert long - short == pytest.approx(2.35)


def test_what_is_together_is_heard_afterwards() -> None:
    plan = plan_of("players: {ann: , ben: }\nlines: [{together: [ann: Seven., ben: Three.]}, {pause: 1s}, ben: Three.]")
    both, *rest = plan.steps
    assert isinstance(both, TogetherPlan)
    found = forecast(replace(plan, steps=(replace(both, parts=(*both.parts, sound("sfx"))), *rest)))
    assert [line.at_s for line in found.lines] == [0, 0, 2 + 0.35 + 1]
    assert read(found, "ann").audio_in == 0
    assert read(found, "ben").audio_in == 13 + 7 + 20


def test_tools_are_read_with_the_instructions_and_other_tools_spoil_the_cache() -> None:
    scene = """
players: {ann: }
direction: %s
tools: {bell: {description: Rings., returns: 1}, lamp: {description: Burns., returns: 1}}
lines: [ann: Seven., {ann: Seven., tools: [bell]}, ann: Seven.]
"""
    lines = "players: {ann: }\ndirection: %s\nlines: [ann: Seven., ann: Seven., ann: Seven.]"
    found, without = (told(text % ("Be brief. " * 26)) for text in (scene, lines))
    assert read(found, "ann").text_in > read(without, "ann").text_in + 60
    assert (read(found, "ann").cached_text_in, read(without, "ann").cached_text_in) == (0, 64 + 64)


PLAY = "players: {ann: , ben: }\nlines:\n  - improvise: {%s}\n"


@pytest.mark.parametrize(
    ("ends", "turns"),
    [
        ("turns: 7", 7),
        ("for: 20s", 5),
        ("words: 100", 10),
        ("turns: 7, for: 8s", 2),
        ("budget: $0.01", 5),
        ("words: 90000", 2000),
    ],
)
def test_free_play_ends_by_what_comes_first(ends: str, turns: int) -> None:
    found = told(PLAY % ends)
    assert len(found.lines) == turns
    assert [(line.id, line.player) for line in found.lines[:2]] == [("improvise-1-1", "ann"), ("improvise-1-2", "ben")]
    assert found.lines[0].seconds.likely == 4


def test_free_play_that_only_words_end_is_guessed() -> None:
    plan = plan_of(PLAY % "turns: 2")
    (play,) = plan.steps
    assert isinstance(play, ImprovisePlan)
    assert len(forecast(replace(plan, steps=(replace(play, turns=None, until="amen"),))).lines) == 6


def test_free_play_with_an_order_and_a_budget_that_nobody_can_price() -> None:
    found = told(PLAY.replace("ann: ,", "ann: {model: own},") % "order: [ben, ben, ann], turns: 3, budget: $9")
    assert [line.player for line in found.lines] == ["ben", "ben", "ann"]
    assert [line.seconds.high for line in found.lines] == [8, 8, 8]


@pytest.mark.parametrize(("ends", "turns"), [("turns: 2", 4), ("for: 40s", 10), ("until: bye", 6)])
def test_an_open_microphone(ends: str, turns: int) -> None:
    found = told(
        f"players: {{ann: , ben: , you: {{human: mic}}}}\nlines: [{{listen: {{player: ann, {ends}}}}}, ben: Seven.]"
    )
    spoken = turns // 2
    assert len(found.lines) == turns + 1
    assert [line.player for line in found.lines[:2]] == ["you", "ann"]
    assert read(found, "ben").audio_in == spoken * 80
    assert read(found, "ann").audio_out == spoken * 80
    assert player(found, "you").cost.likely.total == 0
    written = price(Usage(seconds=4), "gpt-transcribe").total
    assert written is not None
    assert dear(found) > spoken * written


def test_what_is_written_down_costs_as_its_model_is_billed() -> None:
    def cost(transcription: str) -> Decimal | None:
        listen = f"listen: {{turns: 2, transcription: {transcription}}}"
        return told(f"players: {{ann: , you: {{human: mic}}}}\nlines: [{listen}]").cost.likely.total

    free = cost("off")
    assert free is not None
    costs = [
        price(usage, model).total
        for usage, model in (
            (Usage(seconds=8), "gpt-transcribe"),
            (Usage(audio_in=80, text_out=30), "gpt-4o-mini-transcribe"),
        )
    ]
    assert [cost(model) for model in ("gpt-transcribe", "gpt-4o-mini-transcribe")] == [
        free + (more or 0) for more in costs
    ]
    assert cost("my-deployment") is None


def test_what_a_person_types_is_text() -> None:
    found = told("players: {ann: , you: {human: tty}}\nlines: [{listen: {turns: 1}}, you: Seven., ann: Seven.]")
    assert (read(found, "ann").audio_in, read(found, "ann").cached_audio_in) == (16, 64)  # its own answer
    assert player(found, "you").seconds.likely == 0


def test_cues_start_never_once_or_as_often_as_they_may() -> None:
    scene = DUET + "on: [{said: two, times: 3, do: [ben: Seven.]}, {said: seven, do: [ben: Three.]}]\n"
    found = told(scene)
    assert [line.id for line in found.lines[3:]] == ["cue-1-ben-1", "cue-2-ben-1"]
    outs = [getattr(player(found, "ben").cost, case).tokens.text_out for case in ("low", "likely", "high")]
    assert outs == [2 + 15, 6 + 3 * 23, 2 + 6 + 4 + 6 * 30]
    assert found.lines[3].seconds.low == 0
    few = forecast(replace(plan_of(scene), most_cues=1))
    assert len(few.lines) == 4


def test_what_waits_for_a_condition_is_not_in_low() -> None:
    found = told(DUET + "    when: {said: three}\n")
    assert [getattr(player(found, "ann").cost, case).tokens.text_out for case in ("low", "likely")] == [
        2 + 15,
        4 + 2 * 23,
    ]


def test_an_unknown_model_has_no_price_and_no_window() -> None:
    found = told(DUET.replace("ann: {model: gpt-realtime-2.1}", "ann: {model: own, endpoint: 'ws://x/'}"))
    ann = player(found, "ann")
    assert (ann.window, ann.cost.likely.total, ann.savings.hears_as_text) == (None, None, None)
    assert (found.cost.likely.total, found.savings.hears_nobody, found.warnings) == (None, None, ())
    assert player(found, "ben").cost.likely.total


def test_an_endpoint_that_nobody_knows_is_priced_as_openai() -> None:
    plan = plan_of(DUET)
    odd = replace(plan, players=tuple(replace(player, endpoint="nowhere") for player in plan.players))
    assert forecast(odd).cost == forecast(plan).cost


LONG = "It is a long way to go from here, and the longer we wait, the longer it gets."


def test_a_player_whose_window_would_be_full_is_warned_of() -> None:
    lines = "".join(f"  - {name}: {LONG} {LONG}\n" for _ in range(150) for name in ("ann", "ben"))
    found = told(f"players: {{ann: {{model: gpt-realtime-2025-08-28}}, ben: }}\nlines:\n{lines}")
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("player ann: the conversation is likely to grow to ")
    assert "28,672" in found.warnings[0]
    assert "hears_as: text" in found.warnings[0]


def test_a_budget_that_will_not_do_is_warned_of() -> None:
    (warning,) = told(DUET + "limits: {budget: $0.001}\n").warnings
    assert "more than its budget of $0.001" in warning
    assert told(DUET + "limits: {budget: $1}\n").warnings == ()


def test_a_model_that_is_billed_by_time_is_foreseen_in_seconds_and_messages() -> None:
    found = told(DUET.replace("ann: {model: gpt-realtime-2.1}", "ann: {endpoint: xai, model: grok-voice-latest}"))
    used, cost = read(found, "ann"), player(found, "ann").cost.likely
    assert used.seconds == used.audio_out / 20 + 0.7  # she hears ben's 7 tokens
    assert used.text_messages == 2
    assert cost.total == Decimal(str(used.seconds)) * Decimal("0.08") / 60 + Decimal("0.008")
    assert read(found, "ben").seconds is None


def test_some_lines_cost_what_they_cost_and_the_first_of_a_player_reads_all_before_it_afresh() -> None:
    words = "This is a rather long line, which everybody hears. " * 8
    lines = "".join(f"  - {name}: {words}\n" for name in ("ann", "ben", "ann", "ben", "you"))
    plan = plan_of(f"players: {{ann: , ben: , you: {{human: tty}}}}\nlines:\n{lines}")
    last, both = (expected_cost(plan, names) for names in (["ben-2"], ["ben-1", "ben-2"]))
    assert expected_cost(plan, ["you-1"]).tokens == Usage()
    assert last.tokens.cached_audio_in == 0 < both.tokens.cached_audio_in
    assert last.total is not None and both.total is not None  # noqa: PT018
    assert last.total < both.total


def test_words_count_as_they_are_sent() -> None:
    """A word that is sent as three takes longer to say, and is more to read."""
    written = told("players: {ann: , ben: }\nlines: [ann: CIA CIA CIA CIA.]")
    sent = told("pronounce: {CIA: See eye ay}\nplayers: {ann: , ben: }\nlines: [ann: CIA CIA CIA CIA.]")
    assert sent.seconds.likely > written.seconds.likely
    assert read(sent, "ann").text_in == read(written, "ann").text_in + 4 * len(" eye ay") // 4
    assert read(sent, "ann").text_out > read(written, "ann").text_out


def test_a_text_that_is_spoken_as_it_stands_reads_nothing() -> None:
    """So it is where the server can, and the player's memory grows by what it says alone."""
    scene = "%sendpoint: azure-voice-live\nmodel: gpt-realtime\nplayers: {ann: , ben: }\nlines: [ann: Seven., %s]"
    free, spoken = (told(scene % (words, "ann: Seven.")) for words in ("", "words: exact\n"))
    assert read(free, "ann") == Usage(text_in=7 + 14, audio_in=13, text_out=2 + 2, audio_out=13 + 13)
    assert read(spoken, "ann") == Usage(text_out=2 + 2, audio_out=13 + 13)
    assert player(spoken, "ann").context.likely == 13 + 13
    mixed = told(scene % ("words: exact\n", "{ann: Seven., words: free}"))
    assert read(mixed, "ann") == Usage(text_in=7, audio_in=13, text_out=2 + 2, audio_out=13 + 13)
    apart = told(scene % ("words: exact\n", "{ann: Seven., conversation: none}"))
    assert read(apart, "ann").text_in == 7


def test_each_take_of_a_line_is_paid() -> None:
    once, thrice = (
        told("players: {ann: }\nlines: [{ann: Hello.}]"),
        told("players: {ann: }\nlines: [{ann: Hello., takes: 3}]"),
    )
    assert thrice.cost.likely.tokens.audio_out == 3 * once.cost.likely.tokens.audio_out
    assert thrice.cost.likely.total == 3 * (once.cost.likely.total or Decimal(0))
    assert thrice.seconds == once.seconds
    plan = plan_of("players: {ann: }\nlines: [{ann: Hello., takes: 3}]")
    assert expected_cost(plan, ["ann-1"]).total == thrice.cost.likely.total


def test_exact_words_are_likely_at_once_and_take_all_takes_at_worst() -> None:
    once, exact = (
        told("players: {ann: }\nlines: [ann: Hello.]"),
        told("players: {ann: }\nlines: [{ann: Hello., words: exact}]"),
    )
    assert exact.cost.likely.tokens.audio_out == once.cost.likely.tokens.audio_out
    assert exact.cost.high.tokens.audio_out == 3 * once.cost.high.tokens.audio_out
    every = told("players: {ann: }\nlines: [{ann: Hello., words: exact, pick: shortest}]")
    assert every.cost.likely.tokens.audio_out == 3 * once.cost.likely.tokens.audio_out
