//! What is usual in this document, so that headings stand out from it.

use std::collections::BTreeMap;

/// A heading is larger than the body by this factor.
const HEADING_SIZE: f32 = 1.12;
/// Bold type has thicker strokes than the body by this factor: about 1.5 within a family; sans-serif beside serif
/// type has 1.3.
const BOLD_STEM: f32 = 1.35;
/// Sizes closer than this factor are one.
const SAME_SIZE: f32 = 1.06;

/// Sizes and weights of the pages seen so far.
#[derive(Debug, Default)]
pub struct Styles {
    chars: usize,
    monospaced: usize,
    /// Characters by size in quarter points.
    sizes: BTreeMap<u32, usize>,
    /// Characters by stem in thousandths of an em, at each size.
    stems: BTreeMap<(u32, u32), usize>,
    /// Sizes of headings, in quarter points.
    headings: BTreeMap<u32, usize>,
}

impl Styles {
    /// Learns a segment.
    pub fn learn(&mut self, size: f32, stem: f32, monospaced: bool, chars: usize) {
        self.chars += chars;
        self.monospaced += if monospaced { chars } else { 0 };
        let size = quarters(size);
        *self.sizes.entry(size).or_default() += chars;
        if stem > 0.0 {
            *self.stems.entry((size, (stem * 1000.0) as u32)).or_default() += chars;
        }
    }

    /// Learns a heading.
    pub fn learn_heading(&mut self, size: f32) {
        *self.headings.entry(quarters(size)).or_default() += 1;
    }

    /// What to compare with.
    pub fn body(&self) -> Body {
        let size = self.sizes.iter().max_by_key(|(_, chars)| **chars).map_or(0, |(size, _)| *size);
        Body {
            size: size as f32 / 4.0,
            stem: self.body_stem(size),
            monospaced: self.monospaced * 2 > self.chars,
        }
    }

    fn body_stem(&self, size: u32) -> f32 {
        let of_body = || self.stems.range((size, 0)..=(size, u32::MAX));
        let total: usize = of_body().map(|(_, chars)| chars).sum();
        let mut sum = 0;
        for ((_, stem), chars) in of_body() {
            sum += chars;
            if sum * 2 >= total {
                return *stem as f32 / 1000.0;
            }
        }
        0.0
    }

    /// Level of a heading of this size: the largest are 1. Sizes that occur once, as on a cover, make no level of
    /// their own, save the largest.
    pub fn level(&self, size: f32) -> u8 {
        let mut level = 1;
        let mut above: Option<f32> = None;
        for (quarters, &count) in self.headings.iter().rev() {
            let larger = *quarters as f32 / 4.0;
            if larger <= size * SAME_SIZE {
                break;
            }
            let counts = count > 1 || above.is_none();
            if counts && above.is_none_or(|a| a > larger * SAME_SIZE) {
                level += 1;
                above = Some(larger);
            }
        }
        level.min(6)
    }
}

fn quarters(size: f32) -> u32 {
    (size * 4.0).round().clamp(1.0, 20_000.0) as u32
}

/// The type that most of the text is set in.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// Em.
    pub size: f32,
    /// Thickness of strokes in ems; 0 where unknown.
    pub stem: f32,
    /// Whether the text as a whole is typewritten, so that monospaced type means nothing.
    pub monospaced: bool,
}

impl Body {
    /// Whether text of this size is larger than the body.
    pub fn is_larger(&self, size: f32) -> bool {
        size > self.size * HEADING_SIZE
    }

    /// Whether text of this weight is bolder than the body.
    pub fn is_bolder(&self, stem: f32) -> bool {
        self.stem > 0.0 && stem > self.stem * BOLD_STEM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_the_sizes_seen() {
        let mut styles = Styles::default();
        styles.learn(10.0, 0.08, false, 5000);
        styles.learn(14.0, 0.12, false, 60);
        for size in [20.0, 17.0, 14.0, 14.1, 10.0] {
            styles.learn_heading(size);
        }
        let body = styles.body();
        assert_eq!(body.size, 10.0);
        assert!(body.is_bolder(0.12) && !body.is_bolder(0.085));
        assert_eq!([20.0, 14.0, 10.0].map(|s| styles.level(s)), [1, 2, 3]);
    }
}
