"""The reference is whole: each key, option, name, variable, exit code and event stands there, and is described."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from sphinx.ext.napoleon.docstring import GoogleDocstring

import tau_stage
from docs.building.extension import mend_docstring
from docs.building.reference import MADE, MAKERS, complete, walk_commands
from docs.building.schema_tables import heading
from tau_stage.batch import batch_schema
from tau_stage.cli import main
from tau_stage.cli.progress import STREAMED
from tau_stage.environment import ADDRESSES, KEYS
from tau_stage.protocol.addresses import PROXY_VARIABLES
from tau_stage.scene import scene_schema
from tau_stage.scene.fields import shows_values
from tau_stage.session.session import SessionStatus
from tau_stage.take import take_schema
from tests.test_cli_run import no_key
from tests.test_cli_validate import run

__all__ = ["no_key"]

TOP = Path(__file__).parent.parent
REFERENCE = TOP / "docs" / "reference"
PAGES = {file.stem: complete(file.read_text(encoding="utf-8")) for file in REFERENCE.glob("*.md")}
SCHEMAS: dict[str, dict[str, Any]] = {
    "scene-keys": json.loads(scene_schema()),
    "batch-keys": json.loads(batch_schema()),
    "take-keys": take_schema(),
}


def test_all_that_can_be_made_is_made_once() -> None:
    sources = [file.read_text(encoding="utf-8") for file in (TOP / "docs").rglob("*.md")]
    assert sorted(name for source in sources for name in MADE.findall(source)) == sorted(MAKERS)


# ---- keys


def properties(schema: Mapping[str, Any], top: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every key of a schema: the mapping that it belongs to, its name, and what is said of it."""
    for part, described in [(top, schema), *schema.get("$defs", {}).items()]:
        yield from ((part, key, value) for key, value in described.get("properties", {}).items())


def sections(page: str) -> dict[str, str]:
    found = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize("page", SCHEMAS)
def test_every_key_has_a_row(page: str) -> None:
    found = sections(PAGES[page])
    top = next(iter(found))
    wanted = {(heading(part), key) for part, key, _ in properties(SCHEMAS[page], top)}
    rows = {(title, key) for title, text in found.items() for key in re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)}
    assert len(wanted) > 20
    assert wanted == rows


def required_of(part: Mapping[str, Any]) -> set[str]:
    """Keys of a mapping without which it is none, alone or one of several."""
    choices = [part, *part.get("allOf", ()), *part.get("anyOf", ()), *part.get("oneOf", ())]
    choices += [choice for each in part.get("allOf", ()) for choice in each.get("anyOf", ())]
    return {key for choice in choices for key in choice.get("required", ())}


@pytest.mark.parametrize("page", ["scene-keys", "batch-keys"])
def test_every_key_is_described_and_has_an_example_and_a_default(page: str) -> None:
    """An example that is missing belongs into ``tau_stage/scene/examples.toml``."""
    schema = SCHEMAS[page]
    parts = {"": schema, **schema["$defs"]}
    lacking = [
        (part, key)
        for part, key, value in properties(schema, "")
        if not re.match(r"\S.{8,}[.)]$", value["description"])
        or not shows_values(value)
        or not (key in required_of(parts[part]) or "default" in value or "Default: " in value["description"])
    ]
    assert lacking == []


# ---- commands

COMMANDS = {path: (command, context) for path, command, context in walk_commands()}


def test_every_command_has_a_section() -> None:
    assert [f"tau-stage {name}" for name in sections(PAGES["commands"])] == list(COMMANDS)
    assert {path.split()[1] for path in COMMANDS} == set(main.VERBS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_stands_there_and_is_described(path: str) -> None:
    command, context = COMMANDS[path]
    section = sections(PAGES["commands"])[path.removeprefix("tau-stage ")]
    for parameter in command.get_params(context):
        if "--help" in parameter.opts or getattr(parameter, "hidden", False):
            continue
        written, means = parameter.get_help_record(context)
        assert re.match(r"[^\[]", means), f"{path} {written} has no description"
        names = parameter.opts if parameter.param_type_name == "option" else [written.partition(" ")[0]]
        assert all(name.replace("|", "\\|") in section for name in names), (path, written)


# ---- names


def test_every_public_name_stands_there_once_with_its_docstring() -> None:
    written = re.findall(r"^\.\. auto(\w+):: tau_stage\.(\w+)$", PAGES["names"], re.MULTILINE)
    assert sorted(name for _, name in written) == sorted(vars(tau_stage)["__all__"])
    for kind, name in written:
        assert kind == "data" or inspect.getdoc(getattr(tau_stage, name)), name


PUBLIC = [thing for name in vars(tau_stage)["__all__"] if isinstance(thing := getattr(tau_stage, name), type)]


@pytest.mark.parametrize("kind", PUBLIC)
def test_what_stands_before_a_colon_is_not_taken_for_the_type_of_a_property(kind: type) -> None:
    for name, thing in vars(kind).items():
        if isinstance(thing, property) and not name.startswith("_"):
            lines = inspect.getdoc(thing).splitlines()  # type: ignore[union-attr]
            told = lines[0]
            mend_docstring(None, "property", name, thing, None, lines)  # type: ignore[arg-type]
            shown = str(GoogleDocstring(lines, what="property", name=name)).removeprefix("..").strip()
            assert shown.startswith(told)
            assert ":type:" not in shown


def test_an_event_is_described_by_its_classes_and_their_fields() -> None:
    lines = ["Represent a PEP 604 union type"]
    mend_docstring(None, "data", "tau_stage.Event", tau_stage.Event, None, lines)  # type: ignore[arg-type]
    told = {found[1]: found[2] for line in lines if (found := re.match(r"- ``(\w+)`` \((.+?)\): \S", line))}
    assert {"``.player``", "``.said``"} <= set(told["LineSpoken"].split(", "))
    assert "``.text``" in told["Warned"]
    assert "``.dbfs``" in told["AudioProgress"]
    assert told.keys().isdisjoint({"Record", "LineRecord"})


def test_what_only_the_house_calls_is_marked_and_what_users_call_is_not() -> None:
    methods = {name: thing for name, thing in vars(tau_stage.Session).items() if inspect.isfunction(thing)}
    private = {name for name, thing in methods.items() if ":meta private:" in (thing.__doc__ or "")}
    assert private >= {
        "begin",
        "assume",
        "swap",
        "take_in",
        "take_end",
        "take_sound",
        "warn",
        "over",
        "fresh",
        "new_wire",
    }
    page = (TOP / "docs" / "session.md").read_text(encoding="utf-8")
    assert private.isdisjoint(re.findall(r"`(\w+)(?:\(.*?\))?`", page))


# ---- variables

OURS = re.compile(r"TAU_\w+|XDG_\w+|\w+_API_KEY|NO_COLOR|CI")


def variables_in(code: str) -> set[str]:
    """Texts of a module that are names of variables of the environment."""
    texts = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and OURS.fullmatch(text)}


def test_every_variable_that_the_code_knows_is_described() -> None:
    code = [path.read_text(encoding="utf-8") for path in (TOP / "tau_stage").rglob("*.py")]
    proxies = {name for names in PROXY_VARIABLES.values() for name in names}
    known = set().union(*map(variables_in, code)) - {"TAU_STAGE"} | KEYS | ADDRESSES | proxies
    written = set(re.findall(r"`(\w+)`", PAGES["environment"]))
    assert "XDG_CACHE_HOME" in known
    assert known - written == set()


# ---- exit codes


def test_every_exit_code_stands_there_and_no_other() -> None:
    codes = {
        main.FINE,
        main.FAILED,
        main.SCENE_WRONG,
        main.PROVIDER_FAILED,
        main.OVER_BUDGET,
        main.OUR_BUG,
        main.INTERRUPTED,
    }
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["exit-codes"], re.MULTILINE)} == codes


# ---- events of --stream

EVENTS = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", PAGES["stream"], re.MULTILINE))


def test_every_event_of_a_stream_stands_there_with_its_fields() -> None:
    assert EVENTS.keys() == {kind for kind, _ in STREAMED.values()} | {"resumed"}
    for kind, fields in STREAMED.values():
        assert set(fields) <= set(re.findall(r"`(\w+)`", EVENTS[kind]))
    assert set(get_args(SessionStatus)) - {"closed"} <= set(re.findall(r"`(\w+)`", EVENTS["state"]))


@pytest.mark.slow
def test_a_stream_holds_nothing_and_a_take_leaves_no_file_that_does_not_stand_there(tmp_path: Path) -> None:
    """Slow: the embedded understudy, with its neural voices."""
    assert run("run", str(TOP / "scenes" / "household.yaml"), "--stand-in", "--stream", "events.jsonl", "--quiet") == 0
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {event["type"] for event in events} >= {"words", "call", "line"}
    for event in events:
        written = set(re.findall(r"`(\w+)`", EVENTS[event["type"]])) | {"type", "scene"}
        assert event.keys() <= written
    page = (TOP / "docs" / "takes.md").read_text(encoding="utf-8")
    take = tmp_path / "takes" / "household" / "latest"
    left = [file.relative_to(take) for file in take.rglob("*") if file.is_file()]
    assert len(left) > 10
    assert [file for file in left if f"`{file.parts[0]}" not in page and f"`{file.suffix}`" not in page] == []
