"""``deliver:``: what may be written, what it means, and how each mistake is answered."""

from __future__ import annotations

import pytest
from pydantic_core import PydanticCustomError

from tau_stage.errors import SceneError
from tau_stage.scene import units
from tau_stage.scene.deliver import DEFAULT_NAMES, Deliver, LineFiles, Mix, filled
from tau_stage.scene.load import parse_scene
from tau_stage.scene.planning import make_plan
from tau_stage.take import records as record

HEAD = "players: {ann: }\nlines: [ann: Hi]\n"


def wanted(text: str) -> Deliver:
    return make_plan(parse_scene(HEAD + text)).deliver


def mistake(text: str) -> SceneError:
    with pytest.raises(SceneError) as raised:
        parse_scene(HEAD + text)
    assert raised.value.also == ()
    assert raised.value.line >= 3
    return raised.value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deliver:",
        "deliver: {}",
        "deliver: {mix: , x-mine: 1}",
        "deliver: {mix: {loudness: -16 LUFS, peak: -1 dBTP, file: mix.wav, x-a: b}, rate: 24 kHz, stems: aligned}",
        "deliver: {lines: none, rate: 24000 Hz}",
    ],
)
def test_by_default_a_mix_is_made(text: str) -> None:
    assert wanted(text) == Deliver(mix=Mix(loudness=-16.0, peak=-1.0, file="mix.wav"), rate=24_000, stems="aligned")


def test_everything_may_be_asked_for_otherwise() -> None:
    told = wanted(
        "deliver:\n  mix: {loudness: -23LUFS, peak: -2.5 dBTP, file: final-mix.flac}\n"
        "  rate: 48 kHz\n  stems: packed\n  lines: {trim: no, names: '{line}-{number:2}'}\n"
    )
    assert told == Deliver(
        mix=Mix(loudness=-23.0, peak=-2.5, file="final-mix.flac"),
        rate=48_000,
        stems="packed",
        lines=LineFiles(trim=False, names="{line}-{number:2}"),
    )


def test_none_is_none_and_lines_alone_are_as_usual() -> None:
    told = wanted("deliver: {mix: none, lines: }")
    assert told.mix is None
    assert told.lines == LineFiles(trim=True, names=DEFAULT_NAMES)


def test_the_journal_keeps_it() -> None:
    told = wanted("deliver: {mix: none, rate: 48 kHz, lines: {trim: false}}")
    assert Deliver.model_validate_json(told.model_dump_json()) == told
    old = {
        "tau_stage": "0",
        "started": "",
        "title": "",
        "slug": "",
        "path": "",
        "sha256": "",
        "spent": False,
        "roles": (),
    }
    assert record.TakeBegan.model_validate(old).deliver == Deliver()


def test_a_scene_with_variables_fills_them_in() -> None:
    assert wanted("vars: {level: -20 LUFS}\ndeliver: {mix: {loudness: '${level}'}}").mix == Mix(loudness=-20.0)


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("deliver: loud", "deliver must be a mapping", "write it like deliver:"),
        ("deliver: {mixx: none}", "unknown key 'mixx'", "did you mean 'mix'?"),
        ("deliver: {mix: loud}", "'mix' of deliver must be a mapping", "or mix: none"),
        ("deliver: {lines: [a]}", "'lines' of deliver must be a mapping", "or lines: none"),
        ("deliver: {mix: {lufs: -16 LUFS}}", "unknown key 'lufs'", "it knows: "),
        ("deliver: {mix: {loudness: -16}}", "a loudness needs its unit, and '-16' has none", "did you mean -16 LUFS?"),
        ("deliver: {mix: {loudness: 16}}", "a loudness needs its unit", "did you mean -16 LUFS?"),
        ("deliver: {mix: {peak: -1 dB}}", "'dB' is no unit of peak", "did you mean -1 dBTP?"),
        ("deliver: {mix: {peak: 1 dBTP}}", "a peak is from -20 to 0 dBTP, not 1 dBTP", "did you mean -1 dBTP?"),
        ("deliver: {mix: {file: ../mix.wav}}", "as it lies in the take's folder", "write a name like mix.wav"),
        ("deliver: {mix: {file: mix.aac}}", "a mix is WAV, FLAC, OGG or MP3", "write it like mix.wav"),
        ("deliver: {mix: {file: [a]}}", "must be text", ""),
        ("deliver: {mix: {loudness: [a]}}", "is one value", "write the value alone"),
        ("deliver: {rate: 48}", "a sample rate needs its unit, and '48' has none", "did you mean 48 kHz?"),
        ("deliver: {rate: 44.1 kHz}", "a take is delivered at 24 kHz or 48 kHz, not 44.1 kHz", "did you mean 48 kHz?"),
        ("deliver: {stems: pakced}", "stems is aligned or packed, not 'pakced'", "did you mean 'packed'?"),
        ("deliver: {lines: {names: '{lien}'}}", "names know no {lien}", "did you mean 'line'?"),
        ("deliver: {lines: {names: '{line.__class__}'}}", "a brace that stands for nothing", DEFAULT_NAMES),
        ("deliver: {lines: {names: '{line'}}", "a brace that stands for nothing", DEFAULT_NAMES),
        ("deliver: {lines: {names: '{player}'}}", "names must hold {line} or {number}", DEFAULT_NAMES),
        ("deliver: {lines: {names: '../{line}'}}", "hold no folder", "leave out the slash"),
        ("deliver: {lines: {names: 'a\\{line}'}}", "hold no folder", "leave out the slash"),
        ("deliver: {lines: {trim: maybe}}", "neither true nor false", "write true or false"),
    ],
)
def test_each_mistake_is_answered_with_what_is_right(text: str, problem: str, hint: str) -> None:
    found = mistake(text)
    assert problem in found.problem
    assert hint in found.hint


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("-16 LKFS", "did you mean -16 LUFS?"),
        ("-160 LUFS", "write it like -16 LUFS"),
        ("loud", "write it like -16 LUFS"),
        ("+16 LUFS", "did you mean -16 LUFS?"),
        ("0 LUFS", "write it like -16 LUFS"),
    ],
)
def test_a_wrong_loudness(written: str, hint: str) -> None:
    with pytest.raises(PydanticCustomError) as raised:
        units.loudness(written)
    assert (raised.value.context or {})["hint"] == hint


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("48000", "did you mean 48 kHz?"),
        ("24", "did you mean 24 kHz?"),
        ("22050 Hz", "did you mean 24 kHz?"),
        ("48 khz", "did you mean 48 kHz?"),
        ("fast", "write 24 kHz or 48 kHz"),
    ],
)
def test_a_wrong_rate(written: str, hint: str) -> None:
    with pytest.raises(PydanticCustomError) as raised:
        units.sample_rate(written)
    assert (raised.value.context or {})["hint"] == hint


def test_what_comes_from_python_is_in_our_units_already() -> None:
    assert (units.loudness(-16), units.peak(-1), units.sample_rate(48_000)) == (-16, -1, 48_000)


def test_names_are_filled_in() -> None:
    values: dict[str, str | int] = {"scene": "s", "player": "ann", "number": 7, "line": "{player}"}
    assert filled(DEFAULT_NAMES, values) == "s_ann_007_{player}"
