//! Tables and their merged cells.

use smartrag_sdk::parser::Table;
use smartrag_sdk::xml::Element;

use crate::styles::{flag, is_on};

struct Cell {
    column: u32,
    column_span: u32,
    merge: Merge,
    text: String,
}

#[derive(PartialEq, Eq)]
enum Merge {
    None,
    Begin,
    Continue,
}

/// Reads a table; `text` makes the text of a cell.
pub(crate) fn read(element: &Element, text: &mut dyn FnMut(&Element) -> String) -> Table {
    let first_is_header = first_row_is_header(element);
    let mut rows = Vec::new();
    for row in flat(element).into_iter().filter(|child| child.name == "w:tr") {
        let properties = row.child("w:trPr");
        let deleted = properties.is_some_and(|properties| properties.child("w:del").is_some());
        if !deleted {
            let header = is_on(properties, "w:tblHeader") || rows.is_empty() && first_is_header;
            rows.push((header, cells(row, text)));
        }
    }
    if rows.len() < 2 {
        rows.iter_mut().for_each(|(header, _)| *header = false);
    }
    build(&rows)
}

/// The cell of a table that has no other.
pub(crate) fn only_cell(table: &Element) -> Option<&Element> {
    let mut rows = flat(table).into_iter().filter(|child| child.name == "w:tr");
    let (row, None) = (rows.next()?, rows.next()) else { return None };
    let mut cells = flat(row).into_iter().filter(|child| child.name == "w:tc");
    let (cell, None) = (cells.next()?, cells.next()) else { return None };
    Some(cell)
}

/// The elements in one, looking through content controls and tracked insertions.
pub(crate) fn flat(parent: &Element) -> Vec<&Element> {
    let mut all = Vec::new();
    for child in parent.elements() {
        match child.name.as_str() {
            "w:sdt" => child.child("w:sdtContent").into_iter().for_each(|content| all.extend(flat(content))),
            "w:ins" | "w:moveTo" | "w:customXml" | "w:smartTag" => all.extend(flat(child)),
            _ => all.push(child),
        }
    }
    all
}

/// What the table's look says; older files say it in the bits of one number.
fn first_row_is_header(table: &Element) -> bool {
    let look = table.find(&["w:tblPr", "w:tblLook"]);
    look.is_some_and(|look| match look.attribute("w:firstRow") {
        Some(first_row) => flag(Some(first_row)),
        None => {
            let bits = look.attribute("w:val").and_then(|bits| u32::from_str_radix(bits, 16).ok());
            bits.is_some_and(|bits| bits & 0x20 != 0)
        }
    })
}

fn cells(row: &Element, text: &mut dyn FnMut(&Element) -> String) -> Vec<Cell> {
    let number = |properties: Option<&Element>, name: &str| {
        let value = properties?.child(name)?.attribute("w:val")?;
        value.parse::<u32>().ok().map(|number| number.min(1000))
    };
    let mut column = number(row.child("w:trPr"), "w:gridBefore").unwrap_or(0);
    let mut cells = Vec::new();
    for cell in flat(row).into_iter().filter(|child| child.name == "w:tc") {
        let properties = cell.child("w:tcPr");
        let column_span = number(properties, "w:gridSpan").unwrap_or(1).max(1);
        let merge = match properties.and_then(|properties| properties.child("w:vMerge")) {
            None => Merge::None,
            Some(merge) if merge.attribute("w:val") == Some("restart") => Merge::Begin,
            Some(_) => Merge::Continue,
        };
        let text = if merge == Merge::Continue { String::new() } else { text(cell) };
        cells.push(Cell { column, column_span, merge, text });
        column += column_span;
    }
    cells
}

fn build(rows: &[(bool, Vec<Cell>)]) -> Table {
    let mut table = Table::new();
    for (index, (header, cells)) in rows.iter().enumerate() {
        table.row();
        for cell in cells {
            // A continuation without a beginning is a cell of its own.
            let covered = cell.merge == Merge::Continue && begins_above(rows, index, cell.column);
            if !covered {
                let below = rows[index + 1..].iter().take_while(|(_, cells)| continues(cells, cell.column));
                let row_span = if cell.merge == Merge::None { 1 } else { 1 + below.count() as u32 };
                table.cell_at(cell.column, &cell.text, row_span, cell.column_span, *header);
            }
        }
    }
    table
}

fn begins_above(rows: &[(bool, Vec<Cell>)], index: usize, column: u32) -> bool {
    let above = index.checked_sub(1).and_then(|above| rows.get(above));
    above
        .is_some_and(|(_, cells)| cells.iter().any(|cell| cell.column == column && cell.merge != Merge::None))
}

fn continues(cells: &[Cell], column: u32) -> bool {
    cells.iter().any(|cell| cell.column == column && cell.merge == Merge::Continue)
}
