"""What a measure counts, in everyday words: for the verdict and the cards, whose readers may be writers."""

from __future__ import annotations

from evalkit.measure import split_variant

WORDS = {
    "accuracy": "right answers",
    "best_of_k": "score of the best of several answers",
    "branching_factor": "next words open to the model",
    "choice_accuracy": "right choices",
    "class_entropy": "variety of what is said",
    "compression_ratio": "repetition found by compressing",
    "distinct_k": "different things said",
    "distinct_n": "share of word sequences not repeated",
    "ead_n": "share of word sequences not repeated",
    "embedding_distance": "distance between answers in meaning",
    "jensen_shannon": "how easily the two are told apart",
    "judge": "answers that a judge prefers",
    "kl_forward": "what is no longer covered",
    "kl_reverse": "distance moved by tuning",
    "kl_to_target": "distance from the stated chances",
    "length": "words in an answer",
    "mauve": "nearness to human texts",
    "nats_per_byte": "unpredictability of the text",
    "nats_per_token": "unpredictability of the text",
    "ngram_entropy": "variety of words",
    "niches": "kinds of answer found",
    "nli_diversity": "answers that contradict each other",
    "off_choices": "answers that are none of the choices",
    "pass_at_k": "chance of a right answer in several tries",
    "qd_score": "good answers of different kinds",
    "rank_decay": "how fast rare words are ruled out",
    "reference_nll": "surprise at human texts",
    "reward": "score by the reward model",
    "rouge_l_homogenization": "overlap between answers",
    "self_bleu": "overlap between answers",
    "self_repetition": "phrases that come back",
    "semantic_entropy": "variety of what is said",
    "sequence_entropy": "unpredictability of an answer",
    "sharpening": "how much likely answers became likelier",
    "simpson_classes": "chance that two answers say different things",
    "simpson_ngrams": "chance that two word sequences differ",
    "token_entropy": "unpredictability of the next word",
    "top_share": "share of the favourite choice",
    "tv_to_target": "distance from the stated chances",
    "utility_k": "worth of several answers to a reader",
    "vendi": "effective number of different answers",
    "voice_entropy": "variety of voices",
    "voice_heard": "how often the voice is heard",
    "voice_share": "how often the voice speaks",
    "voice_shift": "shift between voices",
    "win_rate": "answers better than the baseline's",
}
"""Name of a metric -> a phrase that fits before a number."""
ALARMS = {
    "duplicates": "Repeats beyond chance",
    "seeds": "The same random numbers twice",
    "truncated": "Answers cut off",
    "empty": "Empty answers",
    "length": "Lengths differ",
    "few prompts": "Few prompts",
    "over-optimisation": "One score rose, another fell",
    "unscored": "Answers without a score",
    "undefined": "Not measured",
    "left out": "Left out",
    "voices": "Voices hard to tell apart",
}
"""Kind of an alarm -> what it says, as a heading."""
PICTURED = ("distinct_k", "vendi", "embedding_distance", "distinct_n")
"""Measures of diversity that a reader can picture; of a side that is told by one, the first of these tells it."""


def named(measure: str) -> str:
    """`different things said (distinct_k)`; a measure of someone else's has its own name alone."""
    name, *parameters = split_variant(measure)[1].split("|")
    own = ", ".join([name, *(parameter.replace(":", " ", 1) for parameter in parameters)])
    return f"{WORDS[name]} ({own})" if name in WORDS else own


def alarm_words(kind: str) -> str:
    """A heading for an alarm; an unknown kind is its own."""
    return ALARMS.get(kind, kind)


def pictured(measure: str) -> int:
    """Its place among the measures of diversity that a reader can picture; beyond all of them where it is none."""
    name = split_variant(measure)[1].split("|")[0]
    return PICTURED.index(name) if name in PICTURED else len(PICTURED)
