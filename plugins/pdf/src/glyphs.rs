//! What a page draws: glyphs with place and meaning, ruled lines, and how much of it is pictures.

use crate::fonts::Fonts;
use crate::geometry::Rect;
use crate::unicode::{GlyphText, UNMAPPED, is_mark, text_string};
use hayro_interpret::font::{Glyph as FontGlyph, GlyphRun};
use hayro_interpret::hayro_cmap::{BfString, WritingMode};
use hayro_interpret::hayro_syntax::object::{Dict, Name, String as PdfString};
use hayro_interpret::kurbo::{Affine, BezPath, PathEl, Point, Rect as PathRect, Shape};
use hayro_interpret::{BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, SoftMask};

/// Glyphs of one page at most; what comes after is left out.
const GLYPHS_MAX: usize = 1_000_000;
/// Ruled lines of one page at most.
const RULES_MAX: usize = 20_000;
/// A line thicker than this is a box.
const RULE_THICKNESS_MAX: f32 = 3.0;
/// A line shorter than this is a dash.
const RULE_LENGTH_MIN: f32 = 6.0;
/// An `ActualText` over more glyphs than this is no ligature: it would tear the lines apart.
const ACTUAL_TEXT_GLYPHS_MAX: usize = 32;

/// One glyph as drawn, in page coordinates.
#[derive(Clone, Debug)]
pub struct Glyph {
    /// What it means.
    pub text: GlyphText,
    /// Where it begins on its baseline.
    pub origin: (f32, f32),
    /// Where the next one begins, without spacing.
    pub end: (f32, f32),
    /// Height of the em, in points.
    pub size: f32,
    /// Thickness of its strokes in ems; 0 where unknown.
    pub stem: f32,
    /// Direction of the text, in degrees clockwise.
    pub degrees: i16,
    /// Drawn, but not to be seen: the text layer of a scan.
    pub invisible: bool,
    /// Marked as page furniture.
    pub artifact: bool,
}

/// All of a page.
#[derive(Default)]
pub struct Drawing {
    /// In the order of drawing.
    pub glyphs: Vec<Glyph>,
    /// Thin lines, as flat rectangles.
    pub rules: Vec<Rect>,
    /// Square points covered by pictures, counted once for each picture.
    pub image_area: f32,
    /// Curved shapes; many of them without text are outlined letters.
    pub curves: usize,
    /// Glyphs without a meaning.
    pub unmapped: usize,
    /// Whether a limit cut it short.
    pub truncated: bool,
}

/// Collects a drawing.
pub struct Collector<'f> {
    /// What was collected.
    pub drawing: Drawing,
    fonts: &'f mut Fonts,
    page: Rect,
    marked: Vec<Marked>,
}

struct Marked {
    artifact: bool,
    actual_text: Option<String>,
    first_glyph: usize,
}

impl<'f> Collector<'f> {
    /// For a page of this size.
    pub fn new(fonts: &'f mut Fonts, width: f32, height: f32) -> Self {
        let page = Rect { x0: 0.0, y0: 0.0, x1: width, y1: height };
        Self { drawing: Drawing::default(), fonts, page, marked: Vec::new() }
    }

    fn push_rule(&mut self, rect: Rect) {
        let thin = rect.width().min(rect.height()) <= RULE_THICKNESS_MAX;
        let long = rect.width().max(rect.height()) >= RULE_LENGTH_MIN;
        if thin && long && rect.is_finite() && self.drawing.rules.len() < RULES_MAX {
            self.drawing.rules.push(rect);
        }
    }

    fn add_path(&mut self, path: &BezPath, transform: Affine, stroked: bool) {
        let mut from = Point::ZERO;
        let mut start = Point::ZERO;
        let mut curved = false;
        for element in path.elements() {
            let to = match *element {
                PathEl::MoveTo(p) => {
                    start = p;
                    from = p;
                    continue;
                }
                PathEl::LineTo(p) => p,
                PathEl::ClosePath => start,
                PathEl::QuadTo(_, p) | PathEl::CurveTo(_, _, p) => {
                    curved = true;
                    from = p;
                    continue;
                }
            };
            if stroked {
                self.push_rule(Rect::spanning(point(transform * from), point(transform * to)));
            }
            from = to;
        }
        self.drawing.curves += usize::from(curved);
        if !stroked && !curved {
            let bounds = transform.transform_rect_bbox(path.bounding_box());
            self.push_rule(rect(bounds));
        }
    }

    fn add_run(&mut self, run: &GlyphRun<'_, '_>, transform: Affine, invisible: bool) {
        let artifact = self.marked.iter().any(|m| m.artifact);
        let vertical = matches!(run.writing_mode(), WritingMode::Vertical);
        let stretched = is_stretched(run);
        for positioned in run.glyphs() {
            if self.drawing.glyphs.len() >= GLYPHS_MAX {
                self.drawing.truncated = true;
                return;
            }
            let placed = transform * positioned.transform();
            let Some(text) = self.meaning(positioned) else { continue };
            let Some(place) = Place::new(positioned, placed, vertical, stretched) else { continue };
            if !self.page.inflated(place.size * 0.3).contains(place.origin) {
                continue;
            }
            self.drawing.unmapped += usize::from(text.first() == UNMAPPED);
            let stem = if text.first().is_alphanumeric() { self.fonts.stem(positioned) } else { 0.0 };
            let glyph = Glyph {
                text,
                origin: place.origin,
                end: place.end,
                size: place.size,
                stem,
                degrees: place.degrees,
                invisible,
                artifact,
            };
            self.push_glyph(glyph);
        }
    }

    fn meaning(&mut self, glyph: &FontGlyph<'_>) -> Option<GlyphText> {
        let known = match glyph.as_unicode() {
            Some(BfString::Char(c)) => GlyphText::from_char(c),
            Some(BfString::String(s)) => GlyphText::from_text(&s),
            None => Some(GlyphText::Char(UNMAPPED)),
        };
        match known {
            Some(text) if text.first() == UNMAPPED => {
                self.fonts.reverse_lookup(glyph).and_then(GlyphText::from_char).or(Some(text))
            }
            known => known,
        }
    }

    /// Marks join the letter that they stand over.
    fn push_glyph(&mut self, glyph: Glyph) {
        if is_mark(glyph.text.first())
            && let Some(base) = self.drawing.glyphs.last_mut()
            && !base.text.is_space()
            && distance(base.origin, glyph.origin) <= distance(base.origin, base.end) + 0.1 * base.size
        {
            base.text.append(&glyph.text);
            return;
        }
        self.drawing.glyphs.push(glyph);
    }

    fn apply_actual_text(&mut self, text: &str, first: usize) {
        let glyphs = &mut self.drawing.glyphs;
        if first >= glyphs.len() || glyphs.len() - first > ACTUAL_TEXT_GLYPHS_MAX {
            return;
        }
        let last = glyphs[glyphs.len() - 1].clone();
        let head = &mut glyphs[first];
        if distance(head.origin, last.end) > 0.7 * head.size * ACTUAL_TEXT_GLYPHS_MAX as f32
            || (head.degrees == 0 && (head.origin.1 - last.origin.1).abs() > head.size * 0.5)
        {
            return;
        }
        match GlyphText::from_text(text) {
            Some(meaning) => {
                let unmapped = glyphs[first..].iter().filter(|g| g.text.first() == UNMAPPED).count();
                self.drawing.unmapped -= unmapped.min(self.drawing.unmapped);
                let head = &mut glyphs[first];
                head.text = meaning;
                head.end = last.end;
                glyphs.truncate(first + 1);
            }
            None => glyphs.truncate(first),
        }
    }
}

/// Substitutes for fonts that are not embedded are stretched glyph by glyph to the widths that the file gives;
/// those widths must not be scaled once more. A stretch of the whole run is the file's own wish.
fn is_stretched(run: &GlyphRun<'_, '_>) -> bool {
    let mut ratios = run.glyphs().iter().map(|g| {
        let [a, b, c, d, ..] = g.transform().as_coeffs();
        a.hypot(b) / c.hypot(d)
    });
    let Some(first) = ratios.next() else { return false };
    ratios.any(|r| (r - first).abs() > 0.001 * first)
}

struct Place {
    origin: (f32, f32),
    end: (f32, f32),
    size: f32,
    degrees: i16,
}

impl Place {
    fn new(glyph: &FontGlyph<'_>, placed: Affine, vertical: bool, stretched: bool) -> Option<Self> {
        let [a, b, c, d, ..] = placed.as_coeffs();
        let mut size = (c.hypot(d) * 1000.0) as f32;
        let width = match glyph {
            FontGlyph::Outline(outline) => outline.advance_width(),
            FontGlyph::Type3(type3) => type3.advance_width(),
        };
        let width = f64::from(width.unwrap_or(500.0).clamp(0.0, 10_000.0));
        // A glyph that is set downwards begins at the middle of its top edge. Its line's baseline is put a quarter of
        // an em to the left of that, so that as much lies above as below, as with horizontal text.
        let middle = width / 2.0 - 250.0;
        let origin = placed * if vertical { Point::new(middle, 880.0) } else { Point::ZERO };
        let end = if vertical {
            placed * Point::new(middle, -120.0)
        } else if stretched {
            let unit = Point::new(a, b).to_vec2() * (c.hypot(d) / a.hypot(b).max(1e-9));
            origin + unit * width
        } else {
            placed * Point::new(width, 0.0)
        };
        if matches!(glyph, FontGlyph::Type3(_)) {
            // Type 3 fonts choose the size of their em freely.
            size = size.max(origin.distance(end) as f32 * 0.8);
        }
        let (origin, end) = (point(origin), point(end));
        let finite = [origin.0, origin.1, end.0, end.1, size].iter().all(|v| v.is_finite());
        (finite && size > 0.2 && size < 5_000.0).then(|| {
            let degrees = if vertical { direction(-c, -d) } else { direction(a, b) };
            Self { origin, end, size, degrees }
        })
    }
}

/// Rounded to what one line of text has in common.
fn direction(x: f64, y: f64) -> i16 {
    let degrees = y.atan2(x).to_degrees();
    let quarter = (degrees / 90.0).round() * 90.0;
    // Scans lie a little askew.
    let rounded = if (degrees - quarter).abs() <= 8.0 { quarter } else { (degrees / 5.0).round() * 5.0 };
    (rounded as i16).rem_euclid(360)
}

fn point(p: Point) -> (f32, f32) {
    (p.x as f32, p.y as f32)
}

fn rect(r: PathRect) -> Rect {
    Rect::spanning((r.x0 as f32, r.y0 as f32), (r.x1 as f32, r.y1 as f32))
}

fn distance(a: (f32, f32), b: (f32, f32)) -> f32 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

impl<'a> Device<'a> for Collector<'_> {
    fn draw_path(&mut self, path: &BezPath, props: DrawProps<'a>, mode: &DrawMode) {
        self.add_path(
            path,
            props.transform,
            matches!(mode, DrawMode::Stroke(_) | DrawMode::FillAndStroke(..)),
        );
    }

    fn push_clip_path(&mut self, _: &ClipPath) {}

    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}

    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        self.add_run(run, props.transform, matches!(mode, DrawMode::Invisible));
    }

    fn draw_image(&mut self, image: Image<'a, '_>, props: ImageDrawProps<'a>) {
        let size = PathRect::new(0.0, 0.0, f64::from(image.width()), f64::from(image.height()));
        let placed = rect(props.transform.transform_rect_bbox(size));
        let (width, height) = (placed.overlap_x(&self.page), placed.overlap_y(&self.page));
        if width > 0.0 && height > 0.0 {
            self.drawing.image_area += width * height;
        }
    }

    fn pop_clip(&mut self) {}

    fn pop_transparency_group(&mut self) {}

    fn begin_marked_content(&mut self, tag: &[u8], properties: Option<&Dict<'_>>) {
        let artifact = tag == b"Artifact"
            && properties
                .is_some_and(|p| p.get::<Name<'_>>(b"Type").is_some_and(|t| t.as_ref() == b"Pagination"));
        let actual_text =
            properties.and_then(|p| p.get::<PdfString<'_>>(b"ActualText")).map(|s| text_string(s.as_bytes()));
        self.marked.push(Marked { artifact, actual_text, first_glyph: self.drawing.glyphs.len() });
    }

    fn end_marked_content(&mut self) {
        if let Some(Marked { actual_text: Some(text), first_glyph, .. }) = self.marked.pop() {
            self.apply_actual_text(&text, first_glyph);
        }
    }
}
