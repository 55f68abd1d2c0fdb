use super::Response;
use crate::{Error, Result};

/// A longer line is an error, lest a broken server fill the memory.
const LINE_MAX: usize = 4 << 20;

/// A body line by line. Lines end with LF or CRLF; the last may lack its end.
pub struct Lines {
    response: Response,
    pending: Vec<u8>,
    /// Bytes of `pending` that are known to hold no line end.
    searched: usize,
    ended: bool,
}

impl Lines {
    pub(super) fn new(response: Response) -> Self {
        Self { response, pending: Vec::new(), searched: 0, ended: false }
    }

    /// The next line without its end; `None` after the last one.
    pub fn next_line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(self.take_rest());
            }
            if self.pending.len() > LINE_MAX {
                return Err(Error::upstream("the answer has an endless line"));
            }
            match self.response.read()? {
                Some(bytes) => self.pending.extend_from_slice(&bytes),
                None => self.ended = true,
            }
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let found = self.pending[self.searched..].iter().position(|&byte| byte == b'\n');
        let Some(end) = found.map(|at| at + self.searched) else {
            self.searched = self.pending.len();
            return None;
        };
        let line: Vec<u8> = self.pending.drain(..=end).collect();
        self.searched = 0;
        Some(text(&line[..end]))
    }

    fn take_rest(&mut self) -> Option<String> {
        self.searched = 0;
        let rest = std::mem::take(&mut self.pending);
        (!rest.is_empty()).then(|| text(&rest))
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

/// A server-sent event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerEvent {
    /// `message` where the server names none.
    pub event: String,
    /// Its data lines, joined by `\n`.
    pub data: String,
}

/// A body as server-sent events.
pub struct ServerEvents(Lines);

impl ServerEvents {
    pub(super) fn new(lines: Lines) -> Self {
        Self(lines)
    }

    /// The next event with data; `None` after the last one. Comments and heartbeats are passed over. An event
    /// that the end of the body cuts off is given nevertheless: many servers forget the last blank line.
    pub fn next_event(&mut self) -> Result<Option<ServerEvent>> {
        let mut event = String::from("message");
        let mut data: Vec<String> = Vec::new();
        while let Some(line) = self.0.next_line()? {
            if line.is_empty() && !data.is_empty() {
                break;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => data.push(value.into()),
                "event" => event = value.into(),
                _ => {}
            }
        }
        Ok((!data.is_empty()).then(|| ServerEvent { event, data: data.join("\n") }))
    }
}

#[cfg(test)]
mod tests {
    use crate::http::Request;
    use crate::testing::{Answer, on_http};

    fn response(pieces: &[&str]) -> crate::http::Response {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(piece.as_bytes().to_vec())).collect();
        on_http(move |_| Ok(Answer { status: 200, pieces: pieces.clone(), ..Answer::default() }));
        Request::get("http://localhost/").send().unwrap()
    }

    #[test]
    fn lines_survive_any_cut() {
        let mut lines = response(&["on", "e\r", "\ntwo\n\nth", "ree"]).lines();
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push(line);
        }
        assert_eq!(all, ["one", "two", "", "three"]);
    }

    #[test]
    fn events_have_names_and_joined_data() {
        let mut events = response(&[": hi\n\nevent: a\ndata: 1\ndata:2\n\ndata: [DO", "NE]"]).server_events();
        let first = events.next_event().unwrap().unwrap();
        assert_eq!((first.event.as_str(), first.data.as_str()), ("a", "1\n2"));
        let last = events.next_event().unwrap().unwrap();
        assert_eq!((last.event.as_str(), last.data.as_str()), ("message", "[DONE]"));
        assert_eq!(events.next_event().unwrap(), None);
    }
}
