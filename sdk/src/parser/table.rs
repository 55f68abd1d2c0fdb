//! Tables: rows of cells that may span several rows and columns.

/// More columns than any format gives a meaning to are taken for damage.
const SPAN_MAX: u32 = 1000;
/// No spreadsheet has more.
const COLUMN_MAX: u32 = 1 << 14;

#[derive(Clone, Debug)]
pub(super) struct TableCell {
    pub(super) row: u32,
    pub(super) column: u32,
    pub(super) row_span: u32,
    pub(super) column_span: u32,
    pub(super) header: bool,
    pub(super) text: String,
}

/// A table as it is read: [`Table::row`] begins a row, [`Table::cell`] and its kin fill it from the left, passing
/// over columns that cells of earlier rows still cover.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: u32,
    column: u32,
    /// For each column, how many rows from the present one on are covered.
    covered: Vec<u32>,
    pub(super) cells: Vec<TableCell>,
}

impl Table {
    /// A table without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// A table of single cells, the first `header_rows` of which are headers.
    pub fn from_rows<R, C>(rows: impl IntoIterator<Item = R>, header_rows: usize) -> Self
    where
        R: IntoIterator<Item = C>,
        C: AsRef<str>,
    {
        let mut table = Self::new();
        for (index, row) in rows.into_iter().enumerate() {
            table.row();
            for cell in row {
                table.spanning_cell(cell.as_ref(), 1, 1, index < header_rows);
            }
        }
        table
    }

    /// Begins a row.
    pub fn row(&mut self) -> &mut Self {
        if self.rows > 0 {
            self.covered.iter_mut().for_each(|rows| *rows = rows.saturating_sub(1));
        }
        self.rows += 1;
        self.column = 0;
        self
    }

    /// A cell of one row and one column.
    pub fn cell(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.spanning_cell(text, 1, 1, false)
    }

    /// A header of one row and one column.
    pub fn header(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.spanning_cell(text, 1, 1, true)
    }

    /// A cell of several rows and columns; spans of 0 count as 1.
    pub fn spanning_cell(
        &mut self,
        text: impl AsRef<str>,
        row_span: u32,
        column_span: u32,
        header: bool,
    ) -> &mut Self {
        if self.rows == 0 {
            self.row();
        }
        let (row_span, column_span) = (row_span.max(1), column_span.clamp(1, SPAN_MAX));
        while self.covered.get(self.column as usize).is_some_and(|&rows| rows > 0) {
            self.column += 1;
        }
        let column = self.column;
        self.column += column_span;
        if self.covered.len() < self.column as usize {
            self.covered.resize(self.column as usize, 0);
        }
        self.covered[column as usize..self.column as usize].fill(row_span);
        let text = text.as_ref().to_owned();
        self.cells.push(TableCell { row: self.rows - 1, column, row_span, column_span, header, text });
        self
    }

    /// Like [`Table::spanning_cell`] at a column that the format names; columns passed over have no cell.
    pub fn cell_at(
        &mut self,
        column: u32,
        text: impl AsRef<str>,
        row_span: u32,
        column_span: u32,
        header: bool,
    ) -> &mut Self {
        self.column = self.column.max(column.min(COLUMN_MAX));
        self.spanning_cell(text, row_span, column_span, header)
    }

    /// How many rows were begun.
    pub fn row_count(&self) -> u32 {
        self.rows
    }

    /// Whether no cell holds any text.
    pub fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.text.trim().is_empty())
    }
}
