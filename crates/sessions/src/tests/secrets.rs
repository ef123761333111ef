//! No token can be read where anything is kept.

use super::*;
use crate::access::Wanted;
use crate::worker::revoke;

/// Every file of the store, as it lies there.
pub(super) fn files_of(house: &House) -> Vec<u8> {
    let settings = &house.test.as_ref().expect("a store of its own").settings;
    let path = settings.sqlite_path().expect("a file");
    let folder = path.parent().expect("a folder");
    let files = std::fs::read_dir(folder).expect("the folder can be read");
    files.flat_map(|file| std::fs::read(file.expect("a file").path()).unwrap_or_default()).collect()
}

pub(super) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn neither_the_file_nor_its_log_holds_a_token() {
    let house = House::new().await;
    let first = house.logs_in("secretive").await;
    house.logs_in("secretive").await;
    house.passes(Duration::from_mins(59)).await;
    house.refresh().await;
    house.inner().live_token(&first, Wanted::Lasting(HOUR / 4)).await.expect("the store").expect("a token");
    let shown = format!("{:?}", house.all().await);
    house.happens("secretive", house.clock.now(), Change::PasswordChange).await;
    while revoke(Arc::clone(house.inner())).await == Tick::More {}
    let kept = files_of(&house);
    assert!(holds(&kept, "secretive"), "the files are looked at");
    for secret in ["access-secret", "refresh-secret"] {
        assert!(!holds(&kept, secret), "{secret} is in the files");
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

#[tokio::test]
async fn tokens_that_were_sealed_before_a_rotation_are_used_and_sealed_anew() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        let ended = house.logs_in("v").await;
        house.happens("v", house.clock.now(), Change::PasswordChange).await;
        drop(ended);
        let keys = &house.inner().keys;
        let old = keys.active().expect("a key");
        let new = keys.rotate().await.expect("the store answers").expect("a key");
        assert_eq!(keys.list().len(), 2);
        // The first turn seals anew, the next finds nothing left and forgets the key.
        for _ in 0..4 {
            crate::worker::sweep(Arc::clone(house.inner())).await;
        }
        let left: Vec<i64> = keys.list().iter().map(|key| key.id).collect();
        assert_eq!(left, [new], "{old} is forgotten");
        house.passes(Duration::from_mins(59)).await;
        assert_eq!(house.refresh().await, 1);
        assert_eq!(house.shown(&session).await, "live live g1 f0");
        while revoke(Arc::clone(house.inner())).await == Tick::More {}
        assert_eq!(house.idp.revoked(), ["refresh-secret-v.2.0"]);
    }
}
