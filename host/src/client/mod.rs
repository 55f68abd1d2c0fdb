//! Typed HTTP client for the CLI, for benchmarks and for tests.
//!
//! Invariant: sees `wire` only; knows nothing of store, search or plugins.

mod error;
mod http;
mod stream;
#[cfg(test)]
mod tests;
mod upload;

pub use error::Error;
pub use http::{Caller, Client};
pub use upload::{FileUpload, UploadFields};

use crate::wire::*;

/// Result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Which documents to list.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct DocumentFilter {
    pub status: Option<String>,
    pub file_type: Option<String>,
    pub tag: Option<String>,
    pub collection: Option<String>,
    pub filename: Option<String>,
    pub path: Option<String>,
    /// At most this many; `None` is all of them.
    pub limit: Option<usize>,
}

/// One call a method; paths as in the API's own documentation.
impl Client {
    /// How the daemon is.
    pub async fn health(&self) -> Result<HealthAnswer> {
        self.get("/health", &[]).await
    }

    /// Whether the daemon answers questions; needs no key.
    ///
    /// # Errors
    /// A problem `not_ready` with the reasons where it does not.
    pub async fn ready(&self) -> Result<Probe> {
        self.get("/health/ready", &[]).await
    }

    /// Every backend and the embedder.
    pub async fn models(&self) -> Result<Vec<ModelRecord>> {
        self.all("/models", &[], None).await
    }

    /// What is needed offline and whether it is there.
    pub async fn readiness(&self) -> Result<Readiness> {
        self.get("/models/readiness", &[]).await
    }

    /// All installed plugins.
    pub async fn plugins(&self) -> Result<Vec<PluginRecord>> {
        self.all("/plugins", &[], None).await
    }

    /// One plugin.
    pub async fn plugin(&self, name: &str) -> Result<PluginRecord> {
        self.get(&["/plugins/", &segment(name)].concat(), &[]).await
    }

    /// Takes up changed plugins.
    pub async fn reload_plugins(&self) -> Result<PluginReload> {
        self.post("/plugins/reload", &()).await
    }

    /// Takes up a changed configuration.
    pub async fn reload_config(&self) -> Result<ConfigReload> {
        self.post("/admin/reload", &()).await
    }

    /// Gives room back.
    pub async fn optimize(&self) -> Result<OptimizeReport> {
        self.post("/admin/optimize", &()).await
    }

    /// Builds the indexes of a collection of the caller anew, or those of all.
    pub async fn reindex(&self, collection: Option<&str>) -> Result<ReindexReport> {
        let query = collection.map(|name| ("collection", name));
        self.post_with("/admin/reindex", query.as_slice(), &()).await
    }

    /// Users, by name.
    pub async fn users(&self) -> Result<Vec<UserRecord>> {
        self.all("/admin/users", &[], None).await
    }

    /// Creates a user.
    pub async fn create_user(&self, body: &UserCreate) -> Result<UserRecord> {
        self.post("/admin/users", body).await
    }

    /// Deletes a user; with `purge` also one who has data.
    pub async fn delete_user(&self, id: &str, purge: bool) -> Result<UserDeleted> {
        let query = if purge { "?purge=true" } else { "" };
        let path = ["/admin/users/", &segment(id), query].concat();
        self.delete(&path).await?.json().await.map_err(|e| self.broken(e))
    }

    /// Keys, without the keys themselves.
    pub async fn keys(&self, user: Option<&str>) -> Result<Vec<KeyRecord>> {
        let query = user.map(|user| ("user_id", user));
        self.all("/admin/keys", query.as_slice(), None).await
    }

    /// Makes a key.
    pub async fn create_key(&self, body: &KeyCreate) -> Result<NewKey> {
        self.post("/admin/keys", body).await
    }

    /// Revokes a key.
    pub async fn revoke_key(&self, id: &str) -> Result<()> {
        self.delete(&["/admin/keys/", &segment(id)].concat()).await.map(|_| ())
    }

    /// Makes a backup; returns when it is whole.
    pub async fn backup(&self) -> Result<BackupRecord> {
        self.post("/admin/backup", &()).await
    }

    /// All backups, newest first.
    pub async fn backups(&self) -> Result<Vec<BackupRecord>> {
        self.all("/admin/backups", &[], None).await
    }

    /// What was asked, and what came of it; `user` is a name, `*` for everybody, or none for the caller.
    pub async fn analytics(
        &self,
        user: Option<&str>,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Analytics> {
        let query = [("user_id", user), ("from", from), ("to", to)];
        let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        self.get("/analytics", &query).await
    }

    /// Creates a session.
    pub async fn create_session(&self, body: &SessionCreate) -> Result<Session> {
        self.post("/sessions", body).await
    }

    /// Sessions of the caller, newest first.
    pub async fn sessions(&self, limit: Option<usize>) -> Result<Vec<Session>> {
        self.all("/sessions", &[], limit).await
    }

    /// A session.
    pub async fn session(&self, id: &str) -> Result<Session> {
        self.get_without_session(&["/sessions/", &segment(id)].concat(), &[]).await
    }

    /// What a client needs to go on with a session.
    pub async fn session_context(&self, id: &str) -> Result<SessionContext> {
        self.get_without_session(&["/sessions/", &segment(id), "/context"].concat(), &[]).await
    }

    /// Deletes a session with its conversations.
    pub async fn delete_session(&self, id: &str) -> Result<()> {
        self.delete(&["/sessions/", &segment(id)].concat()).await.map(|_| ())
    }

    /// Conversations of the caller, newest first.
    pub async fn conversations(&self, limit: Option<usize>) -> Result<Vec<Conversation>> {
        self.all("/conversations", &[], limit).await
    }

    /// Takes in a text.
    pub async fn create_document(&self, body: &DocumentCreate, wait: bool) -> Result<UploadItem> {
        let wait: &[(&str, &str)] = if wait { &[("wait", "true")] } else { &[] };
        self.post_with("/documents", wait, body).await
    }

    /// Documents of the caller, by time of upload.
    pub async fn documents(&self, filter: &DocumentFilter) -> Result<Vec<DocumentRecord>> {
        let given = [
            ("status", &filter.status),
            ("file_type", &filter.file_type),
            ("tag", &filter.tag),
            ("collection", &filter.collection),
            ("filename", &filter.filename),
            ("path", &filter.path),
        ];
        let query: Vec<(&str, &str)> =
            given.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        self.all("/documents", &query, filter.limit).await
    }

    /// A document.
    pub async fn document(&self, id: &str) -> Result<DocumentRecord> {
        self.get(&["/documents/", &segment(id)].concat(), &[]).await
    }

    /// Chunks of a document in order.
    pub async fn chunks(&self, id: &str, limit: Option<usize>) -> Result<Vec<ChunkRecord>> {
        self.all(&["/documents/", &segment(id), "/chunks"].concat(), &[], limit).await
    }

    /// Deletes a document.
    pub async fn delete_document(&self, id: &str) -> Result<DocumentDeleted> {
        self.delete(&["/documents/", &segment(id)].concat()).await?.json().await.map_err(|e| self.broken(e))
    }

    /// Deletes all documents that pass a filter, or tells what that would be.
    pub async fn delete_documents(&self, body: &BulkDelete) -> Result<BulkDeleted> {
        self.post("/documents/delete", body).await
    }

    /// Stops the work on a document.
    pub async fn cancel_document(&self, id: &str) -> Result<DocumentRecord> {
        self.post_empty(&["/documents/", &segment(id), "/cancel"].concat()).await
    }

    /// Queues a document anew.
    pub async fn reprocess_document(&self, id: &str) -> Result<DocumentRecord> {
        self.post_empty(&["/documents/", &segment(id), "/reprocess"].concat()).await
    }

    /// Searches.
    pub async fn search(&self, body: &SearchBody) -> Result<SearchAnswer> {
        self.post("/search", body).await
    }

    /// Asks and waits for the whole answer.
    pub async fn query(&self, body: &QueryBody) -> Result<QueryAnswer> {
        self.post("/query", body).await
    }

    /// Vectors of texts.
    pub async fn embed(&self, body: &EmbedBody) -> Result<EmbedAnswer> {
        self.post("/embed", body).await
    }
}

/// A name as one segment of a path.
pub fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => segment.push(byte.into()),
            b'.' if !name.trim_matches('.').is_empty() => segment.push('.'),
            byte => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}
