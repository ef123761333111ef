//! A process that ends while its store is out, with outcomes in hand.

use super::pretender::Mode;
use super::*;
use crate::access::Wanted;
use crate::rules::Rotation;
use crate::worker::{attempt, settle};
use testkit::Postgres;

/// A store on a server of its own.
fn on(server: &Postgres) -> (Store, Clock) {
    let clock = Clock::manual(store::testing::START);
    let store = Store::open(&store::Settings::at(server.url()), clock.clone()).expect("it can be opened");
    (store, clock)
}

fn with_journal(folder: &std::path::Path) -> Settings {
    Settings { state_folder: Some(folder.to_owned()), ..profile(Rotation::Always, 0) }
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).expect("a folder");
    files.map(|file| file.expect("a file").path()).collect()
}

#[tokio::test]
async fn what_came_while_the_store_was_out_outlives_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Postgres::start();
    let (store, clock) = on(&server);
    store.migrate(TABLES).await.expect("the tables are made");
    let (root, idp) = (RootKey::generate(), Pretender::new());
    let house =
        House::with(with_journal(folder.path()), store, clock.clone(), root.clone(), Arc::clone(&idp));
    house.ledger.register_capabilities().await.expect("the store answers");
    house.inner().make_ready().await.expect("the store answers");
    house.lives().await;
    let kept = house.logs_in("kept").await;
    let ended = house.logs_in("ended").await;
    house.passes(Duration::from_mins(59)).await;
    let claimed = house.claims().await;

    let mut attempted = Vec::new();
    for it in claimed {
        let fails = it.account.subject.as_str() == "ended";
        idp.set(if fails { Mode::Fails(crate::upstream::Class::Terminal, None) } else { Mode::Well });
        attempted.push(attempt(house.inner(), it, false).await);
    }
    // Between the answers and the commit the store goes away, and then so does the process.
    server.stop();
    let is_kept =
        async || files(folder.path()).iter().any(|it| it.extension().is_some_and(|it| it == "journal"));
    tokio::select! {
        settled = settle(house.inner(), attempted) => panic!("there is no store: {settled:?}"),
        () = testkit::wait_until("what came is kept", Duration::from_mins(1), is_kept) => {}
    }
    for file in files(folder.path()) {
        let content = std::fs::read_to_string(file).expect("text");
        assert!(!content.contains("secret") && !content.contains("kept"), "{content}");
    }
    drop(house);

    server.start_again();
    let (store, again) = on(&server);
    again.advance(clock.now().since(again.now()) + Duration::from_secs(30));
    let next = House::with(with_journal(folder.path()), store, again, root, Arc::clone(&idp));
    next.inner().make_ready().await.expect("the store answers");
    next.lives().await;
    assert_eq!(next.shown(&kept).await, "live live g1 f0");
    assert_eq!(next.shown(&ended).await, "ended(refused_by_idp) ended(refused_by_idp) g0 f0");
    assert_eq!(files(folder.path()), Vec::<std::path::PathBuf>::new());
    idp.set(Mode::Well);
    next.passes(Duration::from_mins(59)).await;
    next.refresh().await;
    assert_eq!(next.shown(&kept).await, "live live g2 f0");
    assert_eq!((idp.most_of_one(), idp.reuses()), (1, 0));
}

#[tokio::test]
async fn what_does_not_open_or_comes_twice_does_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    for house in House::on_each_engine_with(with_journal(folder.path())).await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        let claimed = house.claims().await.remove(0);
        let attempted = attempt(house.inner(), claimed, false).await;
        let kept = house.inner().journal(std::slice::from_ref(&attempted)).await.expect("it is kept");
        let copy = folder.path().join("another.journal");
        std::fs::copy(&kept.path, &copy).expect("copied");
        settle(house.inner(), vec![attempted]).await;
        assert_eq!(house.shown(&session).await, "live live g1 f0");
        house.inner().drain_journal().await.expect("the store answers");
        assert_eq!(house.shown(&session).await, "live live g1 f0");
        assert_eq!(files(folder.path()), std::slice::from_ref(&copy), "it opens under its own name alone");
        std::fs::remove_file(copy).expect("removed");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_token_waits_for_what_an_earlier_process_has_left() {
    for test in engines(TABLES).await {
        let folder = tempfile::tempdir().expect("a folder");
        let settings =
            Settings { state_folder: Some(folder.path().to_owned()), ..profile(Rotation::Always, 60) };
        let house = House::over(test, settings.clone()).await;
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(61)).await;
        let claimed = house.claims().await.remove(0);
        let attempted = attempt(house.inner(), claimed, false).await;
        drop(house.inner().journal(&[attempted]).await.expect("it is kept"));
        // It ends, and the next one takes its claim away before it has looked into the journal.
        house.dies().await;
        let (store, clock, root) = (house.store.clone(), house.clock.clone(), house.root.clone());
        let next = House::with(settings, store, clock, root, Arc::clone(&house.idp));
        next.reap().await;
        assert_eq!(house.shown(&session).await, "live suspect g0 f0");
        next.passes(Duration::from_secs(15)).await;
        let ready = async { next.inner().make_ready().await.expect("the store answers") };
        let token = next.token(&session, Wanted::Lasting(Duration::ZERO));
        let (token, ()) = futures::join!(token, ready);
        assert_eq!(token.as_deref(), Ok("access-secret-u.1.1"));
        assert_eq!((house.idp.presentations(), house.idp.reuses()), (1, 0), "nothing was presented again");
    }
}

#[tokio::test]
async fn nothing_is_claimed_while_the_store_has_not_all_that_was_journaled() {
    let folder = tempfile::tempdir().expect("a folder");
    for house in House::on_each_engine_with(with_journal(folder.path())).await {
        house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        let claimed = house.claims().await.remove(0);
        let attempted = attempt(house.inner(), claimed, false).await;
        let kept = house.inner().journal(std::slice::from_ref(&attempted)).await.expect("it is kept");
        let other =
            house.logs_in_with("v", |login| login.tokens.as_mut().expect("tokens").expires_in = None).await;
        house.passes(Duration::from_mins(31)).await;
        assert_eq!(house.refresh().await, 0, "what came first comes first");
        settle(house.inner(), vec![attempted]).await;
        house.inner().forget_journaled(&kept.path).await;
        drop(kept);
        assert_eq!(house.refresh().await, 1);
        assert_eq!(house.shown(&other).await, "live live g1 f0");
    }
}
