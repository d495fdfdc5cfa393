"""The user's own settings."""

from pathlib import Path

import pytest

from tau_stage.cli.options import Settings, read_settings, settings_file
from tau_stage.errors import UsageError


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tau-stage").mkdir()
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def file_in(environment: dict[str, str]) -> Path:
    file = settings_file(environment)
    assert file
    return file


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_settings({"XDG_CONFIG_HOME": str(tmp_path)}) == Settings(allow_tools=False)
    assert settings_file({"HOME": "/home/ann"}) == Path("/home/ann/.config/tau-stage/settings.toml")


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": ""},
        {},
        {"HOME": "."},
        {"HOME": "here"},
        {"XDG_CONFIG_HOME": "here", "HOME": "/home/ann"},
        {"XDG_CONFIG_HOME": "."},
        {"XDG_CONFIG_HOME": "", "HOME": "./here"},
        {"XDG_CONFIG_HOME": "~/here", "HOME": "~"},
    ],
)
def test_no_folder_one_stands_in_grants_anything(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("", ".config", "here", "here/.config", "~/.config", "~/here"):
        folder = tmp_path / place / "tau-stage"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings.toml").write_text("allow_tools = true\n")
    file = settings_file(environment)
    assert file is None or (file.is_absolute() and not file.is_relative_to(tmp_path))
    assert read_settings(environment) == Settings(allow_tools=False)


def test_what_the_file_says_holds(home: dict[str, str]) -> None:
    file_in(home).write_text("allow_tools = true\n")
    assert read_settings(home) == Settings(allow_tools=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("allow_tols = true", "unknown setting 'allow_tols'\n  hint: did you mean 'allow_tools'?"),
        ("allow_tools = 'yes'", "allow_tools must be true or false"),
        ("allow_tools =", "cannot read the settings"),
        (b"\xff", "cannot read the settings"),
    ],
)
def test_what_is_wrong_with_the_file_is_told(home: dict[str, str], text: str | bytes, problem: str) -> None:
    file_in(home).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as caught:
        read_settings(home)
    assert problem in str(caught.value)
    assert str(file_in(home)) in str(caught.value)
