"""Files of lines by id and language, where engines look for them, and the tables that they import."""

from __future__ import annotations

import csv
import json
import shutil
from io import StringIO
from pathlib import Path

import pytest

from tau_stage.batch.batch_file import load_batch
from tau_stage.batch.engine_layouts import LAYOUTS, UNREAL_COLUMNS, WWISE_COLUMNS, EngineLine
from tau_stage.batch.jobs import load_jobs
from tau_stage.errors import SceneError, UsageError
from tau_stage.understudy.server import Understudy
from tests.support.batches import Asked, BatchRuns, write_batch
from tests.support.object_stores import served_bucket
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_testing import edit
from tests.test_cli_validate import run

__all__ = ["no_key", "serve"]

WWISE_DOCUMENTED = {"Audio File", "Audio File Base64", "Object Path", "Object Type"}
"""Of "Importing Media Files from Tab Delimited Text Files", Wwise Help: the first of its table."""

UNREAL_DOCUMENTED = {
    *("AudioFileName", "DialogueAsset", "DialogueAssetGUID", "IsRecorded", "LocalizationKeys", "SpeakingVoice"),
    *("SpeakingVoiceGUID", "SpokenDialogue", "TargetVoiceGUIDs", "TargetVoices", "VoiceActorDirection"),
}
"""Of ``FDialogueScriptEntry``, Unreal Engine API: each is a column of the engine's own export of dialogue."""


def line(name: str, language: str = "", **facts: object) -> EngineLine:
    known = {"scene": "quay", "folders": (), "player": "ann", "words": "Hi.", "direction": "", "hearers": ()}
    return EngineLine(name, language, **(known | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layout", "first", "other", "alone"),
    [
        ("plain", "en/a-1", "pt-BR/a-1", "a-1"),
        ("wwise", "en/a-1", "pt-BR/a-1", "a-1"),
        ("unreal", "en/a-1", "pt-BR/a-1", "a-1"),
        ("yarn", "en/a-1", "pt-BR/a-1", "a-1"),
        ("renpy", "voice/a-1", "tl/pt_BR/voice/a-1", "voice/a-1"),
        ("fmod", "en/a-1", "pt-BR/a-1", "a-1"),
        (
            "naninovel",
            "Resources/Naninovel/Voice/quay/a-1",
            "Resources/Naninovel/Localization/pt-BR/Voice/quay/a-1",
            "Resources/Naninovel/Voice/quay/a-1",
        ),
        ("unity", "Resources/Voice/en/a-1", "Resources/Voice/pt-BR/a-1", "Resources/Voice/a-1"),
        ("dink", "Audio/TTS/a-1", "pt-BR/Audio/TTS/a-1", "Audio/TTS/a-1"),
    ],
)
def test_each_layout_has_a_place_for_each_line(layout: str, first: str, other: str, alone: str) -> None:
    of = LAYOUTS[layout]
    assert of.place(line("a-1", "en"), is_first=True) == first
    assert of.place(line("a-1", "pt-BR"), is_first=False) == other
    assert of.place(line("a-1"), is_first=True) == alone


def test_wwise_imports_a_table_for_each_language() -> None:
    files = {"de/a-1.wav": line("a-1", "de"), "en/calm/a-1.wav": line("a-1", "en", folders=("calm",))}
    tables = LAYOUTS["wwise"].tables(files)
    assert {*WWISE_COLUMNS} <= WWISE_DOCUMENTED
    rows = {name: [*csv.DictReader(StringIO(text), delimiter="\t")] for name, text in tables.items()}
    assert rows == {
        "wwise-de.tsv": [
            {
                "Audio File": "de\\a-1.wav",
                "Object Path": "<Virtual Folder>quay\\<Sound Voice>a-1",
                "Object Type": "Sound Voice",
            }
        ],
        "wwise-en.tsv": [
            {
                "Audio File": "en\\calm\\a-1.wav",
                "Object Path": "<Virtual Folder>calm\\<Sound Voice>a-1",
                "Object Type": "Sound Voice",
            }
        ],
    }


def test_unreal_reads_a_script_of_each_culture() -> None:
    spoken = line("a-1", "de", words='Er sagte "Ja",\nimmer.', direction="=leise", hearers=("bob", "cat"))
    files = {"de/a-1.wav": spoken, "de/b-1.wav": line("b-1", "de", hearers=("ann",)), "de/c.wav": line("c", "de")}
    tables = LAYOUTS["unreal"].tables(files)
    assert {*UNREAL_COLUMNS} <= UNREAL_DOCUMENTED
    ((name, text),) = tables.items()
    rows = [*csv.DictReader(StringIO(text, newline=""))]
    assert name == "de/Dialogue.csv"
    assert rows[0] == {
        "SpeakingVoice": "ann",
        "TargetVoices": '("[bob,cat]")',
        "SpokenDialogue": 'Er sagte "Ja",\nimmer.',
        "VoiceActorDirection": "=leise",
        "AudioFileName": "a-1.wav",
        "LocalizationKeys": '("a-1")',
    }
    assert [row["TargetVoices"] for row in rows[1:]] == ['("ann")', "()"]


def problems(batch: str) -> list[str]:
    write_batch(batch, "hat")
    with pytest.raises(SceneError) as raised:
        load_jobs(load_batch("batch.yaml"))
    return [f"{error.path}:{error.line}: {error.problem}" for error in (raised.value, *raised.value.also)]


def test_an_id_that_names_no_file_everywhere_is_refused_before_anything_is_performed() -> None:
    write_batch("scenes: con.yaml\n")
    Path("con.yaml").write_text("players: {ann: }\nlines: [{ann: Hi., id: aux}, {ann: Ho., id: com1}]\n")
    assert len(load_jobs(load_batch("batch.yaml"))) == 1
    assert problems("scenes: con.yaml\nexport: plain\n") == [
        f"con.yaml:2: the id '{name}' cannot be a file name, because Windows reserves it" for name in ("aux", "com1")
    ]


def test_files_that_an_engine_does_not_import_are_refused_before_anything_is_performed() -> None:
    ogg = "deliver: {lines: {format: ogg}}\n"
    write_batch(f"scenes: [scenes/*.yaml]\nexport: wwise\n{ogg}", "hat")
    with pytest.raises(UsageError, match=r"imports .wav, but the lines are .ogg"):
        load_jobs(load_batch("batch.yaml"))
    write_batch(f"scenes: [scenes/*.yaml]\nexport: renpy\n{ogg}", "hat")
    assert len(load_jobs(load_batch("batch.yaml"))) == 1


def test_an_export_that_is_wrong_is_told() -> None:
    engines = "'plain', 'wwise', 'unreal', 'yarn', 'renpy', 'fmod', 'naninovel', 'unity' or 'dink'"
    for text, told in (
        ("export: fmud", f"'export' must be {engines}, not 'fmud'"),
        ("export: {wwise: a.tsv}", "'export' has unknown key 'wwise'"),
    ):
        write_batch(f"scenes: [scenes/*.yaml]\n{text}\n", "hat")
        with pytest.raises(SceneError) as raised:
            load_batch("batch.yaml")
        assert raised.value.problem.endswith(told)
    write_batch("scenes: [scenes/*.yaml]\nexport: none\n", "hat")
    assert load_batch("batch.yaml").export is None


def tree(folder: str = "game") -> dict[str, tuple[int, bytes]]:
    files = (path for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.slow
def test_an_export_writes_what_has_changed_and_nothing_else(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: two scenes in two languages are performed, some lines twice."""
    text = "scenes: [scenes/*.yaml]\nlanguages: {en: {}, de: {}}\nexport: {layout: wwise, to: game}\n"
    write_batch(text)
    batch = BatchRuns(serve(Understudy(Asked())), capsys)
    assert run("batch", "export", "batch.yaml") == 3
    assert "missing: 12 lines not performed yet: " in capsys.readouterr().out
    assert len(batch.run()["export"]["written"]) == 14
    before = tree()
    assert {name.rpartition("/")[0] for name in before} == {
        "",
        *(f"{a}/scenes/{b}" for a in ("en", "de") for b in ("hat", "key")),
    }
    assert all(data.startswith(b"RIFF") for name, (_, data) in before.items() if name.endswith(".wav"))

    assert batch.run()["export"]["unchanged"] == 14
    assert tree() == before

    edit(Path("scenes/hat.yaml"), "Here is your hat", "Take your hat")
    assert run("batch", "export", "batch.yaml", "--endpoint", batch.url) == 3
    out = capsys.readouterr().out
    assert "missing: 2 lines changed since the last performance: en/scenes/hat bob-1, de/scenes/hat bob-1" in out
    assert tree() == before  # the old file stays until there is a new one
    assert sorted(batch.run()["export"]["written"]) == [f"{code}/scenes/hat/bob-1.wav" for code in ("de", "en")]
    after = tree()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {".tau-stage-export.json", "de/scenes/hat/bob-1.wav", "en/scenes/hat/bob-1.wav"}

    Path("scenes/key.yaml").unlink()
    assert run("batch", "export", "batch.yaml", "--endpoint", batch.url) == 0
    out = capsys.readouterr().out
    assert "obsolete: 6 files for lines that no longer exist; remove them with --prune" in out
    Path("game/de/scenes/key/bob-1.wav").write_bytes(b"mastered by hand")
    assert run("batch", "export", "batch.yaml", "--endpoint", batch.url, "--prune", "--json") == 0
    told = json.loads(capsys.readouterr().out)["export"]
    assert len(told["removed"]) == 5
    assert told["unwanted"] == ["de/scenes/key/bob-1.wav"]  # somebody has worked on it
    assert not Path("game/en/scenes/key").exists()


@pytest.mark.slow
def test_a_part_of_the_jobs_leaves_the_files_and_tables_of_all_others(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: two languages are performed, one after the other."""
    Path("cast.yaml").write_text("limits: {start_rate: 100/s}\nplayers: {ann: {voice: ash}}\n")
    Path("lines.csv").write_text("id,character,text\na,ann,Hi.\nb,ann,Ho.\n")
    Path("batch.yaml").write_text(
        "lines: lines.csv\ncast: cast.yaml\nlanguages: {en: {}, en-GB: {}}\n"
        "export: {layout: wwise, to: game}\nstatus: on\n"
    )
    batch = BatchRuns(serve(Understudy(Asked())), capsys)
    assert batch.run("--only", "en/*")["export"]["missing"] == {}
    assert batch.run("--only", "en-GB/*")["export"]["written"] == ["en-GB/a.wav", "en-GB/b.wav", "wwise-en-GB.tsv"]
    before = {**tree(), "": (Path("lines.status.csv").stat().st_mtime_ns, Path("lines.status.csv").read_bytes())}
    assert b"en/a.wav" in before[""][1]
    batch.run("--only", "en/*")
    assert {
        **tree(),
        "": (Path("lines.status.csv").stat().st_mtime_ns, Path("lines.status.csv").read_bytes()),
    } == before


@pytest.mark.slow
def test_files_that_are_to_be_made_otherwise_wait_for_the_next_run(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: a scene is performed, and delivered three times."""
    write_batch("scenes: [scenes/*.yaml]\nexport: {to: game}\n", "hat")
    asked = Asked()
    batch = BatchRuns(serve(Understudy(asked)), capsys)
    batch.run()
    before = tree()
    asked.take()
    for options, ending in (("{format: ogg}", "ogg"), ("{trim: no}", "wav"), ("{trim: no, loudness: -20 LUFS}", "wav")):
        write_batch(f"scenes: [scenes/*.yaml]\nexport: {{to: game}}\ndeliver: {{lines: {options}}}\n", "hat")
        assert run("batch", "export", "batch.yaml", "--endpoint", batch.url) == 3
        assert (
            "missing: 3 lines not delivered yet with the batch's current settings: scenes/hat ann-1"
            in capsys.readouterr().out
        )
        assert tree() == before
        written = batch.run("--quiet")["export"]["written"]
        assert written == [f"scenes/hat/{name}.{ending}" for name in ("ann-1", "bob-1", "ann-2")]
        assert run("batch", "export", "batch.yaml", "--endpoint", batch.url, "--prune") == 0
        capsys.readouterr()
        before = tree()
    assert asked.take() == {}


@pytest.mark.slow
def test_lines_are_exported_from_a_bucket(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: the server of a bucket takes a while to begin."""
    with served_bucket(monkeypatch) as address:
        write_batch(f"scenes: [scenes/*.yaml]\nstore: {address}\nexport: {{to: game}}\n", "hat")
        batch = BatchRuns(serve(Understudy(Asked())), capsys)
        assert len(batch.run()["export"]["written"]) == 3
        assert {data[:4] for name, (_, data) in tree().items() if name.endswith(".wav")} == {b"RIFF"}
        assert batch.run()["export"]["unchanged"] == 3


@pytest.mark.slow
def test_files_of_others_are_never_written_over(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: a scene is performed twice."""
    write_batch("scenes: [scenes/*.yaml]\nexport: {to: game}\n", "hat")
    mine = Path("game/scenes/hat/ann-1.wav")
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"recorded by a person")
    batch = BatchRuns(serve(Understudy(Asked())), capsys)
    assert batch.run(code=3)["export"]["in_the_way"] == ["scenes/hat/ann-1.wav"]
    assert mine.read_bytes() == b"recorded by a person"
    mine.unlink()
    assert batch.run()["export"]["written"] == ["scenes/hat/ann-1.wav"]
    other = Path("elsewhere")
    assert run("batch", "export", "batch.yaml", "--endpoint", batch.url, "--to", str(other)) == 0
    whole = {name: data for name, (_, data) in tree(str(other)).items()}
    assert whole == {name: data for name, (_, data) in tree().items()}
    shutil.rmtree(other)
