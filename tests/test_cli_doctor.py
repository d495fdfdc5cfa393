"""``tau-stage doctor``: what is there and what is not, and never a key."""

from __future__ import annotations

import io
import json
import resource
from pathlib import Path

import pytest
from rich.console import Console

from tau_stage.cli import doctor_command
from tau_stage.cli.doctor_command import Finding, examine
from tau_stage.protocol.endpoints import ENDPOINTS
from tests.support.forked import python
from tests.test_cli_validate import run

KEY = "sk-HUSHHUSH-0123456789"


def found(environment: dict[str, str], out: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(environment, out)}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in {*(name for place in ENDPOINTS.values() for name in place.key_env), "TAU_STAGE_ENDPOINT"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def test_a_folder_that_was_removed_under_its_feet_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    finding = found({}, Path("takes"))["takes"]
    assert (finding.told, finding.state) == ("the current folder no longer exists", "wrong")
    assert finding.remedy == "change to a folder that exists"


def test_without_a_key_the_understudy_plays(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.endswith("\nYou can perform a scene.\n")
    for told in (
        "  absent  openai: OPENAI_API_KEY is not set\n",
        "  ok      understudy: runs in this process, needs no key\n",
        "  ok      default endpoint: understudy (no key is set)\n",
        "  ok      takes in takes: will be created\n",
        "  ok      [timeline]: opentimelineio ",
        "  ok      vllm: at 127.0.0.1:8000, by default; VLLM_API_KEY is not set (optional)\n",
    ):
        assert told in said.out
    assert not Path("takes").exists()


def test_models_that_end_are_told_of(tmp_path: Path) -> None:
    def told(environment: dict[str, str]) -> list[Finding]:
        return [finding for finding in examine(environment, tmp_path) if finding.section == "models"]

    default, words, *coming = told({})
    assert default.told == "gpt-realtime-2.1-mini, no retirement date announced"
    assert words.told == "gpt-transcribe, no retirement date announced"
    assert {finding.state for finding in (default, words, *coming)} == {"ok"}
    azure = told({"AZURE_OPENAI_ENDPOINT": "mine.openai.azure.com"})[2 + len(coming) :]
    assert {finding.name for finding in azure} == {"at azure"}


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["can_perform"], told["verdict"]) == (True, "You can perform a scene.")
    sections = list(dict.fromkeys(finding["section"] for finding in told["found"]))
    assert sections == ["versions", "endpoints", "models", "devices", "extras", "limits", "settings"]
    extras = [finding["name"] for finding in told["found"] if finding["section"] == "extras"]
    assert extras == [
        "[booth]",
        "[check]",
        "[cluster]",
        "[languages]",
        "[mic]",
        "[store]",
        "[tables]",
        "[timeline]",
        "[understudy]",
    ]
    assert {finding["state"] for finding in told["found"]} <= {"ok", "absent"}


def test_keys_and_hosts_are_told_by_where_they_come_from(tmp_path: Path) -> None:
    told = found(
        {"OPENAI_API_KEY": KEY, "AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": f"https://u:{KEY}@me.example"},
        tmp_path,
    )
    assert told["openai"].told == "OPENAI_API_KEY is set"
    assert told["azure"].told == "at https://me.example, from AZURE_OPENAI_ENDPOINT; AZURE_OPENAI_API_KEY is set"
    assert told["default endpoint"].told == "openai (its key is set)"
    assert KEY not in str(told)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TAU_STAGE_ENDPOINT": "xai"}, "xai (set in TAU_STAGE_ENDPOINT); XAI_API_KEY is not set"),
        ({"TAU_STAGE_ENDPOINT": "moon"}, "unknown endpoint in TAU_STAGE_ENDPOINT: moon"),
        (
            {"TAU_STAGE_ENDPOINT": "ws://h:x"},
            "TAU_STAGE_ENDPOINT: cannot connect to ws://h:x: its port is not a number",
        ),
        (
            {"TAU_STAGE_ENDPOINT": "vllm", "VLLM_HOST": "https://[::1"},
            "vllm (set in TAU_STAGE_ENDPOINT); VLLM_HOST: cannot connect to ws://[::1/v1/realtime",
        ),
        (
            {"OPENAI_API_KEY": f"{KEY} {KEY}"},
            "openai (its key is set); OPENAI_API_KEY is not a valid key: it ",
        ),
    ],
)
def test_who_cannot_play_is_in_the_way(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run("doctor") == 2
    out = capsys.readouterr().out
    assert f"  wrong   default endpoint: {said}" in out
    assert "You cannot perform a scene yet. To fix: default endpoint: " in out
    assert KEY not in out


@pytest.mark.parametrize(("prefix", "dialect"), [("", "ga"), ("xai+", "xai"), ("azure-preview+", "beta")])
def test_a_url_is_an_endpoint(tmp_path: Path, prefix: str, dialect: str) -> None:
    told = found({"TAU_STAGE_ENDPOINT": f"{prefix}ws://127.0.0.1:9?token={KEY}"}, tmp_path)["default endpoint"]
    place = f"{prefix}ws://127.0.0.1:9?token=[key], with the {dialect} protocol"
    assert (told.state, told.told) == ("ok", f"{place} (set in TAU_STAGE_ENDPOINT)")


def test_the_proxy_of_a_performance_is_told_without_its_password(tmp_path: Path) -> None:
    proxies = {"https_proxy": f"http://me:{KEY}@proxy.example:3128", "no_proxy": "api.x.ai"}
    told = found({"OPENAI_API_KEY": KEY, "XAI_API_KEY": KEY, "VLLM_HOST": "192.168.77.5:8000", **proxies}, tmp_path)
    way = "through the proxy http://proxy.example:3128 from https_proxy"
    assert told["openai"].told == f"{way}; OPENAI_API_KEY is set"
    assert told["vllm"].told.startswith(f"at 192.168.77.5:8000, from VLLM_HOST; {way}; ")
    assert told["xai"].told == "XAI_API_KEY is set"
    assert told["localai"].told.startswith("at 127.0.0.1:8080, by default; LOCALAI_API_KEY")
    assert told["default endpoint"].told == f"openai, {way} (its key is set)"
    assert KEY not in str(told)


def test_a_proxy_that_cannot_be_used_is_in_the_way(tmp_path: Path) -> None:
    told = found({"OPENAI_API_KEY": KEY, "HTTPS_PROXY": f"me:{KEY}@proxy.example:3128"}, tmp_path)
    ambient = told["default endpoint"]
    assert (ambient.state, ambient.remedy) == ("wrong", "write http://proxy.example:3128")
    assert "HTTPS_PROXY is not a valid proxy: it has no scheme" in ambient.told
    assert KEY not in str(told)


def test_takes_must_have_a_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run("doctor", "--out", "file/takes") == 2
    told = f"  wrong   takes in file/takes: {tmp_path / 'file'}: not a directory\n"
    assert told in capsys.readouterr().out
    (tmp_path / "there").mkdir()
    assert found({}, tmp_path / "there")[f"takes in {tmp_path / 'there'}"].told == "writable"


def test_settings_are_read(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    file = tmp_path / "tau-stage" / "settings.toml"
    file.parent.mkdir()
    file.write_text("allow_tools = true\n")
    assert found(environment, tmp_path)["settings.toml"].told == f"{file}: allow_tools = true"
    file.write_text("allow_tools = 3\n")
    assert found(environment, tmp_path)["settings.toml"].state == "wrong"


def test_a_terminal_shows_marks(tmp_path: Path) -> None:
    file = io.StringIO()
    sheet = doctor_command._sheet(examine({"TAU_STAGE_ENDPOINT": "moon"}, tmp_path))
    Console(file=file, width=100, force_terminal=True, color_system="standard").print(sheet)
    shown = file.getvalue()
    assert all(mark in shown for mark in "✓–✗")
    assert "You cannot perform a scene yet." in shown


@pytest.mark.slow
def test_too_few_descriptors_are_in_the_way(tmp_path: Path) -> None:
    """Slow: a process of its own, with a limit of its own."""
    done = python("-m", "tau_stage", "doctor", cwd=tmp_path, limit=(resource.RLIMIT_NOFILE, 40, 40))
    assert done.returncode == 2, done.stderr
    assert "  wrong   file descriptors: 40, maximum 40\n          hint: raise the limit: ulimit -n 1024" in done.stdout
