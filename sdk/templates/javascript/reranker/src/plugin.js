// Scores a passage by the share of the words of the query that it has.
//
// A reranker reads the query and the best passages of a search together, and says how well each answers it.

import { describe, plugin, settings } from "../vendor/sdk/javascript/smartrag.js";

// What an operator may set below `plugins.settings.template-reranker`; the host checks it before the plugin runs.
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    letters_min: {
      type: "integer",
      minimum: 1,
      default: 3,
      description: "Shorter words do not count",
    },
  },
};

// What is neither space nor punctuation; the runtime has no Unicode tables for `\p{L}`.
const WORD = /[^\s!-/:-@[-`{-~\u2000-\u206f\u3000-\u303f]+/g;

function words(text, lettersMin) {
  const found = text.toLowerCase().match(WORD) ?? [];
  return new Set(found.filter((word) => word.length >= lettersMin));
}

// The module is run while the plugin is built: ask for settings in the calls.
export const reranker = plugin({
  // Name and version are those of plugin.toml.
  describe: () =>
    describe("template-reranker", "0.1.0", "Share of the words of the query that a passage has", SCHEMA),

  /** One score for each passage, in order, from 0 to 1. */
  rerank(query, passages) {
    const lettersMin = settings({ letters_min: 3 }).letters_min;
    const wanted = [...words(query, lettersMin)];
    return passages.map((passage) => {
      const has = words(passage, lettersMin);
      return wanted.filter((word) => has.has(word)).length / Math.max(wanted.length, 1);
    });
  },
});
