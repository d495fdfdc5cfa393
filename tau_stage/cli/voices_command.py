"""``tau-stage voices``: whom an author can cast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tau_stage import audio, scene, take, understudy
from tau_stage.cli.printing import say
from tau_stage.errors import UsageError

SAMPLE = "Good evening. I would like to read for the part, if it is still free."


def voices(
    endpoint: Annotated[str, typer.Option(help="List the voices of this endpoint.")] = "openai",
    sample: Annotated[Path | None, typer.Option(help="Write a WAV file of each voice to this folder.")] = None,
    text: Annotated[str, typer.Option(help="The text of the samples.")] = SAMPLE,
) -> None:
    """List the voices of an endpoint.

    With --sample, the understudy speaks a sample in each voice.
    """
    if endpoint not in scene.VOICES:
        raise UsageError(
            f"unknown endpoint '{endpoint}'",
            scene.did_you_mean(endpoint, scene.VOICES, f"known endpoints: {scene.listed(scene.VOICES)}"),
        )
    names = scene.VOICES[endpoint]
    if names is None:
        say(f"the voices of {endpoint} are unknown; a scene can use any voice name")
        return
    if sample is not None:
        _sample(list(names), sample, text)
    say("\n".join(names))


def _sample(names: list[str], folder: Path, text: str) -> None:

    speaker = understudy.Voices.of_user()
    with take.guarded(folder, "choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            cue = understudy.SpeechRequest(
                instructions="", system=(), user=f'Perform this line: "{text}"', heard=(), voice=name
            )
            with audio.WavWriter(folder / f"{name}.wav") as file:
                file.append(speaker.speak(understudy.plan_speech(cue), name))
