"""The pytest plugin: ``pytest scenes/`` collects scene files as tests, one for each variant.

pytest finds it by the entry point ``tau-stage``; ``-p no:tau-stage`` leaves it out. It loads nothing else of tau-stage
before it meets a scene. Other YAML files are left alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tau_stage.suite.discovery import Case
    from tau_stage.suite.result import CaseError, Result

SUFFIXES = (".yaml", ".yml")
UPDATE, TOOLS = "tau_update", "tau_allow_tools"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options to pytest's."""
    group = parser.getgroup("tau-stage", "tau-stage scenes")
    group.addoption(
        "--tau-update",
        dest=UPDATE,
        action="store_true",
        help="accept the current results of the scenes: write their snapshots",
    )
    group.addoption(
        "--tau-allow-tools", dest=TOOLS, action="store_true", help="allow the scenes' tools to run programs"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a file that is a scene."""
    if file_path.suffix.lower() not in SUFFIXES:
        return None
    from tau_stage.suite.discovery import is_scene_file

    if not (parent.session.isinitpath(file_path) or is_scene_file(file_path, parent.config.rootpath)):
        return None
    file: pytest.Collector = SceneFile.from_parent(parent, path=file_path)
    return file


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Collect links to scenes that are not there, too: pytest offers only files to its plugins."""
    report = yield
    if isinstance(collector, pytest.Directory) and report.passed:
        report.result = [*report.result, *_broken_links(collector)]
    return report


def _broken_links(folder: pytest.Directory) -> Iterator[pytest.Collector]:
    for path in sorted(folder.path.iterdir()):
        if path.is_symlink() and not path.exists() and path.suffix.lower() in SUFFIXES:
            if folder.ihook.pytest_ignore_collect(collection_path=path, config=folder.config):
                continue
            if file := pytest_collect_file(path, folder):
                yield file


@pytest.fixture(scope="session")
def understudy_url() -> Iterator[str]:
    """Serve the understudy while the tests run, in a thread of its own; an app under test talks to it as to a provider.

    Yields:
        Its address, ``ws://127.0.0.1:PORT``. Clients add the path of their provider, like ``/v1/realtime``.
    """
    with _served() as url:
        yield url


@pytest.fixture
def understudy_with() -> Iterator[Callable[..., str]]:
    """Serve an understudy to one test on which something goes wrong: ``understudy_with("drop@in_response")``.

    Yields:
        A function: it takes faults, as ``tau-stage understudy --fault`` does, and returns an address.
    """
    with ExitStack() as served:
        yield lambda *faults: served.enter_context(_served(*faults))


@contextmanager
def _served(*faults: str) -> Iterator[str]:
    from anyio.from_thread import start_blocking_portal

    from tau_stage.errors import UsageError
    from tau_stage.understudy import Ensemble, Understudy, Voices, open_understudy, require_voice

    try:
        require_voice()
        server = Understudy(Ensemble(Voices.of_user()), faults=faults)
    except UsageError as error:
        pytest.fail(str(error), pytrace=False)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(open_understudy(server)) as url:
        yield url


class SceneFailed(Exception):
    """A scene is not as expected; carries what it came to."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.id)
        self.result = result


class SceneFile(pytest.File):
    """A scene file."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each variant."""
        from tau_stage.errors import SceneError
        from tau_stage.suite.discovery import cases_of
        from tau_stage.text import printable

        _tidy(self.config)
        try:
            cases = cases_of(_named(self.path))
        except SceneError as error:
            raise self.CollectError(printable("\n".join(map(str, (error, *error.also))))) from None
        lost = list(_orphans(self.path))
        if lost:
            raise self.CollectError(printable("\n".join(f"{each.path}: {each.problem}" for each in lost)))
        for case in cases:
            yield SceneItem.from_parent(self, name=case.variant or self.path.stem, case=case)


class SceneItem(pytest.Item):
    """A scene, or one variant of it."""

    def __init__(self, *, case: Case, **given: Any) -> None:
        super().__init__(**given)
        self.case = case

    def runtest(self) -> None:
        """Perform it; a ``SceneFailed`` tells that something is not as expected, or that the scene is broken."""
        from tau_stage.suite.discovery import PLACE, is_strict, own_place
        from tau_stage.suite.execution import SuiteOptions, run_case

        place = own_place(Path(_named(self.config.rootpath / PLACE)))
        update, allow_tools = self.config.getoption(UPDATE), self.config.getoption(TOOLS)
        options = SuiteOptions(out=place / "takes", update=update, allow_tools=allow_tools, strict=is_strict())
        result = run_case(self.case, options)
        if result.accepted:
            self.add_report_section("call", "tau-stage", result.accepted)
        if result.state == "unchecked":
            pytest.skip("no expectations: add 'expect', accept a take with --tau-update, or record a cassette")
        if result.state != "passed":
            raise SceneFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Write the lines that are not as expected; no traceback."""
        if not isinstance(excinfo.value, SceneFailed):
            return super().repr_failure(excinfo, style)
        from tau_stage.suite.discovery import texts_of
        from tau_stage.suite.output import plain_text, render_result

        (_, *first), *others = render_result(excinfo.value.result, texts_of(excinfo.value.result))
        return plain_text([first, *others]).strip()

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Tell where it is, and how it is called."""
        return self.path, 0, self.name


def _orphans(scene: Path) -> Iterator[CaseError]:
    """Yield cassettes and snapshots that may be the scene's and are not; others of its folder come with the first."""
    from tau_stage.suite.discovery import orphans_in, sort_files

    place = Path(_named(scene.parent))
    scenes, _ = sort_files(place, (file.name for file in place.iterdir()))
    paths = [str(place / name) for name in scenes]
    named = _named(scene)
    first = bool(paths) and paths[0] == named
    yield from orphans_in(place, paths if first else [named], only=None if first else named)


TIDY = pytest.StashKey[bool]()


def _tidy(config: pytest.Config) -> None:
    """Delete takes of the last test; where several processes test, nobody knows which they are."""
    if not config.stash.get(TIDY, False) and not hasattr(config, "workerinput"):
        shutil.rmtree(config.rootpath / ".tau-stage" / "takes", ignore_errors=True)
    config.stash[TIDY] = True


def _named(path: Path) -> str:
    """Name a file as short as a user would from here, so that snapshots and messages are the same as ``test``'s."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
