//! Word documents (DOCX), Transitional and Strict.

mod body;
mod drawings;
mod inline;
mod math;
mod numbering;
mod package;
mod properties;
mod styles;
mod table;

use body::Body;
use numbering::Numbers;
use package::{PREFIXES, Package};
use smartrag_sdk::parser::{Options, Parsed, Parser};
use smartrag_sdk::xml::{self, Element};
use smartrag_sdk::{Descriptor, Result, Source, Warning, describe};
use styles::Styles;

/// The plugin.
pub struct Docx;

impl Parser for Docx {
    fn describe() -> Descriptor {
        describe!("docx")
    }

    fn parse(source: &Source, _options: &Options) -> Result<Parsed> {
        let mut package = Package::open(source)?;
        let mut warnings = Vec::new();
        let mut body = Body::default();
        if let Some(part) = optional(package.part("styles"), &mut warnings) {
            body.styles = Styles::read(&part);
        }
        if let Some(part) = optional(package.part("numbering"), &mut warnings) {
            body.numbers = Numbers::read(&part);
        }
        for kind in ["footnotes", "endnotes"] {
            let part = optional(package.part(kind), &mut warnings);
            part.into_iter().for_each(|part| add_notes(&mut body, part, kind == "footnotes"));
        }
        body.drawings = drawings::read(&mut package);
        furniture(&mut package, &mut body, "header", &mut warnings);
        text(&mut package, &mut body)?;
        furniture(&mut package, &mut body, "footer", &mut warnings);
        let core = optional(package.core_properties(), &mut warnings);
        let parsed = properties::apply(core.as_ref(), body.title, Parsed::new(body.out));
        Ok(warnings.into_iter().fold(parsed, Parsed::warn))
    }
}

/// A damaged part beside the text costs that part; a limit that was reached ends it all the same at the next read.
fn optional(part: Result<Option<Element>>, warnings: &mut Vec<Warning>) -> Option<Element> {
    part.unwrap_or_else(|error| {
        warnings.push(Warning::new("damaged_part", error.message));
        None
    })
}

fn text(package: &mut Package, body: &mut Body) -> Result<()> {
    let path = package.document.clone();
    let bytes = package.bytes(&path)?.unwrap_or_default();
    xml::children_of(&bytes, "w:body", PREFIXES, |element| {
        body.block(&element);
        Ok(())
    })?;
    body.finish();
    Ok(())
}

fn add_notes(body: &mut Body, part: Element, are_footnotes: bool) {
    for note in part.elements() {
        // Notes with a type are the separators.
        if let (Some(id), None) = (note.attribute("w:id"), note.attribute("w:type")) {
            body.notes.insert((are_footnotes, id.to_owned()), note.clone());
        }
    }
}

/// Headers and footers of all sections, each text once.
fn furniture(package: &mut Package, body: &mut Body, kind: &str, warnings: &mut Vec<Warning>) {
    let mut seen: Vec<String> = Vec::new();
    for path in package.of_kind(kind) {
        let Some(part) = optional(package.tree(&path), warnings) else { continue };
        let text = body.plain(&part);
        if !text.is_empty() && !seen.contains(&text) {
            match kind {
                "header" => body.out.page_header(&text),
                _ => body.out.page_footer(&text),
            };
            seen.push(text);
        }
    }
}

smartrag_sdk::export!(parser, Docx);

#[cfg(test)]
mod tests;
