use super::error::{ApiError, Result};
use crate::answer::{Answers, Slot};
use crate::types::UserId;

/// Runs a call of a service off the async threads. A panic in it fails this request alone.
pub(super) async fn blocking<T, E>(
    work: impl FnOnce() -> std::result::Result<T, E> + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => Err(ApiError::internal(error)),
    }
}

/// As [`blocking`], for what keeps a processor busy: in a slot of this user's.
pub(super) async fn in_slot<T, E>(
    answers: &Answers,
    user: &UserId,
    work: impl FnOnce(&mut Slot) -> std::result::Result<T, E> + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    let mut slot = answers.slot(user).await;
    blocking(move || work(&mut slot)).await
}
