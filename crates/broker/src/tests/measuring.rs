//! What is measured, by the names that dashboards of fxa-event-broker know, and by ours.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::worker::{measure, sweep};
use account::Subscription;
use metrics_exporter_prometheus::PrometheusBuilder;
use testkit::Rerun;

/// Counts are taken on the store's own threads: only a recorder for the whole process hears them, so the process is one
/// of its own.
#[tokio::test]
async fn events_attempts_and_what_is_outstanding_are_measured() {
    if Rerun::told().is_some() {
        everything_is_measured().await;
        return Rerun::say("done");
    }
    let mut alone =
        Rerun::of("tests::measuring::events_attempts_and_what_is_outstanding_are_measured", "alone");
    let said = tokio::task::spawn_blocking(move || alone.said()).await.expect("it listens");
    assert_eq!(said.as_deref(), Some("done"));
}

async fn everything_is_measured() {
    let handle = PrometheusBuilder::new().install_recorder().expect("the process is our own");
    let house = House::new().await;
    let (good, bad) = (Receiver::start().await, Receiver::answering(Answer::Status(500)).await);
    house.add("aaaa", &good, |config, _| config.capabilities = vec!["x".into()]).await;
    house.add("bbbb", &bad, |config, _| config.capabilities = vec!["x".into()]).await;
    for rp in ["aaaa", "bbbb", "cccc"] {
        house.logs_in("u1", rp).await;
    }
    house.happens("u1", 900, Change::Login(Login::default())).await;
    house.happens("u1", 901, Change::PasswordReset).await;
    let capabilities = vec!["x".to_owned()];
    house.happens("u1", 902, Change::SubscriptionChange(Subscription { active: true, capabilities })).await;
    house.deliver().await;
    measure(Arc::clone(house.inner())).await;
    let outstanding = handle.render();
    assert_eq!(house.ask("DELETE /rps/bbbb", None).await.status, http::StatusCode::NO_CONTENT);
    while sweep(Arc::clone(house.inner())).await == work::Tick::More {}
    let text = handle.render();
    for line in [
        r#"message_type{eventType="login"} 3"#,
        r#"message_type{eventType="password"} 1"#,
        r#"message_type{eventType="subscription"} 1"#,
        "message_processing_total_count 5",
        "message_queueDelay_count 5",
        "message_sub_eventDelay_count 1",
        r#"message_webhookNotFound{eventType="reset"} 1"#,
        r#"proxy_success_count{clientId="aaaa",statusCode="200",type="reset"} 1"#,
        r#"proxy_success_count{clientId="aaaa",statusCode="200",type="subscription:update"} 1"#,
        r#"proxy_fail{clientId="bbbb",statusCode="500",type="reset"} 1"#,
        "proxy_queueDelay_count 3",
        "proxy_sub_eventDelay_count 1",
        r#"proxy_webhookNotFound{clientId="bbbb"} 2"#,
        r#"broker_attempt_count{client_id="aaaa",outcome="delivered"} 2"#,
        r#"broker_attempt_count{client_id="bbbb",outcome="failed"} 1"#,
        r#"broker_delivery_delay_count{client_id="aaaa"} 2"#,
        r#"broker_event_delay_count{client_id="aaaa"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    for line in [
        r#"broker_backlog{client_id="aaaa"} 0"#,
        r#"broker_backlog{client_id="bbbb"} 2"#,
        r#"broker_backlog_oldest_age{client_id="bbbb"} 0"#,
        r#"broker_rps{status="enabled"} 2"#,
        r#"broker_signing_key_age{algorithm="RS256"} 0"#,
    ] {
        assert!(outstanding.contains(line), "{line} is not in\n{outstanding}");
    }
}
