use super::proxy::Proxy;
use http::request::Parts;
use http::{HeaderMap, Method};

/// The request that a proxy asks about, as far as the proxy vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Its method.
    pub method: Method,
    /// Its path as it came: encoded, without the query.
    pub path: String,
    /// The host it was sent to, in lower case; `None` when the proxy does not say.
    pub host: Option<String>,
}

/// The proxy does not say what it asks about: it is not set up right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy does not send {0} exactly once with something in it")]
pub struct NotTold(pub &'static str);

/// The names of the headers by which a proxy tells.
struct Told {
    method: &'static str,
    uri: &'static str,
    host: &'static str,
}

const ORIGINAL: Told = Told { method: "x-original-method", uri: "x-original-uri", host: "x-original-host" };
const FORWARDED: Told =
    Told { method: "x-forwarded-method", uri: "x-forwarded-uri", host: "x-forwarded-host" };

impl Original {
    /// What `proxy` says of the request it asks about. For Envoy the request asked about *is* the request, its path
    /// below `prefix`.
    pub fn read(proxy: Proxy, asked: &Parts, prefix: &str) -> Result<Self, NotTold> {
        match proxy {
            Proxy::Nginx => ORIGINAL.read(&asked.headers),
            Proxy::Traefik | Proxy::Caddy => FORWARDED.read(&asked.headers),
            Proxy::Envoy => itself(asked, prefix),
        }
    }
}

impl Told {
    fn read(&self, headers: &HeaderMap) -> Result<Original, NotTold> {
        let method = once(headers, self.method)?.ok_or(NotTold(self.method))?;
        let uri = once(headers, self.uri)?.ok_or(NotTold(self.uri))?;
        Ok(Original {
            method: Method::from_bytes(method).map_err(|_| NotTold(self.method))?,
            // nginx passes bytes on as they came. What is no text is no path: the policy refuses it, as the client's doing.
            path: str::from_utf8(uri).map(without_query).unwrap_or_default(),
            host: once(headers, self.host)?.and_then(readable),
        })
    }
}

fn itself(asked: &Parts, prefix: &str) -> Result<Original, NotTold> {
    let below = asked.uri.path().strip_prefix(prefix).ok_or(NotTold("path_prefix"))?;
    let host = match asked.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => once(&asked.headers, "host")?.and_then(|host| str::from_utf8(host).ok()),
    };
    Ok(Original {
        method: asked.method.clone(),
        path: below.to_owned(),
        host: host.map(str::to_ascii_lowercase),
    })
}

fn without_query(target: &str) -> String {
    target.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn readable(host: &[u8]) -> Option<String> {
    str::from_utf8(host).ok().map(str::to_ascii_lowercase)
}

/// A header that may be there once, with something in it. Twice, one of the two is the client's own.
fn once<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a [u8]>, NotTold> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => Ok(Some(one.as_bytes()).filter(|bytes| !bytes.is_empty())),
        (Some(_), Some(_)) => Err(NotTold(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    const PREFIX: &str = "/verify/envoy";

    fn asked(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn read(proxy: Proxy, method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<String, NotTold> {
        let original = Original::read(proxy, &asked(method, uri, headers), PREFIX)?;
        Ok(format!("{} {} {}", original.method, original.path, original.host.as_deref().unwrap_or("-")))
    }

    #[test]
    fn each_proxy_is_understood_in_its_own_words() {
        let nginx =
            [("x-original-method", "POST"), ("x-original-uri", "/a?b=c"), ("x-original-host", "API.example")];
        assert_eq!(read(Proxy::Nginx, "GET", "/verify", &nginx).as_deref(), Ok("POST /a api.example"));
        let forwarded =
            [("x-forwarded-method", "PUT"), ("x-forwarded-uri", "/a/"), ("x-forwarded-host", "h")];
        for proxy in [Proxy::Traefik, Proxy::Caddy] {
            assert_eq!(read(proxy, "GET", "/verify", &forwarded).as_deref(), Ok("PUT /a/ h"));
        }
        let envoy = read(Proxy::Envoy, "PATCH", "/verify/envoy/a?b", &[("host", "H")]);
        assert_eq!(envoy.as_deref(), Ok("PATCH /a h"));
    }

    #[test]
    fn another_proxys_headers_are_the_clients_and_are_not_read() {
        let nginx = [("x-original-method", "POST"), ("x-original-uri", "/admin")];
        let forwarded = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/public")];
        let both = [nginx, forwarded].concat();
        assert_eq!(read(Proxy::Nginx, "GET", "/verify", &both).as_deref(), Ok("POST /admin -"));
        assert_eq!(read(Proxy::Caddy, "GET", "/verify", &both).as_deref(), Ok("GET /public -"));
        let envoy = read(Proxy::Envoy, "DELETE", "/verify/envoy/x", &both);
        assert_eq!(envoy.as_deref(), Ok("DELETE /x -"));
        assert!(read(Proxy::Nginx, "GET", "/verify", &forwarded).is_err());
        assert!(read(Proxy::Traefik, "GET", "/verify", &nginx).is_err());
    }

    #[test]
    fn a_header_that_comes_twice_is_believed_in_neither_form() {
        for twice in [("x-original-method", "GET"), ("x-original-uri", "/public"), ("x-original-host", "h")] {
            let own = [("x-original-method", "POST"), ("x-original-uri", "/admin"), ("x-original-host", "h")];
            let header = twice.0;
            let outcome = read(Proxy::Nginx, "GET", "/verify", &[&own[..], &[twice]].concat());
            assert_eq!(outcome, Err(NotTold(header)));
        }
    }

    #[test]
    fn envoys_path_is_below_its_prefix() {
        assert!(read(Proxy::Envoy, "GET", "/elsewhere", &[]).is_err());
        assert_eq!(read(Proxy::Envoy, "GET", "/verify/envoys/x", &[]).as_deref(), Ok("GET s/x -"));
        // Whether it can be read in one way only is judged with the policy.
        let dots = read(Proxy::Envoy, "GET", "/verify/envoy/a/../b", &[]);
        assert_eq!(dots.as_deref(), Ok("GET /a/../b -"));
    }

    #[test]
    fn bytes_that_are_no_text_are_the_clients_doing_and_no_path() {
        let mut parts = asked("GET", "/verify", &[("x-original-method", "GET")]);
        let raw = http::HeaderValue::from_bytes(b"/mail/\xff?x").expect("a value");
        parts.headers.insert("x-original-uri", raw);
        let original = Original::read(Proxy::Nginx, &parts, PREFIX).expect("it is told");
        assert_eq!(original.path, "");
    }

    proptest! {
        #[test]
        fn what_a_client_adds_changes_nothing_that_the_proxy_says(
            name in "x-(original|forwarded|highwater|real)-(method|uri|url|host|proto|for)|forwarded|x-http-method-override",
            value in "[!-~]{0,12}", which in 0..3_usize
        ) {
            let proxy = [Proxy::Nginx, Proxy::Traefik, Proxy::Caddy][which];
            let own = match proxy {
                Proxy::Nginx => [("x-original-method", "POST"), ("x-original-uri", "/a"), ("x-original-host", "h")],
                _ => [("x-forwarded-method", "POST"), ("x-forwarded-uri", "/a"), ("x-forwarded-host", "h")],
            };
            let with = read(proxy, "GET", "/verify", &[&own[..], &[(name.as_str(), value.as_str())]].concat());
            // Either it is no header of this proxy's, or there are two of it now.
            prop_assert!(with.is_err() == own.iter().any(|(told, _)| *told == name));
            prop_assert!(with.is_err() || with.as_deref() == Ok("POST /a h"));
        }
    }
}
