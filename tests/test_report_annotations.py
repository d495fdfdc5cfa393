"""Findings for programs."""

import json

from tau_stage.errors import SceneError
from tau_stage.report.annotations import Annotation, as_github, as_json

ERROR = Annotation.of(SceneError("scenes/a.yaml", 3, 7, "unknown player 'bob'", "did you mean 'bab'?"))


def test_findings_as_json_can_be_read_back() -> None:
    assert json.loads(as_json([ERROR])) == [
        {
            "path": "scenes/a.yaml",
            "line": 3,
            "column": 7,
            "severity": "error",
            "problem": "unknown player 'bob'",
            "hint": "did you mean 'bab'?",
        }
    ]


def test_findings_as_annotations() -> None:
    warning = Annotation("b:c.yaml", 1, 1, "warning", "100 % of\r\nthe window")
    assert as_github([ERROR, warning]).split("\n") == [
        "::error file=scenes/a.yaml,line=3,col=7,title=tau-stage::unknown player 'bob'%0Ahint: did you mean 'bab'?",
        "::warning file=b%3Ac.yaml,line=1,col=1,title=tau-stage::100 %25 of%0Athe window",
    ]
    assert as_github([]) == ""
