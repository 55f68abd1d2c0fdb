// Reads files in which every line is a paragraph, and lines behind a mark are headings.
//
// A parser turns the bytes of a file into text with structure. It gets a fresh instance for every document and sees
// nothing but that document: no files, no network, no real clock.

import { Builder, Document, readAll } from "../vendor/sdk/javascript/parser.js";
import { describe, error, plugin, settings } from "../vendor/sdk/javascript/smartrag.js";

// Larger files are refused with a message, before they fill the memory of plugin.toml.
const BYTES_MAX = 32 << 20;

// What an operator may set below `plugins.settings.template-parser`; the host checks it before the plugin runs.
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    heading_mark: {
      type: "string",
      minLength: 1,
      default: "#",
      description: "What a line begins with that is a heading",
    },
  },
};

function decode(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    // An error says what is wrong and what to do; its kind becomes the code of the document.
    throw error("corrupt", "not UTF-8 text: save the file as UTF-8");
  }
}

export const parser = plugin({
  // Name and version are those of plugin.toml.
  describe: () => describe("template-parser", "0.1.0", "One paragraph a line, headings behind a mark", SCHEMA),

  open(source, _options) {
    const mark = settings({ heading_mark: "#" }).heading_mark;
    const text = decode(readAll(source, BYTES_MAX));
    const lines = text.replace(/\r?\n$/, "").split(/\r?\n/);
    const out = new Builder();
    for (const line of lines) {
      if (line.startsWith(mark)) out.heading(1, line.slice(mark.length));
      else out.paragraph(line);
    }
    return new Document(out, { lines: lines.length });
  },

  Document,
});
