"""What somebody talks about, and what kind of thing was said: by plain rules on English words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from tau_stage.understudy.phrases import ABOUT, CALLS, PLAIN, TITLED_CALLS

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

ARTICLES = {*TURNED, "the", "a", "an", "this", "that", "these", "those", "some", "any", "no", "another", "every"}
PLACES = {"about", "of", "in", "at", "from", "to", "for", "with", "without", "by", "near", "after", "before"}


CLAUSES = {"and", "but", "or", "if", "when", "because", "so", "while", "that"}
"""Words that a clause begins with."""

VERBS = {"is", "are", "was", "were", "has", "have", "had", "will", "would", "can", "could", "must", "should", "may"}
"""Verbs that can follow a thing; so the word before is no verb."""

ADJECTIVES = frozenset(
    re.findall(
        r"\w+",
        """last first next old new good great bad little big other same own fine nice small long short young poor dear
        red blue green black white yellow dark cold warm hot wet dry strange beautiful whole only best worst late
        early""",
    )
)
"""Words that belong to the one that follows."""

STOP = frozenset(
    re.findall(
        r"\S+",
        """
    i you he she it we they me him us them mine yours hers ours theirs myself yourself who whom whose what which where
    when why how is are was were be been being am do does did done have has had having will would shall should can could
    may might must ought need not and or but if so than then as because while though although until since unless yes
    no oh ah well hm please just only very too also still again once here there now today tomorrow yesterday tonight
    ever never always often on off up down out over under into onto through across back away around between
    one ones two something anything nothing everything somebody anybody nobody everybody thing things way kind sort lot
    come comes came go goes went gone going get gets got make makes made take takes took taken give gives gave given
    say says said tell tells told speak ask asks asked know knows knew known think thinks thought want wants wanted
    like likes liked see sees saw seen look looks looked hear hears heard put let mean means feel felt find found seem
    seems wait keep keeps kept left leave leaves really quite rather indeed even much many more most less least few all
    both each own other such same good great bad little big new old last first next don't doesn't didn't won't can't
    couldn't wouldn't shouldn't isn't aren't wasn't weren't haven't hasn't hadn't i'm you're he's she's it's we're
    they're i've you've we've they've i'll you'll he'll she'll we'll they'll i'd you'd that's there's what's who's let's
    where's here's how's thank thanks minute moment hour sir madam
    morning afternoon evening
    """,
    )
)


def _own_words() -> frozenset[str]:
    kinds = (*ABOUT.values(), *PLAIN.values(), *CALLS.values(), TITLED_CALLS)
    return frozenset(
        word for kind in kinds for sentence in kind for word in WORD.findall(re.sub(r"{\w+}", "", sentence).lower())
    )


OWN = _own_words()
"""Words of our own sentences: they are no topics, or players would soon talk about nothing else."""


class Topic(NamedTuple):
    """What somebody talked about.

    Attributes:
        words: With its article, as in ``the umbrella``.
        is_thing: Whether an article, a place word or a capital shows that it is one.
    """

    words: str
    is_thing: bool


def kind_of(words: str) -> Kind:
    """What kind of thing was said; the last sentence counts, if it is not for politeness alone.

    >>> [kind_of(words) for words in ("Oh, thank you very much.", "Thank you. Who are you?", "Hello there.")]
    ['thanks', 'question', 'greeting']
    """
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
    """Whether a greeting goes on to something else: Hello, I have lost my umbrella."""
    topic = topic_of(greeting)
    return topic is not None and topic.is_thing and len(WORD.findall(greeting)) > 5


def topic_of(words: str, names: Iterable[str] = ()) -> Topic | None:
    """What was talked about last.

    Args:
        words: What was said.
        names: Who plays; people are no topics.

    >>> topic_of("I'm afraid we're down to the last umbrella.")
    Topic(words='the last umbrella', is_thing=True)
    >>> topic_of("Is your boat in Oslo?"), topic_of("I am tired.").words, topic_of("Who are you?")
    (Topic(words='Oslo', is_thing=True), 'tired', None)
    """
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
    """The last word or words that an article, a place word or a capital marks as a thing."""
    for at in range(len(pieces) - 1, -1, -1):
        if _is_stop(pieces[at], known):
            continue
        start = at
        while start and (not _is_stop(pieces[start - 1], known) or pieces[start - 1].lower() in ADJECTIVES):
            start -= 1
        before = pieces[start - 1].lower() if start else ""
        found = pieces[start : at + 1]
        if before in ARTICLES:
            words = _noun(found, pieces[: start - 1], pieces[at + 1 :])
            article = [] if before in {"some", "any"} and words[0][0].isupper() else [TURNED.get(before, "the")]
            return Topic(" ".join([*article, *words]), is_thing=True)
        if at and pieces[at][0].isupper():
            return Topic(" ".join(word for word in found if word[0].isupper()), is_thing=True)
        if before in PLACES:
            return Topic(" ".join(found), is_thing=True)
    return None


def _noun(found: list[str], before: list[str], after: list[str]) -> list[str]:
    """Three words at the most; where a sentence begins with them, the last may be its verb."""
    begins = not before or before[-1].lower() in CLAUSES or not WORD.fullmatch(before[-1])
    is_followed_by_verb = bool(after) and after[0].lower() in VERBS
    nouns = [word for word in found if word.lower() not in ADJECTIVES]
    return (found[:-1] if begins and len(nouns) > 1 and not is_followed_by_verb else found)[:3]


def _word(pieces: list[str], known: set[str]) -> Topic | None:
    found = next((piece for piece in reversed(pieces) if not _is_stop(piece, known)), None)
    return Topic(found.lower(), is_thing=False) if found else None
