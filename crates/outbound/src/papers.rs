//! What TLS towards one other side needs besides: who we are, and whom to believe.

use crate::CannotBuild;
use crate::client::cannot_build;
use reqwest::{Certificate, ClientBuilder, Identity};
use std::fmt;

/// Certificates of an exchange with one other side: the client's own, with its private key, that it is shown
/// (RFC 8446 section 4.4.2), and the authorities that are believed there instead of the system's.
#[derive(Clone, Default)]
pub struct Papers {
    identity: Option<Identity>,
    authorities: Vec<Certificate>,
}

impl Papers {
    /// Shows that certificate: PEM, a chain that begins with it and its private key in any order.
    pub fn showing(self, pem: &str) -> Result<Self, CannotBuild> {
        let identity = Identity::from_pem(pem.as_bytes()).map_err(|error| cannot_build(&error))?;
        Ok(Self { identity: Some(identity), ..self }).and_then(Self::tried)
    }

    /// Believes these authorities and no other: PEM, one certificate or several.
    pub fn believing(self, pem: &str) -> Result<Self, CannotBuild> {
        let authorities =
            Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| cannot_build(&error))?;
        if authorities.is_empty() {
            return Err(CannotBuild { detail: "there is no certificate in it".to_owned() });
        }
        Ok(Self { authorities, ..self }).and_then(Self::tried)
    }

    /// Whether there is nothing to show and nobody in particular to believe.
    pub fn are_none(&self) -> bool {
        self.identity.is_none() && self.authorities.is_empty()
    }

    /// A key that does not fit its certificate is found when a client is made.
    fn tried(self) -> Result<Self, CannotBuild> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this crate builds HTTP clients, here one to see that it can"
        )]
        let builder = reqwest::Client::builder().tls_certs_only([]);
        self.given(builder).build().map_err(|error| cannot_build(&error))?;
        Ok(self)
    }

    pub(crate) fn given(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = match self.authorities.as_slice() {
            [] => builder,
            authorities => builder.tls_certs_only(authorities.iter().cloned()),
        };
        match &self.identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        }
    }
}

impl fmt::Debug for Papers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.identity.as_ref().map(|_| "redacted");
        f.debug_struct("Papers")
            .field("identity", &shown)
            .field("authorities", &self.authorities.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, Manners, OutboundError, Reach};
    use bytes::Bytes;
    use testkit::{Authority, MutualTls};

    async fn ask(server: &MutualTls, papers: &Papers) -> Result<(), OutboundError> {
        let client =
            Client::for_one_outsider(&Manners::default(), Reach::Everywhere, papers).expect("a client");
        let url = server.url().parse().expect("a URL");
        client.post(&url, Bytes::new()).send().await.map(drop)
    }

    #[tokio::test]
    async fn who_asks_for_a_certificate_is_shown_the_one_it_is_to_see() {
        let authority = Authority::new();
        let server = MutualTls::start(&authority);
        let believing = Papers::default().believing(&authority.certificate()).expect("PEM");
        let papers = believing.clone().showing(&authority.papers("highwater").together()).expect("PEM");
        ask(&server, &papers).await.expect("it is served");
        assert_eq!(server.heard().len(), 1);
        assert!(server.heard()[0].head.starts_with("POST /hook "));
        assert!(!server.heard()[0].certificate.is_empty());

        let nobody = ask(&server, &believing).await.expect_err("it shows nothing");
        assert!(matches!(nobody, OutboundError::Connect { .. } | OutboundError::Broken { .. }), "{nobody}");
        let stranger = believing.showing(&Authority::new().papers("stranger").together()).expect("PEM");
        let refused = ask(&server, &stranger).await.expect_err("another authority's");
        assert!(matches!(refused, OutboundError::Connect { .. } | OutboundError::Broken { .. }), "{refused}");
        assert_eq!(server.heard().len(), 1);
    }

    #[tokio::test]
    async fn only_the_authorities_that_are_named_are_believed() {
        let authority = Authority::new();
        let server = MutualTls::start(&authority);
        let other = Papers::default().believing(&Authority::new().certificate()).expect("PEM");
        let papers = other.showing(&authority.papers("highwater").together()).expect("PEM");
        let refused = ask(&server, &papers).await.expect_err("an authority it was not told of");
        assert!(matches!(refused, OutboundError::Connect { .. }), "{refused}");
        assert!(server.heard().is_empty());
    }

    #[test]
    fn papers_that_cannot_be_used_are_refused_before_they_are_and_show_no_key() {
        let authority = Authority::new();
        let (one, other) = (authority.papers("a"), authority.papers("b"));
        for odd in ["", "x", one.certificate.as_str(), one.key.as_str()] {
            let error = Papers::default().showing(odd).expect_err(odd);
            assert!(!error.to_string().contains("PRIVATE"), "{error}");
        }
        let mixed = format!("{}{}", one.certificate, other.key);
        Papers::default().showing(&mixed).expect_err("another certificate's key");
        for odd in ["", "x", one.key.as_str()] {
            Papers::default().believing(odd).expect_err(odd);
        }
        let good = Papers::default().showing(&one.together()).expect("PEM");
        assert_eq!(format!("{good:?}"), r#"Papers { identity: Some("redacted"), authorities: 0 }"#);
        assert!(Papers::default().are_none() && !good.are_none());
    }
}
