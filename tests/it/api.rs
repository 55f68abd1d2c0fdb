//! The REST API as a client meets it.

use serde_json::{Value, json};

use crate::support::{TestDaemon, samples};

async fn with_samples() -> TestDaemon {
    let daemon = TestDaemon::start();
    let samples = samples();
    let files: Vec<_> = samples.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    for item in daemon.upload("", &files).await {
        assert_eq!(item["status"], "ready", "{item}");
    }
    daemon
}

#[tokio::test]
async fn questions_are_answered_from_documents_with_citations() {
    let daemon = with_samples().await;
    let cases = [
        ("How often are water samples taken?", "six hours", "tidewater-staff-guide.docx"),
        ("How much does a raised bed cost?", "35", "community-garden.html"),
        ("Wie viel kostet ein Ersatzschlüssel?", "45 Euro", "hausordnung.md"),
        (
            "Wie oft wird der Luftfilter des Wechselrichters gewechselt?",
            "sechs Monate",
            "nordlicht-handbuch.pdf",
        ),
    ];
    for (question, expected, file) in cases {
        let answer = daemon.post("/api/v1/query", &json!({"query": question})).await.ok();
        let text = answer["answer"].as_str().unwrap();
        assert!(text.contains(expected), "{question}: {answer:#}");
        let cited =
            answer["sources"].as_array().unwrap().iter().find(|source| source["filename"] == file).unwrap();
        assert!(text.contains(&format!("[{}]", cited["citation"])), "{question}: {answer:#}");
        assert_eq!(answer["backend"], "extractive");
    }
}

#[tokio::test]
async fn an_answer_cites_the_page() {
    let daemon = with_samples().await;
    let answer = daemon.post("/api/v1/query", &json!({"query": "Was prüft man bei Fehler E-17?"})).await.ok();
    let first = &answer["sources"][0];
    assert_eq!(
        (first["filename"].as_str(), first["page_number"].as_u64()),
        (Some("nordlicht-handbuch.pdf"), Some(2))
    );
    assert_eq!(first["heading_path"].as_array().unwrap().last().unwrap(), "4 Störungen");
}

#[tokio::test]
async fn weak_evidence_is_said_in_the_language_of_the_question() {
    let daemon = with_samples().await;
    let ask = async |query: &str| daemon.post("/api/v1/query", &json!({"query": query})).await.ok();
    let english = ask("Who won the football world championship of 1954?").await;
    assert_eq!(english["finish_reason"], "abstained", "{english:#}");
    let german = ask("Wer gewann die Fußballweltmeisterschaft von 1954?").await;
    assert_eq!(german["finish_reason"], "abstained", "{german:#}");
    assert_ne!(english["answer"], german["answer"]);
}

#[tokio::test]
async fn streams_carry_type_and_chunk_on_every_line() {
    let daemon = with_samples().await;
    let body = json!({"query": "How often are water samples taken?"});
    let whole = daemon.post("/api/v1/query", &body).await.ok();
    let stream = daemon.post("/api/v1/query/stream", &body).await;
    assert_eq!(stream.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = stream.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["type"].is_string() && line["chunk"].is_string()), "{lines:#?}");
    let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!((types[0], *types.last().unwrap()), ("sources", "done"));
    let text: String = lines.iter().map(|line| line["chunk"].as_str().unwrap()).collect();
    assert_eq!(text, whole["answer"].as_str().unwrap());

    let sse =
        daemon.request("POST", "/api/v1/query/stream").header("accept", "text/event-stream").json(&body);
    let sse = daemon.send(sse).await;
    assert_eq!(sse.headers["content-type"], "text/event-stream");
    let events = sse.body.lines().filter_map(|line| line.strip_prefix("data:"));
    let text: String = events
        .map(|event| serde_json::from_str::<Value>(event).unwrap()["chunk"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, whole["answer"].as_str().unwrap());
}

#[tokio::test]
async fn a_conversation_goes_on() {
    let daemon = with_samples().await;
    let first =
        daemon.post("/api/v1/query", &json!({"query": "Who calibrates the spectrometer?"})).await.ok();
    let body = json!({"query": "And how often is it done?", "conversation_id": first["conversation_id"]});
    let second = daemon.post("/api/v1/query", &body).await.ok();
    assert_eq!(second["conversation_id"], first["conversation_id"]);
    assert!(second["answer"].as_str().unwrap().contains("Monday"), "{second:#}");
    let foreign = json!({"query": "x", "conversation_id": uuid::Uuid::now_v7().to_string()});
    daemon.post("/api/v1/query", &foreign).await.problem(404, "not_found");
}

#[tokio::test]
async fn every_chunk_is_a_piece_of_the_text() {
    let daemon = with_samples().await;
    let documents = daemon.get("/api/v1/documents").await.ok();
    for document in documents["items"].as_array().unwrap() {
        let id = document["document_id"].as_str().unwrap();
        let text: Vec<char> =
            daemon.get(&format!("/api/v1/documents/{id}/text")).await.body.chars().collect();
        let chunks = daemon.get(&format!("/api/v1/documents/{id}/chunks")).await.ok();
        let chunks = chunks["items"].as_array().unwrap();
        assert_eq!(chunks.len() as u64, document["chunk_count"].as_u64().unwrap());
        for chunk in chunks {
            let at = |key: &str| chunk[key].as_u64().unwrap() as usize;
            let piece: String = text[at("char_start")..at("char_end")].iter().collect();
            assert_eq!(piece, chunk["text"].as_str().unwrap());
        }
        let provenance = &document["provenance"];
        assert_eq!(provenance["parser"]["sha256"].as_str().unwrap().len(), 64, "{provenance}");
        assert_eq!(provenance["embedder"]["name"], "static-embed");
    }
}

#[tokio::test]
async fn modes_and_filters() {
    let daemon = with_samples().await;
    for mode in ["keyword", "vector", "hybrid"] {
        let hits = daemon.search(&json!({"query": "water samples at the buoys", "mode": mode})).await;
        assert_eq!(hits[0]["filename"], "tidewater-staff-guide.docx", "{mode}: {hits:#?}");
    }
    let body = json!({"filename": "tagged.txt", "text": "Water is wet.", "tags": ["a", "b"], "metadata": {"year": 1999}});
    let tagged = daemon.post("/api/v1/documents?wait=true", &body).await.ok()["document_id"].clone();
    let filters = [
        json!({"tags": {"any": ["b", "c"]}}),
        json!({"tags": {"all": ["a", "b"]}}),
        json!({"metadata.year": {"gte": 1999, "lt": 2000}}),
        json!({"document_id": [tagged]}),
        json!({"and": [{"file_type": ["txt"]}, {"not": {"tags": ["z"]}}]}),
    ];
    for filter in filters {
        let hits = daemon.search(&json!({"query": "water", "filter": filter, "top_k": 100})).await;
        assert!(
            !hits.is_empty() && hits.iter().all(|hit| hit["document_id"] == tagged),
            "{filter}: {hits:#?}"
        );
    }
    let unknown = json!({"query": "water", "filter": {"colour": "red"}});
    daemon.post("/api/v1/search", &unknown).await.problem(400, "unknown_filter_key");
}

#[tokio::test]
async fn similar_documents_and_search_by_document() {
    let daemon = with_samples().await;
    let id = daemon
        .add("sea.txt", "The sea station takes water samples at its buoys and calibrates instruments.")
        .await;
    let similar = daemon.get(&format!("/api/v1/search/similar/{id}?top_k=2")).await.ok();
    assert_eq!(similar["results"][0]["filename"], "tidewater-staff-guide.docx", "{similar:#}");
    let grouped = daemon.post("/api/v1/documents/search", &json!({"query": "water"})).await.ok();
    let items = grouped["items"].as_array().unwrap();
    let mut ids: Vec<_> = items.iter().map(|item| item["document"]["document_id"].to_string()).collect();
    ids.dedup();
    assert!(ids.len() == items.len() && ids.len() >= 2, "{grouped:#}");
}

#[tokio::test]
async fn copies_are_folded_and_pull_up_others() {
    let daemon = TestDaemon::start();
    let page = "The heron stands in the shallow water of the northern bay and waits for a fish to come near enough, \
        which may take the whole morning, while the keeper of the bay counts the nests along the shore.";
    for (name, text) in
        [("a.txt", page), ("b.txt", &format!("{page}\n\n")), ("c.txt", &format!("{page} Yes."))]
    {
        daemon.post("/api/v1/documents?wait=true", &json!({"text": text, "filename": name})).await.ok();
    }
    let other = json!({"text": "A heron was seen at the harbour.", "filename": "d.txt"});
    daemon.post("/api/v1/documents?wait=true", &other).await.ok();

    for mode in ["hybrid", "keyword", "vector"] {
        let query =
            json!({"query": "heron in the shallow water of the northern bay", "top_k": 2, "mode": mode});
        let hits = daemon.search(&query).await;
        assert_eq!(hits.len(), 2, "{mode}: {hits:#?}");
        assert_eq!(hits[0]["folded"].as_array().unwrap().len(), 2, "{mode}: {hits:#?}");
        assert_eq!(hits[1]["filename"], "d.txt", "{mode}");
        assert!(hits[1].get("folded").is_none());
    }
    let hits = daemon.search(&json!({"query": "heron", "top_k": 100, "fold": false})).await;
    assert_eq!(hits.len(), 4);
    let grouped = daemon.post("/api/v1/documents/search", &json!({"query": "heron"})).await.ok();
    assert_eq!(grouped["items"].as_array().unwrap().len(), 4, "each document is a result");
}

#[tokio::test]
async fn a_search_explains_every_score() {
    let daemon = with_samples().await;
    let ask = async |more: Value| {
        let mut body = json!({"query": "How often are water samples taken?", "explain": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        daemon.post("/api/v1/search", &body).await.ok()
    };
    let filter = json!({"file_type": ["docx", "md"]});
    let answer = ask(json!({"alpha": 0.25, "rerank": true, "filter": filter})).await;
    let how = &answer["explanation"];
    assert_eq!(
        (&how["fusion"], &how["alpha"], &how["language"]),
        (&json!("convex"), &json!(0.25), &json!("en"))
    );
    assert_eq!((&how["reranker"], &how["fold"]), (&json!("lexical"), &json!(true)));
    let searched = &how["collections"][0];
    assert_eq!((&searched["collection"], &searched["vector"]["path"]), (&json!("default"), &json!("exact")));
    assert!(searched["filter_matches"].as_u64().unwrap() > 0);
    assert_eq!(searched["filter_matches"], searched["vector"]["compared"]);
    for hit in answer["results"].as_array().unwrap() {
        let explain = &hit["explain"];
        let part = |side: &str| {
            let number = |name: &str| explain[side][name].as_f64().unwrap_or(0.0);
            number("points") * number("weight")
        };
        let sum = part("keyword") + part("vector");
        assert!((sum - explain["fused"].as_f64().unwrap()).abs() < 1e-5, "{hit:#}");
        assert_eq!(explain["rerank"], hit["score"]);
        assert_eq!(explain["vector"]["score"], hit["scores"]["vector"]);
    }
    let rrf = ask(json!({"fusion": "rrf", "diversity": 0.7})).await;
    assert_eq!((&rrf["explanation"]["fusion"], &rrf["explanation"]["alpha"]), (&json!("rrf"), &Value::Null));
    assert_eq!(rrf["results"][0]["explain"]["keyword"]["weight"], 0.5);
    let keyword = ask(json!({"mode": "keyword"})).await;
    assert_eq!(keyword["explanation"]["collections"][0]["vector"], json!({"path": "none", "compared": 0}));
    let plain = daemon.search(&json!({"query": "water"})).await;
    assert!(plain[0].get("explain").is_none());
    for (body, pointer) in [
        (json!({"query": "x", "alpha": 1.5}), "/alpha"),
        (json!({"query": "x", "alpha": 0.5, "fusion": "rrf"}), "/alpha"),
        (json!({"query": "x", "diversity": 2}), "/diversity"),
    ] {
        let problem = daemon.post("/api/v1/search", &body).await.problem(422, "invalid_value");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test]
async fn users_do_not_see_each_other() {
    let daemon = TestDaemon::start();
    for (user, secret) in [("ann", "The launch code is heron."), ("bob", "The launch code is walrus.")] {
        let body = json!({"user_id": user});
        let session = daemon.post("/api/v1/sessions", &body).await.ok()["session_id"].clone();
        let body = json!({"filename": format!("{user}.txt"), "text": secret, "session_id": session});
        daemon.post("/api/v1/documents?wait=true", &body).await.ok();
        let hits = daemon.search(&json!({"query": "launch code", "session_id": session})).await;
        assert_eq!(hits.len(), 1, "{hits:#?}");
        assert_eq!(hits[0]["content"], secret);
    }
    let anns =
        daemon.send(daemon.request("GET", "/api/v1/documents").header("X-SmartRAG-User", "ann")).await.ok();
    let id = anns["items"][0]["document_id"].as_str().unwrap().to_owned();
    let as_bob = |method, path: String| daemon.request(method, &path).header("X-SmartRAG-User", "bob");
    for path in ["", "/content"] {
        let url = format!("/api/v1/documents/{id}{path}");
        let as_ann = || daemon.request("GET", &url).header("X-SmartRAG-User", "ann");
        let tag = daemon.send(as_ann()).await.headers["etag"].clone();
        let again = daemon.send(as_ann().header("If-None-Match", &tag)).await;
        assert_eq!((again.status, again.body.as_str(), &again.headers["etag"]), (304, "", &tag), "{path}");
    }
    for path in ["", "/content", "/text", "/chunks"] {
        daemon.send(as_bob("GET", format!("/api/v1/documents/{id}{path}"))).await.problem(404, "not_found");
    }
    daemon.send(as_bob("DELETE", format!("/api/v1/documents/{id}"))).await.problem(404, "not_found");
    assert!(daemon.search(&json!({"query": "launch code"})).await.is_empty(), "anonymous sees nothing");
}

#[tokio::test]
async fn the_same_bytes_are_stored_once() {
    let daemon = TestDaemon::start();
    let file = ("a.txt", b"Only once.".to_vec());
    let first = daemon.upload("", std::slice::from_ref(&file)).await;
    let second = daemon.upload("", &[("b.txt", file.1.clone())]).await;
    assert_eq!(first[0]["document_id"], second[0]["document_id"]);
    assert_eq!((&first[0]["duplicate"], &second[0]["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(daemon.search(&json!({"query": "once"})).await.len(), 1);

    let send = |text: &str| {
        let body = json!({"filename": "k.txt", "text": text});
        daemon.request("POST", "/api/v1/documents").header("Idempotency-Key", "k1").json(&body)
    };
    let one = daemon.send(send("same")).await.ok();
    let again = daemon.send(send("same")).await.ok();
    assert_eq!((&again["document_id"], &again["duplicate"]), (&one["document_id"], &json!(false)));
    daemon.send(send("other")).await.problem(422, "idempotency_mismatch");
    // What was refused may be mended and sent again.
    for (filename, status) in [("a.xyz\u{0}", 422), ("b.txt", 202)] {
        let body = json!({"filename": filename, "text": "A stork."});
        let request = daemon.request("POST", "/api/v1/documents").header("Idempotency-Key", "k2").json(&body);
        assert_eq!(daemon.send(request).await.status, status, "{filename:?}");
    }
    // A repetition brings nothing back that was deleted meanwhile.
    let id = one["document_id"].as_str().unwrap();
    daemon.delete(&format!("/api/v1/documents/{id}")).await.ok();
    daemon.send(send("same")).await.problem(404, "not_found");
    assert!(daemon.search(&json!({"query": "same"})).await.iter().all(|hit| hit["filename"] != "k.txt"));
}

#[tokio::test]
async fn deleted_documents_are_gone_from_search_at_once() {
    let daemon = TestDaemon::start();
    let id = daemon.add("gone.txt", "A pelican on the pier.").await;
    assert_eq!(daemon.search(&json!({"query": "pelican"})).await.len(), 1);
    let purged = daemon.delete(&format!("/api/v1/documents/{id}")).await.ok();
    assert!(purged.to_string().contains("chunks"), "{purged}");
    assert!(daemon.search(&json!({"query": "pelican"})).await.is_empty());
    daemon.get(&format!("/api/v1/documents/{id}")).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_batch_that_the_queue_never_has_room_for_goes_in_parts() {
    let daemon = TestDaemon::start_with("ingest: {queue_max: 3}");
    let line =
        |at: usize| json!({"filename": format!("{at}.txt"), "text": format!("Note {at}.")}).to_string();
    let lines: Vec<String> = (0..20).map(line).collect();
    let request = daemon.request("POST", "/api/v1/documents/batch?wait=true");
    let request = request.header("content-type", "application/x-ndjson").body(lines.join("\n"));
    let answer = daemon.send(request).await;
    let statuses: Vec<Value> = answer
        .body
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].take())
        .collect();
    assert_eq!(statuses, vec![json!("ready"); 20], "{}", answer.body);
}

#[tokio::test]
async fn a_bad_line_of_a_batch_fails_alone() {
    let daemon = TestDaemon::start();
    let body = "{\"filename\":\"1.txt\",\"text\":\"One heron.\"}\nnonsense\n{\"filename\":\"3.txt\",\"text\":\"Two herons.\"}\n";
    let request = daemon.request("POST", "/api/v1/documents/batch?wait=true");
    let answer = daemon.send(request.header("content-type", "application/x-ndjson").body(body)).await;
    let lines: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((&lines[0]["status"], &lines[2]["status"]), (&json!("ready"), &json!("ready")));
    assert_eq!(lines[1]["code"], "invalid_json", "{lines:#?}");
    assert_eq!(daemon.search(&json!({"query": "heron"})).await.len(), 2);
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let daemon = TestDaemon::start();
    for number in 0..5 {
        daemon.add(&format!("{number}.txt"), &format!("Text number {number}.")).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("/api/v1/documents?limit=2&sort=upload_time{cursor}")).await.ok();
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["filename"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["0.txt", "1.txt", "2.txt", "3.txt", "4.txt"]);
    let named = daemon.get("/api/v1/documents?filename=3.txt&status=ready&file_type=txt").await.ok();
    assert_eq!(named["items"].as_array().unwrap().len(), 1);
    daemon.get("/api/v1/documents?cursor=nonsense").await.problem(400, "invalid_cursor");
}

#[tokio::test]
async fn sessions_live_and_die() {
    let daemon = TestDaemon::start();
    let body = json!({"user_id": "ann", "title": "Work", "context": {"colour": "red"}});
    let session = daemon.post("/api/v1/sessions", &body).await;
    assert_eq!(session.status, 201);
    let id = session.ok()["session_id"].as_str().unwrap().to_owned();
    let asked = daemon.post("/api/v1/query", &json!({"query": "Anything?", "session_id": id})).await.ok();
    assert!(asked["conversation_id"].is_string());
    let shown = daemon
        .send(daemon.request("GET", &format!("/api/v1/sessions/{id}")).header("X-SmartRAG-User", "ann"))
        .await;
    assert_eq!(shown.ok()["context"]["colour"], "red");
    for (body, title) in [(json!({}), json!("Work")), (json!({"title": null}), Value::Null)] {
        let changed = daemon.request("PATCH", &format!("/api/v1/sessions/{id}"));
        let changed = daemon.send(changed.header("X-SmartRAG-User", "ann").json(&body)).await.ok();
        assert_eq!((&changed["title"], &changed["context"]["colour"]), (&title, &json!("red")));
    }
    let gone = daemon.request("DELETE", &format!("/api/v1/sessions/{id}")).header("X-SmartRAG-User", "ann");
    assert!((200..300).contains(&daemon.send(gone).await.status));
    let shown = daemon.request("GET", &format!("/api/v1/sessions/{id}")).header("X-SmartRAG-User", "ann");
    daemon.send(shown).await.problem(404, "not_found");
    // Unannounced sessions begin by being used.
    daemon.search(&json!({"query": "x", "session_id": "user123"})).await;
    daemon.get("/api/v1/sessions/user123").await.ok();
}

#[tokio::test]
async fn embeddings_and_enrichment() {
    let daemon = with_samples().await;
    let answer = daemon.post("/api/v1/embed", &json!({"input": ["water", "Wasser", "water"]})).await.ok();
    let rows = answer["embeddings"].as_array().unwrap();
    assert_eq!((rows.len(), answer["dimension"].as_u64()), (3, Some(256)));
    assert_eq!(rows[0], rows[2]);
    assert_ne!(rows[0], rows[1]);
    let prompt =
        daemon.post("/api/v1/enrich", &json!({"query": "How often are water samples taken?"})).await.ok();
    assert!(prompt["enhanced_prompt"].as_str().unwrap().contains("six hours"), "{prompt:#}");
    assert_eq!(
        prompt["metadata"]["sources_count"].as_u64().unwrap() as usize,
        prompt["sources"].as_array().unwrap().len()
    );
    let text = json!({"text": "Die Module werden zweimal im Jahr mit weichem Wasser gereinigt."});
    let annotations = daemon.post("/api/v1/enrich", &text).await.ok();
    assert!(annotations.to_string().contains("\"code\":\"de\""), "{annotations}");
}

#[tokio::test]
async fn operators_see_how_it_is() {
    let daemon = with_samples().await;
    for path in ["/health", "/api/v1/health"] {
        let health = daemon.get(path).await.ok();
        assert_eq!(health["status"], "healthy", "{health:#}");
        for component in
            ["database", "keyword_index", "vector_index", "plugins", "models", "disk_space", "memory"]
        {
            assert!(!health["components"][component].is_null(), "{component} in {health:#}");
        }
    }
    assert_eq!(daemon.get("/health/live").await.status, 200);
    assert_eq!(daemon.get("/health/ready").await.status, 200);
    daemon.search(&json!({"query": "water"})).await;
    let metrics = daemon.get("/metrics").await.body;
    for series in [
        "smartrag_documents_total",
        "smartrag_ingest_chunks_total",
        "smartrag_queries_total",
        "smartrag_active_sessions",
    ] {
        assert!(metrics.contains(series), "{series}");
    }
    let plugins = daemon.get("/api/v1/plugins").await.ok();
    let names: Vec<_> =
        plugins["items"].as_array().unwrap().iter().map(|plugin| plugin["name"].as_str().unwrap()).collect();
    for name in [
        "text",
        "markdown",
        "html",
        "pdf",
        "docx",
        "static-embed",
        "language",
        "keywords",
        "lexical",
        "extractive",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(plugins.to_string().contains("\"calls\""));
    let readiness = daemon.get("/api/v1/models/readiness").await.ok();
    assert!(readiness.to_string().contains("sha256"), "{readiness}");
    let models = daemon.get("/api/v1/models").await.ok();
    assert!(models.to_string().contains("extractive"), "{models}");
}

#[tokio::test]
async fn the_api_describes_itself() {
    let daemon = TestDaemon::start();
    let document = daemon.get("/api/v1/openapi.json").await.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"].as_object().unwrap().len() > 20);
    let docs = daemon.get("/docs/").await;
    assert_eq!(docs.status, 200);
    assert!(docs.body.contains("<html") || docs.body.contains("<!DOCTYPE"), "{}", docs.body);
}

#[tokio::test]
async fn a_list_goes_on_where_the_last_one_of_a_page_went() {
    let daemon = TestDaemon::start();
    for name in ["a", "b", "c", "d"] {
        daemon.post("/api/v1/collections", &json!({"name": name})).await.ok();
        daemon.post("/api/v1/sessions", &json!({"session_id": name})).await.ok();
    }
    for (list, id, rest) in [("collections", "name", ["c", "d"]), ("sessions", "session_id", ["b", "a"])] {
        let url = format!("/api/v1/{list}?limit=2");
        let page = daemon.get(&url).await.ok();
        let last = page["items"][1][id].as_str().unwrap();
        assert_eq!(daemon.delete(&format!("/api/v1/{list}/{last}")).await.status / 100, 2);
        let next = daemon.get(&format!("{url}&cursor={}", page["next_cursor"].as_str().unwrap())).await.ok();
        let names: Vec<_> = next["items"].as_array().unwrap().iter().map(|item| &item[id]).collect();
        assert_eq!(names, rest, "{list}");
    }
}

#[tokio::test]
async fn a_tag_that_a_client_adds_hides_no_collection() {
    let daemon = TestDaemon::start();
    for (collection, text) in [("a", "The house is green."), ("a:latest", "The house is purple.")] {
        let body = json!({"filename": "house.md", "text": text, "collection": collection});
        daemon.post("/api/v1/documents?wait=true", &body).await.ok();
    }
    for (model, collection) in
        [("smartrag/a", "a"), ("smartrag/a:latest", "a:latest"), ("smartrag/a:latest:latest", "a:latest")]
    {
        let question = json!([{"role": "user", "content": "Which colour has the house?"}]);
        let body = json!({"model": model, "messages": question});
        let answer = daemon.post("/v1/chat/completions", &body).await.ok();
        assert_eq!(answer["citations"][0]["collection"], collection, "{model}: {answer}");
    }
}

#[tokio::test]
async fn conversations_are_kept_listed_changed_exported_and_deleted() {
    let daemon = TestDaemon::start();
    daemon.add("pond.md", "# Pond\n\nThe heron stands in the pond and waits for a fish.").await;
    let body = json!({"session_id": "s1", "title": "Birds", "metadata": {"a": 1}});
    let made = daemon.post("/api/v1/conversations", &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    let id = made["conversation_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/conversations/{id}");
    assert_eq!(
        (&made["session_id"], &made["title"], &made["metadata"]),
        (&json!("s1"), &json!("Birds"), &json!({"a": 1}))
    );

    let message = json!({"role": "system", "content": "Be brief."});
    assert_eq!(daemon.post(&format!("{path}/messages"), &message).await.status, 201);
    let question = json!({"query": "Where does the heron stand?", "session_id": "s1", "conversation_id": id});
    let answer = daemon.post("/api/v1/query", &question).await.ok();
    let whole = daemon.get(&path).await.ok();
    let said: Vec<_> = whole["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["system", "user", "assistant"]);
    assert_eq!(whole["messages"][2]["content"], answer["answer"]);
    let last = daemon.get(&format!("{path}/messages?limit=1")).await.ok();
    assert_eq!(last["items"][0]["role"], "assistant");
    let (mut roles, mut next) = (Vec::new(), last["next_cursor"].clone());
    while let Some(cursor) = next.as_str() {
        let page = daemon.get(&format!("{path}/messages?limit=1&cursor={cursor}")).await.ok();
        roles.push(page["items"][0]["role"].as_str().unwrap().to_owned());
        next = page["next_cursor"].clone();
    }
    assert_eq!(roles, ["user", "system"]);
    daemon.get(&format!("{path}/messages?cursor=00")).await.problem(400, "invalid_cursor");

    let markdown = daemon.get(&format!("{path}/export?format=markdown")).await;
    assert!(markdown.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert!(
        markdown.body.starts_with("# Birds\n") && markdown.body.contains("- [1] pond.md"),
        "{}",
        markdown.body
    );
    let export = daemon.get(&format!("{path}/export")).await.ok();
    assert_eq!(export["messages"].as_array().unwrap().len(), 3);

    let patched = daemon.send(daemon.request("PATCH", &path).json(&json!({"title": "Herons"}))).await.ok();
    assert_eq!((&patched["title"], &patched["metadata"]), (&json!("Herons"), &json!({"a": 1})));
    let unnamed = daemon.post("/api/v1/query", &json!({"query": "What does the heron wait for?"})).await.ok();
    let all = daemon.get("/api/v1/conversations?limit=1").await.ok();
    assert_eq!(all["items"][0]["conversation_id"], unnamed["conversation_id"]);
    assert_eq!(all["items"][0]["title"], "What does the heron wait for?");
    let next = daemon
        .get(&format!("/api/v1/conversations?cursor={}", all["next_cursor"].as_str().unwrap()))
        .await
        .ok();
    assert_eq!((&next["items"][0]["title"], &next["next_cursor"]), (&json!("Herons"), &Value::Null));
    let of_session = daemon.get("/api/v1/conversations?session_id=s1").await.ok();
    assert_eq!(of_session["items"].as_array().unwrap().len(), 1);

    // Somebody else's is not there, whatever is done with it.
    for (method, path, body) in [
        ("GET", path.clone(), None),
        ("PATCH", path.clone(), Some(json!({"title": "x"}))),
        ("DELETE", path.clone(), None),
        ("GET", format!("{path}/messages"), None),
        ("POST", format!("{path}/messages"), Some(json!({"role": "user", "content": "x"}))),
        ("GET", format!("{path}/export"), None),
    ] {
        let request = daemon.request(method, &path).header("x-smartrag-user", "mallory");
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        daemon.send(request).await.problem(404, "not_found");
    }
    daemon
        .post(&format!("{path}/messages"), &json!({"role": "robot", "content": "x"}))
        .await
        .problem(422, "invalid_value");
    daemon.get("/api/v1/conversations/nonsense").await.problem(404, "not_found");
    assert_eq!(daemon.delete(&path).await.status, 204);
    daemon.get(&path).await.problem(404, "not_found");
}
