//! From what a font says its glyphs mean to plain text.

use unicode_normalization::UnicodeNormalization;

/// Stands for a glyph without a meaning.
pub const UNMAPPED: char = '\u{FFFD}';

/// Meaning of one glyph.
#[derive(Clone, Debug, PartialEq)]
pub enum GlyphText {
    /// The usual case.
    Char(char),
    /// Ligatures, and glyphs with marks.
    Several(Box<str>),
}

impl GlyphText {
    /// `None` where nothing is left to show.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut clean = String::with_capacity(text.len());
        text.chars().for_each(|c| push_clean(c, &mut clean));
        let mut chars = clean.chars();
        match (chars.next(), chars.next()) {
            (None, _) => None,
            (Some(c), None) => Some(Self::Char(c)),
            _ => Some(Self::Several(clean.into())),
        }
    }

    /// `None` where nothing is left to show.
    pub fn from_char(c: char) -> Option<Self> {
        if c.is_ascii_graphic() || c == ' ' {
            return Some(Self::Char(c));
        }
        Self::from_text(c.encode_utf8(&mut [0; 4]))
    }

    /// Its first character.
    pub fn first(&self) -> char {
        match self {
            Self::Char(c) => *c,
            Self::Several(s) => s.chars().next().unwrap_or(UNMAPPED),
        }
    }

    /// Adds it to `out`.
    pub fn push_to(&self, out: &mut String) {
        match self {
            Self::Char(c) => out.push(*c),
            Self::Several(s) => out.push_str(s),
        }
    }

    /// Adds the text of a mark that stands over this glyph.
    pub fn append(&mut self, mark: &Self) {
        let mut text = String::new();
        self.push_to(&mut text);
        mark.push_to(&mut text);
        *self = Self::Several(text.into());
    }

    /// Whether it is only white space.
    pub fn is_space(&self) -> bool {
        match self {
            Self::Char(c) => c.is_whitespace(),
            Self::Several(s) => s.chars().all(char::is_whitespace),
        }
    }
}

fn push_clean(c: char, out: &mut String) {
    match c {
        c if c.is_whitespace() => out.push(' '),
        '\u{200B}' | '\u{2060}' | '\u{FEFF}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' => {}
        '\u{E000}'..='\u{F8FF}' => out.push(private_use(c)),
        c if c.is_control() || is_noncharacter(c) => out.push(UNMAPPED),
        c if is_compatibility_form(c) => out.extend(std::iter::once(c).nfkc()),
        c => out.push(c),
    }
}

/// What the symbol fonts of office programs put into the private use area.
fn private_use(c: char) -> char {
    match c {
        '\u{F0B7}' | '\u{F06C}' | '\u{F09F}' => '•',
        '\u{F0A7}' | '\u{F06E}' => '▪',
        '\u{F0A8}' | '\u{F06F}' => '□',
        '\u{F0D8}' => '➢',
        '\u{F0E0}' => '→',
        '\u{F0FC}' => '✓',
        '\u{F02D}' => '–',
        '\u{F020}' => ' ',
        _ => UNMAPPED,
    }
}

fn is_noncharacter(c: char) -> bool {
    (c as u32) & 0xFFFE == 0xFFFE || ('\u{FDD0}'..='\u{FDEF}').contains(&c)
}

/// Shapes that mean nothing beyond the letters that they are made of. Superscripts, fractions and the like do, so
/// they stay.
fn is_compatibility_form(c: char) -> bool {
    matches!(c,
        '\u{FB00}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}' // ligatures, Arabic shapes
        | '\u{2F00}'..='\u{2FD5}' // radicals instead of ideographs
        | '\u{1D400}'..='\u{1D7FF}' // letters of formulas
        | '\u{FF01}'..='\u{FF5E}') // full-width ASCII
}

/// Whether the character combines with the one before it.
pub fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// Scripts that put no space between words.
pub fn is_ideographic(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}'
        | '\u{20000}'..='\u{3FFFF}')
}

/// Normalisation form C.
pub fn nfc(text: &str) -> String {
    text.nfc().collect()
}

/// A text string of a PDF object: UTF-16 or UTF-8 with a byte order mark, else PDFDocEncoding.
pub fn text_string(bytes: &[u8]) -> String {
    let text = match bytes {
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => bytes.iter().map(|&b| pdf_doc_char(b)).collect(),
    };
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    nfc(visible.trim())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or(UNMAPPED)).collect()
}

fn pdf_doc_char(byte: u8) -> char {
    const LOW: [char; 8] = ['˘', 'ˇ', 'ˆ', '˙', '˝', '˛', '˚', '˜'];
    const HIGH: [char; 33] = [
        '•', '†', '‡', '…', '—', '–', 'ƒ', '⁄', '‹', '›', '−', '‰', '„', '“', '”', '‘', '’', '‚', '™', 'ﬁ',
        'ﬂ', 'Ł', 'Œ', 'Š', 'Ÿ', 'Ž', 'ı', 'ł', 'œ', 'š', 'ž', UNMAPPED, '€',
    ];
    match byte {
        0x18..=0x1F => LOW[usize::from(byte - 0x18)],
        0x80..=0xA0 => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &str) -> String {
        let mut out = String::new();
        if let Some(text) = GlyphText::from_text(of) {
            text.push_to(&mut out);
        }
        out
    }

    #[test]
    fn ligatures_become_letters_but_superscripts_stay() {
        assert_eq!(text("ﬃ"), "ffi");
        assert_eq!(text("ﻻ"), "لا");
        assert_eq!(text("²½"), "²½");
    }

    #[test]
    fn private_use_is_a_bullet_or_unmapped() {
        assert_eq!(text("\u{F0B7}"), "•");
        assert_eq!(text("\u{E123}"), "\u{FFFD}");
        assert_eq!(text("\u{200B}"), "");
    }

    #[test]
    fn text_strings_in_all_encodings() {
        assert_eq!(text_string(b"\xFE\xFF\x00A\x20\xAC"), "A€");
        assert_eq!(text_string(b"\xEF\xBB\xBF\xC3\xA4"), "ä");
        assert_eq!(text_string(b"M\xFCller \x85"), "Müller –");
        assert_eq!(text_string(b"\xFE\xFF\x00"), "");
    }
}
