use super::Tls;
use account::Millis;
use keys::CertificateName;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// After so long a certificate is looked at anew.
const LOOKED_AT: Duration = Duration::from_mins(1);
/// More names than any caller has.
const MOST_NAMES: usize = 16;

/// The certificate that a client showed on this connection; its authority vouched for it in the handshake.
#[derive(Clone)]
pub(crate) struct ClientCertificate(Arc<Shown>);

struct Shown {
    chain: Vec<CertificateDer<'static>>,
    goes_by: Vec<CertificateName>,
    tls: Arc<Tls>,
    /// When it was looked at last, in milliseconds.
    looked_at: AtomicI64,
}

impl ClientCertificate {
    pub(super) fn new(chain: &[CertificateDer<'_>], tls: &Arc<Tls>) -> Option<Self> {
        let own = chain.first()?;
        let shown = Shown {
            chain: chain.iter().map(|it| it.clone().into_owned()).collect(),
            goes_by: goes_by(own),
            tls: Arc::clone(tls),
            looked_at: AtomicI64::new(i64::MIN),
        };
        Some(Self(Arc::new(shown)))
    }

    /// All that it goes by: its fingerprint first, then the names in it.
    pub(crate) fn goes_by(&self) -> &[CertificateName] {
        &self.0.goes_by
    }

    /// Whether it still counts: by its time, and by the authorities as they are now.
    pub(crate) fn still_counts(&self, now: Millis) -> bool {
        let fresh_until = self.0.looked_at.load(Ordering::Relaxed).saturating_add(millis(LOOKED_AT));
        if now.get() < fresh_until {
            return true;
        }
        let counts = self.0.is_good(now);
        if counts {
            self.0.looked_at.store(now.get(), Ordering::Relaxed);
        }
        counts
    }
}

impl Shown {
    fn is_good(&self, now: Millis) -> bool {
        let papers = self.tls.papers.load();
        let (Some((own, between)), Some(clients)) = (self.chain.split_first(), &papers.clients) else {
            return false;
        };
        let since = Duration::from_millis(now.get().try_into().unwrap_or_default());
        clients.verify_client_cert(own, between, UnixTime::since_unix_epoch(since)).is_ok()
    }
}

fn millis(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}

/// A name that could not be written into a configuration is nobody's.
fn goes_by(certificate: &CertificateDer<'_>) -> Vec<CertificateName> {
    let fingerprint = std::iter::once(CertificateName::fingerprint(certificate));
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return fingerprint.collect() };
    let uris = parsed.valid_uri_names().filter_map(CertificateName::uri);
    let hosts = parsed.valid_dns_names().filter_map(CertificateName::dns);
    fingerprint.chain(uris).chain(hosts).take(MOST_NAMES).collect()
}
