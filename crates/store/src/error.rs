use tokio_postgres::error::SqlState;

/// What can go wrong with a store, by what the caller can do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or has no room just now. Nothing was changed: try again later.
    #[error("the store cannot be reached: {reason}")]
    Unavailable {
        /// What was tried and what came of it.
        reason: String,
    },
    /// It may only be read just now (a failover, a server that protects itself). Nothing was changed: try again later.
    #[error("the store can only be read just now: {reason}")]
    ReadOnly {
        /// What the engine said.
        reason: String,
    },
    /// The connection was lost before a commit was sent. Nothing was changed; the store tried again already.
    #[error("the connection to the store was lost: {reason}")]
    Lost {
        /// What the engine said.
        reason: String,
    },
    /// A prepared statement no longer fits the schema, even prepared anew.
    #[error("the schema moved under a prepared statement: {reason}")]
    Stale {
        /// What the engine said.
        reason: String,
    },
    /// The transaction was dropped before its commit (full disk, an interrupt). Nothing was changed.
    #[error("the transaction was not committed: {reason}")]
    NotCommitted {
        /// What the engine said.
        reason: String,
    },
    /// The commit was sent and never answered: it may have happened or not. An operation with an idempotency key
    /// finds out by running again.
    #[error("the outcome of the commit is unknown: {reason}")]
    Unknown {
        /// What the engine said.
        reason: String,
    },
    /// Others kept getting in the way, through every retry. Nothing was changed: try again.
    #[error("the transaction lost to others {attempts} times over: {reason}")]
    Conflict {
        /// How often it was tried.
        attempts: u32,
        /// What the engine said.
        reason: String,
    },
    /// A row with that key is there already.
    #[error("already there: {reason}")]
    Duplicate {
        /// Which key.
        reason: String,
    },
    /// The engine will never take these values.
    #[error("the store refuses the value: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// Another process owns the SQLite file.
    #[error("{path} is in use by another process; commands reach it through that process's admin socket")]
    Owned {
        /// The database file.
        path: String,
    },
    /// The statement does not fit the database: migrations missing, or a defect of ours.
    #[error("the statement failed: {reason}")]
    Statement {
        /// What the engine said.
        reason: String,
    },
    /// The operation panicked; it was undone.
    #[error("the operation {operation} panicked: {reason}")]
    Panicked {
        /// Its name.
        operation: &'static str,
        /// The panic's message.
        reason: String,
    },
    /// The operation itself asked to be undone.
    #[error("{0}")]
    Undone(&'static str),
}

impl StoreError {
    /// Whether waiting may mend it, that is: an outage, which a caller answers with 503 and never with a verdict.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::ReadOnly { .. }
                | Self::Lost { .. }
                | Self::Stale { .. }
                | Self::NotCommitted { .. }
                | Self::Unknown { .. }
                | Self::Conflict { .. }
        )
    }

    /// From what `catch_unwind` caught.
    pub fn panicked(operation: &'static str, panic: &(dyn std::any::Any + Send)) -> Self {
        let reason = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".into());
        Self::Panicked { operation, reason }
    }

    pub(crate) fn unavailable(reason: impl std::fmt::Display) -> Self {
        Self::Unavailable { reason: reason.to_string() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let reason = error.to_string();
        let Some(failure) = error.sqlite_error() else { return Self::Statement { reason } };
        match failure.code {
            Code::DiskFull | Code::SystemIoFailure | Code::OutOfMemory | Code::OperationInterrupted => {
                Self::NotCommitted { reason }
            }
            // A scan that writes: SQLITE_READONLY itself. (Its extended codes are about the file.)
            Code::ReadOnly if failure.extended_code == 8 => Self::Statement { reason },
            Code::DatabaseBusy | Code::DatabaseLocked | Code::CannotOpen | Code::ReadOnly => {
                Self::Unavailable { reason }
            }
            // SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE
            Code::ConstraintViolation if matches!(failure.extended_code, 1555 | 2067) => {
                Self::Duplicate { reason }
            }
            Code::ConstraintViolation | Code::TooBig | Code::TypeMismatch => Self::Refused { reason },
            _ => Self::Statement { reason },
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let reason = said_by(&error);
        let Some(state) = error.code() else {
            return if error.is_closed() || is_transport(&error) {
                Self::Lost { reason }
            } else {
                Self::Statement { reason }
            };
        };
        match state.code().get(..2) {
            _ if *state == SqlState::UNIQUE_VIOLATION => Self::Duplicate { reason },
            _ if *state == SqlState::T_R_SERIALIZATION_FAILURE
                || *state == SqlState::T_R_DEADLOCK_DETECTED =>
            {
                Self::Conflict { attempts: 1, reason }
            }
            _ if *state == SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly { reason },
            _ if matches!(state.code(), "0A000" | "26000") => Self::Stale { reason },
            _ if matches!(state.code(), "57P01" | "57P02" | "57P03" | "25P03") => Self::Lost { reason },
            // connection exception, insufficient resources, operator intervention (shutdown, cancel), system error,
            // authorisation: somebody must mend it, and until then it is an outage
            Some("08" | "28" | "53" | "55" | "57" | "58") => Self::Unavailable { reason },
            // data exception, integrity constraint
            Some("22" | "23") => Self::Refused { reason },
            _ => Self::Statement { reason },
        }
    }
}

/// An error of the driver that is about the connection, not about a value or a statement. It tells its kinds apart
/// only in words.
fn is_transport(error: &tokio_postgres::Error) -> bool {
    const WORDS: [&str; 5] = [
        "error communicating with the server",
        "error connecting to server",
        "error performing TLS handshake",
        "timeout waiting for server",
        "unexpected message from server",
    ];
    let said = error.to_string();
    WORDS.iter().any(|words| said.starts_with(words))
}

fn said_by(error: &tokio_postgres::Error) -> String {
    use std::error::Error;
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => {
                Self::unavailable(format!("no connection: {}", said_by(&error)))
            }
            deadpool_postgres::PoolError::Timeout(_) => Self::unavailable(
                "no connection became free in time; raise store.pool_size or look for slow transactions",
            ),
            other => Self::unavailable(other),
        }
    }
}
