//! Tables: from ruled lines, or from pieces of text that stand in columns.

use crate::geometry::{Rect, bounds};
use crate::lines::Segment;
use crate::paragraphs::Line;
use crate::rules::Grid;
use crate::text::{Words, append_line};
use smartrag_sdk::parser::Table;

/// Characters in one cell at most; boxes with more frame text.
const CELL_CHARS_MAX: usize = 1_500;
/// Rows of a table at most.
const ROWS_MAX: usize = 1_000;
/// Rows of an unruled table at least.
const ROWS_MIN: usize = 3;
/// Lines of an unruled table at most.
const RUN_MAX: usize = 300;
/// Width of the gap between unruled columns at least, in ems.
const GAP_MIN: f32 = 0.8;
/// Distance of the rows of an unruled table at most, in ems.
const ROW_DISTANCE_MAX: f32 = 4.0;

/// A table and where it stands, in reading coordinates.
#[derive(Debug)]
pub struct Found {
    /// Its place.
    pub rect: Rect,
    /// Its cells.
    pub table: Table,
    /// Length of its text.
    pub chars: usize,
}

/// The table that a grid makes of the segments in it, and their indices; nothing if the grid frames something else.
pub fn ruled(mut grid: Grid, segments: &[Segment], words: &Words) -> Option<(Found, Vec<usize>)> {
    split_open_rows(&mut grid, segments);
    let grid = &grid;
    let mut cells: Vec<Vec<usize>> = vec![Vec::new(); grid.rows() * grid.columns()];
    let owner = owners(grid);
    let mut used = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        if let Some((row, column)) = grid.locate(segment.rect.center()) {
            cells[owner[row * grid.columns() + column]].push(index);
            used.push(index);
        }
    }
    let texts: Vec<String> = cells.iter_mut().map(|cell| cell_text(cell, segments, words)).collect();
    let filled: Vec<usize> = (0..texts.len()).filter(|&i| !texts[i].is_empty()).collect();
    let distinct = |of: fn(usize, usize) -> usize| {
        let mut all: Vec<usize> = filled.iter().map(|&i| of(i, grid.columns())).collect();
        all.sort_unstable();
        all.dedup();
        all.len()
    };
    let owners_total = (0..owner.len()).filter(|&i| owner[i] == i).count();
    let tabular = distinct(|i, columns| i / columns) >= 2
        && distinct(|i, columns| i % columns) >= 2
        && filled.len() * 3 >= owners_total
        && texts.iter().all(|t| t.len() <= CELL_CHARS_MAX);
    if !tabular {
        return None;
    }
    let rect = bounds(used.iter().map(|&i| &segments[i].rect)).union(&grid.rect());
    let chars = texts.iter().map(String::len).sum();
    let rtl = used.iter().filter(|&&i| segments[i].rtl).count() * 2 > used.len();
    Some((Found { rect, table: build(grid, &owner, &texts, rtl), chars }, used))
}

/// Many tables are ruled only around their body. Where every line of text in a row of the grid begins in the first
/// column and has something in another, each is a row.
fn split_open_rows(grid: &mut Grid, segments: &[Segment]) {
    let mut inside: Vec<(usize, usize, &Segment)> = segments
        .iter()
        .filter_map(|s| grid.locate(s.rect.center()).map(|(row, column)| (row, column, s)))
        .collect();
    inside.sort_by(|a, b| a.0.cmp(&b.0).then(a.2.baseline.total_cmp(&b.2.baseline)));
    let mut cuts = Vec::new();
    for row in inside.chunk_by(|a, b| a.0 == b.0) {
        let lines: Vec<&[(usize, usize, &Segment)]> =
            row.chunk_by(|a, b| b.2.baseline - a.2.baseline <= 0.3 * a.2.size).collect();
        let whole = |line: &&[(usize, usize, &Segment)]| {
            line.iter().any(|c| c.1 == 0) && line.iter().any(|c| c.1 > 0)
        };
        if lines.len() >= ROWS_MIN && lines.iter().all(whole) {
            cuts.extend(lines.windows(2).map(|pair| (pair[0][0].2.rect.y1 + pair[1][0].2.rect.y0) / 2.0));
        }
    }
    if grid.rows() + cuts.len() <= ROWS_MAX {
        cuts.into_iter().for_each(|y| grid.split_row(y));
    }
}

/// For each cell of the grid, the top left cell of the merged one that it belongs to.
fn owners(grid: &Grid) -> Vec<usize> {
    let (rows, columns) = (grid.rows(), grid.columns());
    let mut owner: Vec<usize> = (0..rows * columns).collect();
    for row in 0..rows {
        for column in 0..columns {
            let here = row * columns + column;
            if column + 1 < columns && !grid.closed_right(row, column) && owner[here + 1] == here + 1 {
                owner[here + 1] = owner[here];
            }
        }
    }
    for row in 0..rows.saturating_sub(1) {
        for column in 0..columns {
            let (here, below) = (row * columns + column, (row + 1) * columns + column);
            // Only whole widths merge downwards, so that every merged cell is a rectangle.
            if owner[below] == below
                && !grid.closed_below(row, column)
                && width(&owner, below, columns) == width(&owner, here, columns)
            {
                let (from, to) = (owner[below], owner[here]);
                for cell in &mut owner[below..(row + 2) * columns] {
                    if *cell == from {
                        *cell = to;
                    }
                }
            }
        }
    }
    owner
}

/// Columns from here to the end of the merged cell in this row.
fn width(owner: &[usize], here: usize, columns: usize) -> usize {
    let end = (here / columns + 1) * columns;
    owner[here..end].iter().take_while(|&&o| o == owner[here]).count()
}

fn cell_text(cell: &mut [usize], segments: &[Segment], words: &Words) -> String {
    cell.sort_by(|&a, &b| segments[a].baseline.total_cmp(&segments[b].baseline));
    let mut text = String::new();
    for row in
        cell.chunk_by_mut(|&a, &b| segments[b].baseline - segments[a].baseline <= 0.3 * segments[a].size)
    {
        row.sort_by(|&a, &b| segments[a].rect.x0.total_cmp(&segments[b].rect.x0));
        let line: Vec<&str> = row.iter().map(|&i| segments[i].text.as_str()).collect();
        append_line(&mut text, &line.join(" "), words);
    }
    text
}

/// Columns are counted from the right where the text runs from there.
fn build(grid: &Grid, owner: &[usize], texts: &[String], rtl: bool) -> Table {
    let columns = grid.columns();
    let mut table = Table::new();
    let first: Vec<&String> = (0..columns).map(|c| &texts[owner[c]]).collect();
    let header = looks_like_header(&first);
    for row in 0..grid.rows() {
        table.row();
        for position in 0..columns {
            let column = if rtl { columns - 1 - position } else { position };
            let here = row * columns + column;
            let own = owner[here];
            let column_span = owner[row * columns..(row + 1) * columns].iter().filter(|&&o| o == own).count();
            // The side of a merged cell that is met first stands for it.
            let near = if rtl { own % columns + column_span - 1 } else { own % columns };
            if own / columns != row || column != near {
                continue;
            }
            let row_span = (row..grid.rows()).take_while(|r| owner[r * columns + column] == own).count();
            table.spanning_cell(&texts[own], row_span as u32, column_span as u32, header && row == 0);
        }
    }
    table
}

/// Names of columns are no numbers.
fn looks_like_header<S: AsRef<str>>(cells: &[S]) -> bool {
    let mut filled = cells.iter().map(AsRef::as_ref).filter(|c| !c.trim().is_empty()).peekable();
    filled.peek().is_some() && filled.all(|c| c.chars().any(char::is_alphabetic) || c.starts_with('#'))
}

/// Ranges of lines that make up unruled tables, with their tables.
pub fn aligned(lines: &[Line], words: &Words) -> Vec<(std::ops::Range<usize>, Found)> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < lines.len() {
        let mut end = run_end(lines, start);
        // Lines at the end may not fit the columns of the rest.
        let table = loop {
            if end < start + ROWS_MIN {
                break None;
            }
            match table_of(&lines[start..end], words) {
                Some(table) => break Some(table),
                None if end - start > 12 => break None,
                None => end -= 1,
            }
        };
        match table {
            Some(table) => {
                found.push((start..end, table));
                start = end;
            }
            None => start += 1,
        }
    }
    found
}

/// Lines of several pieces each, one below the other; a line of one piece may stand between them.
fn run_end(lines: &[Line], start: usize) -> usize {
    if lines[start].parts.len() < 2 || lines[start].monospaced {
        return start;
    }
    let mut end = start + 1;
    let mut last_full = end;
    while end < lines.len().min(start + RUN_MAX) {
        let (above, line) = (&lines[end - 1], &lines[end]);
        let distance = line.baseline - above.baseline;
        let single = line.parts.len() < 2;
        if distance > ROW_DISTANCE_MAX * line.size || distance < 0.0 || (single && above.parts.len() < 2) {
            break;
        }
        end += 1;
        if !single {
            last_full = end;
        }
    }
    last_full
}

fn table_of(lines: &[Line], words: &Words) -> Option<Found> {
    let edges = column_edges(lines)?;
    let columns = edges.len() + 1;
    let rtl = lines.iter().filter(|l| l.rtl).count() * 2 > lines.len();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut full_rows = 0;
    for line in lines {
        let mut cells = vec![String::new(); columns];
        for part in &line.parts {
            let from_left = edges.partition_point(|edge| *edge <= part.rect.center().0);
            let column = if rtl { edges.len() - from_left } else { from_left };
            append_line(&mut cells[column], &part.text, words);
        }
        let filled = cells.iter().filter(|c| !c.is_empty()).count();
        match rows.last_mut() {
            // The rest of a cell that was broken.
            Some(above) if filled == 1 && continues(&cells, above) => {
                for (cell, more) in above.iter_mut().zip(&cells) {
                    append_line(cell, more, words);
                }
            }
            _ => {
                full_rows += usize::from(filled * 2 >= columns && filled >= 2);
                rows.push(cells);
            }
        }
    }
    let longest = rows.iter().flatten().map(|c| c.chars().count()).max().unwrap_or(0);
    if full_rows < ROWS_MIN || full_rows * 3 < rows.len() * 2 || longest > 200 || is_list(&rows) {
        return None;
    }
    let header = looks_like_header(&rows[0]);
    Some(Found {
        rect: bounds(lines.iter().map(|l| &l.rect)),
        chars: rows.iter().flatten().map(String::len).sum(),
        table: Table::from_rows(rows, usize::from(header)),
    })
}

fn continues(cells: &[String], above: &[String]) -> bool {
    cells.iter().zip(above).skip(1).any(|(cell, above)| !cell.is_empty() && !above.is_empty())
        && cells.iter().any(|c| c.starts_with(char::is_lowercase))
}

/// Bullets and numbers with a wide gap after them are a list.
fn is_list(rows: &[Vec<String>]) -> bool {
    rows[0].len() == 2
        && rows
            .iter()
            .filter(|row| !row[0].is_empty())
            .all(|row| crate::lists::marker(&format!("{} x", row[0])).is_some())
}

/// Middles of the gaps that run through all lines of several pieces; one at least.
fn column_edges(lines: &[Line]) -> Option<Vec<f32>> {
    let size = lines.first()?.size;
    let mut spans: Vec<(f32, f32)> = lines
        .iter()
        .filter(|l| l.parts.len() > 1)
        .flat_map(|l| l.parts.iter().map(|p| (p.rect.x0, p.rect.x1)))
        .collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut edges = Vec::new();
    let mut end = spans.first()?.1;
    for (x0, x1) in spans {
        if x0 - end > GAP_MIN * size {
            edges.push((x0 + end) / 2.0);
        }
        end = end.max(x1);
    }
    (!edges.is_empty() && edges.len() < 60).then_some(edges)
}
