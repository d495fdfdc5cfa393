"""The booth while many sessions publish at real time and pages look on: what it does to pages and to sessions."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from tau_stage import Session, create_session
from tau_stage.booth import open_booth
from tests.benchmarks.bench import OURS, Bench, Failed, Measured, Server
from tests.benchmarks.processes import answer_orders, memory_kb, orders, tell
from tests.benchmarks.sink import open_sink
from tests.benchmarks.table import Figure, Row
from tests.support.browser import CHROMIUM, Browser, open_tabs

SESSIONS, PAGES = 32, 3
LINE_S, PAUSE_S = 4.0, 1.0
PHASE_S = 20
"""Seconds that sessions talk, with the booth and without it."""

SAMPLED_S = 5.0
TOKEN = "a-token-that-the-benchmark-knows"
HEARD = "shown 0"
"""The session that the pages listen to."""

WATCH = """
window.tasks = [];
new PerformanceObserver(list => tasks.push(...list.getEntries().map(each => each.duration)))
  .observe({ type: 'longtask', buffered: true });
"""

TAP = """
let quiet = sampleRate;
registerProcessor('tap', class extends AudioWorkletProcessor {
  process([[samples]]) {
    for (let at = 0; samples && at < samples.length; at += 1) {
      if (Math.abs(samples[at]) < 0.002) { quiet += 1; continue; }
      if (quiet > sampleRate / 4) this.port.postMessage((currentFrame + at) / sampleRate);
      quiet = 0;
    }
    return true;
  }
});
"""
"""Tells the time of each first sample after a quarter of a second of silence."""

LISTEN = """(async (name, module) => {
  const { state, sound } = await import('./page/booth.js');
  await sound.start();
  const source = [...state.sources.values()].find(one => one.name === name);
  sound.set(source.id, { solo: true });
  window.begun = [];
  window.heard = [];
  const { add } = state.log;
  state.log.add = (from, told) => {
    if (from.name === name && told.samples && told.first === 0) begun.push(told.at);
    add.call(state.log, from, told);
  };
  await sound.context.audioWorklet.addModule(URL.createObjectURL(new Blob([module], { type: 'text/javascript' })));
  const tap = new AudioWorkletNode(sound.context, 'tap', { numberOfOutputs: 0 });
  tap.port.onmessage = ({ data }) => {
    const { contextTime, performanceTime } = sound.context.getOutputTimestamp();
    heard.push(performance.timeOrigin / 1000 + performanceTime / 1000 + data - contextTime);
  };
  sound.master.connect(tap);
})"""


# ---- the processes


async def serve_booth() -> None:
    """Be the booth, until the process is ended."""
    async with open_booth(token=TOKEN) as url:
        await answer_orders(int(url.split(":")[2].partition("/")[0]), [])


async def converse(server: str, booth: str, count: int) -> None:
    """Open as many sessions that are shown, and as many that are not; let some talk for so long as it is ordered.

    An order is ``shown SECONDS`` or ``hidden SECONDS``; its answer has the seconds of each line, and of CPU.
    """
    os.environ["TAU_DEBUG_SERVER_URL"] = booth
    async with AsyncExitStack() as opened:

        async def open_all(kind: str) -> list[Session]:
            open_one = partial(create_session, endpoint=server, debug=kind == "shown")
            return [await opened.enter_async_context(open_one(name=f"{kind} {number}")) for number in range(count)]

        sessions = {kind: await open_all(kind) for kind in ("shown", "hidden")}
        tell(0)
        async for order in orders():
            kind, seconds = order.split()
            began = time.process_time()
            lines = await talk(sessions[kind], float(seconds))
            tell({"lines": lines, "cpu": time.process_time() - began})


async def talk(sessions: Sequence[Session], seconds: float) -> list[float]:
    """Let sessions speak line after line, for so long at least; return how long each line took."""
    times: list[float] = []
    until = anyio.current_time() + seconds

    async def speak(session: Session, wait_s: float) -> None:
        await anyio.sleep(wait_s)
        while anyio.current_time() < until:
            began = anyio.current_time()
            await session.user("What do you think?")
            await session.response()
            times.append(anyio.current_time() - began)
            await anyio.sleep(PAUSE_S)

    async with anyio.create_task_group() as group:
        for number, session in enumerate(sessions):
            group.start_soon(speak, session, number * PAUSE_S / len(sessions))
    return times


# ---- what is measured


@dataclass(frozen=True)
class Desk:
    """The processes that are measured, and the pages that look on."""

    booth: Server
    talkers: Server
    tabs: Sequence[Browser]

    def talk(self, kind: str, seconds: float) -> dict[str, Any]:
        """Let the sessions talk that are shown, or hidden."""
        answer: dict[str, Any] = self.talkers.ask(f"{kind} {seconds}")
        return answer

    def visit(self) -> None:
        """Open the pages, and listen in one."""
        for tab in self.tabs:
            tab.visit(f"http://127.0.0.1:{self.booth.port}/{TOKEN}/")
            tab.until("document.querySelectorAll('#lanes > .lane').length > 0")
        self.tabs[0].run(f"{LISTEN}({json.dumps(HEARD)}, {json.dumps(TAP)})")

    def leave(self) -> None:
        """Close the pages; they are still tabs."""
        for tab in self.tabs:
            tab.visit("about:blank")

    def longest_task(self) -> float:
        """Return the milliseconds of the longest task of all pages."""
        return max(float(tab.run("Math.max(0, ...tasks)")) for tab in self.tabs)

    def longest_cpu(self) -> float:
        """Return the milliseconds of CPU of the longest task since the tasks are traced."""
        tab = self.tabs[0]
        tab.stop_tracing()
        named = {
            (told["pid"], told["tid"]): told["args"]["name"] for told in tab.trace if told["name"] == "thread_name"
        }
        main = {thread for thread, name in named.items() if name == "CrRendererMain"}
        return max((told.get("tdur", 0) for told in tab.trace if (told["pid"], told["tid"]) in main), default=0) / 1000

    def first_sounds(self) -> list[float]:
        """Return the milliseconds from the first delta of each line to its first sound; the last may sound later."""
        tab, shift = self.tabs[0], time.time() - time.monotonic()
        tab.until("heard.length > 0")
        drift = tab.run("Date.now() / 1000 - (performance.timeOrigin + performance.now()) / 1000")
        begun = [at + shift for at in tab.run("begun")]
        heard = [at + drift for at in tab.run("heard")]
        sounds = [next((one for one in heard if one > at), None) for at in begun]
        if sounds[-1] is None:
            del begun[-1], sounds[-1]
        return [1e3 * (LINE_S if one is None else one - at) for at, one in zip(begun, sounds, strict=True)]

    def memory(self) -> tuple[float, float, float]:
        """Return the kB of the booth, of a page's own things, and of all processes of the browser's pages."""
        heaps = []
        for tab in self.tabs:
            tab.send("HeapProfiler.collectGarbage")
            heaps.append(tab.send("Runtime.getHeapUsage")["usedSize"] / 1000)
        return memory_kb(self.booth.process), max(heaps), sum(map(memory_kb, _renderers()))


def _renderers() -> Iterator[int]:
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"--type=renderer" in command:
            yield int(process.name)


@contextmanager
def _desk(bench: Bench) -> Iterator[Desk]:
    if CHROMIUM is None:
        raise Failed("there is no chromium here: apt-get install chromium")
    count, line_s = bench.size(SESSIONS, 2), bench.size(round(LINE_S), 1)
    with (
        bench.serving(open_sink, line_s, 100, 1, core=None) as server,
        bench.serving(serve_booth, core=None) as booth,
        bench.serving(converse, server.url, f"http://127.0.0.1:{booth.port}/{TOKEN}/", count, core=None) as talkers,
        open_tabs(bench.size(PAGES, 1)) as tabs,
    ):
        for tab in tabs:
            tab.send("Network.disable")  # else each frame is told
            tab.send("Page.setBypassCSP", enabled=True)
            tab.send("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        yield Desk(booth, talkers, tabs)


def booth(bench: Bench) -> Measured:
    """Let sessions talk with the booth and without it by turns; then let them talk on, and watch the memory."""
    phase_s, found = bench.size(PHASE_S, 1), {figure: list[float]() for figure in FIGURES}

    def by_turns(desk: Desk) -> None:
        for _ in range(1 if bench.is_tiny else bench.rounds):
            desk.visit()
            desk.tabs[0].start_tracing()
            shown = desk.talk("shown", phase_s)
            found["longest task, CPU"].append(desk.longest_cpu())
            found["longest task"].append(desk.longest_task())
            found["first sound"] += desk.first_sounds()
            desk.leave()
            hidden = desk.talk("hidden", phase_s)
            lines, cpu = ([each[what] for each in (shown, hidden)] for what in ("lines", "cpu"))
            found["line"].append(statistics.median(lines[0]) / statistics.median(lines[1]))
            found["CPU of a session"].append(cpu[0] / len(lines[0]) / (cpu[1] / len(lines[1])))

    def on_and_on(desk: Desk) -> None:
        desk.visit()
        samples, began = [(0.0, *desk.memory())], time.monotonic()
        watched_s, fewest = bench.minutes * 60 * bench.size(1, 0), bench.size(4, 3)
        while (at := time.monotonic() - began) < watched_s or len(samples) < fewest:
            desk.talk("shown", bench.size(round(SAMPLED_S), 1))
            samples.append((at / 60, *desk.memory()))
        found["longest task"].append(desk.longest_task())
        late = samples[len(samples) // 2 :]
        for place, figure in enumerate(GROWTH, 1):
            slope = statistics.linear_regression([one[0] for one in late], [one[place] for one in late]).slope
            found[figure].append(slope)

    def work() -> dict[str, list[float]]:
        with _desk(bench) as desk:
            by_turns(desk)
            on_and_on(desk)
        return found

    return bench.in_turn({OURS: work}, rounds=1)


GROWTH = ("booth grows", "page grows", "processes of pages grow")
FIGURES = {
    "longest task": Figure("ms", at_most=200, share=1.0),
    "longest task, CPU": Figure("ms", at_most=200, share=1.0),
    "line": Figure("× without", at_most=1.05, limit=1),
    "CPU of a session": Figure("× without", limit=1),
    "first sound": Figure("ms", at_most=150),
    **{figure: Figure("kB a minute", at_most=1000) for figure in GROWTH[:2]},
    GROWTH[2]: Figure("kB a minute"),
}
ROWS = {"booth": Row(booth, FIGURES)}
