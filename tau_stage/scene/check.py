"""What no single field can know: whether names, ids, voices, hearers, tools and files fit together."""

import re
from collections.abc import Iterable

from tau_stage.scene.check_steps import MADE, Checks
from tau_stage.scene.deliver import MOST_KBPS, OF_MP3, Deliver
from tau_stage.scene.findings import Findings
from tau_stage.scene.model import Player, Scene
from tau_stage.scene.names import SOUND_STEMS, slug
from tau_stage.scene.text import Path
from tau_stage.scene.voices import OPENAI_VOICES, is_known, misspelt, voices_of
from tau_stage.scene.words import RESERVED, did_you_mean
from tau_stage.text import hidden, visible

LONGEST_NAME = 64

OF_MODELS = frozenset(
    (
        *("voice", "model", "endpoint", "speed", "reasoning", "output", "max_output_tokens", "tools", "tool_choice"),
        *("turn_detection", "transcription", "hears", "hears_as", "label_speakers", "setup", "commentary"),
    )
)
"""Options of a player that mean nothing where a person plays."""

_UNFIT = re.compile(r'[\x00-\x1f\x7f/\\<>:"|?*]')


def check_names(names: Iterable[str], found: Findings) -> None:
    """Check that players' names can name files, and are no words of the language."""
    taken: dict[str, str] = {}
    for name in names:
        path = ("players", name)
        short = slug(name)
        if name in RESERVED:
            problem = f"'{name}' is a word of the scene language and cannot be a player"
            found.add(path, problem, "choose another name", key=True)
        elif not re.search(r"[^\W_]", name) or len(name) > LONGEST_NAME or _UNFIT.search(name) or name != name.strip():
            hint = f"write letters, digits, spaces, '-' and the like, at most {LONGEST_NAME}, without / \\ : ? *"
            found.add(path, f"'{name[:LONGEST_NAME]}' cannot be a player's name, as names name files", hint, key=True)
        elif unseen := hidden(name):
            problem = f"the name '{name}' holds {', '.join(unseen)}, which nobody sees"
            found.add(path, problem, f"write it anew: {visible(name)}", key=True)
        elif short.startswith(SOUND_STEMS):
            found.add(path, f"'{name}' would share its stem's name with a sound", "choose another name", key=True)
        elif MADE.fullmatch(short):
            problem = f"'{name}' would share the ids of its lines with those that the stage gives"
            found.add(path, problem, "choose another name", key=True)
        elif short in taken:
            problem = f"players '{taken[short]}' and '{name}' would share the file name '{short}'"
            found.add(path, problem, "rename one of them", key=True)
        taken.setdefault(short, name)


def check_scene(scene: Scene, found: Findings) -> None:
    """Check everything that reaches from one part of a scene to another.

    Args:
        scene: The scene as far as it is sound.
        found: Where errors are noted.
    """
    checks = Checks(scene, found)
    _check_voices(scene, found)
    for name, player in scene.players.items():
        path: Path = ("players", name)
        checks.hearing(player.hears, (*path, "hears"), name)
        _check_person(name, player, path, checks)
        checks.tools(player.tools, (*path, "tools"))
        checks.tool_choice(player.tool_choice, (*path, "tool_choice"), player.tools)
    checks.tool_choice(scene.tool_choice, ("tool_choice",), None)
    for tool in scene.tools.values():
        if not (tool.has_result or tool.is_code or found.is_wrong(tool.path)):
            hint = "write 'returns: {ok: true}', 'run: module:function', or 'command: [program]'"
            found.add(tool.path, f"tool '{tool.path[-1]}' gives no result", hint, key=True)
    if scene.expect:
        checks.expect(scene.expect, ("expect",), "")
    _check_mix(scene.deliver, checks)
    _check_pan(scene, found)
    checks.steps()
    checks.cues()
    checks.ids()


def _check_mix(deliver: Deliver, checks: Checks) -> None:
    """Check that only an MP3 has a bit rate and tags, and only so high a rate as its sample rate allows."""
    path: Path = ("deliver", "mix")
    mix = deliver.mix
    if mix is None:
        return
    if not mix.is_mp3:
        for key in (key for key in OF_MP3 if key in mix.model_fields_set):
            hint = "write file: mix.mp3 beside it, or remove it"
            checks.found.add((*path, key), f"only an MP3 has '{key}', and the mix is {mix.file}", hint, key=True)
        return
    most = MOST_KBPS[deliver.rate]
    if mix.bitrate is not None and mix.bitrate > most:
        problem = f"an MP3 at {deliver.rate // 1000} kHz has at most {most} kbps, not {mix.bitrate}"
        checks.found.add((*path, "bitrate"), problem, f"write {most} kbps, or 'rate: 48 kHz' below deliver")
    if mix.cover:
        checks.picture(mix.cover, (*path, "cover"))


def _check_pan(scene: Scene, found: Findings) -> None:
    """Check that sides are asked for only of a mix that has them."""
    panned = next((name for name, player in scene.players.items() if player.pan), None)
    if panned is not None and not scene.deliver.stereo:
        hint = "write 'deliver: {stereo: true}', or remove it"
        found.remark(("players", panned, "pan"), f"'pan' of player '{panned}' does nothing in a mono mix", hint)


def _check_voices(scene: Scene, found: Findings) -> None:
    for name, player in scene.players.items():
        voice, endpoint = player.voice or scene.voice, player.endpoint or scene.endpoint
        if player.human or voice is None or is_known(voice, endpoint):
            continue
        voices = voices_of(endpoint) or ()
        if voices != OPENAI_VOICES and not misspelt(voice, endpoint):
            continue
        path: Path = ("players", name, "voice") if player.voice else ("voice",)
        hint = f"{did_you_mean(voice, voices)} voices: {', '.join(voices)}, or your own: voice_..."
        found.add(path, f"there is no voice '{voice}' at {endpoint or 'openai'}", hint.strip())
        if not player.voice:
            return


def _check_person(name: str, player: Player, path: Path, checks: Checks) -> None:
    """Check that a person has no voice of a model's, and a model no stand-in."""
    found = checks.found
    if player.human is None:
        if player.stand_in is not None:
            hint = "write 'human: mic' beside it, or remove it"
            found.add((*path, "stand_in"), f"player '{name}' is no human, and needs no stand-in", hint, key=True)
        return
    for key in sorted(player.model_fields_set & OF_MODELS):
        hint = "remove it, or remove 'human:'"
        found.add((*path, key), f"player '{name}' is a human, and has no '{key}'", hint, key=True)
    if player.human not in ("mic", "tty"):
        checks.sound(player.human, (*path, "human"))
    if player.stand_in is not None:
        checks.sounds(player.stand_in, (*path, "stand_in"))
