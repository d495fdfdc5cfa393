"""The schema of ``take.json`` is committed, current, and true."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tau_stage.protocol.usage import Usage
from tau_stage.take.folding import fold
from tests.test_cli_validate import run
from tests.test_take import journal_of, spoken

COMMITTED = Path(__file__).parent.parent / "schemas" / "take.schema.json"


def test_the_committed_schema_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema", "take") == 0
    assert capsys.readouterr().out == COMMITTED.read_text(encoding="utf-8")


def test_a_take_is_what_the_schema_says() -> None:
    take = fold(journal_of(spoken("clerk-1", "clerk", 10, Usage(audio_out=7), hearers=("tourist",))))
    told = json.loads(take.model_dump_json())
    jsonschema.validate(told, json.loads(COMMITTED.read_text(encoding="utf-8")))
    assert told["lines"][0]["usage"]["audio_out"] == 7
