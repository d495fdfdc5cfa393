"""Without the extras: each verb says in one sentence what to install, and nothing opens."""

import subprocess
import sys
from pathlib import Path

import pytest

from tau_stage.cli.main import app, main

WITHOUT = """
import importlib.machinery, sys
finder = importlib.machinery.PathFinder
class Missing(finder):
    '''The path's finder of an environment in which some packages were never installed.'''
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        missing = ("hibari", "sounddevice", "pocketsphinx", "opentimelineio")
        return None if name.split(".")[0] in missing else finder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(finder)] = Missing
from tau_stage.cli.main import main
main()
"""
VERBS = [(command.name or getattr(command.callback, "__name__", "")) for command in app.registered_commands]
SCENE = "players: {ann: }\nlines:\n- ann: Hello.\n"


def without_extras(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "hello.yaml").write_text(SCENE)
    command = [sys.executable, "-c", WITHOUT, *arguments]
    return subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb", ["run hello.yaml", "understudy --port 0", "voices --sample out", "run hello.yaml --endpoint understudy"]
)
def test_without_a_voice_one_sentence_says_what_to_install(verb: str, tmp_path: Path) -> None:
    """Slow: starts an interpreter whose path holds no extras."""
    done = without_extras(tmp_path, *verb.split())
    assert (done.returncode, done.stdout) == (2, "")
    problem, hint = done.stderr.splitlines()[-2:]
    assert problem == "the understudy has no voice: hibari-tts is not installed"
    assert hint == "  hint: pip install 'tau-stage[understudy]', or set a provider's key, like OPENAI_API_KEY"
    assert len(done.stderr.splitlines()) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hello.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["doctor", "validate hello.yaml", "plan hello.yaml", "voices"])
def test_what_needs_no_extra_works_without(verb: str, tmp_path: Path) -> None:
    """Slow: starts an interpreter whose path holds no extras."""
    done = without_extras(tmp_path, *verb.split())
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("verb", [[], *([name] for name in VERBS), ["cassette"]])
def test_every_verb_has_a_short_way_to_its_help(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*verb, "-h"])
    assert capsys.readouterr().out.strip().startswith("Usage: tau-stage")
