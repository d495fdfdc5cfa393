"""Tools: what a scene defines is called, timed, written down, and never runs code without permission."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tau_stage.errors import TakeError, UsageError
from tau_stage.protocol.entries import ToolCall
from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import make_plan
from tau_stage.session.tools import MOST_ROUNDS, choice_after, run_calls
from tau_stage.stage.scene_tools import LONGEST_OUTPUT, check_tool_permission, has_failed, make_tools
from tau_stage.take import records as record
from tests.support.in_memory_stage import Playhouse
from tests.support.processes import descendants, is_alive, until

CALLER = """
players: {ann: , bob: {tools: none}}
tools:
  lights_on: {description: The listener wants the lights on., returns: {ok: true, lamps: 3}}
  play_music: {description: The listener wants music., parameters: {title: string}, returns: playing}
lines:
  - user: {ann: "Please turn the lights on, and play music called 'Greensleeves'."}
  - ann:
    improvise:
  - bob: Nice.
"""


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


async def test_two_calls_at_once_give_one_response_and_stand_in_the_take(house: Playhouse) -> None:
    take = await house.perform(CALLER)
    line = take.lines[0]
    calls = sorted(line.calls, key=lambda call: call.tool)
    assert [(call.tool, json.loads(call.arguments), call.failed) for call in calls] == [
        ("lights_on", {}, False), ("play_music", {"title": "Greensleeves"}, False),
    ]  # fmt: skip
    assert [call.output for call in calls] == ['{"ok":true,"lamps":3}', "playing"]
    assert len(house.sent("ann", "response.create")) == 2
    run_calls = [
        e["item"] for e in house.sent("ann", "conversation.item.create") if e["item"]["type"] == "function_call_output"
    ]
    assert [item["output"] for item in run_calls] == ['{"ok":true,"lamps":3}', "playing"]
    assert len({item["call_id"] for item in run_calls}) == 2
    assert line.said
    first, second = house.understudy.visits[0].bill.values()
    read = [bill["input_token_details"]["text_tokens"] for bill in (first, second)]
    assert line.usage.text_in + line.usage.cached_text_in == sum(read)
    assert len(house.facts(record.ToolTurn)) == 1


async def test_a_scripted_line_calls_nothing_and_a_player_without_tools_has_none(house: Playhouse) -> None:
    await house.perform(CALLER.replace("  - ann:\n    improvise:", "  - ann: As you wish."))
    assert house.sent("ann", "response.create")[0]["response"]["tool_choice"] == "none"
    assert house.facts(record.ToolCalled) == []
    assert "tools" not in house.sent("bob", "session.update")[0]["session"]
    assert len(house.sent("ann", "session.update")[0]["session"]["tools"]) == 2


async def test_a_cue_on_a_call_is_performed_by_another_voice(house: Playhouse) -> None:
    take = await house.perform(CALLER + "on: [{call: {player: ann, tool: lights_on}, do: [bob: There was light.]}]\n")
    assert [line.id for line in take.lines] == ["ann-1", "cue-1-bob-1", "bob-1"]


LAMPS = """
players: {ann: , bob: {tools: none}}
limits: {cues: 2}
tools:
  lights_on: {description: The listener wants the lights on., returns: {ok: true}}
  play_music: {description: The listener wants music., returns: playing}
on:
  - call: lights_on
    do: [{user: {ann: "Turn the lights on, and play music."}}, {ann: , improvise: }]
  - call: play_music
    do: [bob: Nice.]
lines:
  - user: {ann: "Turn the lights on, and play music."}
  - ann:
    improvise:
"""


async def test_a_limit_that_a_call_reaches_ends_the_performance_and_is_not_told_to_the_model(house: Playhouse) -> None:
    take = await house.perform(LAMPS)
    assert take.ended == "limit"
    assert "limits.cues" in str(take.problem)
    assert "LimitReached" not in json.dumps(house.sent("ann"))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_program_that_is_cancelled_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    command = ["sh", "-c", "sleep 900 & echo $! > child; wait"]
    (made,) = make_tools(plan_with(tmp_path, command=command), ("tool",), lambda *_: None).values()
    child = tmp_path / "child"
    before = descendants(os.getpid())  # of other tests, like the resource tracker of multiprocessing
    async with anyio.create_task_group() as group:
        group.start_soon(made.call, "{}")
        while descendants(os.getpid()) <= before:
            await anyio.lowlevel.checkpoint()
        until(lambda: child.is_file() and child.read_text().endswith("\n"))  # the loop stands still meanwhile
        group.cancel_scope.cancel()
    until(lambda: not is_alive(int(child.read_text())))


async def test_what_is_raised_by_the_report_of_a_call_is_not_told_to_the_model(tmp_path: Path) -> None:
    def report(tool: str, arguments: str, output: str | None, took_s: float) -> None:
        raise TakeError(tool, f"the disk is full: {arguments}, {output}, {took_s}")

    (made,) = make_tools(plan_with(tmp_path, returns="x"), ("tool",), report).values()
    calls = (ToolCall("c1", "tool", "{}"), ToolCall("c2", "tool", "{}"))
    with pytest.raises(TakeError, match="the disk is full"):
        await run_calls({"tool": made}, calls)


@pytest.mark.parametrize("choice", ["required", "lights_on"])
@pytest.mark.parametrize("place", ["player", "line"])
async def test_a_call_is_required_once_and_then_the_model_speaks(house: Playhouse, choice: str, place: str) -> None:
    told = f"tool_choice: {choice}"
    scene = CALLER.replace("improvise:", f"improvise:\n    {told}") if place == "line" else f"{told}\n{CALLER}"
    line = (await house.perform(scene)).lines[0]
    choices = [event["response"].get("tool_choice") for event in house.sent("ann", "response.create")]
    assert choices[1:] == ["auto"]
    assert (len(house.facts(record.ToolTurn)), bool(line.said)) == (1, True)


def test_a_model_that_calls_and_calls_must_speak_in_the_end() -> None:
    chosen = [choice_after(turns) for turns in range(1, MOST_ROUNDS + 1)]
    assert chosen == ["auto"] * (MOST_ROUNDS - 1) + ["none"]


# ---- tools on their own

Called = list[tuple[str, str, str | None]]


def plan_with(folder: Path, **tool: Any) -> Plan:
    lines = json.dumps({"players": {"ann": {}}, "tools": {"tool": tool}, "lines": [{"ann": "Hi."}]})
    return make_plan(parse_scene(lines, str(folder / "scene.yaml")))


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., Any]:
    """Defines a tool and calls it: what the model is told, and what was reported."""

    async def called(arguments: str = "{}", **tool: Any) -> tuple[str, Called]:
        reports: Called = []
        plan = plan_with(tmp_path, **tool)
        report = lambda name, given, output, _took_s: reports.append((name, given, output))  # noqa: E731
        (made,) = make_tools(plan, ("tool",), report).values()
        return await made.call(arguments), reports

    return called


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_function_is_found_beside_the_scene_and_told_its_arguments(
    tmp_path: Path, call: Callable[..., Any]
) -> None:
    (tmp_path / "shop_of_tests.py").write_text(
        'def order(number: int, gift: bool = False) -> dict:\n    "Look up an order."\n'
        '    return {"number": number + 1, "gift": gift}\n'
        "nothing = 3\n"
    )
    output, reports = await call('{"number": 41}', run="shop_of_tests:order")
    assert json.loads(output) == {"number": 42, "gift": False}
    assert reports == [("tool", '{"number":41}', None), ("tool", '{"number":41}', output)]
    (made,) = make_tools(plan_with(tmp_path, run="shop_of_tests:order"), ("tool",), lambda *_: None).values()
    assert (made.description, (made.parameters or {})["required"]) == ("Look up an order.", ["number"])
    for name in ("shop_of_tests:absent", "absent_of_tests:order", "shop_of_tests:nothing"):
        with pytest.raises(UsageError, match=r"cannot find|is not a function"):
            make_tools(plan_with(tmp_path, run=name), ("tool",), lambda *_: None)
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_function_that_crashes_or_gets_the_wrong_arguments_is_told_to_the_model(
    tmp_path: Path, call: Callable[..., Any]
) -> None:
    (tmp_path / "bad_of_tests.py").write_text("def f(n: int) -> int:\n    return 1 // n\n")
    output, _ = await call('{"n": 0}', run="bad_of_tests:f")
    assert json.loads(output) == {"error": "ZeroDivisionError: integer division or modulo by zero"}
    output, _ = await call('{"n": "x"}', run="bad_of_tests:f")
    assert has_failed(output)
    output, _ = await call("[]", run="bad_of_tests:f")
    assert has_failed(output)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_function_that_would_end_the_program_is_a_tool_that_failed(
    tmp_path: Path, call: Callable[..., Any], kind: str
) -> None:
    (tmp_path / "exits.py").write_text(f"import sys\n{kind} f() -> None:\n    sys.exit(3)\n")
    output, reports = await call(run="exits:f")
    assert json.loads(output) == {"error": "SystemExit: 3"}
    assert reports[-1][2] == output


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_no_exception_is_a_tool_that_failed_too(tmp_path: Path, call: Callable[..., Any]) -> None:
    (tmp_path / "interrupts.py").write_text("def f() -> None:\n    raise KeyboardInterrupt\n")
    output, _ = await call(run="interrupts:f")
    assert json.loads(output) == {"error": "RuntimeError: KeyboardInterrupt()"}


@pytest.mark.slow
def test_a_function_that_never_comes_back_does_not_hold_the_process() -> None:
    """Slow: a whole process, which must end by itself."""
    script = (
        "import anyio, time\nfrom tau_stage.session import Tool\n"
        "print(anyio.run(Tool('t', run=lambda: time.sleep(600), timeout_s=0.1).call, ''))"
    )
    done = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, timeout=50, check=True)
    assert json.loads(done.stdout) == {"error": "the tool took longer than 0.1 s"}


PYTHON = sys.executable


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
class TestPrograms:
    """Programs are real processes, on a real clock."""

    async def test_a_program_gets_its_arguments_as_json_and_runs_beside_the_scene(
        self, tmp_path: Path, call: Callable[..., Any]
    ) -> None:
        script = "import json, os, sys; print(os.getcwd(), json.load(sys.stdin), sys.argv[1])"
        output, _ = await call('{"on": true}', command=[PYTHON, "-c", script, "$HOME; ls"])
        assert output == f"{tmp_path} {{'on': True}} $HOME; ls"

    async def test_a_program_that_ignores_its_input_is_fine(self, call: Callable[..., Any]) -> None:
        output, _ = await call(json.dumps({"x": "y" * 200_000}), command=["/bin/echo", "done"])
        assert output == "done"

    async def test_a_program_that_fails_or_is_not_there_is_told(self, call: Callable[..., Any]) -> None:
        script = "import sys; print('first', file=sys.stderr); sys.exit('no lamp there')"
        output, _ = await call(command=[PYTHON, "-c", script])
        assert json.loads(output) == {"error": "ToolFailed: it exited with code 1: no lamp there"}
        output, _ = await call(command=["/bin/false"])
        assert json.loads(output) == {"error": "ToolFailed: it exited with code 1"}
        output, _ = await call(command=["./absent"])
        assert "cannot start ./absent: no such file" in output

    @pytest.mark.slow
    async def test_a_program_that_prints_a_gigabyte_is_cut_off(self, tmp_path: Path, call: Callable[..., Any]) -> None:
        """Slow: a real process prints until it is ended."""
        script = (
            f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nwhile True: print('x' * 65536)"
        )
        with anyio.fail_after(50):
            output, _ = await call(command=[PYTHON, "-c", script])
        assert json.loads(output) == {
            "error": f"ToolFailed: it printed more than {LONGEST_OUTPUT // 1024} KB and was stopped"
        }
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)

    @pytest.mark.slow
    async def test_a_slow_program_times_out_and_is_ended_with_its_children(
        self, tmp_path: Path, call: Callable[..., Any]
    ) -> None:
        """Slow: a real time limit passes."""
        script = f"sleep 600 & echo $! > {tmp_path / 'pid'}; wait"
        with anyio.fail_after(50):
            output, _ = await call(command=["/bin/sh", "-c", script], timeout="2s")
        assert json.loads(output) == {"error": "the tool took longer than 2 s"}
        child = int((tmp_path / "pid").read_text())
        with anyio.fail_after(50):
            while _is_running(child):  # noqa: ASYNC110 - another process tells nobody
                await anyio.sleep(0.02)


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_a_slow_function_times_out(tmp_path: Path, call: Callable[..., Any]) -> None:
    (tmp_path / "slow_of_tests.py").write_text("import anyio\nasync def f() -> None:\n    await anyio.sleep(99)\n")
    output, reports = await call(run="slow_of_tests:f", timeout="2s")
    assert json.loads(output) == {"error": "the tool took longer than 2 s"}
    assert reports[-1][2] == output


async def test_an_answer_without_measure_is_refused(call: Callable[..., Any]) -> None:
    output, _ = await call(returns="x" * (LONGEST_OUTPUT + 1))
    assert json.loads(output) == {"error": "the tool returned more than 64 KB"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_tool_that_fails_is_noted_and_cues_hear_of_it(house: Playhouse) -> None:
    scene = CALLER.replace("returns: {ok: true, lamps: 3}", "command: [./no-such-lamp]")
    scene += "on: [{error: {player: ann}, do: [bob: It is dark.]}]\n"
    take = await house.perform(scene, allow_tools=True)
    assert [line.id for line in take.lines] == ["ann-1", "cue-1-bob-1", "bob-1"]
    assert {call.tool: call.failed for call in take.lines[0].calls} == {"lights_on": True, "play_music": False}
    assert "line ann-1, player ann: tool lights_on failed:" in take.warnings[0]


async def test_without_permission_nothing_runs(tmp_path: Path, house: Playhouse) -> None:
    script = f"open({str(tmp_path / 'ran')!r}, 'w')"
    scene = CALLER.replace("returns: {ok: true, lamps: 3}", f"command: [{PYTHON}, -c, {json.dumps(script)}]")
    with pytest.raises(UsageError, match=r"the scene's tools run code from the scene's author \(lights_on\)"):
        await house.perform(scene)
    assert not (tmp_path / "ran").exists()
    assert house.sockets == {}


def test_a_scene_whose_tools_only_answer_needs_no_permission(tmp_path: Path) -> None:
    check_tool_permission(plan_with(tmp_path, returns="x"), allowed=False)
    check_tool_permission(plan_with(tmp_path, run="a:b"), allowed=True)
