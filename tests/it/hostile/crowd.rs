//! Callers that leave, and more of them than there is room for.

use std::time::{Duration, Instant};

use serde_json::json;

use super::House;
use crate::support::PATIENCE;

/// More than there are instances and places to wait.
const CROWD: usize = 120;

/// A guest that goes on calling the host after its caller has left is ended, long before its time is over.
pub async fn left(house: &House) {
    let before = house.breaches("hostile-generator", "cancelled").await;
    for path in ["silent", "echo"] {
        let body =
            json!({"query": format!("generator!linger {}", house.server.url(path)), "backend": "evil"});
        let request = house.daemon.request("POST", "/api/v1/query").json(&body);
        let gone = request.timeout(Duration::from_millis(400)).send().await;
        assert!(gone.is_err_and(|error| error.is_timeout()), "the guest let go");
    }
    let until = Instant::now() + PATIENCE;
    while house.breaches("hostile-generator", "cancelled").await < before + 2 {
        assert!(Instant::now() < until, "it still goes on: {}", house.plugin("hostile-generator").await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(house.told("Anything?").await.contains("nothing was asked for"));
}

/// Whoever finds no place is told at once, and nobody else waits for it.
pub async fn crowd(house: &House) {
    let (calls, instances) = (
        house.breaches("hostile-generator", "limit_calls").await,
        house.breaches("hostile-generator", "limit_instances").await,
    );
    let question = format!("generator!wait {}", house.server.url("silent"));
    let asked = (0..CROWD).map(|_| house.ask(&question));
    let answers = futures_util::future::join_all(asked).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(
        with(503) + with(504),
        CROWD,
        "{:?}",
        answers.iter().map(|answer| answer.status).collect::<Vec<_>>()
    );
    let sent_away = answers.iter().find(|answer| answer.status == 503).expect("nobody was sent away");
    sent_away.problem(503, "backend_unavailable");
    assert!(sent_away.headers.contains_key("retry-after"));
    assert!(house.breaches("hostile-generator", "limit_calls").await > calls);
    assert!(house.breaches("hostile-generator", "limit_instances").await > instances);
    assert!(house.told("Anything?").await.contains("nothing was asked for"));
}
