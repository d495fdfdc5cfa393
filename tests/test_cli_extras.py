"""Without the extras: each verb says in one sentence what to install, and nothing opens."""

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tau_stage.cli.main import VERBS, main
from tests.support.forked import python

WITHOUT = """
import importlib.machinery, sys
finder = importlib.machinery.PathFinder
class Missing(finder):
    '''The path's finder of an environment in which some packages were never installed.'''
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        missing = ("hibari", "sounddevice", "pocketsphinx", "opentimelineio", "starlette", "uvicorn", "distributed",
                   "espeakng_loader")
        return None if name.split(".")[0] in missing else finder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(finder)] = Missing
"""
MAIN = "from tau_stage.cli.main import main; main()"
SCENE = "players: {ann: }\nlines:\n- ann: Hello.\n"
VOICE = "the understudy has no voice: hibari-tts is not installed\n  hint: pip install 'tau-stage[understudy]'"
BOOTH = "the booth requires starlette and uvicorn, which are not installed\n  hint: pip install 'tau-stage[booth]'"
KEY = ", or set a provider's key, such as OPENAI_API_KEY"
SPEAKING = """
import anyio
from tau_stage import open_understudy
async def speak():
    async with open_understudy():
        print("open")
anyio.run(speak)
"""
PERFORMING = """
import anyio
from tau_stage import load_scene, make_plan, open_stage
async def perform():
    async with open_stage([make_plan(load_scene("hello.yaml"))], {}):
        print("open")
anyio.run(perform)
"""


def without_extras(folder: Path, *arguments: str, then: str = MAIN, **env: str) -> CompletedProcess[str]:
    (folder / "hello.yaml").write_text(SCENE)
    return python("-c", WITHOUT + then, *arguments, cwd=folder, env=env)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("run hello.yaml", VOICE + KEY),
        ("run hello.yaml --record tapes", VOICE + KEY),
        ("run hello.yaml --endpoint understudy", VOICE),
        ("understudy --port 0", VOICE),
        ("booth", BOOTH),
        ("talk", BOOTH),
        ("run hello.yaml --booth", BOOTH),
        ("voices --sample out", VOICE),
        (
            "test --check hello.yaml",
            "speech recognition is unavailable: pocketsphinx is not installed\n  hint: pip install 'tau-stage[check]'",
        ),
    ],
)
def test_one_sentence_says_what_to_install_and_nothing_opens(verb: str, told: str, tmp_path: Path) -> None:
    """Slow: a process of its own whose path holds no extras."""
    done = without_extras(tmp_path, *verb.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{told}\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hello.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["run mic.yaml", "run hello.yaml --aloud"])
def test_without_sound_cards_nobody_is_called(verb: str, tmp_path: Path) -> None:
    """Slow: a process of its own whose path holds no extras."""
    (tmp_path / "mic.yaml").write_text("players: {ann: , bob: {human: mic}}\nlines:\n- ann: Hello.\n- bob: Hello.\n")
    done = without_extras(tmp_path, *verb.split(), OPENAI_API_KEY="sk-never-used")
    assert (done.returncode, done.stdout) == (2, "")
    problem, hint = done.stderr.splitlines()
    assert problem.endswith("requires sounddevice, which is not installed")
    assert hint.startswith("  hint: pip install 'tau-stage[mic]'; or ")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hello.yaml", "mic.yaml"]


@pytest.mark.slow
def test_a_scene_that_cannot_be_tested_for_want_of_a_voice_is_told_of_beside_the_others(tmp_path: Path) -> None:
    """Slow: a process of its own whose path holds no extras."""
    (tmp_path / "held.yaml").write_text(f"expect: {{cost: {{max: $1}}}}\n{SCENE}")
    done = without_extras(tmp_path, "test", "held.yaml", "hello.yaml")
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.splitlines()[:3] == [
        "ERROR held.yaml  not performed",
        *(f"  {'held.yaml:1:1: ' * (number == 0)}{row}" for number, row in enumerate(VOICE.splitlines())),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "told"), [(SPEAKING, VOICE), (PERFORMING, VOICE + KEY)], ids=["serve", "perform"])
def test_python_is_told_the_same(code: str, told: str, tmp_path: Path) -> None:
    """Slow: a process of its own whose path holds no extras."""
    done = without_extras(tmp_path, then=code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"tau_stage.UsageError: {told}\n")
    assert "ExceptionGroup" not in done.stderr


@pytest.mark.slow
def test_pytest_is_told_the_same(tmp_path: Path) -> None:
    """Slow: a process of its own whose path holds no extras."""
    (tmp_path / "held.yaml").write_text(f"expect: {{cost: {{max: $1}}}}\n{SCENE}")
    done = without_extras(tmp_path, "held.yaml", "-q", then="import pytest; sys.exit(pytest.main())")
    assert done.returncode == 1
    assert f"held.yaml:1:1: {VOICE.splitlines()[0]}\n" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["doctor", "validate hello.yaml", "plan hello.yaml", "voices"])
def test_what_needs_no_extra_works_without(verb: str, tmp_path: Path) -> None:
    """Slow: a process of its own whose path holds no extras."""
    done = without_extras(tmp_path, *verb.split())
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("verb", [[], *([name] for name in VERBS)])
def test_every_verb_has_a_short_way_to_its_help(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*verb, "-h"])
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("Usage: tau-stage")
    assert all(VERBS[name].removesuffix(".") in told for name in verb), "the list of verbs says something else"


@pytest.mark.slow
def test_a_cluster_without_dask_is_told(tmp_path: Path) -> None:
    """Slow: a process of its own whose path holds no extras."""
    (tmp_path / "batch.yaml").write_text("scenes: [hello.yaml]\n")
    done = without_extras(tmp_path, "batch", "run", "batch.yaml", "--cluster", "local")
    told = "--cluster requires Dask, which is not installed\n  hint: pip install 'tau-stage[cluster]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
