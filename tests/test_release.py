"""What a release holds: every file of the package, and nothing else."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from tau_stage.version import __version__
from tests.release import IN_SDIST, TOP, faults_of_sdist, faults_of_wheel, tracked_files

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


@pytest.mark.slow
def test_this_tree_is_built_into_a_wheel_without_faults(tmp_path: Path) -> None:
    """Slow: builds a wheel, by the house's own build back end."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds wheels, and is not installed")
    (wheel,) = builders.WheelBuilder(str(TOP)).build(directory=str(tmp_path), versions=["standard"])
    assert list(faults_of_wheel(Path(wheel), tracked_files(TOP), __version__)) == []
