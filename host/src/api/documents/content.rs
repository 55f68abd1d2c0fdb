use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};

use super::one::{find, unknown, who};
use crate::api::access::Principal;
use crate::api::blocking::blocking;
use crate::api::caller::UserParams;
use crate::api::error::{ApiError, Result};
use crate::api::etag;
use crate::api::extract::{DocumentPath, Query};
use crate::app::App;
use crate::store::BlobHandle;
use crate::types::Document;

/// Read from disk at once.
const READ_BYTES: usize = 256 * 1024;

/// Get the original bytes
#[utoipa::path(get, path = "/documents/{id}/content", tag = "documents", operation_id = "get_document_content",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams,
        ("If-None-Match" = Option<String>, Header, description = "Only if it has none of these tags")),
    responses((status = 304, description = "It is as `If-None-Match` says"),
        (status = 200, description = "The file as an attachment, all but a few types as mere bytes",
        headers(("etag" = String, description = "For `If-None-Match`")),
        content((Vec<u8> = "application/octet-stream"), (Vec<u8> = "application/pdf"), (Vec<u8> = "image/png"),
            (Vec<u8> = "image/jpeg"), (Vec<u8> = "text/plain")))))]
pub(in crate::api) async fn content(
    State(app): State<Arc<App>>,
    request: HeaderMap,
    principal: Principal,
    DocumentPath(id): DocumentPath,
    Query(params): Query<UserParams>,
) -> Result<Response> {
    let who = who(&app, &principal, params).await?;
    blocking(move || {
        let document = find(&app.store, who.user(), id)?;
        let tag = format!("\"{}\"", document.hash);
        if etag::is_known(&request, &tag) {
            let known = (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]);
            return Ok::<_, ApiError>(known.into_response());
        }
        let blob = app.store.content(who.user(), id)?.ok_or_else(|| unknown(id))?;
        let mut response = Response::new(body(blob));
        set_headers(response.headers_mut(), &document, &tag)?;
        Ok(response)
    })
    .await
}

fn body(blob: BlobHandle) -> Body {
    match blob {
        BlobHandle::Bytes(bytes) => Body::from(bytes),
        BlobHandle::File(file, size) => Body::from_stream(read(file, size)),
    }
}

fn read(file: Arc<File>, size: u64) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(0, move |offset: u64| {
        let (file, left) = (file.clone(), size.saturating_sub(offset));
        async move {
            if left == 0 {
                return Ok(None);
            }
            let length = left.min(READ_BYTES as u64) as usize;
            let part = tokio::task::spawn_blocking(move || read_part(&file, offset, length)).await;
            let part = part.map_err(io::Error::other)??;
            Ok(Some((part, offset + length as u64)))
        }
    })
}

fn read_part(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut part = vec![0; length];
    file.read_exact_at(&mut part, offset)?;
    Ok(part.into())
}

/// A browser saves it and never takes it for a page of ours.
fn set_headers(headers: &mut HeaderMap, document: &Document, tag: &str) -> Result<()> {
    let fixed = [
        (header::CONTENT_TYPE, media_type(&document.file_type)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
        (header::CACHE_CONTROL, "private"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let disposition = HeaderValue::from_str(&disposition(&document.filename)).map_err(ApiError::internal)?;
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(document.file_size));
    headers.insert(header::ETAG, HeaderValue::from_str(tag).map_err(ApiError::internal)?);
    Ok(())
}

/// Only types that can't hold a script; all others are just bytes.
fn media_type(file_type: &str) -> &'static str {
    match file_type {
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    }
}

/// An attachment with an ASCII name for old clients and the true one (RFC 6266, RFC 8187).
fn disposition(filename: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' };
    let ascii: String = filename.chars().map(plain).collect();
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let utf8: String = filename.bytes().map(escape).collect();
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{utf8}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt;

    #[test]
    fn names_can_not_break_out_of_the_header() {
        let header = disposition("a\"; x=\r\nSet-Cookie: ü.pdf");
        assert!(HeaderValue::from_str(&header).is_ok());
        assert!(header.starts_with("attachment; filename=\"a_; x=__Set-Cookie: _.pdf\"; "), "{header}");
        assert!(header.ends_with("%C3%BC.pdf"), "{header}");
    }

    #[tokio::test]
    async fn files_are_read_whole_and_in_order() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..READ_BYTES * 2 + 7).map(|i| (i % 251) as u8).collect();
        io::Write::write_all(&mut file, &bytes).unwrap();
        let parts: Vec<Bytes> = read(Arc::new(file), bytes.len() as u64).try_collect().await.unwrap();
        assert_eq!(parts.concat(), bytes);
        assert_eq!(parts.len(), 3);
    }
}
