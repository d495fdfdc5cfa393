"""What to say when nobody gives a line: something short that fits what was heard, and always the same for the same.

Words and voice decide together, so two players who hear the same thing do not answer the same. The sentences, and the
words by which a topic is found, stand in ``improvisation.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic_core import from_json

from tau_stage.scene import OPENAI_VOICES
from tau_stage.understudy.actor import SpeechRequest, Utterance

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
ABOUT: Mapping[str, Sequence[str]] = WORDS["about"]
PLAIN: Mapping[str, Sequence[str]] = WORDS["plain"]
CALLS: Mapping[str, Sequence[str]] = WORDS["calls"]
TITLED_CALLS: Sequence[str] = WORDS["titled_calls"]
ADJECTIVES = frozenset(WORDS["adjectives"].split())
STOP = frozenset(WORDS["stop"].split())

Kind = Literal["question", "statement", "greeting", "thanks", "goodbye"]

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
PIECE = re.compile(rf"{WORD.pattern}|[^\w\s]")
SENTENCE = re.compile(r"[^.!?…]+[.!?…]*")

GOODBYE = re.compile(r"\b(good ?bye|bye|farewell|good night|see you (?:soon|later|tomorrow)|so long)\b", re.IGNORECASE)
THANKS = re.compile(r"\b(thanks|thank you|much obliged)\b", re.IGNORECASE)
GREETING = re.compile(
    r"^\W*(?:(?:oh|ah|well|why)\W+)?(?:hello|hi|hey|welcome|greetings|how do you do"
    r"|good (?:morning|day|afternoon|evening))\b",
    re.IGNORECASE,
)

TURNED = {"my": "your", "our": "your", "your": "my", "his": "his", "her": "her", "their": "their"}
"""Whose a thing is, as the one who answers says it."""

ARTICLES = {*TURNED, *WORDS["articles"].split()}
PLACES, CLAUSES, VERBS = (frozenset(WORDS[kind].split()) for kind in ("places", "clauses", "verbs"))


def _own_words() -> frozenset[str]:
    kinds = (*ABOUT.values(), *PLAIN.values(), *CALLS.values(), TITLED_CALLS)
    return frozenset(
        word for kind in kinds for sentence in kind for word in WORD.findall(re.sub(r"{\w+}", "", sentence).lower())
    )


OWN = _own_words()  # words of our own sentences: they are no topics, or players would soon talk about nothing else


class Topic(NamedTuple):
    """What somebody talked about, with its article, and whether something shows that it is a thing."""

    words: str
    is_thing: bool


def kind_of(words: str) -> Kind:
    """Tell what kind of thing was said; the last sentence counts, if it is not for politeness alone."""
    *_, last = SENTENCE.findall(words) or [words]
    if GOODBYE.search(last):
        return "goodbye"
    if "?" in last and not (GREETING.search(last) and topic_of(last) is None):
        return "question"
    short = words if len(WORD.findall(words)) <= 8 else last
    if THANKS.search(short):
        return "thanks"
    return "greeting" if GREETING.search(short) and not _says_more(last) else "statement"


def _says_more(greeting: str) -> bool:
    """Tell whether a greeting goes on to something else: Hello, I have lost my umbrella."""
    topic = topic_of(greeting)
    return topic is not None and topic.is_thing and len(WORD.findall(greeting)) > 5


def topic_of(words: str, names: Iterable[str] = ()) -> Topic | None:
    """Find what was talked about last; ``names`` are who plays, and no topics."""
    known = {word for name in names for word in WORD.findall(name.lower())}
    for sentence in reversed(SENTENCE.findall(words)):
        pieces = PIECE.findall(sentence)
        if found := _thing(pieces, known) or _word(pieces, known):
            return found
    return None


def _is_stop(piece: str, known: set[str]) -> bool:
    word = piece.lower().replace("’", "'")
    is_word = WORD.fullmatch(piece) is not None
    return not is_word or len(word) < 2 or word in STOP or word in OWN or word in known or word in ARTICLES | PLACES


def _thing(pieces: list[str], known: set[str]) -> Topic | None:
    """Find the last word or words that an article, a place word or a capital marks as a thing."""
    start = len(pieces)
    for at in range(len(pieces) - 1, -1, -1):
        if not _is_stop(pieces[at], known):
            start = _row_start(pieces, min(start, at), known)  # words in a row begin where the last of them does
            if found := _marked(pieces, start, at):
                return found
    return None


def _row_start(pieces: list[str], start: int, known: set[str]) -> int:
    """Find where words in a row begin, adjectives among them."""
    while start and (not _is_stop(pieces[start - 1], known) or pieces[start - 1].lower() in ADJECTIVES):
        start -= 1
    return start


def _marked(pieces: list[str], start: int, at: int) -> Topic | None:
    """Return words in a row as a topic, where what stands before them or a capital marks a thing."""
    before = pieces[start - 1].lower() if start else ""
    is_capital = at > 0 and pieces[at][0].isupper()
    if not is_capital and before not in ARTICLES | PLACES:
        return None
    row = pieces[start : at + 1]
    if before in ARTICLES:
        return _with_article(before, _noun(row, pieces[: start - 1], pieces[at + 1 :]))
    return Topic(" ".join(word for word in row if not is_capital or word[0].isupper()), is_thing=True)


def _with_article(before: str, words: Sequence[str]) -> Topic:
    article = [] if before in {"some", "any"} and words[0][0].isupper() else [TURNED.get(before, "the")]
    return Topic(" ".join([*article, *words]), is_thing=True)


def _noun(found: list[str], before: list[str], after: list[str]) -> list[str]:
    """Take three words at the most; where a sentence begins with them, the last may be its verb."""
    begins = not before or before[-1].lower() in CLAUSES or not WORD.fullmatch(before[-1])
    is_followed_by_verb = bool(after) and after[0].lower() in VERBS
    nouns = [word for word in found if word.lower() not in ADJECTIVES]
    return (found[:-1] if begins and len(nouns) > 1 and not is_followed_by_verb else found)[:3]


def _word(pieces: list[str], known: set[str]) -> Topic | None:
    found = next((piece for piece in reversed(pieces) if not _is_stop(piece, known)), None)
    return Topic(found.lower(), is_thing=False) if found else None


END = r"(?:(?<!\bDr)(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bSt)\.(?:\s|$)|\n|$)"  # where a sentence ends; not after a title
SENTENCE_END = re.compile(END)
PLAYERS = re.compile(r"\bWith you plays?:[^\S\n]*(?=\S)", re.IGNORECASE)
SUBJECT = re.compile(r"\bIt is about:[^\S\n]*(?=\S)", re.IGNORECASE)
SELF = re.compile(r"\bYou are (?P<told>[^.,;:\n]+)", re.IGNORECASE)
LONGEST_NAME_WORDS = 8
INTERPRETER = re.compile(r"interpret|translat", re.IGNORECASE)


class Briefing(NamedTuple):
    """What a player was told: who else plays, what it is about, or empty, and whether it only says what it hears."""

    others: tuple[str, ...]
    subject: str
    interprets: bool


class Seed(NamedTuple):
    """What decides: the words that were heard and how many turns were taken, and the voice."""

    words: str
    voice: str

    def number(self, what: str) -> int:
        """Make a number for one decision."""
        return _number(f"{self.words}|{self.voice}|{what}")

    @property
    def place(self) -> int:
        """Where to begin in a list: neighbours for voices that are known, so that they do not say the same."""
        known = self.voice in OPENAI_VOICES
        return _number(self.words) + (OPENAI_VOICES.index(self.voice) if known else _number(self.voice))


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest())


def _heard(request: SpeechRequest) -> Sequence[Utterance]:
    """Return what was said to the actor by sound, else what was written."""
    written = request.user.strip()
    return request.heard or ((Utterance(written),) if written else ())


def improvise(request: SpeechRequest) -> str:
    """Say something short and sensible to whatever was said or heard last."""
    if request.output is not None:
        return say_result(request.output)
    told = read_briefing((request.instructions, *request.system))
    heard = _heard(request)
    last = next((remark for remark in reversed(heard) if remark.words), None)
    if told.interprets and last:
        return last.words
    names = (*told.others, *_selves(request), *(remark.who for remark in heard))
    seed = Seed(f"{last.words if last else len(heard)}|{len(request.said)}", request.voice)
    kind, topic = (kind_of(last.words), topic_of(last.words, names)) if last else _without_words(told, heard)
    before = (*(remark.words for remark in heard), *request.said)
    sentence = _sentence(kind, topic, seed, before)
    call = _call(kind, told.others, seed, before)
    return f"{sentence} {call}".rstrip()


def _without_words(told: Briefing, heard: Sequence[Utterance]) -> tuple[str, Topic | None]:
    """Choose what is answered to a sound without words, or where nothing was said."""
    if heard:
        return "unheard", None
    return "opening", Topic(told.subject, is_thing=True) if told.subject else None


def read_briefing(texts: Sequence[str]) -> Briefing:
    """Find what instructions and whispers tell of the play; what is told last counts."""
    whole = "\n".join(texts)
    selves = {name for found in SELF.finditer(whole) for name in _beginnings(found["told"].lower().split())}
    listed = re.split(r" ?[,;&] ?(?:and )?| and ", " ".join(_last(PLAYERS, whole).split()))
    others = filter(None, map(str.strip, listed))
    return Briefing(
        tuple(name for name in others if name.lower() not in selves),
        _last(SUBJECT, whole),
        INTERPRETER.search(whole) is not None,
    )


def say_result(output: str) -> str:
    """Say a tool's result in words."""
    try:
        found = from_json(output)
    except ValueError:
        found = output
    if isinstance(found, dict) and "error" in found:
        return f"That did not work: {found['error']}."
    if found in (None, "", {}, [], True, {"ok": True}):
        return "Done."
    if isinstance(found, dict):
        told = ", ".join(f"{key}: {value}" for key, value in found.items())
        return f"{told[:1].upper()}{told[1:]}."
    return f"It says: {found}."


def _beginnings(words: Sequence[str]) -> Iterator[str]:
    """List a name, and what it may be shortened to: its first words."""
    for number in range(1, min(len(words), LONGEST_NAME_WORDS) + 1):
        yield " ".join(words[:number])


def _last(pattern: re.Pattern[str], text: str) -> str:
    """Find what stands behind the last of what a pattern finds, to the end of its sentence."""
    told, end = "", 0
    for found in pattern.finditer(text):
        if found.start() >= end and (stop := SENTENCE_END.search(text, found.end() + 1)):
            told, end = text[found.end() : stop.start()].strip(), stop.end()
    return told


def _selves(request: SpeechRequest) -> list[str]:
    """List short names of the player itself: longer descriptions may well be talked about."""
    found = SELF.finditer("\n".join((request.instructions, *request.system)))
    return [name["told"] for name in found if len(name["told"].split()) <= 2]


def _sentence(kind: str, topic: Topic | None, seed: Seed, before: Sequence[str]) -> str:
    about = "echo" if topic and not topic.is_thing and kind != "opening" else kind
    if topic is None or about not in {*ABOUT} or kind in {"greeting", "thanks", "goodbye"}:
        return _fresh(PLAIN[kind], seed, before)
    template = _fresh(ABOUT[about], seed, before)
    return template.format(the=topic.words, The=topic.words[:1].upper() + topic.words[1:])


def _call(kind: str, others: Sequence[str], seed: Seed, before: Sequence[str]) -> str:
    """Address somebody else, in about half of the turns."""
    if not others or seed.number("call") % 2:
        return ""
    name = others[seed.number("whom") % len(others)]
    calls = TITLED_CALLS if name.lower().startswith(("the ", "a ", "an ")) else CALLS.get(kind, CALLS["other"])
    return _fresh(calls, seed, before).format(name=name)


def _fresh(templates: Sequence[str], seed: Seed, before: Sequence[str]) -> str:
    """Choose one of some sentences: one that nobody has said, else the one that was said the longest time ago."""
    start = seed.place % len(templates)
    return min((*templates[start:], *templates[:start]), key=lambda template: _said_at(template, before))


def _said_at(template: str, before: Sequence[str]) -> int:
    """Find where a sentence was said last, whatever its topic; -1 if it never was."""
    words = max(re.split(r"{\w+}", template), key=len).strip()
    return max((at for at, said in enumerate(before) if words in said), default=-1)
