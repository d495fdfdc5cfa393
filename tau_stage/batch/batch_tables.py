"""The tables of a batch: its lines in each language, which of them nobody has translated, and which have changed since.

The batch's own tables say which lines there are, in which order, and who says them. A language has the words for their
ids; what it does not have is not made up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tau_stage.batch.batch_file import Batch, Language
from tau_stage.errors import SceneError, UsageError
from tau_stage.protocol import JsonObject
from tau_stage.scene import load_cast
from tau_stage.tables import PLAIN, LineTable, Sheet, TableLine, raise_all, read_table, translated
from tau_stage.text import counted

NO_LANGUAGE = ""


@dataclass(frozen=True, slots=True)
class LanguageTables:
    """The lines of a batch in one language.

    Attributes:
        tables: One for each of the batch's own, in its order, with the lines that this language has.
        sources: The files that its words are from.
        missing: Ids of lines that nobody has translated.
        stale: Ids of lines whose translation is of an older text.
        unknown: Ids that the batch's own tables do not have.
    """

    tables: Sequence[LineTable]
    sources: Sequence[LineTable]
    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def told(self, language: str) -> list[str]:
        """Say what is missing, stale or unknown, a sentence each."""
        kinds = ("missing", "based on an older source text", "with no matching line in the batch")
        found = zip((self.missing, self.stale, self.unknown), kinds, strict=True)
        return [f"{language}: {counted(len(ids), 'translation')} {kind}: {_some(ids)}" for ids, kind in found if ids]


def _some(ids: Sequence[str], most: int = 5) -> str:
    more = [f"and {len(ids) - most:,} more"] if len(ids) > most else []
    return ", ".join((*ids[:most], *more))


def read_tables(batch: Batch) -> dict[str, LanguageTables]:
    """Read the tables of a batch in all its languages, by language; none, where the batch has no lines.

    Raises:
        SceneError: A table cannot be read, a line is wrong, or two lines have one id; further errors are in its
            ``also``.
        UsageError: A table needs a library that is not installed.
    """
    if not batch.tables:
        return {}
    first = next(iter(batch.languages), NO_LANGUAGE)
    cast = load_cast(batch.cast_of(first), batch.variants[0].values, overlays=batch.overlays(first))
    read = partial(read_table, players=tuple(cast.players))  # transcripts need to know the names
    own = [read(path, batch.own_columns, batch.format, first) for path in batch.tables]
    raise_all([*_twins(own)])
    _refuse_headers(batch, own)
    whole = replace(own[0], lines=tuple(line for table in own for line in table.lines))
    spoken = {NO_LANGUAGE: Language()} if not batch.languages else batch.languages
    return {code: _in_language(batch, code, language, own, whole) for code, language in spoken.items()}


def _twins(tables: Sequence[LineTable]) -> Iterable[SceneError]:
    """Yield an error for each line whose id a line in another table has."""
    seen: dict[str, LineTable] = {}
    for table in tables:
        for line in table.lines:
            other = seen.setdefault(line.id.casefold(), table)
            if other is not table:
                yield line.place.error("id", f"the id '{line.id}' is already used in {other.path}", "choose another id")


def _refuse_headers(batch: Batch, tables: Sequence[LineTable]) -> None:
    """Refuse a status that would be written over the lines themselves."""
    if not batch.status:
        return
    hint = "use a different header, for example: status: {columns: {...}}"
    headers = [header for header in batch.status.headers.values() if header != "none"]
    if twice := next((header for header in headers if headers.count(header) > 1), ""):
        raise UsageError(f"two status columns have the same header '{twice}'", hint)
    read = ((table, *found) for table in tables for sheet in table.sheets for found in sheet.columns.items())
    for table, part, column in read:
        if column.header in headers:
            raise UsageError(f"the column '{column.header}' of {table.path} is already the column for {part}", hint)


def _refuse_no_columns(code: str, tables: Iterable[LineTable]) -> None:
    """Refuse columns of a language in tables that have none, such as transcripts."""
    if table := next((table for table in tables if not any(sheet.columns for sheet in table.sheets)), None):
        problem = f"the language {code} has columns, but {table.path} is not a table with columns"
        raise UsageError(problem, f"specify the tables with its words: languages: {{{code}: {{lines: FILE}}}}")


def _in_language(
    batch: Batch, code: str, language: Language, own: Sequence[LineTable], whole: LineTable
) -> LanguageTables:
    if language.lines:
        named = {part: header for part, header in batch.columns.items() if part in ("id", "words")}
        columns, files, kind = {**named, **language.columns}, batch.beside(language.lines), None
    else:
        columns, files, kind = {**batch.columns, **language.columns}, list(batch.tables), batch.format
        if not language.columns or columns == batch.own_columns:
            return LanguageTables([replace(table, language=code) for table in own], own)
        _refuse_no_columns(code, own)
    return _translated([read_table(path, columns, kind, code, base=whole) for path in files], own, whole)


def _translated(read: Sequence[LineTable], own: Sequence[LineTable], whole: LineTable) -> LanguageTables:
    """Put the words of a language's tables into those of the batch."""
    raise_all([*_twins(read)])
    words = {line.id: line for table in read for line in table.lines}
    merged = replace(read[0], lines=tuple(words.values()))
    tables = [replace(translated(table, merged), path=table.path) for table in own]
    missing = tuple(line.id for line in whole.lines if line.id not in words)
    stale = tuple(line.id for line in whole.lines if line.id in words and is_stale(line, words[line.id]))
    return LanguageTables(tables, read, missing, stale, tuple(line.id for table in read for line in table.others))


def is_stale(line: TableLine, translation: TableLine) -> bool:
    """Tell whether a translation was made of another text than its line has now, where it says of which."""
    return bool(translation.lock) and translation.lock.lower() not in line.own_locks


def _own_sheets(batch: Batch, tables: Mapping[str, LanguageTables]) -> Mapping[str, Sequence[Sheet]]:
    """Return each sheet of the batch's own tables by its path, as often as it is read."""
    sheets: dict[str, list[Sheet]] = defaultdict(list)
    for table in (table for language in tables.values() for table in language.sources):
        if table.format == PLAIN and table.path in batch.tables:
            for sheet in table.sheets:
                sheets[sheet.path].append(sheet)
    return sheets


def unread_columns(batch: Batch, tables: Mapping[str, LanguageTables]) -> list[tuple[str, str]]:
    """Say which columns of a batch's own tables no language performs: the sheet, and a sentence.

    Tables of programs have columns of their own by design. What a run writes back is no matter for performances.
    """
    sheets = _own_sheets(batch, tables)
    written = {
        f"{header}{end}" for header in _status_headers(batch) for end in ("", *(f" {n}" for n in batch.languages))
    }
    return [(path, told) for path, read in sheets.items() if (told := _unread(read, written))]


def _status_headers(batch: Batch) -> Iterable[str]:
    return batch.status.headers.values() if batch.status else ()


def _unread(sheets: Sequence[Sheet], written: Container[str]) -> str:
    """Say which columns of a sheet are in no reading of it; a note counts where nothing says how lines are spoken."""
    is_directed = any("direction" in sheet.columns for sheet in sheets)
    parts = [(part, column.number) for sheet in sheets for part, column in sheet.columns.items()]
    read = {number for part, number in parts if part != "note" or is_directed}
    headers = enumerate(sheets[0].headers, 1)
    left = [header for number, header in headers if header and number not in read and header not in written]
    if not left:
        return ""
    hint = "" if is_directed else f"; if one of them contains directions, write: columns: {{direction: {left[0]}}}"
    return f"unused columns: {_some(left)}{hint}"


NO_TABLES: Mapping[str, LanguageTables] = {}


def languages_data(tables: Mapping[str, LanguageTables]) -> dict[str, JsonObject]:
    """Make data of what is missing, stale and unknown in each language, for ``json.dumps``."""
    names = ("missing", "stale", "unknown")
    return {code: {name: [*getattr(each, name)] for name in names} for code, each in tables.items() if code}


def languages_told(tables: Mapping[str, LanguageTables]) -> list[str]:
    """Say what is missing and what is stale in each language, a sentence each."""
    return [sentence for code, language in tables.items() for sentence in language.told(code)]
