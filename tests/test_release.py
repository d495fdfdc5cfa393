"""What a release holds: every file of the package, and nothing else."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from tau_stage.version import __version__
from tests.release import IN_SDIST, TOP, faults_of_sdist, faults_of_wheel, tracked_files
from tests.test_cli_validate import run

METADATA = "Version: {}\nDescription-Content-Type: text/markdown\n\nSee [the pages](https://example.com/docs).\n"


def wheel_of(path: Path, *names: str, metadata: str = METADATA.format("1.2")) -> Path:
    with zipfile.ZipFile(path / "a.whl", "w") as archive:
        for name in (*names, "tau_stage-1.2.dist-info/licenses/LICENSE"):
            archive.writestr(name, "")
        archive.writestr("tau_stage-1.2.dist-info/METADATA", metadata)
    return path / "a.whl"


def test_a_wheel_has_all_files_of_the_package_and_no_others(tmp_path: Path) -> None:
    tracked = ["README.md", "tau_stage/a.py", "tau_stage/b.toml", "tests/c.py"]
    assert list(faults_of_wheel(wheel_of(tmp_path, "tau_stage/a.py", "tau_stage/b.toml"), tracked, "1.2")) == []
    wheel = wheel_of(tmp_path, "tau_stage/a.py", "tau_stage/notes.txt", "tests/c.py")
    assert list(faults_of_wheel(wheel, tracked, "1.2")) == [
        "tau_stage/b.toml is not in the wheel",
        "tau_stage/notes.txt does not belong into the wheel",
        "tests/c.py does not belong into the wheel",
    ]


def test_a_wheel_says_its_version_and_links_to_addresses_only(tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, metadata=METADATA.format("1.1").replace("https://example.com/docs", "docs/scenes.md"))
    assert list(faults_of_wheel(wheel, [], "1.2")) == [
        "Version is 1.1, not 1.2",
        "the description links to docs/scenes.md, which is no address",
    ]


def test_an_sdist_has_the_package_its_tests_and_what_is_read_first(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name in ("tau_stage/a.py", *IN_SDIST[1:]):
            archive.add(tmp_path / "empty", f"tau_stage-1.2/{name}")
    lacking = list(faults_of_sdist(tmp_path / "a.tar.gz", ["tau_stage/a.py", "tests/b.py", "docs/c.md"]))
    assert lacking == ["tests/b.py is not in the sdist", "CHANGELOG.md is not in the sdist"]


def test_the_action_tests_a_new_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    action = yaml.safe_load((TOP / ".github/actions/test/action.yml").read_text("utf-8"))
    given = {name: option["default"] for name, option in action["inputs"].items()}
    install, test = (step for step in action["runs"]["steps"] if "run" in step)
    assert (install["run"], given["package"]) == ('pip install "$PACKAGE"', "tau-stage[understudy]")
    monkeypatch.chdir(tmp_path)
    assert run("init", ".") == 0
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    for name, value in test["env"].items():
        monkeypatch.setenv(name, given[value.removeprefix("${{ inputs.").removesuffix(" }}")])
    program, *words = os.path.expandvars(test["run"]).replace('"', "").split()
    assert program == "tau-stage"
    assert run(*words) == 0
    assert (tmp_path / "junit.xml").is_file()
    assert "1 passed" in (tmp_path / "summary.md").read_text("utf-8")


def test_the_image_installs_what_the_readme_installs() -> None:
    steps = (TOP / ".github/Dockerfile").read_text("utf-8").splitlines()
    (install,) = (step.split() for step in steps if step.startswith("RUN "))
    readme = (TOP / "README.md").read_text("utf-8")
    assert install[1:4] == ["pip", "install", "--quiet"]
    assert install[5] == "'/source[understudy]'"
    assert "pip install --quiet '.[understudy]'" in readme
    assert steps[-1] == 'ENTRYPOINT ["tau-stage"]'
    assert any(f"python:{version}-slim" in steps[3] for version in ("3.13", "3.14"))


@pytest.mark.slow
def test_this_tree_is_built_into_a_wheel_without_faults(tmp_path: Path) -> None:
    """Slow: builds a wheel, by the house's own build back end."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds wheels, and is not installed")
    (wheel,) = builders.WheelBuilder(str(TOP)).build(directory=str(tmp_path), versions=["standard"])
    assert list(faults_of_wheel(Path(wheel), tracked_files(TOP), __version__)) == []
