// Hashes words into a vector: a real embedder without a model, to start from.
//
// An embedder turns texts into vectors of one dimension and of length 1 (or 0, where it knows nothing of the text). One
// with weights declares them as `[[models]]` in plugin.toml and opens them with `open` of
// "smartrag:plugin/model-files@0.1.0".

import { describe, plugin, settings } from "../vendor/sdk/javascript/smartrag.js";

// What an operator may set at the embedder in the configuration; the host checks it before the plugin runs.
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    dimension: {
      type: "integer",
      minimum: 8,
      maximum: 4096,
      default: 256,
      description: "Length of a vector",
    },
  },
};

const dimension = () => settings({ dimension: 256 }).dimension;
// What is neither space nor punctuation; the runtime has no Unicode tables for `\p{L}`.
const WORD = /[^\s!-/:-@[-`{-~\u2000-\u206f\u3000-\u303f]+/g;
const words = (text) => text.match(WORD) ?? [];

/** FNV-1a over code units, 32 bits without a sign. */
function hash(word) {
  let found = 0x811c9dc5;
  for (let at = 0; at < word.length; at++) {
    found = Math.imul(found ^ word.charCodeAt(at), 0x01000193);
  }
  return found >>> 0;
}

/** Each word counts up or down in the place that its hash names; then the whole gets length 1. */
function vector(text, length) {
  const values = new Float32Array(length);
  for (const word of words(text)) {
    const found = hash(word.toLowerCase());
    values[found % length] += found < 2 ** 31 ? 1 : -1;
  }
  const norm = Math.hypot(...values);
  return norm > 0 ? values.map((value) => value / norm) : values;
}

const countTokens = (texts) => texts.map((text) => words(text).length);

// The module is run while the plugin is built: ask for settings in the calls.
export const embedder = plugin({
  // Name and version are those of plugin.toml.
  describe: () => describe("template-embedder", "0.1.0", "Hashes words into a vector, without a model", SCHEMA),

  info() {
    const length = dimension();
    return {
      model: "hashed-words",
      dimension: length,
      windowTokens: 512,
      batchMax: 256,
      // How much this vector counts beside keywords: measure with `smartrag eval`.
      fusionWeight: 0.2,
      // Change it whenever the same text would get another vector: documents are embedded anew then.
      fingerprint: `hashed-words-fnv-${length}`,
      properties: [],
    };
  },

  embed(texts, _purpose) {
    const length = dimension();
    const values = new Float32Array(texts.length * length);
    texts.forEach((text, row) => values.set(vector(text, length), row * length));
    const tokens = countTokens(texts).reduce((sum, count) => sum + count, 0);
    return { dimension: length, values, tokens: BigInt(tokens) };
  },

  countTokens,
});
