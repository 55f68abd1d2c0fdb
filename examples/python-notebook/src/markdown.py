"""As much Markdown as the prose of notebooks needs: headings, paragraphs, lists, fenced code."""

import re

HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
ITEM = re.compile(r"(\s*)(?:[-*+]|\d+[.)])\s+(.*)")
FENCE = re.compile(r"\s*(```|~~~)")


def add(out, text, part):
    """Adds the blocks of a text; answers its headings of the first level."""
    titles, paragraph = [], []
    lines = iter(text.splitlines())

    def flush():
        out.paragraph(" ".join(paragraph), part=part)
        paragraph.clear()

    for line in lines:
        if fence := FENCE.match(line):
            flush()
            out.code("\n".join(until(lines, fence.group(1))), part=part)
        elif heading := HEADING.match(line):
            flush()
            level = len(heading.group(1))
            out.heading(level, heading.group(2), part=part)
            titles += [heading.group(2)] if level == 1 else []
        elif item := ITEM.match(line):
            flush()
            out.list_item(1 + len(item.group(1)) // 2, item.group(2), part=part)
        elif line.strip():
            paragraph.append(line.strip())
        else:
            flush()
    flush()
    return titles


def until(lines, fence):
    """The lines up to the closing fence."""
    for line in lines:
        if line.strip().startswith(fence):
            return
        yield line
