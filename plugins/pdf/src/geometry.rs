//! Rectangles and turned coordinate systems.

/// Points; y grows downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left.
    pub x0: f32,
    /// Top.
    pub y0: f32,
    /// Right.
    pub x1: f32,
    /// Bottom.
    pub y1: f32,
}

impl Rect {
    /// The identity of `union`.
    pub const NOTHING: Self =
        Self { x0: f32::INFINITY, y0: f32::INFINITY, x1: f32::NEG_INFINITY, y1: f32::NEG_INFINITY };

    /// The rectangle over two opposite corners.
    pub fn spanning(a: (f32, f32), b: (f32, f32)) -> Self {
        Self { x0: a.0.min(b.0), y0: a.1.min(b.1), x1: a.0.max(b.0), y1: a.1.max(b.1) }
    }

    /// Left to right.
    pub fn width(&self) -> f32 {
        self.x1 - self.x0
    }

    /// Top to bottom.
    pub fn height(&self) -> f32 {
        self.y1 - self.y0
    }

    /// Midpoint.
    pub fn center(&self) -> (f32, f32) {
        ((self.x0 + self.x1) / 2.0, (self.y0 + self.y1) / 2.0)
    }

    /// The smallest rectangle over both.
    pub fn union(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// Grown by `by` on each side.
    pub fn inflated(&self, by: f32) -> Self {
        Self { x0: self.x0 - by, y0: self.y0 - by, x1: self.x1 + by, y1: self.y1 + by }
    }

    /// Whether the point lies within.
    pub fn contains(&self, (x, y): (f32, f32)) -> bool {
        x >= self.x0 && x <= self.x1 && y >= self.y0 && y <= self.y1
    }

    /// Length of the common part of the vertical extents; negative where they are apart.
    pub fn overlap_y(&self, other: &Self) -> f32 {
        self.y1.min(other.y1) - self.y0.max(other.y0)
    }

    /// Length of the common part of the horizontal extents; negative where they are apart.
    pub fn overlap_x(&self, other: &Self) -> f32 {
        self.x1.min(other.x1) - self.x0.max(other.x0)
    }

    /// Whether all four numbers are finite.
    pub fn is_finite(&self) -> bool {
        [self.x0, self.y0, self.x1, self.y1].iter().all(|v| v.is_finite())
    }
}

/// The union of all.
pub fn bounds<'a>(rects: impl IntoIterator<Item = &'a Rect>) -> Rect {
    rects.into_iter().fold(Rect::NOTHING, |all, r| all.union(r))
}

/// A coordinate system in which the text of one direction runs along +x and lines follow along +y.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    sin: f32,
    cos: f32,
}

impl Turn {
    /// For text that runs at `degrees` clockwise from the x axis of the page.
    pub fn new(degrees: i16) -> Self {
        let (sin, cos) = match degrees.rem_euclid(360) {
            0 => (0.0, 1.0),
            90 => (1.0, 0.0),
            180 => (0.0, -1.0),
            270 => (-1.0, 0.0),
            other => f32::from(other).to_radians().sin_cos(),
        };
        Self { sin, cos }
    }

    /// From page to reading coordinates.
    pub fn apply(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (x * self.cos + y * self.sin, y * self.cos - x * self.sin)
    }

    /// From reading to page coordinates.
    pub fn back(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (x * self.cos - y * self.sin, y * self.cos + x * self.sin)
    }

    /// From reading to page coordinates; the smallest upright rectangle.
    pub fn rect_back(&self, r: &Rect) -> Rect {
        let corners = [(r.x0, r.y0), (r.x1, r.y0), (r.x0, r.y1), (r.x1, r.y1)].map(|p| self.back(p));
        corners.iter().fold(Rect::NOTHING, |all, &p| all.union(&Rect::spanning(p, p)))
    }

    /// From page to reading coordinates; the smallest upright rectangle.
    pub fn rect(&self, r: &Rect) -> Rect {
        Self { sin: -self.sin, cos: self.cos }.rect_back(r)
    }
}

/// The value in the middle; 0 for none. Sorts what it is given.
pub fn median(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_goes_back() {
        for degrees in [0, 40, 90, 180, 270, -30] {
            let turn = Turn::new(degrees);
            let (x, y) = turn.back(turn.apply((12.0, 34.0)));
            assert!((x - 12.0).abs() < 1e-3 && (y - 34.0).abs() < 1e-3, "{degrees}: {x} {y}");
        }
    }

    #[test]
    fn text_running_down_the_page_reads_along_x() {
        let turn = Turn::new(90);
        let (a, b) = (turn.apply((100.0, 10.0)), turn.apply((100.0, 50.0)));
        assert!(b.0 > a.0 && (a.1 - b.1).abs() < 1e-3);
    }
}
