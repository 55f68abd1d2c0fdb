//! XML as small trees, for the many formats that are made of it.
//!
//! Nesting is limited, and entities beyond the five of XML are not expanded, so that no file can blow up.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use crate::{Error, Result};

/// Elements nested deeper are refused; recursion over a tree is safe below it.
const DEPTH_MAX: usize = 256;

/// Namespaces and the prefixes that stand for them in names, whatever prefixes a file uses.
pub type Prefixes = [(&'static str, &'static str)];

/// An element with everything in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Element {
    /// With the prefix of its namespace, such as `w:p`; bare in a namespace that is not in the list.
    pub name: String,
    /// Names like those of elements, and values, in order.
    pub attributes: Vec<(String, String)>,
    /// In order.
    pub children: Vec<Node>,
}

/// What stands in an element.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The elements directly in it.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first element of that name directly in it.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.elements().find(|element| element.name == name)
    }

    /// The element at the end of a path of names.
    pub fn find(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// Its text and that of everything in it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.append_text(&mut text);
        text
    }

    fn append_text(&self, out: &mut String) {
        for child in &self.children {
            match child {
                Node::Element(element) => element.append_text(out),
                Node::Text(text) => out.push_str(text),
            }
        }
    }
}

/// The whole tree.
pub fn parse(bytes: &[u8], prefixes: &Prefixes) -> Result<Element> {
    let mut root = None;
    walk(bytes, prefixes, None, &mut |element| {
        root.get_or_insert(element);
        Ok(())
    })?;
    root.ok_or_else(|| Error::corrupt("an XML part of the file is empty"))
}

/// Calls `each` for the children of every element of the given name, one by one: files of any length need the
/// memory of their largest child. Damage at the end comes after the children before it.
pub fn children_of(
    bytes: &[u8],
    parent: &str,
    prefixes: &Prefixes,
    mut each: impl FnMut(Element) -> Result<()>,
) -> Result<()> {
    walk(bytes, prefixes, Some(parent), &mut each)
}

fn walk(
    bytes: &[u8],
    prefixes: &Prefixes,
    parent: Option<&str>,
    each: &mut dyn FnMut(Element) -> Result<()>,
) -> Result<()> {
    let text = decode(bytes);
    let mut reader = NsReader::from_str(&text);
    let mut builder = Builder { inside: usize::from(parent.is_none()), parent, ..Builder::default() };
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(damaged)?;
        let prefix = prefix(&namespace, prefixes);
        match event {
            Event::Start(start) => builder.open(element(&reader, &start, prefix, prefixes)?)?,
            Event::Empty(start) => {
                builder.open(element(&reader, &start, prefix, prefixes)?)?;
                builder.close(each)?;
            }
            Event::End(_) => builder.close(each)?,
            Event::Text(text) => builder.text(&text.xml10_content()),
            Event::CData(text) => builder.text(&text.xml10_content()),
            Event::GeneralRef(reference) => builder.text(&resolve(&reference)),
            Event::Eof => return builder.finish(),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Builder<'a> {
    parent: Option<&'a str>,
    /// Elements open above the trees that are built.
    outer: Vec<bool>,
    /// How many of those are the wanted parent.
    inside: usize,
    open: Vec<Element>,
}

impl Builder<'_> {
    fn open(&mut self, element: Element) -> Result<()> {
        if self.outer.len() + self.open.len() >= DEPTH_MAX {
            return Err(Error::limit("xml_depth", format!("XML is nested deeper than {DEPTH_MAX} elements")));
        }
        if self.inside > 0 {
            self.open.push(element);
        } else {
            let wanted = self.parent == Some(element.name.as_str());
            self.inside += usize::from(wanted);
            self.outer.push(wanted);
        }
        Ok(())
    }

    fn close(&mut self, each: &mut dyn FnMut(Element) -> Result<()>) -> Result<()> {
        match (self.open.pop(), self.open.last_mut()) {
            (Some(element), Some(above)) => above.children.push(Node::Element(element)),
            (Some(element), None) => return each(element),
            (None, _) => self.inside -= usize::from(self.outer.pop() == Some(true)).min(self.inside),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        let Some(element) = self.open.last_mut() else { return };
        match element.children.last_mut() {
            Some(Node::Text(before)) => before.push_str(text),
            _ => element.children.push(Node::Text(text.to_owned())),
        }
    }

    fn finish(self) -> Result<()> {
        match self.open.is_empty() && self.outer.is_empty() {
            true => Ok(()),
            false => Err(Error::corrupt("an XML part of the file is cut off")),
        }
    }
}

fn element(
    reader: &NsReader<&[u8]>,
    start: &BytesStart<'_>,
    prefix: &str,
    prefixes: &Prefixes,
) -> Result<Element> {
    let mut attributes = Vec::new();
    for attribute in start.attributes().with_checks(false).flatten() {
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_or_else(|_| attribute.value.to_string(), |value| value.into_owned());
        attributes.push((name(self::prefix(&namespace, prefixes), local.as_ref()), value));
    }
    Ok(Element { name: name(prefix, start.local_name().as_ref()), attributes, children: Vec::new() })
}

fn prefix(namespace: &ResolveResult<'_>, prefixes: &Prefixes) -> &'static str {
    let ResolveResult::Bound(Namespace(uri)) = namespace else { return "" };
    prefixes.iter().find(|(known, _)| known == uri).map_or("", |(_, prefix)| prefix)
}

fn name(prefix: &str, local: &str) -> String {
    if prefix.is_empty() { local.to_owned() } else { format!("{prefix}:{local}") }
}

fn resolve(reference: &BytesRef<'_>) -> String {
    let name = reference.xml10_content();
    match reference.resolve_char_ref() {
        Ok(Some(character)) => character.to_string(),
        _ => resolve_xml_entity(&name).map_or_else(|| format!("&{name};"), str::to_owned),
    }
}

/// UTF-8, or UTF-16 with its mark: what XML parts of office files are.
fn decode(bytes: &[u8]) -> String {
    let units = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xFF, 0xFE, ..] => units(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => units(u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)).into_owned(),
    }
}

fn damaged(error: quick_xml::Error) -> Error {
    Error::corrupt(format!("an XML part of the file is damaged: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const PREFIXES: &Prefixes = &[("urn:a", "a")];

    #[test]
    fn prefixes_are_ours_not_the_files() {
        let root =
            parse(b"<x:r xmlns:x='urn:a' x:k='1 &amp; 2'><c xmlns='urn:b'>A&lt;&#228;</c></x:r>", PREFIXES);
        let root = root.unwrap();
        assert_eq!((root.name.as_str(), root.attribute("a:k")), ("a:r", Some("1 & 2")));
        assert_eq!(root.find(&["c"]).unwrap().text(), "A<ä");
    }

    #[test]
    fn children_come_one_by_one() {
        let mut names = Vec::new();
        let each = |element: Element| {
            names.push(format!("{}{}", element.name, element.text()));
            Ok(())
        };
        children_of(b"<r><skip/><b><p>1<q>2</q></p><s/></b><b><t/></b></r>", "b", PREFIXES, each).unwrap();
        assert_eq!(names, ["p12", "s", "t"]);
    }

    #[test]
    fn limits_and_damage() {
        let deep = "<a>".repeat(300);
        assert_eq!(parse(deep.as_bytes(), PREFIXES).unwrap_err().kind, ErrorKind::Limit("xml_depth".into()));
        assert_eq!(parse(b"<a><b></a>", PREFIXES).unwrap_err().kind, ErrorKind::Corrupt);
        assert_eq!(parse(b"<a><b>", PREFIXES).unwrap_err().kind, ErrorKind::Corrupt);
        let bomb = b"<!DOCTYPE a [<!ENTITY x 'yyyy'>]><a>&x;</a>";
        assert_eq!(parse(bomb, PREFIXES).unwrap().text(), "&x;");
    }
}
