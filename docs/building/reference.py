"""What the reference's pages are made of, from the product itself: its schemas, its commands, its public names.

A page has a comment like ``<!-- made: commands -->``, and what is made stands in its place on the site.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, get_args

import typer
from genai_prices.data import providers

import tau_stage
from docs.building.schema_tables import as_text, key_tables
from tau_stage.batch import batch_schema
from tau_stage.cli.main import app
from tau_stage.cost import prices, retirement_of
from tau_stage.protocol import ENDPOINTS
from tau_stage.scene import DEFAULT_MODEL, scene_schema
from tau_stage.take import take_schema

SPOKEN_TOKENS_A_SECOND = 20  # developers.openai.com/api/docs/guides/realtime-costs
MADE = re.compile(r"^<!-- made: (?P<name>[\w -]+) -->$", re.MULTILINE)


def complete(page: str) -> str:
    """Put what is made in the place of the comments that name it.

    >>> complete("<!-- made: nothing -->")
    Traceback (most recent call last):
    KeyError: 'nothing'
    """
    return MADE.sub(lambda comment: MAKERS[comment["name"]](), page)


# ---- commands


def commands() -> str:
    """Describe every command with its arguments and options, as ``--help`` does."""
    return "\n".join(_command(path, command, context) for path, command, context in walk_commands())


def walk_commands() -> Iterator[tuple[str, Any, Any]]:
    """Yield every command that has no commands of its own, with how it is typed."""
    yield from _walk("tau-stage", typer.main.get_command(app), None)


def _walk(path: str, command: Any, parent: Any) -> Iterator[tuple[str, Any, Any]]:
    context = command.context_class(
        command, info_name=path.rpartition(" ")[2], parent=parent, **command.context_settings
    )
    if not hasattr(command, "list_commands"):
        yield path, command, context
        return
    for name in command.list_commands(context):
        yield from _walk(f"{path} {name}", command.get_command(context, name), context)


def _command(path: str, command: Any, context: Any) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"## {path.removeprefix('tau-stage ')}", f"```text\n{path} {usage}\n```"]
    parts += map(as_text, re.split(r"\n\s*\n", command.help or ""))
    rows = [_parameter(parameter.get_help_record(context)) for parameter in command.get_params(context)]
    if rows := [row for row in rows if row]:
        parts.append("\n".join(["| argument or option | meaning |", "|---|---|", *rows]))
    return "\n\n".join([*parts, ""])


def _parameter(record: tuple[str, str] | None) -> str:
    if record is None or record[0].endswith("--help"):
        return ""
    written, means = (part.replace("|", "\\|") for part in record)
    return f"| `{written}` | {as_text(means)} |"


# ---- names


def names() -> str:
    """List the public names for Sphinx, which writes down their signatures and docstrings."""
    kinds = {"Functions": "function", "Classes": "class", "Errors": "exception", "Data": "data"}
    found: dict[str, list[str]] = {heading: [] for heading in kinds}
    for name in sorted(vars(tau_stage)["__all__"], key=str.lower):
        found[_kind(getattr(tau_stage, name))].append(name)
    sections = []
    for heading, kind in kinds.items():
        blocks = "\n\n".join(f".. auto{kind}:: tau_stage.{name}" for name in found[heading])
        sections.append(f"## {heading}\n\n```{{eval-rst}}\n{blocks}\n```\n")
    return "\n".join(sections)


def members_of(union: UnionType) -> list[str]:
    """Describe a union for Sphinx: each class with its fields and what it is; subclasses stand for their base.

    >>> from tau_stage import LineSpoken, Warned
    >>> members_of(LineSpoken | Warned)[0]
    'An event is an instance of one of these classes:'
    """
    members = [member for listed in get_args(union) for member in _leaves(listed)]
    return [
        "An event is an instance of one of these classes:",
        "",
        *(f"- {_described(member)}" for member in members),
        "",
    ]


def _leaves(base: type) -> list[type]:
    """Return a class, or the classes that are made of it where it has subclasses."""
    kinds: list[type] = type.__subclasses__(base)
    return [leaf for kind in kinds for leaf in _leaves(kind)] or [base]


def _described(member: type) -> str:
    known = [field.name for field in fields(member)] if is_dataclass(member) else getattr(member, "model_fields", ())
    shown = ", ".join(f"``.{name}``" for name in known)
    return f"``{member.__name__}`` ({shown or 'none'}): {(member.__doc__ or '').splitlines()[0]}"


def _kind(thing: object) -> str:
    if not isinstance(thing, type):
        return "Functions" if callable(thing) else "Data"
    return "Errors" if issubclass(thing, Exception) else "Classes"


# ---- variables


def variables() -> str:
    """List the variables in which endpoints look for keys and addresses."""
    lines = ["| endpoint | key | address |", "|---|---|---|"]
    for name, endpoint in ENDPOINTS.items():
        keys = " or ".join(f"`{key}`" for key in endpoint.key_env)
        lines.append(f"| `{name}` | {keys} | {f'`{endpoint.resource_env}`' if endpoint.resource_env else ''} |")
    return "\n".join(lines)


# ---- models


def speech_models() -> str:
    """List the models of OpenAI's speech endpoint with their ends and prices, and what succeeds them."""
    (listed,) = (provider.models for provider in providers if provider.id == "openai")
    ending = [(model, retirement_of(model.id)) for model in listed if re.search(r"\btts\b", model.id)]
    rows = ["| model | retirement | price |", "|---|---|---|"]
    rows += [f"| `{model.id}` | {end.ends} | {_price(model.prices)} |" for model, end in ending if end]
    spoken = prices(DEFAULT_MODEL).per_million["audio_out"]
    a_minute = spoken * SPOKEN_TOKENS_A_SECOND * 60 / 1_000_000
    rows.append(
        f"| `{DEFAULT_MODEL}`, the successor | | ${spoken} per million output tokens (${a_minute:.3f} a minute) |"
    )
    return "\n".join(rows)


def _price(listed: object) -> str:
    """Write a price list in words.

    >>> _price("$0.6/input MTok, $12/output MTok"), _price("$15/input characters M")
    ('$0.6 per million input tokens, $12 per million output tokens', '$15 per million characters')
    """
    by_token = re.sub(r"/(\w+) MTok", r" per million \1 tokens", str(listed))
    return by_token.replace("/input characters M", " per million characters")


MAKERS: dict[str, Callable[[], str]] = {
    "scene keys": lambda: key_tables(json.loads(scene_schema()), "Scene"),
    "batch keys": lambda: key_tables(json.loads(batch_schema()), "Batch"),
    "take keys": lambda: key_tables(take_schema(), "Take"),
    "commands": commands,
    "names": names,
    "speech models": speech_models,
    "variables": variables,
}
