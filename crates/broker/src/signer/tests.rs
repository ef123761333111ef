use super::*;
use jose::{Compact, Jwk};
use store::testing::{TestStore, engines, sqlite};

const TABLES: &[&[store::Migration]] = &[crate::MIGRATIONS];

fn signer(test: &TestStore, root: &RootKey) -> Signer {
    Signer::new(test.store.clone(), root, &[]).expect("no files to go wrong")
}

fn key_of(signer: &Signer, kid: &str) -> Option<Jwk> {
    let set = JwkSet::parse(&signer.published()).expect("a set");
    set.keys.into_iter().find(|key| key.kid() == Some(kid))
}

/// Checks a token against the published keys; its `kid`.
fn verified(signer: &Signer, token: &str) -> String {
    let compact = Compact::split(token).expect("a token");
    let header = compact.header().expect("a header");
    let kid = header.kid.clone().expect("a kid");
    let key = key_of(signer, &kid).expect("a published key");
    compact.verify(&header, key.public_key()).expect("a good signature");
    kid
}

fn sign(signer: &Signer, algorithm: SigningAlgorithm) -> String {
    signer.sign(algorithm, TokenType::Unnamed, b"{}").expect("signed")
}

#[tokio::test]
async fn a_rotated_key_was_published_before_it_signs_and_stays_published_after() {
    for test in engines(TABLES).await {
        let signer = signer(&test, &RootKey::generate());
        signer.ensure().await.expect("the store answers");
        let before = sign(&signer, SigningAlgorithm::EdDsa);
        let (first, next) = (verified(&signer, &before), view(&signer, "EdDSA", "next"));
        let rotate =
            async |haste| signer.rotate(SigningAlgorithm::EdDsa, haste).await.expect("the store answers");
        test.clock.advance(Duration::from_secs(1));
        assert_eq!(rotate(Haste::WhenKnown).await, None);
        assert_eq!(verified(&signer, &sign(&signer, SigningAlgorithm::EdDsa)), next, "it was announced");
        assert_eq!(verified(&signer, &before), first, "what was signed before still verifies");
        test.clock.advance(Duration::from_secs(30));
        assert_eq!(
            rotate(Haste::WhenKnown).await,
            Some(Duration::from_mins(5)),
            "nobody knows the next one yet"
        );
        assert_eq!(verified(&signer, &sign(&signer, SigningAlgorithm::EdDsa)), next, "nothing was done");
        test.clock.advance(Duration::from_hours(1));
        signer.drop_retired(Duration::from_mins(59)).await.expect("the store answers");
        signer.refresh().await.expect("the store answers");
        assert_eq!(key_of(&signer, &first), None);
        assert_eq!(signer.keys().len(), 6);
    }
}

fn view(signer: &Signer, algorithm: &str, state: &str) -> String {
    let keys = signer.keys();
    let mut of_state = keys.iter().filter(|it| it.algorithm == algorithm && it.state == state);
    let kid = of_state.next().expect("one").kid.clone();
    assert_eq!(of_state.next(), None, "only one");
    kid
}

#[tokio::test]
async fn all_nodes_of_a_store_sign_with_the_same_keys() {
    for test in engines(TABLES).await {
        let root = RootKey::generate();
        let (one, two) = (signer(&test, &root), signer(&test, &root));
        let (first, second) = tokio::join!(one.ensure(), two.ensure());
        first.and(second).expect("the store answers");
        one.refresh().await.expect("the store answers");
        for algorithm in SigningAlgorithm::ALL {
            assert_eq!(verified(&one, &sign(&two, algorithm)), verified(&two, &sign(&one, algorithm)));
        }
    }
}

#[tokio::test]
async fn the_header_names_the_key_and_the_type_only_where_it_should() {
    let test = sqlite(TABLES).await;
    let signer = signer(&test, &RootKey::generate());
    assert_eq!(
        signer.sign(SigningAlgorithm::Rs256, TokenType::Unnamed, b"{}"),
        Err(CannotSign::NoKey(SigningAlgorithm::Rs256))
    );
    signer.ensure().await.expect("the store answers");
    for (token_type, typ) in [
        (TokenType::Unnamed, None),
        (TokenType::SecurityEvent, Some("secevent+jwt")),
        (TokenType::Introspection, Some("token-introspection+jwt")),
    ] {
        let token = signer.sign(SigningAlgorithm::Rs256, token_type, b"{}").expect("signed");
        let header = Compact::split(&token).expect("a token").header().expect("a header");
        assert_eq!((header.algorithm, header.typ.as_deref()), (Algorithm::Rs256, typ));
        verified(&signer, &token);
    }
}

#[tokio::test]
async fn a_key_from_a_file_signs_instead_of_stored_ones_and_is_never_stored() {
    let test = sqlite(TABLES).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (one, set) = (folder.path().join("one.json"), folder.path().join("set.json"));
    let key = |algorithm, kid: &str| SigningKey::generate(algorithm).expect("a key").with_kid(kid);
    let json = |key: &SigningKey| key.to_private_jwk().expect("exported");
    std::fs::write(&one, &*json(&key(Algorithm::Rs256, "shared"))).expect("written");
    let (signs, other) = (key(Algorithm::Es256, "e1"), key(Algorithm::Es256, "e2"));
    std::fs::write(&set, format!(r#"{{"keys":[{},{}]}}"#, *json(&signs), *json(&other))).expect("written");
    let signer = Signer::new(test.store.clone(), &RootKey::generate(), &[one, set]).expect("good files");
    signer.ensure().await.expect("the store answers");
    assert_eq!(verified(&signer, &sign(&signer, SigningAlgorithm::Rs256)), "shared");
    assert_eq!(verified(&signer, &sign(&signer, SigningAlgorithm::Es256)), "e1");
    assert!(key_of(&signer, "e2").is_some(), "published too");
    let stored: Vec<_> = signer.keys().into_iter().filter(|it| it.kept == "store").collect();
    assert!(stored.iter().all(|it| it.algorithm == "EdDSA") && stored.len() == 2);
}

#[tokio::test]
async fn a_file_that_is_no_key_is_told_by_its_name() {
    let test = sqlite(TABLES).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("odd.json");
    std::fs::write(&file, "{}").expect("written");
    for path in [file, folder.path().join("missing.json")] {
        let error = Signer::new(test.store.clone(), &RootKey::generate(), std::slice::from_ref(&path))
            .err()
            .expect("refused");
        assert!(error.to_string().contains(path.file_name().and_then(|name| name.to_str()).expect("a name")));
    }
}

#[tokio::test]
async fn keys_under_another_root_key_are_not_used() {
    let test = sqlite(TABLES).await;
    signer(&test, &RootKey::generate()).ensure().await.expect("the store answers");
    let stranger = signer(&test, &RootKey::generate());
    stranger.refresh().await.expect("the store answers");
    assert!(stranger.keys().is_empty());
}
