"""Check a release: ``python -m tests.release [PYTHON...]``.

The wheel and the sdist are built from what is committed, and looked at. Then the wheel is installed into an empty
environment of each Python that is named, once with the newest and once with the oldest dependencies, and does there
what the README and a new project type. Each step is printed as it is done; the first that fails ends it with its
output. It needs the network, for packages; nothing is published.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import Parser
from pathlib import Path, PurePosixPath

TOP = Path(__file__).parent.parent
TOOLS = ("build", "twine", "uv")
RESOLUTIONS = ("highest", "lowest-direct")
IN_SDIST = ("CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml")
PACKAGE = "tau_stage"


def tracked_files(top: Path) -> list[str]:
    """List the files of a repository, as ``git`` knows them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=top, capture_output=True, text=True, check=True)
    return sorted(filter(None, listed.stdout.split("\0")))


def faults_of_wheel(wheel: Path, tracked: Sequence[str], version: str) -> Iterator[str]:
    """Yield what is wrong with a wheel: files that lack, files that do not belong there, and its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(about).decode())
    wanted = {name for name in tracked if PurePosixPath(name).parts[0] == PACKAGE}
    found = {name for name in names if not PurePosixPath(name).parts[0].endswith(".dist-info")}
    yield from (f"{name} is not in the wheel" for name in sorted(wanted - found))
    yield from (f"{name} does not belong into the wheel" for name in sorted(found - wanted))
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        yield "the wheel has no licence"
    for field, value in (("Version", version), ("Description-Content-Type", "text/markdown")):
        if metadata[field] != value:
            yield f"{field} is {metadata[field]}, not {value}"
    links = re.findall(r"\]\((?!https?://|#)([^)]+)\)", str(metadata.get_payload()))
    yield from (f"the description links to {link}, which is no address" for link in sorted(set(links)))


def faults_of_sdist(sdist: Path, tracked: Sequence[str]) -> Iterator[str]:
    """Yield what an sdist lacks: the package, its tests, and what is read first."""
    with tarfile.open(sdist) as archive:
        names = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    wanted = [name for name in tracked if PurePosixPath(name).parts[0] in (PACKAGE, "tests", "scenes", "schemas")]
    yield from (f"{name} is not in the sdist" for name in (*wanted, *IN_SDIST) if name not in names)


class Release:
    """Builds and tries one version.

    Args:
        folder: Where everything of it is left.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.tools = folder / "tools"

    def build(self) -> Path:
        """Build sdist and wheel, and check them; return the wheel."""
        run("git", "clone", "--quiet", "--no-hardlinks", TOP, self.tree)
        run(sys.executable, "-m", "venv", self.tools)
        run(self.tool("pip"), "install", "--quiet", *TOOLS)
        run(self.tool("python"), "-m", "build", "--outdir", self.folder / "dist", self.tree)
        (wheel,), (sdist,) = (list((self.folder / "dist").glob(kind)) for kind in ("*.whl", "*.tar.gz"))
        done("built", wheel.name, sdist.name)
        run(self.tool("twine"), "check", "--strict", wheel, sdist)
        done("twine check --strict: passed")
        tracked = tracked_files(self.tree)
        version = re.search(r'"(.+)"', (self.tree / PACKAGE / "version.py").read_text("utf-8").split("__version__")[1])
        assert version, "the version is in tau_stage/version.py"
        faults = [*faults_of_wheel(wheel, tracked, version[1]), *faults_of_sdist(sdist, tracked)]
        if faults:
            sys.exit("\n".join(faults))
        done(f"contents: {len(zipfile.ZipFile(wheel).namelist())} files in the wheel, none lacks, none is foreign")
        return wheel

    def tool(self, name: str) -> Path:
        """Return a program of the environment that builds."""
        return self.tools / ("Scripts" if os.name == "nt" else "bin") / name

    def try_wheel(self, wheel: Path, python: str, resolution: str) -> None:
        """Install the wheel into an empty environment, and do there what a new user does."""
        home = Path(tempfile.mkdtemp(prefix=f"{resolution}-", dir=self.folder))
        run(self.tool("uv"), "venv", "--quiet", "--python", python, home / "venv")
        inside = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
        wanted = f"{wheel}[understudy]"
        install: list[str | Path] = [self.tool("uv"), "pip", "install", "--quiet", "--python", inside / "python"]
        run(*install, "--resolution", resolution, wanted)
        shutil.copytree(self.tree / "scenes", home / "scenes")
        program = inside / "tau-stage"
        run(program, "validate", *sorted(path.relative_to(home) for path in (home / "scenes").glob("*.yaml")), cwd=home)
        run(program, "run", "scenes/umbrella.yaml", cwd=home)
        for kind in ("scene", "test", "batch"):
            run(program, "init", kind, "--kind", kind, cwd=home)
        run(program, "test", cwd=home / "test")
        run(program, "batch", "run", "batch.yaml", cwd=home / "batch")
        versions = output(inside / "python", "-c", "import platform; print(platform.python_version())").strip()
        done(f"Python {versions}, {resolution} dependencies: installed, performed, tested, rendered a batch")


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command, without keys; where it fails, end with what it printed."""
    left = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    found = subprocess.run(
        command, cwd=cwd, env=left, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if found.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {found.returncode}\n{found.stdout}")


def output(*command: str | Path) -> str:
    """Return what a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def done(*words: str) -> None:
    """Print a step that is done."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Build and try a release."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=main.__doc__)
    parser.add_argument("python", nargs="*", default=[sys.executable], help="each Python to try, by name or path")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        release = Release(Path(folder))
        wheel = release.build()
        for python in chosen.python:
            for resolution in RESOLUTIONS:
                release.try_wheel(wheel, python, resolution)


if __name__ == "__main__":
    main()
