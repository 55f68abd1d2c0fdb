//! Rows of two 8-bit halves: the upper half is scanned for candidates, both together (16 bits a number) score them.
//! Half the memory of f32 rows, and their cosines to about five digits.

use std::ops::Range;

use multiversion::multiversion;

use super::prefetch::{LINE, prefetch};

/// Largest value of a quantised number: 127 in the upper half and 127 in the lower.
const FULL: f32 = (127 * 256 + 127) as f32;

/// Unit rows, quantised row by row, wherever they are stored.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Numbers in a row.
    pub dimension: usize,
    /// Row-major.
    pub upper: &'a [i8],
    /// Row-major.
    pub lower: &'a [i8],
    /// What one step of the lower half is worth; 0 marks a row that can't be found.
    pub steps: &'a [f32],
}

/// Rows in memory, which can grow.
#[derive(Clone, Debug, Default)]
pub struct RowBuffer {
    dimension: usize,
    upper: Vec<i8>,
    lower: Vec<i8>,
    steps: Vec<f32>,
}

/// A query, ready to be multiplied with rows.
pub struct Probe {
    unit: Vec<f32>,
    quantised: Vec<i16>,
    step: f32,
}

impl Probe {
    /// A stored row as a query; `None` for one without direction.
    pub fn of_row(rows: Rows<'_>, row: usize) -> Option<Self> {
        let mut vector = vec![0.0; rows.dimension];
        rows.add_to(row, &mut vector);
        Self::new(&vector)
    }

    /// `None` for a vector without direction.
    pub fn new(vector: &[f32]) -> Option<Self> {
        let unit = unit(vector)?;
        // The sum of all products must fit 32 bits.
        let full = (i32::MAX as f32 / (128.0 * unit.len() as f32)).min(i16::MAX as f32).floor();
        let largest = largest(&unit);
        let quantised = unit.iter().map(|value| (value / largest * full).round() as i16).collect();
        Some(Self { unit, quantised, step: largest / full })
    }
}

/// The vector at length 1; `None` if it has no direction: all zero, or not finite.
pub fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let usable = length.is_finite() && length > 1e-12;
    usable.then(|| vector.iter().map(|value| (f64::from(*value) / length) as f32).collect())
}

fn largest(vector: &[f32]) -> f32 {
    vector.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

impl RowBuffer {
    /// No rows yet.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, ..Self::default() }
    }

    /// The rows to read.
    pub fn rows(&self) -> Rows<'_> {
        Rows { dimension: self.dimension, upper: &self.upper, lower: &self.lower, steps: &self.steps }
    }

    /// Appends a row. One without direction keeps its place but is never found.
    pub fn push(&mut self, row: &[f32]) {
        let Some(unit) = unit(row) else {
            self.steps.push(0.0);
            self.upper.resize(self.upper.len() + self.dimension, 0);
            self.lower.resize(self.lower.len() + self.dimension, 0);
            return;
        };
        let step = largest(&unit) / FULL;
        self.steps.push(step);
        for value in unit {
            let whole = (value / step).round().clamp(-FULL, FULL) as i32;
            let upper = (whole + 128) >> 8;
            self.upper.push(upper as i8);
            self.lower.push((whole - (upper << 8)) as i8);
        }
    }

    /// Appends a row of other rows of the same dimension.
    pub fn push_from(&mut self, other: Rows<'_>, row: usize) {
        let span = other.span(row);
        self.upper.extend_from_slice(&other.upper[span.clone()]);
        self.lower.extend_from_slice(&other.lower[span]);
        self.steps.push(other.steps[row]);
    }
}

impl Rows<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    fn span(&self, row: usize) -> Range<usize> {
        row * self.dimension..(row + 1) * self.dimension
    }

    /// Whether the row has a direction.
    pub fn is_found(&self, row: usize) -> bool {
        self.steps[row] > 0.0
    }

    /// About the cosine of each row of a range with the query, in order.
    pub fn approximate(&self, probe: &Probe, rows: Range<usize>, scores: &mut Vec<f32>) {
        let upper = &self.upper[rows.start * self.dimension..rows.end * self.dimension];
        scores.clear();
        scores.resize(rows.len(), 0.0);
        products(&probe.quantised, upper, scores);
        for (score, step) in scores.iter_mut().zip(&self.steps[rows]) {
            *score *= step * 256.0 * probe.step;
        }
    }

    /// About the cosine of some rows with the query, in order; 0 for a row that there is not.
    pub fn approximate_some(&self, probe: &Probe, rows: &[u32], scores: &mut Vec<f32>) {
        scores.clear();
        scores.resize(rows.len(), 0.0);
        some_products(&probe.quantised, self.upper, rows, scores);
        for (score, row) in scores.iter_mut().zip(rows) {
            *score *= self.step(*row) * 256.0 * probe.step;
        }
    }

    /// Whether a row is nearer to one of some others than `bound`, a cosine, says. From the upper halves.
    pub fn is_nearer_to_any(&self, row: u32, others: &[u32], bound: f32) -> bool {
        let bound = bound / (self.step(row) * 65536.0);
        any_product_above(self.dimension, self.upper, self.steps, row, others, bound)
    }

    /// About the cosine of two rows.
    pub fn cosine_of_upper(&self, row: u32, other: u32) -> f32 {
        let (row, other) = (row as usize, other as usize);
        let product = row_product(&self.upper[self.span(row)], &self.upper[self.span(other)]);
        product as f32 * (self.steps[row] * 256.0) * (self.steps[other] * 256.0)
    }

    /// Asks the processor to bring the upper half of a row near, for a product that comes soon.
    pub fn prefetch(&self, row: u32) {
        let start = row as usize * self.dimension;
        (start..start + self.dimension).step_by(LINE).for_each(|at| prefetch(self.upper, at));
        prefetch(self.steps, row as usize);
    }

    fn step(&self, row: u32) -> f32 {
        self.steps.get(row as usize).copied().unwrap_or(0.0)
    }

    /// The cosine of a row with the query.
    pub fn cosine(&self, probe: &Probe, row: usize) -> f32 {
        let span = self.span(row);
        let product = whole_product(&self.upper[span.clone()], &self.lower[span], &probe.unit);
        (product * self.steps[row]).clamp(-1.0, 1.0)
    }

    /// Adds a row to a sum.
    pub fn add_to(&self, row: usize, sum: &mut [f32]) {
        let (span, step) = (self.span(row), self.steps[row]);
        for ((upper, lower), sum) in self.upper[span.clone()].iter().zip(&self.lower[span]).zip(sum) {
            *sum += whole(*upper, *lower) * step;
        }
    }
}

#[inline(always)]
fn whole(upper: i8, lower: i8) -> f32 {
    (i32::from(upper) * 256 + i32::from(lower)) as f32
}

/// The scalar product of the query with each row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn products(query: &[i16], rows: &[i8], products: &mut [f32]) {
    for (row, product) in rows.chunks_exact(query.len()).zip(products) {
        *product = dot(row, query) as f32;
    }
}

/// The scalar product of the query with some rows; of none where a row lies beyond the end.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn some_products(query: &[i16], upper: &[i8], rows: &[u32], products: &mut [f32]) {
    for (row, product) in rows.iter().zip(products) {
        let start = *row as usize * query.len();
        *product = upper.get(start..start + query.len()).map_or(0.0, |row| dot(row, query) as f32);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn row_product(row: &[i8], other: &[i8]) -> i32 {
    dot(row, other)
}

/// Whether the product of a row with one of the others, in steps of that other, is above the bound.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn any_product_above(
    dimension: usize,
    upper: &[i8],
    steps: &[f32],
    row: u32,
    others: &[u32],
    bound: f32,
) -> bool {
    let span = |row: u32| row as usize * dimension..(row as usize + 1) * dimension;
    let Some(row) = upper.get(span(row)) else { return false };
    others.iter().any(|other| match (upper.get(span(*other)), steps.get(*other as usize)) {
        (Some(content), Some(step)) => dot(row, content) as f32 * step > bound,
        _ => false,
    })
}

/// A product whose sum fits 32 bits (see `Probe`); checks for overflow would keep the compiler from using vectors.
#[inline(always)]
fn dot<Q: Copy + Into<i32>>(row: &[i8], query: &[Q]) -> i32 {
    let add = |sum: i32, (r, q): (&i8, &Q)| sum.wrapping_add(i32::from(*r).wrapping_mul((*q).into()));
    row.iter().zip(query).fold(0, add)
}

/// The product of a row of both halves with the query. Sums in lanes, since the compiler may not reorder sums of f32.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl",
    "x86_64+avx2+fma",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn whole_product(upper: &[i8], lower: &[i8], query: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (mut sums, mut rest) = ([0.0f32; LANES], 0.0);
    let (upper, upper_rest) = upper.as_chunks::<LANES>();
    let (lower, lower_rest) = lower.as_chunks::<LANES>();
    let (query, query_rest) = query.as_chunks::<LANES>();
    for ((upper, lower), query) in upper.iter().zip(lower).zip(query) {
        for lane in 0..LANES {
            sums[lane] += whole(upper[lane], lower[lane]) * query[lane];
        }
    }
    for ((upper, lower), query) in upper_rest.iter().zip(lower_rest).zip(query_rest) {
        rest += whole(*upper, *lower) * query;
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(a: &[f32], b: &[f32]) -> f32 {
        let (Some(a), Some(b)) = (unit(a), unit(b)) else { return 0.0 };
        a.iter().zip(&b).map(|(a, b)| a * b).sum()
    }

    fn vectors() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        (1usize..300).prop_flat_map(|dimension| {
            let vector = proptest::collection::vec(-1.0f32..1.0, dimension);
            (vector.clone(), vector)
        })
    }

    proptest! {
        #[test]
        fn quantised_cosines_are_near((row, query) in vectors()) {
            let mut rows = RowBuffer::new(row.len());
            rows.push(&row);
            if let Some(probe) = Probe::new(&query) {
                let wanted = exact(&row, &query);
                let rows = rows.rows();
                prop_assert!((rows.cosine(&probe, 0) - wanted).abs() < 1e-4);
                let mut scores = Vec::new();
                rows.approximate(&probe, 0..1, &mut scores);
                prop_assert!((scores[0] - wanted).abs() < 0.02);
            }
        }
    }

    proptest! {
        #[test]
        fn products_of_some_rows_are_those_of_all((row, query) in vectors()) {
            let mut buffer = RowBuffer::new(row.len());
            [&row, &query, &row].into_iter().for_each(|row| buffer.push(row));
            let rows = buffer.rows();
            if let Some(probe) = Probe::of_row(rows, 1) {
                let (mut all, mut some) = (Vec::new(), Vec::new());
                rows.approximate(&probe, 0..3, &mut all);
                rows.approximate_some(&probe, &[2, 9, 1], &mut some);
                prop_assert_eq!(&some, &[all[2], 0.0, all[1]]);
                let pair = rows.cosine_of_upper(0, 1);
                prop_assert!((pair - exact(&row, &query)).abs() < 0.04);
                prop_assert!(rows.is_nearer_to_any(0, &[1], pair - 1e-3) || !rows.is_found(0));
                prop_assert!(!rows.is_nearer_to_any(0, &[1, 7], pair + 1e-3) && !rows.is_nearer_to_any(0, &[], -1.0));
            }
        }
    }

    #[test]
    fn extreme_rows_do_not_overflow() {
        let dimension = 4096;
        let mut rows = RowBuffer::new(dimension);
        rows.push(&vec![-1.0; dimension]);
        let probe = Probe::new(&vec![-1.0; dimension]).unwrap();
        let (rows, mut scores) = (rows.rows(), Vec::new());
        rows.approximate(&probe, 0..1, &mut scores);
        assert!((scores[0] - 1.0).abs() < 1e-2 && (rows.cosine(&probe, 0) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn vectors_without_direction_are_refused() {
        assert!(unit(&[0.0, 0.0]).is_none() && unit(&[f32::NAN, 1.0]).is_none());
        assert!(unit(&[f32::INFINITY, 1.0]).is_none());
        let mut rows = RowBuffer::new(2);
        rows.push(&[0.0, 0.0]);
        assert!(!rows.rows().is_found(0));
    }
}
