use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;

use super::create::{IntakeParams, check_text};
use super::form;
use super::intake::{GONE, Outcome, submit};
use super::lines::{Line, Lines};
use crate::api::access::Principal;
use crate::api::blocking::blocking;
use crate::api::caller::{Unknown, resolve, resolve_session, session_id};
use crate::api::collections::{Named, check_writable};
use crate::api::error::{ApiError, Result};
use crate::api::extract::{Query, parse_json};
use crate::api::stream::ndjson;
use crate::app::App;
use crate::ingest::{self, Ingest, Upload};
use crate::store;
use crate::types::{CollectionKey, DocumentId, Stage, UserId};
use crate::wire::{BatchAnswer, DocumentCreate};

/// Answers that wait for the client to read them. Many clients send everything before they read anything; reading
/// must not stop for them, so an answer in waiting is small and there is room for many.
const ANSWERS_WAITING: usize = 1 << 18;
/// How long the first line of a group waits for more: a client that sends line by line shares commits, too.
const GATHER: Duration = Duration::from_millis(5);
/// Pause before a group is tried again while the queue is full, and how often.
const FULL_PAUSE: Duration = Duration::from_millis(250);
const FULL_TRIES: u32 = 1200;

/// Take in many texts
///
/// A document a line in, an answer a line out, in order. A bad line fails alone. While the queue is full, reading
/// pauses. With `wait`, each line is answered once its document is searchable or failed.
#[utoipa::path(post, path = "/documents/batch", tag = "documents", operation_id = "create_documents",
    params(IntakeParams),
    request_body(content = DocumentCreate, content_type = "application/x-ndjson", description = "One a line"),
    responses((status = 200, description = "One a line", body = BatchAnswer, content_type = "application/x-ndjson")))]
pub(in crate::api) async fn batch(
    State(app): State<Arc<App>>,
    principal: Principal,
    headers: HeaderMap,
    Query(params): Query<IntakeParams>,
    body: Body,
) -> Result<Response> {
    check_type(&headers)?;
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Create).await?;
    let users = Users { of_request: who.caller.user, principal, of_sessions: HashMap::new() };
    let (answers, outbox) = mpsc::channel(ANSWERS_WAITING);
    let ingest = params.wait.then(|| app.ingest.clone());
    let wait = params.wait;
    tokio::spawn(Batch { app, users, answers, wait }.run(body));
    Ok(ndjson(ReceiverStream::new(outbox).then(move |answer: Answer| answer.finish(ingest.clone()))))
}

fn check_type(headers: &HeaderMap) -> Result<()> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let known = ["x-ndjson", "ndjson", "jsonl", "x-jsonlines", "jsonlines", "json", "octet-stream"];
    if essence.strip_prefix("application/").is_some_and(|subtype| known.contains(&subtype)) {
        return Ok(());
    }
    let detail = format!("send a document a line with Content-Type: application/x-ndjson (got {essence:?})");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// What became of a line, kept small.
enum Answer {
    Taken { line: u64, id: DocumentId, status: Stage, duplicate: bool },
    Failed(Box<Failed>),
}

#[derive(Clone)]
struct Failed {
    line: u64,
    code: String,
    detail: String,
}

impl Failed {
    fn new(line: u64, error: &ApiError) -> Self {
        Self { line, code: error.code.to_string(), detail: error.detail.clone() }
    }
}

impl Answer {
    fn new(line: u64, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Taken(submitted) => Self::Taken {
                line,
                id: submitted.document.id,
                status: submitted.document.status,
                duplicate: submitted.duplicate,
            },
            Outcome::Refused { why, .. } => {
                Self::Failed(Box::new(Failed { line, code: why.code.into(), detail: why.detail }))
            }
        }
    }

    /// The line to send; with an ingest, once the document is final.
    async fn finish(self, ingest: Option<Ingest>) -> BatchAnswer {
        let (line, id, status, duplicate) = match self {
            Answer::Taken { line, id, status, duplicate } => (line, id, status, duplicate),
            Answer::Failed(failed) => {
                let Failed { line, code, detail } = *failed;
                return BatchAnswer { line, code: Some(code), detail: Some(detail), ..Default::default() };
            }
        };
        let taken = BatchAnswer {
            line,
            document_id: Some(id.to_string()),
            status: Some(status.as_str().into()),
            duplicate: Some(duplicate),
            ..Default::default()
        };
        match ingest {
            Some(ingest) => settle(taken, id, &ingest).await,
            None => taken,
        }
    }
}

async fn settle(taken: BatchAnswer, id: DocumentId, ingest: &Ingest) -> BatchAnswer {
    match ingest.wait(id).await {
        Ok(Some(document)) => BatchAnswer {
            status: Some(document.status.as_str().into()),
            code: document.error.as_ref().map(|error| error.code.clone()),
            detail: document.error.map(|error| error.detail),
            ..taken
        },
        Ok(None) => BatchAnswer {
            line: taken.line,
            code: Some("not_found".into()),
            detail: Some(GONE.into()),
            ..Default::default()
        },
        Err(error) => {
            let error = ApiError::from(error);
            BatchAnswer { code: Some(error.code.into()), detail: Some(error.detail), ..taken }
        }
    }
}

/// Whose each line is.
#[derive(Clone)]
struct Users {
    of_request: UserId,
    /// Who may name sessions.
    principal: Principal,
    of_sessions: HashMap<String, UserId>,
}

impl Users {
    fn of(&mut self, app: &App, session: Option<&str>) -> Result<UserId> {
        let Some(session) = session else { return Ok(self.of_request.clone()) };
        if let Some(user) = self.of_sessions.get(session) {
            return Ok(user.clone());
        }
        let who = resolve_session(&app.store, &self.principal, session_id(session)?, Unknown::Create)?;
        self.of_sessions.insert(session.into(), who.caller.user.clone());
        Ok(who.caller.user)
    }
}

/// A line that was understood.
struct Draft {
    line: u64,
    collection: CollectionKey,
    document: DocumentCreate,
    since: std::time::Instant,
}

type Read = std::result::Result<Draft, Failed>;

/// A batch on its way in.
struct Batch {
    app: Arc<App>,
    users: Users,
    answers: mpsc::Sender<Answer>,
    wait: bool,
}

impl Batch {
    /// Reads to the end of the body, or until the client is gone.
    async fn run(mut self, body: Body) {
        let api = &self.app.config.api;
        let mut lines = Lines::new(api.upload_bytes_max.saturating_add(api.body_bytes_max));
        let mut body = body.into_data_stream();
        let mut gathered_by = Instant::now();
        loop {
            let arrived = match (lines.is_full(), lines.is_empty()) {
                (true, _) => None,
                (false, true) => {
                    let arrived = body.next().await;
                    gathered_by = Instant::now() + GATHER;
                    Some(arrived)
                }
                (false, false) => timeout_at(gathered_by, body.next()).await.ok(),
            };
            let more = match arrived {
                Some(Some(Ok(bytes))) => {
                    lines.push(&bytes);
                    true
                }
                // a body that breaks off ends like any other: its last line will say what is wrong with it
                Some(_) => {
                    lines.finish();
                    while !lines.is_empty() && self.take(lines.group()).await {}
                    false
                }
                None => self.take(lines.group()).await,
            };
            if !more {
                return;
            }
        }
    }

    /// Takes a group in and answers its lines; `false` when nobody listens any more.
    async fn take(&mut self, group: Vec<Line>) -> bool {
        let (app, mut users) = (self.app.clone(), self.users.clone());
        let read = move || {
            let drafts: Vec<Read> = group.into_iter().map(|line| read(&app, &mut users, line)).collect();
            Ok::<_, ApiError>((drafts, users))
        };
        // only a panic fails a whole group: then the stream ends, and the client misses the rest of its answers
        let Ok((drafts, users)) = blocking(read).await else { return false };
        self.users = users;
        let Ok(answers) = self.submit(Arc::new(drafts)).await else { return false };
        for answer in answers {
            if self.answers.send(answer).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Submits, again and again while the queue is full: that holds the sender back. What the queue never has room for at
    /// once goes in parts.
    async fn submit(&self, drafts: Arc<Vec<Read>>) -> Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(drafts.len());
        let (mut at, mut size, mut tries) = (0, drafts.len(), 0);
        while at < drafts.len() {
            let part = at..drafts.len().min(at + size);
            let (app, lent, wait, of) = (self.app.clone(), drafts.clone(), self.wait, part.clone());
            let result = blocking(move || Ok::<_, ApiError>(submit_drafts(&app, &lent[of], wait))).await?;
            match result {
                Ok(outcomes) => {
                    answers.extend(join(&drafts[part.clone()], outcomes));
                    (at, tries) = (part.end, 0);
                }
                Err(ingest::Error::Store(store::Error::QueueFull(_))) if part.len() > 1 => {
                    size = part.len().div_ceil(2);
                }
                Err(ingest::Error::Store(store::Error::QueueFull(_)))
                    if tries < FULL_TRIES && !self.answers.is_closed() =>
                {
                    tries += 1;
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                Err(error) => {
                    answers.extend(fail_all(&drafts[at..], &error.into()));
                    break;
                }
            }
        }
        Ok(answers)
    }
}

fn read(app: &App, users: &mut Users, line: Line) -> Read {
    let number = line.number;
    draft(app, users, line).map_err(|error| Failed::new(number, &error))
}

fn draft(app: &App, users: &mut Users, line: Line) -> Result<Draft> {
    let too_large = || ApiError::too_large("the line", app.config.api.upload_bytes_max);
    let mut document: DocumentCreate = parse_json(&line.bytes.ok_or_else(too_large)?)?;
    check_text(app, &document.text)?;
    document.filename =
        form::filename(&document.filename).map_err(|why| ApiError::invalid("/filename", why.detail))?;
    document.path = document.path.take().map(form::path).transpose()?;
    document.tags = form::tags(std::mem::take(&mut document.tags))?;
    let named = Named::parse(document.collection.as_deref(), "/collection")?;
    let user = users.of(app, document.session_id.as_deref())?;
    let collection = named.key(&user);
    check_writable(&app.store, &user, &collection)?;
    Ok(Draft { line: line.number, collection, document, since: users.principal.since })
}

/// One commit for the group. Blocks.
fn submit_drafts(app: &App, drafts: &[Read], wait: bool) -> std::result::Result<Vec<Outcome>, ingest::Error> {
    let uploads = drafts.iter().flatten().map(|draft| {
        let document = &draft.document;
        let mut bytes = app.store.blob_writer()?;
        bytes.write(document.text.as_bytes())?;
        let upload = Upload {
            collection: draft.collection.clone(),
            filename: document.filename.clone(),
            path: document.path.clone(),
            blob: bytes.finish()?,
            tags: document.tags.clone(),
            metadata: document.metadata.clone(),
            since: draft.since,
        };
        Ok((document.filename.clone(), Ok(upload)))
    });
    let uploads = uploads.collect::<store::Result<Vec<_>>>()?;
    submit(&app.ingest, uploads, wait)
}

/// Answers in the order of the lines.
fn join(drafts: &[Read], outcomes: Vec<Outcome>) -> Vec<Answer> {
    let mut outcomes = outcomes.into_iter();
    let answer = |draft: &Read| match draft {
        Ok(draft) => outcomes.next().map(|outcome| Answer::new(draft.line, outcome)),
        Err(failed) => Some(Answer::Failed(Box::new(failed.clone()))),
    };
    drafts.iter().filter_map(answer).collect()
}

fn fail_all(drafts: &[Read], error: &ApiError) -> Vec<Answer> {
    let answer = |draft: &Read| match draft {
        Ok(draft) => Answer::Failed(Box::new(Failed::new(draft.line, error))),
        Err(failed) => Answer::Failed(Box::new(failed.clone())),
    };
    drafts.iter().map(answer).collect()
}
