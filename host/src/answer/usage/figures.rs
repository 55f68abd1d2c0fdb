use std::collections::{BTreeMap, HashMap};

use crate::types::*;

/// Documents and queries that are named at most.
const NAMED_MAX: usize = 20;

/// How long queries took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Latency {
    pub count: u64,
    pub p50: f32,
    pub p95: f32,
    pub p99: f32,
    pub max: f32,
}

impl Latency {
    fn of(mut times: Vec<f32>) -> Self {
        times.sort_by(f32::total_cmp);
        // The least time that this share of all does not exceed.
        let quantile = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self {
            count: times.len() as u64,
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: times.last().copied().unwrap_or_default(),
        }
    }
}

/// Queries of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Day {
    pub searches: u64,
    pub questions: u64,
    pub no_hit: u64,
    pub abstained: u64,
    pub failed: u64,
}

/// What a log tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// By days since 1970 (UTC), those with queries.
    pub days: BTreeMap<i64, Day>,
    /// By kind.
    pub latency: BTreeMap<&'static str, Latency>,
    /// Documents and in how many results they were, most used first.
    pub documents: Vec<(DocumentId, u64)>,
    /// Texts that found nothing and how often, most frequent first.
    pub without_hit: Vec<(String, u64)>,
    /// Backends and how often they answered.
    pub backends: BTreeMap<String, u64>,
}

/// Adds queries up one by one.
#[derive(Default)]
pub(crate) struct Adder {
    days: BTreeMap<i64, Day>,
    times: BTreeMap<&'static str, Vec<f32>>,
    documents: HashMap<DocumentId, u64>,
    without_hit: HashMap<String, u64>,
    backends: BTreeMap<String, u64>,
}

impl Adder {
    pub fn add(&mut self, query: LoggedQuery) {
        let day = self.days.entry(query.at.div_euclid(24 * 60 * 60 * 1000)).or_default();
        match query.kind {
            QueryKind::Search => day.searches += 1,
            QueryKind::Question => day.questions += 1,
        }
        match query.outcome {
            QueryOutcome::NoHit => day.no_hit += 1,
            QueryOutcome::Abstained => day.abstained += 1,
            QueryOutcome::Failed => day.failed += 1,
            QueryOutcome::Answered | QueryOutcome::Interrupted => {}
        }
        if query.outcome != QueryOutcome::Failed {
            self.times.entry(query.kind.as_str()).or_default().push(query.took_ms);
        }
        for document in query.documents {
            *self.documents.entry(document).or_default() += 1;
        }
        if let Some(text) = query.text.filter(|_| query.outcome == QueryOutcome::NoHit) {
            *self.without_hit.entry(text).or_default() += 1;
        }
        if let Some(backend) = query.backend {
            *self.backends.entry(backend).or_default() += 1;
        }
    }

    pub fn figures(self) -> Figures {
        Figures {
            days: self.days,
            latency: self.times.into_iter().map(|(kind, times)| (kind, Latency::of(times))).collect(),
            documents: most(self.documents),
            without_hit: most(self.without_hit),
            backends: self.backends,
        }
    }
}

/// The most frequent ones; of equal ones in order.
fn most<T: Ord>(counts: HashMap<T, u64>) -> Vec<(T, u64)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(NAMED_MAX);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(at: TimestampMs, kind: QueryKind, outcome: QueryOutcome, took_ms: f32) -> LoggedQuery {
        LoggedQuery {
            id: QueryId::new(),
            user: UserId::anonymous(),
            kind,
            text: Some("herons".into()),
            collection: None,
            at,
            took_ms,
            results: 0,
            documents: Vec::new(),
            backend: None,
            outcome,
        }
    }

    #[test]
    fn days_outcomes_and_times_are_counted() {
        let mut adder = Adder::default();
        for nth in 1..=100 {
            adder.add(query(1000, QueryKind::Search, QueryOutcome::Answered, nth as f32));
        }
        adder.add(query(86_400_000, QueryKind::Question, QueryOutcome::NoHit, 5.0));
        adder.add(query(86_400_000, QueryKind::Question, QueryOutcome::Failed, 500.0));
        let figures = adder.figures();
        assert_eq!(figures.days[&0], Day { searches: 100, ..Day::default() });
        assert_eq!(figures.days[&1], Day { questions: 2, no_hit: 1, failed: 1, ..Day::default() });
        let Latency { count, p50, p95, p99, max } = figures.latency["search"];
        assert_eq!((count, p50, p95, p99, max), (100, 50.0, 95.0, 99.0, 100.0));
        assert_eq!(figures.latency["question"].count, 1, "failures are no times");
        assert_eq!(figures.without_hit, [("herons".to_owned(), 1)]);
    }

    #[test]
    fn an_empty_log_has_empty_figures() {
        assert_eq!(Adder::default().figures(), Figures::default());
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }
}
