//! What may come in.

use super::sniff::{BINARY, sniff};
use super::{Core, Refused, Upload};
use crate::plugins::Parser;
use crate::store::NewDocument;
use crate::types::TimestampMs;
use std::sync::Arc;

/// Types worth naming to somebody whose file was refused; the many kinds of text are not.
const OFFICE: &[&str] = &[
    "pdf", "docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "html", "md", "rtf", "eml", "mbox", "msg",
    "ipynb", "png", "jpg", "mp3", "wav", "zip",
];
/// Longest file name, in bytes: what Linux file systems allow.
const FILENAME_BYTES_MAX: usize = 255;

impl Core {
    /// Checks name, type and parser of a file.
    pub(super) fn admit(&self, upload: Upload, now: TimestampMs) -> Result<NewDocument, Refused> {
        let filename = clean_filename(&upload.filename)?;
        let sniffed = sniff(&filename, &upload.blob)?;
        if self.parser(&sniffed.file_type).is_none() {
            return Err(self.no_parser(&filename, &sniffed.file_type));
        }
        Ok(NewDocument {
            collection: upload.collection,
            filename,
            path: upload.path,
            file_type: sniffed.file_type,
            blob: upload.blob,
            tags: upload.tags,
            metadata: upload.metadata,
            upload_time: now,
            since: upload.since,
        })
    }

    /// The parser for a type; kinds of text that none claims are read as plain text.
    pub(super) fn parser(&self, file_type: &str) -> Option<Arc<dyn Parser>> {
        self.plugins.parser_for(file_type).or_else(|| {
            let is_text = !BINARY.contains(&file_type);
            is_text.then(|| self.plugins.parser_for("txt")).flatten()
        })
    }

    fn no_parser(&self, filename: &str, file_type: &str) -> Refused {
        let types = self.plugins.list().into_iter().flat_map(|plugin| plugin.file_types);
        let mut known: Vec<String> = types.filter(|name| OFFICE.contains(&name.as_str())).collect();
        known.sort_unstable();
        known.dedup();
        let detail = format!(
            "{filename} is of type {file_type}, which no installed parser reads: convert it, or install a parser \
             plugin (now read: text of any kind, {})",
            known.join(", ")
        );
        Refused { code: "unsupported_type", detail }
    }
}

/// The last component of a path; control characters and empty names are refused.
fn clean_filename(given: &str) -> Result<String, Refused> {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let problem = match name {
        "" | "." | ".." => "is no file name",
        _ if name.chars().any(char::is_control) => "has control characters in it",
        _ if name.len() > FILENAME_BYTES_MAX => "is longer than 255 bytes",
        _ => return Ok(crate::text::nfc(name).into_owned()),
    };
    let shown: String = given.chars().take(80).collect();
    Err(Refused { code: "invalid_value", detail: format!("{shown:?} {problem}: rename the file") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_cut_off_and_odd_names_refused() {
        assert_eq!(clean_filename("../../etc/passwd").unwrap(), "passwd");
        assert_eq!(clean_filename("C:\\docs\\a.txt").unwrap(), "a.txt");
        for bad in ["", "dir/", "..", "a\0b.txt"] {
            assert_eq!(clean_filename(bad).unwrap_err().code, "invalid_value", "{bad:?}");
        }
    }
}
