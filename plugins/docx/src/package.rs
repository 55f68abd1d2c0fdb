//! The parts of the file and how they refer to each other.

use smartrag_sdk::archive::Archive;
use smartrag_sdk::xml::{self, Element, Prefixes};
use smartrag_sdk::{Error, Result, Source};

/// Both editions of the format, Transitional and Strict, under one set of prefixes.
pub(crate) const PREFIXES: &Prefixes = &[
    ("http://schemas.openxmlformats.org/wordprocessingml/2006/main", "w"),
    ("http://purl.oclc.org/ooxml/wordprocessingml/main", "w"),
    ("http://schemas.openxmlformats.org/officeDocument/2006/math", "m"),
    ("http://purl.oclc.org/ooxml/officeDocument/math", "m"),
    ("http://schemas.openxmlformats.org/officeDocument/2006/relationships", "r"),
    ("http://purl.oclc.org/ooxml/officeDocument/relationships", "r"),
    ("http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing", "wp"),
    ("http://purl.oclc.org/ooxml/drawingml/wordprocessingDrawing", "wp"),
    ("http://schemas.openxmlformats.org/drawingml/2006/picture", "pic"),
    ("http://purl.oclc.org/ooxml/drawingml/picture", "pic"),
    ("http://schemas.openxmlformats.org/drawingml/2006/main", "a"),
    ("http://purl.oclc.org/ooxml/drawingml/main", "a"),
    ("http://schemas.openxmlformats.org/drawingml/2006/chart", "c"),
    ("http://purl.oclc.org/ooxml/drawingml/chart", "c"),
    ("http://schemas.openxmlformats.org/drawingml/2006/diagram", "dgm"),
    ("http://purl.oclc.org/ooxml/drawingml/diagram", "dgm"),
    ("http://schemas.openxmlformats.org/markup-compatibility/2006", "mc"),
    ("http://purl.org/dc/elements/1.1/", "dc"),
    ("http://purl.org/dc/terms/", "dcterms"),
    ("http://schemas.openxmlformats.org/package/2006/metadata/core-properties", "cp"),
];

/// An open file.
pub(crate) struct Package {
    archive: Archive,
    /// Path of the part with the text.
    pub(crate) document: String,
    core: Option<String>,
    relations: Vec<Relation>,
}

/// That one part refers to another.
struct Relation {
    /// The last word of its type: `styles`, `header`, `footnotes`…
    kind: String,
    id: String,
    target: String,
}

impl Package {
    /// Opens it and finds the part with the text.
    pub(crate) fn open(source: &Source) -> Result<Self> {
        let mut archive = Archive::open(source)?;
        let roots = relations(&mut archive, "")?;
        let of_kind = |kind: &str| {
            let found = roots.iter().find(|relation| relation.kind == kind);
            found.map(|relation| relation.target.clone())
        };
        let document = of_kind("officeDocument").unwrap_or_else(|| "word/document.xml".to_owned());
        let core = of_kind("core-properties");
        if !archive.contains(&document) {
            return Err(Error::corrupt("the file is no Word document: it has no text part"));
        }
        let relations = relations(&mut archive, &document)?;
        Ok(Self { archive, document, core, relations })
    }

    /// The bytes of a part.
    pub(crate) fn bytes(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        self.archive.read(path)
    }

    /// Paths of the parts of a kind that the text refers to, each once.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        for relation in self.relations.iter().filter(|relation| relation.kind == kind) {
            if !paths.contains(&relation.target) {
                paths.push(relation.target.clone());
            }
        }
        paths
    }

    /// The parts of a kind by the ids that the text uses.
    pub(crate) fn ids_of_kind(&self, kind: &str) -> Vec<(String, String)> {
        let of_kind = self.relations.iter().filter(|relation| relation.kind == kind);
        of_kind.map(|relation| (relation.id.clone(), relation.target.clone())).collect()
    }

    /// The first part of a kind, as a tree.
    pub(crate) fn part(&mut self, kind: &str) -> Result<Option<Element>> {
        let Some(path) = self.of_kind(kind).into_iter().next() else { return Ok(None) };
        self.tree(&path)
    }

    /// Author, dates and the like.
    pub(crate) fn core_properties(&mut self) -> Result<Option<Element>> {
        let Some(path) = self.core.clone() else { return Ok(None) };
        self.tree(&path)
    }

    /// A part by its path, as a tree.
    pub(crate) fn tree(&mut self, path: &str) -> Result<Option<Element>> {
        let bytes = self.bytes(path)?;
        bytes.map(|bytes| xml::parse(&bytes, PREFIXES)).transpose()
    }
}

fn relations(archive: &mut Archive, part: &str) -> Result<Vec<Relation>> {
    let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
    let path = resolve(folder, &format!("_rels/{file}.rels"));
    let Some(bytes) = archive.read(&path)? else { return Ok(Vec::new()) };
    let tree = xml::parse(&bytes, PREFIXES)?;
    let internal = tree.elements().filter(|element| element.attribute("TargetMode") != Some("External"));
    let relation = |element: &Element| {
        let kind = element.attribute("Type")?.rsplit('/').next()?.to_owned();
        let id = element.attribute("Id").unwrap_or_default().to_owned();
        Some(Relation { kind, id, target: resolve(folder, element.attribute("Target")?) })
    };
    Ok(internal.filter_map(relation).collect())
}

fn resolve(folder: &str, target: &str) -> String {
    let whole = match target.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("{folder}/{target}"),
    };
    let mut path: Vec<&str> = Vec::new();
    for step in whole.split('/') {
        match step {
            "" | "." => {}
            ".." => _ = path.pop(),
            _ => path.push(step),
        }
    }
    path.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_relative_to_the_part() {
        assert_eq!(resolve("word", "styles.xml"), "word/styles.xml");
        assert_eq!(resolve("word", "../docProps/core.xml"), "docProps/core.xml");
        assert_eq!(resolve("word", "/word/footer1.xml"), "word/footer1.xml");
    }
}
