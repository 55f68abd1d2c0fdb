//! The user's own questions, asked of a running daemon, or of a data directory through a daemon for that time.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::Args;
use super::judged::{self, Measured, Variant};
use super::questions::{self, Question};
use crate::app::App;
use crate::cli::collection::JudgedQuery;
use crate::client::{Client, DocumentFilter};
use crate::config::{self, Options};
use crate::types::DocumentId;
use crate::wire::SearchBody;

pub(super) fn measure(file: &Path, args: &Args, variants: &[Variant]) -> anyhow::Result<Vec<Measured>> {
    let questions = questions::read(file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = args.data_dir.as_ref().map(|dir| Served::start(&runtime, dir, args.config.clone()));
    let served = served.transpose()?;
    let remote = match &served {
        Some(served) => args.remote.clone().at(&served.url),
        None => args.remote.clone(),
    };
    let own = Own { client: remote.client()?, collection: args.collection.clone(), runtime: &runtime };
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let measured = own.measure(&name, &questions, variants);
    if let Some(served) = served {
        served.stop(&runtime);
    }
    measured
}

struct Own<'a> {
    client: Client,
    collection: Option<String>,
    runtime: &'a tokio::runtime::Runtime,
}

impl Own<'_> {
    fn measure(
        &self,
        name: &str,
        questions: &[Question],
        variants: &[Variant],
    ) -> anyhow::Result<Vec<Measured>> {
        self.check(name, questions)?;
        let judged = |question: &Question| JudgedQuery {
            text: question.text.clone(),
            judgements: question.documents.iter().map(|document| (document.clone(), 1)).collect(),
        };
        let judged: Vec<JudgedQuery> = questions.iter().map(judged).collect();
        let documents: HashSet<&String> = questions.iter().flat_map(|question| &question.documents).collect();
        judged::measure(name, documents.len(), &judged, variants, |query, variant| self.rank(query, variant))
    }

    /// Every document that a question names must be there: else the figures would say nothing.
    fn check(&self, name: &str, questions: &[Question]) -> anyhow::Result<()> {
        let mut known: HashMap<&str, bool> = HashMap::new();
        let mut problems = Vec::new();
        for question in questions {
            for document in &question.documents {
                let there = match known.get(document.as_str()) {
                    Some(there) => *there,
                    None => self.runtime.block_on(self.is_there(document))?,
                };
                known.insert(document, there);
                if !there {
                    problems.push(format!("  line {}: there is no document {document:?}", question.line));
                }
            }
        }
        if !problems.is_empty() {
            let place = self.collection.as_deref().unwrap_or("default");
            bail!(
                "{name} names documents that the collection {place:?} does not hold:\n{}\nexpected file names or ids \
                 as in `smartrag documents list`",
                problems.join("\n")
            );
        }
        Ok(())
    }

    async fn is_there(&self, document: &str) -> anyhow::Result<bool> {
        let place = self.place();
        if DocumentId::parse(document).is_some() {
            return match self.client.document(document).await {
                Ok(found) => Ok(place.is_none_or(|place| found.collection == place)),
                Err(error) if error.code() == Some("not_found") => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        let filter = DocumentFilter {
            filename: Some(document.to_owned()),
            collection: place.map(str::to_owned),
            limit: Some(1),
            ..DocumentFilter::default()
        };
        Ok(!self.client.documents(&filter).await?.is_empty())
    }

    /// The collection; `None` for all.
    fn place(&self) -> Option<&str> {
        Some(self.collection.as_deref().unwrap_or("default")).filter(|place| *place != "*")
    }

    /// Documents by their best chunk, each as the question names it, if it does.
    fn rank(&self, query: &JudgedQuery, variant: &Variant) -> anyhow::Result<Vec<String>> {
        let body = SearchBody {
            session_id: self.client.session_id().map(str::to_owned),
            collection: self.collection.clone(),
            // A document counts although another one repeats it.
            fold: Some(false),
            ..variant.body(&query.text)
        };
        let found = self.runtime.block_on(self.client.search(&body))?;
        let mut seen = HashSet::new();
        let names = found.results.into_iter().map(|hit| match query.judgements.contains_key(&hit.filename) {
            true => hit.filename,
            false => hit.document_id,
        });
        Ok(names.filter(|name| seen.insert(name.clone())).collect())
    }
}

/// A daemon within this process.
struct Served {
    app: Arc<App>,
    url: String,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    fn start(
        runtime: &tokio::runtime::Runtime,
        data_dir: &Path,
        config: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        if !data_dir.is_dir() {
            bail!("{}: there is no such data directory", data_dir.display());
        }
        let overrides = vec![("--data-dir", "data_dir", data_dir.to_string_lossy().into_owned())];
        let config = config::load(&Options { file: config, overrides })?.config;
        let app = App::start(config, Default::default()).context("the data directory can't be used")?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let ended = runtime.spawn(crate::api::serve(
            app.clone(),
            crate::api::Doors { native: listener, ollama: None, owner: None },
            shutdown,
        ));
        Ok(Self { app, url, stop, ended })
    }

    fn stop(self, runtime: &tokio::runtime::Runtime) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        let _ = runtime.block_on(self.ended);
        self.app.shutdown();
    }
}
