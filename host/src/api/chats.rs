//! Chats of programs made for others: the name of the model chooses what answers, and the client sends along what was
//! said. Nothing of it is kept.

use std::sync::Arc;

use axum::http::StatusCode;

use super::access::Principal;
use super::blocking::blocking;
use super::caller::{Unknown, Who, resolve};
use super::collections::Named;
use super::error::{ApiError, Result};
use super::query::options;
use super::search::Checked;
use crate::answer::{ModelStatus, Question, SearchRequest, Thread};
use crate::app::App;
use crate::types::{CollectionName, MessageRole, Role, Scope, UserId};
use crate::wire;

/// The model that answers from the default collection; other collections follow behind a slash.
const OURS: &str = "smartrag";
/// How web pages begin what they want for themselves: titles, tags, follow-up questions.
const TASK: &str = "### Task:";

/// A model that a client may name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    pub id: String,
    /// `smartrag`, or the backend.
    pub owner: String,
}

/// What was said, oldest first, and how to go on.
pub(super) struct Chat {
    pub model: String,
    pub messages: Vec<(MessageRole, String)>,
    pub options: wire::QueryOptions,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
enum Chosen {
    /// The documents of a collection, answered by the default backend.
    Collection(String),
    /// A backend and its model, without documents.
    Bare(String, String),
}

/// Who chats, and the question that the chat ends with.
pub(super) async fn question(app: &Arc<App>, principal: &Principal, chat: Chat) -> Result<(Who, Question)> {
    let who = resolve(app, principal, None, Unknown::Refuse).await?;
    let (name, user, of_app) = (chat.model.clone(), who.user().clone(), Arc::clone(app));
    let chosen = blocking(move || choose(&of_app, &user, &name)).await?;
    let question = checked(chat, chosen, who.user())?;
    Ok((who, question))
}

fn checked(chat: Chat, chosen: Chosen, user: &UserId) -> Result<Question> {
    let mut said = chat.messages;
    let last = said.pop().filter(|(role, text)| *role == MessageRole::User && !text.trim().is_empty());
    let Some((_, asked)) = last else {
        return Err(ApiError::invalid("/messages", "the last message must be a question of the user"));
    };
    let is_task = asked.trim_start().starts_with(TASK);
    let (collection, backend, model) = match chosen {
        Chosen::Collection(name) => (Some(name), None, None),
        Chosen::Bare(backend, model) => (None, Some(backend), Some(model)),
    };
    let retrieve = backend.is_none() && !is_task;
    let search = match retrieve {
        true => Checked::new(&asked, wire::TOP_K_DEFAULT, None, collection.as_deref())
            .map_err(|error| ApiError { errors: Vec::new(), ..error })?
            .request(user),
        false => SearchRequest::new(asked, 1, Scope::All),
    };
    Ok(Question {
        search,
        session: None,
        thread: Thread::Given(said),
        retrieve,
        backend,
        model,
        language: None,
        options: options(chat.options)?,
    })
}

/// What a name stands for, among what there is: as it is, else without the tag that some clients add. Blocks.
fn choose(app: &App, user: &UserId, name: &str) -> Result<Chosen> {
    match untagged(name) {
        Some(plain) => choose_exactly(app, user, name).or_else(|_| choose_exactly(app, user, plain)),
        None => choose_exactly(app, user, name),
    }
}

fn choose_exactly(app: &App, user: &UserId, name: &str) -> Result<Chosen> {
    let collection = match name.split_once('/') {
        None if name == OURS => return Ok(Chosen::Collection(CollectionName::default().to_string())),
        Some((OURS, collection)) => collection,
        Some((backend, model)) => {
            return match generators(app).any(|known| known.name == backend) {
                true => Ok(Chosen::Bare(backend.into(), model.into())),
                false => Err(unknown_model(name)),
            };
        }
        None => return Err(unknown_model(name)),
    };
    let wanted = Named::parse(Some(collection), "").map_err(|_| unknown_model(name))?.key(user);
    let own_default = wanted.owner == *user && wanted.name == CollectionName::default();
    if own_default || app.store.access(user, &wanted)?.is_some() {
        Ok(Chosen::Collection(collection.to_owned()))
    } else {
        Err(unknown_model(name))
    }
}

/// `smartrag:latest` is what some clients make of `smartrag`.
fn untagged(name: &str) -> Option<&str> {
    name.strip_suffix(":latest")
}

/// Every model that the caller may name: collections first.
pub(super) async fn models(app: &Arc<App>, principal: &Principal) -> Result<Vec<Model>> {
    let who = resolve(app, principal, None, Unknown::Refuse).await?;
    let app = Arc::clone(app);
    blocking(move || all(&app, who.user())).await
}

/// The model of this name.
pub(super) async fn model(app: &Arc<App>, principal: &Principal, name: &str) -> Result<Model> {
    let models = models(app, principal).await?;
    let named = |wanted: &str| models.iter().find(|model| model.id == wanted).cloned();
    named(name).or_else(|| named(untagged(name)?)).ok_or_else(|| unknown_model(name))
}

fn all(app: &App, user: &UserId) -> Result<Vec<Model>> {
    let model = |id: String, owner: &str| Model { id, owner: owner.to_owned() };
    let mut models = vec![model(OURS.into(), OURS)];
    let collections = app.store.readable(user).map_err(ApiError::from)?;
    let others = collections.into_iter().map(|(collection, _)| collection.key.name_for(user));
    let others = others.filter(|name| *name != CollectionName::default().as_str());
    models.extend(others.map(|name| model(format!("{OURS}/{name}"), OURS)));
    for backend in generators(app) {
        let one = backend.model.as_ref().filter(|_| backend.models.is_empty());
        let names = backend.models.iter().chain(one);
        models.extend(names.map(|name| model(format!("{}/{name}", backend.name), &backend.name)));
    }
    Ok(models)
}

fn generators(app: &App) -> impl Iterator<Item = ModelStatus> {
    app.answers.models().into_iter().filter(|model| model.role == Role::Generator)
}

fn unknown_model(name: &str) -> ApiError {
    let detail = format!("there is no model {name:?}: GET /v1/models lists them");
    ApiError {
        status: StatusCode::NOT_FOUND,
        code: "model_not_found".into(),
        ..ApiError::invalid("/model", detail)
    }
}
