"""The benchmarks: each row works, in the least that it can do; what they measure is nobody's verdict here."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import main
from tests.benchmarks.bench import LIMIT, OPENAI, OURS, TOP, Bench
from tests.benchmarks.lines import LineTimes, read_lines
from tests.benchmarks.processes import LoggedEvent
from tests.benchmarks.rows import ROWS, measured
from tests.benchmarks.table import HEAD, Figure, Result, Row, write_json
from tests.support.browser import CHROMIUM
from tests.test_cli_run import no_key

__all__ = ["no_key"]

PAGE = (TOP / "docs" / "performance.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ROWS))
def test_each_row_is_measured(name: str, tmp_path: Path) -> None:
    """Slow: servers in processes of their own, the understudy's voice, and a browser."""
    if name == "booth" and CHROMIUM is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    result = measured(name, Bench(tmp_path, is_tiny=True))
    assert not result.problems
    for figure in ROWS[name].figures:
        assert OURS in result.values(figure), figure


def test_each_row_has_its_section_in_the_page_and_each_section_its_row() -> None:
    assert re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE) == list(ROWS)
    for name, row in ROWS.items():
        section = PAGE.partition(f"### `{name}`\n")[2].partition("\n#")[0]
        assert "**Limit**" in section, name
        for figure in row.figures:
            assert f"`{figure}`" in section, (name, figure)


def test_every_block_of_the_page_is_a_command_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Its words are read; to run them takes minutes."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert {kind for kind, _ in blocks} == {"sh"}
    with pytest.raises(SystemExit):
        main(["--help"])
    usage = capsys.readouterr().out
    for line in "".join(block for _, block in blocks).splitlines():
        program, *words = (word for word in shlex.split(line, comments=True) if "=" not in word)
        assert (program, words[:2]) in (
            (".venv/bin/python", ["-m", "tests.benchmarks"]),
            ("npm", ["install", "--prefix"]),
        )
        for word in words[2:] if program != "npm" else []:
            assert word in ROWS or word in usage or word.isdigit() or word in ("performance.json", "profiles"), word


def test_an_unknown_row_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fanout"])
    assert "there is no row 'fanout': take some of fan-out-8, " in capsys.readouterr().err


def result() -> Result:
    figures = {
        "p50": Figure("ms", at_most=5),
        "p99": Figure("ms", at_least=9, share=0.99),
        "whole": Figure("s", limit=2),
    }
    measured = {
        "p50": {LIMIT: [1.0, 2.0, 3.0], OURS: [4.0, 6.0, 5.0]},
        "p99": {OURS: [float(number) for number in range(1000)], OPENAI: [1234.5]},
    }
    return Result("line", Row(lambda _bench: {}, figures), measured, {"node": "it is gone"})


def test_a_line_has_the_goal_whether_it_is_reached_and_the_ratio() -> None:
    assert list(result().lines()) == [
        "| line | p50 | ms | 2.00 |  | failed | 5.00 | at most 5 | yes | 2.5 |",
        "| line | p99 | ms |  | 1,234 | failed | 990 | at least 9 | yes |  |",
        "| line | whole | s | 2.00 |  | failed | failed |  |  |  |",
    ]
    assert {line.count("|") for line in result().lines()} == {HEAD.count("|")}


def test_all_values_are_written(tmp_path: Path) -> None:
    write_json(tmp_path / "all.json", {"processors": 2}, [result()])
    told = json.loads((tmp_path / "all.json").read_text())
    assert told["machine"] == {"processors": 2}
    assert told["rows"]["line"]["figures"]["p50"] == {
        "unit": "ms", "goal": "at most 5", "table": {"limit": 2.0, "tau-stage": 5.0}, "reached": True,
        "values": {"limit": [1.0, 2.0, 3.0], "tau-stage": [4.0, 6.0, 5.0]},
    }  # fmt: skip
    assert told["rows"]["line"]["problems"] == {"node": "it is gone"}


@pytest.mark.slow
def test_a_contender_that_fails_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    """Slow: one in a process of its own."""
    bench = Bench(tmp_path, rounds=2)

    def fails() -> dict[str, list[float]]:
        bench.call(json.loads, "no JSON")
        return {}

    assert bench.in_turn({OPENAI: fails, OURS: lambda: {"a": [1.0]}}) == {"a": {OURS: [1.0, 1.0]}}
    assert "JSONDecodeError" in bench.problems[OPENAI]


@pytest.mark.slow
def test_a_profile_tells_where_the_time_goes(tmp_path: Path) -> None:
    """Slow: what is profiled is a process of its own."""
    bench = Bench(tmp_path, profiles=tmp_path / "line")
    assert bench.call(json.loads, "[2]") == [2]
    assert "json/decoder.py" in (tmp_path / "line-loads.txt").read_text()


def test_a_log_tells_which_clip_is_of_which_line() -> None:
    """The next line may be asked for before all have heard the one before."""

    def event(at: float, connection: int, way: str, kind: str, size: int = 100) -> LoggedEvent:
        return LoggedEvent(at, connection, way, kind, size, at - 0.5)

    delta, done, create = "response.output_audio.delta", "response.done", "conversation.item.create"
    spoken = [
        [event(at, one, "in", "response.create"), event(at + 1, one, "out", delta), event(at + 2, one, "out", done)]
        for at, one in ((10, 1), (20, 2))
    ]
    clips = [event(14, 2, "in", create, 99_999), event(31, 3, "in", create, 99_999), event(32, 3, "in", create, 99_999)]
    words = event(5, 3, "in", create)
    assert read_lines([words, *spoken[0], *spoken[1], *clips]) == [
        LineTimes(10, 11, 12, ((13.5, 14), (30.5, 31))),
        LineTimes(20, 21, 22, ((31.5, 32),)),
    ]
