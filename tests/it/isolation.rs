//! Nobody sees, counts or learns of what is another user's: every route with an id in it, and every list.

use serde_json::{Value, json};

use super::support::{Answer, TestDaemon};

/// How a request says who it is from.
#[derive(Clone)]
enum As {
    Key(String),
    Header(&'static str),
}

impl As {
    async fn call(&self, daemon: &TestDaemon, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = daemon.request(method, path);
        let request = match self {
            As::Key(key) => request.bearer_auth(key),
            As::Header(user) => request.header("x-smartrag-user", *user),
        };
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        daemon.send(request).await
    }

    async fn get(&self, daemon: &TestDaemon, path: &str) -> Value {
        self.call(daemon, "GET", path, None).await.ok()
    }

    async fn post(&self, daemon: &TestDaemon, path: &str, body: Value) -> Value {
        self.call(daemon, "POST", path, Some(&body)).await.ok()
    }
}

/// What Ann has. The words of her document stand nowhere else.
struct Secrets {
    session: String,
    conversation: String,
    document: String,
    collection: String,
}

const WORDS: &str = "zyxophant";

async fn secrets(daemon: &TestDaemon, ann: &As) -> Secrets {
    let text = |key: &str, value: &Value| value[key].as_str().unwrap().to_owned();
    let session = text("session_id", &ann.post(daemon, "/api/v1/sessions", json!({"title": WORDS})).await);
    let body = json!({"session_id": session, "title": WORDS});
    let conversation = text("conversation_id", &ann.post(daemon, "/api/v1/conversations", body).await);
    let body =
        json!({"filename": format!("{WORDS}.md"), "text": format!("The {WORDS} sleeps."), "tags": [WORDS]});
    let document = text("document_id", &ann.post(daemon, "/api/v1/documents?wait=true", body).await);
    let body = json!({"filename": "b.md", "text": format!("Another {WORDS}."), "collection": WORDS});
    ann.post(daemon, "/api/v1/documents?wait=true", body).await;
    ann.post(daemon, "/api/v1/query", json!({"query": format!("Where is the {WORDS}?")})).await;
    Secrets { session, conversation, document, collection: format!("ann%2F{WORDS}") }
}

/// Routes whose names are no user's.
const NOBODYS: &[&str] = &["/plugins/{name}"];
/// Routes that only administrators reach, whatever the id.
const ADMINISTRATORS: &[&str] = &["/admin/users/{user_id}", "/admin/keys/{key_id}"];

/// Ann's id and one that does not exist, for a path with ids in it. A path that is not known here fails the test: say
/// whose its ids are.
fn ids<'a>(path: &str, secrets: &'a Secrets) -> Option<(&'a str, &'a str)> {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    if NOBODYS.contains(&path) || ADMINISTRATORS.contains(&path) {
        return None;
    }
    let unknown = "0190a5b0-0000-7000-8000-000000000000";
    Some(match path {
        _ if path.starts_with("/sessions/{id}") => (&secrets.session, unknown),
        _ if path.starts_with("/conversations/{id}") => (&secrets.conversation, unknown),
        _ if path.starts_with("/documents/{id}") => (&secrets.document, unknown),
        "/search/similar/{doc_id}" => (&secrets.document, unknown),
        _ if path.starts_with("/collections/{name}") => (&secrets.collection, "ann%2Fnothing"),
        "/v1/models/{id}" => ("smartrag/ann/zyxophant", "smartrag/ann/nothing"),
        // Tried out below: a WebSocket client asks for it.
        "/ws/v1/query/{session_id}" | "/ws/v1/events/{session_id}" => (&secrets.session, unknown),
        _ => panic!(
            "{path}: whose is the id in this path? Say so here, so that it is tried as somebody else's"
        ),
    })
}

/// A body that the route takes, so that the id alone decides.
fn body(method: &str, path: &str) -> Option<Value> {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    match (method, path) {
        ("PATCH", _) => Some(json!({"title": "x"})),
        ("POST", "/conversations/{id}/messages") => Some(json!({"role": "user", "content": "x"})),
        ("PUT", "/collections/{name}/grants/{user_id}") => Some(json!({"access": "read"})),
        _ => None,
    }
}

/// The path with this id in it; users in paths are somebody who has no part in it.
fn filled(path: &str, id: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    for part in &mut parts {
        *part = match *part {
            "{user_id}" => "carl",
            part if part.starts_with('{') => id,
            part => part,
        };
    }
    parts.join("/")
}

/// What an answer tells, but for the id that was asked for.
fn told(answer: &Answer, id: &str) -> (u16, Vec<String>, String) {
    let plain = id.replace("%2F", "/");
    let request_id = answer.headers["x-request-id"].to_str().unwrap();
    let body = answer.body.replace(request_id, "REQUEST").replace(&plain, "ID").replace(id, "ID");
    let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    (answer.status, names, body)
}

/// Every route that has an id in it: for Bob, Ann's is like one that does not exist.
async fn ids_of_others_are_not_found(daemon: &TestDaemon, ann: &As, bob: &As, secrets: &Secrets) {
    let document = daemon.get("/openapi.json").await;
    let document =
        if document.status == 200 { document.ok() } else { ann.get(daemon, "/openapi.json").await };
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.contains('{') {
            continue;
        }
        let Some((hers, unknown)) = ids(path, secrets) else { continue };
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if item.get(method.to_lowercase()).is_none() {
                continue;
            }
            let body = body(method, path);
            let of_hers = bob.call(daemon, method, &filled(path, hers), body.as_ref()).await;
            let of_none = bob.call(daemon, method, &filled(path, unknown), body.as_ref()).await;
            assert_eq!(told(&of_hers, hers), told(&of_none, unknown), "{method} {path}");
            assert!(of_hers.status == 404 || path.starts_with("/ws/"), "{method} {path}: {}", of_hers.body);
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried} routes only: is the document whole?");
}

/// Bodies that name something of Ann's.
async fn bodies_lead_nowhere(daemon: &TestDaemon, bob: &As, secrets: &Secrets) {
    let Secrets { session, conversation, document, .. } = secrets;
    let query = format!("Where is the {WORDS}?");
    let refused = [
        ("/query", json!({"query": query, "conversation_id": conversation}), 404),
        ("/query", json!({"query": query, "collection": format!("ann/{WORDS}")}), 422),
        ("/search", json!({"query": query, "collection": "ann/default"}), 422),
        ("/documents", json!({"filename": "a", "text": "x", "collection": format!("ann/{WORDS}")}), 422),
    ];
    for (path, body, status) in refused {
        let answer = bob.call(daemon, "POST", &format!("/api/v1{path}"), Some(&body)).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
    }
    let found = bob
        .post(
            daemon,
            "/api/v1/search",
            json!({"query": query, "collection": "*",
        "filter": {"document_id": [document]}}),
        )
        .await;
    assert_eq!(found["results"], json!([]), "{found}");
    if let As::Key(_) = bob {
        for path in ["/query", "/search", "/enrich", "/conversations", "/documents"] {
            let mut body = json!({"session_id": session});
            if path == "/documents" {
                body["filename"] = "a.md".into();
                body["text"] = "x".into();
            } else if path != "/conversations" {
                body["query"] = "x".into();
            }
            let answer = bob.call(daemon, "POST", &format!("/api/v1{path}"), Some(&body)).await;
            answer.problem(404, "not_found");
        }
        for list in ["/sessions", "/documents", "/conversations", "/collections"] {
            let answer = bob.call(daemon, "GET", &format!("/api/v1{list}?session_id={session}"), None).await;
            answer.problem(404, "not_found");
        }
        let answer = bob.call(daemon, "POST", "/api/v1/sessions", Some(&json!({"user_id": "ann"}))).await;
        answer.problem(403, "forbidden");
    }
}

/// Lists, searches, counts and figures of Bob, who has nothing.
async fn nothing_is_told(daemon: &TestDaemon, bob: &As) {
    for list in ["/sessions", "/documents?collection=*", "/documents", "/conversations", "/collections"] {
        let list = bob.get(daemon, &format!("/api/v1{list}")).await;
        assert_eq!(list, json!({"items": [], "next_cursor": null}));
    }
    for mode in ["hybrid", "keyword", "vector"] {
        for path in ["/search", "/documents/search"] {
            let body = json!({"query": WORDS, "mode": mode, "collection": "*", "explain": true});
            let found = bob.post(daemon, &format!("/api/v1{path}"), body).await.to_string();
            assert!(!found.contains("Another") && !found.contains("sleeps"), "{found}");
            assert!(found.contains("\"collections\":[]"), "{found}");
        }
    }
    let answer = bob.post(daemon, "/api/v1/query", json!({"query": WORDS, "collection": "*"})).await;
    assert_eq!(answer["sources"], json!([]), "{answer}");
    let models = bob.get(daemon, "/v1/models").await.to_string();
    assert!(!models.contains(WORDS), "{models}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_nobody_learns_of_others() {
    let (daemon, [ann, bob]) = TestDaemon::start_with_keys([("ann", "user"), ("bob", "user")], "");
    let (ann, bob) = (As::Key(ann), As::Key(bob));
    let secrets = secrets(&daemon, &ann).await;
    nothing_is_told(&daemon, &bob).await;
    ids_of_others_are_not_found(&daemon, &ann, &bob, &secrets).await;
    bodies_lead_nowhere(&daemon, &bob, &secrets).await;
    // What is of everybody together is for administrators.
    for path in ["/metrics", "/api/v1/metrics", "/api/v1/admin/users", "/api/v1/admin/keys"] {
        bob.call(&daemon, "GET", path, None).await.problem(403, "forbidden");
    }
    let health = bob.get(&daemon, "/api/v1/health").await;
    assert_eq!(health.as_object().unwrap().len(), 1, "{health}");
    for path in ["/api/v1/plugins/static-embed", "/api/v1/plugins/text"] {
        let plugin = bob.get(&daemon, path).await;
        assert_eq!(plugin["state"], "ready");
        for figure in ["calls", "traps", "busy_us", "memory_peak_bytes", "egress"] {
            assert!(plugin.get(figure).is_none(), "{plugin}");
        }
    }
    // It is all still there.
    let session = ann.get(&daemon, &format!("/api/v1/sessions/{}", secrets.session)).await;
    assert_eq!(session["title"], WORDS);
    assert_eq!(ann.get(&daemon, "/api/v1/documents").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_users_are_apart() {
    let daemon = TestDaemon::start();
    let (ann, bob) = (As::Header("ann"), As::Header("bob"));
    let secrets = secrets(&daemon, &ann).await;
    nothing_is_told(&daemon, &bob).await;
    ids_of_others_are_not_found(&daemon, &ann, &bob, &secrets).await;
    bodies_lead_nowhere(&daemon, &bob, &secrets).await;
}
