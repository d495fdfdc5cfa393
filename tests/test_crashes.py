"""A few of the crashes of ``python -m tests.crashes``, and file systems that know less than others."""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tau_stage.understudy.server import Understudy
from tests.campaign import served
from tests.crashes import FAULTS, RED, SCENE, VERBS, Crashes, Runner, VerbCrashes, contents, left_over, runner, takes_in
from tests.support.syscalls import Fault, can_trace
from tests.support.tone_voice import Tones

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.slow,
    pytest.mark.skipif(not can_trace(), reason="processes can be traced on Linux on x86-64, where that is allowed"),
]

FEW = 3
"""How many calls are tried with each fault."""


@pytest.fixture(scope="module")
def runs() -> Iterator[Runner]:
    with runner() as process:
        yield process


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory, runs: Runner) -> Iterator[Crashes]:
    with served(Understudy(Tones(), keeps_visits=True)) as (url, understudy):
        yield Crashes(tmp_path_factory.mktemp("crashes"), runs, url, understudy)


@pytest.mark.parametrize("name", FAULTS)
def test_what_meets_a_fault_is_an_undisturbed_run_when_it_is_resumed(crashes: Crashes, name: str) -> None:
    """Slow: performs a scene, and resumes it, some times."""
    counted = [call for call in crashes.calls if FAULTS[name](1).counts(call)]
    first, each = len(counted) // (2 * FEW), len(counted) // FEW
    done = Counter[str]()
    for number in range(first, len(counted) + 1, each):
        problems = crashes.crash(FAULTS[name](number), done, other_way=number % 2 == 0)
        assert problems == [], f"{name} at {number} of {len(counted)}: {counted[number - 1]}"
    assert done["takes that had begun"]


def test_an_mp3_that_could_not_be_written_to_its_end_is_made_anew(tmp_path: Path, runs: Runner) -> None:
    """Slow: performs a scene, and resumes it: neither libsndfile nor LAME says what of the last writes fails."""
    scene = SCENE.replace("{loudness: -18 LUFS}", "{file: mix.mp3, loudness: -18 LUFS}")
    with served(Understudy(Tones(), keeps_visits=True)) as (url, understudy):
        crashes = Crashes(tmp_path, runs, url, understudy, scene)
        writes = [number for number, call in enumerate(crashes.calls, 1) if call.path.name == ".mix.mp3.part"]
        for number in writes[-5::2]:
            assert crashes.crash(Fault(errno.EIO, number, number), Counter[str](), other_way=False) == [], number


@pytest.mark.parametrize("name", VERBS)
def test_a_command_that_meets_a_fault_leaves_the_old_or_the_new_and_may_be_given_again(
    crashes: Crashes, name: str
) -> None:
    """Slow: gives each command some times, in processes of their own."""
    verb, done = VerbCrashes(crashes, name), Counter[str]()
    for number, fault in zip((len(verb.calls) // 3, len(verb.calls) // 2), ("kill", "error"), strict=True):
        problems = verb.crash(FAULTS[fault](number), done, other_way=fault == "error")
        assert problems == [], f"{fault} at {number} of {len(verb.calls)}: {verb.calls[number - 1]}"


def test_a_mix_whose_header_could_not_be_written_is_made_anew(crashes: Crashes) -> None:
    """Slow: performs a scene, and resumes it: libsndfile says nothing where the last write of all fails."""
    writes = [number for number, call in enumerate(crashes.calls, 1) if call.path.name == ".mix.wav.part"]
    last = max(number for number in writes if crashes.calls[number - 1].name == "write")
    assert crashes.crash(Fault(errno.EIO, last, last), Counter[str](), other_way=False) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("short", names=("write", "pwrite64")),
        Fault(errno.EINVAL, names=("fsync",), folders=True),
        Fault(errno.EPERM, names=("fsync",), folders=True),
        Fault(errno.ENOLCK, names=("flock",)),
        Fault(errno.EPERM, names=("symlink",)),
        Fault(errno.ENOTSUP, names=("symlink", "link")),
    ],
    ids=[
        "short writes",
        "no fsync of folders",
        "no such fsync",
        "no locks",
        "no links",
        "unsupported links",
    ],
)
def test_a_file_system_that_knows_less_leaves_the_same(crashes: Crashes, fault: Fault) -> None:
    """Slow: performs a scene in a process of its own."""
    home = crashes.copy("poor")
    left = crashes.run(home, "run", "crash.yaml", "--record", "cassettes", fault=fault)
    assert (left.code, "Traceback" in left.said) == (RED, False), left.said
    assert left.struck
    (take,) = takes_in(home)
    assert contents(take, was_cut=False) == contents(crashes.take, was_cut=False)
    assert [*left_over(home)] == []
    assert crashes.run(home, "cassette", "verify", "cassettes").code == 0


def test_every_verb_takes_latest_where_there_are_no_links(crashes: Crashes) -> None:
    """Slow: performs a scene in a process of its own."""
    home, none = crashes.copy("linkless"), Fault(errno.EPERM, names=("symlink",))
    assert crashes.run(home, "run", "crash.yaml", fault=none).code == RED
    latest = Path("takes/crash/latest")
    assert (home / latest).read_text().strip() == takes_in(home)[0].name
    shutil.copytree(takes_in(home)[0], home / "before")
    for words, code in (
        (("resume", latest), RED),
        (("report", latest), 0),
        (("compare", latest, "before"), 0),
        (("pick", latest, "bob-1", 2), RED),
        (("accept", latest), 0),
        (("retake", latest, "ann-1", "--endpoint", crashes.url), RED),
        (("test", "crash.yaml", "--endpoint", crashes.url), RED),
        (("play", latest), 2),
    ):
        left = crashes.run(home, *words, fault=none)
        assert left.code == code, (words, left.said)
        assert (home / latest).is_file()
        if words[0] == "play":
            assert "take" not in left.said.partition(":")[0], left.said
