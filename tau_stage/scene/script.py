"""Play scripts: who speaks which words, and where they stand in the file; in our own notation.

``CLERK: (nervously) I'm afraid that is the last one.`` No quoting rule exists: whatever follows the colon is words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tau_stage.errors import SceneError
from tau_stage.scene.source import Place, Source
from tau_stage.scene.speakers import Head, head_of, is_stamp, marked_head
from tau_stage.scene.words import did_you_mean, listed
from tau_stage.text import composed, folded

_DEEPER = "words that go on in a new line stand deeper than the speech"
_NOBODY = "a speech is 'PLAYER: words', and a blank line ends it"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One speech.

    Attributes:
        speaker: The player, as the scene spells the name.
        text: The words, with a leading ``(direction)`` if there is one.
        line: Where the text starts: line in the file, from 1.
        column: Column in that line, from 1.
        dual: Whether it is spoken together with the speech before.
    """

    speaker: str
    text: str
    line: int
    column: int
    dual: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the scene language between the speeches, in YAML.

    Attributes:
        first_line: The line of its ``- ``, from 1.
        last_line: Its last line.
    """

    first_line: int
    last_line: int


def read_script(source: Source, first: int, last: int, players: Sequence[str]) -> list[Spoken | Item]:
    """Read some lines of a file as a script.

    Args:
        source: The file.
        first: The first line of the script, from 1.
        last: Its last line.
        players: The scene's players.

    Raises:
        SceneError: Somebody speaks who is no player, or words stand where nobody speaks; others are in its ``also``.

    >>> read_script(Source.of("ANN: (low) Hi.", "x"), 1, 1, ["ann"])
    [Spoken(speaker='ann', text='(low) Hi.', line=1, column=6, dual=False)]
    """
    return _Reader(source, Cast(source, players)).read(first, last)


class Cast:
    """The players by name, however it is spelt, and the errors about those who are none."""

    def __init__(self, source: Source, players: Sequence[str]) -> None:
        self.source = source
        self.players = tuple(players)
        self.errors: list[SceneError] = []
        self._folded: dict[str, str | None] = {}
        self._exact = frozenset(self.players)
        for name in self.players:
            short = folded(name)
            self._folded[short] = None if short in self._folded else name

    def find(self, name: str) -> str | None:
        """Return the player whom a name means: spelt so, or alone in being spelt so but for capitals."""
        name = composed(name)
        return name if name in self._exact else self._folded.get(folded(name))

    def refuse(self, place: Place, name: str, advice: str = "") -> None:
        """Note that somebody is no player; ``advice`` stands under the nearest name."""
        near = did_you_mean(name, self.players, f"players: {listed(self.players)}")
        self.add(place, f"there is no player '{name}'", "\n  ".join(filter(None, (near, advice))))

    def add(self, place: Place, problem: str, hint: str) -> None:
        """Note an error."""
        self.errors.append(self.source.error(place, problem, hint))

    def raise_any(self) -> None:
        """Raise the first error, with the others in its ``also``.

        Raises:
            SceneError: There is one.
        """
        if self.errors:
            first, *others = self.errors
            raise replace(first, also=tuple(others))


@dataclass(slots=True)
class _Speech:
    """A speech that is being read; without a speaker it is one whom nobody may speak.

    Attributes:
        speaker: The player.
        place: Where the words begin.
        indent: How deep the name stands.
        is_under: Whether the name stands alone on its line, and the words under it.
        words: Line by line.
    """

    speaker: str | None
    place: Place
    indent: int
    is_under: bool = False
    words: list[str] = field(default_factory=list)

    def takes(self, line: str) -> bool:
        """Tell whether a line that names nobody goes on with it: deeper, or under a name that stands alone."""
        return self.speaker is None or self.is_under or depth(line) > self.indent

    def add(self, number: int, column: int, words: str) -> None:
        if not self.words:
            self.place = Place(number, column)
        self.words.append(words)


class _Reader:
    """One pass over the lines of a script."""

    def __init__(self, source: Source, cast: Cast) -> None:
        self.source = source
        self.cast = cast
        self.found: list[Spoken | Item] = []
        self.speech: _Speech | None = None

    def read(self, first: int, last: int) -> list[Spoken | Item]:
        number, last = first, min(last, len(self.source.lines))
        while number <= last:
            number = self.part(number, last) + 1
        self.close()
        self.cast.raise_any()
        return self.found

    def part(self, number: int, last: int) -> int:
        """Read what begins at a line; its last line."""
        words = self.source.line(number).strip()
        if not words:
            self.close()
        elif is_item(words):
            self.close()
            end = self.end_of_item(number, last)
            self.found.append(Item(number, end))
            return end
        elif not words.startswith("#") and not self.is_cue_number(number, words, last):
            self.words(number, self.source.line(number))
        return number

    def end_of_item(self, first: int, last: int) -> int:
        """Find the end of an item: it goes on while lines are deeper; blanks and comments count before such lines."""
        end, indent = first, depth(self.source.line(first))
        for number in range(first + 1, last + 1):
            line = self.source.line(number)
            if line.strip() and depth(line) > indent:
                end = number
            elif not line.lstrip().startswith("#") and line.strip():
                break
        return end

    def is_cue_number(self, number: int, words: str, last: int) -> bool:
        """Tell whether a line numbers the subtitle whose time stamp stands under it."""
        return words.isdecimal() and number < last and is_stamp(self.source.line(number + 1).strip())

    def words(self, number: int, line: str) -> None:
        outside = self.speech is None or depth(line) <= self.speech.indent
        head = head_of(line, self.cast.find)
        speaker = self.cast.find(head.name) if head else None
        if speaker is None and outside and (marked := marked_head(line, self.cast.find)):
            head, speaker = marked, self.cast.find(marked.name)
        if head and speaker is not None:
            self.close()
            place = Place(number, head.words_column + 1)
            self.speech = _Speech(speaker, place, depth(line), is_under=not head.words)
            if head.words:
                self.speech.add(number, head.words_column + 1, head.words)
        elif is_stamp(line.strip()):
            return
        elif self.speech is None or (head and outside) or not self.speech.takes(line):
            self.refuse(number, line, head)
        else:
            self.speech.add(number, _start(line), line.strip())

    def refuse(self, number: int, line: str, head: Head | None) -> None:
        """Note that nobody, or somebody who is no player, speaks words."""
        deeper = _DEEPER if self.speech else ""
        if head:
            place = Place(number, head.column + 1)
            self.cast.refuse(place, head.name, deeper)
        else:
            place = Place(number, _start(line))
            self.cast.add(place, "nobody speaks these words", "\n  ".join(filter(None, (_NOBODY, deeper))))
        self.close()
        self.speech = _Speech(None, place, depth(line))

    def close(self) -> None:
        speech, self.speech = self.speech, None
        if speech and speech.speaker is not None:
            self.found.append(Spoken(speech.speaker, " ".join(speech.words), *speech.place))


def is_item(line: str) -> bool:
    """Tell whether a line, without its indentation, begins an item of the scene language.

    >>> is_item("- pause: 1s"), is_item("-well, no")
    (True, False)
    """
    return line == "-" or line.startswith(("- ", "-\t"))


def depth(line: str) -> int:
    """Tell how many blanks a line begins with, as YAML counts them."""
    return len(line) - len(line.lstrip(" \t"))


def _start(line: str) -> int:
    """Return the column of a line's first word, from 1."""
    return len(line) - len(line.lstrip()) + 1
