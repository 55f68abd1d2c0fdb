//! Ruled lines to grids.

use crate::geometry::{Rect, bounds};

/// Lines this close are one, in points.
const NEAR: f32 = 3.0;
/// Lines looked at on one page.
const LINES_MAX: usize = 2_000;
/// Rows and columns of a grid at most.
const EDGES_MAX: usize = 200;

/// A grid of ruled lines.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Left edges of the columns and the right end.
    pub xs: Vec<f32>,
    /// Top edges of the rows and the bottom.
    pub ys: Vec<f32>,
    vertical: Vec<Rect>,
    horizontal: Vec<Rect>,
}

impl Grid {
    /// What it covers.
    pub fn rect(&self) -> Rect {
        bounds(self.vertical.iter().chain(&self.horizontal))
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.xs.len().saturating_sub(1)
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.ys.len().saturating_sub(1)
    }

    /// Whether a line parts this cell from the one to its right.
    pub fn closed_right(&self, row: usize, column: usize) -> bool {
        let (x, y) = (self.xs[column + 1], (self.ys[row] + self.ys[row + 1]) / 2.0);
        self.vertical.iter().any(|l| (l.center().0 - x).abs() <= NEAR && l.y0 <= y && l.y1 >= y)
    }

    /// Whether a line parts this cell from the one below.
    pub fn closed_below(&self, row: usize, column: usize) -> bool {
        let (x, y) = ((self.xs[column] + self.xs[column + 1]) / 2.0, self.ys[row + 1]);
        self.horizontal.iter().any(|l| (l.center().1 - y).abs() <= NEAR && l.x0 <= x && l.x1 >= x)
    }

    /// Adds a line across the whole grid.
    pub fn split_row(&mut self, y: f32) {
        let at = self.ys.partition_point(|edge| *edge <= y);
        let (Some(&x0), Some(&x1)) = (self.xs.first(), self.xs.last()) else { return };
        self.ys.insert(at, y);
        self.horizontal.push(Rect { x0, x1, y0: y, y1: y });
    }

    /// Row and column of a point.
    pub fn locate(&self, (x, y): (f32, f32)) -> Option<(usize, usize)> {
        let column = self.xs.partition_point(|edge| *edge <= x).checked_sub(1)?;
        let row = self.ys.partition_point(|edge| *edge <= y).checked_sub(1)?;
        (column < self.columns() && row < self.rows()).then_some((row, column))
    }
}

/// Whether the line stands upright.
pub fn is_vertical(line: &Rect) -> bool {
    line.height() > line.width()
}

/// Grids of two rows and two columns at least.
pub fn grids(lines: &[Rect]) -> Vec<Grid> {
    let (vertical, horizontal): (Vec<Rect>, Vec<Rect>) = lines.iter().copied().partition(is_vertical);
    let vertical = joined(vertical, true);
    let horizontal = joined(horizontal, false);
    if vertical.len() + horizontal.len() > LINES_MAX {
        return Vec::new();
    }
    let all: Vec<Rect> = vertical.iter().chain(&horizontal).copied().collect();
    let groups = connected(&all, vertical.len());
    groups.into_iter().filter_map(|group| grid(&all, &group, vertical.len())).collect()
}

/// Lines in one another's continuation become one.
fn joined(mut lines: Vec<Rect>, vertical: bool) -> Vec<Rect> {
    let across = |r: &Rect| if vertical { r.center().0 } else { r.center().1 };
    let along = |r: &Rect| if vertical { (r.y0, r.y1) } else { (r.x0, r.x1) };
    lines.sort_by(|a, b| {
        let near = (across(a) / 2.0).round().total_cmp(&(across(b) / 2.0).round());
        near.then(along(a).0.total_cmp(&along(b).0))
    });
    let mut out: Vec<Rect> = Vec::new();
    for line in lines {
        match out.last_mut() {
            Some(last)
                if (across(last) - across(&line)).abs() <= 2.0 && along(&line).0 <= along(last).1 + NEAR =>
            {
                *last = last.union(&line);
            }
            _ => out.push(line),
        }
    }
    out
}

/// Groups of lines that touch; the first `verticals` are upright.
fn connected(lines: &[Rect], verticals: usize) -> Vec<Vec<usize>> {
    let mut parent: Vec<usize> = (0..lines.len()).collect();
    fn root(parent: &mut [usize], mut i: usize) -> usize {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    }
    for v in 0..verticals {
        let reach = lines[v].inflated(NEAR);
        for (h, line) in lines.iter().enumerate().skip(verticals) {
            if reach.overlap_x(line) >= 0.0 && reach.overlap_y(line) >= 0.0 {
                let (a, b) = (root(&mut parent, v), root(&mut parent, h));
                parent[a] = b;
            }
        }
    }
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); lines.len()];
    for i in 0..lines.len() {
        let at = root(&mut parent, i);
        groups[at].push(i);
    }
    groups.retain(|g| g.len() >= 4);
    groups
}

fn grid(lines: &[Rect], group: &[usize], verticals: usize) -> Option<Grid> {
    let (vertical, horizontal): (Vec<usize>, Vec<usize>) = group.iter().partition(|&&i| i < verticals);
    let take = |of: Vec<usize>| of.into_iter().map(|i| lines[i]).collect::<Vec<_>>();
    let (vertical, horizontal) = (take(vertical), take(horizontal));
    let mut xs = edges(vertical.iter().map(|l| l.center().0));
    let ys = edges(horizontal.iter().map(|l| l.center().1));
    // Many tables leave their outer sides open.
    let reach = bounds(&horizontal);
    if xs.first().is_some_and(|x| reach.x0 < x - 2.0 * NEAR) {
        xs.insert(0, reach.x0);
    }
    if xs.last().is_some_and(|x| reach.x1 > x + 2.0 * NEAR) {
        xs.push(reach.x1);
    }
    let fits = (3..=EDGES_MAX).contains(&xs.len()) && (3..=EDGES_MAX).contains(&ys.len());
    fits.then_some(Grid { xs, ys, vertical, horizontal })
}

fn edges(values: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    values.dedup_by(|next, kept| *next - *kept <= NEAR);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h(x0: f32, x1: f32, y: f32) -> Rect {
        Rect { x0, x1, y0: y, y1: y + 0.5 }
    }

    fn v(x: f32, y0: f32, y1: f32) -> Rect {
        Rect { x0: x, x1: x + 0.5, y0, y1 }
    }

    #[test]
    fn a_grid_with_a_spanning_head() {
        let lines = [
            h(0.0, 100.0, 0.0),
            h(0.0, 100.0, 20.0),
            h(0.0, 100.0, 40.0),
            v(0.0, 0.0, 40.0),
            v(50.0, 20.0, 40.0),
            v(100.0, 0.0, 40.0),
        ];
        let grids = grids(&lines);
        assert_eq!(grids.len(), 1);
        let grid = &grids[0];
        assert_eq!((grid.rows(), grid.columns()), (2, 2));
        assert!(!grid.closed_right(0, 0) && grid.closed_right(1, 0) && grid.closed_below(0, 1));
        assert_eq!(grid.locate((70.0, 30.0)), Some((1, 1)));
        assert_eq!(grid.locate((170.0, 30.0)), None);
    }

    #[test]
    fn a_frame_is_no_table() {
        assert!(grids(&[h(0.0, 9.0, 0.0), h(0.0, 9.0, 9.0), v(0.0, 0.0, 9.0), v(9.0, 0.0, 9.0)]).is_empty());
    }
}
