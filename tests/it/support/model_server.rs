//! A server that speaks OpenAI's API, and Ollama's, of chats and of vectors, and behaves as the name of the model says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Numbers of a vector.
pub const DIMENSION: usize = 64;
/// The model `shy` has vectors for texts up to this.
const SHY_BYTES: usize = 20;

/// The server, until it is dropped.
pub struct ModelServer {
    pub port: u16,
    shared: Arc<Shared>,
    listens: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    /// Answers to `loading` until it is there.
    refusals: AtomicUsize,
    /// Bodies of the chats.
    chats: Mutex<Vec<Value>>,
    /// Bodies of the requests for vectors.
    embeds: Mutex<Vec<Value>>,
    /// What those are answered as, whichever model they name.
    embeds_as: Mutex<Option<String>>,
    /// When the other side went away in the middle of an answer.
    left: Mutex<Vec<Instant>>,
    /// Pieces that `flood` could send.
    flooded: AtomicUsize,
}

impl ModelServer {
    pub fn start() -> Self {
        Self::start_on(0)
    }

    pub fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared: Arc<Shared> = Arc::default();
        let of_thread = shared.clone();
        let listens = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_thread.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = of_thread.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, shared, listens: Some(listens) }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// The chats since the last look.
    pub fn chats(&self) -> Vec<Value> {
        std::mem::take(&mut self.shared.chats.lock().unwrap())
    }

    /// Where it is for Ollama's API.
    pub fn ollama_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests for vectors since the last look.
    pub fn embeds(&self) -> Vec<Value> {
        std::mem::take(&mut self.shared.embeds.lock().unwrap())
    }

    /// Vectors are those of this model from now on, whichever one a request names; `None`: of that one.
    pub fn embeds_as(&self, model: Option<&str>) {
        *self.shared.embeds_as.lock().unwrap() = model.map(str::to_owned);
    }

    /// When the other side went away in the middle of an answer, since the last look.
    pub fn left(&self) -> Vec<Instant> {
        std::mem::take(&mut self.shared.left.lock().unwrap())
    }

    /// Pieces that `flood` could send so far.
    pub fn flooded(&self) -> usize {
        self.shared.flooded.load(Ordering::Relaxed)
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread, which lets the port go; until then others could still be let in, and forgotten.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.listens.take().map(JoinHandle::join);
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let Some((path, body)) = request(&stream) else { return };
    // A client that went away is none of the server's business.
    let _ = match path.as_str() {
        "/v1/models" => {
            whole(&mut stream, "200 OK", "", &json!({"data": [{"id": "plain"}, {"id": "other"}]}))
        }
        "/v1/chat/completions" => {
            let model = body["model"].as_str().unwrap_or_default().to_owned();
            let alone = body["messages"].as_array().is_some_and(|messages| messages.len() == 1);
            shared.chats.lock().unwrap().push(body);
            // Answers questions, but does not rewrite them.
            let model = if model == "stubborn" && alone { "broken" } else { &model };
            chat(&mut stream, model, shared)
        }
        "/api/tags" => whole(
            &mut stream,
            "200 OK",
            "",
            &json!({"models": [{"name": "plain:latest", "digest": "4e9a7c2b51d8f036"}]}),
        ),
        "/api/show" => {
            whole(&mut stream, "200 OK", "", &json!({"model_info": {"llama.context_length": 4096}}))
        }
        "/v1/embeddings" => vectors(&mut stream, body, shared, |rows| {
            // Not in order, as the API allows.
            let item = |(index, row)| json!({"object": "embedding", "index": index, "embedding": row});
            let data: Vec<Value> = rows.into_iter().enumerate().map(item).rev().collect();
            json!({"object": "list", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}})
        }),
        "/api/embed" => vectors(
            &mut stream,
            body,
            shared,
            |rows| json!({"model": "plain", "embeddings": rows, "prompt_eval_count": 7}),
        ),
        "/api/chat" => {
            shared.chats.lock().unwrap().push(body);
            lines(&mut stream)
        }
        _ => whole(&mut stream, "404 Not Found", "", &json!({"error": {"message": "no such call"}})),
    };
}

fn request(stream: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let lower = line.trim().to_lowercase();
        if path.is_empty() {
            path = line.split(' ').nth(1)?.to_owned();
        } else if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        } else if lower.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, serde_json::from_slice(&body).unwrap_or_default()))
}

fn whole(stream: &mut TcpStream, status: &str, more: &str, body: &Value) -> std::io::Result<()> {
    text(stream, status, &format!("Content-Type: application/json\r\n{more}"), &body.to_string())
}

fn text(stream: &mut TcpStream, status: &str, head: &str, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn chat(stream: &mut TcpStream, model: &str, shared: &Shared) -> std::io::Result<()> {
    if let Some(failed) = failure(stream, model, shared) {
        return failed;
    }
    if model == "lying" {
        // Promises more than it sends.
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n";
        write!(stream, "{head}")?;
        return stream.write_all(delta("half ").as_bytes());
    }
    events(stream, model, shared)
}

/// What a model does that fails whatever it is asked for.
fn failure(stream: &mut TcpStream, model: &str, shared: &Shared) -> Option<std::io::Result<()>> {
    let error = |message: &str| json!({"error": {"message": message}});
    Some(match model {
        "loading" if shared.refusals.fetch_add(1, Ordering::Relaxed) < 2 => {
            whole(stream, "503 Service Unavailable", "", &error("Loading model"))
        }
        "starting" => whole(stream, "503 Service Unavailable", "", &error("Loading model")),
        "busy" => whole(stream, "429 Too Many Requests", "Retry-After: 120\r\n", &error("slow down")),
        "broken" => whole(stream, "500 Internal Server Error", "", &error("out of memory")),
        "unknown" => whole(stream, "404 Not Found", "", &error("model 'unknown' not found")),
        "small" => {
            whole(stream, "400 Bad Request", "", &error("the request exceeds the available context size"))
        }
        "page" => text(stream, "200 OK", "Content-Type: text/html\r\n", "<html>Sign in</html>"),
        "silent" => stream.read(&mut [0; 1]).map(drop),
        _ => return None,
    })
}

/// Vectors as the name of the model says; `form` makes an answer of them.
fn vectors(
    stream: &mut TcpStream,
    body: Value,
    shared: &Shared,
    form: impl Fn(Vec<Value>) -> Value,
) -> std::io::Result<()> {
    let named = body["model"].as_str().unwrap_or_default().to_owned();
    let model = shared.embeds_as.lock().unwrap().clone().unwrap_or(named);
    let texts = body["input"].as_array().cloned().unwrap_or_default();
    let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
    shared.embeds.lock().unwrap().push(body.clone());
    let fails = model == "shy" && texts.iter().any(|text| text.len() > SHY_BYTES);
    if let Some(failed) = failure(stream, if fails { "broken" } else { &model }, shared) {
        return failed;
    }
    let mut rows: Vec<Vec<Option<f32>>> = texts.iter().map(|text| words(text)).collect();
    match model.as_str() {
        "few" => drop(rows.pop()),
        "narrow" => rows.iter_mut().for_each(|row| row.truncate(DIMENSION / 2)),
        "holes" => rows.iter_mut().for_each(|row| row[0] = None),
        _ => {}
    }
    whole(stream, "200 OK", "", &form(rows.into_iter().map(|row| json!(row)).collect()))
}

/// How often each word is in a text; words share places.
fn words(text: &str) -> Vec<Option<f32>> {
    let mut row = vec![0.0; DIMENSION];
    for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let hash = word
            .bytes()
            .fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        row[hash as usize % DIMENSION] += 1.0;
    }
    row.into_iter().map(Some).collect()
}

fn events(stream: &mut TcpStream, model: &str, shared: &Shared) -> std::io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n",
    )?;
    match model {
        "empty" => {}
        "cut" => return stream.write_all(delta("half an ans").as_bytes()),
        "endless" => loop {
            let sent = stream.write_all(delta("and on ").as_bytes());
            if sent.is_err() {
                shared.left.lock().unwrap().push(Instant::now());
                return sent;
            }
            std::thread::sleep(Duration::from_millis(5));
        },
        "flood" => loop {
            stream.write_all(delta("and on and on and on and on ").as_bytes())?;
            shared.flooded.fetch_add(1, Ordering::Relaxed);
        },
        "numbers" => {
            for number in 0..200 {
                stream.write_all(delta(&format!("{number} ")).as_bytes())?;
            }
        }
        "invents" => stream.write_all(delta("It is so [1]. But also [7], and [2, 9].").as_bytes())?,
        "mute" => stream.write_all(delta("It is so.").as_bytes())?,
        _ => {
            for word in ["The ", "heron ", "stands ", "in the ", "pond ", "[1]."] {
                stream.write_all(delta(word).as_bytes())?;
            }
        }
    }
    let end = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 6}});
    write!(stream, "data: {end}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// As Ollama answers.
fn lines(stream: &mut TcpStream) -> std::io::Result<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n")?;
    for word in ["The heron ", "stands in the pond [1]."] {
        writeln!(stream, "{}", json!({"message": {"role": "assistant", "content": word}, "done": false}))?;
    }
    let end = json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 7, "eval_count": 6});
    writeln!(stream, "{end}")
}

fn delta(text: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}, "finish_reason": null}]}))
}
