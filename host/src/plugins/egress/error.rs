/// Why an exchange failed. The words are for people and say what to do; no secret ever stands in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request makes no sense: the plugin has to change it.
    #[error("{0}")]
    Invalid(String),
    /// Not granted: the operator has to.
    #[error("{0}")]
    Denied(String),
    /// The server can't be reached.
    #[error("{0}")]
    Unavailable(String),
    /// The server does not speak HTTP as it should.
    #[error("{0}")]
    Upstream(String),
    /// The server took too long.
    #[error("{0}")]
    Timeout(String),
    /// A bound of the host, by its name.
    #[error("{1}")]
    Limit(&'static str, String),
    /// Whoever waited is gone.
    #[error("the call was cancelled")]
    Cancelled,
}
