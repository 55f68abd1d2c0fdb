//! Small PDF files, written here as text.

use std::fmt::Write;

use smartrag_plugin_pdf::Pdf;
use smartrag_sdk::parser::{BlockKind, Document, Fragment, Options, PageStatus, PagedParser, Summary};
use smartrag_sdk::{ErrorKind, Result, Source};

const FONTS: &str = "<< /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >> \
                     /B << /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >> \
                     /M << /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >> >>";

/// A file with a page of 600 by 800 points for each content stream; `more` goes into the catalog.
fn pdf(contents: &[String], more: &str) -> Vec<u8> {
    let kids: String = (0..contents.len()).map(|i| format!("{} 0 R ", 4 + 2 * i)).collect();
    let mut objects = vec![
        format!("<< /Type /Catalog /Pages 2 0 R {more} >>"),
        format!("<< /Type /Pages /Kids [{kids}] /Count {} /MediaBox [0 0 600 800] >>", contents.len()),
        "<< /Title (A \\(small\\) file) /Author (M\\374ller) /CreationDate (D:20240102030405Z) >>".to_owned(),
    ];
    for (index, content) in contents.iter().enumerate() {
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /Contents {} 0 R /Resources << /Font {FONTS} >> >>",
            5 + 2 * index
        ));
        objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()));
    }
    let mut file = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        write!(file, "{} 0 obj\n{object}\nendobj\n", index + 1).unwrap();
    }
    let xref = file.len();
    write!(file, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).unwrap();
    offsets.iter().for_each(|offset| writeln!(file, "{offset:010} 00000 n ").unwrap());
    write!(
        file,
        "trailer << /Size {} /Root 1 0 R /Info 3 0 R >>\nstartxref\n{xref}\n%%EOF",
        objects.len() + 1
    )
    .unwrap();
    file.into_bytes()
}

/// One line of text, `y` points from the top.
fn line(font: &str, size: u32, x: u32, y: u32, text: &str) -> String {
    format!("BT /{font} {size} Tf {x} {} Td ({text}) Tj ET\n", 800 - y)
}

fn open(bytes: Vec<u8>) -> Result<<Pdf as PagedParser>::Document> {
    let options = Options { file_type: "pdf".into(), filename: "a.pdf".into(), passwords: vec![] };
    Pdf::open(Source::from_bytes(bytes), &options)
}

fn read(contents: &[String]) -> (Summary, Fragment) {
    let mut document = open(pdf(contents, "/Lang (en-GB)")).unwrap();
    let summary = document.summary();
    let fragment = document.pages(0..summary.page_count).unwrap();
    (summary, fragment)
}

fn blocks(fragment: &Fragment) -> Vec<(BlockKind, &str)> {
    let text = |b: &smartrag_sdk::parser::Block| &fragment.text[b.span.start as usize..b.span.end as usize];
    fragment.blocks.iter().map(|b| (b.kind, text(b))).collect()
}

fn refused(bytes: &[u8]) -> ErrorKind {
    open(bytes.to_vec()).err().unwrap().kind
}

#[test]
fn headings_paragraphs_lists_and_code() {
    let page = [
        line("B", 20, 60, 80, "A Title"),
        line("F", 10, 60, 120, "This line is followed by another one of the same para-"),
        line("F", 10, 60, 132, "graph, which therefore is set a usual distance below it."),
        line("B", 10, 60, 156, "A bold heading"),
        line("F", 10, 60, 172, "\\225 an item of a list that is long enough to be broken at the"),
        line("F", 10, 68, 184, "end of the line"),
        line("F", 10, 60, 198, "\\225 another item"),
        line("M", 10, 60, 230, "fn main\\(\\) {"),
        line("M", 10, 72, 242, "  call\\(\\);"),
        line("M", 10, 60, 254, "}"),
    ]
    .concat();
    let (summary, fragment) = read(&[page]);
    assert_eq!(summary.title.as_deref(), Some("A (small) file"));
    assert_eq!(summary.language.as_deref(), Some("en-GB"));
    assert!(summary.metadata.iter().any(|m| m.key == "author" && m.value == "\"Müller\""));
    assert!(summary.metadata.iter().any(|m| m.key == "created" && m.value == "\"2024-01-02T03:04:05Z\""));
    let expected = [
        (BlockKind::Heading, "A Title"),
        (
            BlockKind::Paragraph,
            "This line is followed by another one of the same paragraph, which therefore is set a usual distance \
             below it.",
        ),
        (BlockKind::Heading, "A bold heading"),
        (BlockKind::ListItem, "• an item of a list that is long enough to be broken at the end of the line"),
        (BlockKind::ListItem, "• another item"),
        (BlockKind::Code, "fn main() {\n    call();\n}"),
    ];
    assert_eq!(blocks(&fragment), expected);
    assert_eq!(fragment.blocks.iter().map(|b| b.level).collect::<Vec<_>>(), [1, 0, 2, 1, 1, 0]);
    let bbox = fragment.blocks[0].provenance.bbox.unwrap();
    assert!((bbox.x0 - 60.0).abs() < 1.0 && bbox.y0 > 60.0 && bbox.y1 < 90.0, "{bbox:?}");
}

#[test]
fn columns_are_read_one_after_the_other() {
    let mut page = line("B", 16, 60, 60, "A title across both of the columns of the page");
    for row in 0..8 {
        page += &line("F", 10, 60, 100 + 12 * row, &format!("left column, line number {row}, is long"));
        page += &line("F", 10, 320, 100 + 12 * row, &format!("right column, line number {row}, too"));
    }
    let (_, fragment) = read(&[page]);
    let last_left = fragment.text.find("left column, line number 7").unwrap();
    assert!(last_left < fragment.text.find("right column, line number 0").unwrap());
}

#[test]
fn repeated_edges_are_furniture() {
    let page = |number: u32| {
        let mut page = line("F", 8, 60, 40, "Annual report");
        page += &line("F", 8, 500, 40, &format!("Page {number}"));
        for row in 0..10 {
            page += &line(
                "F",
                10,
                60,
                100 + 12 * row,
                &format!("text {} of page {number}, row {row}", row * number),
            );
        }
        page
    };
    let (_, fragment) = read(&[page(1), page(2), page(3)]);
    let headers = blocks(&fragment).into_iter().filter(|b| b.0 == BlockKind::PageHeader);
    assert_eq!(
        headers.map(|b| b.1).collect::<Vec<_>>(),
        ["Annual report Page 1", "Annual report Page 2", "Annual report Page 3"]
    );
}

#[test]
fn ruled_and_aligned_tables() {
    let rows = [
        ["Name", "Size", "Colour"],
        ["apple", "small", "red"],
        ["melon", "large", "green"],
        ["fig", "tiny", "blue"],
    ];
    let cells = |top: u32| -> String {
        let cell = |row: usize, column: usize| {
            line("F", 10, 60 + 120 * column as u32, top + 20 * row as u32, rows[row][column])
        };
        (0..4).flat_map(|row| (0..3).map(move |column| cell(row, column)).collect::<Vec<_>>()).collect()
    };
    let mut ruled = cells(120);
    for row in 0..5 {
        let y = 800 - (106 + 20 * row);
        ruled += &format!("50 {y} m 410 {y} l S\n");
    }
    for column in 0..4 {
        let x = 50 + 120 * column;
        ruled += &format!("{x} 694 m {x} 614 l S\n");
    }
    for page in [ruled, cells(120)] {
        let (_, fragment) = read(&[page]);
        let expected = "Name | Size | Colour\napple | small | red\nmelon | large | green\nfig | tiny | blue";
        assert_eq!(blocks(&fragment), [(BlockKind::Table, expected)]);
        assert_eq!(fragment.blocks[0].cells.len(), 12);
        assert!(fragment.blocks[0].cells[2].header && !fragment.blocks[0].cells[3].header);
    }
}

#[test]
fn overprinted_and_hidden_copies_are_read_once() {
    let bold = line("F", 10, 60, 100, "Bold by printing twice");
    let again = format!("BT /F 10 Tf 60.4 {} Td (Bold by printing twice) Tj ET\n", 700);
    let hidden = format!("BT 3 Tr /F 10 Tf 60 {} Td (Bold by printing tw1ce) Tj ET\n", 700);
    let alone = format!("BT 3 Tr /F 10 Tf 60 {} Td (A text layer) Tj ET\n", 600);
    let (_, fragment) = read(&[[bold, again, hidden, alone].concat()]);
    assert_eq!(fragment.text, "Bold by printing twice\n\nA text layer");
}

#[test]
fn turned_text_is_read_along_its_lines() {
    let content = "BT /F 10 Tf 0 1 -1 0 100 200 Tm (Upwards it goes) Tj ET\n".to_owned();
    let (_, fragment) = read(&[content]);
    assert_eq!(fragment.text, "Upwards it goes");
    let bbox = fragment.blocks[0].provenance.bbox.unwrap();
    assert!(bbox.y1 - bbox.y0 > bbox.x1 - bbox.x0);
}

#[test]
fn actual_text_stands_for_its_glyphs() {
    let content = "BT /F 10 Tf 60 700 Td /Span << /ActualText (ffi) >> BDC (!) Tj EMC (x) Tj ET".to_owned();
    let (_, fragment) = read(&[content]);
    assert_eq!(fragment.text, "ffix");
}

#[test]
fn pages_without_text_are_empty_and_labelled() {
    let labels = "/PageLabels << /Nums [0 << /S /r >> 1 << /S /D /P (A-) /St 7 >>] >>";
    let mut document = open(pdf(&[String::new(), line("F", 10, 60, 100, "Some text")], labels)).unwrap();
    let fragment = document.pages(0..2).unwrap();
    let labels: Vec<_> = fragment.pages.iter().map(|p| p.label.as_deref()).collect();
    assert_eq!(labels, [Some("i"), Some("A-7")]);
    assert!(matches!(fragment.pages[0].status, PageStatus::Empty));
    assert!(matches!(fragment.pages[1].status, PageStatus::Ok));
    assert_eq!(document.pages(1..2).unwrap().text, "Some text");
    assert_eq!(document.pages(1..3).unwrap_err().kind, ErrorKind::InvalidInput);
}

#[test]
fn a_page_that_is_a_picture_needs_ocr() {
    let image = "q 600 0 0 800 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \u{1} EI Q".to_owned();
    let (_, fragment) = read(&[image]);
    assert!(matches!(fragment.pages[0].status, PageStatus::NeedsOcr));
    assert_eq!(fragment.warnings[0].code, "needs_ocr");
}

#[test]
fn the_file_may_begin_late_and_lack_its_end() {
    let file = pdf(&[line("F", 10, 60, 100, "Found")], "");
    let late = [b"\r\nsome mail header\r\n".as_slice(), &file].concat();
    assert_eq!(open(late).unwrap().pages(0..1).unwrap().text, "Found");
    let end = file.windows(4).position(|w| w == b"xref").unwrap();
    assert_eq!(open(file[..end].to_vec()).unwrap().pages(0..1).unwrap().text, "Found");
}

#[test]
fn what_can_not_be_read_says_why() {
    assert_eq!(refused(b""), ErrorKind::Empty);
    assert_eq!(refused(b"PK\x03\x04 no pdf"), ErrorKind::Unsupported);
    assert_eq!(refused(b"%PDF-1.7\nnothing"), ErrorKind::Corrupt);
    assert_eq!(refused(&pdf(&[], "")), ErrorKind::Empty);
}

#[test]
fn a_wrong_password_is_told_from_damage() {
    let file = String::from_utf8(pdf(&[line("F", 10, 60, 100, "Secret")], "")).unwrap();
    let key = "0".repeat(64);
    let encrypt = format!(
        "/Info 3 0 R /ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{key}> /U <{key}> >>"
    );
    assert_eq!(refused(file.replace("/Info 3 0 R", &encrypt).as_bytes()), ErrorKind::Encrypted);
}
