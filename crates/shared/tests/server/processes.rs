//! Real processes: this test once more, four times, each with a thousand tasks.

use super::*;
use standins::Health;
use std::path::Path;
use testkit::Rerun;

const PROCESSES: usize = 4;
const TASKS: usize = 1_000;

/// One of the processes: says when it is ready, when all its tasks have asked, and how many of them learned, and how many
/// got an answer at all.
async fn ask_by_the_thousand(told: &Value) {
    let text = |name: &str| told[name].as_str().expect("text").to_owned();
    let connected = Connected::to(settings(&text("redis"), &json!({}))).await;
    let tier = Arc::clone(&connected.tier) as Arc<dyn SharedTier>;
    let secret = verify::SharedSecret::new([1; 32]);
    let verifier = verifier(&text("idp"), Some(Shared { tier, secret, other_secrets: vec![] }));
    Rerun::say("ready");
    wait_until("all are ready", PATIENCE, async || Path::new(&text("go")).exists()).await;
    let (mut tasks, token) = (JoinSet::new(), text("token"));
    for _ in 0..TASKS {
        let (verifier, token) = (verifier.clone(), token.clone());
        tasks.spawn(async move { check(&verifier, &token).await });
    }
    Rerun::say("asking");
    let answers = tasks.join_all().await;
    let learned = answers.iter().flatten().filter(|answer| answer.how == How::Learned).count();
    Rerun::say(json!({ "learned": learned, "good": answers.iter().flatten().count() }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tasks_in_each_of_four_processes_ask_once() {
    if let Some(told) = Rerun::told() {
        return ask_by_the_thousand(&serde_json::from_str(&told).expect("JSON")).await;
    }
    let (redis, idp, folder) = (Redis::start(), idp().await, tempfile::tempdir().expect("a folder"));
    let go = folder.path().join("go");
    let told = json!({ "redis": redis.url(), "idp": idp.url(), "token": token(&idp, "u"), "go": go });
    let name = "processes::a_thousand_tasks_in_each_of_four_processes_ask_once";
    let mut children: Vec<Rerun> = (0..PROCESSES).map(|_| Rerun::of(name, &told.to_string())).collect();
    let (good, learned) = tokio::task::block_in_place(|| {
        let each_says = |children: &mut Vec<Rerun>| -> Vec<String> {
            children.iter_mut().map(|child| child.said().expect("it goes on")).collect()
        };
        assert_eq!(each_says(&mut children), ["ready"; PROCESSES]);
        // Nobody gets an answer before everybody has asked.
        idp.set_health(Health::Silent);
        std::fs::write(&go, "").expect("written");
        assert_eq!(each_says(&mut children), ["asking"; PROCESSES]);
        idp.set_health(Health::Up);
        let said = each_says(&mut children);
        let counts = said.iter().map(|said| serde_json::from_str::<Value>(said).expect("JSON"));
        let count = |it: &Value, name: &str| it[name].as_u64().expect("a number");
        counts.fold((0, 0), |sum, it| (sum.0 + count(&it, "good"), sum.1 + count(&it, "learned")))
    });
    assert_eq!((good, learned), (4_000, 1));
    assert_eq!(idp.introspect_requests(), 1);
}
