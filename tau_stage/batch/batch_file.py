"""The batch file: which scenes are performed, in which variants and languages, where to, and within which limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from glob import glob
from os.path import normpath
from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema

from tau_stage.batch.engine_layouts import LayoutName
from tau_stage.scene import (
    ANY_NUMBER,
    IGNORED,
    ONLY_DELIVER,
    SCALAR,
    SCHEMA_DIALECT,
    Boolean,
    Count,
    Deliver,
    Diagnostics,
    Dollars,
    EditorSchema,
    Form,
    Names,
    Node,
    PerMinute,
    SceneModel,
    Text,
    Title,
    Variant,
    allow_short_forms,
    did_you_mean,
    listed,
    option,
    read_source,
    read_yaml,
    slug,
    variants,
    without_nulls,
    wrong,
)
from tau_stage.tables import FIELDS

BATCH_FILE = "the batch file"
STATUS = ".status"  # ends the stem of a table that is written beside another


def _columns(what: str, parts: Sequence[str], value: object) -> object:
    """Read headers by what their columns hold."""
    hint = f"write: columns: {{{parts[0]}: HEADER}}"
    if not isinstance(value, dict):
        raise wrong("'columns' must be a mapping of fields to headers", hint)
    for part, header in value.items():
        if part not in parts:
            hint = did_you_mean(part, parts, f"known fields: {listed(parts)}")
            raise wrong(f"{what} has no field '{part}'", hint, inside=(part,), key=True)
        if not isinstance(header, str) or not header:
            raise wrong(f"'{part}' needs a column header", hint, inside=(part,))
    return value


def _headers(parts: Iterable[str]) -> WithJsonSchema:
    fields = dict.fromkeys(parts, SCALAR)
    return WithJsonSchema({"type": "object", "properties": fields, "additionalProperties": False, **IGNORED})


Columns = Annotated[
    Mapping[str, str], BeforeValidator(partial(_columns, "a line of a table", FIELDS)), _headers(FIELDS)
]


class Language(SceneModel):
    """One language of a batch: its words, its cast and the files that override each scene."""

    FORM = Form("language <name>", "write: de: {lines: dialogue.de.csv, cast: cast.de.yaml}, or {} for no changes")

    include: Names = option("Files with players, variables or defaults. They override the scene.", ())
    lines: Names = option("Tables with the words in this language. Lines are matched by id.", ())
    cast: Text | None = option("The file that defines the players for this language. Default: the batch's cast.")
    columns: Columns = option(
        "Column headers in the tables in 'lines', or in the batch's tables if 'lines' is not set, "
        "for example {words: Deutsch}.",
        {},
    )


class BatchLimits(SceneModel):
    """Limits for a batch, across all its workers."""

    FORM = Form("'limits'", "write: limits: {budget: $200, start_rate: 30/min}")

    budget: Dollars | None = option("Maximum total cost of the batch, for example $200. Default: no limit.")
    start_rate: PerMinute | None = option(
        "Maximum rate at which sessions open, for example 30/min. Default: each endpoint's rate."
    )
    sessions: Count | None = option("Maximum number of open sessions. Default: no limit.")
    tokens: PerMinute | None = option("Maximum number of tokens per minute, for example 200000/min. Default: no limit.")


class Retry(SceneModel):
    """How to handle scenes that fail."""

    FORM = Form("'retry'", "write: retry: {times: 2}", short="times", without="off")

    times: Count = option("Maximum number of retries of a scene in one run. Default: 2.", 2)


class Export(SceneModel):
    """The lines as audio files by id and language, in the layout that a game engine expects."""

    FORM = Form("'export'", "write: export: {layout: wwise, to: game}", short="layout", without="none")

    layout: LayoutName = option(
        "The layout: plain, wwise, unreal, yarn, renpy, fmod, naninovel, unity or dink. Default: plain.",
        "plain",
    )
    to: Text = option("The folder, relative to the batch file. Default: export.", "export")


STATUS_HEADERS = {"status": "Status", "file": "Audio File", "seconds": "Seconds", "said": "Said"}
"""Headers of the columns that hold the status of a line."""

StatusColumns = Annotated[
    Mapping[str, str], BeforeValidator(partial(_columns, "the status", tuple(STATUS_HEADERS))), _headers(STATUS_HEADERS)
]


class TableStatus(SceneModel):
    """The results for each line, written back into its table."""

    FORM = Form("'status'", "write: status: {columns: {status: Recorded}}, or status: on", anything="on", without="off")

    columns: StatusColumns = option(
        "Column headers for 'status', 'file', 'seconds' and 'said'. Use none to omit a column.", {}
    )
    in_place: Boolean = option(
        "Whether to write to the source tables instead of new files next to them. Default: false.", False
    )

    @property
    def headers(self) -> dict[str, str]:
        """What each column is called, by what it holds."""
        return STATUS_HEADERS | dict(self.columns)


class Batch(SceneModel):
    """A batch: scenes and lines, in variants and languages."""

    FORM = Form(
        "the batch",
        strays={
            "include": "write it under a language: languages: {de: {include: [cast.de.yaml]}}",
            "vars": "use a matrix instead: matrix: {mood: [calm, cross]}",
            "budget": "write it under limits: {budget: $200}",
            "players": "put the players in a separate file: cast: cast.yaml",
        },
    )

    title: Title = option("The batch's title. Default: the file's name.", "", alias="batch")
    scenes: Names = option("Scene files, by name or pattern: [scenes/*.yaml].", ())
    lines: Names = option(
        "Tables of lines, by name or pattern: CSV and other formats. Scenes are created from them.", ()
    )
    cast: Text | None = option("The file that defines the players who speak the lines.")
    columns: Columns = option("Column headers in the tables, for example {id: Line ID, words: Text}.", {})
    markup: Literal["plain", "scene"] = option(
        "With 'scene', words are parsed as in a scene file, for example (softly) Hello. With 'plain', "
        "everything is spoken. Default: plain.",
        "plain",
    )
    format: Text | None = option("Format of the tables. Default: detected from their names and headers.")
    matrix: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Variables, each with a list of values. Every scene is performed with each combination.",
    )
    languages: Mapping[str, Language] = Field(
        default_factory=dict,
        description="Changes to the scenes for each language, by language code: {en: {}, de: {include: de.yaml}}.",
    )
    deliver: Deliver | None = option(
        "The files to create from each take. Overrides the 'deliver' of each scene. Default: the scene's setting."
    )
    export: Export | None = option(
        "Where to write an audio file for each line, by id and language, at the end of each run."
    )
    status: TableStatus | None = option("Write the status of each line to tables at the end of each run.")
    store: Text = option("Where to write all results: a folder, or s3://…, gs://…, abfs://…. Default: out.", "out")
    limits: BatchLimits = Field(
        default_factory=BatchLimits, description="Limits for the whole batch. Default: no limits."
    )
    retry: Retry | None = Field(default_factory=Retry, description="How to retry scenes that fail. Default: 2 retries.")
    path: SkipJsonSchema[str] = option("The file, as the user named it.", "", exclude=True)
    files: SkipJsonSchema[tuple[str, ...]] = option("The scene files, in order.", (), exclude=True)
    tables: SkipJsonSchema[tuple[str, ...]] = option("The tables of lines, in order.", (), exclude=True)
    variants: SkipJsonSchema[tuple[Variant, ...]] = option("The combinations of the matrix.", (), exclude=True)

    def overlays(self, language: str) -> tuple[str, ...]:
        """Return the files that are laid over each scene: those of a language, and the batch itself."""
        files = self.languages[language].include if language else ()
        own = [self.path + ONLY_DELIVER] if self.deliver else []
        return (*self.beside(files), *own)

    def beside(self, names: Iterable[str]) -> list[str]:
        """Return files that the batch names, from where it was named itself."""
        return [str(Path(self.path).parent / name) for name in names]

    def cast_of(self, language: str) -> str:
        """Return the file with the players of a language."""
        own = self.languages[language].cast if language else None
        return self.beside([own or self.cast or ""])[0]

    @property
    def own_columns(self) -> Mapping[str, str]:
        """The headers of the batch's own lines: of its first language, where each names the column of its words."""
        inside = [language.columns for language in self.languages.values() if not language.lines]
        is_named = "words" in self.columns or not all("words" in columns for columns in inside)
        return {**self.columns, **({} if is_named or not inside else inside[0])}

    @property
    def home(self) -> str:
        """The store; a folder is relative to the batch file."""
        return self.store if "://" in self.store else str(Path(self.path).parent / self.store)

    @property
    def export_folder(self) -> str:
        """The folder that lines are exported into."""
        return str(Path(self.path).parent / (self.export.to if self.export else Export().to))


READ_APART = ("matrix", "languages")


def is_batch(path: str) -> bool:
    """Tell whether a file is a batch file: it has ``batch``, scenes, or lines with a cast or languages."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return False
    lines = (line.partition(":") for line in text.splitlines() if line[:1].isalpha() and ":" in line)
    keys = {key.rstrip(): value.strip() for key, _, value in lines}
    is_scene = keys.keys() & {"scene", "script", "players"}
    names_cast = "lines" in keys and keys.get("cast", "{")[:1] not in ("{", "#", "")  # players are a mapping
    is_named = names_cast or {"lines", "languages"} <= keys.keys()
    return "batch" in keys or (not is_scene and ("scenes" in keys or is_named))


def load_batch(path: str, *, most: int = ANY_NUMBER) -> Batch:
    """Read and validate a batch file, and find its scenes; those are not read yet.

    Args:
        path: The file.
        most: How many combinations its matrix may make.

    Raises:
        SceneError: The file cannot be read, or is wrong; further errors are in its ``also``.
    """
    errors = Diagnostics(read_yaml(read_source(path, BATCH_FILE)))
    entries = errors.entries(errors.document.data, (), "the batch")
    known = errors.known(entries, Batch, ())
    options = errors.options(Batch, {key: node for key, node in known.items() if key not in READ_APART}, ())
    named = list(variants({"matrix": known.get("matrix", "")}, (), errors, most))
    languages = _languages(known.get("languages", ""), errors)
    values = {
        "batch": PurePath(path).stem,
        **{key: value for key, value in options.items() if value is not None},
        "matrix": {name: () for variant in named[:1] for name in variant.values},
        "languages": languages,
        "path": path,
        "variants": tuple(named),
    }
    if known.get("retry") == Retry.FORM.without:
        values["retry"] = None
    if not {"scenes", "lines"} & known.keys():
        errors.add((), "the batch has no scenes and no lines", "write scenes: [scenes/*.yaml], or lines: dialogue.csv")
    batch = errors.build(Batch, values, ())
    files = _files(batch.scenes, ("scenes",), errors) if batch else ()
    tables = _files(batch.lines, ("lines",), errors) if batch else ()
    if batch:
        _check_cast(batch, errors)
    errors.raise_any()
    assert batch is not None  # noqa: S101 - without its wrong options it is one
    return batch.model_copy(update={"files": files, "tables": tables})


def _languages(node: Node, errors: Diagnostics) -> dict[str, Language]:
    found: dict[str, Language] = {}
    entries = errors.entries(node, ("languages",), "'languages'", "write: {en: {}, de: {include: cast.de.yaml}}")
    for name, part in entries.items():
        found[name] = errors.load(Language, part, ("languages", name)) or Language()
        if slug(name) != name.lower():
            hint = "use a language code, for example en, de or pt-br"
            errors.add(
                ("languages", name),
                f"'{name}' is not a valid language name, because languages are also folder names",
                hint,
                key=True,
            )
        for file in (*found[name].include, *found[name].lines):
            _check_file(file, ("languages", name), errors)
    return found


def _check_file(file: str, path: tuple[str, ...], errors: Diagnostics) -> None:
    """Note a file that is not there."""
    if not (there := Path(errors.document.source.path).parent / file).is_file():
        beside = [each.name for each in sorted(there.parent.glob(f"*{there.suffix}"))]
        hint = did_you_mean(there.name, beside, "specify a path relative to the batch file")
        errors.add(path, f"file not found: '{file}'", hint)


_NO_TABLE = ("the batch has columns, but no tables", "add the tables: lines: dialogue.csv")


def _check_cast(batch: Batch, errors: Diagnostics) -> None:
    """Make sure that there are lines, and somebody who speaks them, in each language."""
    if not batch.lines:
        _refuse_without_lines(batch, errors)
    if batch.cast:
        _check_file(batch.cast, ("cast",), errors)
    for name, language in batch.languages.items():
        if language.cast:
            _check_file(language.cast, ("languages", name), errors)
    has_casts = bool(batch.languages) and all(language.cast for language in batch.languages.values())
    if batch.lines and not (batch.cast or has_casts):
        hint = f"add a file with the players: cast: cast.yaml; tau-stage cast {batch.lines[0]} writes one"
        errors.add(("lines",), "the batch has lines, but no cast", hint, key=True)


def _refuse_without_lines(batch: Batch, errors: Diagnostics) -> None:
    """Refuse what only lines of tables can have."""
    for name, language in batch.languages.items():
        if language.lines:
            hint = "add the tables that the ids come from: lines: dialogue.csv"
            errors.add(("languages", name), "a language has lines, but the batch has none", hint)
        elif language.columns:
            errors.add(("languages", name, "columns"), *_NO_TABLE, key=True)
    if batch.columns:
        errors.add(("columns",), *_NO_TABLE, key=True)


def _matched(home: Path, pattern: str) -> dict[str, str]:
    """Return the files of a pattern by where they are; a file of that very name is the only one."""
    matched = sorted(glob(pattern, root_dir=home, recursive=True))  # noqa: PTH207 - that of Path has no absolute ones
    named = (str(home / each) for each in ([pattern] if (home / pattern).is_file() else matched))
    return {normpath(Path(each).absolute()): each for each in named if Path(each).is_file()}


def _files(patterns: Sequence[str], path: tuple[str], errors: Diagnostics) -> tuple[str, ...]:
    """Find the files of patterns, in their order, each once; the batch file is none of them."""
    home, what = Path(errors.document.source.path).parent, {"scenes": "scene file", "lines": "table"}[path[0]]
    found: dict[str, str] = {}
    for pattern in patterns:
        files = _matched(home, pattern)
        if path == ("scenes",):
            files = {place: file for place, file in files.items() if not is_batch(file)}
        elif not (home / pattern).is_file():  # what a run has written beside its tables is none of them
            files = {place: file for place, file in files.items() if not PurePath(file).stem.endswith(STATUS)}
        if not files:
            like = {"scenes": "[scenes/*.yaml]", "lines": "dialogue.csv"}[path[0]]
            hint = f"specify {what}s relative to the batch file, for example {like}"
            errors.add(path, f"no {what} matches '{pattern}'", hint)
        found |= {place: file for place, file in files.items() if place not in found}
    return tuple(found.values())


def batch_schema() -> str:
    """Return the schema as the text of ``schemas/batch.schema.json``."""
    schema: JsonSchemaValue = Batch.model_json_schema(schema_generator=EditorSchema)
    allow_short_forms(schema)
    values = {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}
    schema["properties"]["matrix"]["additionalProperties"] = values
    language = schema["properties"]["languages"]["additionalProperties"]
    schema["properties"]["languages"]["additionalProperties"] = {"anyOf": [language, {"type": "null"}]}
    times = {key: value for key, value in schema["$defs"]["Retry"]["properties"]["times"].items() if key != "default"}
    forms = [{"$ref": "#/$defs/Retry"}, {"enum": [Retry.FORM.without, False]}, times]
    schema["properties"]["retry"] = {"anyOf": forms, "description": Batch.model_fields["retry"].description}
    schema["properties"]["status"]["anyOf"].append({"type": "boolean"})  # as YAML reads on and off
    for named in ("matrix", "languages"):
        schema["properties"][named].update(IGNORED)
    schema["anyOf"] = [{"required": ["scenes"]}, {"required": ["lines"]}]
    schema.update(IGNORED)
    return json.dumps(without_nulls({"$schema": SCHEMA_DIALECT, **schema}), indent=2, ensure_ascii=False) + "\n"
