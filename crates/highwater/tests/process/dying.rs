//! A node is killed at each point of a refresh, and of a revocation; the one after it carries on from there.

use crate::kept::{GRACE, LOGINS, Service};
use crate::world::{PATIENCE, World};
use serde_json::{Value, json};
use standins::{Endpoint, Fault, How, Logins, Rotation};
use std::fs;
use std::net::TcpListener;
use std::time::Duration;
use testkit::{Cut, Postgres, PostgresProxy, wait_until};
use tokio::task::block_in_place;

/// The identity provider takes a refresh token that was used for so long.
const IN_GRACE: Rotation = Rotation::Grace(Duration::from_mins(1));
/// The node's own folder, beside its configuration.
const JOURNAL: &str = "journal";

/// A node that keeps the session of one login.
struct Kept {
    world: World,
    service: Service,
    id: String,
    postgres: Option<Postgres>,
}

impl Kept {
    async fn on_each_engine(rotation: Rotation, settings: &[(&str, &str)]) -> [Self; 2] {
        [Self::on_a_file(rotation, settings).await, Self::on_postgres(rotation, settings).await]
    }

    async fn on_a_file(rotation: Rotation, settings: &[(&str, &str)]) -> Self {
        Self::over(None, rotation, settings).await
    }

    async fn on_postgres(rotation: Rotation, settings: &[(&str, &str)]) -> Self {
        let postgres = Postgres::start();
        let url = postgres.fresh_database().await;
        Self::over(Some(postgres), rotation, &[settings, &[("STORE__URL", &*url)]].concat()).await
    }

    async fn over(postgres: Option<Postgres>, rotation: Rotation, settings: &[(&str, &str)]) -> Self {
        let world = World::new(&[&LOGINS[..], settings].concat()).await;
        let service = Service::with(&world, rotation, Duration::ZERO);
        let (id, _) = service.log_in(&world, &world.node, 1).remove(0);
        let kept = Self { world, service, id, postgres };
        kept.service.all_go_on(&kept.world.node).await;
        kept
    }

    fn logins(&self) -> Logins<'_> {
        self.world.idp.logins()
    }

    /// Goes wrong like that with the next request there; until the request has come.
    async fn is_asked(&self, at: Endpoint, fault: Fault) {
        let before = self.logins().requests(at);
        self.logins().fail_times(at, fault, 1);
        wait_until("it is asked", PATIENCE, async || self.logins().requests(at) > before).await;
    }

    /// The node is killed, and another one starts in its place.
    fn killed(mut self) -> Self {
        self.world.node.kill();
        self.world.node = self.world.house.serve(&[]);
        self
    }

    async fn goes_on(&self) {
        self.service.all_go_on(&self.world.node).await;
        assert_eq!(self.service.generations(&self.world.node).len(), 1, "it was not given up");
        assert_eq!(self.logins().reuses_detected(), 0);
    }

    fn show(&self) -> Value {
        self.service.ask(&self.world.node, "GET", &format!("/sessions/{}", self.id), &Value::Null).json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_anything_is_read_of_what_it_sends() {
    for mut kept in Kept::on_each_engine(IN_GRACE, &[GRACE]).await {
        kept.world.node.kill();
        let silent = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let elsewhere = format!("idp.0.login.token_url=http://{}/", silent.local_addr().expect("bound"));
        kept.world.node = kept.world.house.serve(&["--set", &elsewhere]);
        drop(block_in_place(|| silent.accept()).expect("it connects when its claim has committed"));
        kept.killed().goes_on().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_identity_provider_has_done_anything() {
    for kept in Kept::on_each_engine(IN_GRACE, &[GRACE]).await {
        kept.is_asked(Endpoint::Token, Fault::before(How::Hang)).await;
        kept.killed().goes_on().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_it_has_and_before_its_reply() {
    for kept in Kept::on_each_engine(IN_GRACE, &[GRACE]).await {
        kept.is_asked(Endpoint::Token, Fault::after(How::Hang)).await;
        kept.killed().goes_on().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_grace_runs_the_session_lives_on_and_nothing_is_presented_twice() {
    for kept in Kept::on_each_engine(Rotation::Strict, &[]).await {
        kept.is_asked(Endpoint::Token, Fault::after(How::Hang)).await;
        let kept = kept.killed();
        let retired = async || kept.show()["grant"]["state"] == "retired";
        wait_until("it is retired", PATIENCE, retired).await;
        assert_eq!(kept.show()["grant"]["reason"], "lost_reply");
        assert_eq!(kept.service.all(&kept.world.node).len(), 1, "the session lives");
        assert_eq!((kept.logins().most_presented(), kept.logins().reuses_detected()), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_reply_is_journaled_and_before_it_is_committed() {
    let mut kept = Kept::on_postgres(Rotation::Strict, &[("SESSIONS__STATE_FOLDER", JOURNAL)]).await;
    let journaled = |kept: &Kept| {
        let entries = fs::read_dir(kept.world.house.path(JOURNAL));
        let paths = entries.into_iter().flatten().map(|it| it.expect("an entry").path());
        paths.filter(|it| it.extension().is_some_and(|it| it == "journal")).count()
    };
    kept.logins().take(Endpoint::Token, Duration::from_secs(4));
    let before = kept.logins().requests(Endpoint::Token);
    let asked = async || kept.logins().requests(Endpoint::Token) > before;
    wait_until("a refresh is on its way", PATIENCE, asked).await;
    let mut postgres = kept.postgres.take().expect("it is on PostgreSQL");
    block_in_place(|| postgres.stop());
    wait_until("it is journaled", PATIENCE, async || journaled(&kept) > 0).await;
    kept.world.node.kill();
    block_in_place(|| postgres.start_again());
    kept.world.node = kept.world.house.serve(&[]);
    kept.logins().take(Endpoint::Token, Duration::ZERO);
    kept.goes_on().await;
    assert_eq!((journaled(&kept), kept.logins().most_presented()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_it_is_committed_and_before_the_node_knows() {
    let postgres = Postgres::start();
    let url = postgres.fresh_database().await;
    let (network, through) = PostgresProxy::before(&url).await;
    // Whatever else the node commits in the meantime keeps a connection.
    let settings = [("STORE__URL", &*through), ("STORE__POOL_SIZE", "40")];
    let mut kept = Kept::over(Some(postgres), Rotation::Strict, &settings).await;
    let beside = kept.world.house.beside().with("STORE__URL", &url);
    let generation = |id: &str| {
        let shown = block_in_place(|| beside.run(&["--json", "sessions", "show", id]).json());
        shown["grant"]["generation"].as_i64().expect("a number")
    };
    kept.logins().take(Endpoint::Token, Duration::from_secs(4));
    let before = kept.logins().requests(Endpoint::Token);
    let asked = async || kept.logins().requests(Endpoint::Token) > before;
    wait_until("a refresh is on its way", PATIENCE, asked).await;
    network.cut(Cut::Unanswered);
    let presented = generation(&kept.id);
    wait_until("it is committed", PATIENCE, async || generation(&kept.id) > presented).await;
    kept.world.node.kill();
    network.cut(None);
    kept.world.node = kept.world.house.serve(&[]);
    kept.logins().take(Endpoint::Token, Duration::ZERO);
    kept.goes_on().await;
    assert_eq!(kept.logins().most_presented(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "waits out a lease of two minutes: `./test --soak`"]
async fn in_a_revocation() {
    for kept in Kept::on_each_engine(IN_GRACE, &[GRACE]).await {
        kept.logins().fail_times(Endpoint::Revocation, Fault::before(How::Hang), 1);
        let path = format!("/sessions/{}/end", kept.id);
        assert_eq!(kept.service.ask(&kept.world.node, "POST", &path, &json!({})).status, 200);
        let asked = async || kept.logins().requests(Endpoint::Revocation) > 0;
        wait_until("it is asked", PATIENCE, asked).await;
        assert!(kept.logins().refresh_tokens().iter().any(|it| kept.logins().is_live(it)));
        let kept = kept.killed();
        let revoked = async || !kept.logins().refresh_tokens().iter().any(|it| kept.logins().is_live(it));
        wait_until("it is revoked", Duration::from_mins(4), revoked).await;
        assert_eq!(kept.show()["state"], "ended");
    }
}
