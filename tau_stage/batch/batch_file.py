"""The batch file: which scenes are performed, in which variants and languages, where to, and within which limits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from glob import glob
from os.path import normpath
from pathlib import Path, PurePath

from pydantic import Field
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema

from tau_stage.batch.engine_layouts import LayoutName
from tau_stage.scene import (
    ANY_NUMBER,
    IGNORED,
    ONLY_DELIVER,
    SCHEMA_DIALECT,
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
    did_you_mean,
    option,
    read_source,
    read_yaml,
    slug,
    variants,
    without_nulls,
)

BATCH_FILE = "the batch file"

_LATER = "tables of lines are not known yet: write scene files, and name them under 'scenes:'"


class Language(SceneModel):
    """One language of a batch: files that are laid over each scene."""

    FORM = Form("language <name>", "write it like de: {include: [cast.de.yaml]}, or {} for the scenes as they are")

    include: Names = option("Files with players, variables or defaults; what stands there wins over the scene.", ())


class BatchLimits(SceneModel):
    """What a batch may not exceed, with all its workers."""

    FORM = Form("limits", "write it like limits: {budget: $200, start_rate: 30/min}")

    budget: Dollars | None = option("What the batch may cost in all, like $200. Default: no limit.")
    start_rate: PerMinute | None = option("How fast sessions open, like 30/min. Default: as each endpoint wants it.")
    sessions: Count | None = option("How many sessions may be open at once. Default: no limit.")
    tokens: PerMinute | None = option("Tokens that may be used in a minute, like 200000/min.")


class Retry(SceneModel):
    """What is done about scenes that fail."""

    FORM = Form("retry", "write it like retry: {times: 2}", short="times", without="off")

    times: Count = option("How often a scene is tried again in one run. Default: 2.", 2)


class Export(SceneModel):
    """The lines as files by id and language, where an engine looks for them."""

    FORM = Form("export", "write it like export: {layout: wwise, to: game}", short="layout", without="none")

    layout: LayoutName = option(
        "Whose folders and names: plain, wwise, unreal, yarn, renpy, fmod, naninovel, unity, dink. Default: plain.",
        "plain",
    )
    to: Text = option("The folder, relative to the batch file. Default: export.", "export")


class Batch(SceneModel):
    """A batch: scenes, in variants and languages."""

    FORM = Form(
        "the batch",
        strays={
            **dict.fromkeys(("lines", "cast", "columns"), _LATER),
            "include": "a language includes files: languages: {de: {include: [cast.de.yaml]}}",
            "vars": "scenes have variables; a batch varies them: matrix: {mood: [calm, cross]}",
            "budget": "it belongs under limits: {budget: $200}",
            "players": "scenes have players; a language may replace them: languages: {de: {include: [cast.de.yaml]}}",
        },
    )

    title: Title = option("The batch's title. Default: the file's name.", "", alias="batch")
    scenes: Names = Field(description="Scene files, by name or pattern: [scenes/*.yaml].")
    matrix: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Variables of all scenes with several values each: each combination is one."
    )
    languages: Mapping[str, Language] = Field(
        default_factory=dict, description="By its code, what is laid over each scene: {en: {}, de: {include: de.yaml}}."
    )
    deliver: Deliver | None = option(
        "What is made of each take; it is laid over the 'deliver' of each scene, and wins."
    )
    export: Export | None = option("Where the lines go as files by id and language, at the end of each run.")
    store: Text = option("Where everything is left: a folder, or s3://…, gs://…, abfs://…. Default: out.", "out")
    limits: BatchLimits = Field(default_factory=BatchLimits, description="What the batch may not exceed.")
    retry: Retry | None = Field(default_factory=Retry, description="What is done about scenes that fail.")
    path: SkipJsonSchema[str] = option("The file, as the user named it.", "", exclude=True)
    files: SkipJsonSchema[tuple[str, ...]] = option("The scene files, in order.", (), exclude=True)
    variants: SkipJsonSchema[tuple[Variant, ...]] = option("The combinations of the matrix.", (), exclude=True)

    def overlays(self, language: str) -> tuple[str, ...]:
        """Return the files that are laid over each scene: those of a language, and the batch itself."""
        files = self.languages[language].include if language else ()
        own = [self.path + ONLY_DELIVER] if self.deliver else []
        return (*(str(Path(self.path).parent / name) for name in files), *own)

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
    """Tell whether a file is a batch file: it has a mapping with ``batch``, or with scenes and no lines."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return False
    keys = {line.partition(":")[0].rstrip() for line in text.splitlines() if line[:1].isalpha() and ":" in line}
    return "batch" in keys or ("scenes" in keys and not keys & {"scene", "lines", "script", "players"})


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
    if "scenes" not in known:
        errors.add((), "the batch names no scenes", "write them like scenes: [scenes/*.yaml]")
    batch = errors.build(Batch, values, ())
    files = _files(batch.scenes if batch else (), errors)
    errors.raise_any()
    assert batch is not None  # noqa: S101 - without its wrong options it is one
    return batch.model_copy(update={"files": files})


def _languages(node: Node, errors: Diagnostics) -> dict[str, Language]:
    found: dict[str, Language] = {}
    entries = errors.entries(node, ("languages",), "languages", "write it like {en: {}, de: {include: cast.de.yaml}}")
    for name, part in entries.items():
        found[name] = errors.load(Language, part, ("languages", name)) or Language()
        if slug(name) != name.lower():
            hint = "write a code, like en, de or pt-br"
            errors.add(("languages", name), f"'{name}' cannot be a language, as languages name folders", hint, key=True)
        for file in found[name].include:
            if not (there := Path(errors.document.source.path).parent / file).is_file():
                beside = [each.name for each in sorted(there.parent.glob("*.y*ml"))]
                hint = did_you_mean(there.name, beside, "name a file beside the batch file")
                errors.add(("languages", name), f"the file '{file}' does not exist", hint)
    return found


def _files(patterns: Sequence[str], errors: Diagnostics) -> tuple[str, ...]:
    """Find the scene files, in the order of their patterns, each once; the batch file is none of them."""
    home = Path(errors.document.source.path).parent
    found: dict[str, str] = {}
    for pattern in patterns:
        matched = sorted(glob(pattern, root_dir=home, recursive=True))  # noqa: PTH207 - that of Path has no absolute ones
        named = (str(home / each) for each in ([pattern] if (home / pattern).is_file() else matched))
        files = {normpath(Path(each).absolute()): each for each in named if Path(each).is_file() and not is_batch(each)}
        if not files:
            hint = "name scene files relative to the batch file, like [scenes/*.yaml]"
            errors.add(("scenes",), f"there is no scene file '{pattern}'", hint)
        found |= {place: file for place, file in files.items() if place not in found}
    return tuple(found.values())


def batch_schema() -> str:
    """Return the schema as the text of ``schemas/batch.schema.json``."""
    schema: JsonSchemaValue = Batch.model_json_schema(schema_generator=EditorSchema)
    values = {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}
    schema["properties"]["matrix"]["additionalProperties"] = values
    language = schema["properties"]["languages"]["additionalProperties"]
    schema["properties"]["languages"]["additionalProperties"] = {"anyOf": [language, {"type": "null"}]}
    times = {key: value for key, value in schema["$defs"]["Retry"]["properties"]["times"].items() if key != "default"}
    forms = [{"$ref": "#/$defs/Retry"}, {"enum": [Retry.FORM.without, False]}, times]
    schema["properties"]["retry"] = {"anyOf": forms, "description": Batch.model_fields["retry"].description}
    layout = schema["$defs"]["Export"]["properties"]["layout"]["enum"]
    forms = [{"$ref": "#/$defs/Export"}, {"enum": [*layout, Export.FORM.without, None]}]
    schema["properties"]["export"] = {"anyOf": forms, "description": Batch.model_fields["export"].description}
    for named in ("matrix", "languages"):
        schema["properties"][named].update(IGNORED)
    schema["required"] = ["scenes"]
    schema.update(IGNORED)
    return json.dumps(without_nulls({"$schema": SCHEMA_DIALECT, **schema}), indent=2, ensure_ascii=False) + "\n"
