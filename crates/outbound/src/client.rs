use crate::error::{other_side, with_causes};
use crate::reach::{Guarded, Lookup, SystemLookup, is_public};
use crate::{Answer, CannotBuild, OutboundError, Papers, Reach};
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use std::time::Duration;
use url::{Url, form_urlencoded};

const USER_AGENT: &str = concat!("highwater/", env!("CARGO_PKG_VERSION"));

/// How patient a client is, and how much it takes.
#[derive(Clone, Debug)]
pub struct Manners {
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long the whole exchange may take, to the last byte of the answer.
    pub deadline: Duration,
    /// The most bytes of an answer's body that are read.
    pub max_answer: usize,
    /// How long a connection is kept for the next request. Whoever must not ask twice keeps it no longer than the other side
    /// surely does: a request on a connection that is just being closed may have arrived, or not.
    pub keep_idle: Duration,
    /// A forward proxy for everything. Variables of the environment are not looked at.
    pub proxy: Option<Url>,
}

impl Default for Manners {
    /// 3 s to connect, 10 s in all, 64 KiB, connections kept for a minute, no proxy.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            deadline: Duration::from_secs(10),
            max_answer: 64 * 1024,
            keep_idle: Duration::from_mins(1),
            proxy: None,
        }
    }
}

/// A pooled HTTP client. Cloning it shares the pool.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    max_answer: usize,
    reach: Reach,
}

impl Client {
    /// A client for addresses that the operator configured (identity providers, nodes, queues): they may be private.
    /// Never hand it an address that an outsider chose.
    pub fn for_operator_addresses(manners: &Manners) -> Result<Self, CannotBuild> {
        Self::for_one_operator_address(manners, &Papers::default())
    }

    /// As [`for_operator_addresses`](Self::for_operator_addresses), for one that is shown a certificate or is trusted by
    /// one of its own.
    pub fn for_one_operator_address(manners: &Manners, papers: &Papers) -> Result<Self, CannotBuild> {
        Self::built(manners, Reach::Everywhere, |builder| papers.given(builder))
    }

    /// A client for addresses that outsiders chose (webhooks): a name is looked up, what it leads to is checked, and
    /// the connection is made to the very address that was checked. With [`Reach::Public`] whatever is not of the public
    /// internet is [refused](OutboundError::Refused). It goes through no proxy: there the check would be void.
    pub fn for_outsiders(manners: &Manners, reach: Reach) -> Result<Self, CannotBuild> {
        Self::for_one_outsider(manners, reach, &Papers::default())
    }

    /// As [`for_outsiders`](Self::for_outsiders), for one that is shown a certificate or is trusted by one of its own.
    pub fn for_one_outsider(manners: &Manners, reach: Reach, papers: &Papers) -> Result<Self, CannotBuild> {
        let manners = Manners { proxy: None, ..manners.clone() };
        match reach {
            Reach::Everywhere => Self::built(&manners, reach, |builder| papers.given(builder)),
            Reach::Public => Self::guarded(&manners, papers, || Guarded::new(SystemLookup, is_public)),
        }
    }

    fn guarded<L: Lookup>(
        manners: &Manners,
        papers: &Papers,
        resolver: impl Fn() -> Guarded<L>,
    ) -> Result<Self, CannotBuild> {
        Self::built(manners, Reach::Public, |builder| papers.given(builder).dns_resolver(resolver()))
    }

    fn built(
        manners: &Manners,
        reach: Reach,
        finish: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, CannotBuild> {
        let http = match finish(builder(manners)?).build() {
            Ok(http) => http,
            // A machine without any certificate authorities can still talk plain HTTP to its own network.
            Err(error) if no_authorities(&error) => {
                tracing::warn!("this system has no certificate authorities: HTTPS to others will fail");
                let without = finish(builder(manners)?.tls_certs_only([]));
                without.build().map_err(|error| cannot_build(&error))?
            }
            Err(error) => return Err(cannot_build(&error)),
        };
        Ok(Self { http, max_answer: manners.max_answer, reach })
    }

    /// The same client, with the same connections, that reads so many bytes of an answer at most.
    #[must_use]
    pub fn taking(&self, max_answer: usize) -> Self {
        Self { max_answer, ..self.clone() }
    }

    /// A GET.
    pub fn get(&self, url: &Url) -> Request {
        self.request(url, self.http.get(url.clone()))
    }

    /// A DELETE.
    pub fn delete(&self, url: &Url) -> Request {
        self.request(url, self.http.delete(url.clone()))
    }

    /// A POST with a JSON body.
    pub fn post_json<B: Serialize + ?Sized>(&self, url: &Url, body: &B) -> Request {
        self.request(url, self.http.post(url.clone()).json(body))
    }

    /// A POST of a form (`application/x-www-form-urlencoded`): names and values, in that order.
    pub fn post_form(&self, url: &Url, fields: &[(&str, &str)]) -> Request {
        const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.post(url, body.into()).header(header::CONTENT_TYPE, FORM)
    }

    /// A POST of a body as it is. An empty one says so (`Content-Length: 0`).
    pub fn post(&self, url: &Url, body: Bytes) -> Request {
        let http = self.http.post(url.clone()).header(header::CONTENT_LENGTH, body.len());
        self.request(url, http.body(body))
    }

    fn request(&self, url: &Url, http: reqwest::RequestBuilder) -> Request {
        let refused = self.reach.refuses_literal(url);
        Request { max_answer: self.max_answer, to: other_side(url), http, refused }
    }
}

/// A request about to be sent.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    max_answer: usize,
    to: String,
    http: reqwest::RequestBuilder,
    /// The URL names an address that may not be reached.
    refused: bool,
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.http = self.http.header(name, value);
        self
    }

    /// Asks for JSON.
    pub fn accept_json(self) -> Self {
        self.header(header::ACCEPT, HeaderValue::from_static("application/json"))
    }

    /// Sets how long the whole exchange may take, instead of the client's own deadline.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.http = self.http.timeout(deadline);
        self
    }

    /// Sends it and reads the whole answer, whatever its status. See [`Answer::success`].
    pub async fn send(self) -> Result<Answer, OutboundError> {
        let limit = self.max_answer;
        let (answer, is_whole) = self.exchange().await?;
        if is_whole { Ok(answer) } else { Err(OutboundError::TooLarge { to: answer.to, limit }) }
    }

    /// Sends it and reads the beginning of the answer, as much as is taken; the rest is let go. For answers whose status
    /// is what counts.
    pub async fn glance(self) -> Result<Answer, OutboundError> {
        self.exchange().await.map(|(answer, _)| answer)
    }

    /// The answer as far as it is taken, and whether that is all of it.
    async fn exchange(self) -> Result<(Answer, bool), OutboundError> {
        let Self { max_answer: limit, to, http, refused } = self;
        if refused {
            return Err(OutboundError::Refused { to });
        }
        let failed = |error| OutboundError::from_reqwest(to.clone(), error);
        let mut response = http.send().await.map_err(failed)?;
        let mut is_whole = response.content_length().is_none_or(|announced| announced <= limit as u64);
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            let room = limit - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                is_whole = false;
            }
            if !is_whole && body.len() == limit {
                break;
            }
        }
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        Ok((Answer { to, status, headers, body: body.freeze() }, is_whole))
    }
}

fn builder(manners: &Manners) -> Result<reqwest::ClientBuilder, CannotBuild> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that builds HTTP clients")]
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(manners.connect_timeout)
        .timeout(manners.deadline)
        .pool_idle_timeout(manners.keep_idle)
        .pool_max_idle_per_host(32)
        .tcp_nodelay(true);
    Ok(match &manners.proxy {
        Some(proxy) => {
            builder.proxy(reqwest::Proxy::all(proxy.clone()).map_err(|error| cannot_build(&error))?)
        }
        None => builder.no_proxy(),
    })
}

fn no_authorities(error: &reqwest::Error) -> bool {
    with_causes(error).contains("No CA certificates")
}

pub(crate) fn cannot_build(error: &reqwest::Error) -> CannotBuild {
    CannotBuild { detail: with_causes(error) }
}

#[cfg(test)]
mod tests;
