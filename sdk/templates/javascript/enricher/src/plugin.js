// Counts words, and says how long a document takes to read.
//
// An enricher adds metadata to documents and chunks: keys of its own, with JSON as values. What it says stands below its
// name in the metadata and can be filtered by.

import { annotation, describe, plugin, settings } from "../vendor/sdk/javascript/smartrag.js";

// What an operator may set below `plugins.settings.template-enricher`; the host checks it before the plugin runs.
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    words_per_minute: {
      type: "integer",
      minimum: 1,
      default: 230,
      description: "How fast people read",
    },
  },
};

const words = (text) => text.split(/\s+/).filter((word) => word !== "").length;

// The module is run while the plugin is built: ask for settings in the calls.
export const enricher = plugin({
  // Name and version are those of plugin.toml.
  describe: () => describe("template-enricher", "0.1.0", "Counts words and minutes of reading", SCHEMA),

  /** Of the document as a whole; its text is cut after 64 KiB. */
  enrichDocument(document) {
    const speed = settings({ words_per_minute: 230 }).words_per_minute;
    return [annotation("minutes", Math.ceil(words(document.text) / speed))];
  },

  /** One list for each chunk, in order. */
  enrichChunks: (_document, chunks) => chunks.map((chunk) => [annotation("words", words(chunk.text))]),
});
