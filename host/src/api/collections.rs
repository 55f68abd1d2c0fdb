//! `/collections`: names for sets of documents, and who else may use them.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::access::Principal;
use super::blocking::blocking;
use super::caller::{Unknown, UserParams, resolve};
use super::cursor::{self, ListParams};
use super::error::{ApiError, Result};
use super::extract::{Json, NamePath, Query};
use crate::app::App;
use crate::store::{Collection, Slice, Store};
use crate::types::{Access, CollectionKey, CollectionName, UserId};
use crate::wire;

/// Stands for all collections that the caller may read.
pub(super) const EVERYWHERE: &str = "*";

/// A collection as a request names it: `NAME` of the caller's own, or `OWNER/NAME`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    owner: Option<UserId>,
    name: CollectionName,
}

impl Named {
    /// The caller's default one where none is named; `pointer` is where the name stands.
    pub fn parse(text: Option<&str>, pointer: &str) -> Result<Self> {
        let Some(text) = text else { return Ok(Self { owner: None, name: CollectionName::default() }) };
        let wrong = |error: crate::types::InvalidName| ApiError::invalid(pointer, error.to_string());
        let (owner, name) = match text.split_once('/') {
            Some((owner, name)) => (Some(UserId::new(owner).map_err(wrong)?), name),
            None => (None, text),
        };
        Ok(Self { owner, name: named(name, pointer)? })
    }

    /// Which one that is for this user.
    pub fn key(&self, user: &UserId) -> CollectionKey {
        CollectionKey { owner: self.owner.as_ref().unwrap_or(user).clone(), name: self.name.clone() }
    }
}

/// The name of one collection.
fn named(name: &str, pointer: &str) -> Result<CollectionName> {
    if name == EVERYWHERE {
        return Err(ApiError::invalid(pointer, "`*` stands for all collections: name one"));
    }
    CollectionName::new(name).map_err(|error| ApiError::invalid(pointer, error.to_string()))
}

/// 422; the same for what is not there and for what is nobody's business.
pub(super) fn unknown(key: &CollectionKey, user: &UserId) -> ApiError {
    let detail = format!("there is no collection {:?}", key.name_for(user));
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_collection", detail)
}

/// Whether a user may put documents into a collection: any of his own, or one that was granted. Blocks.
pub(super) fn check_writable(store: &Store, user: &UserId, key: &CollectionKey) -> Result<()> {
    if key.owner == *user {
        return Ok(());
    }
    match store.access(user, key)? {
        Some((_, Access::Write)) => Ok(()),
        Some((_, Access::Read)) => Err(read_only(key)),
        None => Err(unknown(key, user)),
    }
}

fn read_only(key: &CollectionKey) -> ApiError {
    let detail = format!("you may only read {:?}: ask {} for write access", key.full_name(), key.owner);
    ApiError::forbidden(detail)
}

/// Why a document that can be read can't be changed: 403; else 404. Blocks.
pub(super) fn why_unchangeable(
    store: &Store,
    user: &UserId,
    id: crate::types::DocumentId,
    unknown: ApiError,
) -> ApiError {
    match store.document(user, id) {
        Ok(Some(document)) => read_only(&document.collection),
        Ok(None) => unknown,
        Err(error) => error.into(),
    }
}

/// List collections
///
/// The caller's own in order of name, then those of others that the caller may read.
#[utoipa::path(get, path = "/collections", tag = "documents", operation_id = "list_collections",
    params(ListParams),
    responses((status = 200, description = "Collections", body = wire::List<wire::CollectionRecord>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    principal: Principal,
    Query(params): Query<ListParams>,
) -> Result<Answer<wire::List<wire::CollectionRecord>>> {
    let limit = cursor::limit(params.limit)?;
    let after = params.cursor.map(|text| cursor::decode("collections", &text)).transpose()?;
    let after = after.map(|name| Named::parse(Some(&name), "")).transpose().map_err(|_| cursor::invalid())?;
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    blocking(move || {
        let mut all: Vec<_> = app.store.readable(who.user())?;
        // The one of the cursor may be gone.
        let after = after.map(|named| order(&named.key(who.user()), who.user()));
        all.retain(|(collection, _)| {
            after.as_ref().is_none_or(|after| order(&collection.key, who.user()) > *after)
        });
        all.sort_by_key(|(collection, _)| order(&collection.key, who.user()));
        let items = all.into_iter().map(|(collection, access)| record(collection, access, who.user()));
        let Slice { items, more } = Slice::of(items, limit);
        let position = |item: &wire::CollectionRecord| item.name.clone();
        Ok::<_, ApiError>(Answer(cursor::page(items, more, "collections", position, |item| item)))
    })
    .await
}

fn order(key: &CollectionKey, user: &UserId) -> (bool, CollectionKey) {
    (key.owner != *user, key.clone())
}

fn record(collection: Collection, access: Access, user: &UserId) -> wire::CollectionRecord {
    let is_own = collection.key.owner == *user;
    wire::CollectionRecord {
        name: collection.key.name_for(user),
        owner: collection.key.owner.to_string(),
        access: if is_own { "owner" } else { access.as_str() }.into(),
        documents: collection.documents,
        chunks: collection.chunks,
    }
}

/// Create a collection
///
/// One is also created by the first document that names it.
#[utoipa::path(post, path = "/collections", tag = "documents", operation_id = "create_collection",
    params(UserParams), request_body = wire::CollectionCreate,
    responses((status = 201, description = "The collection", body = wire::CollectionRecord),
        (status = 409, description = "`conflict`: there is one of this name")))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    principal: Principal,
    Query(params): Query<UserParams>,
    Json(body): Json<wire::CollectionCreate>,
) -> Result<impl IntoResponse> {
    let name = named(&body.name, "/name")?;
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Create).await?;
    let key = CollectionKey { owner: who.caller.user, name };
    let created = blocking(move || {
        let collection = app.store.create_collection(&key, principal.since)?;
        Ok::<_, ApiError>(record(collection, Access::Write, &key.owner))
    });
    Ok((StatusCode::CREATED, Answer(created.await?)))
}

/// A collection of a path that the caller may read; 404 else. Blocks.
fn find(store: &Store, user: &UserId, text: &str) -> Result<(Collection, Access)> {
    let unknown = || ApiError::not_found(format!("collection {text:?}"));
    let key = Named::parse(Some(text), "").map_err(|_| unknown())?.key(user);
    store.access(user, &key)?.ok_or_else(unknown)
}

/// One of the caller's own. Blocks.
fn find_own(store: &Store, user: &UserId, text: &str) -> Result<CollectionKey> {
    let (collection, _) = find(store, user, text)?;
    if collection.key.owner == *user {
        return Ok(collection.key);
    }
    let owner = &collection.key.owner;
    Err(ApiError::forbidden(format!("only {owner}, whose collection it is, may do that")))
}

/// Show a collection
#[utoipa::path(get, path = "/collections/{name}", tag = "documents", operation_id = "get_collection",
    params(("name" = String, Path, min_length = 1, max_length = 193, description = "Its name; `OWNER%2FNAME` where it is another user's"), UserParams),
    responses((status = 200, description = "The collection", body = wire::CollectionRecord)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(name): NamePath,
    Query(params): Query<UserParams>,
) -> Result<Answer<wire::CollectionRecord>> {
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    blocking(move || {
        let (collection, access) = find(&app.store, who.user(), &name)?;
        Ok::<_, ApiError>(Answer(record(collection, access, who.user())))
    })
    .await
}

/// Delete a collection with its documents
#[utoipa::path(delete, path = "/collections/{name}", tag = "documents", operation_id = "delete_collection",
    params(("name" = String, Path, min_length = 1, max_length = 193, description = "Its name"), UserParams),
    responses((status = 200, description = "What went", body = wire::CollectionDeleted),
        (status = 409, description = "`conflict`: documents came in meanwhile")))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(name): NamePath,
    Query(params): Query<UserParams>,
) -> Result<Answer<wire::CollectionDeleted>> {
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    blocking(move || {
        let key = find_own(&app.store, who.user(), &name)?;
        let documents = app.ingest.delete_collection(&key)?;
        Ok::<_, ApiError>(Answer(wire::CollectionDeleted { name: key.name.to_string(), documents }))
    })
    .await
}

/// List who else may use a collection
#[utoipa::path(get, path = "/collections/{name}/grants", tag = "documents", operation_id = "list_grants",
    params(("name" = String, Path, min_length = 1, max_length = 193, description = "Its name"), ListParams),
    responses((status = 200, description = "By user", body = wire::List<wire::GrantRecord>)))]
pub(super) async fn grants(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(name): NamePath,
    Query(params): Query<ListParams>,
) -> Result<Answer<wire::List<wire::GrantRecord>>> {
    let limit = cursor::limit(params.limit)?;
    let after = params.cursor.map(|text| cursor::decode("grants", &text)).transpose()?;
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    blocking(move || {
        let key = find_own(&app.store, who.user(), &name)?;
        let all = app.store.grants(&key)?.into_iter();
        let behind = all.filter(|(user, _)| after.as_deref().is_none_or(|after| user.as_str() > after));
        let Slice { items, more } = Slice::of(behind, limit);
        let position = |(user, _): &(UserId, Access)| user.to_string();
        let granted = |(user, access): (UserId, Access)| granted(&user, access);
        Ok::<_, ApiError>(Answer(cursor::page(items, more, "grants", position, granted)))
    })
    .await
}

fn granted(user: &UserId, access: Access) -> wire::GrantRecord {
    wire::GrantRecord { user_id: user.to_string(), access: access.as_str().into() }
}

/// Collection and user of a path.
pub(super) type GrantPath = NamePath<(String, String)>;

/// Let another user read or change a collection
///
/// Not the default one, which is private.
#[utoipa::path(put, path = "/collections/{name}/grants/{user_id}", tag = "documents", operation_id = "grant",
    params(("name" = String, Path, min_length = 1, max_length = 193, description = "Its name"), ("user_id" = inline(wire::texts::UserId), Path, description = "Who"),
        UserParams),
    request_body = wire::GrantBody,
    responses((status = 200, description = "What is allowed now", body = wire::GrantRecord),
        (status = 409, description = "`conflict`: it is the default one")))]
pub(super) async fn grant(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath((name, user)): GrantPath,
    Query(params): Query<UserParams>,
    Json(body): Json<wire::GrantBody>,
) -> Result<Answer<wire::GrantRecord>> {
    let access = Access::parse(&body.access)
        .ok_or_else(|| ApiError::invalid("/access", "must be \"read\" or \"write\""))?;
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    blocking(move || {
        let key = find_own(&app.store, who.user(), &name)?;
        if key.name == CollectionName::default() {
            let detail = "the default collection is private: put what is to be shared into another one";
            return Err(ApiError::new(StatusCode::CONFLICT, "conflict", detail));
        }
        let user = UserId::new(user).map_err(|error| ApiError::invalid("/user_id", error.to_string()))?;
        if user == key.owner {
            return Err(ApiError::invalid("/user_id", "is the owner, who may do everything anyway"));
        }
        app.store.grant(&key, &user, access)?;
        Ok(Answer(granted(&user, access)))
    })
    .await
}

/// Take a grant back
#[utoipa::path(delete, path = "/collections/{name}/grants/{user_id}", tag = "documents", operation_id = "revoke_grant",
    params(("name" = String, Path, min_length = 1, max_length = 193, description = "Its name"), ("user_id" = inline(wire::texts::UserId), Path, description = "Who"),
        UserParams),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath((name, user)): GrantPath,
    Query(params): Query<UserParams>,
) -> Result<StatusCode> {
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    blocking(move || {
        let key = find_own(&app.store, who.user(), &name)?;
        let none = || ApiError::not_found(format!("grant for {user:?}"));
        let user = UserId::new(user.as_str()).map_err(|_| none())?;
        match app.store.revoke_grant(&key, &user)? {
            true => Ok(StatusCode::NO_CONTENT),
            false => Err(none()),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_ones_own_or_of_others() {
        let ann = UserId::new("ann").unwrap();
        let full = |text| Named::parse(text, "/collection").map(|named| named.key(&ann).full_name());
        assert_eq!(full(None).unwrap(), "ann/default");
        assert_eq!(full(Some("papers")).unwrap(), "ann/papers");
        assert_eq!(full(Some("bob/papers")).unwrap(), "bob/papers");
        for bad in ["", "/", "bob/", "/papers", "a/b/c", "x\n"] {
            assert_eq!(full(Some(bad)).unwrap_err().errors[0].pointer, "/collection", "{bad:?}");
        }
    }
}
