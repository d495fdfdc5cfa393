"""docs/architecture.md names what is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import yaml

import tau_stage

TOP = Path(__file__).parent.parent
PAGE = (TOP / "docs" / "architecture.md").read_text("utf-8")
QUOTED = set(re.findall(r"`([^`\n]+)`", PAGE))
ROOMS = {path.stem for path in Path(tau_stage.__path__[0]).iterdir() if path.suffix == ".py" or path.is_dir()} - {
    "__init__",
    "__pycache__",
}
FILE = re.compile(r"\.(html|json|md|py|yaml)$")
DOTTED = sorted(
    name
    for name in QUOTED
    if re.fullmatch(r"[a-z_]+(\.\w+)+", name) and name.partition(".")[0] in ROOMS and not FILE.search(name)
)


def found(dotted: str) -> object:
    """What a dotted name leads to, from the package on."""
    thing: object = tau_stage
    home = "tau_stage"
    for part in dotted.split("."):
        home = f"{home}.{part}"
        try:
            thing = importlib.import_module(home)
        except ModuleNotFoundError:
            thing = getattr(thing, part)
    return thing


def test_every_module_class_and_function_that_it_names_is_there() -> None:
    assert len(DOTTED) > 40
    assert all(found(name) is not None for name in DOTTED)


def test_every_file_that_it_names_is_there() -> None:
    files = [name for name in QUOTED if re.match(r"(tau_stage|tests|docs|schemas)/", name) or name == "README.md"]
    assert len(files) > 15
    assert [name for name in files if not (TOP / name).exists()] == []


def test_it_names_every_room() -> None:
    rows = PAGE.partition("## Rooms")[2].partition("## From")[0]
    assert {name for name in ROOMS if f"`{name}`" not in rows} == set()


def test_what_contributors_are_given_is_readable_and_linked() -> None:
    files = [*(TOP / ".github").rglob("*.yml"), TOP / ".pre-commit-config.yaml"]
    assert len(files) == 6
    assert all(isinstance(yaml.safe_load(file.read_text("utf-8")), dict) for file in files)
    for page in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"):
        links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", (TOP / page).read_text("utf-8"))
        assert [link for link in links if not (TOP / page).parent.joinpath(link).exists()] == []
    assert "(CONTRIBUTING.md)" in (TOP / "README.md").read_text("utf-8")
