use crate::authorization::credentials;
use crate::verifier::{self, Check};
use crate::{
    Answer, CheckError, Freshness, How, Judgement, Policy, Rejection, Rule, Verifier, bearer_token, judge,
};
use account::Millis;
use std::sync::Arc;

/// The whole check of a request: which rule it falls under, what its token says, whether that is enough.
#[derive(Clone)]
pub struct Gate {
    verifier: Verifier,
    policy: Arc<Policy>,
}

/// What of a request the check looks at.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its method, in capitals.
    pub method: &'a str,
    /// Its path as it came: encoded, without the query.
    pub path: &'a str,
    /// The values of its `Authorization` headers.
    pub authorization: &'a [&'a [u8]],
}

/// A request that is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// What its token says; `None` for one without a token, where that is allowed.
    pub answer: Option<Answer>,
    /// The rule that let it through.
    pub rule: Arc<Rule>,
}

/// How far a request came.
pub(crate) enum Admission {
    Passed(Pass),
    Open(Open),
}

/// A request that somebody must be asked about.
pub(crate) struct Open {
    rule: Arc<Rule>,
    doubt: Doubt,
}

enum Doubt {
    /// What its token says is not known.
    Token(verifier::Open),
    /// Whether its grant still counts is not.
    Grant(Answer),
}

impl Gate {
    /// With this verifier, under this policy.
    pub fn new(verifier: Verifier, policy: Policy) -> Self {
        Self { verifier, policy: Arc::new(policy) }
    }

    /// The same gate, asking for somebody ([`Verifier::asking_for`]).
    #[must_use]
    pub fn asking_for(&self, caller: &str) -> Self {
        Self { verifier: self.verifier.asking_for(caller), policy: Arc::clone(&self.policy) }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The verifier.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Lets a request through, or says why not. Everything but the facts is judged anew for every request.
    pub async fn admit(&self, request: Request<'_>, now: Millis) -> Result<Pass, Rejection> {
        match self.admit_at_once(request, now)? {
            Admission::Passed(pass) => Ok(pass),
            Admission::Open(open) => Box::pin(self.find_out(request, open, now)).await,
        }
    }

    /// As far as it goes without waiting for anybody: for most requests, to the end.
    pub(crate) fn admit_at_once(&self, request: Request<'_>, now: Millis) -> Result<Admission, Rejection> {
        let rule = self.policy.rule(request.method, request.path)?;
        let Some(credentials) = credentials(request.authorization.iter().copied())? else {
            let passes = rule.allows_anonymous();
            return if passes {
                Ok(Admission::Passed(Pass { answer: None, rule: Arc::clone(rule) }))
            } else {
                Err(Rejection::NoCredentials)
            };
        };
        let open = |doubt| Ok(Admission::Open(Open { rule: Arc::clone(rule), doubt }));
        let token = || credentials.token().map_err(Rejection::from);
        let answer =
            match self.verifier.check_at_once(credentials.as_bytes(), token, rule.freshness(), now)? {
                Check::Done(answer) => answer,
                Check::Open(check) => return open(Doubt::Token(check)),
            };
        match self.judged(&answer) {
            Judgement::Counts => rule.pass(answer, now).map(Admission::Passed),
            Judgement::Ended(why) => Err(self.ended(&answer, why, now)),
            Judgement::AskAgain => open(Doubt::Grant(answer)),
        }
    }

    /// Goes on where [`Gate::admit_at_once`] could not.
    pub(crate) async fn find_out(
        &self,
        request: Request<'_>,
        open: Open,
        now: Millis,
    ) -> Result<Pass, Rejection> {
        let Open { rule, doubt } = open;
        let Some(token) = bearer_token(request.authorization.iter().copied())? else {
            return Err(Rejection::NoCredentials);
        };
        let answer = match doubt {
            Doubt::Token(check) => self.verifier.find_out(token, rule.freshness(), now, check).await?,
            Doubt::Grant(answer) => answer,
        };
        let answer = self.counting(token, answer, rule.freshness(), now).await?;
        rule.pass(answer, now)
    }

    /// What a token says, if it is good and its grant counts.
    pub async fn good(&self, token: &str, freshness: &Freshness, now: Millis) -> Result<Answer, Rejection> {
        let answer = self.verifier.check(token, freshness, now).await?;
        self.counting(token, answer, freshness, now).await
    }

    /// The answer, if the grant counts, or what is heard when it is asked about again.
    async fn counting(
        &self,
        token: &str,
        answer: Answer,
        freshness: &Freshness,
        now: Millis,
    ) -> Result<Answer, Rejection> {
        match self.judged(&answer) {
            Judgement::Counts => Ok(answer),
            Judgement::Ended(why) => Err(self.ended(&answer, why, now)),
            Judgement::AskAgain => {
                let asked = Box::pin(self.asked_again(token, &answer, freshness, now)).await;
                asked.map_err(
                    |why| if why == Rejection::TokenEnded { self.ended(&answer, why, now) } else { why },
                )
            }
        }
    }

    fn ended(&self, answer: &Answer, why: Rejection, now: Millis) -> Rejection {
        self.verifier.refused_by_record(&answer.facts.account(), now);
        why
    }

    /// A grant that perhaps was ended by a change: the identity provider, asked after it, knows.
    async fn asked_again(
        &self,
        token: &str,
        before: &Answer,
        freshness: &Freshness,
        now: Millis,
    ) -> Result<Answer, Rejection> {
        // A question that was joined may have been begun before the change was known; one begun after it landed was not.
        for round in 0..2 {
            let answer = match self.verifier.ask_together(token, freshness.patience, now).await {
                Ok(answer) => answer,
                // Its no says that the change ended the token, which by itself was good.
                Err(CheckError::Refused(_)) => return Err(Rejection::TokenEnded),
                Err(trouble) => return Err(trouble.into()),
            };
            if answer.facts.idp != before.facts.idp || answer.facts.subject != before.facts.subject {
                return Err(Rejection::TokenEnded);
            }
            match self.judged(&answer) {
                Judgement::Counts => return Ok(answer),
                Judgement::Ended(why) => return Err(why),
                // The change lies ahead of our clock, and its word is from after it all the same.
                Judgement::AskAgain if round > 0 || answer.how == How::Learned => return Ok(answer),
                Judgement::AskAgain => {}
            }
        }
        Err(Rejection::TokenEnded)
    }

    fn judged(&self, answer: &Answer) -> Judgement {
        let after_change = self.policy.after_change(&answer.facts.idp);
        judge(&answer.facts, &answer.record, after_change)
    }
}
