//! Plain text in any encoding, and source code. Also reads formats whose own parser is missing, as text.

mod blocks;

use blocks::Style;
use smartrag_sdk::parser::{FragmentBuilder, Options, Parsed, Parser};
use smartrag_sdk::{Descriptor, Error, Result, Source, Warning, describe, text};

/// Larger files would not fit the guest's memory.
const BYTES_MAX: u64 = 64 << 20;

/// The plugin.
pub struct Text;

impl Parser for Text {
    fn describe() -> Descriptor {
        describe!("text")
    }

    fn parse(source: &Source, options: &Options) -> Result<Parsed> {
        let decoded = text::decode(&source.read_all(BYTES_MAX)?, None);
        if is_binary(&decoded.text) {
            return Err(Error::unsupported("the file is no text: upload it in its own format"));
        }
        let mut out = FragmentBuilder::new();
        blocks::append(&mut out, &decoded.text, Style::of(&options.file_type));
        let parsed = Parsed::new(out).meta("encoding", decoded.encoding);
        Ok(match decoded.damaged {
            true => parsed.warn(damaged(decoded.encoding)),
            false => parsed,
        })
    }
}

fn damaged(encoding: &str) -> Warning {
    Warning::new("bad_encoding", format!("some bytes are no {encoding} text; they show as \u{fffd}"))
}

/// More than a few control characters are no text, whatever the encoding.
fn is_binary(text: &str) -> bool {
    let odd = text.chars().filter(|c| c.is_control() && !"\t\n\x0c\x1b\x08\x0b".contains(*c)).count();
    odd * 20 > text.len()
}

smartrag_sdk::export!(parser, Text);

#[cfg(test)]
mod tests {
    use smartrag_sdk::ErrorKind;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Parsed> {
        let options = Options { file_type: "txt".into(), filename: "a.txt".into(), passwords: vec![] };
        Text::parse(&Source::from_bytes(bytes), &options)
    }

    #[test]
    fn keeps_the_text_as_it_is() {
        let text = "  Über\n  uns\n\n\n\nund \t euch";
        assert_eq!(parse(text.as_bytes()).unwrap().fragment().text, text);
    }

    #[test]
    fn refuses_binaries_and_marks_damage() {
        assert_eq!(parse(&[1, 2, 3, 0, 5, 0, 0, 1]).err().unwrap().kind, ErrorKind::Unsupported);
        let mut bytes = "Ä ".repeat(60).into_bytes();
        bytes.push(0xFF);
        assert_eq!(parse(&bytes).unwrap().warnings()[0].code, "bad_encoding");
    }
}
