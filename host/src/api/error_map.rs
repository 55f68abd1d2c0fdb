//! The errors of the services as answers: the one place that chooses status and code.

use axum::http::StatusCode;

use super::error::ApiError;
use crate::types::{FaultKind, Limit, PluginError};
use crate::wire::{FilterError, FilterFault};
use crate::{answer, ingest, search, store};

/// Seconds after which a full queue is worth another try.
const QUEUE_RETRY_AFTER_S: u32 = 5;

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        use store::Error;
        let sentence = error.to_string();
        match error {
            Error::NotFound => Self::not_found("such thing"),
            Error::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", sentence),
            Error::QueueFull(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", sentence)
                .retry_after(QUEUE_RETRY_AFTER_S),
            Error::Full | Error::FullAt(_) => storage_full(sentence),
            Error::Stopped => Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", sentence),
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                storage_full(store::Error::Full.to_string())
            }
            Error::MissingOriginals(_) => Self::internal_told(&sentence, &sentence),
            Error::Corrupt(_) => Self::internal_told(
                sentence,
                "the database is damaged: `smartrag doctor` and the log say more, and \
                 `smartrag restore latest --replace` brings the last backup back",
            ),
            Error::Locked(_)
            | Error::Io { .. }
            | Error::Format { .. }
            | Error::Changed(_)
            | Error::BadBackup(..)
            | Error::Database(_) => Self::internal(sentence),
        }
    }
}

fn storage_full(sentence: String) -> ApiError {
    ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", sentence)
}

impl From<search::Error> for ApiError {
    fn from(error: search::Error) -> Self {
        use search::Error;
        let sentence = error.to_string();
        match error {
            Error::Query(detail) => Self::invalid("/query", detail),
            Error::Filter(detail) => Self::invalid("/filter", detail),
            Error::Full => storage_full(sentence),
            Error::Dimension { .. }
            | Error::OtherEmbedder
            | Error::Damaged { .. }
            | Error::Io { .. }
            | Error::Index(_) => Self::internal(sentence),
        }
    }
}

impl From<ingest::Error> for ApiError {
    fn from(error: ingest::Error) -> Self {
        match error {
            ingest::Error::Store(error) => error.into(),
            ingest::Error::Search(error) => error.into(),
        }
    }
}

impl From<answer::Error> for ApiError {
    fn from(error: answer::Error) -> Self {
        use answer::Error;
        let sentence = error.to_string();
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        match error {
            Error::UnknownBackend(..) => Self::new(unprocessable, "unknown_backend", sentence),
            Error::UnknownCollection(_) => Self::new(unprocessable, "unknown_collection", sentence),
            Error::NotFound => Self::not_found("such thing"),
            Error::Prompt(_) => Self::internal(sentence),
            Error::Backend(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Search(error) => error.into(),
        }
    }
}

impl From<PluginError> for ApiError {
    fn from(error: PluginError) -> Self {
        let sentence = error.to_string();
        let retry_after_s = error.retry_after_ms.map(|ms| ms.div_ceil(1000));
        let (status, code) = match error.kind {
            FaultKind::InvalidInput | FaultKind::Empty | FaultKind::Unsupported => {
                return Self::invalid("", sentence);
            }
            FaultKind::Unavailable
            | FaultKind::Limit(Limit::Instances | Limit::Calls)
            | FaultKind::MissingModel(_)
            | FaultKind::InvalidConfig
            | FaultKind::Denied(_) => (StatusCode::SERVICE_UNAVAILABLE, "backend_unavailable"),
            FaultKind::Other(code) if code == "unknown_model" => return Self::invalid("/model", sentence),
            FaultKind::Limit(Limit::Named(name)) if name == "context" => {
                return Self::invalid("/query", sentence);
            }
            // the host's own word for a name in the config that no installed plugin has
            FaultKind::Other(code) if code == "unknown_plugin" => {
                (StatusCode::SERVICE_UNAVAILABLE, "backend_unavailable")
            }
            FaultKind::Timeout | FaultKind::Limit(Limit::Time) => {
                (StatusCode::GATEWAY_TIMEOUT, "backend_timeout")
            }
            FaultKind::Upstream
            | FaultKind::Encrypted
            | FaultKind::Corrupt
            | FaultKind::Limit(_)
            | FaultKind::Trap
            | FaultKind::Exit
            | FaultKind::Internal
            | FaultKind::Other(_) => (StatusCode::BAD_GATEWAY, "backend_error"),
        };
        Self { retry_after_s, source: Some(sentence.clone()), ..Self::new(status, code, sentence) }
    }
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        match error.fault {
            FilterFault::UnknownKey => {
                let mut fault = Self::invalid(error.pointer, error.detail);
                fault.status = StatusCode::BAD_REQUEST;
                fault.code = "unknown_filter_key".into();
                fault
            }
            FilterFault::InvalidValue => Self::invalid(error.pointer, error.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_507_however_it_shows() {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let io = store::Error::Io { path: "x".into(), source };
        for error in [io, store::Error::Full] {
            let fault = ApiError::from(error);
            assert_eq!((fault.status.as_u16(), fault.code.as_ref()), (507, "storage_full"));
        }
        assert_eq!(ApiError::from(search::Error::Full).status.as_u16(), 507);
    }

    #[test]
    fn faults_of_plugins_tell_whose_turn_it_is() {
        let answer = |kind| {
            let error = PluginError {
                plugin: "x".into(),
                kind,
                message: "y".into(),
                retryable: true,
                retry_after_ms: Some(1500),
            };
            let fault = ApiError::from(error);
            (fault.status.as_u16(), fault.code.to_string(), fault.retry_after_s)
        };
        let unavailable = (503, "backend_unavailable".to_string(), Some(2));
        assert_eq!(answer(FaultKind::Unavailable), unavailable);
        assert_eq!(answer(FaultKind::Other("unknown_plugin".into())), unavailable);
        assert_eq!(answer(FaultKind::Limit(Limit::Calls)), unavailable);
        assert_eq!(answer(FaultKind::Limit(Limit::Time)).0, 504);
        assert_eq!(answer(FaultKind::Timeout).0, 504);
        assert_eq!(answer(FaultKind::Trap), (502, "backend_error".into(), Some(2)));
        assert_eq!(answer(FaultKind::InvalidInput).1, "invalid_value");
    }

    #[test]
    fn what_is_inside_stays_inside() {
        let fault = ApiError::from(store::Error::Database("page 7 of /secret/path".into()));
        assert_eq!(fault.code, "internal");
        assert!(!fault.detail.contains("secret"));
        assert!(fault.source.unwrap().contains("secret"));
    }
}
