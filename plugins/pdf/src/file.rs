//! Opens a file: finds its beginning, its password and its pages.

use hayro_interpret::hayro_syntax::{LoadPdfError, Pdf};
use smartrag_sdk::{Error, Result};

/// Pages of one file at most.
const PAGES_MAX: usize = 20_000;
/// The mark that begins a file may stand this far in.
const HEADER_WITHIN: usize = 64 << 10;
/// Passwords tried.
const PASSWORDS_MAX: usize = 32;

/// Opens the bytes of a file.
pub fn open(mut bytes: Vec<u8>, passwords: &[String]) -> Result<Pdf> {
    if bytes.is_empty() {
        return Err(Error::empty("the file is empty"));
    }
    let head = &bytes[..bytes.len().min(HEADER_WITHIN)];
    let Some(begin) = head.windows(5).position(|w| w == b"%PDF-") else {
        return Err(Error::unsupported("this is no PDF file: it lacks the mark %PDF- at its beginning"));
    };
    // Offsets count from the mark.
    bytes.drain(..begin);
    let pdf = load(std::sync::Arc::new(bytes), passwords)?;
    match pdf.pages().len() {
        0 => Err(Error::empty("the PDF file has no pages")),
        PAGES_MAX.. => Err(Error::limit(
            "pages",
            format!("the PDF file has more than {PAGES_MAX} pages: split it and upload the parts"),
        )),
        _ => Ok(pdf),
    }
}

fn load(bytes: std::sync::Arc<Vec<u8>>, passwords: &[String]) -> Result<Pdf> {
    let tries = std::iter::once("").chain(passwords.iter().map(String::as_str)).take(PASSWORDS_MAX);
    for password in tries {
        match Pdf::new_with_password(bytes.clone(), password) {
            Ok(pdf) => return Ok(pdf),
            Err(LoadPdfError::Invalid) => {
                return Err(Error::corrupt(
                    "the PDF file is damaged beyond repair: no pages were found in it",
                ));
            }
            Err(LoadPdfError::Decryption(reason)) => {
                use hayro_interpret::hayro_syntax::DecryptionError as D;
                match reason {
                    D::PasswordProtected => {}
                    D::UnsupportedAlgorithm => {
                        return Err(Error::unsupported(
                            "the PDF file is encrypted in a way that is not supported",
                        ));
                    }
                    _ => return Err(Error::corrupt("the encryption of the PDF file is damaged")),
                }
            }
        }
    }
    Err(Error::encrypted("the PDF file is protected: remove its password and upload it again"))
}
