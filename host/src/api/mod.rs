//! api.

/// Serves until `shutdown` and drains.
pub async fn serve(
    _app: std::sync::Arc<crate::app::App>,
    _listener: tokio::net::TcpListener,
    _shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    todo!()
}
