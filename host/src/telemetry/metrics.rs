use std::sync::OnceLock;
use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, Result, TextEncoder,
};

use super::process::{cpu_seconds, resident_bytes};
use crate::types::Stage;

/// Seconds, from a cached search to a slow generation.
const QUERY_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];
/// Seconds, from a language guess to a thousand pages.
const INGEST_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0];
/// Seconds, from an empty call into a guest.
const PLUGIN_BUCKETS: &[f64] =
    &[0.000_01, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

/// Every series that Prometheus can read. Recording is a few atomic operations.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    started: Instant,
    queries: IntCounterVec,
    query_duration: HistogramVec,
    active_sessions: IntGauge,
    documents: IntGaugeVec,
    chunks: IntGauge,
    ingest_duration: HistogramVec,
    ingested: IntCounterVec,
    ingested_chunks: IntCounter,
    queue_length: IntGauge,
    plugin_calls: IntCounterVec,
    plugin_errors: IntCounterVec,
    plugin_traps: IntCounterVec,
    plugin_breaches: IntCounterVec,
    plugin_duration: HistogramVec,
    plugin_memory: IntGaugeVec,
    backends: IntGaugeVec,
    egress_requests: IntCounterVec,
    egress_bytes: IntCounterVec,
    egress_refused: IntCounterVec,
    backup_last: Gauge,
    backup_duration: Gauge,
    backup_bytes: IntGauge,
    http_requests: IntCounterVec,
    http_duration: HistogramVec,
    resident: IntGauge,
    cpu: Gauge,
    uptime: Gauge,
}

/// Those of this process.
pub fn metrics() -> &'static Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| match Metrics::new() {
        Ok(metrics) => metrics,
        Err(error) => {
            // Names and buckets are constants: the test below fails long before a user sees this.
            eprintln!("error: a metric is defined wrongly: {error}");
            std::process::abort()
        }
    })
}

/// Makes series and registers them.
struct Series<'a>(&'a Registry);

impl Series<'_> {
    fn add<C: Collector + Clone + 'static>(&self, made: Result<C>) -> Result<C> {
        let made = made?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.add(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn seconds(&self, name: &str, help: &str) -> Result<Gauge> {
        self.add(Gauge::new(name, help))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

impl Metrics {
    /// All series at zero.
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let series = Series(&registry);
        let build: GaugeVec =
            series.add(GaugeVec::new(Opts::new("smartrag_build_info", "Always 1"), &["version"]))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        Ok(Self {
            started: Instant::now(),
            queries: series.counters(
                "smartrag_queries_total",
                "Searches and questions",
                &["kind", "outcome"],
            )?,
            query_duration: series.histograms(
                "smartrag_query_duration_seconds",
                "Time of a search or question by stage",
                &["stage"],
                QUERY_BUCKETS,
            )?,
            active_sessions: series.gauge("smartrag_active_sessions", "Sessions in the store")?,
            documents: series.gauges("smartrag_documents_total", "Documents in the store", &["status"])?,
            chunks: series.gauge("smartrag_chunks_total", "Chunks in the store")?,
            ingest_duration: series.histograms(
                "smartrag_ingest_stage_duration_seconds",
                "Time of a document by stage",
                &["stage"],
                INGEST_BUCKETS,
            )?,
            ingested: series.counters(
                "smartrag_ingest_documents_total",
                "Documents that became ready or failed since the start",
                &["outcome"],
            )?,
            ingested_chunks: series
                .counter("smartrag_ingest_chunks_total", "Chunks of documents that became ready")?,
            queue_length: series
                .gauge("smartrag_ingest_queue_length", "Documents neither ready nor failed")?,
            plugin_calls: series.counters("smartrag_plugin_calls_total", "Calls of a plugin", &["plugin"])?,
            plugin_errors: series.counters(
                "smartrag_plugin_errors_total",
                "Failed calls of a plugin",
                &["plugin", "code"],
            )?,
            plugin_traps: series.counters("smartrag_plugin_traps_total", "Traps of a plugin", &["plugin"])?,
            plugin_breaches: series.counters(
                "smartrag_plugin_breaches_total",
                "What the host had to stop a plugin from: limits, crashes, broken contracts",
                &["plugin", "code"],
            )?,
            plugin_duration: series.histograms(
                "smartrag_plugin_call_duration_seconds",
                "Time of a plugin's call",
                &["plugin"],
                PLUGIN_BUCKETS,
            )?,
            plugin_memory: series.gauges(
                "smartrag_plugin_memory_bytes",
                "Most linear memory that an instance of the plugin has had",
                &["plugin"],
            )?,
            backends: series.gauges(
                "smartrag_backend_up",
                "Whether a backend of the config can be asked, 1 or 0",
                &["backend"],
            )?,
            egress_requests: series.counters(
                "smartrag_plugin_egress_requests_total",
                "Requests of a plugin that were answered, by granted origin",
                &["plugin", "origin"],
            )?,
            egress_bytes: series.counters(
                "smartrag_plugin_egress_bytes_total",
                "Bytes of bodies that a plugin sent and received, by granted origin",
                &["plugin", "origin", "direction"],
            )?,
            egress_refused: series.counters(
                "smartrag_plugin_egress_refused_total",
                "Requests of a plugin that were not granted",
                &["plugin"],
            )?,
            backup_last: series.seconds(
                "smartrag_backup_last_success_timestamp_seconds",
                "When the newest backup was made, 0 if there is none",
            )?,
            backup_duration: series
                .seconds("smartrag_backup_duration_seconds", "Time that the newest backup took")?,
            backup_bytes: series.gauge("smartrag_backup_bytes", "Size of the newest backup")?,
            http_requests: series.counters(
                "smartrag_http_requests_total",
                "HTTP requests",
                &["method", "route", "status"],
            )?,
            http_duration: series.histograms(
                "smartrag_http_request_duration_seconds",
                "Time to the end of the response's headers",
                &["method", "route"],
                QUERY_BUCKETS,
            )?,
            resident: series.gauge("process_resident_memory_bytes", "Resident memory")?,
            cpu: series.seconds("process_cpu_seconds_total", "Processor time")?,
            uptime: series.seconds("smartrag_uptime_seconds", "Time since the start")?,
            registry,
        })
    }

    /// A search or question ended; `kind` is `search`, `similar`, `query` or `enrich`.
    pub fn query(&self, kind: &str, succeeded: bool) {
        self.queries.with_label_values(&[kind, outcome(succeeded)]).inc();
    }

    /// Time of a stage of it: `embed, keyword, vector, filter, fetch, rerank, generate, total`.
    pub fn query_stage(&self, stage: &str, seconds: f64) {
        self.query_duration.with_label_values(&[stage]).observe(seconds);
    }

    /// Time that a document spent in a stage.
    pub fn ingest_stage(&self, stage: Stage, took: Duration) {
        self.ingest_duration.with_label_values(&[stage.as_str()]).observe(took.as_secs_f64());
    }

    /// A document became ready with this many chunks.
    pub fn document_ready(&self, chunks: u64) {
        self.ingested.with_label_values(&["ready"]).inc();
        self.ingested_chunks.inc_by(chunks);
    }

    /// A document failed.
    pub fn document_failed(&self) {
        self.ingested.with_label_values(&["failed"]).inc();
    }

    /// Documents that are neither ready nor failed.
    pub fn set_queue_length(&self, documents: u64) {
        self.queue_length.set(signed(documents));
    }

    /// What the store holds; asked for before a scrape.
    pub fn set_totals(&self, ready: u64, failed: u64, queued: u64, chunks: u64, sessions: u64) {
        for (status, count) in [("ready", ready), ("failed", failed), ("queued", queued)] {
            self.documents.with_label_values(&[status]).set(signed(count));
        }
        self.chunks.set(signed(chunks));
        self.active_sessions.set(signed(sessions));
        self.set_queue_length(queued);
    }

    /// Where the calls of a plugin are counted. Finding it costs as much as a small call: once is enough.
    pub fn calls_of(&self, plugin: &str) -> PluginCalls {
        PluginCalls {
            plugin: plugin.to_owned(),
            calls: self.plugin_calls.with_label_values(&[plugin]),
            duration: self.plugin_duration.with_label_values(&[plugin]),
        }
    }

    fn plugin_failure(&self, plugin: &str, code: &str) {
        self.plugin_errors.with_label_values(&[plugin, code]).inc();
        if code == "trap" {
            self.plugin_traps.with_label_values(&[plugin]).inc();
        }
    }

    /// The host had to stop a plugin; the codes are few and the host's own.
    pub fn plugin_breach(&self, plugin: &str, code: &str) {
        self.plugin_breaches.with_label_values(&[plugin, code]).inc();
    }

    /// A plugin's request to a granted `host:port` was answered; its body had so many bytes.
    pub fn egress(&self, plugin: &str, origin: &str, sent_bytes: u64) {
        self.egress_requests.with_label_values(&[plugin, origin]).inc();
        self.egress_bytes.with_label_values(&[plugin, origin, "sent"]).inc_by(sent_bytes);
    }

    /// A piece of an answer's body came.
    pub fn egress_received(&self, plugin: &str, origin: &str, bytes: u64) {
        self.egress_bytes.with_label_values(&[plugin, origin, "received"]).inc_by(bytes);
    }

    /// A plugin's request was not granted.
    pub fn egress_refused(&self, plugin: &str) {
        self.egress_refused.with_label_values(&[plugin]).inc();
    }

    /// Most linear memory that an instance of the plugin has had.
    pub fn set_plugin_memory(&self, plugin: &str, bytes: u64) {
        self.plugin_memory.with_label_values(&[plugin]).set(signed(bytes));
    }

    /// Which backends there are, and whether each can be asked; told before a scrape.
    pub fn set_backends<'a>(&self, backends: impl Iterator<Item = (&'a str, bool)>) {
        self.backends.reset();
        backends.for_each(|(name, is_up)| self.backends.with_label_values(&[name]).set(is_up.into()));
    }

    /// The newest backup: when it was made, in seconds since 1970, what it took and how large it is.
    pub fn set_backup(&self, made_at: f64, took: Duration, bytes: u64) {
        self.backup_last.set(made_at);
        self.backup_duration.set(took.as_secs_f64());
        self.backup_bytes.set(signed(bytes));
    }

    /// A request was answered. `route` is the pattern, never the path itself: paths have no end.
    pub fn http(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.http_requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.http_duration.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }

    /// Everything in the Prometheus text format.
    pub fn encode(&self) -> String {
        self.resident.set(signed(resident_bytes().unwrap_or(0)));
        self.cpu.set(cpu_seconds().unwrap_or(0.0));
        self.uptime.set(self.started.elapsed().as_secs_f64());
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!("metrics can't be written: {error}");
        }
        text
    }
}

fn outcome(succeeded: bool) -> &'static str {
    if succeeded { "ok" } else { "error" }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The series that every call of one plugin counts in.
#[derive(Clone, Debug)]
pub struct PluginCalls {
    plugin: String,
    calls: IntCounter,
    duration: Histogram,
}

impl PluginCalls {
    /// A call ended; `error` is the code of its failure. Traps are counted once more by themselves.
    pub fn count(&self, took: Duration, error: Option<&str>) {
        self.calls.inc();
        self.duration.observe(took.as_secs_f64());
        if let Some(code) = error {
            metrics().plugin_failure(&self.plugin, code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_encoded() {
        let metrics = Metrics::new().unwrap();
        metrics.query("search", true);
        metrics.query_stage("keyword", 0.003);
        metrics.set_totals(3, 1, 2, 40, 5);
        metrics.ingest_stage(Stage::Parsing, Duration::from_millis(7));
        metrics.document_ready(12);
        metrics.calls_of("pdf").count(Duration::from_millis(1), None);
        metrics.plugin_failure("pdf", "trap");
        metrics.egress("openai", "localhost:80", 7);
        metrics.set_backup(1_795_000_000.0, Duration::from_millis(1500), 4096);
        metrics.http("GET", "/api/v1/documents/{id}", 200, Duration::from_millis(2));
        let text = metrics.encode();
        for line in [
            "smartrag_queries_total{kind=\"search\",outcome=\"ok\"} 1",
            "smartrag_query_duration_seconds_bucket{stage=\"keyword\",le=\"0.005\"} 1",
            "smartrag_query_duration_seconds_bucket{stage=\"keyword\",le=\"0.002\"} 0",
            "smartrag_active_sessions 5",
            "smartrag_documents_total{status=\"ready\"} 3",
            "smartrag_ingest_stage_duration_seconds_count{stage=\"parsing\"} 1",
            "smartrag_ingest_chunks_total 12",
            "smartrag_ingest_queue_length 2",
            "smartrag_plugin_traps_total{plugin=\"pdf\"} 1",
            "smartrag_plugin_egress_bytes_total{direction=\"sent\",origin=\"localhost:80\",plugin=\"openai\"} 7",
            "smartrag_backup_last_success_timestamp_seconds 1795000000",
            "smartrag_backup_duration_seconds 1.5",
            "smartrag_backup_bytes 4096",
            "smartrag_http_requests_total{method=\"GET\",route=\"/api/v1/documents/{id}\",status=\"200\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("process_resident_memory_bytes 0\n"), "{text}");
    }
}
