// What parsers need: reading the file, and text with blocks that point into it.

import { annotation, error } from "./smartrag.js";

const READ = 1 << 20;
const utf8 = new TextEncoder();

/** The whole file; the error `limit:input` where it is longer than `limit` bytes. */
export function readAll(source, limit) {
  const size = source.size(); // a BigInt
  if (size > BigInt(limit)) {
    throw error("limit:input", `the file has ${size} bytes, more than ${limit}: split it`);
  }
  const bytes = new Uint8Array(Number(size));
  for (let at = 0; at < bytes.length; at += READ) {
    bytes.set(source.read(BigInt(at), READ), at);
  }
  return bytes;
}

/**
 * Collects blocks. Text is trimmed, a block without text adds nothing; blocks are joined by a blank line, items of one
 * list by a line break.
 */
export class Builder {
  #text = [];
  #length = 0; // bytes of UTF-8, as spans count
  #blocks = [];
  #warnings = [];

  /** A heading of level 1 to 6. */
  heading(level, text, where) {
    this.block("heading", text, { ...where, level: Math.min(Math.max(level, 1), 6) });
  }

  paragraph(text, where) {
    this.block("paragraph", text, where);
  }

  /** An item of a list, nested `level` deep, counted from 1. */
  listItem(level, text, where) {
    this.block("list-item", text, { ...where, level: Math.max(level, 1) });
  }

  /** Code. The indentation of its first line stays. */
  code(text, where) {
    this.block("code", text, where);
  }

  /** A block of any kind but a table; `where` says where it came from: `{page, part, timeMs, language}`. */
  block(kind, text, { level = 0, page, part, timeMs, language } = {}) {
    text = kind === "code" ? text.replace(/^\n+/, "").trimEnd() : text.trim();
    // A lone half of a surrogate pair is no text.
    text = text.toWellFormed();
    if (text.trim() === "") return;
    const last = this.#blocks.at(-1);
    if (last) this.#append(kind === "list-item" && last.kind === kind ? "\n" : "\n\n");
    const start = this.#length;
    this.#append(text);
    const time = timeMs === undefined ? undefined : BigInt(timeMs);
    const provenance = { page, bbox: undefined, part, timeMs: time };
    this.#blocks.push({ kind, level, span: { start, end: this.#length }, provenance, language, cells: [] });
  }

  /** Something that the user should know; `code` is snake_case and stays the same. */
  warn(code, message, page) {
    this.#warnings.push({ code, message, page });
  }

  /** All of it. */
  fragment() {
    return { text: this.#text.join(""), blocks: this.#blocks, pages: [], warnings: this.#warnings };
  }

  #append(text) {
    this.#text.push(text);
    this.#length += utf8.encode(text).length;
  }
}

/** A file without pages that was read as a whole. Formats with pages implement the interface themselves. */
export class Document {
  #fragment;
  #summary;

  constructor(text, { title, language, ...metadata } = {}) {
    this.#fragment = text.fragment();
    if (this.#fragment.text === "") throw error("empty", "the file holds no text");
    const facts = Object.entries(metadata).map(([key, value]) => annotation(key, value));
    this.#summary = { pageCount: 1, paged: false, title, language, metadata: facts, warnings: [] };
  }

  summary() {
    return this.#summary;
  }

  pages(_start, _end) {
    return this.#fragment;
  }
}
