//! The broker against real sockets. Servers are scripts: what they do to each connection.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::network::Resolver;
use super::*;
use crate::config::{GrantConfig, SecretSource};
use crate::plugins::grants::{Capability, Grants};
use crate::plugins::roles::Cancel;

/// Longer than any test should need, shorter than anybody's patience.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server saw of a connection: the request's head and body, then whether its end was seen.
#[derive(Debug, PartialEq)]
enum Seen {
    Request(String),
    Closed,
}

/// Serves every connection by the script, on a port of its own.
fn serve(script: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (u16, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, seen) = channel();
    let script = Arc::new(script);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let (sender, script) = (sender.clone(), script.clone());
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                sender.send(Seen::Request(request_of(&mut stream))).ok();
                script(&mut stream);
                // A reset is an end as well as a clean one.
                let mut buffer = [0; 1024];
                while matches!(stream.read(&mut buffer), Ok(n) if n > 0) {}
                sender.send(Seen::Closed).ok();
            });
        }
    });
    (port, seen)
}

fn request_of(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head
        .to_lowercase()
        .split_once("content-length: ")
        .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn answer(text: &'static str) -> (u16, Receiver<Seen>) {
    serve(move |stream| drop(stream.write_all(text.as_bytes())))
}

/// Writes for as long as anybody reads.
fn endlessly(stream: &mut TcpStream, piece: &[u8], pause: Duration) {
    while stream.write_all(piece).is_ok() {
        std::thread::sleep(pause);
    }
}

fn resolver(answers: &[(&str, &str)]) -> Resolver {
    let answers: Vec<(String, IpAddr)> =
        answers.iter().map(|(name, address)| ((*name).to_owned(), address.parse().unwrap())).collect();
    Arc::new(move |name: &str| {
        Ok(answers.iter().filter(|(known, _)| known == name).map(|(_, address)| *address).collect())
    })
}

fn grants(origins: &[String]) -> Grants {
    let grant = GrantConfig { http: origins.to_vec(), ..GrantConfig::default() };
    Grants::new(vec![Capability::Http], Some(&grant), "")
}

fn patient() -> Limits {
    Limits { connect: PATIENCE, first_byte: PATIENCE, idle: PATIENCE, ..Limits::default() }
}

fn quick() -> Limits {
    let soon = Duration::from_millis(300);
    Limits { connect: PATIENCE, first_byte: soon, idle: soon, ..Limits::default() }
}

fn egress_with(origins: &[String], limits: Limits) -> Egress {
    let network = Arc::new(Network::with(resolver(&[]), None));
    Egress::new("p", grants(origins), Secrets::default(), limits, network)
}

fn egress(port: u16) -> Egress {
    egress_with(&[format!("127.0.0.1:{port}")], patient())
}

fn impatient(port: u16) -> Egress {
    egress_with(&[format!("127.0.0.1:{port}")], quick())
}

fn call() -> Call {
    Call { until: Instant::now() + PATIENCE, cancel: Cancel::default() }
}

fn get(url: impl Into<String>) -> Request {
    Request {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: whole(Vec::new()),
        first_byte_timeout: None,
        idle_timeout: None,
    }
}

fn at(port: u16) -> Request {
    get(format!("http://127.0.0.1:{port}/x"))
}

fn body_of(mut response: Response) -> Result<String, Error> {
    let mut body = Vec::new();
    while let Some(piece) = response.read(7, &call())? {
        assert!((1..=7).contains(&piece.len()));
        body.extend_from_slice(&piece);
    }
    assert_eq!(response.read(7, &call()).unwrap(), None, "the end stays the end");
    Ok(String::from_utf8(body).unwrap())
}

fn refusal(egress: &Egress, url: &str) -> String {
    match egress.send(get(url), &call()) {
        Err(Error::Denied(words)) => words,
        Err(other) => panic!("{url}: {other:?}"),
        Ok(_) => panic!("{url} was answered"),
    }
}

fn assert_closes(seen: &Receiver<Seen>) {
    loop {
        if seen.recv_timeout(PATIENCE).expect("the server never saw the end") == Seen::Closed {
            return;
        }
    }
}

#[test]
fn a_request_goes_up_and_its_answer_comes_back() {
    let (port, seen) = answer(
        "HTTP/1.1 200 OK\r\nX-Two: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n9\r\ndefghijkl\r\n0\r\n\r\n",
    );
    let request = Request {
        method: "POST".into(),
        headers: vec![("Content-Type".into(), "text/plain".into())],
        body: whole(b"hello".to_vec()),
        ..at(port)
    };
    let response = egress(port).send(request, &call()).unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains(&("x-two".to_owned(), b"2".to_vec())));
    assert_eq!(body_of(response).unwrap(), "abcdefghijkl");
    let Seen::Request(sent) = seen.recv_timeout(PATIENCE).unwrap() else { panic!() };
    assert!(sent.starts_with("POST /x HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{sent}");
    assert!(sent.contains("content-length: 5\r\n") && sent.ends_with("\r\n\r\nhello"), "{sent}");
}

#[test]
fn a_body_can_go_up_in_pieces() {
    use http_body_util::{BodyExt, StreamBody};
    let (port, seen) = serve(|stream| {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"0\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len()).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    let pieces = ["one", "two"].map(|text| Ok(hyper::body::Frame::data(text.into())));
    let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
    let request = Request { method: "POST".into(), body, ..at(port) };
    let echoed = body_of(egress(port).send(request, &call()).unwrap()).unwrap();
    assert_eq!(echoed, "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    assert!(matches!(seen.recv_timeout(PATIENCE).unwrap(), Seen::Request(head) if head.contains("chunked")));
}

#[test]
fn a_body_without_end_does_not_go_up() {
    use http_body_util::{BodyExt, StreamBody};
    let (port, seen) = serve(|stream| drop(std::io::copy(stream, &mut std::io::sink())));
    let pieces = std::iter::repeat_with(|| Ok(hyper::body::Frame::data(vec![b'x'; 4096].into())));
    let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
    let limits = Limits { request_bytes_max: 1 << 16, ..patient() };
    let egress = egress_with(&[format!("127.0.0.1:{port}")], limits);
    let error = egress.send(Request { method: "POST".into(), body, ..at(port) }, &call()).err().unwrap();
    assert!(matches!(error, Error::Limit("http-body", _)), "{error:?}");
    assert_closes(&seen);
    let whole = Request { method: "POST".into(), body: whole(vec![0; (1 << 16) + 1]), ..at(port) };
    let error = egress.send(whole, &call()).err().unwrap();
    assert!(matches!(error, Error::Limit("http-body", _)), "{error:?}");
    assert!(seen.try_recv().is_err(), "nothing was sent");
}

#[test]
fn what_is_not_granted_is_not_connected_to() {
    let (port, seen) = answer("HTTP/1.1 200 OK\r\n\r\n");
    let other = egress(port.wrapping_add(1).max(1));
    let words = refusal(&other, &format!("http://127.0.0.1:{port}/"));
    assert!(words.contains(&format!("`plugins.grants.p.http: [\"127.0.0.1:{port}\"]`")), "{words}");
    let granted = egress(port);
    for host in ["localhost", "[::ffff:127.0.0.1]", "[::1]", "localhost.", "0.0.0.0", "[::]", "a.localhost"] {
        refusal(&granted, &format!("http://{host}:{port}/"));
    }
    refusal(&granted, &format!("https://169.254.169.254:{port}/latest/meta-data"));
    assert!(seen.try_recv().is_err(), "nothing was sent");
    for spelling in ["0x7f.1", "2130706433", "0177.0.0.1", "127.1"] {
        let response = granted.send(get(format!("http://{spelling}:{port}/")), &call());
        assert_eq!(response.unwrap().status(), 200, "{spelling} is the address that was granted");
    }
}

#[test]
fn names_lead_to_public_addresses_only() {
    let (port, seen) = answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let names = [
        ("loop.example", "127.0.0.1"),
        ("six.example", "::1"),
        ("mapped.example", "::ffff:127.0.0.1"),
        ("metadata.example", "169.254.169.254"),
        ("lan.example", "192.168.1.5"),
        ("mixed.example", "93.184.216.34"),
        ("mixed.example", "10.0.0.1"),
        ("localhost.", "127.0.0.1"),
    ];
    let mut origins: Vec<String> = names.iter().map(|(name, _)| format!("{name}:{port}")).collect();
    origins.push(format!("localhost:{port}"));
    origins.push(format!("absent.example:{port}"));
    let network = Arc::new(Network::with(resolver(&names), None));
    let egress = Egress::new("p", grants(&origins), Secrets::default(), patient(), network);
    for (name, address) in names.iter().filter(|(_, address)| !address.starts_with("93")) {
        let words = refusal(&egress, &format!("http://{name}:{port}/"));
        let literal = match address.contains(':') {
            true => format!("[{address}]:{port}"),
            false => format!("{address}:{port}"),
        };
        assert!(words.contains(address) && words.contains(&format!("http: [\"{literal}\"]")), "{words}");
    }
    let absent = egress.send(get(format!("http://absent.example:{port}/")), &call()).err().unwrap();
    assert!(matches!(absent, Error::Unavailable(_)), "{absent:?}");
    assert!(seen.try_recv().is_err(), "nothing was sent");
    let local = egress.send(get(format!("http://localhost:{port}/")), &call()).unwrap();
    assert_eq!(local.status(), 200, "`localhost` was granted as such");
}

#[test]
fn redirects_come_back() {
    let (port, _) =
        answer("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n");
    let egress = egress(port);
    let response = egress.send(at(port), &call()).unwrap();
    assert_eq!(response.status(), 302);
    let location = ("location".to_owned(), b"http://169.254.169.254/latest".to_vec());
    assert!(response.headers().contains(&location));
    refusal(&egress, "http://169.254.169.254/latest");
}

#[test]
fn silence_is_an_error() {
    let (port, seen) = serve(|_| ());
    let error = impatient(port).send(at(port), &call()).err().unwrap();
    assert!(matches!(&error, Error::Timeout(words) if words.contains("did not answer")), "{error:?}");
    assert_closes(&seen);
}

#[test]
fn dribbling_does_not_help() {
    let (port, seen) = serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        endlessly(stream, b"X: 1\r\n", Duration::from_millis(50));
    });
    let error = impatient(port).send(at(port), &call()).err().unwrap();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    assert_closes(&seen);

    let (port, seen) = serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        endlessly(stream, b"x", Duration::from_millis(20));
    });
    let limits = Limits { total: Duration::from_millis(500), ..patient() };
    let response = egress_with(&[format!("127.0.0.1:{port}")], limits).send(at(port), &call()).unwrap();
    let error = body_of_failing(response);
    assert!(matches!(&error, Error::Timeout(words) if words.contains("longer than any may")), "{error:?}");
    assert_closes(&seen);
}

fn body_of_failing(mut response: Response) -> Error {
    loop {
        match response.read(1 << 16, &call()) {
            Ok(piece) => assert!(piece.is_some(), "the body ended well"),
            Err(error) => {
                assert_eq!(response.read(1, &call()), Err(error.clone()), "it stays failed");
                return error;
            }
        }
    }
}

#[test]
fn an_answer_that_is_always_there_still_ends() {
    let (port, seen) = serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        endlessly(stream, &[b'x'; 4096], Duration::ZERO);
    });
    let limits = Limits { total: Duration::from_millis(300), response_bytes_max: u64::MAX, ..patient() };
    let response = egress_with(&[format!("127.0.0.1:{port}")], limits).send(at(port), &call()).unwrap();
    let error = body_of_failing(response);
    assert!(matches!(&error, Error::Timeout(words) if words.contains("longer than any may")), "{error:?}");
    assert_closes(&seen);
}

#[test]
fn a_slow_server_of_names_is_not_waited_for() {
    let slow: Resolver = Arc::new(|_| {
        std::thread::sleep(Duration::from_secs(2));
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    });
    let limits = Limits { connect: Duration::from_millis(100), ..patient() };
    let network = Arc::new(Network::with(slow, None));
    let egress =
        Egress::new("p", grants(&["slow.example:80".to_owned()]), Secrets::default(), limits, network);
    let error = egress.send(get("http://slow.example/"), &call()).err().unwrap();
    assert!(matches!(&error, Error::Timeout(words) if words.contains("connected")), "{error:?}");
}

#[test]
fn a_body_that_stops_is_an_error() {
    let (port, seen) =
        serve(|stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").unwrap());
    let response = impatient(port).send(at(port), &call()).unwrap();
    let error = body_of_failing(response);
    assert!(matches!(&error, Error::Timeout(words) if words.contains("nothing more")), "{error:?}");
    assert_closes(&seen);

    let (port, _) = serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let error = body_of_failing(egress(port).send(at(port), &call()).unwrap());
    assert!(matches!(error, Error::Upstream(_)), "{error:?}");
}

#[test]
fn floods_are_bounded() {
    let (port, seen) = serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        endlessly(stream, &b"X: 0123456789\r\n".repeat(100), Duration::ZERO);
    });
    let error = egress(port).send(at(port), &call()).err().unwrap();
    assert!(matches!(error, Error::Limit("http-headers", _)), "{error:?}");
    assert_closes(&seen);

    let (port, seen) = serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        endlessly(stream, &[b'x'; 4096], Duration::ZERO);
    });
    let limits = Limits { response_bytes_max: 1 << 20, ..patient() };
    let egress = egress_with(&[format!("127.0.0.1:{port}")], limits);
    let error = body_of_failing(egress.send(at(port), &call()).unwrap());
    assert!(matches!(error, Error::Limit("http-body", _)), "{error:?}");
    assert_closes(&seen);
}

#[test]
fn nonsense_is_an_error() {
    for nonsense in ["nonsense\r\n\r\n", "HTTP/1.1 99999 x\r\n\r\n", "HTTP/1.1 200 OK\r\n\0: x\r\n\r\n", ""] {
        let (port, _) = serve(move |stream| {
            stream.write_all(nonsense.as_bytes()).ok();
            stream.shutdown(std::net::Shutdown::Write).ok();
        });
        let error = egress(port).send(at(port), &call()).err().unwrap();
        assert!(matches!(error, Error::Upstream(_)), "{nonsense:?}: {error:?}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = egress(closed).send(at(closed), &call()).err().unwrap();
    assert!(matches!(&error, Error::Unavailable(words) if words.contains("can't be reached")), "{error:?}");
}

#[test]
fn dropping_an_answer_closes_its_connection() {
    let (port, seen) = serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n").unwrap();
    });
    let egress = egress(port);
    let mut response = egress.send(at(port), &call()).unwrap();
    assert_eq!(response.read(64, &call()).unwrap().unwrap(), "data: 1\n\n");
    drop(response);
    assert_closes(&seen);

    let mut response = egress.send(at(port), &call()).unwrap();
    response.close();
    assert_closes(&seen);
    assert_eq!(response.read(64, &call()), Err(Error::Cancelled));
}

#[test]
fn cancelling_ends_a_wait() {
    let (port, seen) = serve(|_| ());
    let egress = egress(port);
    let call = Call { until: Instant::now() + PATIENCE * 10, cancel: Cancel::default() };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| egress.send(at(port), &call).err());
        assert!(matches!(seen.recv_timeout(PATIENCE).unwrap(), Seen::Request(_)));
        call.cancel.cancel();
        assert_closes(&seen);
        assert_eq!(waiting.join().unwrap(), Some(Error::Cancelled));
    });

    let short = Call { until: Instant::now() + Duration::from_millis(100), cancel: Cancel::default() };
    let error = egress.send(at(port), &short).err().unwrap();
    assert!(matches!(&error, Error::Timeout(words) if words.contains("deadline")), "{error:?}");
    assert_closes(&seen);
}

#[test]
fn exchanges_are_counted() {
    let (port, _) = answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    let egress = egress_with(&[format!("127.0.0.1:{port}")], Limits { exchanges_max: 2, ..patient() });
    let open: Vec<_> = (0..2).map(|_| egress.send(at(port), &call()).unwrap()).collect();
    let error = egress.send(at(port), &call()).err().unwrap();
    assert!(matches!(error, Error::Limit("http-exchanges", _)), "{error:?}");
    for response in open {
        assert_eq!(body_of(response).unwrap(), "x");
    }
    assert!(egress.send(at(port), &call()).is_ok());
}

#[test]
fn secrets_go_up_and_never_come_back() {
    const SECRET: &str = "s3cret-0123456789";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    // Echoes what it was sent, in a header and in the body, byte by byte.
    let (port, seen) = serve(|stream| {
        let head = format!(
            "HTTP/1.1 401 No\r\nX-Echo: Bearer {SECRET}\r\nContent-Length: {}\r\n\r\n",
            SECRET.len() + 2
        );
        stream.write_all(head.as_bytes()).unwrap();
        for byte in format!("<{SECRET}>").bytes() {
            stream.write_all(&[byte]).unwrap();
            stream.flush().unwrap();
        }
    });
    let sources: BTreeMap<_, _> = [("key".to_owned(), SecretSource::File(path))].into();
    let origins = [format!("127.0.0.1:{port}")];
    let network = Arc::new(Network::with(resolver(&[]), None));
    let egress = Egress::new("p", grants(&origins), Secrets::new("p", sources), patient(), network);
    let with = |url: String, value: &str| Request {
        headers: vec![("Authorization".into(), value.into())],
        ..get(url)
    };
    let here = format!("http://127.0.0.1:{port}/");
    let response = egress.send(with(here.clone(), "Bearer {{secret:key}}"), &call()).unwrap();
    let headers = format!(
        "{:?}",
        response.headers().iter().map(|(_, v)| String::from_utf8_lossy(v)).collect::<Vec<_>>()
    );
    assert!(headers.contains("Bearer {{secret:key}}") && !headers.contains(SECRET), "{headers}");
    assert_eq!(body_of(response).unwrap(), "<{{secret:key}}>");
    let Seen::Request(sent) = seen.recv_timeout(PATIENCE).unwrap() else { panic!() };
    assert!(sent.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{sent}");

    // Nothing that a guest can see has it: not a refusal, not a header that can't be, not a failed exchange.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wider = egress_with(&[format!("127.0.0.1:{closed}")], patient());
    let closed = format!("http://127.0.0.1:{closed}/");
    for (egress, url, value) in [
        (&egress, "http://evil.example/".to_owned(), "{{secret:key}}"),
        (&egress, here.clone(), "{{secret:key}}\r\nx: y"),
        (&egress, here.clone(), "{{secret:other}}"),
        (&egress, here + "{{secret:key}}", "{{secret:key"),
        (&wider, closed, "{{secret:key}}"),
    ] {
        if let Err(error) = egress.send(with(url, value), &call()) {
            assert!(!format!("{error:?} {error}").contains(SECRET), "{error}");
        }
    }
    let Seen::Closed = seen.recv_timeout(PATIENCE).unwrap() else { panic!("the refused ones were sent") };
    let Seen::Request(sent) = seen.recv_timeout(PATIENCE).unwrap() else { panic!() };
    assert!(!sent.contains(SECRET), "only values of headers have secrets put in: {sent}");
}

#[test]
fn certificates_are_checked() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            if request_of(&mut tls).starts_with("GET / ") {
                tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
            }
        }
    });
    let send = |roots: RootCertStore, url: &str| {
        let network = Arc::new(Network::with(resolver(&[]), Some(roots)));
        let origins = [format!("https://localhost:{port}"), format!("https://127.0.0.1:{port}")];
        Egress::new("p", grants(&origins), Secrets::default(), patient(), network).send(get(url), &call())
    };
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate).unwrap();
    let url = format!("https://localhost:{port}/");
    assert_eq!(body_of(send(trusted.clone(), &url).unwrap()).unwrap(), "hi");
    let other_name = send(trusted, &format!("https://127.0.0.1:{port}/")).err().unwrap();
    assert!(matches!(&other_name, Error::Unavailable(words) if words.contains("TLS")), "{other_name:?}");
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut others = RootCertStore::empty();
    others.add(stranger.cert.der().clone()).unwrap();
    let untrusted = send(others, &url).err().unwrap();
    assert!(matches!(&untrusted, Error::Unavailable(words) if words.contains("TLS")), "{untrusted:?}");
    let none = send(RootCertStore::empty(), &url).err().unwrap();
    assert!(matches!(&none, Error::Unavailable(words) if words.contains("ca-certificates")), "{none:?}");
}
