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
        let rule = self.policy.rule(request.method, request.path)?;
        let Some(token) = bearer_token(request.authorization.iter().copied())? else {
            let passes = rule.allows_anonymous();
            return if passes {
                Ok(Pass { answer: None, rule: Arc::clone(rule) })
            } else {
                Err(Rejection::NoCredentials)
            };
        };
        let answer = self.good(token, rule.freshness(), now).await?;
        rule.allows(&answer.facts, now)?;
        Ok(Pass { answer: Some(answer), rule: Arc::clone(rule) })
    }

    /// What a token says, if it is good and its grant counts.
    pub async fn good(&self, token: &str, freshness: &Freshness, now: Millis) -> Result<Answer, Rejection> {
        let answer = self.verifier.check(token, freshness, now).await?;
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
