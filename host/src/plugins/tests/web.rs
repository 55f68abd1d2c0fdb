//! Guests that talk to servers: the import, the grants, and how an exchange ends with its generation.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::config::SecretSource;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// Hands each connection out once its request was read.
pub fn server() -> (u16, Receiver<(String, TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut bytes = vec![0; 4096];
            let mut len = 0;
            while !bytes[..len].ends_with(b"\r\n\r\n012") {
                len += stream.read(&mut bytes[len..]).unwrap();
            }
            sender.send((String::from_utf8(bytes[..len].to_vec()).unwrap(), stream)).unwrap();
        }
    });
    (port, requests)
}

fn install(port: u16, asks: bool, granted: bool) -> TestHost {
    let mut host = TestHost::new();
    let ask = if asks { "[capabilities]\nhttp = { why = \"a test\" }\n[limits]" } else { "[limits]" };
    let manifest = manifest("guest", Role::Generator).replace("[limits]", ask);
    let guest = web_generator(&format!("http://127.0.0.1:{port}/v1"));
    host.install("guest", &manifest, &component(Role::Generator, &guest));
    let key = host.plugin_dir().join("key");
    fs::write(&key, "s3cret-0123456789").unwrap();
    let grant = GrantConfig {
        http: granted.then(|| format!("http://127.0.0.1:{port}")).into_iter().collect(),
        secrets: [("key".to_owned(), SecretSource::File(key))].into(),
        ..GrantConfig::default()
    };
    host.config.grants.insert("guest".into(), grant);
    host
}

pub fn assert_closed(stream: &mut TcpStream) {
    let mut buffer = [0; 64];
    // A reset is an end as well; only an open connection runs into the timeout.
    let end = stream.read(&mut buffer);
    let is_open = |error: &std::io::Error| {
        matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
    };
    assert!(!end.as_ref().is_err_and(is_open) && !matches!(end, Ok(n) if n > 0), "still open: {end:?}");
}

#[test]
fn a_granted_generator_streams_from_its_server() {
    let (port, requests) = server();
    let host = install(port, true, true);
    let plugins = host.load();
    assert_eq!(state(&plugins, "guest"), PluginState::Ready);
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let begun =
        std::thread::spawn(move || generator.generate(&GenerateRequest::default()).map(|g| (g, generator)));
    let (head, mut stream) = requests.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("POST /v1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer s3cret-0123456789\r\n"), "{head}");
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut generation, generator) = begun.join().unwrap().unwrap();
    for piece in ["one", "two"] {
        stream.write_all(piece.as_bytes()).unwrap();
        assert_eq!(generation.next().unwrap().unwrap(), [GenerateEvent::Text(piece.into())]);
    }
    stream.write_all(b"your key is s3cret-0123456789").unwrap();
    let GenerateEvent::Text(echo) = generation.next().unwrap().unwrap().remove(0) else { panic!() };
    assert_eq!(echo, "your key is {{secret:key}}");

    // The guest leaves its answer open; the host does not.
    drop(generation);
    assert_closed(&mut stream);
    drop(generator);
    let info = plugins.list().remove(0);
    let traffic = info.egress[&format!("127.0.0.1:{port}")];
    assert_eq!((traffic.requests, traffic.received_bytes), (1, 35), "{traffic:?}");
    assert_eq!((info.egress.len(), info.egress_refused), (1, 0));
}

#[test]
fn a_guest_that_will_not_let_go_keeps_nothing_open() {
    let (port, requests) = server();
    let mut host = install(port, true, true);
    let dtor = r#"(func (export "smartrag:plugin/generator@0.1.0#[dtor]generation") (param i32)
        (loop $forever (br $forever)))
        (func (export "smartrag:plugin/generator@0.1.0#describe")"#;
    let guest = web_generator(&format!("http://127.0.0.1:{port}/v1"))
        .replace("(func (export \"smartrag:plugin/generator@0.1.0#describe\")", dtor);
    let manifest = fs::read_to_string(host.plugin_dir().join("guest/plugin.toml")).unwrap();
    host.install("guest", &manifest, &component(Role::Generator, &guest));
    host.config.grants.get_mut("guest").unwrap().deadline_ms = Some(3_000);
    let plugins = host.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let (stream, generation) = std::thread::scope(|scope| {
        let answering = scope.spawn(move || {
            let (_, mut stream) = requests.recv_timeout(PATIENCE).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nx").unwrap();
            stream
        });
        let generation = generator.generate(&GenerateRequest::default()).unwrap();
        (answering.join().unwrap(), generation)
    });
    let dropping = std::thread::spawn(move || drop(generation));
    assert_closed(&mut { stream });
    assert!(!dropping.is_finished(), "the guest still holds on");
    dropping.join().unwrap();
    assert_eq!(plugins.list()[0].traps, 1);
}

#[test]
fn more_generations_than_exchanges_leave_nothing_behind() {
    let (port, requests) = server();
    let host = install(port, true, true);
    let plugins = host.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let answering = std::thread::spawn(move || {
        for (_, mut stream) in requests.iter().take(80) {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nx").unwrap();
            assert_closed(&mut stream);
        }
    });
    for _ in 0..80 {
        let mut generation = generator.generate(&GenerateRequest::default()).unwrap();
        assert_eq!(generation.next().unwrap().unwrap(), [GenerateEvent::Text("x".into())]);
    }
    answering.join().unwrap();
}

#[test]
fn cancelling_ends_a_wait_for_the_server() {
    let (port, requests) = server();
    let host = install(port, true, true);
    let plugins = host.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let request = GenerateRequest::default();
    let cancel = request.cancel.clone();
    let waiting = std::thread::spawn(move || generator.generate(&request).err());
    let (_, mut stream) = requests.recv_timeout(PATIENCE).unwrap();
    cancel.cancel();
    assert_closed(&mut stream);
    assert_eq!(waiting.join().unwrap().unwrap().kind.code(), "cancelled");
}

#[test]
fn a_server_that_says_nothing_costs_one_deadline() {
    let (port, requests) = server();
    let mut host = install(port, true, true);
    host.config.grants.get_mut("guest").unwrap().deadline_ms = Some(300);
    let plugins = host.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let error = generator.generate(&GenerateRequest::default()).err().unwrap();
    assert_eq!(error.kind.code(), "backend_timeout", "{error}");
    assert!(error.message.contains("`deadline`"), "{error}");
    assert_closed(&mut requests.recv_timeout(PATIENCE).unwrap().1);
    assert_eq!(plugins.list()[0].traps, 0, "the guest was told, not killed");
}

#[test]
fn a_failed_exchange_is_an_error_of_that_call() {
    let (port, requests) = server();
    let host = install(port, true, true);
    let plugins = host.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    std::thread::spawn(move || {
        let (_, stream) = requests.recv_timeout(PATIENCE).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
        let (_, mut stream) = requests.recv_timeout(PATIENCE).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").unwrap();
    });
    let error = generator.generate(&GenerateRequest::default()).err().unwrap();
    assert_eq!((error.kind.code(), error.retryable), ("backend_error", true), "{error}");
    let pieces: Vec<_> = generator.generate(&GenerateRequest::default()).unwrap().collect();
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[1].as_ref().unwrap_err().kind.code(), "backend_error");
    assert_eq!(plugins.list()[0].traps, 0);
}

#[test]
fn a_guest_goes_nowhere_else() {
    let (port, requests) = server();
    let mut elsewhere = install(port, true, true);
    elsewhere.config.grants.get_mut("guest").unwrap().http = vec![format!("localhost:{port}")];
    let plugins = elsewhere.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let error = generator.generate(&GenerateRequest::default()).err().unwrap();
    assert_eq!(error.kind.code(), "denied");
    assert!(
        error.message.contains(&format!("`plugins.grants.guest.http: [\"127.0.0.1:{port}\"]`")),
        "{error}"
    );
    assert!(requests.try_recv().is_err());
    assert_eq!((plugins.list()[0].egress_refused, plugins.list()[0].egress.len()), (1, 0));
}

#[test]
fn a_grant_for_one_component_is_for_no_other() {
    let mut host = install(1, true, true);
    let pin = |host: &mut TestHost, hash: &str| {
        host.config.grants.get_mut("guest").unwrap().sha256 = Some(hash.to_owned());
        host.load().list().remove(0)
    };
    let refused = pin(&mut host, &"0a".repeat(32));
    let PluginState::Failed(reason) = &refused.state else { panic!("{refused:?}") };
    assert!(
        reason.contains("plugins.grants.guest.sha256") && reason.contains(&refused.id.sha256),
        "{reason}"
    );
    assert_eq!((refused.asked.len(), refused.granted.len()), (1, 0));
    assert_eq!(pin(&mut host, &refused.id.sha256).state, PluginState::Ready);
}

#[test]
fn without_a_grant_it_does_not_load() {
    let reason = |asks, granted| reason(&install(1, asks, granted).load(), "guest");
    let not_asked = reason(false, true);
    assert!(
        not_asked.contains("`smartrag:plugin/http@0.1.0`") && not_asked.contains("plugin.toml"),
        "{not_asked}"
    );
    let not_granted = reason(true, false);
    assert!(not_granted.contains("`smartrag:plugin/http@0.1.0`"), "{not_granted}");
    assert!(not_granted.contains("plugins.grants.guest.http"), "{not_granted}");
}
