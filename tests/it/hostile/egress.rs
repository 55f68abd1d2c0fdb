//! Where a guest can get to, through a real plugin. The broker's own tests have the finer points.

use super::server::{own_name, own_name_is_known};
use super::{House, SECRET};

pub async fn addresses(house: &House) {
    let port = house.server.port;
    // One spelling of an address is as good as another, once it was granted.
    for granted in ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"] {
        let told = house.told(&format!("generator!get http://{granted}:{port}/")).await;
        assert!(told.starts_with("200"), "{granted}: {told}");
    }
    house.server.seen();
    let closed = port.checked_add(1).unwrap_or(1);
    let mut refused = vec![
        format!("http://127.0.0.2:{port}/"),
        format!("http://2130706434:{port}/"),
        format!("http://0x7f000002:{port}/"),
        format!("http://0177.0.0.2:{port}/"),
        format!("http://127.2:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::127.0.0.1]:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.1:{closed}/"),
        "http://127.0.0.1/".to_owned(),
        format!("https://127.0.0.1.evil.example:{port}/"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ];
    if own_name_is_known() {
        // It was granted by name, and leads to where names may not lead.
        refused.push(format!("http://{}:{port}/", own_name()));
    }
    for url in refused {
        let told = house.told(&format!("generator!get {url}")).await;
        assert!(told.starts_with("ErrorKind::Denied(\"http\")"), "{url}: {told}");
        assert!(told.contains("plugins.grants.hostile-generator.http"), "{url}: {told}");
    }
    for nonsense in [format!("file://127.0.0.1:{port}/"), format!("http://user:{port}@127.0.0.1:{port}/")] {
        let told = house.told(&format!("generator!get {nonsense}")).await;
        assert!(told.starts_with("ErrorKind::InvalidInput"), "{nonsense}: {told}");
    }
    assert!(house.server.seen().is_empty(), "none of them was sent");
    let metrics = house.daemon.get("/metrics").await.body;
    let refused = metrics.lines().find(|line| line.starts_with("smartrag_plugin_egress_refused_total"));
    assert!(refused.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
}

pub async fn requests(house: &House) {
    let told = house.told(&format!("generator!get {}", house.server.url("redirect"))).await;
    assert!(
        told.starts_with("302 http://169.254.169.254/latest"),
        "it comes back, and is not followed: {told}"
    );
    house.server.seen();

    let inject = house.told(&format!("generator!inject {}", house.server.url("echo"))).await;
    assert!(inject.starts_with("ErrorKind::InvalidInput"), "{inject}");
    for header in
        ["host evil.example", "transfer-encoding chunked", "connection upgrade", "content-length 99"]
    {
        let told = house.told(&format!("generator!header {} {header}", house.server.url("echo"))).await;
        assert!(told.starts_with("ErrorKind::InvalidInput"), "{header}: {told}");
    }
    assert!(house.server.seen().is_empty(), "none of them was sent");

    let url = house.server.url("echo");
    let echo = house.told(&format!("generator!header {url} authorization Bearer {{{{secret:key}}}}")).await;
    assert!(echo.contains("Bearer {{secret:key}}") && !echo.contains(SECRET), "{echo}");
    assert!(house.server.seen()[0].contains(&format!("authorization: Bearer {SECRET}\r\n")));
    let in_url = house.told(&format!("generator!secret-url {url}")).await;
    assert!(!in_url.contains(SECRET) && !house.server.seen().concat().contains(SECRET), "{in_url}");
    let unknown = house.told(&format!("generator!header {url} x-a {{{{secret:other}}}}")).await;
    assert!(unknown.starts_with("ErrorKind::") && unknown.contains("other"), "{unknown}");
}

/// Time spent in a host call counts like any other.
pub async fn slow_servers(house: &House) {
    let lost = house.plugin("hostile-generator").await["traps"].clone();
    for path in ["silent", "loris", "loris-body"] {
        let answer = house.ask(&format!("generator!wait {}", house.server.url(path))).await;
        answer.problem(504, "backend_timeout");
    }
    let after = house.plugin("hostile-generator").await["traps"].clone();
    assert_eq!(lost, after, "the guest was told in time to say so itself");
}
