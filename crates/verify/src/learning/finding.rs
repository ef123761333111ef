//! Finding out what a token says: by its signature, by what others know, by asking.

use super::asking::told;
use super::{Inquiry, Learner, Question, jwt};
use crate::claims::Claims;
use crate::lives::Stamp;
use crate::shared::{Claim, Known, Search, Via, Way};
use crate::{CheckError, Facts, Place, Refusal, Source};
use account::Millis;
use idp::{Idp, Lane, SignatureError};
use jose::Compact;

/// Facts, and where they came from.
pub(super) struct Found {
    pub(super) facts: Facts,
    pub(super) came: Came,
    pub(super) via: Via,
    /// Of before they were asked for; where they were not asked for here, of before anything on record was looked at.
    pub(super) stamp: Stamp,
}

/// Where facts came from.
pub(super) enum Came {
    /// They were found out here; others may be waiting for them.
    Here(Option<Claim>),
    /// Another process asked, when it had heard of that much of the feed.
    Elsewhere(Place),
}

/// Why there are no facts.
#[derive(Clone, Copy)]
pub(super) enum Unfound {
    /// So it was found here.
    Here(CheckError),
    /// The identity provider said no, to whomever.
    No {
        /// When it was asked.
        learned_at: Millis,
    },
}

impl Learner {
    pub(super) async fn found(&self, inquiry: &Inquiry<'_>) -> Result<Found, Unfound> {
        match (inquiry.question, jwt(inquiry.token)?) {
            (Question::Facts, Some(jwt)) => self.verify(&jwt, inquiry).await,
            (Question::Word, Some(jwt)) => {
                let claims = jwt.payload().map_err(Refusal::from).and_then(|json| Claims::read(&json));
                match claims {
                    Ok(claims) => {
                        let found = self.asked(self.idp_of(&claims)?, inquiry, claims.expires_at()).await?;
                        // Remembered, its word on another account would be this token's from now on.
                        if found.facts.subject == *claims.subject() {
                            Ok(found)
                        } else {
                            found.came.let_go().await;
                            Err(Refusal::IdentityProvider.into())
                        }
                    }
                    Err(_) => self.asked(self.idps.default_idp(), inquiry, None).await,
                }
            }
            (_, None) => self.asked(self.idps.default_idp(), inquiry, None).await,
        }
    }

    async fn verify(&self, jwt: &Compact<'_>, inquiry: &Inquiry<'_>) -> Result<Found, Unfound> {
        let stamp = self.lives.stamp();
        let (header, claims, idp) = self.checked(jwt, inquiry.now)?;
        match idp.verify_signature(jwt, &header).await {
            Ok(proof) => {
                let facts = claims.into_facts(idp.id().clone(), Source::Signature(proof), inquiry.now);
                Ok(Found::here(facts, None, stamp))
            }
            // With no key at all the identity provider's word is the only proof there can be.
            Err(SignatureError::NoKeys { retry_after }) if self.asking.can_ask(idp) => {
                match self.asked(idp, inquiry, claims.expires_at()).await {
                    // Then it is for the keys to tell, once they are there.
                    Err(Unfound::Here(CheckError::Refused(Refusal::Unsupported))) => {
                        Err(CheckError::Unavailable { retry_after }.into())
                    }
                    told => told,
                }
            }
            Err(error) => Err(CheckError::from(error).into()),
        }
    }

    /// The identity provider's word, whichever process heard it.
    async fn asked(
        &self,
        idp: &Idp,
        inquiry: &Inquiry<'_>,
        expires_at: Option<Millis>,
    ) -> Result<Found, Unfound> {
        let way = self.way(idp, inquiry).await;
        let stamp = self.lives.stamp();
        let found = match way {
            Way::Known(Known::Facts(known), via) => {
                let (facts, began) = *known;
                Found { facts, came: Came::Elsewhere(began), via, stamp }
            }
            Way::Known(Known::No { learned_at }, _) => return Err(Unfound::No { learned_at }),
            Way::Trouble { retry_after } => return Err(CheckError::Unavailable { retry_after }.into()),
            Way::Alone => Found::here(self.told(idp, inquiry, expires_at).await?, None, stamp),
            Way::Ask(claim) => match claim.held_while(self.told(idp, inquiry, expires_at)).await {
                Ok(facts) => Found::here(facts, Some(claim), stamp),
                Err(error) => {
                    self.tell(claim, &error, inquiry).await;
                    return Err(error.into());
                }
            },
        };
        // The identity provider's clock may differ from ours, but not by more than any other's.
        let ended = found.facts.expires_at.is_some_and(|end| end.plus(self.leeway) <= inquiry.now);
        if ended {
            found.came.let_go().await;
            return Err(Refusal::Expired.into());
        }
        Ok(found)
    }

    async fn way(&self, idp: &Idp, inquiry: &Inquiry<'_>) -> Way {
        let Some(together) = &self.together else { return Way::Alone };
        let Inquiry { token, wanted, now, failures, .. } = *inquiry;
        together.way(&Search { idp: idp.id(), token, wanted, now, failures }).await
    }

    async fn told(
        &self,
        idp: &Idp,
        inquiry: &Inquiry<'_>,
        expires_at: Option<Millis>,
    ) -> Result<Facts, CheckError> {
        let lane = if self.memory.knows(&inquiry.key) {
            Lane::Known
        } else {
            Lane::Unknown { caller: inquiry.caller }
        };
        told(self.asking, idp, inquiry, lane, expires_at).await
    }

    /// Tells those who wait why there are no facts. A no is kept where it is remembered here too; trouble never is.
    async fn tell(&self, claim: Claim, error: &CheckError, inquiry: &Inquiry<'_>) {
        match (error, &self.together) {
            (CheckError::Refused(Refusal::IdentityProvider), Some(together)) => {
                if inquiry.is_its_word_final() {
                    let life = together.life_of_no(&claim);
                    claim.keep_no(inquiry.now, life).await;
                } else {
                    claim.tell_no(inquiry.now).await;
                }
            }
            _ => claim.tell_trouble(error, inquiry.failures).await,
        }
    }

    /// Leaves facts for others, if the question began after the account's latest event that the store knows of.
    pub(super) async fn share(
        &self,
        claim: Claim,
        facts: &Facts,
        stamp: Stamp,
        latest: Option<&Place>,
        now: Millis,
    ) {
        match (&self.together, self.lives.place(stamp), latest) {
            (Some(together), Some(began), Some(latest)) if began.covers(latest) => {
                let life = together.life(facts, &claim, now);
                claim.keep_facts(facts, &began, life).await;
            }
            _ => claim.let_go().await,
        }
    }
}

impl Found {
    fn here(facts: Facts, claim: Option<Claim>, stamp: Stamp) -> Self {
        Self { facts, came: Came::Here(claim), via: Via::Asked, stamp }
    }
}

impl Came {
    /// Those who wait for it need not any longer.
    pub(super) async fn let_go(self) {
        if let Self::Here(Some(claim)) = self {
            claim.let_go().await;
        }
    }
}

impl From<CheckError> for Unfound {
    fn from(error: CheckError) -> Self {
        Self::Here(error)
    }
}

impl From<Refusal> for Unfound {
    fn from(refusal: Refusal) -> Self {
        Self::Here(refusal.into())
    }
}
