//! What a page's text alone does not say of its glyphs: weight, and meaning where the file gives none.

use hayro_interpret::font::{Glyph, OutlineGlyph};
use hayro_interpret::kurbo::Shape;
use rustc_hash::FxHashMap as HashMap;
use skrifa::MetadataProvider;

/// Glyphs and characters remembered at most.
const REMEMBERED_MAX: usize = 100_000;

/// Remembers what was found out about glyphs.
#[derive(Default)]
pub struct Fonts {
    stems: HashMap<u128, f32>,
    /// By font: glyph to character.
    characters: HashMap<u128, HashMap<u32, char>>,
}

impl Fonts {
    /// Thickness of the glyph's strokes in ems; 0 where unknown. Bold type is told from regular by it, whatever its
    /// name says.
    pub fn stem(&mut self, glyph: &Glyph<'_>) -> f32 {
        let Glyph::Outline(outline) = glyph else { return 0.0 };
        let key = outline.identifier().cache_key();
        if let Some(&stem) = self.stems.get(&key) {
            return stem;
        }
        let stem = measure_stem(outline);
        if self.stems.len() < REMEMBERED_MAX {
            self.stems.insert(key, stem);
        }
        stem
    }

    /// The character that the embedded font itself maps to this glyph.
    pub fn reverse_lookup(&mut self, glyph: &Glyph<'_>) -> Option<char> {
        let Glyph::Outline(outline) = glyph else { return None };
        let data = outline.font_data()?;
        let id = outline.glyph_id().to_u32();
        if id == 0 {
            return None;
        }
        if let Some(known) = self.characters.get(&data.cache_key) {
            return known.get(&id).copied();
        }
        let table = characters_by_glyph((*data.data).as_ref());
        let found = table.get(&id).copied();
        self.characters.insert(data.cache_key, table);
        found
    }
}

/// Twice the area over the length of the outline is the thickness of a stroke.
fn measure_stem(glyph: &OutlineGlyph) -> f32 {
    let outline = glyph.outline();
    let length = outline.perimeter(1.0);
    if length <= 0.0 {
        return 0.0;
    }
    (2.0 * outline.area().abs() / length / 1000.0) as f32
}

fn characters_by_glyph(font: &[u8]) -> HashMap<u32, char> {
    let Ok(font) = skrifa::FontRef::new(font) else { return HashMap::default() };
    let mut table = HashMap::default();
    for (code, glyph) in font.charmap().mappings().take(REMEMBERED_MAX) {
        let Some(character) = char::from_u32(code).filter(|c| !('\u{E000}'..='\u{F8FF}').contains(c)) else {
            continue;
        };
        // The lowest character wins: it is the plain one.
        table.entry(glyph.to_u32()).and_modify(|c: &mut char| *c = character.min(*c)).or_insert(character);
    }
    table
}
