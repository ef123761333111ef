//! Envoy's `ext_authz` over gRPC, `envoy.service.auth.v3.Authorization/Check`: its question read, and its answers made.
//!
//! Unlike over HTTP, Envoy is told everything: which status a refusal has (a 503 stays one), which headers the backend
//! hears instead of the client's own, and which of the client's it does not hear at all.

pub(crate) mod messages;

pub(crate) use messages::{CheckRequest, CheckResponse};

use super::identity::{Identity, aliases};
use super::original::{NotTold, Original};
use crate::Refusal;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use messages::{
    Answered, Append, DeniedHttpResponse, HeaderValueOption, HttpRequest, HttpStatus, OkHttpResponse, Status,
};

/// A request that Envoy asks about.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) original: Original,
    /// All of its headers that Envoy shows us.
    pub(crate) headers: HeaderMap,
}

impl CheckRequest {
    /// What it asks about.
    ///
    /// # Errors
    /// [`Refusal::Proxy`] when there is no HTTP request in it, as the network filter asks; [`Refusal::Parameter`] when a
    /// client brought a header that no server understands.
    pub(crate) fn asked(self) -> Result<Asked, Refusal> {
        let request = self.attributes.and_then(|it| it.request).and_then(|it| it.http);
        let mut http =
            request.filter(|it| !it.method.is_empty()).ok_or(NotTold("attributes.request.http"))?;
        let method = Method::from_bytes(http.method.as_bytes())
            .map_err(|_| Refusal::Parameter("The method is not readable"))?;
        let path = http.path.split(['?', '#']).next().unwrap_or_default().to_owned();
        let host = Some(http.host.to_ascii_lowercase()).filter(|host| !host.is_empty());
        let headers = headers(&mut http).ok_or(Refusal::Parameter("A header is not readable"))?;
        Ok(Asked { original: Original { method, path, host }, headers })
    }
}

/// Its headers, without HTTP/2's own. With `encode_raw_headers` each is as it came; without, Envoy has joined those of one
/// name by commas, and two tokens are no token.
fn headers(http: &mut HttpRequest) -> Option<HeaderMap> {
    let raw = http.header_map.take().map(|map| map.headers).unwrap_or_default();
    let raw = raw.into_iter().map(|it| {
        let value = if it.raw_value.is_empty() { it.value.into_bytes() } else { it.raw_value };
        (it.key, value)
    });
    let joined = std::mem::take(&mut http.headers).into_iter().map(|(key, value)| (key, value.into_bytes()));
    let mut headers = HeaderMap::new();
    for (key, value) in raw.chain(joined).filter(|(key, _)| !key.starts_with(':')) {
        let name = HeaderName::from_bytes(key.as_bytes()).ok()?;
        headers.try_append(name, HeaderValue::from_bytes(&value).ok()?).ok()?;
    }
    Some(headers)
}

impl CheckResponse {
    /// The request may pass: the backend hears these headers, each instead of whatever the client sent by that name. What
    /// a server behind could take for one of them is removed, even where Envoy does not show it to us.
    pub(crate) fn pass(identity: Identity<'_>, others: HeaderMap) -> Self {
        let mut headers = others;
        identity.set_all(&mut headers);
        let removed = aliases().map(str::to_owned).collect();
        let ok = OkHttpResponse { headers: options(&headers), headers_to_remove: removed };
        Self { status: Some(Status::default()), answered: Some(Answered::Ok(ok)) }
    }

    /// The request may not pass, and this is what its client hears.
    pub(crate) fn refuse(status: StatusCode, headers: &HeaderMap, body: String) -> Self {
        let denied = DeniedHttpResponse {
            status: Some(HttpStatus { code: status.as_u16().into() }),
            headers: options(headers),
            body,
        };
        let code = code(status) as i32;
        Self {
            status: Some(Status { code, message: String::new() }),
            answered: Some(Answered::Denied(denied)),
        }
    }
}

/// As gRPC calls it: anything but `Ok` is a no.
fn code(status: StatusCode) -> tonic::Code {
    match status {
        StatusCode::BAD_REQUEST => tonic::Code::InvalidArgument,
        StatusCode::UNAUTHORIZED => tonic::Code::Unauthenticated,
        StatusCode::SERVICE_UNAVAILABLE => tonic::Code::Unavailable,
        other if other.is_server_error() => tonic::Code::Internal,
        _ => tonic::Code::PermissionDenied,
    }
}

fn options(headers: &HeaderMap) -> Vec<HeaderValueOption> {
    let option = |(name, value): (&HeaderName, &HeaderValue)| HeaderValueOption {
        header: Some(messages::HeaderValue {
            key: name.as_str().to_owned(),
            // What we say is visible ASCII.
            value: value.to_str().unwrap_or_default().to_owned(),
            raw_value: Vec::new(),
        }),
        append_action: Append::Overwrite.into(),
        keep_empty_value: true,
    };
    headers.iter().map(option).collect()
}

#[cfg(test)]
mod tests;
