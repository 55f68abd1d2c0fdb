//! Reads files in which every line is a paragraph, and lines behind a mark are headings.
//!
//! A parser turns the bytes of a file into text with structure. It gets a fresh instance for every document and sees
//! nothing but that document: no files, no network, no clock.

use serde::Deserialize;
use smartrag_sdk::parser::{FragmentBuilder, Options, Parsed, Parser};
use smartrag_sdk::{Descriptor, Error, Result, Source, config, describe};

/// Larger files are refused with a message, before they fill the memory of `plugin.toml`.
const BYTES_MAX: u64 = 32 << 20;

/// What an operator may set below `plugins.settings.template-parser`. Every field has a default.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    heading_mark: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { heading_mark: "#".into() }
    }
}

/// The same for the host, which checks the settings before the plugin runs.
const SCHEMA: &str = r##"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "heading_mark": {"type": "string", "minLength": 1, "default": "#",
      "description": "What a line begins with that is a heading"}
  }
}"##;

/// The plugin.
pub struct Plugin;

impl Parser for Plugin {
    fn describe() -> Descriptor {
        describe!("template-parser").config_schema(SCHEMA)
    }

    fn parse(source: &Source, _options: &Options) -> Result<Parsed> {
        let config: Config = config()?;
        let bytes = source.read_all(BYTES_MAX)?;
        // An error says what is wrong and what to do; its kind becomes the code of the document.
        let text = String::from_utf8(bytes)
            .map_err(|e| Error::corrupt(format!("not UTF-8 text ({e}): save the file as UTF-8")))?;
        let mut out = FragmentBuilder::new();
        for line in text.lines() {
            match line.strip_prefix(&config.heading_mark) {
                Some(heading) => out.heading(1, heading),
                None => out.paragraph(line),
            };
        }
        Ok(Parsed::new(out).meta("lines", text.lines().count()))
    }
}

smartrag_sdk::export!(parser, Plugin);

#[cfg(test)]
mod tests {
    use smartrag_sdk::testing;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Parsed> {
        let options = Options { file_type: "templext".into(), filename: "a".into(), passwords: Vec::new() };
        Plugin::parse(&Source::from_bytes(bytes), &options)
    }

    #[test]
    fn lines_are_paragraphs_and_marks_make_headings() {
        let fragment = parse("#Größe\nzwei Meter\n".as_bytes()).unwrap().fragment();
        assert_eq!(fragment.text, "Größe\n\nzwei Meter");
        assert_eq!(fragment.blocks.len(), 2);
    }

    #[test]
    fn the_mark_can_be_set() {
        testing::set_config(r#"{"heading_mark": "=="}"#);
        assert_eq!(parse(b"==One\n#two").unwrap().fragment().blocks[0].level, 1);
    }

    #[test]
    fn damaged_text_is_told() {
        assert!(parse(b"\xff\xfe").unwrap_err().message.contains("UTF-8"));
    }
}
