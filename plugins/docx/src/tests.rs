use std::io::{Cursor, Write};

use smartrag_sdk::ErrorKind;
use smartrag_sdk::parser::{Block, BlockKind};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
    <Relationship Id="a" Type="http://x/styles" Target="styles.xml"/>
    <Relationship Id="b" Type="http://x/footnotes" Target="footnotes.xml"/>
    <Relationship Id="c" Type="http://x/header" Target="header1.xml"/></Relationships>"#;
const STYLES: &str = r#"<w:style w:type="paragraph" w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>
    <w:style w:type="paragraph" w:styleId="Eigen"><w:name w:val="Eigen"/><w:basedOn w:val="berschrift2"/></w:style>"#;

fn wrapped(root: &str, inner: &str) -> String {
    let w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
    let mc = "http://schemas.openxmlformats.org/markup-compatibility/2006";
    format!("<w:{root} xmlns:w='{w}' xmlns:mc='{mc}' xmlns:wps='urn:wps'>{inner}</w:{root}>")
}

fn file(body: &str) -> Source {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let note = "<w:footnote w:id='2'><w:p><w:r><w:t>Note</w:t></w:r></w:p></w:footnote>";
    for (name, text) in [
        ("word/document.xml", wrapped("document", &format!("<w:body>{body}</w:body>"))),
        ("word/_rels/document.xml.rels", RELATIONS.into()),
        ("word/styles.xml", wrapped("styles", STYLES)),
        ("word/footnotes.xml", wrapped("footnotes", note)),
        ("word/header1.xml", wrapped("hdr", "<w:p><w:r><w:t>Top</w:t></w:r></w:p>")),
    ] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    Source::from_bytes(zip.finish().unwrap().into_inner())
}

fn blocks(body: &str) -> Vec<(BlockKind, u8, String)> {
    let options = Options { file_type: "docx".into(), filename: "a.docx".into(), passwords: vec![] };
    let fragment = Docx::parse(&file(body), &options).unwrap().fragment();
    let text = |block: &Block| fragment.text[block.span.start as usize..block.span.end as usize].to_owned();
    fragment.blocks.iter().skip(1).map(|block| (block.kind, block.level, text(block))).collect()
}

fn paragraph(text: &str) -> (BlockKind, u8, String) {
    (BlockKind::Paragraph, 0, text.into())
}

#[test]
fn headings_by_style_whatever_its_id() {
    let body = "<w:p><w:pPr><w:pStyle w:val='Eigen'/></w:pPr><w:r><w:t>H</w:t></w:r></w:p>";
    assert_eq!(blocks(body), [(BlockKind::Heading, 2, "H".into())]);
}

#[test]
fn deletions_and_field_codes_are_no_text() {
    let body = "<w:p><w:r><w:t xml:space='preserve'>see </w:t></w:r><w:del><w:r><w:delText>old</w:delText></w:r></w:del>\
        <w:r><w:fldChar w:fldCharType='begin'/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>code</w:t></w:r>\
        <w:r><w:fldChar w:fldCharType='separate'/></w:r><w:r><w:t>7</w:t></w:r><w:r><w:fldChar w:fldCharType='end'/></w:r>\
        <w:ins><w:r><w:t>!</w:t></w:r></w:ins><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r></w:p>";
    assert_eq!(blocks(body), [paragraph("see 7!")]);
}

#[test]
fn text_boxes_come_once_and_notes_after_their_paragraph() {
    let text_box = "<w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent>";
    let body = format!(
        "<w:p><w:r><w:t>a</w:t><w:footnoteReference w:id='2'/><mc:AlternateContent><mc:Choice>{text_box}</mc:Choice>\
         <mc:Fallback>{text_box}</mc:Fallback></mc:AlternateContent></w:r></w:p><w:p><w:r><w:t>b</w:t></w:r></w:p>"
    );
    let note = (BlockKind::Footnote, 0, "[^1] Note".into());
    assert_eq!(blocks(&body), [paragraph("a[^1]"), paragraph("boxed"), note, paragraph("b")]);
}

#[test]
fn merged_cells() {
    let cell = |properties: &str, text: &str| {
        format!("<w:tc><w:tcPr>{properties}</w:tcPr><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:tc>")
    };
    let body = format!(
        "<w:tbl><w:tr>{}{}</w:tr><w:tr>{}{}{}</w:tr></w:tbl>",
        cell("<w:vMerge w:val='restart'/>", "A"),
        cell("<w:gridSpan w:val='2'/>", "B"),
        cell("<w:vMerge/>", ""),
        cell("", "c"),
        cell("", "d")
    );
    let options = Options { file_type: "docx".into(), filename: "a.docx".into(), passwords: vec![] };
    let fragment = Docx::parse(&file(&body), &options).unwrap().fragment();
    assert_eq!(fragment.text, "Top\n\nA | B\nc | d");
    let cells: Vec<_> = fragment.blocks[1]
        .cells
        .iter()
        .map(|cell| (cell.row, cell.column, cell.row_span, cell.column_span))
        .collect();
    assert_eq!(cells, [(0, 0, 2, 1), (0, 1, 1, 2), (1, 1, 1, 1), (1, 2, 1, 1)]);
}

#[test]
fn other_files_are_corrupt() {
    let options = Options { file_type: "docx".into(), filename: "a.docx".into(), passwords: vec![] };
    let error = Docx::parse(&Source::from_bytes(*b"PK\x03\x04 nothing"), &options).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Corrupt);
}
