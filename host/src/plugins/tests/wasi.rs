//! The empty machine that guests with WASI get, and their way to servers.

use super::wasi_guests::*;
use super::web::{PATIENCE, assert_closed, server};
use super::*;
use crate::config::SecretSource;

fn machine_host(statements: &str, len: u32) -> TestHost {
    let host = TestHost::new();
    host.install(
        "guest",
        &wasi_manifest(Role::Parser),
        &wasi_component(Role::Parser, &machine(statements, len)),
    );
    host
}

/// The numbers that the statements wrote, by way of a fresh instance.
fn numbers(statements: &str, count: u32) -> Vec<u64> {
    let text = parse(&machine_host(statements, count * 16)).unwrap().text;
    text.as_bytes()
        .chunks(16)
        .map(|digits| u64::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

fn code_of_machine(statements: &str) -> String {
    parse(&machine_host(statements, 0)).unwrap_err().kind.code().to_owned()
}

#[test]
fn the_machine_is_empty() {
    let statements = "
        (call $environment (i32.const 64)) (call $int (i32.const 68))
        (call $arguments (i32.const 64)) (call $int (i32.const 68))
        (call $directories (i32.const 64)) (call $int (i32.const 68))
        (call $tcp (i32.const 0) (i32.const 64)) (call $byte (i32.const 64)) (call $byte (i32.const 68))
        (call $read (call $stdin) (i64.const 9) (i32.const 64)) (call $byte (i32.const 64)) (call $byte (i32.const 68))";
    let (access_denied, closed) = (1, 1);
    assert_eq!(numbers(statements, 7), [0, 0, 0, 1, access_denied, 1, closed]);
}

#[test]
fn time_and_randomness_are_made_up() {
    let statements = "
        (call $hex (call $now)) (call $hex (call $now))
        (call $wall (i32.const 64)) (call $hex (i64.load (i32.const 64)))
        (call $hex (call $random)) (call $hex (call $random))";
    let first = numbers(statements, 5);
    assert!(first[0] < first[1], "time passes: {first:?}");
    assert_eq!(first[2], 946_684_800, "2000-01-01");
    assert_ne!(first[3], first[4]);
    assert_eq!(numbers(statements, 5), first, "another instance, the same machine");
}

#[test]
fn sleep_takes_no_time() {
    let hour = 3_600_000_000_000_u64;
    let statements = format!(
        "(call $hex (call $now))
         (call $block (call $timer (i64.const {hour})))
         (call $hex (call $now))
         ;; The shorter one wakes first.
         (call $put (i32.const 2048) (call $timer (i64.const {})))
         (call $put (i32.const 2052) (call $timer (i64.const {hour})))
         (call $poll (i32.const 2048) (i32.const 2) (i32.const 64))
         (call $int (i32.const 68)) (call $int (i32.load (i32.const 64)))
         (call $hex (call $now))
         ;; Looking again and again ends, too.
         (call $put (i32.const 2048) (call $timer (i64.const 1000000)))
         (loop $look (br_if $look (i32.eqz (call $ready (i32.load (i32.const 2048))))))",
        2 * hour
    );
    let [before, after, count, index, later] = numbers(&statements, 5)[..] else { panic!() };
    assert!((hour..hour + 1_000_000).contains(&(after - before)), "{before} {after}");
    assert_eq!((count, index), (1, 1));
    assert!((hour..hour + 1_000_000).contains(&(later - after)), "{after} {later}");
}

#[test]
fn sleeping_for_ever_ends_with_the_call() {
    let host = TestHost::new();
    let short = wasi_manifest(Role::Parser).replace("20s", "100ms");
    let sleep = "(call $put (i32.const 2048) (call $timer (i64.const 9223372036854775807)))
        (call $block (i32.load (i32.const 2048))) (call $forget (i32.load (i32.const 2048)))";
    for step in [sleep, "(drop (call $now))"] {
        let statements = format!("(loop $again {step} (br $again))");
        host.install("guest", &short, &wasi_component(Role::Parser, &machine(&statements, 0)));
        assert_eq!(parse(&host).unwrap_err().kind.code(), "limit_time", "{step}");
    }
}

#[test]
fn exit_is_an_error_of_its_own() {
    let error = parse(&machine_host("(call $exit (i32.const 1))", 0)).unwrap_err();
    assert_eq!(error.kind.code(), "exit");
    assert!(error.message.contains("exit status 1"), "{error}");
    assert!(error.kind.is_crash());
}

#[test]
fn what_is_asked_of_the_machine_is_bounded() {
    assert_eq!(code_of_machine("(call $bytes (i64.const 1099511627776) (i32.const 64))"), "trap");
    assert_eq!(code_of_machine("(loop $more (drop (call $stdout)) (br $more))"), "limit_handles");
    // 4,000 KB of lines end in nothing worse than a shorter log.
    let flood = "(i32.store8 (i32.const 1039) (i32.const 10)) (call $put (i32.const 2048) (call $stdout))
        (call $put (i32.const 2052) (i32.const 0))
        (loop $more
            (call $write (i32.load (i32.const 2048)) (i32.const 1024) (i32.const 4096) (i32.const 64))
            (call $put (i32.const 2052) (i32.add (i32.load (i32.const 2052)) (i32.const 1)))
            (br_if $more (i32.lt_u (i32.load (i32.const 2052)) (i32.const 1000))))
        (call $hex (call $now))";
    assert_eq!(numbers(flood, 1).len(), 1);
}

#[test]
fn without_the_line_in_the_manifest_it_does_not_load() {
    let host = TestHost::new();
    let component = wasi_component(Role::Parser, &machine("(call $hex (call $now))", 16));
    host.install("guest", &manifest("guest", Role::Parser), &component);
    let reason = reason(&host.load(), "guest");
    assert!(reason.contains("wasi:") && reason.contains("`wasi = true`"), "{reason}");
}

fn web(port: u16, asks: bool, granted: bool) -> TestHost {
    let mut host = TestHost::new();
    let ask = if asks { "[capabilities]\nhttp = { why = \"a test\" }\n[limits]" } else { "[limits]" };
    let manifest = wasi_manifest(Role::Generator).replace("[limits]", ask);
    let guest = wasi_web_generator(&format!("127.0.0.1:{port}"));
    host.install("guest", &manifest, &wasi_component(Role::Generator, &guest));
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

#[test]
fn it_streams_from_its_server() {
    use std::io::Write;
    let (port, requests) = server();
    let host = web(port, true, true);
    let plugins = host.load();
    assert_eq!(state(&plugins, "guest"), PluginState::Ready);
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let begun = std::thread::spawn(move || generator.generate(&GenerateRequest::default()));
    let (head, mut stream) = requests.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("POST /v1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer s3cret-0123456789\r\n"), "{head}");
    assert!(head.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{head}");
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let mut generation = begun.join().unwrap().unwrap();
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
}

#[test]
fn an_answer_ends_or_breaks_off() {
    use std::io::Write;
    let (port, requests) = server();
    let host = web(port, true, true);
    let plugins = host.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    std::thread::spawn(move || {
        for head in ["Content-Length: 3", "Content-Length: 9"] {
            let (_, mut stream) = requests.recv_timeout(PATIENCE).unwrap();
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nabc").as_bytes()).unwrap();
        }
        // No answer at all.
        drop(requests.recv_timeout(PATIENCE).unwrap());
    });
    let pieces = || generator.generate(&GenerateRequest::default()).unwrap().collect::<Vec<_>>();
    let text = [GenerateEvent::Text("abc".into())];
    let whole = pieces();
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0].as_ref().unwrap()[..], text);
    let broken = pieces();
    assert_eq!(broken[0].as_ref().unwrap()[..], text);
    assert_eq!(broken[1].as_ref().unwrap_err().kind.code(), "backend_error");
    let error = generator.generate(&GenerateRequest::default()).err().unwrap();
    assert_eq!(error.kind.code(), "backend_error", "{error}");
    assert_eq!(plugins.list()[0].traps, 0);
}

#[test]
fn cancelling_ends_its_wait() {
    let (port, requests) = server();
    let host = web(port, true, true);
    let plugins = host.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let request = GenerateRequest::default();
    let cancel = request.cancel.clone();
    let waiting = std::thread::spawn(move || generator.generate(&request).err());
    let (_, mut stream) = requests.recv_timeout(PATIENCE).unwrap();
    cancel.cancel();
    assert_closed(&mut stream);
    assert_eq!(waiting.join().unwrap().unwrap().kind.code(), "cancelled");
    assert_eq!(plugins.list()[0].traps, 0, "nobody's fault");
}

#[test]
fn its_deadline_ends_its_wait() {
    use std::io::Write;
    let (port, requests) = server();
    let mut host = web(port, true, true);
    host.config.grants.get_mut("guest").unwrap().deadline_ms = Some(500);
    let plugins = host.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let error = generator.generate(&GenerateRequest::default()).err().unwrap();
    assert_eq!(error.kind.code(), "backend_timeout", "{error}");
    assert_closed(&mut requests.recv_timeout(PATIENCE).unwrap().1);

    // A body that stops in the middle is no better, and the guest is told of both.
    let answering = std::thread::spawn(move || {
        let (_, mut stream) = requests.recv_timeout(PATIENCE).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nabc").unwrap();
        assert_closed(&mut stream);
    });
    let pieces: Vec<_> = generator.generate(&GenerateRequest::default()).unwrap().collect();
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[1].as_ref().unwrap_err().kind.code(), "backend_error");
    answering.join().unwrap();
    assert_eq!(plugins.list()[0].traps, 0, "the guest was told, not killed");
}

#[test]
fn it_goes_nowhere_else() {
    let (port, requests) = server();
    let mut elsewhere = web(port, true, true);
    elsewhere.config.grants.get_mut("guest").unwrap().http = vec![format!("localhost:{port}")];
    let plugins = elsewhere.load();
    let generator = plugins.generator("guest", &JsonMap::new()).unwrap();
    let error = generator.generate(&GenerateRequest::default()).err().unwrap();
    assert_eq!(error.kind.code(), "denied");
    assert!(requests.try_recv().is_err());
    for (asks, granted, what) in [(false, true, "plugin.toml"), (true, false, "plugins.grants.guest.http")] {
        let reason = reason(&web(port, asks, granted).load(), "guest");
        assert!(reason.contains("`wasi:http/") && reason.contains(what), "{reason}");
    }
}
