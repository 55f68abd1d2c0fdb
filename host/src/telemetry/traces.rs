//! The spans of each request, sent to an OpenTelemetry collector where the config names one.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{self, SdkTracerProvider, SpanData};
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;

use super::logging::BoxedLayer;
use super::seldom::Seldom;

const SERVICE: &str = "smartrag";
/// How long a collector may take to accept spans; those of a minute are lost if it does not.
const SEND_MAX: Duration = Duration::from_secs(5);
/// How often it is said that it does not.
const COMPLAINTS: Duration = Duration::from_secs(600);

/// Sends what is still buffered when it is dropped.
#[derive(Debug)]
pub(super) struct Exporter(SdkTracerProvider);

impl Drop for Exporter {
    fn drop(&mut self) {
        // Whoever does not listen at the end has lost a few spans.
        let _ = self.0.shutdown_with_timeout(SEND_MAX);
    }
}

/// Spans of our own, whatever the level of the log, in batches to the collector at this URL (OTLP 1 over HTTP, JSON).
pub(super) fn layer(collector: &str) -> Result<(BoxedLayer, Exporter), String> {
    let endpoint = format!("{}/v1/traces", collector.trim_end_matches('/'));
    // To this address and nowhere else: proxies of the environment are for other programs.
    let http = reqwest::blocking::Client::builder().no_proxy().redirect(Policy::none()).build();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(http.map_err(|error| error.to_string())?)
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(endpoint)
        .with_timeout(SEND_MAX)
        .build()
        .map_err(|error| error.to_string())?;
    let complaints = Mutex::new(Seldom::new(COMPLAINTS));
    let exporter = Telling { inner: exporter, collector: collector.to_owned(), complaints };
    let resource = Resource::builder().with_service_name(SERVICE).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    // Nothing of the libraries: those that send the spans would tell of themselves for ever.
    let ours = Targets::new().with_target(SERVICE, LevelFilter::DEBUG);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SERVICE))
        .with_location(false)
        .with_threads(false)
        .with_filter(ours);
    Ok((Box::new(layer), Exporter(provider)))
}

/// Says when spans can't be sent, which is nobody's failure else.
#[derive(Debug)]
struct Telling {
    inner: SpanExporter,
    collector: String,
    complaints: Mutex<Seldom>,
}

impl trace::SpanExporter for Telling {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let done = self.inner.export(batch).await;
        let mut complaints = self.complaints.lock();
        let collector = &self.collector;
        match &done {
            Ok(()) if complaints.ends() => tracing::info!(collector, "spans are sent again"),
            Err(error) if complaints.is_due() => {
                tracing::warn!(%error, collector, "spans can't be sent to log.traces and are lost");
            }
            _ => {}
        }
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Makes a span go on with the trace that a client began, by its `traceparent` (W3C Trace Context). Whatever is no such thing
/// is as none.
pub fn continue_trace(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    // Where no spans are sent there is nothing to go on with.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
}
