//! Reading order: a recursive cut of the page along its gutters (after the XY-cut of Nagy and Seth, 1984), with
//! full-width lines allowed to interrupt a gutter.

use crate::geometry::{Rect, bounds, median};

/// Cuts within cuts at most.
const DEPTH_MAX: usize = 16;
/// Pieces of a region that is cut at most: pages of text have some hundreds.
const ITEMS_MAX: usize = 4_000;
/// Places tried for a gutter.
const CANDIDATES: usize = 200;
/// Lines of a column at least.
const COLUMN_LINES_MIN: usize = 3;
/// Half of a side's characters stand in pieces at least this long, if it is running text.
const PROSE_CHARS: usize = 18;
/// A gutter's width at least, in ems.
const GUTTER_MIN: f32 = 0.7;

/// Something to be put in order.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Its place, in reading coordinates.
    pub rect: Rect,
    /// y of its baseline; of a table, of its middle.
    pub baseline: f32,
    /// Em.
    pub size: f32,
    /// Length of its text.
    pub chars: usize,
}

/// Indices of the items, region by region in reading order.
pub fn regions(items: &[Item], rtl: bool) -> Vec<Vec<usize>> {
    let mut all: Vec<usize> = (0..items.len()).collect();
    all.sort_by(|&a, &b| items[a].baseline.total_cmp(&items[b].baseline));
    let mut done = Vec::new();
    // A stack of what is still to be cut; the next in reading order is on top.
    let mut open = vec![(all, 0)];
    while let Some((region, depth)) = open.pop() {
        match cut(items, &region, rtl).filter(|parts| depth < DEPTH_MAX && parts.len() > 1) {
            Some(parts) => open.extend(parts.into_iter().rev().map(|part| (part, depth + 1))),
            None => done.push(region),
        }
    }
    done
}

/// The parts of a region in reading order, or nothing if it is of one piece. `region` is sorted by baseline.
fn cut(items: &[Item], region: &[usize], rtl: bool) -> Option<Vec<Vec<usize>>> {
    if region.len() < 2 * COLUMN_LINES_MIN || region.len() > ITEMS_MAX {
        return None;
    }
    let around = bounds(region.iter().map(|&i| &items[i].rect));
    let em = median(&mut region.iter().map(|&i| items[i].size).collect::<Vec<_>>());
    let best = candidates(items, region, &around)
        .into_iter()
        .map(|x| (gutter_score(items, region, x, em), x))
        .filter(|(score, _)| *score > 0.0)
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(parts(items, region, best.1, em, rtl))
}

/// Middles of the places where something ends and something else may begin.
fn candidates(items: &[Item], region: &[usize], around: &Rect) -> Vec<f32> {
    let step = (around.width() / CANDIDATES as f32).max(1.0);
    let bins = ((around.width() / step) as usize).clamp(1, CANDIDATES);
    let mut begins = vec![false; bins + 2];
    for &i in region {
        let at = ((items[i].rect.x0 - around.x0) / step) as usize;
        begins[at.min(bins + 1)] = true;
    }
    (1..bins + 2).filter(|&b| begins[b]).map(|b| around.x0 + b as f32 * step - 0.01).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
    Across,
}

fn side(rect: &Rect, x: f32) -> Side {
    if rect.x1 <= x + 1.0 {
        Side::Left
    } else if rect.x0 >= x - 1.0 {
        Side::Right
    } else {
        Side::Across
    }
}

/// Runs of items that no full-width item interrupts.
fn bands<'r>(items: &'r [Item], region: &'r [usize], x: f32) -> impl Iterator<Item = &'r [usize]> {
    region.chunk_by(move |&a, &b| {
        (side(&items[a].rect, x) == Side::Across) == (side(&items[b].rect, x) == Side::Across)
    })
}

fn gutter_score(items: &[Item], region: &[usize], x: f32, em: f32) -> f32 {
    bands(items, region, x).filter_map(|band| band_score(items, band, x, em)).sum()
}

/// How many characters are set in columns around `x`, a little more for a wide gutter; `None` if it is none.
fn band_score(items: &[Item], band: &[usize], x: f32, em: f32) -> Option<f32> {
    let of = |wanted| band.iter().copied().filter(|&i| side(&items[i].rect, x) == wanted).collect::<Vec<_>>();
    let (left, right) = (of(Side::Left), of(Side::Right));
    if left.is_empty() || right.is_empty() {
        return None;
    }
    let end = left.iter().map(|&i| items[i].rect.x1).fold(f32::NEG_INFINITY, f32::max);
    let begin = right.iter().map(|&i| items[i].rect.x0).fold(f32::INFINITY, f32::min);
    let gutter = begin - end;
    if gutter < GUTTER_MIN * em || !are_columns(items, &left, &right) {
        return None;
    }
    let chars: usize = band.iter().map(|&i| items[i].chars).sum();
    Some(chars as f32 + (gutter / em).min(20.0))
}

fn are_columns(items: &[Item], left: &[usize], right: &[usize]) -> bool {
    let (rows_left, rows_right) = (rows(items, left), rows(items, right));
    let (fewer, more) = (rows_left.len().min(rows_right.len()), rows_left.len().max(rows_right.len()));
    if fewer >= COLUMN_LINES_MIN && prose(items, left) && prose(items, right) {
        return true;
    }
    // Else it may be a note in the margin, or a list beside a list; but rows of a table stand level, and headings
    // that reach out to the left stand alone.
    let enough = fewer >= COLUMN_LINES_MIN
        || (more >= 2 * COLUMN_LINES_MIN && (prose(items, left) || prose(items, right)));
    let shorter = if rows_left.len() <= rows_right.len() { (left, right) } else { (right, left) };
    enough && aligned(&rows_left, &rows_right) < 0.5 && beside(items, shorter.0, shorter.1) > 0.5
}

/// Share of the items that have one of the others beside them.
fn beside(items: &[Item], few: &[usize], many: &[usize]) -> f32 {
    let has_neighbour = |&&i: &&usize| {
        let rect = items[i].rect;
        many.iter().any(|&j| items[j].rect.overlap_y(&rect) > 0.2 * rect.height())
    };
    few.iter().filter(has_neighbour).count() as f32 / few.len().max(1) as f32
}

/// Baselines and sizes, each row once.
fn rows(items: &[Item], side: &[usize]) -> Vec<(f32, f32)> {
    let mut rows: Vec<(f32, f32)> = Vec::new();
    for &i in side {
        let item = &items[i];
        if rows.last().is_none_or(|r| item.baseline - r.0 > 0.3 * item.size) {
            rows.push((item.baseline, item.size));
        }
    }
    rows
}

/// Share of the rows of the shorter side that stand level with one of the other: 1 for a table.
fn aligned(a: &[(f32, f32)], b: &[(f32, f32)]) -> f32 {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let level = few.iter().filter(|(y, size)| {
        let from = many.partition_point(|(other, _)| *other < y - 0.25 * size);
        many.get(from).is_some_and(|(other, _)| *other <= y + 0.25 * size)
    });
    level.count() as f32 / few.len().max(1) as f32
}

fn prose(items: &[Item], side: &[usize]) -> bool {
    let total: usize = side.iter().map(|&i| items[i].chars).sum();
    let long: usize = side.iter().map(|&i| items[i].chars).filter(|&chars| chars >= PROSE_CHARS).sum();
    long * 2 > total
}

/// Columns of true bands one after the other; everything else as it comes.
fn parts(items: &[Item], region: &[usize], x: f32, em: f32, rtl: bool) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut plain: Vec<usize> = Vec::new();
    for band in bands(items, region, x) {
        if band_score(items, band, x, em).is_none() {
            plain.extend(band);
            continue;
        }
        if !plain.is_empty() {
            parts.push(std::mem::take(&mut plain));
        }
        let (left, right) = band.iter().partition(|&&i| side(&items[i].rect, x) == Side::Left);
        parts.extend(if rtl { [right, left] } else { [left, right] });
    }
    if !plain.is_empty() {
        parts.push(plain);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(x0: f32, x1: f32, y: f32) -> Item {
        let rect = Rect { x0, x1, y0: y - 8.0, y1: y + 2.0 };
        Item { rect, baseline: y, size: 10.0, chars: ((x1 - x0) / 5.0) as usize }
    }

    fn two_columns() -> Vec<Item> {
        let mut items = vec![line(50.0, 550.0, 40.0)];
        for row in 0..6 {
            let y = 80.0 + 12.0 * row as f32;
            items.push(line(50.0, 290.0, y));
            items.push(line(310.0, 550.0, y));
        }
        items.push(line(50.0, 550.0, 300.0));
        items
    }

    #[test]
    fn columns_between_full_lines_are_read_one_after_the_other() {
        let items = two_columns();
        let order: Vec<usize> = regions(&items, false).concat();
        assert_eq!(order, [0, 1, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12, 13]);
        let order: Vec<usize> = regions(&items, true).concat();
        assert_eq!(order[..4], [0, 2, 4, 6]);
    }

    #[test]
    fn three_columns() {
        let items: Vec<Item> = (0..15)
            .map(|i| {
                let x = 50.0 + 170.0 * (i % 3) as f32;
                line(x, x + 150.0, 50.0 + 12.0 * (i / 3) as f32)
            })
            .collect();
        let found = regions(&items, false);
        assert_eq!(found.len(), 3);
        assert_eq!(found[1], [1, 4, 7, 10, 13]);
    }

    #[test]
    fn rows_of_short_cells_stay_together() {
        let items: Vec<Item> = (0..12)
            .map(|i| {
                let x = 50.0 + 170.0 * (i % 3) as f32;
                line(x, x + 40.0, 50.0 + 12.0 * (i / 3) as f32)
            })
            .collect();
        assert_eq!(regions(&items, false).len(), 1);
    }
}
