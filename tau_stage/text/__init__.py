"""Text compared, and made safe to show: one way for the whole house. Pure."""

from tau_stage.text.comparing import (
    MOST_COMPARED,
    Word,
    aligned,
    alikeness,
    closeness,
    composed,
    folded,
    holds,
    is_parted,
    letters_apart,
    same_words,
    spoken_words,
    word_error_rate,
    words_of,
)
from tau_stage.text.diff import DiffPart, diff_speech, diff_words, has_changes, has_moments
from tau_stage.text.docstrings import docstring
from tau_stage.text.searching import LONGEST_PATTERN, is_found, pattern_problem
from tau_stage.text.showing import hidden, one_line, printable, printable_json, visible, well_formed
from tau_stage.text.urls import STRUCK, bears_key, keys_of, redact_url

__all__ = [
    "LONGEST_PATTERN",
    "MOST_COMPARED",
    "STRUCK",
    "DiffPart",
    "Word",
    "aligned",
    "alikeness",
    "bears_key",
    "closeness",
    "composed",
    "diff_speech",
    "diff_words",
    "docstring",
    "folded",
    "has_changes",
    "has_moments",
    "hidden",
    "holds",
    "is_found",
    "is_parted",
    "keys_of",
    "letters_apart",
    "one_line",
    "pattern_problem",
    "printable",
    "printable_json",
    "redact_url",
    "same_words",
    "spoken_words",
    "visible",
    "well_formed",
    "word_error_rate",
    "words_of",
]
