"""Scores a passage by the share of the words of the query that it has.

A reranker reads the query and the best passages of a search together, and says how well each answers it.
"""

import re

from smartrag import describe, settings
from wit_world import exports

# What an operator may set below `plugins.settings.template-reranker`; the host checks it before the plugin runs.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "letters_min": {
            "type": "integer",
            "minimum": 1,
            "default": 3,
            "description": "Shorter words do not count",
        }
    },
}

WORD = re.compile(r"[^\W_]+")


def words(text, letters_min):
    return {word.lower() for word in WORD.findall(text) if len(word) >= letters_min}


class Reranker(exports.Reranker):
    # The module is imported and this class made while the plugin is built: ask for settings in the calls.

    def describe(self):
        # Name and version are those of plugin.toml.
        about = "Share of the words of the query that a passage has"
        return describe("template-reranker", "0.1.0", about, SCHEMA)

    def rerank(self, query, passages):
        """One score for each passage, in order, from 0 to 1."""
        letters_min = settings(letters_min=3)["letters_min"]
        wanted = words(query, letters_min)
        return [len(wanted & words(passage, letters_min)) / max(len(wanted), 1) for passage in passages]
