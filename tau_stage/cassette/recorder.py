"""Recording: what players and providers say goes onto a cassette, which is there only when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import anyio
import pybase64
from pydantic_core import from_json

from tau_stage.audio import RATE
from tau_stage.cassette import clips
from tau_stage.cassette import format as layout
from tau_stage.cassette.redaction import Redactor
from tau_stage.errors import CassetteError, ConnectFailed, SessionClosed, SessionError, TakeError, Timeout, os_reason
from tau_stage.protocol import parse_object
from tau_stage.scene import Plan, PlayerPlan, slug
from tau_stage.stage import Stage
from tau_stage.take import PREFIX, SUFFIX, Take, clear_drafts, draft_beside, is_held, sync_folder, write_whole
from tau_stage.transport import Transport
from tau_stage.version import __version__

LONGEST_CLIP = 120 * RATE * 2
UNFINISHED = ".recording-"  # stands in the names of folders whose recording is under way, or was cut short


class Recorder:
    """A recording under way: writes down what passes between players and providers.

    It ``is_complete`` when the take came to its end, and ``is_whole`` when the cassette is, wherever it is.
    """

    def __init__(self, plan: Plan, inner: Stage, final: Path, folder: Path, secrets: Collection[str]) -> None:
        self._plan = plan
        self._inner = inner
        self._final = final
        self._folder = folder
        self.redactors = {player.name: Redactor(slug(player.name), secrets) for player in plan.models}
        self.entries: list[layout.CassetteEvent] = []
        self._began: float | None = None
        self._sockets: dict[str, int] = {}
        self.stage = replace(inner, connect=self._connect, recording=str(folder))  # the same, listened to
        self.scratch = clips.ClipWriter(folder)
        self.is_complete = self.is_whole = False

    def finish(self, take: Take) -> Path | None:
        """Leave the cassette under its name; None where the take did not come to its end, and nothing is left.

        Where it cannot be written (``CassetteError``), the former one stands, and a whole new one is kept beside it.
        """
        self.is_complete = take.ended == "complete"
        if not self.is_complete:
            return None
        try:
            self._write(take)
        except OSError as error:
            problem = f"cannot write the cassette: {os_reason(error)}; the take itself is saved"
            raise CassetteError(str(self._final), problem, "record it again") from None
        self.is_whole = True
        put_in_place(self._folder, self._final)
        return self._final

    @asynccontextmanager
    async def _connect(self, player: PlayerPlan) -> AsyncIterator[Transport]:
        socket = self._sockets[player.name] = self._sockets.get(player.name, 0) + 1
        self.note(player.name, socket, "dial", {"model": player.model})
        async with AsyncExitStack() as opened:
            try:
                transport = await opened.enter_async_context(self._inner.connect(player))
            except SessionError as error:
                self.note(player.name, socket, "refused", self._refusal(player.name, error))
                raise
            self.note(player.name, socket, "opened", {})
            rate = self._inner.provider_of(player).heard_rate
            recorded = RecordedTransport(transport, self, player.name, socket, rate)
            try:
                yield recorded
            finally:
                recorded.end()

    def _refusal(self, player: str, error: SessionError) -> clips.Event:
        if isinstance(error, Timeout):
            return {"what": error.what, "waited_s": error.waited_s}
        strike = self.redactors[player].text
        if not isinstance(error, ConnectFailed):
            return {"reason": strike(error.what_happened())}
        facts = {name: fact for name in layout.REFUSAL if (fact := getattr(error, name)) is not None}
        return facts | {"reason": strike(error.reason)}

    def note(self, player: str, socket: int, kind: layout.Kind, body: clips.Event) -> layout.CassetteEvent:
        """Note that something happened."""
        now = anyio.current_time()
        self._began = now if self._began is None else self._began
        at_ms = round((now - self._began) * 1000)
        entry = layout.CassetteEvent(len(self.entries) + 1, at_ms, player, socket, kind, body)
        self.entries.append(entry)
        return entry

    def _write(self, take: Take) -> None:
        for number, entry in enumerate(self.entries, 1):
            entry.number = number
        (self._folder / clips.FOLDER).mkdir()
        self.scratch.deliver(self._folder / clips.FOLDER)
        tracks = {}
        for player in self._plan.models:
            place, file = self._inner.provider_of(player), f"{slug(player.name)}.jsonl"
            own = (entry for entry in self.entries if entry.player == player.name)
            events, hashed = layout.write_events(self._folder, file, own)
            facts = {"endpoint": _public(place.name), "dialect": place.dialect.name, "events": events}
            tracks[player.name] = layout.PlayerTrack.model_validate({"file": file, **facts, "sha256": hashed})
        lines = {str(line.number): line.id for line in take.lines}
        facts = {"title": self._plan.title, "slug": self._plan.slug, "recording": _id_of(self._folder), "lines": lines}
        manifest = layout.Manifest(tau_stage=__version__, players=tracks, **facts)
        (self._folder / layout.MANIFEST).write_text(layout.format_manifest(manifest), "utf-8")


class RecordedTransport:
    """One connection of a player's that is listened to; it is sent sound at ``heard_rate``."""

    def __init__(self, inner: Transport, recorder: Recorder, player: str, socket: int, heard_rate: int) -> None:
        self._inner = inner
        self._recorder = recorder
        self._note = partial(recorder.note, player, socket)
        self._heard_rate = heard_rate
        self._redactor = recorder.redactors[player]
        self._hung_up = False
        self._fed = clips.ClipBuilder()
        self._spoken: dict[tuple[str, ...], clips.ClipBuilder] = {}

    async def send(self, frame: bytes) -> None:
        """Send one frame."""
        event: clips.Event = from_json(frame)
        entry = self._note("ask", self._redactor.redact_sent(self._sent(event)))
        try:
            await self._inner.send(frame)
        except SessionClosed:
            self._recorder.entries.remove(entry)
            raise

    async def receive(self) -> bytes:
        """Return the next frame."""
        try:
            frame = await self._inner.receive()
        except SessionClosed as closed:
            if not self._hung_up:
                self._note("closed", {"code": closed.code, "reason": self._redactor.text(closed.reason)})
            raise
        event = parse_object(frame)
        if event is not None:
            event.pop("obfuscation", None)  # noise: it would keep every delta from being written short
            self._note("told", self._redactor.redact_received(self._received(event)))
        else:
            self._note("raw", {"frame": self._redactor.text(bytes(frame).decode(errors="replace"))})
        return frame

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close in order."""
        self._hung_up = True
        await self._inner.aclose(code, reason)

    def drop(self) -> None:
        """Cut the connection."""
        self._hung_up = True
        self._inner.drop()

    def end(self) -> None:
        """Keep what was begun: nothing more will come."""
        self._end_fed()
        for place in list(self._spoken):
            self._recorder.scratch.keep_clip(self._spoken.pop(place), RATE)

    def _sent(self, event: clips.Event) -> clips.Event:
        if event.get("type") != "input_audio_buffer.append":
            self._end_fed()
            return clips.replace_audio(event, partial(self._recorder.scratch.keep_whole, rate=self._heard_rate), str)
        if len(self._fed.data) > LONGEST_CLIP:
            self._end_fed()
        return clips.replace_audio(event, lambda coded: self._fed.add(pybase64.b64decode(coded)), str)

    def _end_fed(self) -> None:
        if self._fed.refs:
            self._recorder.scratch.keep_clip(self._fed, self._heard_rate)
            self._fed = clips.ClipBuilder()

    def _received(self, event: clips.Event) -> clips.Event:
        kind = str(event.get("type"))
        place = tuple(str(event.get(key, "")) for key in ("response_id", "item_id", "content_index"))
        if kind in clips.DELTAS:
            clip = self._spoken.setdefault(place, clips.ClipBuilder())
            return clips.replace_audio(event, lambda coded: clip.add(pybase64.b64decode(coded)), str)
        if kind.endswith("audio.done") and place in self._spoken:
            self._recorder.scratch.keep_clip(self._spoken.pop(place), RATE)
        return clips.replace_audio(event, lambda coded: self._recorder.scratch.keep_whole(coded, RATE), str)


@contextmanager
def record_cassette(plan: Plan, stage: Stage, folder: Path, secrets: Collection[str]) -> Iterator[Recorder]:
    """Record a performance into ``folder/<slug>``, when it has come to its end.

    Raises:
        CassetteError: The folder cannot be written, or something else lies there.
    """
    final = folder / plan.slug
    _refuse_other(final)
    with ExitStack() as opened:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for left in unfinished_in(folder):
                if not is_whole(left):
                    shutil.rmtree(left)
            clear_drafts(folder)
            _, lock = opened.enter_context(draft_beside(final))
            scratch = folder / f".{plan.slug}{UNFINISHED}{lock.stem.removeprefix(PREFIX)}"
            scratch.mkdir()
        except OSError as error:
            hint = "choose another directory with --record"
            raise CassetteError(str(folder), f"cannot be written: {os_reason(error)}", hint) from None
        tape = Recorder(plan, stage, final, scratch, secrets)
        try:
            yield tape
        finally:
            if not tape.is_whole:
                shutil.rmtree(scratch, ignore_errors=True)


def finish_recording(folder: Path) -> bool:
    """Finish a recording that was cut when its take had ended, and tell whether its cassette stands under its name.

    Raises:
        CassetteError: It is whole, and cannot take its place, or another was recorded since.
    """
    final = folder.with_name(folder.name.removeprefix(".").rpartition(UNFINISHED)[0])
    if is_whole(folder):
        _refuse_other(final)
        if not _is_of(final, folder) and _written_at(final) > _written_at(folder):
            raise CassetteError(
                str(final), "was recorded again in the meantime", f"the cassette of this take is complete: {folder}"
            )
        put_in_place(folder, final)
        return True
    if not _is_of(final, folder):
        return False
    shutil.rmtree(folder, ignore_errors=True)  # what was left to remove when the cassette was in its place
    return True


def _id_of(recording: Path) -> str:
    return recording.name.rpartition("-")[2]


def _is_of(cassette: Path, recording: Path) -> bool:
    """Tell whether a cassette is there, and came of a recording."""
    try:
        return layout.load_cassette(cassette).manifest.recording == _id_of(recording)
    except CassetteError:
        return False


def _written_at(cassette: Path) -> int:
    manifest = cassette / layout.MANIFEST
    return manifest.stat().st_mtime_ns if manifest.exists() else 0


def _refuse_other(final: Path) -> None:
    if final.is_symlink() or (final.exists() and not (final / layout.MANIFEST).is_file()):
        raise CassetteError(
            str(final),
            "the path of the cassette already exists, but is not a cassette",
            "choose another directory with --record",
        )


def unfinished_in(folder: Path) -> list[Path]:
    """Return what recordings have left that were cut short by force; those under way are not among them."""
    found = (path for path in folder.glob(f".*{UNFINISHED}*") if path.is_dir() and not path.is_symlink())
    return sorted(path for path in found if not is_held(folder / f"{PREFIX}{path.name.rpartition('-')[2]}{SUFFIX}"))


def is_whole(path: Path) -> bool:
    """Tell whether a cassette can be replayed to its end."""
    try:
        layout.verify_cassette(path)
    except CassetteError:
        return False
    return True


def put_in_place(new: Path, final: Path) -> None:
    """Let a new cassette take the place of an old one in its folder, so that one of them stands there at every instant.

    What it is made of is brought there beside what is there, the manifest is replaced at once, and what nobody speaks
    of any more is removed. The events get names of their own first, so that no file changes under a manifest. Where it
    cannot be written (``CassetteError``), the new one is left where it is.
    """
    try:
        if not final.exists():
            new.rename(final)
            sync_folder(final.parent)
            return
        _bring(new, final)
    except (OSError, TakeError) as error:
        reason = error.problem if isinstance(error, TakeError) else os_reason(error)
        problem = f"cannot move the new cassette here: {reason}"
        raise CassetteError(str(final), problem, f"it is complete: move {new} to {final}") from None
    with suppress(OSError):  # the new one stands; what is left over does no harm
        for file in (*layout.spare_files(layout.load_cassette(final)), *final.glob(f"{PREFIX}*")):
            file.unlink()
    shutil.rmtree(new, ignore_errors=True)


def _bring(new: Path, final: Path) -> None:
    manifest = layout.load_cassette(new).manifest
    (final / clips.FOLDER).mkdir(exist_ok=True)
    for clip in sorted((new / clips.FOLDER).iterdir()):
        _copy(clip, final / clips.FOLDER / clip.name)
    aside = {
        name: track.model_copy(update={"file": f"{Path(track.file).stem}-{track.sha256[:12]}.jsonl"})
        for name, track in manifest.players.items()
    }
    for name, track in manifest.players.items():
        _copy(new / track.file, final / aside[name].file)
    write_whole(
        {final / layout.MANIFEST: layout.format_manifest(manifest.model_copy(update={"players": aside}))},
        clips.RECORD_AGAIN,
    )
    for track in manifest.players.values():
        _copy(new / track.file, final / track.file)
    write_whole({final / layout.MANIFEST: layout.format_manifest(manifest)}, clips.RECORD_AGAIN)


def _copy(file: Path, to: Path) -> None:
    data = file.read_bytes()
    if not (to.is_file() and to.read_bytes() == data):
        write_whole({to: data}, clips.RECORD_AGAIN)


def _public(name: str) -> str:
    """Return an endpoint's name; of a URL without the parts that may hold a key.

    >>> _public("wss://me:secret@example.com:1/v1/realtime?key=secret"), _public("openai")
    ('wss://example.com:1/v1/realtime', 'openai')
    """
    if "://" not in name:
        return name
    parts = urlsplit(name)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
