"""What is wrong with scenes, for programs: a JSON list, or annotations of GitHub. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from tau_stage.errors import SceneError
from tau_stage.text import printable


@dataclass(frozen=True, slots=True)
class Annotation:
    """One thing that is wrong, or may be, at a line and column that count from 1.

    With a warning, the scene can be performed nevertheless.
    """

    path: str
    line: int
    column: int
    severity: Literal["error", "warning"]
    problem: str
    hint: str = ""

    @classmethod
    def of(cls, error: SceneError) -> Annotation:
        """Make an error a finding."""
        return cls(error.path, error.line, error.column, "error", error.problem, error.hint)


def as_json(found: Sequence[Annotation]) -> str:
    """Write all findings as a JSON list.

    >>> as_json([])
    '[]'
    """
    return json.dumps([*map(asdict, found)], indent=2 if found else None, ensure_ascii=False)


def as_github(found: Iterable[Annotation]) -> str:
    r"""Write a workflow command for each finding, which GitHub shows at the line of the file.

    Source: GitHub Docs, "Workflow commands for GitHub Actions", error and warning messages.

    >>> print(as_github([Annotation("a,b.yaml", 3, 5, "error", "100 % wrong", "do so\nor so")]))
    ::error file=a%2Cb.yaml,line=3,col=5,title=tau-stage::100 %25 wrong%0Ahint: do so%0Aor so
    """
    return "\n".join(
        f"::{finding.severity} file={_escaped(finding.path, property=True)},line={finding.line},col={finding.column},"
        f"title=tau-stage::{_escaped(finding.problem + (f'{chr(10)}hint: {finding.hint}' if finding.hint else ''))}"
        for finding in found
    )


def _escaped(text: str, *, property: bool = False) -> str:  # noqa: A002 - GitHub's word
    signs = {"%": "%25", "\r": "%0D", "\n": "%0A"} | ({":": "%3A", ",": "%2C"} if property else {})
    return "".join(signs.get(sign, sign) for sign in printable(text))
