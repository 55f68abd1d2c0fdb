"""Hashes words into a vector: a real embedder without a model, to start from.

An embedder turns texts into vectors of one dimension and of length 1 (or 0, where it knows nothing of the text). One
with weights declares them as `[[models]]` in plugin.toml and opens them with `wit_world.imports.model_files.open`.
"""

import math
import re
from zlib import crc32

from smartrag import describe, settings
from wit_world import exports
from wit_world.exports.embedder import Embeddings, ModelInfo

# What an operator may set at the embedder in the configuration; the host checks it before the plugin runs.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "dimension": {
            "type": "integer",
            "minimum": 8,
            "maximum": 4096,
            "default": 256,
            "description": "Length of a vector",
        }
    },
}

WORD = re.compile(r"[^\W_]+")


def dimension():
    return settings(dimension=256)["dimension"]


def vector(text, length):
    """Each word counts up or down in the place that its hash names; then the whole gets length 1."""
    values = [0.0] * length
    for word in WORD.findall(text):
        # The same everywhere and forever, unlike Python's own hash.
        found = crc32(word.lower().encode())
        values[found % length] += 1.0 if found >> 31 == 0 else -1.0
    norm = math.hypot(*values)
    return [value / norm for value in values] if norm else values


class Embedder(exports.Embedder):
    # The module is imported and this class made while the plugin is built: ask for settings in the calls.

    def describe(self):
        # Name and version are those of plugin.toml.
        about = "Hashes words into a vector, without a model"
        return describe("template-embedder", "0.1.0", about, SCHEMA)

    def info(self):
        length = dimension()
        return ModelInfo(
            model="hashed-words",
            dimension=length,
            window_tokens=512,
            batch_max=256,
            # How much this vector counts beside keywords: measure with `smartrag eval`.
            fusion_weight=0.2,
            # Change it whenever the same text would get another vector: documents are embedded anew then.
            fingerprint=f"hashed-words-crc-{length}",
            properties=[],
        )

    def embed(self, texts, purpose):
        length = dimension()
        values = [value for text in texts for value in vector(text, length)]
        return Embeddings(length, values, sum(self.count_tokens(texts)))

    def count_tokens(self, texts):
        return [len(WORD.findall(text)) for text in texts]
