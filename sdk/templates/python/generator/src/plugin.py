"""Answers with the best passage, word by word.

A generator gets the question, the passages that the search found, and a finished prompt. It answers with a stream of
events; when nobody listens any more, the host drops the stream.
"""

import re
from itertools import islice

from smartrag import describe, error, settings
from wit_world import exports
from wit_world.exports import generator
from wit_world.exports.generator import Event_Finish, Event_Text, FinishReason, ModelInfo

# What an operator may set at the backend in the configuration; the host checks it before the plugin runs.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "words_max": {
            "type": "integer",
            "minimum": 1,
            "default": 60,
            "description": "Words of an answer at most",
        }
    },
}

WORD = re.compile(r"\S+\s*")


def answer(passage, words_max):
    """The events of an answer, made when they are asked for."""
    for word in islice(WORD.finditer(passage.text), words_max):
        yield Event_Text(word.group())
    # `[1]` cites the passage of that number.
    yield Event_Text(f" [{passage.citation}]")
    yield Event_Finish(FinishReason.STOP)


class Generation(generator.Generation):
    """An answer in the making."""

    def __init__(self, events):
        self.events = iter(events)

    def next(self, max):
        """At least one and at most `max` events; none once it is over."""
        return list(islice(self.events, max))


class Generator(exports.Generator):
    # The module is imported and this class made while the plugin is built: ask for settings in the calls.

    def describe(self):
        # Name and version are those of plugin.toml.
        return describe("template-generator", "0.1.0", "Quotes the best passage", SCHEMA)

    def info(self):
        return ModelInfo(
            model="best-passage",
            # Tokens of prompt and answer together, where there is such a limit.
            context_window=None,
            # Whether it may rewrite questions.
            strong=False,
            # Whether passages should come with their sentences.
            wants_sentences=False,
            properties=[],
        )

    def generate(self, request):
        if not request.question.strip():
            raise error("invalid_input", "the question is empty: ask something")
        if not request.passages:
            return Generation([Event_Finish(FinishReason.ABSTAINED)])
        best = max(request.passages, key=lambda passage: passage.score)
        return Generation(answer(best, settings(words_max=60)["words_max"]))

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]
