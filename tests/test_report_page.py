"""The page of a take: what stands on it, and that nothing that was said can break it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter, read_wav
from tau_stage.protocol.usage import Usage
from tau_stage.report.page import Check, render_page
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.take_model import Take
from tau_stage.text import one_line, printable
from tests.support.report_pages import Element, long_take, read, tavern, written
from tests.test_take import BEGAN, journal_of, spoken

HOSTILE = (
    "</script></style><img src=x onerror=alert(1)>\"' onload='alert(2)\u202e\u2028 אבג {{ 7*7 }} {% raw %}"
    "]]>--><b>&amp;"
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[TakeFolder, Take]:
    return tavern(tmp_path_factory.mktemp("tavern"))


@pytest.fixture(scope="module")
def sheet(played: tuple[TakeFolder, Take]) -> Element:
    folder, take = played
    return read(render_page(take, folder))


def made(tmp_path: Path, *facts: record.Record, **began: object) -> tuple[str, Element]:
    """The page of a small take, as text and as a tree."""
    whole = [BEGAN.model_copy(update=began), *journal_of(*facts)[1:]]
    folder = written(tmp_path / "take", whole)
    html = render_page(fold(whole), folder)
    return html, read(html)


def texts(elements: Sequence[Element]) -> list[str]:
    return [element.text for element in elements]


def test_the_head_tells_what_was_performed(sheet: Element) -> None:
    head = sheet.all("header")[0]
    assert head.all("h1")[0].text == "The tavern at the ford"
    facts = dict(zip(texts(head.all("dt")), texts(head.all("dd")), strict=True))
    assert facts["Endpoint"] == "understudy"
    assert facts["Ended"] == "complete"
    assert facts["Lines"] == "15"
    assert re.fullmatch(r"\$0\.\d{4} estimate, nothing spent", facts["Cost"])
    assert re.search(r"Performed \w+day \d+ \w+ \d{4}, \d\d:\d\d UTC", head.text)
    assert "keeper ash" in head.text
    assert not sheet.all(css="notice")[:-1]  # the last is for browsers without scripts


def test_each_player_effect_and_bed_has_a_lane(sheet: Element, played: tuple[TakeFolder, Take]) -> None:
    take = played[1]
    lanes = [lane for lane in sheet.all(css="lane") if lane.all("h3")]
    assert [lane.all("h3")[0].text for lane in lanes] == [*(p.name for p in take.players), "rain", "door", "mug"]
    blocks = [block for lane in lanes for block in lane.all("button")]
    assert len(blocks) == len(take.lines) + len(take.sounds)
    for number, line in enumerate(take.lines, 1):
        (block,) = (block for block in blocks if block.attributes["id"] == f"b{number}")
        assert float(block.attributes["data-at"]) == pytest.approx(line.offset_s, abs=1e-4)
        assert float(block.attributes["data-for"]) == pytest.approx(line.duration_s, abs=1e-4)
        assert block.attributes["data-url"] == f"./{line.file}"
        assert len(block.all("path")[0].attributes["d"]) > 20
        assert line.said in block.text


def test_blocks_stand_where_they_sound(played: tuple[TakeFolder, Take]) -> None:
    folder, take = played
    html = render_page(take, folder)
    last = take.lines[-1]
    left, width = (100 * seconds / take.duration_s for seconds in (last.offset_s, last.duration_s))
    assert f"#b{len(take.lines)}{{left:{left:.4f}%;width:{width:.4f}%;" in html


def test_what_was_asked_and_not_said_is_marked(sheet: Element) -> None:
    cut = sheet.all("li", css="line")[1]
    assert "asked, not said: " in cut.all("del")[0].text
    assert "until it stands again." in cut.all("del")[0].text
    assert cut.all(css="how")[0].text == "// interrupted: heard up to here"
    assert not sheet.all("li", css="line")[2].all("del")


def test_each_line_tells_who_heard_it_and_how_fast_it_came(sheet: Element) -> None:
    line = sheet.all("li", css="line")[2]
    assert texts(line.all("dt")) == ["First audio", "Overlaps by", "Cost"]
    assert line.all("dd")[1].text == "200 ms"
    assert [told.split(" ")[0] for told in texts(line.all(css="heard")[0].all("li"))] == ["keeper", "fiddler"]
    aside = sheet.all("li", css="line")[3]
    assert len(aside.all(css="heard")[0].all("li")) == 1


def test_people_are_marked(sheet: Element) -> None:
    assert texts(sheet.all("header")[0].all(css="human")) == ["human"]
    assert sheet.all("li", css="line")[0].all(css="human")


def test_calls_attempts_and_deaf_ears_are_told(tmp_path: Path) -> None:
    called = record.ToolCalled(
        player="clerk", line="a", tool="weather", arguments='{"city":"Oslo"}', output="rain", failed=True, took_s=0.25
    )
    facts = spoken("a", "clerk", RATE, Usage(), attempts=2, hearers=("tourist",), reason="timeout", status="cancelled")
    _, sheet = made(tmp_path, called, facts)
    line = sheet.all("li", css="line")[0]
    assert line.all(css="call")[0].text == 'Tool weather failed in 250 ms arguments{"city":"Oslo"}outputrain'
    assert line.all(css="odd")[0].text == "Attempts2"
    assert line.all(css="deaf")[0].text == "tourist never"
    assert line.all(css="how")[0].text == "// stopped: timeout reached"


def test_what_stopped_it_stands_out_and_warnings_are_listed(tmp_path: Path) -> None:
    facts: list[record.Record] = [
        BEGAN,
        record.Warned(text="odd"),
        record.TakeEnded(ended="failed", problem="the line broke"),
    ]
    _, sheet = made(tmp_path)
    assert not sheet.all(css="problem")
    folder = written(tmp_path / "b", facts)
    sheet = read(render_page(fold(facts), folder))
    assert sheet.all(css="problem")[0].text == "This take is not complete: failed the line broke"
    assert "1 warning odd" in texts(sheet.all(css="notice"))


def test_unknown_prices_say_unknown(tmp_path: Path) -> None:
    roles = tuple(role.model_copy(update={"model": "own"}) for role in BEGAN.roles)
    _, sheet = made(tmp_path, spoken("a", "clerk", RATE, Usage(audio_out=10)), roles=roles)
    costs = next(part for part in sheet.all("section") if part.attributes.get("aria-labelledby") == "cost")
    row = texts(costs.all("tr")[1].all("td"))
    assert row == ["unknown, at least $0.0000", "unknown", "$0.0000", "$0.0000", "unknown"]
    assert "The cost of 1 line is unknown" in costs.text
    assert not costs.all(css="chart")


def test_the_cost_grows_to_the_total(sheet: Element, played: tuple[TakeFolder, Take]) -> None:
    chart = sheet.all(css="chart")[0]
    assert chart.all(css="top")[0].text == f"${played[1].cost.total:.4f}"
    assert [path.attributes["class"] for path in chart.all("path")] == ["spoken", "listened", "cached"]


def test_nothing_that_is_said_named_or_told_can_break_out(tmp_path: Path) -> None:
    roles = (BEGAN.roles[0].model_copy(update={"name": HOSTILE, "voice": HOSTILE}),)
    facts = spoken("a", HOSTILE, RATE, Usage(), asked=HOSTILE, said="b " + HOSTILE, direction=HOSTILE)
    whole: list[record.Record] = [
        BEGAN.model_copy(update={"roles": roles, "title": HOSTILE, "path": HOSTILE, "started": HOSTILE}),
        record.ToolCalled(
            player=HOSTILE, line="a", tool=HOSTILE, arguments=HOSTILE, output=HOSTILE, failed=True, took_s=0
        ),
        facts.model_copy(update={"file": "lines/a.wav", "reason": HOSTILE}),
        record.TakeEnded(ended="failed", problem=HOSTILE),
    ]
    folder = written(tmp_path / "take", whole)
    benign = read(render_page(tavern(tmp_path)[1], TakeFolder(tmp_path), resolved="a scene"))
    html = render_page(fold(whole), folder, resolved=HOSTILE)
    sheet = read(html)
    known = {element.tag for element in benign.walk()} | {"del", "ins", "code", "pre", "dt", "figure"}
    assert {element.tag for element in sheet.walk()} <= known
    assert not [e for e in sheet.walk() for name in e.attributes if name.startswith("on") or name == "style"]
    assert len(sheet.all("script")) == 1
    assert sheet.all("h1")[0].text == one_line(printable(HOSTILE))
    assert sheet.all("pre")[0].text == one_line(printable(HOSTILE))
    assert "49" not in sheet.all("h1")[0].text


def test_the_policy_allows_this_style_and_this_script_only(sheet: Element) -> None:
    policy = next(meta.attributes["content"] for meta in sheet.all("meta") if "http-equiv" in meta.attributes)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for element in [*sheet.all("style"), *sheet.all("script")]:
        text = "".join(child for child in element.children if isinstance(child, str))
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy


def test_the_page_points_nowhere_but_beside_it(played: tuple[TakeFolder, Take]) -> None:
    folder, take = played
    html = render_page(take, folder)
    assert not re.search(r"https?://|url\(|@import", html)
    urls = re.findall(r'(?:data-url|src)="([^"]*)"', html)
    assert urls
    assert all(url == "" or (folder.path / url).is_file() for url in urls)


def test_embedded_sounds_are_the_same_samples(tmp_path: Path) -> None:
    facts = journal_of(spoken("a", "clerk", RATE, Usage()))
    folder = written(tmp_path / "take", facts)
    with WavWriter(folder.path / "mix.wav") as mix:
        mix.append(Pcm.from_array(np.arange(RATE, dtype=np.int16)))
    html = render_page(fold(facts), folder, embed=True)
    assert ".wav" not in "".join(re.findall(r'(?:data-url|src)="([^"]*)"', html))
    for pattern, path in (
        (r'data-url="data:audio/flac;base64,([^"]+)"', "lines/a.wav"),
        (r'src="data:audio/flac;base64,([^"]+)"', "mix.wav"),
    ):
        (packed,) = re.findall(pattern, html)
        out = tmp_path / "back.flac"
        out.write_bytes(base64.b64decode(packed))
        samples, rate = soundfile.read(out, dtype="int16")
        assert rate == RATE
        assert np.array_equal(samples, read_wav(folder.path / path).array)


def test_a_missing_or_truncated_sound_is_told_and_the_rest_stands(tmp_path: Path) -> None:
    facts = journal_of(*(spoken(name, "clerk", RATE, Usage()) for name in "abc"))
    folder = written(tmp_path / "take", facts)
    (folder.path / "lines" / "a.wav").unlink()
    whole = (folder.path / "lines" / "b.wav").read_bytes()
    (folder.path / "lines" / "b.wav").write_bytes(whole[: len(whole) // 2])
    sheet = read(render_page(fold(facts), folder))
    assert "2 warnings lines/a.wav is missing lines/b.wav is incomplete: it has 0.50 s of 1.00 s" in texts(
        sheet.all(css="notice")
    )
    urls = [block.attributes["data-url"] for block in sheet.all("button", css="block")]
    assert urls == ["", "./lines/b.wav", "./lines/c.wav"]


def test_the_mix_is_played_where_there_is_one(tmp_path: Path) -> None:
    _, sheet = made(tmp_path, spoken("a", "clerk", RATE, Usage()))
    mix = next(audio for audio in sheet.all("audio") if audio.attributes["id"] == "mix")
    assert "src" not in mix.attributes
    folder = tmp_path / "take"
    with WavWriter(folder / "mix.wav"):
        pass
    sheet = read(render_page(fold([BEGAN]), TakeFolder(folder)))
    assert next(a for a in sheet.all("audio") if a.attributes["id"] == "mix").attributes["src"] == "./mix.wav"


def test_a_take_without_a_line_has_a_page(tmp_path: Path) -> None:
    sheet = read(render_page(fold([BEGAN]), TakeFolder(tmp_path)))
    assert "Nothing was said." in sheet.text
    assert "This take is not complete: interrupted" in sheet.text


def test_the_resolved_scene_is_folded_away_where_it_is_given(played: tuple[TakeFolder, Take]) -> None:
    folder, take = played
    assert not read(render_page(take, folder)).all("details")
    assert read(render_page(take, folder, resolved='{"a": 1}')).all("details")[0].all("pre")[0].text == '{"a": 1}'


def test_headings_and_ids_make_an_outline(sheet: Element) -> None:
    ids = [element.attributes["id"] for element in sheet.walk() if "id" in element.attributes]
    assert len(ids) == len({*ids})
    for name in ("aria-labelledby", "for"):
        assert {e.attributes[name] for e in sheet.walk() if name in e.attributes} <= {*ids}
    assert len(sheet.all("h1")) == 1
    assert all(button.text or "aria-label" in button.attributes for button in sheet.all("button"))


def test_a_thousand_lines_are_a_few_kilobytes_each(tmp_path: Path) -> None:
    folder, take = long_take(tmp_path / "take", 40)
    assert len(render_page(take, folder).encode()) < 40 * 6_000 + 60_000


def test_it_is_whole(tmp_path: Path) -> None:
    folder = written(tmp_path / "take", [BEGAN])
    page = render_page(fold([BEGAN]), folder)
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")


def check(of: str, outcome: str, expected: str = "at most 2s") -> Check:
    return Check(path="/a/long/way/to/scene.yaml", line=5, column=14, of=of, what="first_audio", expected=expected,
                 measured="9s", outcome=outcome)  # fmt: skip


def test_what_failed_comes_first_and_the_head_says_so(tmp_path: Path) -> None:
    facts = [spoken(name, "clerk", RATE, Usage(), number=number) for number, name in enumerate("ab", 1)]
    take = fold(journal_of(*facts))
    outcomes = ("passed", "error", "failed", "passed", "failed")
    checks = [check("b", outcome, str(number)) for number, outcome in enumerate(outcomes)]
    sheet = read(render_page(take, TakeFolder(tmp_path), checks=checks))
    rows = sheet.all("table", "checks")[0].all("tbody")[0].all("tr")
    assert [row.attributes["class"] for row in rows] == ["failed", "failed", "error", "passed", "passed"]
    assert [row.all("td")[2].text for row in rows] == ["2", "4", "1", "0", "3"]
    assert rows[0].all("td")[-1].text == "scene.yaml:5:14"
    assert rows[0].all("th")[0].all("a")[0].attributes["href"] == "#lb2"
    (head,) = (link for link in sheet.all("dl", "facts")[0].all("a"))
    assert (head.text, head.attributes["href"]) == ("2 of 5 failed, 1 could not be measured", "#expected")
    sheet = read(render_page(take, TakeFolder(tmp_path), checks=[check("gone", "passed")]))
    assert [link.text for link in sheet.all("dl", "facts")[0].all("a")] == ["1 passed"]


def test_the_head_counts_the_lines_that_failed_and_leads_to_the_first(tmp_path: Path) -> None:
    facts = [
        spoken("a", "clerk", RATE, Usage(), number=1),
        spoken("b", "clerk", 0, Usage(), number=2, problem="nobody answered", said=""),
    ]
    sheet = read(render_page(fold(journal_of(*facts)), TakeFolder(tmp_path)))
    (link,) = sheet.all("dl", "facts")[0].all("a")
    assert (link.text, link.attributes["href"]) == ("1 failed", "#lb2")


@pytest.mark.parametrize(
    ("asked", "said", "shown"),
    [
        ("[clears throat] We are *full*.", "We are full.", "[clears throat] We are full."),
        ("Good night. [laughs]", "Good night.", "Good night. [laughs]"),
        ("[sighs]", "", "[sighs]"),
    ],
)
def test_a_moment_is_no_word_that_was_left_out(tmp_path: Path, asked: str, said: str, shown: str) -> None:
    line = spoken("a", "clerk", RATE, Usage(), asked=asked, said=said)
    sheet = read(render_page(fold(journal_of(line)), TakeFolder(tmp_path)))
    (told,) = sheet.all("p", "said")
    assert told.text == shown
    assert [moment.text for moment in told.all("span", "moment")] == re.findall(r"\[.*\]", asked)
    assert not told.all("del")
