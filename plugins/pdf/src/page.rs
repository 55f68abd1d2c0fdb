//! One page as read: segments in each direction of its text, ruled lines, and whether it can be read at all.

use crate::fonts::Fonts;
use crate::geometry::{Rect, Turn};
use crate::glyphs::{Collector, Drawing, Glyph};
use crate::lines::{Segment, is_unmapped, segments};
use crate::overprint;
use crate::rules::is_vertical;
use hayro_interpret::hayro_syntax::content::TypedIter;
use hayro_interpret::hayro_syntax::object::{Array, Stream};
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::kurbo::{Affine, Rect as PathRect};
use hayro_interpret::{
    Context, InterpreterCache, InterpreterSettings, RenderContent, interpret, interpret_page,
};
use smartrag_sdk::parser::PageStatus;
use std::collections::BTreeMap;

/// Decoded content of one page at most.
const CONTENT_MAX: usize = 64 << 20;
/// Directions of text on one page at most: more are ornament.
const DIRECTIONS_MAX: usize = 8;
/// More than this share of glyphs without a meaning is no text.
const UNMAPPED_MAX: f32 = 0.3;

/// A page as read.
pub struct PageText {
    /// Points.
    pub width: f32,
    /// Points.
    pub height: f32,
    /// Whether its text can be read.
    pub status: PageStatus,
    /// Share of glyphs without a meaning.
    pub unmapped_ratio: f32,
    /// Whether a limit cut it short.
    pub truncated: bool,
    /// Most frequent direction first.
    pub directions: Vec<Direction>,
}

/// Text of one direction.
pub struct Direction {
    /// From page to reading coordinates.
    pub turn: Turn,
    /// In no order.
    pub segments: Vec<Segment>,
    /// Ruled lines, in reading coordinates.
    pub rules: Vec<Rect>,
}

/// Reads a page.
pub fn read<'a>(page: &Page<'a>, cache: &InterpreterCache<'a>, fonts: &mut Fonts) -> PageText {
    let (width, height) = page.render_dimensions();
    let mut collector = Collector::new(fonts, width, height);
    draw(page, cache, &mut collector);
    let mut drawing = collector.drawing;
    overprint::remove(&mut drawing.glyphs);
    let status = status(&drawing, width * height);
    PageText {
        width,
        height,
        unmapped_ratio: unmapped_ratio(&drawing),
        truncated: drawing.truncated,
        directions: directions(&drawing, matches!(status, PageStatus::NeedsOcr)),
        status,
    }
}

/// The page's own content and its annotations. The content is decoded here, since hayro would keep that of every
/// page until the file is closed.
fn draw<'a>(page: &Page<'a>, cache: &InterpreterCache<'a>, collector: &mut Collector<'_>) {
    let (width, height) = page.render_dimensions();
    let bounds = PathRect::new(0.0, 0.0, f64::from(width), f64::from(height));
    let upright = page.initial_transform(true);
    let transform = Affine::new(upright.as_coeffs());
    let context = |settings| Context::new(transform, bounds, cache, page.xref(), settings);
    let (content, truncated) = content(page);
    collector.drawing.truncated |= truncated;
    let mut page_context = context(InterpreterSettings::default());
    interpret(TypedIter::new(&content), page.resources(), &mut page_context, collector);
    let annotations =
        InterpreterSettings { render_content: RenderContent::ANNOTATIONS, ..Default::default() };
    interpret_page(page, &mut context(annotations), collector);
}

fn content(page: &Page<'_>) -> (Vec<u8>, bool) {
    if let Some(stream) = page.raw().get::<Stream<'_>>(b"Contents") {
        let mut data = stream.decoded_data().map(|d| d.into_owned()).unwrap_or_default();
        let truncated = data.len() > CONTENT_MAX;
        data.truncate(CONTENT_MAX);
        return (data, truncated);
    }
    let mut all = Vec::new();
    for stream in page.raw().get::<Array<'_>>(b"Contents").iter().flat_map(|a| a.iter::<Stream<'_>>()) {
        let Ok(data) = stream.decoded_data() else { continue };
        if all.len() + data.len() > CONTENT_MAX {
            return (all, true);
        }
        all.extend_from_slice(&data);
        all.push(b'\n');
    }
    (all, false)
}

fn unmapped_ratio(drawing: &Drawing) -> f32 {
    let visible = drawing.glyphs.iter().filter(|g| !g.text.is_space()).count();
    if visible == 0 { 0.0 } else { (drawing.unmapped as f32 / visible as f32).min(1.0) }
}

fn status(drawing: &Drawing, area: f32) -> PageStatus {
    let visible = drawing.glyphs.iter().filter(|g| !g.text.is_space()).count();
    let pictured = drawing.image_area / area.max(1.0);
    match visible {
        0 if pictured > 0.02 || drawing.curves > 100 => PageStatus::NeedsOcr,
        0 => PageStatus::Empty,
        // The few letters may be a stamp on a scan.
        1..30 if pictured > 0.6 => PageStatus::NeedsOcr,
        _ if unmapped_ratio(drawing) > UNMAPPED_MAX => PageStatus::NeedsOcr,
        _ => PageStatus::Ok,
    }
}

fn directions(drawing: &Drawing, unreadable: bool) -> Vec<Direction> {
    let mut by_direction: BTreeMap<i16, Vec<&Glyph>> = BTreeMap::new();
    for glyph in &drawing.glyphs {
        by_direction.entry(glyph.degrees).or_default().push(glyph);
    }
    let mut groups: Vec<(i16, Vec<&Glyph>)> = by_direction.into_iter().collect();
    groups.sort_by_key(|(_, glyphs)| std::cmp::Reverse(glyphs.len()));
    groups.truncate(DIRECTIONS_MAX);
    groups
        .into_iter()
        .map(|(degrees, glyphs)| {
            let turn = Turn::new(degrees);
            let rules: Vec<Rect> = drawing.rules.iter().map(|r| turn.rect(r)).collect();
            let mut walls: Vec<Rect> = rules.iter().copied().filter(is_vertical).collect();
            walls.sort_by(|a, b| a.x0.total_cmp(&b.x0));
            let mut segments = segments(&glyphs, turn, &walls);
            if unreadable {
                segments.retain(|s| !is_unmapped(&s.text));
            }
            Direction { turn, segments, rules }
        })
        .collect()
}
