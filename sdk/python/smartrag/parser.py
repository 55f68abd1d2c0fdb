"""What parsers need: reading the file, and text with blocks that point into it."""

from typing import Any, List, Optional

from wit_world.exports import parser
from wit_world.exports.parser import Block, BlockKind, Fragment, Provenance, Summary
from wit_world.imports.sources import Source
from wit_world.imports.types import Span, Warning

from . import annotation, error

_READ = 1 << 20


def read_all(source: Source, limit: int) -> bytes:
    """The whole file; the error `limit:input` where it is longer than `limit` bytes."""
    size = source.size()
    if size > limit:
        raise error("limit:input", f"the file has {size} bytes, more than {limit}: split it")
    return b"".join(source.read(offset, _READ) for offset in range(0, size, _READ))


class Builder:
    """Collects blocks. Text is trimmed, a block without text adds nothing; blocks are joined by a blank line, items of
    one list by a line break."""

    def __init__(self) -> None:
        self._text: List[str] = []
        self._length = 0  # bytes of UTF-8, as spans count
        self._blocks: List[Block] = []
        self._warnings: List[Warning] = []

    def heading(self, level: int, text: str, **where: Any) -> None:
        """A heading of level 1 to 6."""
        self.block(BlockKind.HEADING, text, level=min(max(level, 1), 6), **where)

    def paragraph(self, text: str, **where: Any) -> None:
        """A paragraph."""
        self.block(BlockKind.PARAGRAPH, text, **where)

    def list_item(self, level: int, text: str, **where: Any) -> None:
        """An item of a list, nested `level` deep, counted from 1."""
        self.block(BlockKind.LIST_ITEM, text, level=max(level, 1), **where)

    def code(self, text: str, **where: Any) -> None:
        """Code. The indentation of its first line stays."""
        self.block(BlockKind.CODE, text, **where)

    def block(
        self,
        kind: BlockKind,
        text: str,
        level: int = 0,
        page: Optional[int] = None,
        part: Optional[str] = None,
        time_ms: Optional[int] = None,
        language: Optional[str] = None,
    ) -> None:
        """A block of any kind but a table, with where it came from."""
        text = text.strip("\n").rstrip() if kind is BlockKind.CODE else text.strip()
        if not text.strip():
            return
        if self._blocks:
            in_list = kind is BlockKind.LIST_ITEM and self._blocks[-1].kind is BlockKind.LIST_ITEM
            self._append("\n" if in_list else "\n\n")
        start = self._length
        self._append(text)
        place = Provenance(page, None, part, time_ms)
        self._blocks.append(Block(kind, level, Span(start, self._length), place, language, []))

    def warn(self, code: str, message: str, page: Optional[int] = None) -> None:
        """Something that the user should know; `code` is snake_case and stays the same."""
        self._warnings.append(Warning(code, message, page))

    def fragment(self) -> Fragment:
        """All of it."""
        return Fragment("".join(self._text), self._blocks, [], self._warnings)

    def _append(self, text: str) -> None:
        self._text.append(text)
        self._length += len(text.encode())


class Document(parser.Document):
    """A file without pages that was read as a whole. Formats with pages implement the interface themselves."""

    def __init__(
        self, text: Builder, title: Optional[str] = None, language: Optional[str] = None, **metadata: Any
    ) -> None:
        self._fragment = text.fragment()
        if not self._fragment.text:
            raise error("empty", "the file holds no text")
        facts = [annotation(key, value) for key, value in metadata.items()]
        self._summary = Summary(1, False, title, language, facts, [])

    def summary(self) -> Summary:
        return self._summary

    def pages(self, start: int, end: int) -> Fragment:
        return self._fragment
