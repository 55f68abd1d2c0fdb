"""Reads files in which every line is a paragraph, and lines behind a mark are headings.

A parser turns the bytes of a file into text with structure. It gets a fresh instance for every document and sees
nothing but that document: no files, no network, no real clock.
"""

from smartrag import describe, error, settings
from smartrag.parser import Builder, Document, read_all
from wit_world import exports

# Larger files are refused with a message, before they fill the memory of plugin.toml.
BYTES_MAX = 32 << 20

# What an operator may set below `plugins.settings.template-parser`; the host checks it before the plugin runs.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "heading_mark": {
            "type": "string",
            "minLength": 1,
            "default": "#",
            "description": "What a line begins with that is a heading",
        }
    },
}


class Parser(exports.Parser):
    def describe(self):
        # Name and version are those of plugin.toml.
        return describe("template-parser", "0.1.0", "One paragraph a line, headings behind a mark", SCHEMA)

    def open(self, source, options):
        mark = settings(heading_mark="#")["heading_mark"]
        try:
            text = read_all(source, BYTES_MAX).decode()
        except UnicodeDecodeError as e:
            # An error says what is wrong and what to do; its kind becomes the code of the document.
            raise error("corrupt", f"not UTF-8 text ({e}): save the file as UTF-8") from e
        out = Builder()
        lines = text.splitlines()
        for line in lines:
            if line.startswith(mark):
                out.heading(1, line.removeprefix(mark))
            else:
                out.paragraph(line)
        return Document(out, lines=len(lines))
