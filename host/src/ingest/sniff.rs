//! What a file is, from its content; its name only chooses among kinds of text.

use std::io::{self, Read, Seek, SeekFrom};

use super::Refused;
use crate::store::{BlobHandle, StagedBlob};
use crate::types::FileType;

/// The type of a file and whether it is text that the plain text parser can read as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sniffed {
    /// Canonical lower-case extension.
    pub file_type: FileType,
    /// Whether the bytes are text.
    pub is_text: bool,
}

/// Tells the type of a file.
pub fn sniff(filename: &str, blob: &StagedBlob) -> Result<Sniffed, Refused> {
    let head = blob.head();
    if blob.size() == 0 {
        return Err(Refused {
            code: "empty",
            detail: format!("{filename} has no bytes: there is nothing to read"),
        });
    }
    let binary = |file_type: &str| Ok(Sniffed { file_type: file_type.into(), is_text: false });
    if head[..head.len().min(1024)].windows(5).any(|window| window == b"%PDF-") {
        return binary("pdf");
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return binary(&zip_type(filename, blob));
    }
    if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) {
        return binary(&extension(filename).unwrap_or_else(|| "doc".into()));
    }
    // Text first: the mark of a DOS program is `MZ`, and so do texts begin.
    if looks_like_text(head) {
        return Ok(Sniffed { file_type: text_type(filename, head), is_text: true });
    }
    if infer::is_app(head) {
        let detail = format!("{filename} is a program: SmartRAG takes documents in, not executables");
        return Err(Refused { code: "executable", detail });
    }
    match infer::get(head) {
        Some(kind) => binary(kind.extension()),
        None => {
            let detail = format!(
                "{filename} is neither text nor a file type that SmartRAG knows: convert it to PDF, DOCX, HTML or text"
            );
            Err(Refused { code: "unsupported_type", detail })
        }
    }
}

/// The lower-case extension, if it is one: 1 to 10 letters or digits.
fn extension(filename: &str) -> Option<String> {
    let (stem, extension) = filename.rsplit_once('.')?;
    let ok = !stem.is_empty()
        && (1..=10).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ok.then(|| extension.to_ascii_lowercase())
}

/// Text has no NUL (but for UTF-16 and UTF-32) and hardly any other control characters.
fn looks_like_text(head: &[u8]) -> bool {
    if [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb\xbf"].iter().any(|bom| head.starts_with(bom)) {
        return true;
    }
    let zeros = head.iter().filter(|&&byte| byte == 0).count();
    if zeros > 0 {
        return utf16_without_bom(head, zeros);
    }
    let odd = |byte: &&u8| **byte < 0x20 && !matches!(**byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x08);
    head.iter().filter(odd).count() * 100 <= head.len()
}

/// Mostly Latin UTF-16: nearly every second byte is zero, and those on one side only.
fn utf16_without_bom(head: &[u8], zeros: usize) -> bool {
    let even = head.iter().step_by(2).filter(|&&byte| byte == 0).count();
    let odd = zeros - even;
    zeros * 5 >= head.len() * 2 && even.min(odd) * 20 <= zeros
}

fn text_type(filename: &str, head: &[u8]) -> FileType {
    let extension = extension(filename).map(|name| canonical(&name).to_owned());
    let named_otherwise =
        matches!(extension.as_deref(), Some("md" | "eml" | "mbox" | "ipynb" | "php" | "js" | "rst"));
    if named_otherwise {
        return extension.unwrap_or_default();
    }
    if head.starts_with(b"{\\rtf") {
        return "rtf".into();
    }
    if is_html(head) {
        return "html".into();
    }
    match extension {
        // The name says it is something binary, and it is not.
        Some(name) if !BINARY.contains(&name.as_str()) => name,
        _ => "txt".into(),
    }
}

/// Extensions of files that are not text.
pub const BINARY: &[&str] = &[
    "pdf", "doc", "docx", "ppt", "pptx", "xls", "xlsx", "odt", "ods", "odp", "epub", "zip", "png", "jpg",
    "jpeg", "gif", "tif", "tiff", "bmp", "webp", "heic", "mp3", "wav", "ogg", "flac", "m4a", "mp4", "mkv",
    "avi", "mov", "7z", "gz", "bz2", "xz", "zst", "rar", "tar", "exe", "bin", "msg", "sqlite", "woff",
    "woff2", "ttf", "otf", "psd", "ico",
];

fn canonical(extension: &str) -> &str {
    match extension {
        "htm" | "xhtml" => "html",
        "markdown" | "mdown" | "mkd" => "md",
        "text" | "log" => "txt",
        "yml" => "yaml",
        "jpeg" => "jpg",
        other => other,
    }
}

fn is_html(head: &[u8]) -> bool {
    let ascii: String = head.iter().filter(|&&byte| byte != 0).take(2048).map(|&byte| byte as char).collect();
    let lower = ascii.to_ascii_lowercase();
    let start = lower.trim_start_matches(|c: char| !c.is_ascii() || c.is_whitespace());
    start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || (start.starts_with("<") && (lower.contains("<html") || lower.contains("<body")))
}

/// Office and e-book files are zip archives; what is inside tells them apart.
fn zip_type(filename: &str, blob: &StagedBlob) -> FileType {
    let fallback = || match extension(filename) {
        Some(name) if ["docx", "pptx", "xlsx", "odt", "ods", "odp", "epub"].contains(&name.as_str()) => name,
        _ => "zip".into(),
    };
    let Ok(handle) = blob.open() else { return fallback() };
    let Ok(mut archive) = zip::ZipArchive::new(BlobReader { handle, at: 0 }) else { return fallback() };
    if let Some(name) = open_document_type(&mut archive) {
        return name.into();
    }
    let has = |part: &str| archive.file_names().take(10_000).flatten().any(|name| name.starts_with(part));
    match () {
        _ if has("word/") => "docx".into(),
        _ if has("ppt/") => "pptx".into(),
        _ if has("xl/") => "xlsx".into(),
        _ => fallback(),
    }
}

fn open_document_type(archive: &mut zip::ZipArchive<BlobReader>) -> Option<&'static str> {
    let mut media_type = String::new();
    archive.by_name("mimetype").ok()?.take(100).read_to_string(&mut media_type).ok()?;
    Some(match media_type.trim() {
        "application/epub+zip" => "epub",
        "application/vnd.oasis.opendocument.text" => "odt",
        "application/vnd.oasis.opendocument.spreadsheet" => "ods",
        "application/vnd.oasis.opendocument.presentation" => "odp",
        _ => return None,
    })
}

/// Reads a blob as a stream.
struct BlobReader {
    handle: BlobHandle,
    at: u64,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let read = match &self.handle {
            BlobHandle::Bytes(bytes) => {
                let rest = bytes.get(self.at as usize..).unwrap_or_default();
                let len = rest.len().min(buffer.len());
                buffer[..len].copy_from_slice(&rest[..len]);
                len
            }
            BlobHandle::File(file, _) => file.read_at(buffer, self.at)?,
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for BlobReader {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let size = match &self.handle {
            BlobHandle::Bytes(bytes) => bytes.len() as u64,
            BlobHandle::File(_, size) => *size,
        };
        let at = match position {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_types_follow_content_then_name() {
        assert_eq!(text_type("a.txt", b"<!DOCTYPE html><html>"), "html");
        assert_eq!(text_type("a.md", b"<html>"), "md");
        assert_eq!(text_type("a.pdf", b"just words"), "txt");
        assert_eq!(text_type("main.rs", b"fn main() {}"), "rs");
        assert_eq!(text_type("README", b"words"), "txt");
        assert_eq!(text_type("page.htm", b"<p>no root</p>"), "html");
    }

    #[test]
    fn binary_is_not_text() {
        assert!(!looks_like_text(&[0, 1, 2, 3, 0, 0, 9, 9]));
        assert!(!looks_like_text(&[1, 2, 3, 4, 5, 6, 7, 14]));
        assert!(looks_like_text("Größe\r\n".as_bytes()));
        let utf16: Vec<u8> = "hello world".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(looks_like_text(&utf16));
    }
}
