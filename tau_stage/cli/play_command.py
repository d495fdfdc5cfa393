"""``tau-stage play``: hear a take, or one line of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tau_stage import devices
from tau_stage import take as takes
from tau_stage.cli.options import TakePath
from tau_stage.cli.printing import say
from tau_stage.errors import UsageError
from tau_stage.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray


def play(
    take: TakePath,
    line: Annotated[
        str | None, typer.Argument(metavar="LINE", help="The id of the line to play.", show_default=False)
    ] = None,
    number: Annotated[
        int | None, typer.Argument(metavar="N", min=1, help="Number of the take to play.", show_default=False)
    ] = None,
) -> None:
    """Play the mix of a take, its lines in order, one line, or one take of a line."""
    folder, told = takes.read_take(take)
    if line is None and (mix := folder.mix):
        _play(*_read_mix(mix), mix)
        return
    lines = _chosen(folder, told, line)
    named = [(each.id, each) if number is None else _other(folder, each, number) for each in lines]
    for name, each in named:
        sound = takes.audio_of(folder, each)
        say(f"{name}: {one_line(each.said)}")
        _play((sound.array.reshape(-1, 1) / 32_768).astype("float32"), sound.rate, folder.sound(each))


def _chosen(folder: takes.TakeFolder, told: takes.Take, line: str | None) -> list[takes.Performed]:
    """Return the lines that are wanted; without a name, all that sound."""
    lines = {each.id: each for each in told.lines}
    if line in lines:
        return [lines[line]]
    if line is not None:
        raise UsageError(f"{folder.path}: no line {line!r}", f"its lines: {', '.join(lines) or 'none'}")
    if found := [each for each in told.lines if each.file is not None]:
        return found
    raise UsageError(f"{folder.path}: no line of this take has audio", f"the take is {told.ended}: {told.problem}")


def _other(folder: takes.TakeFolder, line: takes.Performed, number: int) -> tuple[str, takes.Alternative]:
    """Return one take of a line, and what it is called."""
    known = {take.take: take for take in line.takes if take.file}
    if number not in known:
        numbers = ", ".join(map(str, known))
        hint = f"its takes: {numbers}" if known else f"play the line: tau-stage play {folder.path} {line.id}"
        raise UsageError(f"{folder.path}: line {line.id} has no take {number} with audio", hint)
    return f"{line.id}, take {number}", known[number]


def _read_mix(path: Path) -> tuple[NDArray[np.float32], int]:
    """Read the mix, whatever its format, width and number of channels, and its rate."""
    import soundfile

    with (
        takes.quiet(path),
        takes.sound_errors(
            path, "write it again with tau-stage report, or play a single line: tau-stage play TAKE LINE"
        ),
    ):
        frames, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return frames, rate


def _play(frames: NDArray[np.float32], rate: int, file: Path) -> None:
    """Play a sound to its end."""
    from dataclasses import replace

    side = replace(devices.LOUDSPEAKER, otherwise=f"play {file} on another machine")
    sd = devices.portaudio(side)
    card = devices.find_device(sd, None, side)
    channels = min(side.most_channels, card["max_output_channels"])
    with devices.translated_errors(sd, card["name"], side):
        wanted = _rate(sd, card, rate, channels)
        samples = _at_rate(_spread(frames, channels), rate, wanted) * 32_768
        sd.play(samples.round().clip(-32_768, 32_767).astype("int16"), wanted, blocking=True)


def _spread(frames: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Spread a sound over as many channels as there are loudspeakers: mono on all of them, all on a single one."""
    if frames.shape[1] == channels:
        return frames
    mono: NDArray[np.float32] = frames.mean(axis=1, keepdims=True)
    return mono.repeat(channels, axis=1)


def _at_rate(frames: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    if rate == wanted:
        return frames
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(frames, rate, wanted)
    return resampled


def _rate(sd: ModuleType, card: Mapping[str, Any], wanted: int, channels: int) -> int:
    """Return the sound's own rate where the loudspeaker does that, else the loudspeaker's."""
    try:
        sd.check_output_settings(card["index"], channels=channels, dtype="int16", samplerate=wanted)
    except sd.PortAudioError:
        return int(card["default_samplerate"])
    return wanted
