"""Reads Jupyter notebooks: Markdown cells as prose with headings, code cells as code, what they printed if wanted."""

import json

import markdown
from smartrag import describe, error, settings
from smartrag.parser import Builder, Document, read_all
from wit_world import exports

BYTES_MAX = 64 << 20
# A result may be a table of a million lines.
OUTPUT_MAX = 4000

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "outputs": {
            "type": "boolean",
            "default": False,
            "description": "Whether printed results are text of the document",
        }
    },
}


class Parser(exports.Parser):
    def describe(self):
        about = "Jupyter notebooks: prose with its headings, code, printed results"
        return describe("notebook", "0.1.0", about, SCHEMA)

    def open(self, source, options):
        notebook = load(read_all(source, BYTES_MAX))
        with_outputs = settings(outputs=False)["outputs"]
        out = Builder()
        titles = []
        counts = {"markdown": 0, "code": 0}
        for number, cell in enumerate(cells(notebook), start=1):
            kind, text, part = cell.get("cell_type"), joined(cell.get("source", cell.get("input"))), f"cell {number}"
            if kind == "markdown":
                counts["markdown"] += 1
                titles += markdown.add(out, text, part)
            elif kind == "code":
                counts["code"] += 1
                out.code(text, part=part)
                if with_outputs:
                    for printed in outputs(cell):
                        out.code(printed[:OUTPUT_MAX], part=part)
        return Document(out, title=titles[0] if titles else None, cells=counts, kernel=kernel(notebook))


def load(data):
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise error("corrupt", f"no JSON ({e}): save the notebook again") from e
    if not isinstance(notebook, dict) or not isinstance(notebook.get("nbformat"), int):
        raise error("unsupported", "JSON, but no Jupyter notebook: it has no `nbformat`")
    return notebook


def cells(notebook):
    """All cells; before format 4 they stood in worksheets."""
    sheets = notebook.get("worksheets") or [notebook]
    found = [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or []]
    return [cell for cell in found if isinstance(cell, dict)]


def joined(text):
    """Text is a string or a list of lines."""
    if isinstance(text, list):
        return "".join(line for line in text if isinstance(line, str))
    return text if isinstance(text, str) else ""


def outputs(cell):
    """What a code cell printed and what its last line gave, where that is text."""
    for output in cell.get("outputs") or []:
        if isinstance(output, dict):
            data = output.get("data")
            plain = data.get("text/plain") if isinstance(data, dict) else None
            yield joined(output.get("text", plain))


def kernel(notebook):
    metadata = notebook.get("metadata")
    spec = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    return spec.get("name") if isinstance(spec, dict) else None
