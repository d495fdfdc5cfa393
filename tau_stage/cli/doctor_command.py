"""``tau-stage doctor``: what a performance would find here, and what to do where it could not begin.

No key's value enters here.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tau_stage import cost, devices, protocol, scene
from tau_stage.cli.options import read_settings, settings_file
from tau_stage.cli.printing import console, is_plain, say, say_json
from tau_stage.errors import UsageError, os_reason
from tau_stage.text import redact_url
from tau_stage.version import __version__

if TYPE_CHECKING:
    from rich.console import RenderableType


State = Literal["ok", "absent", "wrong"]
"""There; not there, and not needed; or in the way of every performance."""

LEAST_BYTES = 100 * 1024**2  # of room on the disk: half an hour of a scene with three players

FEWEST_DESCRIPTORS = 64
LIBRARIES = ("anyio", "websockets", "pydantic", "numpy", "soundfile", "soxr")
VOICE = "hibari-tts"
DISTRIBUTION = "tau-stage"
_REQUIREMENT = re.compile(r"^([\w.-]+)[^;\n]*;.*extra == ['\"](?!test|docs)([\w-]+)['\"]", re.MULTILINE)

MARKS = {"ok": ("✓", "green"), "absent": ("–", "dim"), "wrong": ("✗", "bold red")}
DIMMED, REMEDIES = {"absent": "dim"}, {"wrong": "yellow"}
CANNOT = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found, whether it is there, and what to do about it, or nothing."""

    section: str
    name: str
    told: str
    state: State = "ok"
    remedy: str = ""


def doctor(
    out: Annotated[Path, typer.Option(help="The folder for takes.")] = Path("takes"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Check keys, endpoints, devices, extras and limits, and report whether you can perform a scene.

    The report shows only whether a key is set. It does not show the key. No endpoint is contacted.
    """
    found = examine(os.environ, out)
    can_perform = _can_perform(found)
    if as_json:
        from json import dumps

        told = {"can_perform": can_perform, "verdict": verdict(found), "found": [*map(asdict, found)]}
        say_json(dumps(told, indent=2, ensure_ascii=False))
    elif not is_plain(sys.stdout):
        console().print(_sheet(found))
    else:
        say("\n".join(_plain(found)))
    raise typer.Exit(0 if can_perform else CANNOT)


def _can_perform(found: Sequence[Finding]) -> bool:
    return "wrong" not in {finding.state for finding in found}


def verdict(found: Sequence[Finding]) -> str:
    """Write one sentence over all."""
    wrong = [f"{finding.name}: {finding.remedy}" for finding in found if finding.state == "wrong"]
    return f"You cannot perform a scene yet. To fix: {'; '.join(wrong)}" if wrong else "You can perform a scene."


def _plain(found: Sequence[Finding]) -> Iterator[str]:
    for section, findings in groupby(found, lambda finding: finding.section):
        yield section
        for finding in findings:
            yield f"  {finding.state:6}  {finding.name}: {finding.told}"
            if finding.remedy:
                yield f"          hint: {finding.remedy}"
    yield verdict(found)


def _sheet(found: Sequence[Finding]) -> RenderableType:
    from rich.console import Group
    from rich.table import Column, Table
    from rich.text import Text

    columns = (Column(), Column(no_wrap=True), Column(overflow="fold"))
    sheet = Table(*columns, box=None, show_header=False, pad_edge=False, padding=(0, 1))
    for section, findings in groupby(found, lambda finding: finding.section):
        sheet.add_row("", Text(section, "bold"), "")
        for finding in findings:
            mark, style = MARKS[finding.state]
            told = Text(finding.told, DIMMED.get(finding.state, ""))
            if finding.remedy:
                told.append(f"\n{finding.remedy}", REMEDIES.get(finding.state, "dim italic"))
            sheet.add_row(Text(mark, style), Text(finding.name), told)
    return Group(sheet, Text(""), Text(verdict(found), "bold green" if _can_perform(found) else "bold red"))


# ---- what is looked at


def examine(environment: Mapping[str, str], out: Path) -> list[Finding]:
    """Examine everything, in the order it is shown, for an environment and a folder that takes would go to."""
    return [
        *_versions(),
        *(_place(place, environment) for place in protocol.ENDPOINTS.values()),
        _ambient(environment),
        *_models(environment, datetime.now(UTC).date()),
        *_devices(),
        *_extras(),
        *_limits(out),
        _settings(environment),
    ]


def _versions() -> Iterator[Finding]:
    yield Finding("versions", DISTRIBUTION, __version__)
    yield Finding("versions", "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in LIBRARIES:
        yield Finding("versions", name, metadata.version(name))


# ---- who plays


def _place(place: protocol.Endpoint, environment: Mapping[str, str]) -> Finding:
    """Examine one endpoint: whether its key and its address are there, and where from."""
    if place.name == protocol.UNDERSTUDY:
        if _version(VOICE):
            return Finding("endpoints", protocol.UNDERSTUDY, "runs in this process, needs no key")
        return Finding(
            "endpoints",
            protocol.UNDERSTUDY,
            "no voices installed",
            "absent",
            f"pip install '{DISTRIBUTION}[understudy]'",
        )
    told, missing = _address_of(place, environment)
    try:
        if not missing:
            told += _way_to(place, environment)
        place.key_in(environment)
    except UsageError as error:
        return Finding("endpoints", place.name, error.problem, "absent", error.hint)
    if name := place.key_name(environment):
        told.append(f"{name} is set")
    elif place.wants_key:
        missing.append(place.key_env[0])
    else:
        told.append(f"{place.key_env[0]} is not set (optional)")
    if missing:
        told.append(" and ".join(missing) + (" are not set" if len(missing) > 1 else " is not set"))
    return Finding("endpoints", place.name, "; ".join(told), "absent" if missing else "ok")


def _address_of(place: protocol.Endpoint, environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return what is told of the host, and which variable for it is missing."""
    if "{resource}" not in place.url:
        return [], []
    if host := environment.get(place.resource_env):
        return [f"at {redact_url(host)}, from {place.resource_env}"], []
    return ([f"at {place.resource}, by default"], []) if place.resource else ([], [place.resource_env])


def _way_to(place: protocol.Endpoint, environment: Mapping[str, str]) -> list[str]:
    """Return what is told of the proxy that a performance goes through."""
    proxy = protocol.proxy_for(place.address("model", environment.get(place.resource_env, "")), environment)
    return [f"through {proxy}"] if proxy else []


def _wished(environment: Mapping[str, str]) -> tuple[str, str]:
    """Tell which endpoint plays where none is named, and why."""
    if name := environment.get("TAU_STAGE_ENDPOINT"):
        return name, "set in TAU_STAGE_ENDPOINT"
    return ("openai", "its key is set") if environment.get("OPENAI_API_KEY") else (protocol.UNDERSTUDY, "no key is set")


def _ambient(environment: Mapping[str, str]) -> Finding:
    """Examine who plays a scene that names no endpoint."""
    title, (name, why) = "default endpoint", _wished(environment)
    try:
        place = protocol.endpoint(name)
    except UsageError as error:
        return Finding("endpoints", title, f"TAU_STAGE_ENDPOINT: {error.problem}", "wrong", error.hint)
    except KeyError:
        problem = f"unknown endpoint in TAU_STAGE_ENDPOINT: {redact_url(name)}"
        return Finding("endpoints", title, problem, "wrong", f"use {', '.join(protocol.ENDPOINTS)}, or a URL")
    found = _place(place, environment)
    if found.state == "ok":
        asked = [] if place.name in protocol.ENDPOINTS else [f"with the {place.dialect.name} protocol"]
        way = [] if place.name == protocol.UNDERSTUDY else [*asked, *_way_to(place, environment)]
        return Finding("endpoints", title, f"{', '.join([place.name, *way])} ({why})")
    remedy = found.remedy or f"set the missing variables, or set TAU_STAGE_ENDPOINT={protocol.UNDERSTUDY}"
    return Finding("endpoints", title, f"{place.name} ({why}); {found.told}", "wrong", remedy)


# ---- which models


def _models(environment: Mapping[str, str], today: date) -> Iterator[Finding]:
    """Examine whether the models that play without being named last, and which others end."""
    for name, model in (
        ("default model", scene.DEFAULT_MODEL),
        ("default transcription", scene.DEFAULT_TRANSCRIPTION),
    ):
        if end := cost.retirement_of(model):
            told, remedy = f"{model} {end.describe(today)}", f"use another model: {end.successor}"
            yield Finding("models", name, told, "absent", remedy)
        else:
            yield Finding("models", name, f"{model}, no retirement date announced")
    providers = ["openai", *(["azure"] if environment.get("AZURE_OPENAI_ENDPOINT") else [])]
    for provider in providers:
        for models, told in cost.coming_retirements(today, provider):
            yield Finding("models", f"at {provider}", f"{models}: {told}")


# ---- what is there


def _devices() -> Iterator[Finding]:

    for side in (devices.MICROPHONE, devices.LOUDSPEAKER):
        try:
            card = devices.find_device(devices.portaudio(side), None, side)
        except UsageError as error:
            yield Finding("devices", side.name, error.problem, "absent", error.hint)
        else:
            yield Finding("devices", side.name, str(card["name"]))


def _extras() -> Iterator[Finding]:
    """Yield what pyproject calls extras, and whether all of each is installed; those of developers are left out."""
    wanted: dict[str, dict[str, str]] = defaultdict(dict)
    for name, extra in _REQUIREMENT.findall("\n".join(metadata.requires(DISTRIBUTION) or ())):
        wanted[extra][name] = _version(name)
    for extra, versions in wanted.items():
        told = ", ".join(f"{name} {version or 'is not installed'}" for name, version in versions.items())
        lacks: tuple[State, str] = ("absent", f"pip install '{DISTRIBUTION}[{extra}]'")
        yield Finding("extras", f"[{extra}]", told, *(() if all(versions.values()) else lacks))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


# ---- how much


def _limits(out: Path) -> Iterator[Finding]:
    yield _descriptors()
    try:
        there = out.absolute()
    except FileNotFoundError:
        yield Finding(
            "limits", "takes", "the current folder no longer exists", "wrong", "change to a folder that exists"
        )
        return
    near = next(path for path in (there, *there.parents) if path.exists())
    yield _writable(out, near)
    free = shutil.disk_usage(near).free
    lacks: tuple[State, str] = ("wrong", "free some disk space, or choose another disk with --out")
    yield Finding("limits", "disk space", f"{free / 1e9:,.1f} GB free", *(lacks if free < LEAST_BYTES else ()))


def _descriptors() -> Finding:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return Finding("limits", "file descriptors", "unlimited", "ok")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = ", maximum ".join("unlimited" if limit == resource.RLIM_INFINITY else f"{limit:,}" for limit in limits)
    if limits[1] in range(FEWEST_DESCRIPTORS):
        return Finding("limits", "file descriptors", told, "wrong", "raise the limit: ulimit -n 1024")
    return Finding("limits", "file descriptors", told)


def _writable(out: Path, near: Path) -> Finding:
    """Examine whether takes can be made; a folder that is not there yet would be made."""
    try:
        if not near.is_dir():
            raise NotADirectoryError(20, "not a directory", str(near))
        with tempfile.TemporaryFile(dir=near):
            told = "writable" if near == out.absolute() else "will be created"
    except OSError as error:
        problem = os_reason(error)
        return Finding("limits", f"takes in {out}", f"{near}: {problem}", "wrong", "choose another folder with --out")
    return Finding("limits", f"takes in {out}", told)


def _settings(environment: Mapping[str, str]) -> Finding:
    try:
        allowed = read_settings(environment).allow_tools
    except UsageError as error:
        return Finding("settings", "settings.toml", error.problem, "wrong", error.hint)
    file = settings_file(environment)
    if file and file.exists():
        return Finding("settings", "settings.toml", f"{file}: allow_tools = {str(allowed).lower()}")
    return Finding("settings", "settings.toml", f"{file or 'home folder'} not found: using the defaults")
