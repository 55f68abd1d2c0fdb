//! `fetch` in JavaScript: through `wasi:http` to the broker, and back in pieces. Needs the tools of that language.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use crate::plugin_languages::built;
use crate::support::author::{assert_has, command, done, ended};

const PLUGIN: &str = r#"
import { get } from "smartrag:plugin/config@0.1.0";

class Generation {
  constructor(reader) {
    this.reader = reader;
  }
  async next() {
    const { value, done } = this.reader ? await this.reader.read() : { done: true };
    if (!done) return [{ tag: "text", val: new TextDecoder().decode(value) }];
    if (!this.reader) return [];
    this.reader = undefined;
    return [{ tag: "finish", val: "stop" }];
  }
}

export const generator = {
  Generation,
  describe() {
    return { name: "fetcher", version: "0.1.0", description: "", configSchema: "{}", properties: [] };
  },
  info() {
    return { model: "m", strong: false, wantsSentences: false, properties: [] };
  },
  async generate(request) {
    try {
      const headers = { authorization: "Bearer {{secret:key}}" };
      const answer = await fetch(JSON.parse(get()).url, { method: "POST", headers, body: request.question });
      return new Generation(answer.body.getReader());
    } catch (error) {
      throw { kind: { tag: "upstream" }, message: String(error), retryable: true };
    }
  },
  countTokens(texts) {
    return texts.map((text) => text.length);
  },
};
"#;

/// Answers each POST with its body, in two pieces; what came is handed out.
fn echo() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (head, body) = request(stream.as_ref().unwrap());
            let (first, second) = body.split_at(body.len() / 2);
            let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
            let answer = ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &chunk(first)].concat();
            let mut stream = stream.unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            stream.write_all(format!("{}0\r\n\r\n", chunk(second)).as_bytes()).unwrap();
            sender.send(head).unwrap();
        }
    });
    (port, seen)
}

/// Head and body of a request with a length.
fn request(stream: &TcpStream) -> (String, String) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn fetch_takes_the_brokers_way() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &["new", "--role", "generator", "--lang", "javascript", "fetcher"]);
    let project = dir.path().join("fetcher");
    fs::write(project.join("src/plugin.js"), PLUGIN).unwrap();
    let manifest = project.join("plugin.toml");
    let asking = fs::read_to_string(&manifest).unwrap() + "\n[capabilities]\nhttp = { why = \"a test\" }\n";
    fs::write(&manifest, asking).unwrap();
    built(&project, &[]);

    let (port, seen) = echo();
    fs::write(dir.path().join("key"), "s3cret-0123456789").unwrap();
    let config = dir.path().join("config.yaml");
    let run = |granted: u16| {
        let key = dir.path().join("key");
        let grant =
            format!("{{http: [\"127.0.0.1:{granted}\"], secrets: {{key: \"file:{}\"}}}}", key.display());
        fs::write(&config, format!("plugins: {{grants: {{fetcher: {grant}}}}}\n")).unwrap();
        asked(&project, &config, &format!("http://127.0.0.1:{port}/v1"))
    };
    assert_has(&ended(0, run(port)), &["When does it open?"]);
    let head = seen.recv().unwrap();
    assert_has(&head, &["POST /v1 HTTP/1.1", "authorization: Bearer s3cret-0123456789\r\n"]);
    let refused = ended(1, run(1));
    let grant = format!("plugins.grants.fetcher.http: [\\\"127.0.0.1:{port}\\\"]");
    assert_has(&refused, &["[backend_error]", "is not granted", &grant]);
    assert!(seen.try_recv().is_err());
}

fn asked(project: &Path, config: &Path, url: &str) -> std::process::Command {
    let mut run = command(project, &["run", ".", "When does it open?"]);
    run.args(["--settings", &format!("{{\"url\": \"{url}\"}}"), "--config", config.to_str().unwrap()]);
    run
}
