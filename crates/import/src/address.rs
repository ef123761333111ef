use crate::Secret;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::path::PathBuf;
use url::{Host, ParseError, Url};

/// Where MySQL listens when nobody says otherwise.
const PORT: u16 = 3306;

/// Where a database of the field is, and as whom to ask it. Shown without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) password: Secret,
    pub(crate) tls: Tls,
}

/// Whether TLS is spoken with the database, and whom it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// It is not.
    #[default]
    Off,
    /// The system's authorities.
    System,
    /// The authorities in this file, PEM, and no others.
    Authorities(PathBuf),
}

/// A text that names no database of the field. It is not shown: it may have a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// No URL at all.
    #[error("it is no URL ({0}); write mysql://USER@HOST:PORT/DATABASE")]
    NoUrl(#[from] ParseError),
    /// Something else than MySQL.
    #[error(
        "it begins with {0}://; databases of MySQL and MariaDB are imported, by mysql://USER@HOST:PORT/DATABASE"
    )]
    Scheme(String),
    /// A part is missing.
    #[error("it names no {0}; write mysql://USER@HOST:PORT/DATABASE")]
    Lacks(&'static str),
    /// A user, a password or a database whose escapes are no UTF-8.
    #[error("the {0} in it is not UTF-8")]
    NotText(&'static str),
    /// Something after the database.
    #[error(
        "it goes on after the database (`?` or `#`); a character of that kind in a password is written %3F or %23, and TLS is asked for by --tls"
    )]
    GoesOn,
}

impl Address {
    /// Reads `mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE`; `mariadb://` is the same.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "mysql" | "mariadb") {
            return Err(InvalidAddress::Scheme(url.scheme().to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidAddress::GoesOn);
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(InvalidAddress::Lacks("host")),
        };
        let database = url.path().trim_start_matches('/');
        Ok(Self {
            host,
            port: url.port().unwrap_or(PORT),
            user: decoded(url.username(), "user")?.ok_or(InvalidAddress::Lacks("user"))?,
            database: decoded(database, "database")?.ok_or(InvalidAddress::Lacks("database"))?,
            password: decoded(url.password().unwrap_or_default(), "password")?
                .map(Secret::new)
                .unwrap_or_default(),
            tls: Tls::Off,
        })
    }

    /// With this password instead of its own.
    #[must_use]
    pub fn with_password(self, password: Secret) -> Self {
        Self { password, ..self }
    }

    /// With TLS, or without.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, database, .. } = self;
        if host.contains(':') {
            write!(f, "mysql://{user}@[{host}]:{port}/{database}")
        } else {
            write!(f, "mysql://{user}@{host}:{port}/{database}")
        }
    }
}

/// A part of a URL as it is meant; `None` when it is empty.
fn decoded(part: &str, what: &'static str) -> Result<Option<String>, InvalidAddress> {
    let text = percent_decode_str(part).decode_utf8().map_err(|_| InvalidAddress::NotText(what))?;
    Ok((!text.is_empty()).then(|| text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_shown_without_its_password() {
        for (text, shown, password) in [
            ("mysql://me:p%40ss@db.example/sync", "mysql://me@db.example:3306/sync", "p@ss"),
            ("mariadb://me@127.0.0.1:3307/sync", "mysql://me@127.0.0.1:3307/sync", ""),
            ("mysql://me@[::1]/sync", "mysql://me@[::1]:3306/sync", ""),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.to_string().as_str(), address.password.expose()), (shown, password));
            assert!(!format!("{address:?}").contains("p@ss"));
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_showing_it() {
        for (text, why) in [
            ("hunter2", "no URL"),
            ("postgres://me:hunter2@db/sync", "postgres://"),
            ("mysql://db:hunter2/sync", "no URL"),
            ("mysql://:hunter2@db/sync", "no user"),
            ("mysql://me:hunter2@db", "no database"),
            ("mysql://me:hunter2@/sync", "no URL"),
            ("mysql://me:hunter2@db/sync?ssl=1", "goes on"),
            ("mysql://me:%ffhunter2@db/sync", "password in it is not UTF-8"),
        ] {
            let error = Address::parse(text).expect_err(text).to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
