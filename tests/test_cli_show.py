"""``tau-stage show`` and ``tau-stage schema``."""

import json
import re
from pathlib import Path

import pytest

from tau_stage.cli.main import main
from tau_stage.scene.schema import scene_schema

SCENES = Path(__file__).parent.parent / "scenes"

SCENE = """\
scene: Duet
limits: {budget: $1}
players:
  ann: {speed: 0.9, max_output_tokens: 100, accent: Welsh}
  ben: {endpoint: openai, output: text}
lines:
  - prompt: {ann: It is night.}
  - chapter: The night
  - ann: (low) Hello
    max_output_tokens: 9
  - ben: Hm
    to: nobody
"""


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("duet.yaml").write_text(SCENE)
    return "duet.yaml"


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    return capsys.readouterr().out


def test_piped_it_is_plain_text(scene: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        shown(capsys, "show", scene)
        == """\
Duet (duet.yaml): budget $1, sessions open one at a time
delivers mix.wav at -16 LUFS, at most -1 dBTP; 24 kHz, mono

player ann
  voice: marin
  model: gpt-realtime-2.1-mini
  endpoint: any
  speed: 0.9
  output: audio, at most 100 tokens
  instructions and setup: Speak in Welsh.

player ben
  voice: marin
  model: gpt-realtime-2.1-mini
  endpoint: openai
  output: text

line 7: prompt
  player: ann
  words: It is night.

chapter at line 8: The night

line 9: ann-1
  player: ann
  direction: low
  words: Hello
  heard by: ben
  settings: 0.35s pause, at most 9 tokens

line 11: ben-1
  player: ben
  words: Hm
  heard by: nobody
  settings: 0.35s pause
"""
    )


def test_json_holds_the_whole_plan(scene: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan = json.loads(shown(capsys, "show", "--json", scene))
    assert plan["budget"] == "1"
    assert plan["steps"][2]["prompt"] == 'Perform this line, low: "Hello"'


def test_on_a_terminal_it_is_tables(
    scene: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    said = shown(capsys, "show", scene)
    assert "instructions and setup" in said
    assert "Speak in Welsh." in said
    assert "─" in said
    assert re.search(r"8 +chapter .* The night ", said)


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "schema") == scene_schema()


def test_the_schema_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "scene.schema.json"
    assert shown(capsys, "schema", "--write", str(file)) == ""
    assert file.read_text(encoding="utf-8") == scene_schema()


CUES = """\
players: {ann: , ben: }
lines: [ann: Hello., ben: Hello.]
on:
  - {said: river, do: [ann: Which one?]}
  - {silence: 3s, do: [ann: Well?]}
  - {error: ann, do: [ben: Again.]}
"""


def test_what_a_cue_waits_for_is_told_in_the_words_of_the_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cues.yaml").write_text(CUES)
    said = [line for line in shown(capsys, "show", "cues.yaml").splitlines() if line.startswith("cue-")]
    assert [line.split()[2] for line in said] == ["said", "silence", "error"]
