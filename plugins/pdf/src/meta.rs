//! What the file says of itself.

use crate::unicode::text_string;
use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::object::{DateTime, Dict, Stream, String as PdfString};
use smartrag_sdk::Annotation;

/// Bytes of XMP looked at.
const XMP_MAX: usize = 1 << 20;
/// Characters of one entry kept.
const ENTRY_MAX: usize = 2_000;

/// Title, language and the rest.
#[derive(Debug, Default)]
pub struct Meta {
    /// From the info dictionary, else from XMP.
    pub title: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    /// Author, dates …
    pub annotations: Vec<Annotation>,
}

/// Reads both places in which a PDF file describes itself.
pub fn read(pdf: &Pdf) -> Meta {
    let catalog = pdf.xref().get::<Dict<'_>>(pdf.xref().root_id()).unwrap_or_default();
    let xmp = xmp(&catalog);
    let info = pdf.metadata();
    let entry = |bytes: &Option<Box<[u8]>>| bytes.as_deref().map(text_string).and_then(presentable);
    let from_xmp = |tag: &str| xmp_value(&xmp, tag).and_then(presentable);
    let title = [entry(&info.title), from_xmp("dc:title")].into_iter().flatten().find(|t| !is_leftover(t));
    let mut annotations = Vec::new();
    let mut add = |key: &str, value: Option<String>| {
        annotations.extend(value.map(|value| Annotation::new(key, value)));
    };
    add("author", entry(&info.author).or_else(|| from_xmp("dc:creator")));
    add("subject", entry(&info.subject).or_else(|| from_xmp("dc:description")));
    add("keywords", entry(&info.keywords));
    add("created", info.creation_date.as_ref().map(rfc3339).or_else(|| from_xmp("xmp:CreateDate")));
    add("modified", info.modification_date.as_ref().map(rfc3339).or_else(|| from_xmp("xmp:ModifyDate")));
    add("creator", entry(&info.creator));
    add("producer", entry(&info.producer));
    let language =
        catalog.get::<PdfString<'_>>(b"Lang").map(|s| text_string(s.as_bytes())).filter(|l| is_tag(l));
    Meta { title, language, annotations }
}

fn presentable(text: String) -> Option<String> {
    let text: String =
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(ENTRY_MAX).collect();
    (text.chars().any(char::is_alphanumeric)).then_some(text)
}

/// Titles that programs leave behind.
fn is_leftover(title: &str) -> bool {
    let lower = title.to_lowercase();
    const ENDS: [&str; 9] = [".doc", ".docx", ".dvi", ".tex", ".indd", ".qxd", ".rtf", ".pdf", ".odt"];
    lower.starts_with("microsoft word")
        || lower.starts_with("untitled")
        || ENDS.iter().any(|e| lower.ends_with(e))
}

fn is_tag(tag: &str) -> bool {
    (2..=35).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn rfc3339(date: &DateTime) -> String {
    let DateTime { year, month, day, hour, minute, second, utc_offset_hour, utc_offset_minute } = *date;
    let zone = match (utc_offset_hour, utc_offset_minute) {
        (0, 0) => "Z".to_owned(),
        (h, m) => format!("{}{:02}:{m:02}", if h < 0 { '-' } else { '+' }, h.unsigned_abs()),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}")
}

fn xmp(catalog: &Dict<'_>) -> String {
    let data =
        catalog.get::<Stream<'_>>(b"Metadata").and_then(|s| s.decoded_data().ok().map(|d| d.into_owned()));
    let mut data = data.unwrap_or_default();
    data.truncate(XMP_MAX);
    String::from_utf8_lossy(&data).into_owned()
}

/// The text of an element, or of the first entry of the list in it.
fn xmp_value(xmp: &str, tag: &str) -> Option<String> {
    let begin = xmp.find(&format!("<{tag}"))?;
    let element = &xmp[begin..];
    let element = &element[..element.find(&format!("</{tag}>"))?];
    let element = element.find("<rdf:li").map_or(element, |at| &element[at..]);
    let text = &element[element.find('>')? + 1..];
    let text = &text[..text.find('<').unwrap_or(text.len())];
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(plain.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_xmp() {
        let xmp = "<dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">A &amp; B</rdf:li></rdf:Alt></dc:title>\
                   <xmp:CreateDate>2020-01-02</xmp:CreateDate><dc:creator>";
        assert_eq!(xmp_value(xmp, "dc:title").as_deref(), Some("A & B"));
        assert_eq!(xmp_value(xmp, "xmp:CreateDate").as_deref(), Some("2020-01-02"));
        assert_eq!(xmp_value(xmp, "dc:creator"), None);
    }

    #[test]
    fn leftovers_are_no_titles() {
        assert!(is_leftover("Microsoft Word - a.doc") && is_leftover("paper.dvi") && !is_leftover("A title"));
    }
}
