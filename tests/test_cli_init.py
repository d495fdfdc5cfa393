"""``tau-stage init`` writes settings for editors, and changes none that are there."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.test_cli_validate import run

EDITORS = {".vscode/settings.json", ".vscode/extensions.json", ".idea/jsonSchemas.xml"}


@pytest.mark.parametrize(("kind", "schemas"), [("scene", {"scene"}), ("batch", {"scene", "batch"})])
def test_a_new_project_tells_editors_which_schema_its_files_have(kind: str, schemas: set[str], tmp_path: Path) -> None:
    assert run("init", str(tmp_path / "new"), "--kind", kind) == 0
    project = tmp_path / "new"
    assert all((project / name).is_file() for name in EDITORS)
    for_code = json.loads((project / ".vscode/settings.json").read_text())["yaml.schemas"]
    mapped = ElementTree.parse(project / ".idea/jsonSchemas.xml").getroot().iter("SchemaInfo")  # noqa: S314 - ours
    for_jetbrains = {
        option["relativePathToSchema"]: [option["path"]]
        for option in ({each.get("name"): each.get("value") for each in info.iter("option")} for info in mapped)
    }
    assert {name.removeprefix("./"): files for name, files in for_code.items()} == for_jetbrains
    assert for_jetbrains.keys() == {f"{name}.schema.json" for name in schemas}
    for schema, (pattern,) in for_jetbrains.items():
        assert (project / str(schema)).is_file()
        assert list(project.glob(str(pattern)))


@pytest.mark.parametrize("name", sorted(EDITORS))
def test_settings_of_an_editor_that_are_there_are_not_changed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("mine")
    assert run("init", str(tmp_path)) == 2
    assert name in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "mine"
