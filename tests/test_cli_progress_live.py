"""The live view of a terminal: finished lines above it, what is under way in it, figures whole at any width."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios
from pathlib import Path

import pytest
from rich.console import Console

from tau_stage.cli.printing import console, fitting, say_path
from tau_stage.cli.progress import LiveProgress
from tau_stage.protocol.usage import Usage
from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import make_plan
from tau_stage.stage.events import AudioProgress, Event, PersonPrompted, ResumeSummary
from tau_stage.take import records as record
from tests.support.forked import ForkedPython
from tests.test_cli_progress import BEGAN, FREE, PLAN, SOUNDING, SPEAKING, opened, said
from tests.test_take import spoken

LONG = make_plan(
    parse_scene(
        "scene: A title that is much longer than any window of sixty columns can show on one line\n"
        "players: {benjamin-of-the-northern-lighthouse: {voice: ash}, ann: {voice: sage}}\n"
        "lines: [{benjamin-of-the-northern-lighthouse: "
        "I never said that it would be easy to find the lighthouse in the fog that night.}, ann: No.]"
    )
)
BENJAMIN = LONG.players[0].name
DEAR = Usage(audio_out=1_000_000_000)


def drawn(plan: Plan, *news: Event, width: int = 80, making: str | None = None) -> tuple[str, str]:
    """What scrolled away above the view, and the view."""
    above, view = io.StringIO(), io.StringIO()
    live = LiveProgress([plan], Console(file=above, width=width))
    for item in news:
        live.show(plan, item)
    if making is not None:
        live.making(plan, making)
    Console(file=view, width=width).print(live)
    return above.getvalue(), view.getvalue()


def test_it_shows_the_line_the_level_the_progress_and_the_dollars() -> None:
    free = record.LineFailed(line="x", player="ann", problem="no", usage=Usage())
    loud = AudioProgress("bob", "bob-1", -12.0, 0.1)
    begun = record.LineBegan(line="bob-1", player="bob")
    above, view = drawn(PLAN, *SPEAKING, SOUNDING, free, said("ann-1", "ann"), begun, loud)
    assert "1/2  $0.0640 estimate (nothing spent)" in view
    assert "bob: [Two]." in view
    assert "############...." in view
    assert "  ann  idle      1.0 s" in view
    assert re.fullmatch(r"1/2  ann  words {60,}1\.0 s\n", above)


def test_what_is_worth_a_line_scrolls_away_too_and_what_the_view_shows_does_not() -> None:
    facts: list[Event] = [
        BEGAN,
        opened("ann"),
        record.OpeningRefused(player="bob", problem="bob: slow down", wait_s=1),
        PersonPrompted("ann", "ann-1", "One."),
        record.LineAgain(line="ann-1", player="ann", problem="it failed", wait_s=1, usage=Usage()),
        record.Warned(text="odd"),
        spoken("ann-1", "ann", 10, Usage(), problem="no sound"),
    ]
    above, _ = drawn(PLAN, *facts)
    assert above.splitlines() == [
        "bob: slow down; waiting 1.0 s",
        "line ann-1: it failed; retrying in 1.0 s",
        "odd",
        "line ann-1, player ann, failed: no sound",
    ]


def test_after_the_last_line_it_says_what_is_made_and_then_it_is_gone() -> None:
    facts = (*SPEAKING, said("ann-1", "ann"), record.TakeEnded(ended="complete"))
    _, view = drawn(PLAN, *facts, making="mixing")
    assert view.splitlines()[-1] == "  mixing ..."
    assert "idle" not in view
    assert drawn(PLAN, *facts, making="")[1] == ""
    assert drawn(PLAN)[1] == ""


def test_of_what_nobody_can_count_it_says_how_much_is_likely() -> None:
    above, view = drawn(FREE, BEGAN, said("ann-1", "ann"), PersonPrompted("guest", "guest-1", ""))
    assert "1 of about 3  $0.0640 estimate" in view
    assert "guest, speak now: ..." in view
    assert above.startswith("1  ann    words")
    more = [said(f"bob-{number}", "bob") for number in range(5)]
    assert "5 of about 5" in drawn(FREE, BEGAN, *more)[1]


def test_a_take_that_goes_on_begins_where_it_was() -> None:
    above, view = drawn(PLAN, ResumeSummary((("ann-1", "ann", 1.0),), 0), BEGAN)  # type: ignore[arg-type]
    assert above == "resuming after 1 line\n"
    assert "1/2" in view


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_words_are_cut_and_figures_are_not(width: int) -> None:
    news = (
        BEGAN.model_copy(update={"roles": tuple(role.model_copy(update={"name": p.name})
                                                for role, p in zip(BEGAN.roles, LONG.players, strict=True))}),
        spoken("x", BENJAMIN, 24_000 * 1234, DEAR, number=1, said=LONG.lines[0].words),
        record.OpeningRefused(player="ann", problem="429", wait_s=2.0),
    )  # fmt: skip
    above, view = drawn(LONG, *news, width=width)
    assert max(map(len, (above + view).splitlines())) <= width
    assert "1/2  $64000.0000 estimate" in view
    assert "1234.0 s" in view
    assert re.search(r" 1234\.0 s$", above.splitlines()[0])
    assert above.startswith("1/2  benjamin-of-the…" if width >= 60 else "1/2  benjami…")
    assert " ".join(re.findall(r"\w+", above.split("…", 1)[1])).count("night") == 1


def test_several_scenes_are_told_apart() -> None:
    above = io.StringIO()
    live = LiveProgress([PLAN, LONG], Console(file=above, width=80))
    live.show(PLAN, BEGAN)
    live.show(PLAN, said("ann-1", "ann"))
    assert above.getvalue().startswith(f"{PLAN.slug}: 1/2  ann")


@pytest.mark.parametrize("name", ["LC_ALL", "LANG"])
def test_where_the_locale_is_c_all_is_ascii_and_as_wide(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "C")
    out = io.StringIO()
    live = LiveProgress([LONG], console(out))
    live.show(LONG, BEGAN.model_copy(update={"roles": ()}))
    live.show(LONG, spoken("x", BENJAMIN, 24_000, Usage(), number=1, said="Naïve “quotes” — 東京… ½"))
    console(out).print(live)
    told = out.getvalue()
    assert told.isascii()
    assert 'Naive "quotes" - ????. ?' in told
    assert "--------" in told
    assert fitting("✓ ok", out) == "+ ok"


def test_other_encodings_keep_what_they_have() -> None:
    class Latin(io.StringIO):
        encoding = "latin-1"

    assert fitting("Zoë — “naïve”", Latin()) == 'Zoë - "naïve"'


def test_a_page_is_a_link_where_the_terminal_has_links(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    long = Path("takes") / ("a" * 90) / "report.html"
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_HYPERLINK", "1")
    monkeypatch.setenv("COLUMNS", "60")
    linked, plain = Terminal(), Terminal()
    say_path(long, to=linked)
    assert re.fullmatch(rf"\x1b]8;id=\d+;{long.resolve().as_uri()}\x1b\\{long}\x1b]8;;\x1b\\\n", linked.getvalue())
    monkeypatch.setenv("FORCE_HYPERLINK", "0")
    say_path(long, to=plain)
    assert plain.getvalue() == f"{long}\n"
    say_path(long)
    assert capsys.readouterr().out == f"{long}\n"


@pytest.mark.parametrize(
    ("name", "value", "links"),
    [
        ("VTE_VERSION", "7600", True),
        ("VTE_VERSION", "4205", False),
        ("TERM_PROGRAM", "vscode", True),
        ("TERM_PROGRAM", "Apple_Terminal", False),
        ("KITTY_WINDOW_ID", "1", True),
        ("TERM", "foot", True),
    ],
)
def test_terminals_with_links_are_known(name: str, value: str, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for other in ("FORCE_HYPERLINK", "TERM_PROGRAM", "WT_SESSION", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "DOMTERM",
                  "VTE_VERSION", "NO_COLOR"):  # fmt: skip
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(name, value)
    out = Terminal()
    say_path(Path("report.html"), to=out)
    assert ("\x1b]8;" in out.getvalue()) is links


@pytest.mark.slow
def test_at_a_real_terminal_that_is_made_wider_meanwhile(tmp_path: Path) -> None:
    """Slow: a whole process at a terminal of its own, and the understudy's voice."""
    (tmp_path / "duet.yaml").write_text("players: {ann: , bob: }\nlines: [ann: One., bob: Two., ann: Three.]\n")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI", "COLUMNS")}
    environment |= {"TERM": "xterm-256color", "FORCE_HYPERLINK": "1"}
    command = ["-m", "tau_stage", "run", "duet.yaml", "--endpoint", "understudy"]
    told = b""
    with ForkedPython(*command, cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as run:
        os.close(theirs)
        while piece := _read(ours):
            told += piece
            if b"1/3" in told:
                fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    os.close(ours)
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", told.decode())
    assert run.returncode == 0
    for number, (player, words) in enumerate([("ann", "One."), ("bob", "Two."), ("ann", "Three.")], 1):
        assert re.search(rf"{number}/3  {player}  {words} +\d\.\d s\r\n", text)
    assert "mixing ..." in text
    (page,) = tmp_path.glob("takes/duet/2*/report.html")
    assert f"{page.as_uri()}\x1b\\{page.relative_to(tmp_path)}\x1b]8;;" in text
    assert text.splitlines()[-1] == str(page.parent.relative_to(tmp_path))
    assert "page: " in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux's way to say that nobody is there any more
        return b""
