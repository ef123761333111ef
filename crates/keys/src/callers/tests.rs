use super::*;
use store::testing::engines;

fn new(listener: Listener) -> NewCaller {
    NewCaller {
        name: "console".into(),
        listener,
        scopes: vec!["read".into()],
        life_seconds: Some(60),
        certificate: None,
    }
}

async fn make(callers: &Callers, listener: Listener) -> (String, Caller) {
    let (token, caller) = callers.create(new(listener)).await.expect("made");
    (token.expect("a token"), caller)
}

#[tokio::test]
async fn a_token_is_good_on_its_listener_until_it_expires_or_is_revoked() {
    for test in engines(&[MIGRATIONS]).await {
        let callers = Callers::new(test.store.clone(), &RootKey::generate());
        let (token, made) = make(&callers, Listener::Admin).await;
        let found = callers.verify(&token, Listener::Admin).await.expect("store").expect("good");
        assert_eq!(found, made);
        assert!(found.may("read") && !found.may("write"));
        assert_eq!(callers.verify(&token, Listener::Service).await.expect("store"), Err(UnknownCaller));
        assert_eq!(callers.verify("hw_guess", Listener::Admin).await.expect("store"), Err(UnknownCaller));

        test.clock.advance(Duration::from_secs(61));
        assert_eq!(callers.verify(&token, Listener::Admin).await.expect("store"), Err(UnknownCaller));

        let (token, made) = make(&callers, Listener::Admin).await;
        assert!(callers.revoke(made.id).await.expect("store"));
        assert!(!callers.revoke(made.id).await.expect("store"));
        assert_eq!(callers.verify(&token, Listener::Admin).await.expect("store"), Err(UnknownCaller));
        assert_eq!(callers.list().await.expect("store").len(), 2);
    }
}

#[tokio::test]
async fn the_store_holds_no_token() {
    let test = store::testing::sqlite(&[MIGRATIONS]).await;
    let callers = Callers::new(test.store.clone(), &RootKey::generate());
    let (token, _) = make(&callers, Listener::Service).await;
    let listed = format!("{:?}", callers.list().await.expect("store"));
    assert!(!listed.contains(&token[3..]));
}

#[tokio::test]
async fn every_statement_is_taken_by_both_engines() {
    store::testing::prepare_all(&[MIGRATIONS], crate::STATEMENTS).await;
}

fn by(name: &str) -> CertificateName {
    name.parse().expect("a name")
}

#[tokio::test]
async fn a_certificate_stands_for_a_caller_by_whatever_of_it_was_taken_in() {
    for test in engines(&[MIGRATIONS]).await {
        let callers = Callers::new(test.store.clone(), &RootKey::generate());
        let (print, dns) = (CertificateName::fingerprint(b"a certificate"), by("dns:proxy.internal"));
        let shown = [print.clone(), dns.clone()];
        let nobody = callers.verify_certificate(&shown, Listener::Service).await.expect("store");
        assert_eq!(nobody, Err(NoSuchCertificate));
        let new = |certificate: &CertificateName| NewCaller {
            certificate: Some(certificate.clone()),
            life_seconds: None,
            ..new(Listener::Service)
        };
        let (token, renewed) = callers.create(new(&dns)).await.expect("taken in");
        assert_eq!((token, &renewed.certificate), (None, &Some(dns.clone())));
        let who = async || callers.verify_certificate(&shown, Listener::Service).await.expect("store");
        assert_eq!(who().await, Ok(Ok(renewed.clone())));
        let elsewhere = callers.verify_certificate(&shown, Listener::Admin).await.expect("store");
        assert_eq!(elsewhere, Ok(Err(UnknownCaller)), "on one listener only");
        // The fingerprint goes first; revoked, it refuses although the name is good.
        let (_, one) = callers.create(new(&print)).await.expect("taken in");
        assert_eq!(who().await, Ok(Ok(one.clone())));
        assert!(callers.revoke(one.id).await.expect("store"));
        assert_eq!(who().await, Ok(Err(UnknownCaller)));
        assert!(
            matches!(callers.create(new(&dns)).await, Err(StoreError::Duplicate { .. })),
            "it is somebody's"
        );
        let (_, anew) = callers.create(new(&print)).await.expect("taken in anew");
        assert_eq!(who().await, Ok(Ok(anew)));
        assert_eq!(callers.list().await.expect("store").len(), 3, "and nothing is forgotten");
    }
}

#[tokio::test]
async fn what_a_certificate_goes_by_is_no_token() {
    let test = store::testing::sqlite(&[MIGRATIONS]).await;
    let callers = Callers::new(test.store.clone(), &RootKey::generate());
    let dns = by("dns:proxy.internal");
    let certificate = Some(dns.clone());
    callers.create(NewCaller { certificate, ..new(Listener::Service) }).await.expect("taken in");
    for guess in ["dns:proxy.internal", "certificate dns:proxy.internal", "hw_certificate dns:proxy.internal"]
    {
        assert_eq!(
            callers.verify(guess, Listener::Service).await.expect("store"),
            Err(UnknownCaller),
            "{guess}"
        );
    }
}
