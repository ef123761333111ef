//! The source: a database of the field on MySQL or MariaDB, read and never written.

use crate::rows::{Found, Refusal, Row};
use crate::tables::{NODES, SERVICES, Table, USERS};
use crate::{Address, ImportError, Tls};
use mysql_async::prelude::{Queryable, StatementLike};
use mysql_async::{Conn, Error, OptsBuilder, Params, SslOpts, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::timeout;

/// How long the server may take to let us in, and to answer a part.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to count a table.
const PATIENCE_FOR_COUNTING: Duration = Duration::from_mins(10);
/// More columns than any schema of the field's has.
const MOST_COLUMNS: u32 = 1_000;

/// A connection to the source.
pub(crate) struct Field {
    connection: Conn,
    at: String,
}

/// What a first look at the source tells.
pub(crate) struct Looked {
    /// Columns that the field does not have.
    pub(crate) ignored: Vec<String>,
}

impl Field {
    pub(crate) async fn connect(address: &Address) -> Result<Self, ImportError> {
        let at = address.to_string();
        let options = OptsBuilder::default()
            .ip_or_hostname(&address.host)
            .tcp_port(address.port)
            .user(Some(&address.user))
            .pass((!address.password.is_empty()).then(|| address.password.expose()))
            .db_name(Some(&address.database))
            .prefer_socket(false)
            .ssl_opts(tls(&address.tls, &at)?);
        match timeout(PATIENCE, Conn::new(options)).await {
            Ok(Ok(connection)) => Ok(Self { connection, at }),
            Ok(Err(error)) => Err(explained(at, &error)),
            Err(_) => Err(ImportError::Unreachable { at, reason: "it did not answer in time".to_owned() }),
        }
    }

    /// Says goodbye.
    pub(crate) async fn leave(self) {
        // Whoever is gone needs no goodbye.
        let _ = timeout(PATIENCE, self.connection.disconnect()).await;
    }

    /// Whether the field's tables are there, with all their columns.
    pub(crate) async fn look(&mut self) -> Result<Looked, ImportError> {
        const COLUMNS: &str = "select lower(table_name), lower(column_name) from information_schema.columns
            where table_schema = database() and lower(table_name) in ('services', 'nodes', 'users') limit ?";
        let found: Vec<(String, String)> = self.ask(COLUMNS, vec![MOST_COLUMNS.into()], PATIENCE).await?;
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (table, column) in found {
            tables.entry(table).or_default().insert(column);
        }
        let other = |what| ImportError::OtherSchema { at: self.at.clone(), what };
        let mut ignored = Vec::new();
        for table in [&SERVICES, &NODES, &USERS] {
            let there =
                tables.get(table.name).ok_or_else(|| other(format!("it has no table `{}`", table.name)))?;
            let known: BTreeSet<&str> = table.columns.iter().map(|it| it.name).collect();
            if let Some(lacks) = known.iter().find(|name| !there.contains(**name)) {
                return Err(other(format!("its table `{}` has no column `{lacks}`", table.name)));
            }
            let more = there.iter().filter(|name| !known.contains(name.as_str()));
            ignored.extend(more.map(|name| format!("{}.{name}", table.name)));
        }
        Ok(Looked { ignored })
    }

    pub(crate) async fn count(&mut self, table: &'static Table) -> Result<u64, ImportError> {
        let text = format!("select count(*) from {}", table.name);
        let counted: Vec<u64> = self.ask(text, Vec::new(), PATIENCE_FOR_COUNTING).await?;
        Ok(counted.first().copied().unwrap_or_default())
    }

    /// The last number that the server has given to a row of this table, as far as it tells: rows with it may be gone.
    pub(crate) async fn last_number(&mut self, table: &'static Table) -> Result<i64, ImportError> {
        let text = format!("show create table {}", table.name);
        let made: Vec<(String, String)> = self.ask(text, Vec::new(), PATIENCE).await?;
        Ok(made.first().map_or(0, |(_, made)| number_in(made)))
    }

    /// The rows after a key, so many at most, each as the house holds it, or why it cannot.
    pub(crate) async fn after(
        &mut self,
        table: &'static Table,
        key: i64,
        most: usize,
    ) -> Result<Vec<Result<Row, Refusal>>, ImportError> {
        let columns: Vec<String> = table.columns.iter().map(|it| format!("`{}`", it.name)).collect();
        let name = table.key();
        let text = format!(
            "select {} from `{}` where `{name}` > ? order by `{name}` limit ?",
            columns.join(", "),
            table.name
        );
        let rows: Vec<mysql_async::Row> =
            self.ask(text, vec![key.into(), (most as u64).into()], PATIENCE).await?;
        Ok(rows
            .into_iter()
            .map(|row| Row::of(table, row.unwrap_raw().into_iter().map(found).collect()))
            .collect())
    }

    async fn ask<T: mysql_async::prelude::FromRow + Send + 'static>(
        &mut self,
        text: impl StatementLike,
        params: Vec<Value>,
        patience: Duration,
    ) -> Result<Vec<T>, ImportError> {
        let params = if params.is_empty() { Params::Empty } else { Params::Positional(params) };
        match timeout(patience, self.connection.exec(text, params)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(explained(self.at.clone(), &error)),
            Err(_) => Err(ImportError::Unreachable {
                at: self.at.clone(),
                reason: format!("it did not answer within {} s", patience.as_secs()),
            }),
        }
    }
}

/// What the driver found in a column. It hands over what it has read; a column it did not read is none.
fn found(value: Option<Value>) -> Found {
    match value.unwrap_or(Value::NULL) {
        Value::NULL => Found::Null,
        Value::Int(number) => Found::Int(i128::from(number)),
        Value::UInt(number) => Found::Int(i128::from(number)),
        Value::Bytes(bytes) => Found::Bytes(bytes),
        _ => Found::Other,
    }
}

/// One less than the number at `AUTO_INCREMENT=`, where the table's definition has one.
fn number_in(definition: &str) -> i64 {
    let after = definition.rsplit_once("AUTO_INCREMENT=").map_or("", |(_, after)| after);
    let digits = after.split(|it: char| !it.is_ascii_digit()).next().unwrap_or_default();
    digits.parse::<i64>().map_or(0, |next| next - 1)
}

fn tls(tls: &Tls, at: &str) -> Result<Option<SslOpts>, ImportError> {
    let roots = match tls {
        Tls::Off => return Ok(None),
        Tls::System => {
            rustls_native_certs::load_native_certs().certs.iter().map(|it| it.to_vec().into()).collect()
        }
        Tls::Authorities(file) => {
            let read = std::fs::read(file).map_err(|error| ImportError::Unreachable {
                at: at.to_owned(),
                reason: format!("{} cannot be read: {error}", file.display()),
            })?;
            vec![read.into()]
        }
    };
    Ok(Some(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(roots)))
}

/// The server's refusals by their numbers (MySQL's and MariaDB's are the same): who may come in; which database there is.
fn explained(at: String, error: &Error) -> ImportError {
    match error {
        Error::Server(said) if matches!(said.code, 1044 | 1045 | 1130 | 1251 | 1698 | 3118 | 3159) => {
            ImportError::Denied { at, reason: said.message.clone() }
        }
        Error::Server(said) if said.code == 1049 => {
            ImportError::OtherSchema { at, what: "there is no such database".to_owned() }
        }
        Error::Server(said) => {
            ImportError::Source { at, reason: format!("{} ({})", said.message, said.code) }
        }
        other => ImportError::Unreachable { at, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_read_from_the_tables_definition() {
        for (definition, last) in [
            ("CREATE TABLE `users` (…) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8", 3),
            ("CREATE TABLE `users` (…) ENGINE=InnoDB DEFAULT CHARSET=utf8", 0),
            ("AUTO_INCREMENT=99999999999999999999", 0),
        ] {
            assert_eq!(number_in(definition), last);
        }
    }
}
