use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use super::{Client, Error, Result};
use crate::wire::{QueryBody, QueryEvent};

/// Longest line that we take: the last one repeats the whole answer and its sources.
const LINE_BYTES_MAX: usize = 64 << 20;

impl Client {
    /// Asks; events arrive as they happen. Dropping the stream ends the generation. A stream that breaks off
    /// before `done` or `error` ends with an error.
    pub async fn query_stream(
        &self,
        body: &QueryBody,
    ) -> Result<impl Stream<Item = Result<QueryEvent>> + Unpin + use<>> {
        let request = self.request(reqwest::Method::POST, "/query/stream", &[]).json(body);
        let bytes = self.send(request).await?.bytes_stream().map_err(std::io::Error::other);
        let lines =
            FramedRead::new(StreamReader::new(bytes), LinesCodec::new_with_max_length(LINE_BYTES_MAX));
        Ok(Box::pin(events(self.clone(), lines)))
    }
}

/// Lines as events until the last one.
fn events(
    client: Client,
    lines: impl Stream<Item = std::result::Result<String, LinesCodecError>>,
) -> impl Stream<Item = Result<QueryEvent>> {
    let lines = Box::pin(lines.filter(|line| {
        let keep = !matches!(line, Ok(line) if line.trim().is_empty());
        std::future::ready(keep)
    }));
    futures_util::stream::unfold((client, Some(lines)), |(client, lines)| async move {
        let mut lines = lines?;
        let event = event(&client, lines.next().await);
        let is_last = !matches!(event, Ok(QueryEvent::Sources { .. } | QueryEvent::Chunk { .. }));
        Some((event, (client, (!is_last).then_some(lines))))
    })
}

fn event(client: &Client, line: Option<std::result::Result<String, LinesCodecError>>) -> Result<QueryEvent> {
    let broken = |detail: String| Error::Broken { url: client.url().to_owned(), detail };
    match line {
        Some(Ok(line)) => serde_json::from_str(&line).map_err(|error| client.foreign(error.to_string())),
        Some(Err(error)) => Err(broken(error.to_string())),
        None => Err(broken("the answer stopped in the middle".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<Result<QueryEvent>> {
        let client = Client::new("http://127.0.0.1:1", super::super::Caller::default()).unwrap();
        let lines: Vec<_> = lines.iter().map(|line| Ok(line.to_string())).collect();
        let events = events(client, futures_util::stream::iter(lines)).collect();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(events)
    }

    #[test]
    fn ends_with_the_last_event_and_not_later() {
        let error = r#"{"type":"error","chunk":"","code":"internal","detail":"x"}"#;
        let found = read(&[r#"{"type":"chunk","chunk":"a"}"#, "", error, "never read"]);
        assert_eq!(found.len(), 2);
        assert!(matches!(&found[0], Ok(QueryEvent::Chunk { chunk }) if chunk == "a"));
        assert!(matches!(&found[1], Ok(QueryEvent::Error { code, .. }) if code == "internal"));
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error() {
        let found = read(&[r#"{"type":"chunk","chunk":"a"}"#]);
        assert!(matches!(found.last(), Some(Err(Error::Broken { .. }))));
    }

    #[test]
    fn garbage_is_an_error_and_the_end() {
        let found = read(&["<html>", r#"{"type":"chunk","chunk":"a"}"#]);
        assert!(matches!(found.as_slice(), [Err(Error::Foreign { .. })]));
    }
}
