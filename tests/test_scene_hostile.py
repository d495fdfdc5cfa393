"""Scene files nobody can perform: each gives exit code 2 and the very text that tests/hostile holds."""

import re
import subprocess
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest

from tau_stage.cli.main import main
from tau_stage.errors import SceneError
from tau_stage.scene.load import load_variants
from tests.support.forked import python
from tests.support.tone_voice import write_tone

HOSTILE = Path(__file__).parent / "hostile"
HEAD = "players: {ann: {voice: ash}, ben: , deaf: {hears: nobody}}\nlines:\n"


class Block(NamedTuple):
    """One scene of a file in tests/hostile, the files beside it, and what ``validate`` says of it."""

    rule: str
    name: str
    scene: str
    beside: dict[str, str]
    said: str


def blocks(file: Path) -> list[Block]:
    found = []
    for kind, name, body in re.findall(r"^(==|--) (.*)\n((?:(?!==|-- ).*\n)*)", file.read_text(), re.MULTILINE):
        written = body.rstrip("\n").split("\n")
        scene = "".join(f"{line}\n" for line in written if not line.startswith("!"))
        said = "".join(f"{line[2:]}\n" for line in written if line.startswith("!"))
        scene, *others = re.split(r"^>> (.*)\n", scene, flags=re.MULTILINE)
        beside = dict(zip(others[::2], others[1::2], strict=True))
        rule = "-".join(file.stem.split("-")[:2])
        found.append(Block(rule, name, (HEAD if kind == "--" else "") + scene, beside, said))
    return found


BLOCKS = [block for file in sorted(HOSTILE.glob("*.txt")) for block in blocks(file)]


def validated(scene: str | bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What ``validate`` prints about a scene it refuses."""
    file = folder / "scene.yaml"
    file.write_bytes(scene if isinstance(scene, bytes) else scene.encode())
    with pytest.raises(SystemExit) as left:
        main(["validate", "scene.yaml"])
    said = capsys.readouterr()
    assert (left.value.code, said.out) == (2, "")
    return said.err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_two_hundred_blocks_and_two_of_each_rule() -> None:
    assert len(BLOCKS) >= 200
    rules = [block.rule for block in BLOCKS]
    assert all(rules.count(f"rule-{number}") >= 2 for number in range(1, 11))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.rule}-{block.name}".replace(" ", "-"))
def test_an_author_is_told_the_place_the_fact_and_the_way_out(
    block: Block, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in block.beside.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".wav"):
            write_tone(folder / name)
        else:
            (folder / name).write_text(text)
    said = validated(block.scene, folder, capsys)
    assert "\n".join(line.rstrip() for line in said.split("\n")) == block.said
    assert re.match(rf"({'|'.join(map(re.escape, ('scene.yaml', *block.beside)))}):\d+:\d+: ", said)


LAUGHS = "x-a: &a [l,l,l,l,l,l,l,l,l,l]\n" + "".join(
    f"x-{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

MADE: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "1:1: the scene file is empty"),
    "deep lists": ("x-a: " + "[" * 100_000, "1:55: nested more than 50 levels deep"),
    "deep mappings": ("x-a: " + "{a: " * 100_000, "1:202: nested more than 50 levels deep"),
    "deep dashes": ("- " * 100_000, "1:101: nested more than 50 levels deep"),
    "deep indents": ("\n".join(" " * depth + "a:" for depth in range(1500)), "51:51: nested more than 50 levels deep"),
    "billion laughs": (LAUGHS, "4:31: aliases expand to more than 10,000 values"),
    "NUL": ("scene: a\0b\n", "1:9: a scene must be text, but U+0000 is a control character"),
    "not UTF-8": (b"scene: caf\xe9\n", "1:11: byte 0xe9 is not valid UTF-8"),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0", "1:1: byte 0x89 is not valid UTF-8"),
    "a program": (b"\x7fELF\x02\x01\x01\0", "1:1: a scene must be text, but U+007F is a control character"),
    "UTF-16": ("scene: hi".encode("utf-16"), "1:1: the scene file is UTF-16 text"),
    "a mark in mid-text": ("scene: a\ufeffb\n", "1:9: a scene must be text, but U+FEFF is a control character"),
    "a long line": (HEAD + "- ben: " + "la " * 100 + ": " + "lu " * 100, "3:308: YAML reads the text before"),
}


@pytest.mark.parametrize("name", MADE)
def test_what_no_text_file_can_hold(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene, problem = MADE[name]
    said = validated(scene, folder, capsys)
    assert said.startswith(f"scene.yaml:{problem}")
    assert all(len(line) <= 160 for line in said.split("\n"))


def test_a_long_line_is_cut_around_its_caret(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = validated(MADE["a long line"][0], folder, capsys).split("\n")
    assert said[1][said[2].index("^")] == ":"
    assert said[1].startswith("  …")
    assert said[1].endswith("…")


def test_fifty_megabytes_are_never_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "big.yaml").open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(SystemExit, match="2"):
        main(["validate", "big.yaml"])
    assert capsys.readouterr().err.startswith("big.yaml:1:1: the scene file is 50.0 MB")


def as_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "tau_stage", *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["not UTF-8", "deep lists", "billion laughs", "deep indents"])
def test_a_whole_process_ends_with_a_message(name: str, tmp_path: Path) -> None:
    """Slow: a process of its own, as the ones that could crash one must not."""
    scene, problem = MADE[name]
    file = tmp_path / "scene.yaml"
    file.write_bytes(scene if isinstance(scene, bytes) else scene.encode())
    done = as_a_process("validate", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{file}:{problem}")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_whole_process_refuses_a_directory(tmp_path: Path) -> None:
    """Slow: a process of its own."""
    done = as_a_process("validate", str(tmp_path))
    assert (done.returncode, done.stderr.split("\n")[0]) == (2, f"{tmp_path}:1:1: the scene file is a folder")


NOT_BY_PASTING = ("openai messages", "lines string list", "many lines in a mapping")
"""Once the hint is pasted, an author still has to name players, or the speaker of other words, or to mend the rest."""

MISTAKES = [block for block in BLOCKS if block.rule.startswith("mistakes")]


def errors(scene: str) -> tuple[SceneError, ...]:
    """What hinders a scene from being performed."""
    Path("scene.yaml").write_text(scene)
    try:
        load_variants("scene.yaml")
    except SceneError as error:
        return error, *error.also
    return ()


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def pasted(scene: str, error: SceneError) -> Iterator[str]:
    """Yield scenes with the hint of an error pasted in: in place of as many lines as it has, of fewer, or of
    deeper ones too. None where it shows no text.
    """
    lines, at = scene.split("\n"), error.line - 1
    first, *shown = error.hint.split("\n")
    if first.endswith(":") and shown:
        hint = [
            line.removeprefix("  ") for line in takewhile(lambda line: not line.startswith(("  (", "  or, ")), shown)
        ]
        below = list(takewhile(lambda line: indent(line) >= indent(lines[at]), lines[at + 1 :]))
        most = len(hint) + sum(indent(line) > indent(lines[at]) for line in below)
        yield from ("\n".join([*lines[:at], *hint, *lines[at + many :]]) for many in range(1, most + 1))
    elif meant := re.match(r"did you mean '?(.+?)'?(\?( |$)|, or .*\?$)", first):
        before, rest = lines[at][: error.column - 1], lines[at][error.column - 1 :]
        old = re.match(r"[^\s:]+(?=:)|'[^']*'|\d+,\d+\w*|[^},\]]+", rest)
        assert old
        yield "\n".join([*lines[:at], before + meant[1] + rest[old.end() :], *lines[at + 1 :]])


def is_mended(scene: str, most: int = 6) -> bool:
    """Tell whether a scene is accepted once the hint of its first error is pasted in, then that of the next one."""
    found = errors(scene)
    return not found or (most > 0 and any(is_mended(each, most - 1) for each in pasted(scene, found[0])))


def test_there_are_twice_sixty_mistakes() -> None:
    assert len(MISTAKES) >= 120


@pytest.mark.parametrize("block", MISTAKES, ids=lambda block: block.name.replace(" ", "-"))
def test_a_hint_that_is_pasted_is_accepted(block: Block, folder: Path) -> None:
    for name in block.beside:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_tone(folder / name)
    shows_text = any(True for _ in pasted(block.scene, errors(block.scene)[0]))
    assert is_mended(block.scene) == (shows_text and block.name not in NOT_BY_PASTING)
