"""A take as one self-contained page: to play, to look at, to read. It asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from tau_stage.errors import TakeError
from tau_stage.report import page_graphics
from tau_stage.report.page_graphics import Sources
from tau_stage.report.tables import dollars, median_ms, money
from tau_stage.take import CHECKS, Performed, Take, TakeFolder, silences
from tau_stage.text import DiffPart, diff_speech, has_changes, has_moments, printable

if TYPE_CHECKING:
    from jinja2 import Environment

ORDER = {"failed": 0, "error": 1, "passed": 2}  # of outcomes: what needs a look comes first

ENDINGS = {
    "cut_in": "interrupted: heard up to here",
    "turn_detected": "interrupted by a person",
    "timeout": "stopped: timeout reached",
    "max_output_tokens": "stopped: token limit reached",
    "content_filter": "stopped by the provider's content filter",
}


class Check(BaseModel):
    """What one expectation came to."""

    model_config = ConfigDict(frozen=True)

    path: str
    line: int
    column: int
    of: str
    what: str
    expected: str
    measured: str
    outcome: str


class _Checks(BaseModel):
    verdicts: tuple[Check, ...]


def read_checks(text: str | bytes, path: str = CHECKS) -> Sequence[Check]:
    """Return the expectations of a take.

    Raises:
        TakeError: The text is none of ours.
    """
    try:
        return _Checks.model_validate_json(text).verdicts
    except ValidationError as error:
        remedy = "delete it; each run creates it again"
        raise TakeError(path, f"is invalid: {error.errors()[0]['msg']}", remedy) from None


def render_page(
    take: Take,
    folder: TakeFolder,
    *,
    resolved: str = "",
    embed: bool = False,
    checks: Sequence[Check] = (),
    most: int = page_graphics.LARGEST_PAGE,
) -> str:
    """Write the report of a take as HTML.

    Sounds that are missing or broken do not stop it: the page says what is wrong with them. It has the scene as it was
    ``resolved``, and what came of the ``checks``. With ``embed`` the sounds are in it, so that it needs no other file.
    Where it would have more than ``most`` bytes, that is a ``TakeError``.
    """
    sources = Sources(folder, embed=embed, most=most)
    score = page_graphics.make_score(take, sources)
    keys = [f"b{number}" for number in range(1, len(take.lines) + 1)]
    mix = sources.mix()
    places, style, script = score.places(), _part("theme.css") + _part("style.css"), _part("script.js")
    hues = {lane.name: lane.hue for lane in score.lanes if lane.kind == "player"}
    template = templates().get_template("page.html")
    html = template.render(
        take=take,
        policy=_policy(style, places, script),
        style=style,
        places=places,
        script=script,
        score=score,
        hues=hues,
        mix=mix,
        head_s=folder.mix_head_s,
        embed=embed,
        lines=[*zip(take.lines, silences(take.lines), keys, strict=True)],
        longest=page_graphics.longest_bar(take),
        curve=page_graphics.curve(take),
        first=median_ms(line.first_audio_s for line in take.lines if not line.human),
        problems=sources.problems,
        resolved=resolved,
        checks=sorted(checks, key=lambda check: ORDER.get(check.outcome, 0)),
        others={
            key: [(other, sources.sound(other.file, other.samples).url) for other in line.alternatives]
            for key, line in zip(keys, take.lines, strict=True)
        },
        places_of=dict(zip((line.id for line in take.lines), keys, strict=True)),
        failed_lines=[key for line, key in zip(take.lines, keys, strict=True) if line.problem],
    )
    written = html.encode("utf-8", "replace")
    sources.refuse_larger(len(written))
    return written.decode("utf-8")


def clock(seconds: float) -> str:
    """Write a place in the recording.

    >>> clock(65.26), clock(3601)
    ('1:05.3', '1:00:01.0')
    """
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02d}" if hours else f"{minutes}") + f":{rest // 10:02d}.{rest % 10}"


def span(seconds: float | None) -> str:
    """Write a duration, in the unit that suits it.

    >>> span(0.2514), span(3.25), span(605), span(None)
    ('251 ms', '3.2 s', '10 min 5 s', 'unknown')
    """
    if seconds is None:
        return "unknown"
    if abs(seconds) < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def day(started: str) -> str:
    """Write when a take was performed, to be read; as it stands where it is no time.

    >>> day("2026-11-21T04:05:06+00:00"), day("once")
    ('Saturday 21 November 2026, 04:05 UTC', 'once')
    """
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return started
    return f"{moment:%A} {moment.day} {moment:%B %Y, %H:%M} UTC"


def file_name(path: str) -> str:
    """Return the last part of a path."""
    return PurePath(path).name


def ending(line: Performed) -> str:
    """Say how a line ended, where it did not simply end."""
    if line.problem:
        return f"failed: {line.problem}"
    if line.outdated:
        return f"heard an older take of {', '.join(line.outdated)}"
    if line.ended == "completed" and not line.reason:
        return "words differ from the scene" if line.exact is False else ""
    return ENDINGS.get(line.reason or "", f"{line.ended}: {line.reason}" if line.reason else line.ended)


def tally(checks: Sequence[Check]) -> str:
    """Say what expectations came to, in a few words."""
    outcomes = [check.outcome for check in checks]
    failed, errors = outcomes.count("failed"), outcomes.count("error")
    told = ((failed, f"{failed} of {len(outcomes)} failed"), (errors, f"{errors} could not be measured"))
    return ", ".join(text for count, text in told if count) or f"{len(outcomes)} passed"


def compared(line: Performed, said: str) -> tuple[DiffPart, ...]:
    """Compare what was asked of a line with what was said, in it or in another take; nothing where nothing was asked.

    Where nothing was said there is something to show only if nothing but moments was asked for.
    """
    if not (line.scripted and line.asked):
        return ()
    parts = diff_speech(line.asked, said)
    return parts if said or not has_changes(parts) else ()


def _policy(*parts: str) -> str:
    """Write a content security policy: these styles, this script, sounds from beside or within the page."""
    style, places, script = (
        f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'" for part in parts
    )
    return (
        f"default-src 'none'; style-src {style} {places}; script-src {script}; media-src 'self' file: data:; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _part(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


@cache
def templates(package: str = "tau_stage.report") -> Environment:
    """Return the templates of a room: what others said is made printable in them, and escaped in pages."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,  # our own markup stays
    )
    filters = (clock, span, day, dollars, money, ending, tally, file_name)
    functions = (page_graphics.bars, compared, has_changes, has_moments, page_graphics.link)
    environment.filters |= {each.__name__: each for each in filters}
    environment.globals |= {each.__name__: each for each in functions}
    environment.globals |= {"KINDS": page_graphics.KINDS, "WAVE_HEIGHT": page_graphics.WAVE_HEIGHT}
    return environment
