//! Tables of data, as opposed to tables that lay out a page.

use scraper::ElementRef;
use smartrag_sdk::parser::Table;

/// Elements of a table that are looked at to tell what it is for.
const PROBE: usize = 2_000;

/// A table being read. Tables in its cells become text of the cell.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) table: Table,
    /// Tables open, this one included.
    pub(crate) depth: u32,
    /// Where the text of the open cell begins, and its spans.
    pub(crate) cell: Option<Cell>,
    pub(crate) in_head: bool,
}

pub(crate) struct Cell {
    row_span: u32,
    column_span: u32,
    header: bool,
}

impl Reading {
    pub(crate) fn open(&mut self, element: ElementRef<'_>) {
        match element.value().name() {
            "thead" => self.in_head = true,
            "tbody" | "tfoot" => self.in_head = false,
            "tr" => _ = self.table.row(),
            "td" | "th" => {
                let span = |name| element.attr(name).and_then(|value| value.trim().parse().ok()).unwrap_or(1);
                let header = self.in_head || element.value().name() == "th";
                self.cell = Some(Cell { row_span: span("rowspan"), column_span: span("colspan"), header });
            }
            _ => {}
        }
    }

    pub(crate) fn close_cell(&mut self, text: &str) {
        if let Some(cell) = self.cell.take() {
            self.table.spanning_cell(text, cell.row_span, cell.column_span, cell.header);
        }
    }
}

/// Layout tables say so, or hold other tables without having headers, or have a single cell.
pub(crate) fn is_layout(table: ElementRef<'_>) -> bool {
    if matches!(table.attr("role"), Some("presentation" | "none")) {
        return true;
    }
    let (mut cells, mut headers, mut tables) = (0, 0, 0);
    for element in table.descendants().skip(1).filter_map(ElementRef::wrap).take(PROBE) {
        match element.value().name() {
            "td" => cells += 1,
            "th" => headers += 1,
            "table" => tables += 1,
            _ => {}
        }
    }
    headers == 0 && (tables > 0 || cells < 2)
}
