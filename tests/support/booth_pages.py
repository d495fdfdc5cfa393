"""What a test does with the booth's page, and what it hears of it."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tau_stage.audio import RATE, Pcm
from tests.support.axe import serious_faults
from tests.support.browser import Browser
from tests.support.open_booths import OpenBooth

CAPTURE = """(async () => {
  const { sound } = await import('./page/booth.js');
  await sound.context.audioWorklet.addModule('./page/recorder-worklet.js');
  const tap = new AudioWorkletNode(sound.context, 'recorder', { numberOfOutputs: 0 });
  window.captured = [];
  tap.port.onmessage = ({ data }) => window.captured.push(data.samples);
  sound.master.connect(tap);
})()"""


def visit(browser: Browser, booth: OpenBooth) -> None:
    browser.visit(booth.url)
    browser.until("document.getElementById('link').dataset.state === 'open'")


def page(tab: Browser, script: str) -> Any:
    """The value of an expression over the modules of the page: ``state``, ``sound`` and ``app``."""
    return tab.run(f"import('./page/booth.js').then(({{ state, sound, app }}) => {script})")


def texts(tab: Browser, selector: str) -> list[str]:
    found: list[str] = tab.run(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")
    return found


def captured(tab: Browser) -> NDArray[np.int16]:
    """What has left the page's loudspeaker so far."""
    told = tab.run("captured.map(piece => [...piece])")
    return np.array([sample for piece in told for sample in piece], np.int16)


def similarity(heard: NDArray[np.int16], expected: Pcm) -> tuple[float, int]:
    """How much a sound is like another at the place where it is most like it, and that place."""
    wanted = expected.array.astype(float)
    size = 1 << (len(heard) + len(wanted)).bit_length()
    products = np.fft.irfft(np.fft.rfft(heard.astype(float), size) * np.conj(np.fft.rfft(wanted, size)), size)
    place = int(np.argmax(products[: len(heard)]))
    part = heard[place : place + len(wanted)].astype(float)
    return float(part @ wanted[: len(part)] / np.sqrt((part @ part) * (wanted @ wanted))), place


def longest_silence_s(sound: NDArray[np.int16]) -> float:
    is_loud = np.flatnonzero(np.abs(sound) > 30)
    return float(np.diff(is_loud).max() / RATE)


def wait_for(tab: Browser, script: str) -> None:
    """Wait until an expression over the modules of the page holds."""
    for _ in range(500):
        if page(tab, script):
            return
        time.sleep(0.02)
    raise AssertionError(f"never: {script}")


def watch_who_speaks(tab: Browser) -> None:
    """Note each player that begins to speak, in ``spoke``."""
    tab.run(
        "window.spoke = []; new MutationObserver(changes => { for (const { target } of changes) "
        "if (target.dataset.status === 'speaking') spoke.push(target.dataset.name) })"
        ".observe(document.getElementById('lanes'), { subtree: true, attributeFilter: ['data-status'] })"
    )


def start_listening(tab: Browser) -> None:
    tab.click("#listen")
    tab.until("document.getElementById('listen').getAttribute('aria-pressed') === 'true'")
    tab.run(CAPTURE)


def choose(tab: Browser, name: str) -> None:
    tab.click(f"[aria-label='Talk to {name}']")
    tab.until(f"document.querySelector('#talk-to').selectedOptions[0].textContent === '{name}'")


def reach(tab: Browser, element: str, key: str = "") -> None:
    """Tab to an element by its id, and press a key there; each stop on the way can be seen."""
    for _ in range(120):
        tab.press("Tab")
        reached, is_seen = tab.run("(e => [e.id, getComputedStyle(e).outlineStyle !== 'none'])(document.activeElement)")
        assert is_seen or not reached, reached
        if reached == element:
            if key:
                tab.press(key)
            return
    raise AssertionError(f"the keyboard does not reach {element}")


def fill(tab: Browser, field: str, value: str) -> None:
    tab.run(
        f"(() => {{ const e = document.getElementById('{field}'); e.value = {json.dumps(value)}; "
        "e.dispatchEvent(new Event('input', { bubbles: true })) })()"
    )


def lane(name: str) -> str:
    """The selector of a player's lane."""
    return f"#lanes > [data-name={json.dumps(name)}]"


def see_lanes(tab: Browser, count: int) -> None:
    """Wait until the page shows so many players."""
    tab.until(f"document.querySelectorAll('#lanes > .lane').length === {count}")


def check_with_axe(tab: Browser) -> None:
    """Look at each part of the page with axe-core."""
    for name in ("words", "figures", "events"):
        tab.click(f"#tab-{name}")
        tab.run("new Promise(done => setTimeout(done, 350))")
        faults = serious_faults(tab)
        assert faults == [], faults
