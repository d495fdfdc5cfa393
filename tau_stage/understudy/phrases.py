"""The sentences of a player that improvises.

``{the}`` is a topic with its article, ``{The}`` the same at the beginning of a sentence, ``{name}`` somebody who plays.
No word of these sentences becomes a topic itself, so what a play is about is not lost while its players talk.
"""

from __future__ import annotations

ABOUT = {
    "question": (
        "{The}? I would not know.",
        "{The}? Ask me again tomorrow.",
        "That depends on {the}, I should think.",
        "I have asked myself the same thing about {the}.",
        "If anybody understands {the}, it is not me.",
        "{The}? I believe so, though I could not swear to it.",
        "Nobody has ever asked me about {the} before.",
        "A fair question. I would have to think about {the}.",
        "{The}? Perhaps. It depends on whom you ask.",
        "I would rather not say too much about {the}.",
    ),
    "statement": (
        "You say so. And yet {the}...",
        "{The}, you say. Do go on.",
        "I did not expect to hear of {the} today.",
        "Is that so? Tell me more about {the}.",
        "I remember {the} differently.",
        "{The}! Now you have my attention.",
        "We always come back to {the}, you and I.",
        "Well, {the} is one thing, and the truth is another.",
        "I see. So it is all because of {the}.",
        "I hear you. But who will believe us about {the}?",
    ),
    "echo": (
        "{The}? How do you mean?",
        '"{The}", you say. I wonder.',
        "{The}? Is that the word you want?",
        "{The}. I could not have said it better.",
        "{The}? Since when?",
        "{The}. That is a word for it.",
        "Did you say {the}? I thought so.",
        "{The}? You surprise me.",
    ),
    "opening": (
        "So, {the}. Where shall we begin?",
        "I have been thinking about {the} all day.",
        "Let us speak about {the}, while there is time.",
        "Has anybody else noticed {the}?",
        "Nobody wants to say it, so I will: {the}.",
        "It is always the same with {the}.",
        "There is one thing nobody told me about {the}.",
        "One more word about {the}, and then I am quiet.",
    ),
}
"""What is said about a topic."""

PLAIN = {
    "question": (
        "That is a fair question. I would have to think.",
        "I wish I knew. Ask me later.",
        "Perhaps. It depends on whom you ask.",
        "I believe so, though I could not swear to it.",
        "Who can tell?",
        "I was about to ask you the same.",
        "That is not for me to say.",
        "Does it matter so much?",
    ),
    "statement": (
        "I see. Do go on.",
        "Is that so? Tell me more.",
        "I hear you.",
        "Well, there we are, then.",
        "If you say so.",
        "I thought as much.",
        "I would not have guessed.",
        "So it seems.",
    ),
    "greeting": (
        "Hello. It is good to see you.",
        "Good day to you. Come in.",
        "Hello, hello. You are early.",
        "Welcome. I was hoping you would come.",
        "Ah, hello. There you are.",
    ),
    "thanks": (
        "You are welcome.",
        "It was nothing, really.",
        "Not at all. I was glad to do it.",
        "My pleasure.",
        "Any time.",
    ),
    "goodbye": (
        "Goodbye, then. Take care.",
        "Farewell. It was good to talk.",
        "Goodbye. Until we meet again.",
        "So long. Mind how you go.",
        "Bye, then. Come back soon.",
    ),
    "unheard": (
        "I heard something, but no words.",
        "I did not catch that.",
        "Say that again, please.",
        "I heard that. And then?",
    ),
    "opening": (
        "I am here, and ready.",
        "I am listening.",
        "Whenever you like.",
        "Somebody has to begin.",
        "Where were we?",
        "Shall we begin?",
        "I am all ears.",
        "There is no hurry.",
    ),
}
"""What is said without a topic."""

CALLS = {
    "greeting": ("How are you, {name}?", "And you, {name}?"),
    "thanks": ("Is it not so, {name}?", "You would do the same, {name}."),
    "goodbye": ("Until tomorrow, {name}.", "Are you coming, {name}?"),
    "": (
        "What do you say, {name}?",
        "Is it not so, {name}?",
        "And you, {name}?",
        "What do you think, {name}?",
        "Tell us, {name}.",
    ),
}
"""How somebody who plays is addressed, by the kind of what was heard."""

TITLED_CALLS = ("And what does {name} say?", "I would like to hear {name} on that.", "Let us ask {name}.")
"""The same for one who has no name: the stranger."""
