"""The user's own settings: ``settings.toml`` in ``$XDG_CONFIG_HOME/tau-stage``, by default ``~/.config/tau-stage``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tau_stage.errors import UsageError
from tau_stage.scene.words import did_you_mean


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user has settled once and for all.

    Attributes:
        allow_tools: Whether the tools of scenes that are named on the command line may run programs.
    """

    allow_tools: bool = False


def settings_file(environment: Mapping[str, str]) -> Path:
    """Where the settings are."""
    home = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "tau-stage" / "settings.toml"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The user's settings; where there is no file, the defaults.

    Raises:
        UsageError: The file holds something else.
    """
    file = settings_file(os.environ if environment is None else environment)
    try:
        found: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: the settings cannot be read: {error}", "correct the file, or remove it") from None
    known = tuple(Settings.__dataclass_fields__)
    for name, value in found.items():
        if name not in known:
            raise UsageError(f"{file}: there is no setting '{name}'", did_you_mean(name, known, "it knows allow_tools"))
        if not isinstance(value, bool):
            raise UsageError(f"{file}: {name} is true or false", f"write {name} = true")
    return Settings(**found)
