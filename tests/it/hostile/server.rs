//! A server on this machine that behaves as the path says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The server, which runs until the test ends.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = all.clone();
                std::thread::spawn(move || serve(stream, &all));
            }
        });
        Self { port, seen }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Heads of the requests that came since the last look.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(len @ 1..) = stream.read(&mut piece) else { return };
        head.extend_from_slice(&piece[..len]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    seen.lock().unwrap().push(head.clone());
    let path = head.split([' ', '?']).nth(1).unwrap_or_default();
    let whole = |status: &str, more: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{more}\r\n{body}", body.len())
    };
    let answer = match path {
        "/redirect" => whole("302 Found", "Location: http://169.254.169.254/latest\r\n", ""),
        "/echo" => whole("200 OK", "", &head),
        "/silent" => return silent(&mut stream),
        "/loris" => return loris(&mut stream, b"HTTP/1.1 200 OK\r\nX-"),
        "/loris-body" => return loris(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n"),
        _ => whole("200 OK", "", "fine"),
    };
    // A client that went away is none of the server's business.
    let _ = stream.write_all(answer.as_bytes());
}

/// Until the other side has enough.
fn silent(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 1]);
}

/// A letter now and then, so that it never counts as idle.
fn loris(stream: &mut TcpStream, begin: &[u8]) {
    let mut sent = stream.write_all(begin);
    while sent.is_ok() {
        std::thread::sleep(Duration::from_millis(50));
        sent = stream.write_all(b"a").and_then(|()| stream.flush());
    }
}

/// The name of this machine, which commonly leads to itself or into the local network.
pub fn own_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let is_plain =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    if is_plain && name != "localhost" { name } else { "localhost.localdomain".into() }
}

/// Whether that is so here.
pub fn own_name_is_known() -> bool {
    (own_name().as_str(), 80).to_socket_addrs().is_ok_and(|mut found| found.next().is_some())
}
