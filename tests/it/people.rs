//! Users, keys, roles, limits, and what is shared.

use std::path::Path;
use std::process::{Command, Output};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::support::model_server::ModelServer;
use super::support::{Answer, PATIENCE, SMARTRAG, TestDaemon, data_dir, new_key, serve};

async fn call(daemon: &TestDaemon, key: &str, method: &str, path: &str, body: &Value) -> Answer {
    let request = daemon.request(method, &format!("/api/v1{path}"));
    let request = if key.is_empty() { request } else { request.bearer_auth(key) };
    daemon.send(if body.is_null() { request } else { request.json(body) }).await
}

async fn get(daemon: &TestDaemon, key: &str, path: &str) -> Answer {
    call(daemon, key, "GET", path, &Value::Null).await
}

/// On the data directory of a daemon, whose configuration stands in it.
fn smartrag(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(SMARTRAG);
    command.args(arguments).arg("--data-dir").arg(data);
    command.env_remove("SMARTRAG_CONFIG").env_remove("SMARTRAG_URL").env_remove("SMARTRAG_API_KEY");
    command.output().unwrap()
}

fn printed(output: &Output) -> Value {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

fn text(name: &str, words: &str) -> Value {
    json!({"filename": name, "text": words})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_needs_a_key_of_the_right_role() {
    let users = [("root", "admin"), ("ann", "user"), ("eve", "reader")];
    let (daemon, [root, ann, eve]) = TestDaemon::start_with_keys(users, "");
    for (key, code) in
        [("", "unauthenticated"), ("sk-none", "unauthenticated"), (&ann[..ann.len() - 1], "unauthenticated")]
    {
        let answer = get(&daemon, key, "/documents").await;
        answer.problem(401, code);
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    }
    get(&daemon, "", "/nowhere").await.problem(401, "unauthenticated");
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(get(&daemon, "", path).await.status, 200);
    }
    let bare = get(&daemon, "", "/health").await.ok();
    assert_eq!(bare, json!({"status": bare["status"]}));
    get(&daemon, "", "/metrics").await.problem(401, "unauthenticated");
    assert_eq!(get(&daemon, &root, "/metrics").await.status, 200);
    assert!(get(&daemon, &root, "/health").await.ok()["metrics"].is_object());
    assert!(get(&daemon, &root, "/plugins/text").await.ok()["calls"].is_u64());
    assert!(get(&daemon, &root, "/plugins").await.ok()["items"][0]["calls"].is_u64());

    let wait = "/documents?wait=true";
    call(&daemon, &ann, "POST", wait, &text("a.md", "Herons wait.")).await.ok();
    call(&daemon, &eve, "POST", wait, &text("a.md", "x")).await.problem(403, "forbidden");
    call(&daemon, &eve, "POST", "/collections", &json!({"name": "c"})).await.problem(403, "forbidden");
    assert_eq!(get(&daemon, &eve, "/documents").await.ok()["items"], json!([]));
    let session = call(&daemon, &eve, "POST", "/sessions", &json!({})).await.ok();
    assert_eq!(session["user_id"], "eve");
    call(&daemon, &eve, "POST", "/query", &json!({"query": "herons?"})).await.ok();
    for path in ["/admin/optimize", "/admin/reload", "/admin/reindex", "/plugins/reload"] {
        call(&daemon, &ann, "POST", path, &Value::Null).await.problem(403, "forbidden");
    }
    // A key stands for its user, whatever a header says; an administrator's for whom it names.
    let request = daemon.request("GET", "/api/v1/documents").header("x-api-key", &eve);
    let answer = daemon.send(request.header("x-smartrag-user", "ann")).await;
    assert_eq!(answer.ok()["items"], json!([]));
    let request = daemon.request("GET", "/api/v1/documents").bearer_auth(&root);
    let answer = daemon.send(request.header("x-smartrag-user", "ann")).await;
    assert_eq!(answer.ok()["items"].as_array().unwrap().len(), 1);
    // In another dialect, and over MCP, the same.
    let chat = json!({"model": "smartrag", "messages": [{"role": "user", "content": "Where are herons?"}]});
    let answer = daemon.post("/v1/chat/completions", &chat).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &json!("unauthenticated")));
    let ingest = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "ingest_text", "arguments": {"filename": "m.md", "text": "x"}}});
    let mcp = |key: &str| {
        let request = daemon.request("POST", "/mcp").bearer_auth(key).json(&ingest);
        daemon.send(request.header("accept", "application/json, text/event-stream"))
    };
    let refused = mcp(&eve).await;
    assert!(refused.body.contains("forbidden"), "{}", refused.body);
    let taken = mcp(&ann).await;
    assert!(taken.body.contains("document_id"), "{}", taken.body);
    assert_eq!(get(&daemon, &ann, "/documents").await.ok()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_session_is_not_begun_with_keys() {
    let (daemon, [ann]) = TestDaemon::start_with_keys([("ann", "user")], "");
    let body = json!({"query": "x", "session_id": "user123"});
    call(&daemon, &ann, "POST", "/query", &body).await.problem(404, "not_found");
    let url = format!("{}/ws/v1/query/user123", daemon.url.replace("http", "ws"));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {ann}").parse().unwrap());
    let refused = connect_async(request).await.unwrap_err().to_string();
    assert!(refused.contains("404"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_session_id_is_taken_is_told_to_nobody() {
    let users = [("root", "admin"), ("ann", "user"), ("bob", "user")];
    let (daemon, [root, ann, bob]) = TestDaemon::start_with_keys(users, "");
    let own = call(&daemon, &ann, "POST", "/sessions", &json!({})).await.json();
    for id in [own["session_id"].as_str().unwrap(), "free"] {
        let problem = call(&daemon, &bob, "POST", "/sessions", &json!({"session_id": id}))
            .await
            .problem(422, "invalid_value");
        assert!(problem["detail"].as_str().unwrap().contains("leave it out"), "{problem}");
    }
    assert_eq!(call(&daemon, &root, "POST", "/sessions", &json!({"session_id": "mine"})).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_opens_nothing_and_its_sockets_close() {
    let (daemon, [root, ann]) = TestDaemon::start_with_keys([("root", "admin"), ("ann", "user")], "");
    let body = json!({"user_id": "ann", "role": "user", "label": "her laptop"});
    let made = call(&daemon, &root, "POST", "/admin/keys", &body).await;
    assert_eq!(made.status, 201);
    let (key, id) = (made.json()["key"].as_str().unwrap().to_owned(), made.json()["key_id"].clone());
    let listed = get(&daemon, &root, "/admin/keys?user_id=ann").await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&key) && listed.to_string().contains("her laptop"), "{listed}");

    let url = format!("{}/ws/v1/notifications", daemon.url.replace("http", "ws"));
    let open = |key: &str| {
        let mut request = url.clone().into_client_request().unwrap();
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        connect_async(request)
    };
    let (mut of_revoked, _) = open(&key).await.unwrap();
    let (mut of_other, _) = open(&root).await.unwrap();
    let (mut of_ann, _) = open(&ann).await.unwrap();
    let revoked =
        call(&daemon, &root, "DELETE", &format!("/admin/keys/{}", id.as_str().unwrap()), &Value::Null).await;
    assert_eq!(revoked.status, 204);
    get(&daemon, &key, "/documents").await.problem(401, "unauthenticated");
    let reason = tokio::time::timeout(PATIENCE, async {
        loop {
            match of_revoked.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.reason.to_string(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(reason.await.unwrap(), "the key was revoked");
    // An administrator hears what comes next.
    call(&daemon, &root, "POST", "/admin/reload", &Value::Null).await.ok();
    let heard = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Message::Text(text) = of_other.next().await.unwrap().unwrap() {
                return text.to_string();
            }
        }
    });
    assert!(heard.await.unwrap().contains("config_reloaded"));
    // It was no news for others.
    call(&daemon, &root, "DELETE", "/admin/users/ann", &Value::Null).await;
    let next = tokio::time::timeout(PATIENCE, async {
        loop {
            match of_ann.next().await.unwrap().unwrap() {
                Message::Ping(_) => {}
                other => return other,
            }
        }
    });
    let next = next.await.unwrap();
    assert!(matches!(next, Message::Close(_)), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_its_answers() {
    let server = ModelServer::start();
    let url = server.url();
    let config = format!(
        "backends:\n  default: server\n  server: {{plugin: openai, model: plain, base_url: \"{url}\"}}\n"
    );
    let (daemon, [root, ann]) = TestDaemon::start_with_keys([("root", "admin"), ("ann", "user")], &config);
    call(&daemon, &ann, "POST", "/documents?wait=true", &text("a.md", "Herons wait in the pond.")).await.ok();
    let keys = get(&daemon, &root, "/admin/keys?user_id=ann").await.ok();
    let id = keys["items"][0]["key_id"].as_str().unwrap().to_owned();
    let question = json!({"query": "Where do herons wait?", "model": "endless"});
    let request = daemon.request("POST", "/api/v1/query/stream").header("x-api-key", &ann).json(&question);
    let mut answer = request.send().await.unwrap();
    let mut heard = answer.chunk().await.unwrap().unwrap().to_vec();
    assert_eq!(call(&daemon, &root, "DELETE", &format!("/admin/keys/{id}"), &Value::Null).await.status, 204);
    let rest = tokio::time::timeout(PATIENCE, async {
        while let Ok(Some(chunk)) = answer.chunk().await {
            heard.extend(chunk);
        }
    });
    rest.await.expect("it ends");
    let heard = String::from_utf8(heard).unwrap();
    assert!(heard.contains("sources") && !heard.contains("\"done\""), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_collection_is_called_all() {
    let (daemon, [ann]) = TestDaemon::start_with_keys([("ann", "user")], "");
    let named = json!({"filename": "a.md", "text": "x", "collection": "*"});
    for (path, body) in [
        ("/collections", json!({"name": "*"})),
        ("/documents", named),
        ("/documents/delete", json!({"filter": {"tags": ["x"]}, "collection": "*"})),
    ] {
        let said = call(&daemon, &ann, "POST", path, &body).await;
        said.problem(422, "invalid_value");
        assert!(said.body.contains("stands for all collections"), "{path}: {}", said.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_keeps_users_and_keys() {
    let data = data_dir();
    // Before the first start, without a daemon.
    let key = new_key(data.path(), "root", "admin");
    let wrong = smartrag(data.path(), &["keys", "create", "--user", "a/b"]);
    assert_eq!(wrong.status.code(), Some(1));
    let daemon = TestDaemon::start_on_with(data, "auth: {mode: keys}\n");
    // Through the daemon's socket, which asks for no key.
    let made =
        printed(&smartrag(daemon.data(), &["keys", "create", "--user", "ann", "--role", "reader", "--json"]));
    assert_eq!((&made["user_id"], &made["role"]), (&json!("ann"), &json!("reader")));
    assert_eq!(get(&daemon, made["key"].as_str().unwrap(), "/documents").await.status, 200);
    let listed = printed(&smartrag(daemon.data(), &["keys", "list", "--json"]));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&key));
    let id = made["key_id"].as_str().unwrap();
    assert!(smartrag(daemon.data(), &["keys", "revoke", id]).status.success());
    let again = smartrag(daemon.data(), &["keys", "revoke", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is no key"));

    smartrag(daemon.data(), &["users", "create", "carl"]);
    let twice = smartrag(daemon.data(), &["users", "create", "carl"]);
    assert_eq!(twice.status.code(), Some(1));
    let users = printed(&smartrag(daemon.data(), &["users", "list", "--json"]));
    let names: Vec<&str> =
        users.as_array().unwrap().iter().map(|user| user["user_id"].as_str().unwrap()).collect();
    assert_eq!(names, ["ann", "carl", "root"]);
    let mode = std::fs::metadata(daemon.data().join("run/smartrag.sock")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    // After a crash the stale socket is in nobody's way.
    let data = daemon.kill();
    assert!(data.path().join("run/smartrag.sock").exists());
    assert_eq!(printed(&smartrag(data.path(), &["keys", "list", "--json"])).as_array().unwrap().len(), 1);
    let daemon = TestDaemon::start_on_with(data, "auth: {mode: keys}\n");
    assert_eq!(get(&daemon, &key, "/documents").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_leaves_nothing() {
    let (daemon, [root, ann]) = TestDaemon::start_with_keys([("root", "admin"), ("ann", "user")], "");
    call(&daemon, &ann, "POST", "/documents?wait=true", &text("a.md", "Herons wait.")).await.ok();
    let body = json!({"filename": "b.md", "text": "Otters swim.", "collection": "more"});
    call(&daemon, &ann, "POST", "/documents?wait=true", &body).await.ok();
    call(&daemon, &ann, "POST", "/query", &json!({"query": "herons?"})).await.ok();
    call(&daemon, &ann, "POST", "/sessions", &json!({})).await.ok();
    let refused = call(&daemon, &root, "DELETE", "/admin/users/ann", &Value::Null).await;
    assert!(
        refused.problem(409, "conflict")["detail"].as_str().unwrap().contains("2 documents in 2 collections")
    );
    let refused = smartrag(daemon.data(), &["users", "delete", "ann"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("hint: --purge deletes these"), "{said}");
    let gone = call(&daemon, &root, "DELETE", "/admin/users/ann?purge=true", &Value::Null).await.ok();
    assert_eq!((&gone["documents"], &gone["keys"], &gone["sessions"]), (&json!(2), &json!(1), &json!(1)));
    get(&daemon, &ann, "/documents").await.problem(401, "unauthenticated");
    get(&daemon, &root, "/admin/users/ann").await.problem(404, "not_found");
    let figures = get(&daemon, &root, "/health").await.ok();
    assert_eq!((&figures["metrics"]["documents"], &figures["metrics"]["sessions"]), (&json!(0), &json!(0)));
    // A new Ann begins with nothing.
    let body = json!({"user_id": "ann", "role": "user"});
    let key =
        call(&daemon, &root, "POST", "/admin/keys", &body).await.ok()["key"].as_str().unwrap().to_owned();
    for list in ["/documents", "/conversations", "/sessions", "/collections"] {
        assert_eq!(get(&daemon, &key, list).await.ok()["items"], json!([]), "{list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_alone_keep_a_user_from_being_deleted_in_passing() {
    let (daemon, [root, ann]) = TestDaemon::start_with_keys([("root", "admin"), ("ann", "user")], "");
    call(&daemon, &ann, "POST", "/conversations", &json!({"title": "Important"})).await.ok();
    let refused =
        call(&daemon, &root, "DELETE", "/admin/users/ann", &Value::Null).await.problem(409, "conflict");
    assert!(refused["detail"].as_str().unwrap().contains("1 conversations"), "{refused}");
    let gone = call(&daemon, &root, "DELETE", "/admin/users/ann?purge=true", &Value::Null).await.ok();
    assert_eq!(gone["conversations"], 1);
}

#[test]
fn without_a_daemon_nothing_is_made_by_a_look_and_users_without_documents_can_go() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new");
    for look in
        [&["keys", "list"][..], &["users", "list"], &["users", "delete", "ann"], &["keys", "revoke", "x"]]
    {
        let looked = smartrag(&data, look);
        let said = String::from_utf8_lossy(&looked.stderr).into_owned();
        assert!(!looked.status.success() && said.contains("there are no data in"), "{look:?}: {said}");
        assert!(!data.exists(), "{look:?}");
    }
    assert!(smartrag(&data, &["users", "create", "ann"]).status.success());
    assert!(!smartrag(&data, &["users", "create", "*"]).status.success());
    assert!(!smartrag(&data, &["keys", "create", "--user", "*"]).status.success());
    let gone = printed(&smartrag(&data, &["users", "delete", "ann", "--json"]));
    assert_eq!((&gone["user_id"], &gone["documents"]), (&json!("ann"), &json!(0)));
    let unknown = smartrag(&data, &["users", "delete", "ann"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && said.contains("there is no user"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_are_shared_by_grants() {
    let users = [("ann", "user"), ("bob", "user"), ("eve", "reader")];
    let (daemon, [ann, bob, eve]) = TestDaemon::start_with_keys(users, "");
    let (wait, papers) = ("/documents?wait=true", "/collections/papers/grants");
    let body = json!({"filename": "a.md", "text": "The heron stands in the pond.", "collection": "papers"});
    let document = call(&daemon, &ann, "POST", wait, &body).await.ok()["document_id"].clone();
    let path = format!("/documents/{}", document.as_str().unwrap());
    let search = json!({"query": "heron", "collection": "ann/papers"});
    call(&daemon, &bob, "POST", "/search", &search).await.problem(422, "unknown_collection");

    // The default one is private, and so is what does not exist.
    let read = json!({"access": "read"});
    call(&daemon, &ann, "PUT", "/collections/default/grants/bob", &read).await.problem(404, "not_found");
    call(&daemon, &ann, "POST", wait, &text("d.md", "x")).await.ok();
    call(&daemon, &ann, "PUT", "/collections/default/grants/bob", &read).await.problem(409, "conflict");
    call(&daemon, &ann, "PUT", &format!("{papers}/bob"), &json!({"access": "all"}))
        .await
        .problem(422, "invalid_value");
    call(&daemon, &ann, "PUT", &format!("{papers}/bob"), &read).await.ok();

    // Reading: search, list, show, ask; nothing else.
    let found = call(&daemon, &bob, "POST", "/search", &search).await.ok();
    assert_eq!(found["results"][0]["collection"], "ann/papers", "{found}");
    let everywhere = json!({"query": "heron", "collection": "*"});
    let found = call(&daemon, &bob, "POST", "/search", &everywhere).await.ok();
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    let asked = json!({"query": "Where does the heron stand?", "collection": "ann/papers"});
    let answer = call(&daemon, &bob, "POST", "/query", &asked).await.ok();
    assert!(answer["answer"].as_str().unwrap().contains("pond"), "{answer}");
    assert_eq!(get(&daemon, &bob, &path).await.ok()["collection"], "ann/papers");
    assert_eq!(
        get(&daemon, &bob, "/documents?collection=ann/papers").await.ok()["items"][0]["document_id"],
        document
    );
    assert_eq!(get(&daemon, &bob, "/documents").await.ok()["items"], json!([]));
    assert_eq!(get(&daemon, &bob, "/documents?collection=*").await.ok()["items"][0]["document_id"], document);
    let collections = get(&daemon, &bob, "/collections").await.ok();
    assert_eq!(
        collections["items"][0],
        json!({"name": "ann/papers", "owner": "ann", "access": "read", "documents": 1, "chunks": 1})
    );
    let models = daemon.send(daemon.request("GET", "/v1/models").bearer_auth(&bob)).await.ok().to_string();
    assert!(models.contains("smartrag/ann/papers"), "{models}");
    let chat = json!({"model": "smartrag/ann/papers", "messages": [{"role": "user", "content": "Where does the heron stand?"}]});
    let chat =
        daemon.send(daemon.request("POST", "/v1/chat/completions").bearer_auth(&bob).json(&chat)).await.ok();
    assert!(chat["choices"][0]["message"]["content"].as_str().unwrap().contains("pond"), "{chat}");
    call(&daemon, &bob, "DELETE", &path, &Value::Null).await.problem(403, "forbidden");
    call(&daemon, &bob, "POST", &format!("{path}/reprocess"), &Value::Null).await.problem(403, "forbidden");
    let more = json!({"filename": "b.md", "text": "Otters swim.", "collection": "ann/papers"});
    call(&daemon, &bob, "POST", wait, &more).await.problem(403, "forbidden");
    call(&daemon, &bob, "PUT", "/collections/ann%2Fpapers/grants/eve", &read).await.problem(403, "forbidden");
    call(&daemon, &bob, "DELETE", "/collections/ann%2Fpapers", &Value::Null).await.problem(403, "forbidden");

    // Writing: add and delete, too.
    call(&daemon, &ann, "PUT", &format!("{papers}/bob"), &json!({"access": "write"})).await.ok();
    let added = call(&daemon, &bob, "POST", wait, &more).await.ok()["document_id"].clone();
    let added = format!("/documents/{}", added.as_str().unwrap());
    assert_eq!(get(&daemon, &ann, &added).await.ok()["collection"], "papers");
    assert_eq!(call(&daemon, &bob, "DELETE", &added, &Value::Null).await.status, 200);
    // A reader's key does not become more by a grant.
    call(&daemon, &ann, "PUT", &format!("{papers}/eve"), &json!({"access": "write"})).await.ok();
    call(&daemon, &eve, "POST", wait, &more).await.problem(403, "forbidden");
    let grants = get(&daemon, &ann, papers).await.ok();
    assert_eq!(grants["items"].as_array().unwrap().len(), 2);
    let page = get(&daemon, &ann, &format!("{papers}?limit=1")).await.ok();
    let rest =
        get(&daemon, &ann, &format!("{papers}?cursor={}", page["next_cursor"].as_str().unwrap())).await.ok();
    assert_eq!((&page["items"][0], &rest["items"][0]), (&grants["items"][0], &grants["items"][1]));
    assert_eq!(rest["next_cursor"], Value::Null);

    // Taken back at once.
    assert_eq!(call(&daemon, &ann, "DELETE", &format!("{papers}/bob"), &Value::Null).await.status, 204);
    call(&daemon, &bob, "POST", "/search", &search).await.problem(422, "unknown_collection");
    get(&daemon, &bob, &path).await.problem(404, "not_found");
    let found = call(&daemon, &bob, "POST", "/search", &everywhere).await.ok();
    assert_eq!(found["results"], json!([]));
    // With the collection the grants go.
    assert_eq!(call(&daemon, &ann, "DELETE", "/collections/papers", &Value::Null).await.ok()["documents"], 1);
    call(&daemon, &ann, "POST", wait, &body).await.ok();
    call(&daemon, &eve, "POST", "/search", &search).await.problem(422, "unknown_collection");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_of_one_key_are_429_for_it_alone() {
    let users = [("ann", "user"), ("bob", "user")];
    let config = "auth: {mode: keys, requests_per_minute: 5}\n";
    let data = data_dir();
    let [ann, bob] = users.map(|(user, role)| new_key(data.path(), user, role));
    let daemon = TestDaemon::start_on_with(data, config);
    for _ in 0..5 {
        get(&daemon, &ann, "/documents").await.ok();
    }
    let refused = get(&daemon, &ann, "/documents").await;
    refused.problem(429, "rate_limited");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() <= 60);
    get(&daemon, &bob, "/documents").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_administrators_do_and_who_is_refused_is_in_the_audit() {
    let data = data_dir();
    let root = new_key(data.path(), "root", "admin");
    let logs = data.path().join("logs");
    let config = format!("auth: {{mode: keys}}\nlog: {{level: error, dir: {}}}\n", logs.display());
    let daemon = TestDaemon::start_on_with(data, &config);
    let request = daemon.request("POST", "/api/v1/admin/reload").bearer_auth(&root);
    daemon.send(request.header("x-request-id", "act-1")).await.ok();
    let request = daemon.request("GET", "/api/v1/documents").header("x-request-id", "refused-1");
    daemon.send(request).await.problem(401, "unauthenticated");
    let request = daemon.request("GET", "/api/v1/documents").header("x-request-id", "foreign-1");
    daemon.send(request.header("host", "evil.example")).await.problem(403, "host_not_allowed");
    get(&daemon, &root, "/documents").await.ok();
    let dir = logs.clone();
    let lines = tokio::task::spawn_blocking(move || {
        loop {
            let files = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
            let audit = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("audit"));
            let lines: String = audit.map(|path| std::fs::read_to_string(path).unwrap()).collect();
            if lines.lines().count() >= 3 {
                return lines;
            }
            std::thread::yield_now();
        }
    });
    let lines = tokio::time::timeout(PATIENCE, lines).await.unwrap().unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    for (id, words) in [
        ("act-1", ["root", "/admin/reload 200"]),
        ("refused-1", ["unauthenticated", "/documents 401"]),
        ("foreign-1", ["host_not_allowed", "403"]),
    ] {
        let line = lines.lines().find(|line| line.contains(id)).unwrap_or_else(|| panic!("{id}: {lines}"));
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
    assert!(!lines.contains(&root), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_only_this_machine_is_let_in() {
    let data = data_dir();
    let mut command = serve(data.path());
    command.env("SMARTRAG_API__BIND", "0.0.0.0:0");
    let mut arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    arguments.retain(|argument| argument != "--bind" && argument != "127.0.0.1:0");
    let mut public = Command::new(SMARTRAG);
    public.args(arguments).env("SMARTRAG_API__BIND", "0.0.0.0:0").env_remove("SMARTRAG_CONFIG");
    let output = public.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("auth: {mode: keys}"), "{said}");

    // Whatever clients of others send as a key is not meant for us; what looks like one of ours is.
    let daemon = TestDaemon::start_on(data);
    assert_eq!(get(&daemon, "sk-anything", "/documents").await.status, 200);
    get(&daemon, "sr_000102abcdef_x", "/documents").await.problem(401, "unauthenticated");
    let made =
        call(&daemon, "", "POST", "/admin/keys", &json!({"user_id": "ann", "role": "user"})).await.ok();
    let key = made["key"].as_str().unwrap();
    let session = call(&daemon, key, "POST", "/sessions", &json!({})).await.ok();
    assert_eq!(session["user_id"], "ann");
    call(&daemon, key, "POST", "/admin/reload", &Value::Null).await.problem(403, "forbidden");
}
