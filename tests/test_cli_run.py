"""`tau-stage run`, against an understudy over a real socket: exit codes, output, and no secret anywhere."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from tau_stage.runs.run_scenes import why_the_understudy
from tau_stage.scene.load import parse_scene
from tau_stage.scene.planner import make_plan
from tau_stage.stage.sessions import provider_for
from tau_stage.take.take_model import Take
from tau_stage.understudy import faults as fault
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.tone_voice import Tones
from tests.test_cli_validate import SCENES, run

MARKER = "sk-MARKER-0123456789"
TRIO = """
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}
lines: [ann: One., bob: Two., ann: Three.]
limits: {start_rate: 100/s}
"""

DEAR = TRIO.replace("Two.", "And now something long " * 40)
"""Its second line is not to be had for a fifth of a cent."""

Serve = Callable[[Understudy], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves an understudy from a loop in another thread, until the test ends."""
    with ExitStack() as ends, start_blocking_portal("asyncio") as portal:

        def start(understudy: Understudy) -> str:
            return ends.enter_context(portal.wrap_async_context_manager(open_understudy(understudy)))

        with ends:
            yield start


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "TAU_STAGE_ENDPOINT", "TAU_STAGE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trio(tmp_path: Path) -> str:
    file = tmp_path / "trio.yaml"
    file.write_text(TRIO)
    return str(file)


class Noting(Tones):
    """Notes what the garbage collector passes over while somebody speaks."""

    def __init__(self) -> None:
        self.spared: list[int] = []

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        self.spared.append(gc.get_freeze_count())
        return await super().speak(request)


def test_while_a_scene_is_performed_the_garbage_collector_does_not_look_through_the_program(
    serve: Serve, trio: str
) -> None:
    voice = Noting()
    gc.unfreeze()  # what was collected of tests
    try:
        assert run("run", trio, "--endpoint", serve(Understudy(voice))) == 0
        assert min(voice.spared) > 10_000
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()


def test_a_scene_is_performed_and_the_path_is_printed_last(
    serve: Serve, trio: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", trio, "--endpoint", serve(Understudy(Tones()))) == 0
    said = capsys.readouterr()
    folder = Path(said.out.split("\n")[-2])
    assert folder.parent == Path("takes/trio")
    assert Path("takes/trio/latest").resolve() == folder.resolve()
    take = Take.model_validate_json((folder / "take.json").read_text())
    assert (take.ended, len(take.lines), take.spent) == ("complete", 3, True)
    assert "player" in said.out
    assert "estimate" in said.out
    assert re.fullmatch(r"mix\.wav -16\.0 LUFS, -\d+\.\d dBTP", said.out.split("\n")[-3])
    assert said.out.split("\n")[-4] == f"page: {folder / 'report.html'}"
    assert (folder / "mix.wav").is_file()
    assert "1/3 ann: One. (0.1 s)" in said.err


def test_quiet_prints_the_path_only_and_json_one_line_per_take(
    serve: Serve, trio: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve(Understudy(Tones()))
    assert run("run", trio, "--endpoint", url, "--quiet", "--out", "here") == 0
    said = capsys.readouterr()
    assert (said.out.count("\n"), said.out.startswith("here/trio/"), said.err) == (1, True, "")
    assert run("run", trio, str(SCENES / "hello.yaml"), "--jobs", "2", "--endpoint", url, "--json") == 0
    takes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [told["take"]["scene"]["slug"] for told in takes] == ["trio", "hello"]
    assert all(Path(told["path"]).is_dir() for told in takes)


def test_a_scene_that_breaks_off_is_mixed_as_far_as_it_was_spoken(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "poor.yaml").write_text(DEAR.replace("limits: {", "limits: {budget: $0.002, "))
    (tmp_path / "deaf.yaml").write_text(TRIO + "deliver: {mix: none}\n")
    url = serve(Understudy(Tones()))
    assert run("run", "poor.yaml", "--endpoint", url) == 4
    assert "mix.wav -16.0 LUFS" in capsys.readouterr().out
    assert run("run", "deaf.yaml", "--endpoint", url) == 0
    assert "mix.wav" not in capsys.readouterr().out


def test_twenty_scenes_at_once_still_open_one_session_after_another(serve: Serve, trio: str) -> None:
    house = Understudy(Tones(), keeps_visits=True)
    assert run("run", *[trio] * 20, "--jobs", "20", "--endpoint", serve(house), "--quiet") == 0
    assert len(house.visits) == 60
    for earlier, later in pairwise(house.visits):
        assert earlier.ready_at is not None
        assert earlier.ready_at <= later.opened_at


def test_a_busy_provider_is_waited_for(serve: Serve, trio: str, capsys: pytest.CaptureFixture[str]) -> None:
    house = Understudy(Tones(), faults=[fault.BusyDoor(times=2, retry_after_s=0.05)], keeps_visits=True)
    assert run("run", trio, "--endpoint", serve(house)) == 0
    said = capsys.readouterr()
    assert said.err.count("HTTP 429") == 2
    assert said.out.count("HTTP 429") == 2
    for earlier, later in pairwise(house.visits):
        assert earlier.ready_at is not None
        assert earlier.ready_at <= later.opened_at


@pytest.mark.parametrize(
    ("house", "model", "facts"),
    [
        (Understudy(Tones(), key="right", keeps_visits=True), "gpt-realtime", ("invalid_api_key", "3000")),
        (Understudy(Tones(), keeps_visits=True), "gpt-9", ("invalid_model", "4000")),
        (
            Understudy(Tones(), faults=[fault.RefuseInBand("insufficient_quota", 1013)], keeps_visits=True),
            "gpt-realtime",
            ("insufficient_quota", "1013"),
        ),
    ],
)
def test_what_never_passes_is_exit_3_and_is_tried_once(
    house: Understudy,
    model: str,
    facts: tuple[str, ...],
    serve: Serve,
    trio: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path(trio).write_text(f"model: {model}{TRIO}")
    url = serve(house)
    assert run("run", trio, "--endpoint", url) == 3
    said = capsys.readouterr().out
    assert all(fact in said for fact in (*facts, "player ann", url))
    assert len(house.visits) == 1


def test_the_budget_is_exit_4_and_what_was_spoken_is_kept(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dear.yaml").write_text(DEAR)
    assert run("run", "dear.yaml", "--endpoint", serve(Understudy(Tones())), "--budget", "$0.002") == 4
    said = capsys.readouterr().out
    assert "budget: stopped before line bob-1" in said
    assert (Path(said.split("\n")[-2]) / "lines" / "001-ann-1.wav").is_file()


def test_a_model_that_has_ended_is_a_warning_and_no_refusal(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.yaml").write_text("model: gpt-4o-realtime-preview\n" + TRIO)
    told = "gpt-4o-realtime-preview was shut down on 2026-05-07; its successor is gpt-realtime-2.1\n"
    assert run("run", "old.yaml", "--live", "--endpoint", serve(Understudy(Tones()))) == 0
    assert capsys.readouterr().err.count(told) == 1
    assert run("run", "old.yaml") == 0
    assert told not in capsys.readouterr().err  # the understudy plays on


def test_nobody_there_is_exit_3(trio: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", trio, "--endpoint", "ws://127.0.0.1:9") == 3
    assert "player ann, at ws://127.0.0.1:9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--live"], "--live needs a provider"),
        (["--endpoint", "opensesame"], "unknown endpoint 'opensesame'"),
        (["--endpoint", "openai"], "OPENAI_API_KEY is not set"),
        (["--endpoint", "azure"], "AZURE_OPENAI_API_KEY is not set"),
        (["--budget", "0.5"], "did you mean '$0.50'?"),
        (["--budget", "much"], "--budget: 'much' is not a dollar amount"),
        (["--jobs", "0"], "'--jobs'"),
        (["--aloud", "--jobs", "2"], "--aloud plays one scene at a time, but --jobs is 2\n  hint: remove --jobs"),
        (["--aloud", "trio.yaml"], "--aloud plays one scene, but there are 2\n  hint: specify one scene"),
        (["--out", "trio.yaml"], "not a directory"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_says_what_to_do(
    arguments: list[str], problem: str, trio: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", trio, *arguments) == 2
    assert problem in capsys.readouterr().err


TYPED = "players: {ann: , typ: {human: tty}}\nlines: [typ: One.]\n"


def test_scenes_at_once_do_not_share_a_keyboard(trio: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("one.yaml").write_text(TYPED)
    Path("two.yaml").write_text(TYPED + "matrix: {mood: [calm, cross]}\n")
    assert run("run", trio, "one.yaml", "one.yaml", "--jobs", "2") == 2
    said = capsys.readouterr().err
    assert "2 scenes would share standard input: one.yaml, one.yaml\n  hint: remove --jobs" in said
    assert run("run", "two.yaml", "--jobs", "2") == 2
    assert "would share standard input: two.yaml (calm), two.yaml (cross)" in capsys.readouterr().err
    assert not Path("takes").exists()


def test_azure_wants_its_resource(
    trio: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", MARKER)
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    assert run("run", trio, "--endpoint", "azure") == 2
    said = capsys.readouterr().err
    assert "AZURE_OPENAI_ENDPOINT is not set" in said
    assert MARKER not in said


def test_all_scenes_are_read_before_one_is_performed(trio: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.yaml").write_text("lines: []")
    assert run("run", trio, "bad.yaml") == 2
    assert capsys.readouterr().err.startswith("bad.yaml:1:")
    assert not Path("takes").exists()


@pytest.mark.parametrize(
    ("key", "faults", "code"),
    [
        (MARKER, (), 0),
        ("another", (), 3),
        (MARKER, (fault.BusyDoor(times=9, retry_after_s=0.001),), 3),
        (MARKER, (fault.FailResponses(times=1, code="no", message="No."),), 3),
        (MARKER, (fault.Strike("drop", "in_response", times=3),), 3),
    ],
)
def test_no_secret_is_anywhere(
    key: str,
    faults: tuple[fault.Fault, ...],
    code: int,
    serve: Serve,
    trio: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TAU_STAGE_API_KEY", MARKER)
    url = serve(Understudy(Tones(), key=key, faults=faults))
    assert run("run", trio, "--endpoint", url) == code
    said = capsys.readouterr()
    left = [path.read_bytes() for path in Path("takes").rglob("*") if path.is_file()]
    assert left
    assert not any(MARKER.encode() in data for data in left)
    assert MARKER not in said.out + said.err


@pytest.mark.parametrize(
    ("top", "environment", "told"),
    [
        ("", {}, "OPENAI_API_KEY is not set: the understudy performs, and nothing is spent."),
        (
            "",
            {"TAU_STAGE_API_KEY": MARKER},
            "OPENAI_API_KEY is not set: the understudy performs, and nothing is spent.",
        ),
        (
            "",
            {"TAU_STAGE_ENDPOINT": "understudy", "OPENAI_API_KEY": MARKER},
            "TAU_STAGE_ENDPOINT is set to the understudy: it performs, and nothing is spent.",
        ),
        ("", {"OPENAI_API_KEY": MARKER}, ""),
        ("endpoint: understudy\n", {"OPENAI_API_KEY": MARKER}, ""),
        (
            "x: {voice: ash, endpoint: ws://127.0.0.1:9}",
            {},
            "OPENAI_API_KEY is not set: the understudy plays all players without an endpoint.",
        ),
    ],
)
def test_why_the_understudy_plays_is_told_as_it_is(top: str, environment: dict[str, str], told: str) -> None:
    another = f", {top}" if top.startswith("x:") else ""
    scene = f"{'' if another else top}players: {{ann: {{voice: ash}}{another}}}\nlines: [ann: One.]\n"
    plan = make_plan(parse_scene(scene))
    assert why_the_understudy([plan], lambda player: provider_for(player, environment).endpoint, environment) == told
