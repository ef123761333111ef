//! Logins kept at an identity provider that rotates strictly and detects reuse, in its good and its bad hours. Time is virtual:
//! each call carries it.

mod logging_in {
    mod binding;
    mod codes;
    mod discovering;
    mod logging_out;
    mod manners;
    mod outcomes;
    mod proving;
    mod revoking;
    mod tokens;
    mod users;
}

use account::{IdpId, Millis};
use idp::{
    Failure, FailureClass, Granted, IdToken, Idp, IdpConfig, Login, LoginConfig, NotGranted, Original,
    Priority, Refresh, Secret,
};
use standins::{Endpoint, Fault, LoginClient, LoginTokens, Logins, Now, StandInIdp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const AT: i64 = 1_700_000_000;

/// An identity provider, one whom people log in to by it, and the time.
struct World {
    there: StandInIdp,
    idp: Idp,
    now: Arc<AtomicI64>,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// Where logins are configured like this.
    async fn with(change: impl FnOnce(&mut LoginConfig)) -> Self {
        let now = Arc::new(AtomicI64::new(AT * 1000));
        let clock: Now = {
            let now = Arc::clone(&now);
            Arc::new(move || Millis::new(now.load(Ordering::SeqCst)))
        };
        let there = StandInIdp::start(clock).await.expect("it starts");
        there.sign_up("ada");
        there.logins().register(LoginClient::new("web", "s3cret"));
        let idp = known_as(&there.url(), change);
        Self { there, idp, now }
    }

    fn login(&self) -> &Login {
        self.idp.login().expect("configured")
    }

    fn logins(&self) -> Logins<'_> {
        self.there.logins()
    }

    fn now(&self) -> Millis {
        Millis::new(self.now.load(Ordering::SeqCst))
    }

    fn wait(&self, duration: Duration) {
        self.now.store(self.now().plus(duration).get(), Ordering::SeqCst);
    }

    fn log_in(&self) -> LoginTokens {
        self.logins().log_in("web", "ada").expect("there is such an account and such a client")
    }

    async fn refresh(&self, refresh_token: &str) -> Result<Granted, NotGranted> {
        let (refresh_token, original) = (Secret::new(refresh_token), original());
        let ask = Refresh {
            refresh_token: &refresh_token,
            original: &original,
            dpop: None,
            priority: Priority::Background,
        };
        self.login().refresh(&ask, self.now()).await
    }

    /// What comes of a refresh while this goes wrong once.
    async fn refresh_while(&self, fault: Fault, refresh_token: &str) -> Result<Granted, NotGranted> {
        self.logins().fail_times(Endpoint::Token, fault, 1);
        self.refresh(refresh_token).await
    }
}

fn known_as(url: &str, change: impl FnOnce(&mut LoginConfig)) -> Idp {
    Idp::new(&config(url, change)).expect("a good configuration")
}

fn config(url: &str, change: impl FnOnce(&mut LoginConfig)) -> IdpConfig {
    let mut config = IdpConfig::new(IdpId::new("idp").expect("valid"), url, "idp.example");
    let mut login = LoginConfig::new("web");
    login.client_secret = Some(Secret::new("s3cret"));
    change(&mut login);
    config.login = Some(login);
    config
}

fn original() -> Original {
    Original { issuer: None, subject: "ada".into(), audience: Vec::new(), auth_time: None }
}

fn failure(told: Result<Granted, NotGranted>) -> Failure {
    match told {
        Err(NotGranted::Failed(failure)) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

fn class(told: Result<Granted, NotGranted>) -> FailureClass {
    failure(told).class
}

fn replaced(granted: &Granted) -> &str {
    granted.tokens.refresh_token.as_ref().expect("it was replaced").reveal()
}

fn is_verified(granted: &Granted) -> bool {
    matches!(granted.id_token, IdToken::Verified(_))
}
