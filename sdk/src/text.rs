//! Text in any encoding.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Bytes that are looked at to tell UTF-16 from others.
const PROBE: usize = 4096;

/// What [`decode`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// Without a byte order mark; line ends are `\n`.
    pub text: String,
    /// Name of the encoding, such as `UTF-8` or `windows-1252`.
    pub encoding: &'static str,
    /// Whether bytes that are no text in that encoding became U+FFFD.
    pub damaged: bool,
}

/// Decodes by byte order mark, then as UTF-8, then by `declared` (a label as in HTML or MIME), then by guessing.
/// What is nearly UTF-8 stays UTF-8, marked as damaged.
pub fn decode(bytes: &[u8], declared: Option<&str>) -> Decoded {
    if let Some(text) = utf_32(bytes) {
        return Decoded { text: unify_line_ends(text), encoding: "UTF-32", damaged: false };
    }
    let encoding = choose(bytes, declared);
    let (text, encoding, damaged) = encoding.decode(bytes);
    Decoded { text: unify_line_ends(text.into_owned()), encoding: encoding.name(), damaged }
}

fn choose(bytes: &[u8], declared: Option<&str>) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return encoding;
    }
    if let Some(encoding) = utf_16_without_mark(bytes) {
        return encoding;
    }
    if is_nearly_utf_8(bytes) {
        return UTF_8;
    }
    let declared = declared.and_then(|label| Encoding::for_label(label.as_bytes()));
    match declared {
        Some(encoding) if encoding != UTF_8 => encoding,
        _ => guess(bytes),
    }
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Allow)
}

/// Valid but for a cut end or a few bad bytes among many good sequences. ISO-2022-JP and the like have escapes.
fn is_nearly_utf_8(bytes: &[u8]) -> bool {
    let (mut bad, mut sequences) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        sequences += chunk.valid().bytes().filter(|byte| *byte >= 0xC0).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    (bad == 0 && !bytes.contains(&0x1B)) || bad * 20 < sequences
}

/// Latin text in UTF-16 has a zero in every other byte; other scripts still have UTF-16 spaces and line ends.
fn utf_16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let probe = &bytes[..bytes.len().min(PROBE) & !1];
    let mut zeros = [0usize; 2];
    let mut blanks = [0usize; 2];
    for pair in probe.chunks_exact(2) {
        for side in 0..2 {
            zeros[side] += usize::from(pair[side] == 0);
            blanks[side] += usize::from(pair[side] == 0 && matches!(pair[1 - side], b' ' | b'\n' | b'\r'));
        }
    }
    let pairs = probe.len() / 2;
    let clear = |side: usize| zeros[1 - side] == 0 && (zeros[side] * 2 > pairs || blanks[side] * 50 > pairs);
    match () {
        _ if pairs < 2 => None,
        _ if clear(0) => Some(UTF_16BE),
        _ if clear(1) => Some(UTF_16LE),
        _ => None,
    }
}

/// UTF-32 with its byte order mark; `None` for anything else.
fn utf_32(bytes: &[u8]) -> Option<String> {
    let unit = match bytes {
        [0xFF, 0xFE, 0, 0, ..] => u32::from_le_bytes,
        [0, 0, 0xFE, 0xFF, ..] => u32::from_be_bytes,
        _ => return None,
    };
    let units = bytes[4..].chunks_exact(4);
    units.map(|four| char::from_u32(unit([four[0], four[1], four[2], four[3]]))).collect()
}

fn unify_line_ends(text: String) -> String {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf_16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn marks_and_guesses() {
        let text = "Grüße aus Köln, für Ärzte\nund Mütter";
        let (latin, _, _) = encoding_rs::WINDOWS_1252.encode(text);
        let marked = [&[0xFF, 0xFE][..], &utf_16(text, u16::to_le_bytes)].concat();
        let utf_32: Vec<u8> =
            "\u{feff}".chars().chain(text.chars()).flat_map(|c| (c as u32).to_be_bytes()).collect();
        for (bytes, encoding) in [
            (text.as_bytes().to_vec(), "UTF-8"),
            (latin.to_vec(), "windows-1252"),
            (marked, "UTF-16LE"),
            (utf_16(text, u16::to_le_bytes), "UTF-16LE"),
            (utf_16(text, u16::to_be_bytes), "UTF-16BE"),
            (utf_32, "UTF-32"),
        ] {
            let decoded = decode(&bytes, None);
            assert_eq!((decoded.text.as_str(), decoded.encoding), (text, encoding));
        }
    }

    #[test]
    fn unmarked_utf_16_of_other_scripts() {
        let text = "Привет всем, кто читает\nи пишет";
        assert_eq!(decode(&utf_16(text, u16::to_be_bytes), None).text, text);
    }

    #[test]
    fn a_bad_byte_does_not_change_the_encoding() {
        let mut bytes = "Grüße ".repeat(30).into_bytes();
        bytes[0] = 0xFF;
        let decoded = decode(&bytes, Some("latin1"));
        assert_eq!((decoded.encoding, decoded.damaged), ("UTF-8", true));
    }

    #[test]
    fn a_declaration_decides_between_single_bytes() {
        let decoded = decode(&[0xF2, 0xC9, 0xCD], Some("koi8-r"));
        assert_eq!((decoded.text.as_str(), decoded.encoding), ("Рим", "KOI8-R"));
    }

    #[test]
    fn line_ends_become_one_kind() {
        assert_eq!(decode(b"a\r\nb\rc\n", None).text, "a\nb\nc\n");
    }
}
