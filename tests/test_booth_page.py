"""The booth's page in a browser: what is seen, heard and said there. Slow all of them: a browser is a large program."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pybase64
import pytest
from anyio.from_thread import start_blocking_portal
from numpy.typing import NDArray

from tau_stage import DeliveredTake, RunOptions, Session, perform_scene
from tau_stage.audio import RATE, Pcm
from tau_stage.audio.wav import WavWriter, read_wav
from tau_stage.booth.hub import KEPT_EVENTS, Hub
from tau_stage.booth.past_takes import attach
from tau_stage.take import Take, TakeFolder, read_take
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.axe import serious_faults
from tests.support.booth_pages import (
    captured,
    check_with_axe,
    choose,
    fill,
    lane,
    longest_silence_s,
    page,
    reach,
    see_lanes,
    similarity,
    start_listening,
    texts,
    visit,
    wait_for,
    watch_who_speaks,
)
from tests.support.browser import CHROMIUM, Browser, open_browser
from tests.support.in_memory_stage import SCENES
from tests.support.open_booths import OpenBooth, ScriptedSource, booth_process, chirp, lasting_source, open_booths
from tests.support.report_pages import long_take, tavern
from tests.support.tone_voice import Noises, Tones, tone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium"),
]

LONGEST_GAP_S = 0.02

SCENE = """
scene: Two
players:
  ann: {voice: marin}
  ben: {voice: cedar}
lines:
  - ann: Good evening to you, and to all of yours.
  - ben: And a good evening to you, too.
  - ann: How is the weather on the other side?
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose microphone hears a second of a tone, and two seconds of silence, again and again."""
    file = tmp_path_factory.mktemp("microphone") / "voice.wav"
    with WavWriter(file) as wav:
        wav.append(Pcm.from_array(0.5 * np.sin(np.arange(RATE) * 2 * np.pi * 330 / RATE)))
        wav.append(Pcm.silence(2 * RATE))
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}",
    )
    with open_browser(*flags) as opened:
        yield opened


@pytest.fixture(scope="module")
def tavern_take(tmp_path_factory: pytest.TempPathFactory) -> tuple[TakeFolder, Take]:
    return tavern(tmp_path_factory.mktemp("tavern"))


@pytest.fixture
def booth() -> Iterator[OpenBooth]:
    with open_booths() as opened:
        yield opened


@pytest.fixture
def tab(browser: Browser, booth: OpenBooth) -> Iterator[Browser]:
    """The booth's page, connected; whatever it complains of fails the test, and so does a request to elsewhere."""
    browser.complaints.clear()
    browser.requests.clear()
    browser.emulate()
    browser.resize(1400, 1000)
    visit(browser, booth)
    yield browser
    assert browser.complaints == []
    own = booth.url.removeprefix("http")
    assert all(url.startswith((f"http{own}", f"ws{own}", "blob:http", "data:")) for url in browser.requests)
    browser.visit("about:blank")


async def answer(session: Session, words: str) -> str:
    await session.user(words)
    return (await session.response()).transcript


# ---- the players


def test_an_empty_booth_says_how_to_publish(tab: Browser) -> None:
    told = tab.run("document.getElementById('empty').innerText")
    assert all(word in told for word in ("create_session(debug=True)", "TAU_DEBUG=true", "--booth", "tau-stage talk"))


def test_two_sessions_speak_one_after_the_other(tab: Browser, booth: OpenBooth) -> None:
    ann, ben = booth.session("ann"), booth.session("ben")
    see_lanes(tab, 2)
    watch_who_speaks(tab)
    words = {}
    for session in (ann, ben):
        words[session.name] = booth.call(answer, session, "What do you think of the weather on a day like this one?")
        tab.until(f"spoke.at(-1) === '{session.name}'")
        tab.until(f"document.querySelector('{lane(session.name)}').dataset.status === 'idle'")
    assert tab.run("spoke") == ["ann", "ben"]
    assert dict(zip(texts(tab, "#lanes h3"), texts(tab, "#lanes .below"), strict=True)) == words
    assert "$" in texts(tab, f"{lane('ann')} .side")[0]


def test_a_lane_shows_what_its_session_does(tab: Browser, booth: OpenBooth) -> None:
    source = booth.source("ann")
    status = f"document.querySelector('{lane('ann')}')?.dataset.status"
    tab.until(f"{status} === 'idle'")
    source.send("input_audio_buffer.speech_started")
    tab.until(f"{status} === 'listening'")
    source.send("input_audio_buffer.speech_stopped")
    source.send("response.created", response={"id": "resp_1"})
    tab.until(f"{status} === 'thinking'")
    source.say("One two three four.", chirp(1.0), "item_1", "resp_1")
    tab.until(f"{status} === 'speaking'")
    tab.until(f"{status} === 'idle'")
    marked = "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].some(byte => byte > 0)"
    assert tab.run(f"(() => {{ const c = document.querySelector('{lane('ann')} canvas'); return {marked} }})()")


# ---- what is heard


def check_heard(heard: NDArray[np.int16], sound: Pcm, *, alike: float) -> int:
    """Look for a sound in what was heard, without a gap; where it begins."""
    found, place = similarity(heard, sound)
    assert found > alike
    assert longest_silence_s(heard[place : place + len(sound)]) < LONGEST_GAP_S
    return place


@pytest.mark.parametrize("pieces", [1, 40])
def test_what_is_heard_is_what_was_said(tab: Browser, booth: OpenBooth, pieces: int) -> None:
    source, sound = booth.source("ann"), chirp(2.0)
    see_lanes(tab, 1)
    start_listening(tab)
    source.say("One two three four.", sound, "item_1", "resp_1", pieces=pieces)
    number = "[...state.sources.values()][0].session.items.get('item_1')?.number"
    wait_for(tab, f"sound.played.get({number}) === {len(sound)}")
    time.sleep(0.2)
    check_heard(captured(tab), sound, alike=0.98)


def test_sound_that_comes_as_fast_as_it_sounds_and_unevenly_has_no_gap(tab: Browser, booth: OpenBooth) -> None:
    source, sound = booth.source("ann"), chirp(2.0)
    see_lanes(tab, 1)
    start_listening(tab)
    source.send("response.created", response={"id": "resp_1"})
    source.stream(sound, "item_1", "resp_1", np.random.default_rng(1).uniform(0, 0.03, 50).tolist())
    source.end("One.", "item_1", "resp_1")
    wait_for(tab, f"[...sound.played.values()][0] === {len(sound)}")
    time.sleep(0.2)
    check_heard(captured(tab), sound, alike=0.9)


def test_the_players_of_one_performance_are_heard_one_after_the_other(tab: Browser, booth: OpenBooth) -> None:
    booth.source("two", "stage", run="r1", title="Two", players=[{"name": "ann"}, {"name": "ben"}], lines=[])
    sources = [booth.source(name, run="r1", player=name) for name in ("ann", "ben")]
    sounds = [chirp(1.0, 200, 400), chirp(1.0, 900, 1400)]
    tab.until("document.querySelectorAll('#lanes .mixer button:not([hidden])').length >= 4")
    start_listening(tab)
    for number, (source, sound) in enumerate(zip(sources, sounds, strict=True)):
        source.say("One two three.", sound, f"item_{number}", f"resp_{number}")
    wait_for(tab, f"[...sound.played.values()].reduce((a, b) => a + b, 0) === {2 * RATE}")
    time.sleep(0.2)
    heard = captured(tab)
    places = [similarity(heard, sound) for sound in sounds]
    assert all(alike > 0.95 for alike, _ in places)
    assert 0 <= places[1][1] - places[0][1] - RATE < LONGEST_GAP_S * RATE


def test_an_ensemble_is_seen_and_heard_in_order(tab: Browser, booth: OpenBooth, tmp_path: Path) -> None:
    start_listening(tab)
    watch_who_speaks(tab)
    take = booth.perform(SCENES / "umbrella.yaml", tmp_path / "takes", Understudy(Noises(), pace=1.0))
    sounds = [read_wav(take.folder.path / str(line.file)) for line in take.lines]
    wait_for(tab, f"[...sound.played.values()].reduce((a, b) => a + b, 0) >= {sum(map(len, sounds))}")
    tab.until("document.querySelectorAll('#lanes > [data-status=speaking]').length === 0")
    assert tab.run("spoke") == [line.player for line in take.lines]
    heard = captured(tab)
    places = []
    for sound in sounds:
        place = check_heard(heard, sound, alike=0.9)
        places.append(place)
    assert places == sorted(places)
    assert page(tab, "sound.underruns") == 0


def test_one_is_muted_and_one_is_heard_alone(tab: Browser, booth: OpenBooth) -> None:
    sources = {name: booth.source(name) for name in ("ann", "ben")}
    sounds = {"ann": chirp(0.8, 200, 400), "ben": chirp(0.8, 900, 1400)}
    see_lanes(tab, 2)
    start_listening(tab)
    for number, (act, audible) in enumerate((("Mute ann", "ben"), ("Solo ann", ""), ("Mute ann", "ann"))):
        tab.click(f"[aria-label='{act}']")
        tab.run("captured.length = 0")
        for name, source in sources.items():
            source.say("One two three.", sounds[name], f"item_{number}", f"resp_{number}")
        wait_for(tab, f"[...sound.played.values()].filter(n => n === {len(sounds['ann'])}).length === {2 * number + 2}")
        time.sleep(0.15)
        heard = captured(tab)
        for name, sound in sounds.items():
            alike = similarity(heard, sound)[0] if np.abs(heard).max() > 30 else 0.0
            assert (alike > 0.9) == (name == audible), (act, name, alike)


def test_whoever_is_gone_is_not_heard_alone_any_more(tab: Browser, booth: OpenBooth) -> None:
    """Nobody else would be heard, and nothing in the page would say why."""
    booth.source("ann")
    see_lanes(tab, 1)
    source = next(iter(booth.hub.sources.values()))
    tab.click("[aria-label='Solo ann']")
    booth.source("ben")
    see_lanes(tab, 2)
    assert not page(tab, "sound.isAudible(2)")
    booth.call(booth.hub.leave, source, "it is over")
    wait_for(tab, "sound.isAudible(2)")


def test_a_source_that_is_forgotten_is_forgotten_by_the_page(tab: Browser, booth: OpenBooth) -> None:
    booth.source("ann")
    booth.source("ben")
    see_lanes(tab, 2)
    tab.click("[aria-label='Solo ann']")
    booth.call(booth.hub.leave, booth.hub.sources[1], "it is over")
    booth.call(booth.hub.sources.pop, 1)
    booth.call(booth.hub.show, {"type": "forgotten", "source": 1})
    see_lanes(tab, 1)
    wait_for(tab, "state.sources.size === 1 && sound.isAudible(2)")


# ---- talk


def test_a_key_is_let_go_whatever_else_is_held(tab: Browser, booth: OpenBooth) -> None:
    """With Shift, the key that was ``t`` comes up as ``T``: else the microphone would stay open."""
    booth.source("ann")
    see_lanes(tab, 1)
    choose(tab, "ann")
    tab.hold("t")
    wait_for(tab, "app.talk.isTalking")
    tab.let_go("T")
    wait_for(tab, "!app.talk.isTalking")


def test_the_microphone_reaches_the_chosen_session_and_no_other(tab: Browser, booth: OpenBooth) -> None:
    booth.session("ann")
    booth.session("ben")
    see_lanes(tab, 2)
    choose(tab, "ben")
    tab.run("document.activeElement.blur()")
    tab.hold("t")
    tab.until("document.getElementById('mic-level').getAttribute('aria-valuenow') > 20")
    tab.until("document.querySelector(\"[data-name=ben]\").dataset.status === 'listening'")
    time.sleep(0.7)
    tab.let_go("t")
    tab.until("document.querySelector(\"[data-name=ben] .below\").textContent !== ''")
    ann, ben = (understudy.visits[0] for understudy in booth.understudies)
    assert ann.received.count("input_audio_buffer.append") == 0
    (heard,) = ben.heard.values()
    assert 0.6 < heard.duration_s < 3
    assert np.abs(heard.array).max() > 3000
    assert ben.received.count("input_audio_buffer.commit") == 1


def test_a_turn_that_the_server_detects_is_answered_and_heard(tab: Browser, booth: OpenBooth) -> None:
    booth.session("ann", turn_detection={"type": "server_vad", "silence_duration_ms": 300})
    see_lanes(tab, 1)
    choose(tab, "ann")
    start_listening(tab)
    tab.click("#open-mic")
    tab.until("document.querySelector(\"[data-name=ann] .below\").textContent !== ''")
    tab.click("#open-mic")
    wait_for(tab, "[...sound.played.values()].some(samples => samples > 1000)")
    tab.click("#tab-words")
    tab.until("document.querySelectorAll('#words .said').length >= 1")
    assert np.abs(captured(tab)).max() > 1000


def test_typed_words_are_answered(tab: Browser, booth: OpenBooth) -> None:
    booth.session("ann")
    see_lanes(tab, 1)
    tab.press("1")
    tab.run("document.getElementById('say').focus()")
    tab.write("Where does the wind come from?")
    tab.press("Enter")
    tab.until("document.querySelector(\"[data-name=ann] .below\").textContent !== ''")
    tab.click("#tab-words")
    tab.until("document.querySelectorAll('#words .said').length === 2")
    assert texts(tab, "#words .said")[0] == "Where does the wind come from?"


def test_interrupting_tells_how_much_was_heard(tab: Browser, booth: OpenBooth) -> None:
    source, sound = booth.source("ann"), chirp(5.0)
    see_lanes(tab, 1)
    start_listening(tab)
    choose(tab, "ann")
    source.say("One two three four.", sound, "item_1", "resp_1")
    wait_for(tab, "[...sound.played.values()][0] > 24000")
    tab.run("document.activeElement.blur()")
    tab.press("i")
    source.until(lambda: bool(source.wishes))
    (wish,) = source.wishes
    assert wish["do"] == "interrupt"
    assert 24000 - 0.3 * RATE < wish["samples"] < 3 * RATE
    source.send("conversation.item.truncate", "client", item_id="item_1", audio_end_ms=wish["samples"] * 1000 // RATE)
    tab.until("document.querySelector(\"[data-name=ann]\").dataset.status === 'idle'")
    time.sleep(0.3)
    quiet = captured(tab)[-2400:]
    assert np.abs(quiet).max() < 30
    alike, _ = similarity(captured(tab), sound[: wish["samples"] - 2400])
    assert alike > 0.95


def test_a_session_that_is_interrupted_forgets_what_was_not_heard(tab: Browser, booth: OpenBooth) -> None:
    session = booth.session("ann")
    see_lanes(tab, 1)
    start_listening(tab)
    choose(tab, "ann")
    booth.call(answer, session, "Say something long: " + "and on it goes, on and on, " * 12)
    wait_for(tab, "[...sound.played.values()][0] > 4000")
    tab.run("document.activeElement.blur()")
    tab.press("i")
    tab.until(
        "[...document.querySelectorAll('#rows .type')].some(e => e.textContent === 'conversation.item.truncated')"
    )
    told = page(tab, "[...[...state.sources.values()][0].session.items.values()].map(i => [i.cut, i.samples])")
    (cut, samples) = next(each for each in told if each[0] is not None)
    assert 3000 < cut < samples
    is_loud = np.flatnonzero(np.abs(captured(tab)) > 30)
    assert abs(is_loud[-1] - is_loud[0] - cut) < 0.2 * RATE


def test_whoever_speaks_into_the_microphone_silences_the_session(tab: Browser, booth: OpenBooth) -> None:
    source, sound = booth.source("ann"), chirp(5.0)
    see_lanes(tab, 1)
    start_listening(tab)
    choose(tab, "ann")
    tab.click("#open-mic")
    source.say("One two three four.", sound, "item_1", "resp_1")
    wait_for(tab, "[...sound.played.values()][0] > 12000")
    source.send("input_audio_buffer.speech_started")
    wait_for(tab, "sound.playing.size === 0")
    time.sleep(0.2)
    assert np.abs(captured(tab)[-1200:]).max() < 30
    tab.click("#open-mic")


def test_another_choice_closes_the_microphone(tab: Browser, booth: OpenBooth) -> None:
    sources = {name: booth.source(name) for name in ("ann", "ben")}
    see_lanes(tab, 2)
    choose(tab, "ann")
    tab.click("#open-mic")
    sources["ann"].until(lambda: len(sources["ann"].wishes) > 10)
    choose(tab, "ben")
    assert tab.run("document.getElementById('open-mic').getAttribute('aria-pressed')") == "false"
    time.sleep(0.5)
    assert sources["ben"].wishes == []


# ---- events


def speak_twice(tab: Browser, booth: OpenBooth) -> dict[str, ScriptedSource]:
    sources = {name: booth.source(name) for name in ("ann", "ben")}
    for name, source in sources.items():
        source.say(f"I am {name} and nobody else.", tone("ash", name), "item_1", "resp_1", pieces=8)
    tab.until(
        "[...document.querySelectorAll('#rows > :not([hidden]) .type')]"
        ".filter(e => e.textContent === 'response.done').length === 2"
    )
    tab.until("document.querySelectorAll('#filter-player option').length === 3")
    return sources


def test_repeated_deltas_are_one_row_with_a_count(tab: Browser, booth: OpenBooth) -> None:
    speak_twice(tab, booth)
    types = texts(tab, "#rows > :not([hidden]) .type")
    assert types.count("response.output_audio.delta ×8") == 2
    assert not any(word in text for text in texts(tab, "#rows .what") for word in ("AAAA", "<"))
    latencies = tab.run(
        "[...document.querySelectorAll('#rows > :not([hidden])')].filter(r => r.querySelector('.took').textContent)"
        ".map(r => r.querySelector('.type').textContent)"
    )
    assert {"response.created", "response.output_audio.delta ×8"} <= set(latencies)


def test_events_are_filtered_by_type_player_and_text(tab: Browser, booth: OpenBooth) -> None:
    speak_twice(tab, booth)

    def shown() -> list[str]:
        rows: list[str] = tab.run(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done("
            "[...document.querySelectorAll('#rows > :not([hidden])')].map(r => r.innerText)))))"
        )
        return rows

    everything = len(shown())
    fill(tab, "filter-type", "response.done")
    assert len(shown()) == 2
    fill(tab, "filter-player", "ben")
    assert len(shown()) == 1
    fill(tab, "filter-type", "")
    assert len(shown()) == everything // 2
    fill(tab, "filter-player", "")
    fill(tab, "filter-text", "i am ann")
    assert shown()
    assert all("ann" in row for row in shown())
    fill(tab, "filter-from", "client")
    assert shown() == []


def test_the_json_of_an_event_is_shown_when_it_is_asked_for(tab: Browser, booth: OpenBooth) -> None:
    speak_twice(tab, booth)
    tab.run("document.getElementById('events').focus()")
    fill(tab, "filter-type", "response.created")
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        tab.press(key)
    told = json.loads(tab.run("document.getElementById('detail-json').textContent"))
    assert told == {"type": "response.created", "response": {"id": "resp_1"}}


def test_events_are_exported_as_lines_of_json(tab: Browser, booth: OpenBooth, tmp_path: Path) -> None:
    sources = speak_twice(tab, booth)
    tab.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    fill(tab, "filter-player", "ann")
    tab.click("#export")
    sources["ann"].until(lambda: bool(list(tmp_path.glob("*.jsonl"))))
    lines = [json.loads(line) for line in next(tmp_path.glob("*.jsonl")).read_text("utf-8").splitlines()]
    assert {line["source"] for line in lines} == {"ann"}
    assert sum(line["event"]["type"] == "response.output_audio.delta" for line in lines) == 8
    assert [line["n"] for line in lines if line["event"]["type"] == "response.done"]
    assert [line["n"] for line in lines] == sorted(line["n"] for line in lines)
    sounds = [line for line in lines if line["event"]["type"] == "response.output_audio.delta"]
    assert ["latency" in line for line in sounds].count(True) == 1  # the first of its response


def test_ten_thousand_events_are_kept_and_the_rest_is_counted(tab: Browser, booth: OpenBooth) -> None:
    source = booth.source("ann")
    see_lanes(tab, 1)
    for batch in range(24):
        source.many(500, "rate_limits.updated", number=batch)
    wait_for(tab, "state.log.dropped >= 2000 && state.log.kept === 10000")
    tab.until("document.getElementById('events-note').textContent.includes('older events dropped')")
    assert tab.run("document.querySelectorAll('#rows > *').length") < 100


# ---- performances and takes


def test_a_performance_is_shown_as_it_is_performed(tab: Browser, booth: OpenBooth, tmp_path: Path) -> None:
    scene = tmp_path / "two.yaml"
    scene.write_text(SCENE)
    start_listening(tab)
    take = booth.perform(scene, tmp_path / "takes")
    tab.until("document.querySelectorAll('#system .block').length === 3")
    assert texts(tab, "#lanes h3") == texts(tab, "#system .player h3") == ["ann", "ben"]
    assert sorted(texts(tab, "#system .block .below")) == sorted(line.said for line in take.lines)
    tab.until("document.getElementById('when').textContent === 'complete: 3 of 3 lines'")
    wait_for(
        tab, f"[...sound.played.values()].reduce((a, b) => a + b, 0) >= {sum(line.samples for line in take.lines)}"
    )
    time.sleep(0.2)
    heard = captured(tab)
    found = [similarity(heard, read_wav(take.folder.path / str(line.file))) for line in take.lines]
    assert all(alike > 0.9 for alike, _ in found)
    assert [place for _, place in found] == sorted(place for _, place in found)
    tab.until("document.getElementById('controls').textContent === 'Another take of ann-2'")
    tab.click("#tab-words")
    tab.until("document.querySelectorAll('#words .line').length === 3")
    assert "ben heard it" in texts(tab, "#words .line")[0]
    tab.click("#tab-figures")
    tab.until("document.querySelectorAll('#times tr').length === 3")
    assert tab.run("[...document.querySelectorAll('#money td:last-child')].every(e => e.textContent.startsWith('$'))")
    tab.click("#system .block")
    wait_for(tab, "app.replay.at > 0.05")


def test_a_performance_is_asked_to_stop_and_to_play_a_line_again(tab: Browser, booth: OpenBooth) -> None:
    facts = {"run": "r", "title": "Two", "players": [{"name": "ann"}], "folder": "/nowhere"}
    source = booth.source("two", "stage", problem="not now", can=["stop", "retake"], lines=[{"id": "ann-1"}], **facts)
    tab.until("document.querySelector('#controls button') !== null")
    source.record("line_began", line="ann-1", player="ann")
    tab.until("document.getElementById('when').textContent === 'line 1 of 1: ann'")
    tab.click("#controls button")
    tab.until("document.getElementById('notice-list').textContent.includes('stop after this line: not now')")
    assert [wish["do"] for wish in source.wishes] == ["stop"]
    for number, line in enumerate(("ann-1", "ann-2")):
        source.record("line_spoken", line=line, player="ann", said="Yes.", offset_samples=number * RATE, samples=RATE)
    tab.until("document.querySelector('#controls :last-child').textContent === 'Another take of ann-2'")
    page(tab, "{ app.replay.line = state.sources.get(1).stage.lines.get('ann-1'); app.changed(); }")
    tab.until("document.querySelector('#controls :last-child').textContent === 'Another take of ann-1'")
    tab.click("#controls :last-child")
    tab.until("document.getElementById('notice-list').textContent.includes('scheduled for the end of the performance')")


def test_a_click_picks_a_take(tab: Browser, booth: OpenBooth, tmp_path: Path) -> None:
    scene = tmp_path / "two.yaml"
    scene.write_text(SCENE.replace("ann: How", "{id: how, ann: How").replace("side?", "side?, takes: 2}"))
    take = booth.perform(scene, tmp_path / "takes").folder
    tab.click("#tab-words")
    tab.until("document.querySelectorAll('#words .takes li').length === 2")
    (picked,) = (line.take for line in read_take(take.path)[1].lines if line.id == "how")
    other = 3 - picked
    assert texts(tab, "#words .takes .label") == [f"Take {picked} is the current take."]
    tab.until(f"document.querySelector('[data-act=\"pick how {other}\"]') !== null")
    tab.click(f"[data-act='pick how {other}']")
    tab.until(f"document.querySelector('#words .takes .label').textContent === 'Take {other} is the current take.'")
    tab.until(f"document.getElementById('notice-list').textContent.includes('take {other} of how: done.')")
    (line,) = (line for line in read_take(take.path)[1].lines if line.id == "how")
    assert line.take == other
    for number in (1, 2):
        tab.click(f"[data-act='take how {number}']")
        wait_for(tab, "app.replay.playing && app.replay.at > 0.05")


def test_who_waits_to_open_a_session_is_shown(tab: Browser, booth: OpenBooth) -> None:
    players = [{"name": name} for name in ("ann", "ben", "cid")]
    source = booth.source("two", "stage", run="r", title="Two", players=players, lines=[])
    see_lanes(tab, 3)
    for name in ("ann", "ben", "cid"):
        source.record("opening_queued", player=name)
    source.record("opening_began", player="ann")
    source.record("opening_refused", player="ann", problem="too many requests", wait_s=2)
    tab.until("document.querySelectorAll('#gate li').length === 3")
    assert [words.split(" for ")[0] for words in texts(tab, "#gate li")] == [
        "ann: opening, queued",
        "ben: waiting",
        "cid: waiting",
    ]
    tab.until("document.querySelector('#gate li').textContent.endsWith(' s; refused: too many requests')")
    tab.until("document.querySelectorAll('#gate li')[2].textContent === 'cid: waiting for 1 s'")
    assert texts(tab, "#lanes .state-words") == ["opening", "waiting to open", "waiting to open"]
    for name in ("ann", "ben", "cid"):
        source.record("player_opened", player=name, took_s=1)
    tab.until("document.getElementById('gate').hidden")


def test_a_take_is_replayed_with_a_time_line(
    tab: Browser, booth: OpenBooth, tavern_take: tuple[TakeFolder, Take]
) -> None:
    folder, take = tavern_take
    booth.call(attach, booth.hub, folder.path)
    tab.until("document.querySelectorAll('#system .block').length > 3")
    at = "Number(document.getElementById('seek').value)"
    tab.press(" ")
    tab.until(f"{at} > 0.1")
    tab.press(" ")
    tab.press("ArrowRight")
    second = next(line.offset_s for line in take.lines if line.offset_s > 1)
    tab.until(f"Math.abs({at} - {second}) < 0.02")
    fill(tab, "seek", "5")
    tab.until("document.getElementById('place').textContent === '0:05.0'")
    tab.click("#play")
    tab.until(f"{at} > 5.1")
    tab.click("#play")
    tab.click("#tab-words")
    tab.until(f"document.querySelectorAll('#words .line').length === {len(take.lines)}")
    tab.click("#words .line:nth-child(2) .hear")
    tab.until("document.querySelectorAll('#words .line.now').length === 1")
    assert {"/".join(url.partition("?")[0].split("/")[-2:]) for url in tab.requests} >= {
        f"{line.file}" for line in take.lines[:2]
    }


def test_the_score_draws_only_what_can_be_seen(tab: Browser, booth: OpenBooth, tmp_path: Path) -> None:
    folder, _ = long_take(tmp_path / "take", 400)
    booth.call(attach, booth.hub, folder.path)
    tab.until("document.querySelectorAll('#system .block').length > 3")
    assert tab.run("document.querySelectorAll('#system .block').length") < 200
    tab.run("document.getElementById('score').scrollLeft = 1e6")
    tab.until("[...document.querySelectorAll('#system .above b')].some(e => e.textContent === '400')")
    assert tab.run("document.querySelectorAll('#system .block').length") < 200


def test_a_person_plays_in_the_page(tab: Browser, booth: OpenBooth) -> None:
    players = [{"name": "ann", "human": "booth"}, {"name": "ben"}]
    source = booth.source("two", "stage", run="r", title="Two", players=players, lines=[])
    see_lanes(tab, 2)
    source.record("person_prompted", player="ann", line="ann-1", words="Good evening.", direction="warmly", in_s=1)
    tab.until("document.getElementById('prompt-count').textContent === '1'")
    assert texts(tab, "#prompt-title, #prompt-direction") == ["Good evening.", "warmly"]
    assert source.wishes == []
    tab.until("document.getElementById('prompt-count').textContent === 'Speak now.'")
    source.until(lambda: len(source.wishes) > 20)
    tab.press("Enter")
    source.until(lambda: source.wishes[-1]["do"] == "finish")
    *heard, _ = source.wishes
    loudest = max(np.abs(np.frombuffer(pybase64.b64decode(each["audio"]), np.int16)).max() for each in heard)
    assert ({wish["do"] for wish in heard}, loudest > 1000) == ({"hear"}, True)
    time.sleep(0.3)
    assert len(source.wishes) == len(heard) + 1
    source.record("line_spoken", line="ann-1", player="ann", said="Good evening.", offset_samples=0, samples=24000)
    tab.until("document.getElementById('prompt').hidden")


PARTS = """
scene: Parts
players:
  ann: {voice: marin, turn_detection: {type: server_vad, silence: 400ms}}
  guest: {human: booth}
lines:
  - guest: (warmly) Good evening.
  - ann: And to you.
  - guest: Is there a room?
  - listen: {player: ann, from: guest, turns: 1}
  - listen: {player: ann, from: guest, key: q}
"""


def test_a_person_plays_a_part_from_beginning_to_end(tab: Browser, booth: OpenBooth, tmp_path: Path) -> None:
    """A line is spoken and the other hears it, one is typed; a conversation is spoken, one is typed, and closed."""
    scene = tmp_path / "parts.yaml"
    scene.write_text(PARTS)
    understudy = Understudy(Tones(), keeps_visits=True)
    performed = booth.begin(scene, tmp_path / "takes", understudy)
    title, count = (f"document.getElementById('prompt-{part}').textContent" for part in ("title", "count"))
    tab.until(f"{title} === 'Good evening.' && {count} === '2'")
    assert texts(tab, "#prompt-who, #prompt-direction") == ["guest: your line", "warmly"]
    tab.until(f"{count} === 'Speak now.'")
    tab.until(f"{title} === 'Is there a room?'")
    tab.run("document.getElementById('prompt-words').focus()")
    tab.write("Is there a bed?")
    tab.press("Enter")
    tab.until(f"{title} === 'Talk to the players.'")
    wait_for(tab, "state.log.rows.filter(row => row.type === 'listen_began').length === 2")
    tab.until(f"{title} === 'Talk to the players.'")
    said = "document.querySelectorAll('#words .line').length"
    tab.click("#tab-words")
    before = tab.run(said)
    tab.run("document.getElementById('prompt-words').focus()")
    tab.write("Good night, then.")
    tab.press("Enter")
    tab.until(f"{said} >= {before + 2}")
    tab.click("#prompt-done")
    take = performed.result(20)
    assert take.ended == "complete"
    players = [(line.player, line.said) for line in take.lines if line.human]
    assert players[:2] == [("guest", "Good evening."), ("guest", "Is there a bed?")]
    assert [line.player for line in take.lines[:5]] == ["guest", "ann", "guest", "guest", "ann"]
    assert "Good night, then." in [said for _, said in players]
    spoken = read_wav(take.folder.path / str(take.lines[0].file))
    assert 0.8 < spoken.duration_s < 2
    heard = next(iter(understudy.visits[0].heard.values()))
    assert similarity(heard.array, spoken)[0] > 0.99


# ---- whoever looks on


def test_hostile_words_are_text(tab: Browser, booth: OpenBooth) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    source = booth.source(evil, model=evil)
    booth.source(
        "stage",
        "stage",
        title=evil,
        run="r",
        players=[{"name": evil, "voice": evil, "model": evil}],
        lines=[{"id": evil, "player": evil, "words": evil, "direction": evil}],
    )
    source.say(evil, tone("ash", "evil"), "item_1", "resp_1", pieces=1)
    source.send("error", error={"code": evil, "message": evil})
    source.send(evil, item_id=evil, delta=[evil], item=evil, response=[1], session=3)
    for kind in ("line_began", "line_spoken", "warned", "person_prompted", "take_ended", "words_progress", "__proto__"):
        source.record(kind, line=evil, player=evil, text=evil, words=evil, hearers=3, offset_samples="x", usage=[evil])
    for tab_id in ("words", "figures", "events"):
        tab.click(f"#tab-{tab_id}")
        tab.run("new Promise(done => setTimeout(done, 350))")
    choices = "document.getElementById('scope')"
    tab.run(f"{choices}.value = 'sessions'; {choices}.dispatchEvent(new Event('change'))")
    tab.until("document.querySelector('#lanes h3').textContent.startsWith('<img')")
    assert tab.run("document.querySelectorAll('img, main script').length") == 0
    assert "owned" not in tab.run("document.title").replace(evil, "")
    assert "could not be read" not in tab.run("document.getElementById('notice-list').textContent")


LUMINANCE = "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0)"


def test_the_lights_follow_the_system_and_the_switch(tab: Browser) -> None:
    tab.emulate(prefers_color_scheme="dark")
    assert tab.run(LUMINANCE) < 150
    tab.click("#theme")
    assert tab.run(LUMINANCE) > 600
    tab.click("#theme")
    tab.click("#theme")
    tab.emulate(prefers_color_scheme="light")
    assert tab.run(LUMINANCE) > 600


def test_everything_is_done_without_a_mouse(tab: Browser, booth: OpenBooth) -> None:
    source = booth.source("ann")
    booth.source("ben")
    source.say("One two three four.", chirp(0.3), "item_1", "resp_1")
    see_lanes(tab, 2)
    tab.press("l")
    tab.until("document.getElementById('listen').getAttribute('aria-pressed') === 'true'")
    tab.press("2")
    tab.until("document.getElementById('talk-to').selectedOptions[0].textContent === 'ben'")
    reached: set[str] = set()
    for _ in range(40):
        tab.press("Tab")
        reached.add(
            tab.run("document.activeElement.id || document.activeElement.getAttribute('aria-label') || ''")
            or tab.run("document.activeElement.dataset.name || ''")
        )
    wanted = {"listen", "volume", "theme", "ann", "Mute ann", "Solo ben", "tab-events", "filter-text", "events"}
    assert wanted <= reached
    assert {"talk-to", "talk", "open-mic", "say", "interrupt"} <= reached
    tab.run("document.querySelector('#lanes > .lane').focus()")
    tab.press("ArrowDown")
    tab.press("m")
    tab.until("document.querySelector(\"[aria-label='Mute ben']\").getAttribute('aria-pressed') === 'true'")
    tab.press("/")
    assert tab.run("document.activeElement.id") == "filter-text"
    tab.press("Escape")
    tab.press("?")
    assert tab.run("document.getElementById('keys').open")
    tab.press("Escape")


def test_a_visit_needs_no_mouse(
    tab: Browser, booth: OpenBooth, tavern_take: tuple[TakeFolder, Take], tmp_path: Path
) -> None:
    tab.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    booth.session("ann")
    see_lanes(tab, 1)
    reach(tab, "listen", "Enter")
    tab.until("document.getElementById('listen').getAttribute('aria-pressed') === 'true'")
    tab.press("1")
    reach(tab, "say")
    tab.write("Where does the wind come from?")
    tab.press("Enter")
    tab.until("document.querySelector('[data-name=ann]').dataset.status === 'speaking'")
    tab.press("Escape")
    tab.press("i")
    tab.until("document.querySelector('[data-name=ann]').dataset.status === 'idle'")
    reach(tab, "tab-events", "ArrowLeft")
    tab.until("document.querySelectorAll('#words .said').length === 2")
    tab.press("/")
    tab.write("response.done")
    reach(tab, "events", "ArrowDown")
    tab.press("Enter")
    tab.until("document.getElementById('detail-json').textContent.includes('response.done')")
    tab.press("Escape")
    assert tab.run("document.getElementById('detail').hidden")
    reach(tab, "export", "Enter")
    reach(tab, "theme", "Enter")
    assert tab.run("document.documentElement.dataset.theme") == "light"
    tab.run("localStorage.clear()")
    booth.call(attach, booth.hub, tavern_take[0].path)
    tab.until("!document.getElementById('scope').parentElement.hidden")
    reach(tab, "scope", "ArrowDown")
    tab.until("document.querySelectorAll('#system .block').length > 3")
    reach(tab, "play", "Enter")
    tab.until("Number(document.getElementById('seek').value) > 0.1")
    assert list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_nothing_is_wider_than_the_page(tab: Browser, booth: OpenBooth, width: int) -> None:
    tab.resize(width, 900)
    speak_twice(tab, booth)
    for name in ("words", "figures", "events"):
        tab.click(f"#tab-{name}")
        assert not tab.run("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    tab: Browser, booth: OpenBooth, tavern_take: tuple[TakeFolder, Take], theme: str
) -> None:
    tab.emulate(prefers_color_scheme=theme)
    speak_twice(tab, booth)
    check_with_axe(tab)
    source = booth.call(attach, booth.hub, tavern_take[0].path)
    choices = "document.getElementById('scope')"
    tab.until(f"{choices}.options.length === 2")
    tab.run(f"{choices}.value = 'source {source.id}'; {choices}.dispatchEvent(new Event('change'))")
    tab.until("document.querySelectorAll('#system .block').length > 3")
    check_with_axe(tab)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_a_narrow_page_that_shows_all_that_it_can(
    tab: Browser, booth: OpenBooth, theme: str
) -> None:
    tab.resize(400, 900)
    tab.emulate(prefers_color_scheme=theme)
    players = [{"name": "ann", "human": "booth"}, {"name": "ben", "voice": "cedar"}]
    lines = [{"id": "ben-1", "player": "ben"}, {"id": "ann-2", "player": "ann"}]
    stage = booth.source("two", "stage", run="r", title="Two", players=players, lines=lines, can=["stop"], budget="2.5")
    ben = booth.source("ben", run="r", player="ben")
    stage.record("line_began", line="ben-1", player="ben")
    ben.say("Good evening to you.", chirp(0.5), "item_1", "resp_1")
    stage.record("line_spoken", line="ben-1", player="ben", said="Good evening to you.", offset_samples=0, samples=9000)
    stage.record("warned", text="The hearing of ben is late.")
    ben.send("error", error={"code": "odd", "message": "Something is odd."})
    stage.record("person_prompted", player="ann", line="ann-2", words="Good evening.", direction="warmly", in_s=60)
    tab.until("!document.getElementById('prompt').hidden && !document.getElementById('controls').hidden")
    choose(tab, "ben")
    tab.click("#open-mic")
    page(tab, "app.note('A notice.')")
    tab.until("document.getElementById('mic-level').getAttribute('aria-valuenow') > 0")
    assert not tab.run("document.documentElement.scrollWidth > innerWidth")
    check_with_axe(tab)
    tab.click("#rows [role=row]:not([hidden])")
    assert serious_faults(tab) == []
    tab.press("?")
    tab.until("document.getElementById('keys').open")
    assert serious_faults(tab) == []
    tab.press("Escape")
    tab.click("#open-mic")


# ---- a booth that ends and comes back


def test_a_page_comes_back_to_a_booth_that_was_started_again(browser: Browser) -> None:
    browser.emulate()
    browser.resize(1400, 1000)
    with open_booths(Hub("one"), token="the-same") as booth:
        visit(browser, booth)
        booth.source("ann").say("One two.", tone("ash", "ann"), "item_1", "resp_1")
        browser.until("document.querySelector('#lanes h3')?.textContent === 'ann'")
        port = int(booth.url.split(":")[2].split("/")[0])
    browser.until("document.getElementById('link').dataset.state === 'lost'")
    with open_booths(Hub("two"), port=port, token="the-same") as booth:
        booth.source("ben").say("Three four.", tone("ash", "ben"), "item_1", "resp_1")
        browser.until("document.getElementById('link').dataset.state === 'open'")
        browser.until("document.querySelector('#lanes h3')?.textContent === 'ben'")
        browser.until("document.getElementById('notice-list').textContent.includes('was restarted')")
        assert texts(browser, "#lanes h3") == ["ben"]
    browser.visit("about:blank")


def test_a_session_outlives_its_booth_and_is_still_the_chosen_one(browser: Browser) -> None:
    browser.emulate()
    with lasting_source("ann") as ann, lasting_source("ben"):
        with open_booths(Hub("one"), token="the-same") as booth:
            visit(browser, booth)
            port = int(booth.url.split(":")[2].split("/")[0])
            browser.until("document.querySelectorAll('#lanes > .lane').length === 2")
            start_listening(browser)
            choose(browser, "ann")
            browser.click("[aria-label='Mute ben']")
        browser.until("document.getElementById('link').dataset.state === 'lost'")
        ann.until(lambda: not ann.is_connected)
        ann.many(3, "rate_limits.updated")
        with open_booths(Hub("two"), port=port, token="the-same") as booth:
            booth.source("cat")
            browser.until("document.querySelectorAll('#lanes > .lane').length === 3")
            wait_for(browser, "app.talk.source?.name === 'ann' && app.talk.source.connected")
            muted = "[...document.querySelectorAll('#lanes [aria-label^=Mute][aria-pressed=true]')]"
            browser.until(f"{muted}.map(e => e.getAttribute('aria-label')).join() === 'Mute ben'")
            ann.say("One two three.", chirp(0.5), "item_1", "resp_1")
            wait_for(browser, "[...sound.played.values()].includes(12000)")
            notices = "document.getElementById('notice-list').textContent"
            browser.until(f"{notices}.includes('ann: 3 events occurred while the booth was not running.')")
            browser.until("document.getElementById('events-note').textContent.includes('3 occurred while no booth')")
            browser.run("document.getElementById('say').focus()")
            browser.write("Hello")
            browser.press("Enter")
            ann.until(lambda: [wish["do"] for wish in ann.wishes] == ["say"])
    browser.visit("about:blank")


def test_a_page_that_comes_back_gets_what_it_has_not_seen(browser: Browser) -> None:
    browser.emulate()
    with open_booths(Hub("one")) as booth:
        visit(browser, booth)
        source = booth.source("ann")
        source.many(20, "rate_limits.updated")
        wait_for(browser, "state.seen === 20")
        page(browser, "app.connection.cut()")
        browser.until("document.getElementById('link').dataset.state === 'lost'")
        source.many(30, "rate_limits.updated")
        wait_for(browser, "state.seen === 50 && state.log.kept === 50 && app.connection.isOpen")
        assert browser.run("document.getElementById('notices').hidden")
    browser.visit("about:blank")


def test_a_page_that_was_away_too_long_is_told_what_it_missed(browser: Browser) -> None:
    browser.emulate()
    with open_booths(Hub("one")) as booth:
        visit(browser, booth)
        booth.source("ann").many(20, "rate_limits.updated")
        wait_for(browser, "state.seen === 20")
        (publishing,) = booth.hub.sources.values()
        line = json.dumps({"at": 1.0, "from": "server", "event": {"type": "rate_limits.updated"}})
        page(browser, "app.connection.cut()")
        booth.call(booth.hub.take_in, publishing, "\n".join([line] * (KEPT_EVENTS + 100)))
        browser.until(
            "document.getElementById('notice-list').textContent.includes('100 earlier events are no longer available')"
        )
        wait_for(browser, "state.log.dropped === 120")
    browser.visit("about:blank")


LONG_SCENE = """
scene: Two
players:
  ann: {voice: marin}
  ben: {voice: cedar}
lines:
  - ann: Good evening to you, and to all of yours, and to everybody who has come here tonight to listen to us.
  - ben: And a good evening to you, too, and to whoever is still on the way, for the roads are full of snow.
  - ann: How is the weather on the other side, where the wind comes from, and where do the birds go in the winter?
  - ben: They go where they have always gone, over the hill and far away, and they come back when it is warm again.
"""


def test_a_booth_is_killed_in_mid_run_and_started_again(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = tmp_path / "two.yaml"
    scene.write_text(LONG_SCENE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    browser.emulate()

    async def perform() -> DeliveredTake:
        async with open_understudy(Understudy(Tones(), pace=1.0)) as server:
            return await perform_scene(scene, out=tmp_path, options=RunOptions(endpoint=server, debug=True))

    with start_blocking_portal("asyncio") as portal, booth_process() as (url, process):
        browser.visit(url)
        browser.until("document.getElementById('link').dataset.state === 'open'")
        performing = portal.start_task_soon(perform)
        browser.until("document.querySelectorAll('#lanes > [data-status=speaking]').length === 1")
        process.kill()
        process.wait()
        browser.until("document.getElementById('link').dataset.state === 'lost'")
        with booth_process() as (again, _):
            assert again == url
            browser.until("document.getElementById('link').dataset.state === 'open'")
            take = performing.result()
            notices = "document.getElementById('notice-list').textContent"
            browser.until(f"{notices}.includes('The booth was restarted')")
            browser.until(f"/two: \\d+ events occurred while the booth was not running/.test({notices})")
            browser.until("document.querySelectorAll('#system .block').length === 4")
            browser.until("document.getElementById('when').textContent === 'complete: 4 of 4 lines'")
            assert texts(browser, "#lanes h3") == ["ann", "ben"]
    assert take.ended == "complete"
    sounds = [read_wav(take.folder.path / str(line.file)) for line in take.lines]
    assert [len(sound) for sound in sounds] == [line.samples for line in take.lines]
    browser.visit("about:blank")
