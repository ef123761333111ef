//! The HTTP clients towards relying parties: shared ones, and one of its own for each that is shown a certificate or has
//! authorities of its own.

use crate::redact::KEPT;
use crate::{ClientId, Config, RelyingParty, Secret, Secrets};
use outbound::{CannotBuild, Client, Manners, Papers, Reach};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// The clients of one process.
pub(crate) struct Clients {
    public: Client,
    everywhere: Client,
    own: Mutex<HashMap<ClientId, Own>>,
}

/// A client for one relying party, and what it was made of.
struct Own {
    certificate: Option<Secret>,
    authorities: Option<String>,
    reach: Reach,
    client: Client,
}

impl Own {
    fn is_for(&self, rp: &RelyingParty) -> bool {
        self.reach == reach(&rp.config)
            && self.authorities == rp.config.certificate_authorities
            && self.certificate == rp.secrets.client_certificate
    }
}

impl Clients {
    pub(crate) fn new() -> Result<Self, CannotBuild> {
        let client = |reach| client(reach, &Papers::default());
        Ok(Self {
            public: client(Reach::Public)?,
            everywhere: client(Reach::Everywhere)?,
            own: Mutex::default(),
        })
    }

    /// The client towards a relying party, made anew when its certificates have changed.
    pub(crate) fn towards(&self, rp: &RelyingParty) -> Result<Client, CannotBuild> {
        let reach = reach(&rp.config);
        if rp.secrets.client_certificate.is_none() && rp.config.certificate_authorities.is_none() {
            let shared = if reach == Reach::Everywhere { &self.everywhere } else { &self.public };
            return Ok(shared.clone());
        }
        let mut own = self.own.lock();
        if let Some(own) = own.get(&rp.client_id).filter(|own| own.is_for(rp)) {
            return Ok(own.client.clone());
        }
        let client = client(reach, &papers(&rp.config, &rp.secrets)?)?;
        let (certificate, authorities) =
            (rp.secrets.client_certificate.clone(), rp.config.certificate_authorities.clone());
        own.insert(rp.client_id.clone(), Own { certificate, authorities, reach, client: client.clone() });
        Ok(client)
    }
}

fn client(reach: Reach, papers: &Papers) -> Result<Client, CannotBuild> {
    // The whole deadline is set for each relying party.
    let manners = Manners { connect_timeout: Duration::from_secs(5), max_answer: KEPT, ..Manners::default() };
    Client::for_one_outsider(&manners, reach, papers)
}

/// How far a relying party may send us.
pub(crate) fn reach(config: &Config) -> Reach {
    if config.allow_private { Reach::Everywhere } else { Reach::Public }
}

/// What TLS towards a relying party needs besides.
pub(crate) fn papers(config: &Config, secrets: &Secrets) -> Result<Papers, CannotBuild> {
    let mut papers = Papers::default();
    if let Some(authorities) = &config.certificate_authorities {
        papers = papers.believing(authorities)?;
    }
    if let Some(certificate) = &secrets.client_certificate {
        papers = papers.showing(certificate.reveal())?;
    }
    Ok(papers)
}
