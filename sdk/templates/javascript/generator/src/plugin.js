// Answers with the best passage, word by word.
//
// A generator gets the question, the passages that the search found, and a finished prompt. It answers with a stream of
// events; when nobody listens any more, the host drops the stream.

import { describe, error, plugin, settings } from "../vendor/sdk/javascript/smartrag.js";

// What an operator may set at the backend in the configuration; the host checks it before the plugin runs.
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    words_max: {
      type: "integer",
      minimum: 1,
      default: 60,
      description: "Words of an answer at most",
    },
  },
};

const text = (val) => ({ tag: "text", val });
const finish = (val) => ({ tag: "finish", val });

function answer(passage, wordsMax) {
  const words = (passage.text.match(/\S+\s*/g) ?? []).slice(0, wordsMax);
  // `[1]` cites the passage of that number.
  return [...words.map(text), text(` [${passage.citation}]`), finish("stop")];
}

/** An answer in the making. */
class Generation {
  #events;

  constructor(events) {
    this.#events = events;
  }

  /** At least one and at most `max` events; none once it is over. */
  next(max) {
    return this.#events.splice(0, max);
  }
}

// The module is run while the plugin is built: ask for settings in the calls.
export const generator = plugin({
  // Name and version are those of plugin.toml.
  describe: () => describe("template-generator", "0.1.0", "Quotes the best passage", SCHEMA),

  info: () => ({
    model: "best-passage",
    // Tokens of prompt and answer together, where there is such a limit.
    contextWindow: undefined,
    // Whether it may rewrite questions.
    strong: false,
    // Whether passages should come with their sentences.
    wantsSentences: false,
    properties: [],
  }),

  generate(request) {
    if (request.question.trim() === "") {
      throw error("invalid-input", "the question is empty: ask something");
    }
    if (request.passages.length === 0) return new Generation([finish("abstained")]);
    const best = request.passages.reduce((best, passage) => (passage.score > best.score ? passage : best));
    return new Generation(answer(best, settings({ words_max: 60 }).words_max));
  },

  countTokens: (texts) => texts.map((text) => text.split(/\s+/).filter((word) => word !== "").length),

  Generation,
});
