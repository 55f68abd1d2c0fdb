"""Counts words, and says how long a document takes to read.

An enricher adds metadata to documents and chunks: keys of its own, with JSON as values. What it says stands below its
name in the metadata and can be filtered by.
"""

from smartrag import annotation, describe, settings
from wit_world import exports

# What an operator may set below `plugins.settings.template-enricher`; the host checks it before the plugin runs.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "words_per_minute": {
            "type": "integer",
            "minimum": 1,
            "default": 230,
            "description": "How fast people read",
        }
    },
}


def words(text):
    return len(text.split())


class Enricher(exports.Enricher):
    # The module is imported and this class made while the plugin is built: ask for settings in the calls.

    def describe(self):
        # Name and version are those of plugin.toml.
        return describe("template-enricher", "0.1.0", "Counts words and minutes of reading", SCHEMA)

    def enrich_document(self, document):
        """Of the document as a whole; its text is cut after 64 KiB."""
        speed = settings(words_per_minute=230)["words_per_minute"]
        minutes = -(-words(document.text) // speed)
        return [annotation("minutes", minutes)]

    def enrich_chunks(self, document, chunks):
        """One list for each chunk, in order."""
        return [[annotation("words", words(chunk.text))] for chunk in chunks]
