//! Web pages are kept out.

use crate::harness::{Answer, Front};

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let front =
        Front::with("origins_host", |config| config.allowed_hosts = vec!["grafana.internal".to_owned()])
            .await;
    for host in ["evil.example", "evil.example:8123", "192.0.2.7"] {
        for request in
            [front.owner().header("host", host).body("SELECT 1"), front.get("/ping").header("host", host)]
        {
            let answer = Answer::of(request).await;
            assert_eq!(answer.status.as_u16(), 403, "{host}");
            assert!(answer.text().contains("Host header"), "{}", answer.text());
        }
    }
    for host in ["localhost", "127.0.0.1:1", "grafana.internal:8123"] {
        Answer::of(front.owner().header("host", host).body("SELECT 1")).await.ok();
    }
}

#[tokio::test]
async fn a_foreign_origin_is_refused() {
    let front = Front::start("origins_origin").await;
    for origin in ["https://evil.example", "null", "http://localhost:1"] {
        let answer = Answer::of(front.owner().header("origin", origin).body("SELECT 1")).await;
        assert_eq!(answer.status.as_u16(), 403, "{origin}");
        assert!(answer.text().contains("Origin header"), "{}", answer.text());
    }
    let own = format!("http://{}", front.address);
    Answer::of(front.owner().header("origin", own).body("SELECT 1")).await.ok();
}
