"""Batch files: what they may hold, what is wrong with them, which jobs they make, and their schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tau_stage.batch.batch_file import batch_schema, load_batch
from tau_stage.batch.jobs import choose_jobs, load_jobs
from tau_stage.errors import SceneError, UsageError
from tau_stage.scene.delivery_options import Deliver, LineFiles, Mix
from tests.support.batches import SCENE, write_batch
from tests.test_cli_run import no_key
from tests.test_cli_validate import run

__all__ = ["no_key"]

COMMITTED = Path(__file__).parent.parent / "schemas" / "batch.schema.json"
WHOLE = """
batch: The harbour
scenes: [scenes/*.yaml]
matrix: {mood: [calm, cross]}
languages: {en: {}, de: {include: [cast.de.yaml]}}
store: takes-of-batch
limits: {budget: $200, start_rate: 30/min, sessions: 40, tokens: 200000/min}
retry: {times: 3}
"""


def names(only: list[str] | None = None) -> list[str]:
    return [job.name for job in choose_jobs(load_jobs(load_batch("batch.yaml")), only or [])]


def problem(text: str) -> str:
    """What is wrong with a batch file, without the place."""
    write_batch(text)
    with pytest.raises(SceneError) as raised:
        load_batch("batch.yaml")
    return f"{raised.value.line}:{raised.value.column}: {raised.value.problem}"


def test_a_batch_has_a_job_for_each_scene_variant_and_language() -> None:
    write_batch(WHOLE)
    Path("cast.de.yaml").write_text("players: {ann: {voice: coral}}\n")
    batch = load_batch("batch.yaml")
    assert (batch.title, batch.limits.sessions, batch.limits.tokens) == ("The harbour", 40, 200_000)
    assert batch.retry
    assert batch.retry.times == 3
    jobs = {job.name: job.plan for job in load_jobs(batch)}
    assert list(jobs) == [
        f"{language}/{mood}/scenes/{scene}"
        for language in ("en", "de")
        for scene in ("hat", "key")
        for mood in ("calm", "cross")
    ]
    assert jobs["de/cross/scenes/hat"].lines[0].direction == "cross"
    assert jobs["de/cross/scenes/hat"].player("ann").voice == "coral"
    assert jobs["en/cross/scenes/hat"].player("ann").voice == "ash"
    assert {plan.language for name, plan in jobs.items() if name.startswith("de/")} == {"de"}


def test_a_batch_of_nothing_special_has_a_job_for_each_scene() -> None:
    write_batch()
    assert names() == ["scenes/hat", "scenes/key"]
    assert load_batch("batch.yaml").title == "batch"


def test_a_scene_has_its_own_matrix_too() -> None:
    write_batch()
    Path("scenes/hat.yaml").write_text(SCENE.format(title="hat") + "matrix: {mood: [calm, wild]}\n")
    assert names() == ["scenes/hat.calm", "scenes/hat.wild", "scenes/key"]


def test_only_takes_patterns_of_names_or_of_their_last_part() -> None:
    write_batch(WHOLE.replace("{include: [cast.de.yaml]}", "{}"))
    assert names(["de/*hat"]) == ["de/calm/scenes/hat", "de/cross/scenes/hat"]
    assert names(["k?y", "en/cross/*"]) == [
        *("en/cross/scenes/hat", "en/calm/scenes/key", "en/cross/scenes/key"),
        *("de/calm/scenes/key", "de/cross/scenes/key"),
    ]
    with pytest.raises(UsageError, match="no job of the batch matches 'ke'"):
        names(["ke"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scenes: [a/*.yaml]\n", "1:9: no scene file matches 'a/*.yaml'"),
        ("scenes: scenes/hat.yml\n", "1:9: no scene file matches 'scenes/hat.yml'"),
        ("batch: x\n", "1:1: the batch has no scenes and no lines"),
        ("scenes: [scenes/*.yaml]\nlines: a.csv\ncast: scenes/hat.yaml\n", "2:8: no table matches 'a.csv'"),
        ("scenes: [scenes/*.yaml]\nlimit: {budget: $2}\n", "2:1: the batch has unknown key 'limit'"),
        ("scenes: [scenes/*.yaml]\nlimits: {budget: 2}\n", "2:18: an amount needs a currency, but '2' has none"),
        ("scenes: [scenes/*.yaml]\nlanguages: {de: de.yaml}\n", "2:17: language de must be a mapping of 'key: value'"),
        ("scenes: [scenes/*.yaml]\nlanguages: {de: {include: de.yaml}}\n", "2:17: file not found: 'de.yaml'"),
        (
            "scenes: [scenes/*.yaml]\nlanguages: {../de: {}}\n",
            "2:13: '../de' is not a valid language name, because languages are also folder names",
        ),
        ("scenes: [scenes/*.yaml]\ndeliver: {rate: 48}\n", "2:17: a sample rate needs a unit, but '48' has none"),
        ("scenes: [scenes/*.yaml]\nmatrix: {mood: calm}\n", "2:16: 'mood' needs a list of values"),
        ("scenes: [scenes/*.yaml]\nretry: {times: often}\n", "2:16: 'often' is not a whole number from 1 to 100,000"),
    ],
)
def test_what_is_wrong_with_a_batch_file_has_its_place(text: str, told: str) -> None:
    assert problem(text) == told


def test_what_a_batch_delivers_is_laid_over_each_scene_part_by_part() -> None:
    write_batch("scenes: [scenes/*.yaml]\ndeliver: {rate: 48 kHz, mix: {loudness: -20 LUFS}, lines: {trim: no}}\n")
    with Path("scenes/hat.yaml").open("a") as file:
        file.write("deliver: {stereo: true, mix: {loudness: -18 LUFS, file: hat.flac}, lines: none}\n")
    hat, key = (job.plan.deliver for job in load_jobs(load_batch("batch.yaml")))
    mix = Mix(loudness=-20.0, file="hat.flac")
    assert hat == Deliver(rate=48_000, stereo=True, mix=mix, lines=LineFiles(trim=False))
    assert key == Deliver(rate=48_000, mix=Mix(loudness=-20.0), lines=LineFiles(trim=False))


def test_what_does_not_fit_a_scene_is_told_where_the_batch_says_it() -> None:
    write_batch("scenes: [scenes/*.yaml]\ndeliver:\n  mix: {file: a.mp3, bitrate: 320 kbps}\n")
    with pytest.raises(SceneError, match="an MP3 at 24 kHz can have at most 160 kbps") as raised:
        load_jobs(load_batch("batch.yaml"))
    assert (raised.value.path, raised.value.line, raised.value.column) == ("batch.yaml", 3, 31)
    assert raised.value.also == ()


def test_the_errors_of_all_scenes_are_told_together_and_once() -> None:
    write_batch("scenes: [scenes/*.yaml]\nmatrix: {mood: [calm, cross]}\n", "hat", "key")
    for name in ("hat", "key"):
        Path(f"scenes/{name}.yaml").write_text(SCENE.format(title=name).replace("bob: Here", "bib: Here"))
    with pytest.raises(SceneError) as raised:
        names()
    assert [error.path for error in (raised.value, *raised.value.also)] == ["scenes/hat.yaml", "scenes/key.yaml"]


def test_two_scenes_with_one_name_are_refused() -> None:
    write_batch("scenes: [scenes/*.yaml, scenes-/*.yaml]\n", "hat")
    Path("scenes-").mkdir()
    Path("scenes-/hat.yaml").write_text(SCENE.format(title="hat"))
    with pytest.raises(UsageError, match="have the same job name scenes/hat"):
        names()


def test_languages_that_differ_in_case_are_refused() -> None:
    write_batch("scenes: [scenes/*.yaml]\nlanguages: {de: {}, DE: {}}\n", "hat")
    with pytest.raises(UsageError, match="de/scenes/hat and DE/scenes/hat differ only in case"):
        names()


def test_scenes_are_found_by_any_pattern_and_by_their_very_names(tmp_path: Path) -> None:
    write_batch(f"scenes: ['{tmp_path}/scenes/h*.yaml', scenes/**.yaml, '**/[[]x].yaml', 'scenes/[y].yaml']\n")
    for name in ("[x]", "[y]"):
        Path(f"scenes/{name}.yaml").write_text(SCENE.format(title="hat"))
    assert [Path(file).name for file in load_batch("batch.yaml").files] == [
        "hat.yaml",
        "[x].yaml",
        "[y].yaml",
        "key.yaml",
    ]


def test_validate_knows_batch_files(capsys: pytest.CaptureFixture[str]) -> None:
    write_batch()
    assert run("validate", "batch.yaml") == 0
    assert capsys.readouterr().out == "ok batch.yaml: batch, 2 jobs, 6 lines\n"
    Path("scenes/key.yaml").write_text("players: {ann: }\nlines: [bob: Hello.]\n")
    assert run("validate", "batch.yaml") == 2
    assert "scenes/key.yaml:2:9" in capsys.readouterr().err
    assert run("validate", "batch.yaml", "--format", "json") == 2
    (found,) = json.loads(capsys.readouterr().out)
    assert found["path"] == "scenes/key.yaml"


def test_validate_tells_once_what_may_be_wrong_with_scenes_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    write_batch("scenes: [scenes/*.yaml]\nmatrix: {mood: [calm, cross]}\n", "hat")
    scene = Path("scenes/hat.yaml")
    scene.write_text(
        scene.read_text().replace("voice: ash", "voice: ash, model: gpt-realtime").replace("your", "[sighs")
    )
    assert run("validate", "batch.yaml") == 0
    warned = capsys.readouterr().err.splitlines()
    assert run("validate", "batch.yaml", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [told["problem"] for told in found] == [told.partition(": ")[2].partition(": ")[2] for told in warned]
    assert [told.split(":")[1] for told in warned] == [" scenes/hat.yaml"] * 2
    assert "will be spoken: write [like this]" in warned[0]
    assert "its successor is" in warned[1]


def test_the_committed_schema_is_current_and_knows_what_we_know() -> None:
    """``tau-stage schema batch --write schemas/batch.schema.json`` makes it so."""
    assert COMMITTED.read_text(encoding="utf-8") == batch_schema()
    schema = json.loads(batch_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(WHOLE), schema)
    jsonschema.validate(yaml.safe_load("{scenes: a.yaml, languages: {en: }, retry: off}"), schema)
    for wrong in (
        "{lines: b.csv, columns: {id: [a]}}",
        "{lines: b.csv, columns: {mood: a}}",
        "{batch: x}",
        "{scenes: a.yaml, retry: {time: 2}}",
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(wrong), schema)


def test_a_batch_file_that_is_performed_as_a_scene_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    write_batch()
    for verb in ("run", "plan", "show"):
        assert run(verb, "batch.yaml") == 2
        assert "tau-stage batch run batch.yaml" in capsys.readouterr().err
