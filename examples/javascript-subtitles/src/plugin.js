// Reads subtitles. Cues that follow each other become paragraphs, each with the time at which it begins.

import { Builder, Document, readAll } from "../vendor/sdk/javascript/parser.js";
import { describe, error, plugin, settings } from "../vendor/sdk/javascript/smartrag.js";
import { cues } from "./cues.js";

const BYTES_MAX = 8 << 20;
// A paragraph that goes on and on is cut at the end of a sentence.
const PARAGRAPH_MIN = 400;

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    pause_seconds: {
      type: "number",
      minimum: 0,
      default: 3,
      description: "Silence after which a new paragraph begins",
    },
  },
};

export const parser = plugin({
  describe: () =>
    describe("subtitles", "0.1.0", "Subtitles in SRT and WebVTT: what is said, without the times", SCHEMA),

  open(source, _options) {
    const found = cues(decode(readAll(source, BYTES_MAX)));
    if (found.length === 0) throw error("corrupt", "no subtitles: no line has two times with --> between them");
    const pause = settings({ pause_seconds: 3 }).pause_seconds * 1000;
    const out = new Builder();
    for (const paragraph of paragraphs(found, pause)) {
      const { start } = paragraph[0];
      out.paragraph(paragraph.map((cue) => cue.text).join(" "), { part: clock(start), timeMs: start });
    }
    return new Document(out, { cues: found.length, seconds: Math.round(found.at(-1).end / 1000) });
  },

  Document,
});

function decode(bytes) {
  const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  const encoding = utf16 ? (bytes[0] === 0xff ? "utf-16le" : "utf-16be") : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw error("corrupt", `not ${encoding.toUpperCase()} text: save the subtitles as UTF-8`);
  }
}

function* paragraphs(found, pause) {
  let current = [];
  let length = 0;
  for (const cue of found) {
    const last = current.at(-1);
    const isFull = length >= PARAGRAPH_MIN && /[.!?…]["”»]?$/.test(last.text);
    if (last && (cue.start - last.end > pause || isFull)) {
      yield current;
      current = [];
      length = 0;
    }
    current.push(cue);
    length += cue.text.length;
  }
  yield current;
}

/** `1:02:03`, for people. */
function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}
