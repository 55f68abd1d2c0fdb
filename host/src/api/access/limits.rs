//! How much one caller may ask for, so that the others get their share.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use governor::clock::{Clock, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

use super::Principal;
use crate::api::error::{ApiError, Result};
use crate::config::AuthConfig;

/// Callers whose rates are remembered before the idle ones among them are forgotten.
const REMEMBERED_MAX: usize = 10_000;

type Rates = RateLimiter<String, HashMapStateStore<String>, MonotonicClock>;

/// Rates and requests under way by caller.
pub(super) struct Limits {
    rates: Option<Rates>,
    clock: MonotonicClock,
    concurrent_max: usize,
    under_way: Arc<Mutex<HashMap<String, usize>>>,
}

impl Limits {
    pub fn new(config: &AuthConfig) -> Self {
        let clock = MonotonicClock;
        let quota = NonZeroU32::new(config.requests_per_minute).map(Quota::per_minute);
        let rates = quota.map(|quota| RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()));
        Self { rates, clock, concurrent_max: config.concurrent_max, under_way: Arc::default() }
    }

    /// A seat for a request, kept until its answer is read.
    ///
    /// # Errors
    /// 429 that says when to come back.
    pub fn take(&self, principal: &Principal) -> Result<Seat> {
        let subject = principal.subject().to_owned();
        if let Some(rates) = &self.rates {
            if rates.len() > REMEMBERED_MAX {
                rates.retain_recent();
            }
            rates.check_key(&subject).map_err(|until| too_many(until.wait_time_from(self.clock.now())))?;
        }
        let mut under_way = self.under_way.lock();
        let mine = under_way.entry(subject.clone()).or_default();
        if *mine >= self.concurrent_max {
            let detail =
                format!("{mine} of your requests are under way, which is all you may have: wait for one");
            return Err(limited(detail, 1));
        }
        *mine += 1;
        Ok(Seat { subject, under_way: Arc::clone(&self.under_way) })
    }
}

fn too_many(wait: Duration) -> ApiError {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    limited(format!("too many requests within a minute: try again in {seconds} s"), seconds)
}

fn limited(detail: String, retry_after_s: u32) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(retry_after_s)
}

/// Given back when it is dropped.
pub(super) struct Seat {
    subject: String,
    under_way: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock();
        if let Some(mine) = under_way.get_mut(&self.subject) {
            *mine -= 1;
            if *mine == 0 {
                under_way.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AuthMode;
    use crate::types::UserId;

    fn limits(requests_per_minute: u32, concurrent_max: usize) -> Limits {
        Limits::new(&AuthConfig { mode: AuthMode::Local, requests_per_minute, concurrent_max })
    }

    fn principal(name: &str) -> Principal {
        Principal::local(Some(UserId::new(name).unwrap()))
    }

    #[test]
    fn seats_are_given_back() {
        let limits = limits(0, 2);
        let (ann, bob) = (principal("ann"), principal("bob"));
        let _one = limits.take(&ann).unwrap();
        let two = limits.take(&ann).unwrap();
        assert_eq!(limits.take(&ann).err().unwrap().code, "rate_limited");
        assert!(limits.take(&bob).is_ok());
        drop(two);
        assert!(limits.take(&ann).is_ok());
        assert_eq!(limits.under_way.lock().len(), 1);
    }

    #[test]
    fn rates_are_each_callers_own() {
        let limits = limits(3, 100);
        let (ann, bob) = (principal("ann"), principal("bob"));
        for _ in 0..3 {
            limits.take(&ann).unwrap();
        }
        let error = limits.take(&ann).err().unwrap();
        assert_eq!(error.status, StatusCode::TOO_MANY_REQUESTS);
        assert!((1..=20).contains(&error.retry_after_s.unwrap()), "{error:?}");
        assert!(limits.take(&bob).is_ok());
    }
}
