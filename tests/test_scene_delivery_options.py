"""``deliver:``: what may be written, what it means, and how each mistake is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from tau_stage.errors import SceneError
from tau_stage.scene import units
from tau_stage.scene.delivery_options import DEFAULT_NAMES, PRESETS, Deliver, LineFiles, Mix, filled
from tau_stage.scene.load import load_scene, parse_scene
from tau_stage.scene.model import Player
from tau_stage.scene.names import LARGEST_PICTURE
from tau_stage.scene.planner import make_plan
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
    told = wanted(text)
    assert told.model_copy(update={"mix": None}) == Deliver(mix=None, rate=24_000, stems="aligned")
    assert told.mix
    assert (str(told.mix.level), told.mix.ceiling, told.mix.file, told.mix.kind) == ("-16 LUFS", -1, "mix.wav", "wav")


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
        ("deliver: loud", "'deliver' must be a mapping", "for example: deliver:"),
        ("deliver: {mixx: none}", "unknown key 'mixx'", "did you mean 'mix'?"),
        ("deliver: {mix: loud}", "'mix' of 'deliver' must be a mapping", "or mix: none"),
        ("deliver: {lines: [a]}", "'lines' of 'deliver' must be a mapping", "or lines: none"),
        ("deliver: {mix: {lufs: -16 LUFS}}", "unknown key 'lufs'", "known keys: "),
        ("deliver: {mix: {loudness: -16}}", "loudness needs a unit, but '-16' has none", "did you mean -16 LUFS?"),
        ("deliver: {mix: {loudness: 16}}", "loudness needs a unit", "did you mean -16 LUFS?"),
        ("deliver: {mix: {peak: -1 dB}}", "'dB' is not a valid unit for peak", "did you mean -1 dBTP?"),
        ("deliver: {mix: {peak: 1 dBTP}}", "peak must be from -20 to 0 dBTP, not 1 dBTP", "did you mean -1 dBTP?"),
        ("deliver: {mix: {file: ../mix.wav}}", "is not a valid mix file name", "write a name like mix.wav"),
        ("deliver: {mix: {file: mix.aac}}", "a mix must be a .wav, .flac, .ogg or .mp3 file", "for example: mix.wav"),
        ("deliver: {mix: {file: [a]}}", "must be text", ""),
        ("deliver: {mix: {loudness: [a]}}", "must be a single value", "write only the value"),
        ("deliver: {rate: 48}", "a sample rate needs a unit, but '48' has none", "did you mean 48 kHz?"),
        (
            "deliver: {rate: 44.1 kHz}",
            "the sample rate of a delivery must be 24 kHz or 48 kHz, not 44.1 kHz",
            "did you mean 48 kHz?",
        ),
        ("deliver: {stems: pakced}", "'stems' must be 'aligned' or 'packed', not 'pakced'", "did you mean 'packed'?"),
        ("deliver: {lines: {names: '{lien}'}}", "'names' does not support {lien}", "did you mean 'line'?"),
        ("deliver: {lines: {names: '{line.__class__}'}}", "a brace that is not part of a placeholder", DEFAULT_NAMES),
        ("deliver: {lines: {names: '{line'}}", "a brace that is not part of a placeholder", DEFAULT_NAMES),
        ("deliver: {lines: {names: '{player}'}}", "'names' must contain {line} or {number}", DEFAULT_NAMES),
        (
            "deliver: {lines: {names: '../{line}'}}",
            "points outside the lines folder",
            "for example: {player}/{line}",
        ),
        (
            "deliver: {lines: {names: '{player}/. /{line}'}}",
            "points outside the lines folder",
            "{player}/{line}",
        ),
        (
            "deliver: {lines: {names: '/{line}'}}",
            "points outside the lines folder",
            "for example: {player}/{line}",
        ),
        ("deliver: {lines: {names: '{player}//{line}'}}", "points outside the lines folder", "{player}/{line}"),
        ("deliver: {lines: {names: '{line}/'}}", "points outside the lines folder", "{player}/{line}"),
        ("deliver: {lines: {names: 'a\\{line}'}}", "with a slash, not a backslash", "write a/{line}"),
        (
            "deliver: {lines: {format: wave}}",
            "'format' must be 'wav', 'flac', 'ogg' or 'mp3', not 'wave'",
            "did you mean 'wav'?",
        ),
        ("deliver: {lines: {format: mp3, bits: 16}}", "'bits' is for WAV and FLAC files, not for MP3", "format: flac"),
        ("deliver: {lines: {bitrate: 64 kbps}}", "'bitrate' is for MP3 files, not for WAV", "write format: mp3"),
        ("deliver: {lines: {format: flac, bits: 32f}}", "a FLAC file must have 16 or 24 bits", "write bits: 24"),
        ("deliver: {lines: {bits: 20}}", "'bits' must be 16, 24 or 32f", "write 16, 24 or 32f"),
        ("deliver: {lines: {bits: 32}}", "'bits' must be 16, 24 or 32f", "did you mean 32f?"),
        ("deliver: {lines: {rate: 44.1}}", "a sample rate needs a unit", "did you mean 44.1 kHz?"),
        (
            "deliver: {lines: {rate: 96 kHz}}",
            "the sample rate of a file must be 24 kHz, 44.1 kHz or 48 kHz",
            "did you mean 48 kHz?",
        ),
        ("deliver: {mix: {rms: -20 LUFS}}", "'LUFS' is not a valid unit for level", "did you mean -20 dB?"),
        ("deliver: {mix: {rms: -20 dB, loudness: -16 LUFS}}", "'loudness' or 'rms', not both", "remove one"),
        ("deliver: {mix: {tolerance: 0 dB}}", "tolerance must be from 0.2 to 10 dB", "for example: 1 dB"),
        ("deliver: {preset: podkast}", "unknown preset 'podkast'", "did you mean 'podcast'?"),
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
        ("-160 LUFS", "for example: -16 LUFS"),
        ("loud", "for example: -16 LUFS"),
        ("+16 LUFS", "did you mean -16 LUFS?"),
        ("0 LUFS", "for example: -16 LUFS"),
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
    deliver = Deliver(mix=Mix(loudness=-16, peak=-1), rate=48_000)
    assert deliver.mix is not None
    assert (deliver.mix.loudness, deliver.mix.peak, deliver.rate) == (-16, -1, 48_000)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("16", "16"), ("24-bit", "24"), ("16 bits", "16"), ("32f", "32f"), ("32 bit float", "32f"), ("32-Float", "32f")],
)
def test_bits_are_read_as_they_are_usually_written(written: str, meant: str) -> None:
    assert units.bits(written) == meant


@pytest.mark.parametrize(
    ("deliver", "told"),
    [
        ("preset: podcast", {"file": "mix.mp3", "rate": 44_100, "bitrate": 128, "loudness": -19, "peak": -1}),
        ("preset: podcast, stereo: yes", {"file": "mix.mp3", "bitrate": 192, "loudness": -16}),
        ("preset: podcast, mix: {loudness: -18 LUFS, artist: Us}", {"loudness": -18, "artist": "Us", "tolerance": 1}),
        ("preset: podcast, mix: {rms: -20 dB}", {"loudness": None, "rms": -20, "bitrate": 128}),
        ("preset: podcast, mix: {file: a.flac}", {"file": "a.flac", "bitrate": None, "loudness": -19, "rate": 44_100}),
        ("preset: podcast, rate: 48 kHz", {"rate": None, "bitrate": 128}),
        ("preset: audiobook", {"rms": -20.5, "peak": -3, "noise_floor": -60, "head": 0.75, "tail": 2, "bitrate": 192}),
        ("preset: audiobook, mix: {loudness: -20 LUFS}", {"loudness": -20, "rms": None, "tail": 2}),
        ("preset: game, mix: {}", {"loudness": None, "file": "mix.wav"}),
    ],
)
def test_a_preset_stands_for_options_and_what_stands_beside_it_wins(deliver: str, told: dict[str, object]) -> None:
    given = wanted(f"deliver: {{{deliver}}}")
    assert given.mix
    assert {name: getattr(given.mix, name) for name in told} == told
    assert Deliver.model_validate_json(given.model_dump_json()) == given


def test_the_preset_for_games_makes_files_of_lines_and_no_mix() -> None:
    told = wanted("deliver: {preset: game, lines: {format: ogg, names: '{language}/{line}'}}")
    assert (told.mix, told.lines) == (
        None,
        LineFiles(format="ogg", names="{language}/{line}", rate=48_000, loudness=-23, peak=-1, trim=True),
    )
    assert Deliver(preset="game", lines=None) == wanted("deliver: {preset: game, lines: none}")


def test_a_file_has_a_ceiling_where_it_has_a_level_or_asks_for_one() -> None:
    assert (LineFiles().level, LineFiles().ceiling) == (None, None)
    assert (str(LineFiles(rms=-20).level), LineFiles(rms=-20).ceiling) == ("-20 dB RMS", -1)
    assert (LineFiles(peak=-3).ceiling, LineFiles(loudness=-23, peak=-2).ceiling) == (-3, -2)
    assert (LineFiles(format="ogg").kind, Mix(file="A.FLAC").kind) == ("ogg", "flac")


def test_every_preset_may_be_asked_for_alone() -> None:
    assert {Deliver(preset=name).preset for name in PRESETS} == {"podcast", "audiobook", "game"}


def test_names_are_filled_in() -> None:
    values: dict[str, str | int] = {"scene": "s", "player": "ann", "number": 7, "line": "{player}"}
    assert filled(DEFAULT_NAMES, values) == "s_ann_007_{player}"


@pytest.mark.parametrize(
    ("template", "with_language", "without"),
    [
        ("{language}/{player}/{line}", "de/ann/a", "ann/a"),
        ("{language}_{line}", "de_a", "a"),
        ("{line}.{language}", "a.de", "a"),
        ("vo/{language}/{line}", "vo/de/a", "vo/a"),
        ("{player}-{language}-{line}", "ann-de-a", "ann-a"),
        ("{line}{language}", "ade", "a"),
    ],
)
def test_a_place_that_is_empty_leaves_no_trace(template: str, with_language: str, without: str) -> None:
    values: dict[str, str | int] = {"player": "ann", "line": "a", "language": "de"}
    assert filled(template, values) == with_language
    assert filled(template, {**values, "language": ""}) == without


def with_a_cover(tmp_path: Path, data: bytes | None, mix: str, rate: str = "24 kHz") -> Mix | None:
    """The mix of a scene beside a picture."""
    if data is not None:
        (tmp_path / "c.png").write_bytes(data)
    text = f"players: {{ann: }}\nlines: [ann: Hi]\ndeliver:\n  rate: {rate}\n  mix: {{{mix}}}\n"
    (tmp_path / "scene.yaml").write_text(text)
    return load_scene(tmp_path / "scene.yaml").deliver.mix


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n..", b"\xff\xd8\xff\xe0.."])
def test_an_mp3_has_a_bit_rate_and_tags(tmp_path: Path, data: bytes) -> None:
    wanted = "file: a.mp3, bitrate: 160 kbps, title: Zoë, artist: Us, cover: c.png"
    mix = with_a_cover(tmp_path, data, wanted)
    assert mix == Mix(file="a.mp3", bitrate=160, title="Zoë", artist="Us", cover="c.png")
    assert with_a_cover(tmp_path, data, "file: a.mp3, bitrate: 320 kbit/s", "48 kHz") == Mix(file="a.mp3", bitrate=320)


@pytest.mark.parametrize(
    ("mix", "data", "problem", "hint"),
    [
        ("bitrate: 128 kbps", None, "5:9: 'bitrate' is for MP3 files, not for WAV", "write file: mix.mp3"),
        ("title: A", None, "5:9: 'title' is for FLAC and OGG and MP3 files, not for WAV", "or remove this key"),
        ("file: a.mp3, bitrate: 128", None, "5:31: a bit rate needs a unit", "did you mean 128 kbps?"),
        ("file: a.mp3, bitrate: 128 kHz", None, "'kHz' is not a valid unit for a bit rate", "did you mean 128 kbps?"),
        (
            "file: a.mp3, bitrate: 130 kbps",
            None,
            "the bit rate of an MP3 must be one of 32, 64, 96, 128, ",
            "did you mean 128 kbps?",
        ),
        ("file: a.mp3, bitrate: 320 kbps", None, "5:31: an MP3 at 24 kHz can have at most 160 kbps", "write 160 kbps"),
        ("file: a.mp3, cover: d.png", b"", "5:29: there is no file 'd.png'", "did you mean 'c.png'?"),
        ("file: a.mp3, cover: c.png", b"GIF8", "c.png: not a JPEG or PNG picture", "save the cover"),
        ("file: a.mp3, cover: c.png", b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer", "git lfs"),
    ],
)
def test_what_no_mp3_has_is_told(tmp_path: Path, mix: str, data: bytes | None, problem: str, hint: str) -> None:
    with pytest.raises(SceneError) as told:
        with_a_cover(tmp_path, data, mix)
    assert problem in str(told.value)
    assert hint in told.value.hint


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="needs a file that is there and cannot be read")
def test_a_cover_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="'/proc/self/mem' cannot be read: Input/output error"):
        with_a_cover(tmp_path, None, "file: a.mp3, cover: /proc/self/mem")


def test_a_cover_that_is_too_large_or_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "covers").mkdir()
    with pytest.raises(SceneError, match="'covers' is a folder, but a file is expected") as told:
        with_a_cover(tmp_path, None, "file: a.mp3, cover: covers")
    assert told.value.hint == "choose a file"
    with pytest.raises(SceneError, match="there is no file 'xxx"):
        with_a_cover(tmp_path, None, f"file: a.mp3, cover: {'x' * 300}.png")
    with (tmp_path / "c.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(LARGEST_PICTURE + 1024**2)
    with pytest.raises(SceneError, match=r"c\.png: a cover may have at most 10 MiB, but this one has 11\.0 MiB"):
        with_a_cover(tmp_path, None, "file: a.mp3, cover: c.png")


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (r'title: "a\0b"', "the text contains U+0000, which cannot be spoken", "remove the escape"),
        (r'artist: "\u202Ea"', "this text contains invisible characters: U+202E", "type it again: a"),
        ("title: ' '", "this text is empty", "write some text, or remove the key"),
        ("artist: [Ann, Ben]", "expected a string, not a list", 'write "Ann, Ben"'),
        ("artist: [[Ann]]", "'artist' of 'mix' of 'deliver' must be text", "put the text in quotes"),
        ("stereo: true", "'mix' of 'deliver' has unknown key 'stereo'", "move it next to 'mix', under 'deliver'"),
        ("channels: 2", "'mix' of 'deliver' has unknown key 'channels'", "known keys: "),
    ],
)
def test_what_no_tag_holds_is_told(text: str, problem: str, hint: str) -> None:
    found = mistake(f"deliver: {{mix: {{file: a.mp3, {text}}}}}")
    assert problem in found.problem
    assert hint in found.hint


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("deliver: {bitrate: 128 kbps}", "'deliver' has unknown key 'bitrate'", "move it under 'mix'"),
        ("deliver: {names: '{line}'}", "'deliver' has unknown key 'names'", "move it under 'lines'"),
        ("deliver: {channels: 2}", "'deliver' has unknown key 'channels'", "did you mean 'stereo'?"),
        ("deliver: {stereo: both}", "'both' is neither true nor false", "write true or false"),
    ],
)
def test_what_stands_at_the_wrong_level_is_told(text: str, problem: str, hint: str) -> None:
    found = mistake(text)
    assert problem in found.problem
    assert hint in found.hint


# ---- stereo


def test_stereo_and_places_are_as_they_are_written() -> None:
    scene = parse_scene(
        "players: {ann: {pan: -0.5}, ben: {human: mic, pan: '+1'}, cid: }\nlines: [ann: Hi]\ndeliver: {stereo: yes}"
    )
    plan = make_plan(scene)
    assert (plan.deliver, plan.deliver.channels) == (Deliver(stereo=True), 2)
    assert [player.pan for player in plan.players] == [-0.5, 1.0, 0.0]
    assert scene.warnings == ()


def test_a_place_in_a_mono_mix_is_remarked_on_and_does_nothing() -> None:
    scene = parse_scene("players: {ann: {pan: 0}, ben: {pan: 0.5}, cid: {pan: 1}}\nlines: [ann: Hi]")
    assert {player.pan for player in make_plan(scene).players} == {0.0}
    (remark,) = scene.warnings
    assert str(remark) == (
        "'pan' of player 'ben' has no effect in a mono mix: write 'deliver: {stereo: true}', or remove this key"
    )
    assert (remark.location.line, remark.location.column) == (1, 37)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("left", "-1"),
        ("RIGHT", "1"),
        ("centre", "0"),
        ("C", "0"),
        ("L30", "-0.3"),
        ("30% right", "0.3"),
        ("50%", "0.5"),
        ("-64", "-0.64"),
        ("100", "1"),
        ("-1.5", "-1"),
        ("12700", "1"),
        ("−0,5", "-0.5"),
        ("L -0.5", "-0.5"),
    ],
)
def test_a_place_as_mixers_have_it_gets_a_hint_that_can_be_pasted(written: str, meant: str) -> None:
    with pytest.raises(PydanticCustomError) as raised:
        units.pan(written)
    assert (raised.value.context or {})["hint"] == f"did you mean {meant}?"
    assert units.pan(meant) == float(meant)


@pytest.mark.parametrize("written", ["", "wide", "nan", "1e-3", "--1", "1 2", "0" * 40])
def test_what_is_no_place_gets_an_example(written: str) -> None:
    with pytest.raises(
        PydanticCustomError, match=r"'pan' must be a number from -1 \(left\) to 1 \(right\), not '"
    ) as raised:
        units.pan(written)
    assert (raised.value.context or {})["hint"] == "for example: -0.5"


@pytest.mark.parametrize(
    "text",
    ["players: {ann: }\npan: 1\nlines: [ann: Hi]", "players: {ann: }\nlines: [{ann: Hi, pan: 1}]"],
)
def test_a_place_of_something_else_is_told_where_it_stands(text: str) -> None:
    with pytest.raises(SceneError, match="has unknown key 'pan'") as told:
        parse_scene(text)
    assert told.value.hint == "set it on a player, for example ann: {pan: -0.5}"


def test_a_place_from_python_is_one_already() -> None:
    assert (Player(pan=-1).pan, units.pan(".5")) == (-1, 0.5)
