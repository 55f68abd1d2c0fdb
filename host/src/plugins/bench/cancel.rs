use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{BenchError, Cost};
use crate::config::GrantConfig;
use crate::plugins::egress::{Call, Egress, Limits, Network, Request, Secrets, whole};
use crate::plugins::grants::{Capability, Grants};
use crate::plugins::roles::Cancel;

const ROUNDS: usize = 10;

/// From a cancelled call to the end of its request at a server that never answers, at worst.
pub fn cost() -> Result<Cost, BenchError> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let origin = server.local_addr()?.to_string();
    let grant = GrantConfig { http: vec![origin.clone()], ..GrantConfig::default() };
    let grants = Grants::new(vec![Capability::Http], Some(&grant), "");
    let egress =
        Egress::new("bench", grants, Secrets::default(), Limits::default(), Arc::new(Network::new()));
    let mut worst = Duration::ZERO;
    for _ in 0..ROUNDS {
        worst = worst.max(round(&egress, &server, &origin)?);
    }
    Ok(Cost::ms("a cancelled request is gone at the server, worst of 10", worst).goal("≤ 100"))
}

fn round(egress: &Egress, server: &TcpListener, origin: &str) -> Result<Duration, BenchError> {
    let cancel = Cancel::default();
    let call = Call { until: Instant::now() + Duration::from_secs(30), cancel: cancel.clone() };
    let request = Request {
        method: "GET".into(),
        url: format!("http://{origin}/"),
        headers: Vec::new(),
        body: whole(Vec::new()),
        first_byte_timeout: None,
        idle_timeout: None,
    };
    std::thread::scope(|scope| {
        let asking = scope.spawn(move || egress.send(request, &call).is_err());
        let (mut stream, _) = server.accept()?;
        // The request has come, and the asking side waits for an answer.
        let mut buffer = [0; 4096];
        stream.read(&mut buffer).map(drop)?;
        std::thread::sleep(Duration::from_millis(20));
        let begun = Instant::now();
        cancel.cancel();
        // An end, or a reset: both say that it is gone.
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
        let took = begun.elapsed();
        match asking.join() {
            Ok(true) => Ok(took),
            _ => Err(BenchError::Exchange("a request that nobody answered was answered".into())),
        }
    })
}
