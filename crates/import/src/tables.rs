//! The field's three tables: what is copied, and what the house can hold of it.

use store::Sql;

/// A table, with its key as the first column.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    pub(crate) statements: Statements,
}

/// A column: its name, what may be in it, whether it may be null.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) is_nullable: bool,
}

/// What may be in a column, on the narrower of the two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number of 32 bits.
    Int,
    /// A number of 64 bits.
    BigInt,
    /// A text of so many characters at most.
    Text(usize),
}

/// How a table is read and written here.
#[derive(Debug)]
pub(crate) struct Statements {
    /// A set of rows.
    pub(crate) insert: &'static Sql,
    /// The rows after a key, so many at most.
    pub(crate) after: &'static Sql,
    /// The rows of a set of keys.
    pub(crate) remove: &'static Sql,
    /// Sees to it that the next number given is above this one.
    pub(crate) number: &'static Sql,
}

impl Table {
    /// The name of its key.
    pub(crate) fn key(&self) -> &'static str {
        self.columns[0].name
    }
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_nullable: false }
}

const fn nullable(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_nullable: true }
}

pub(crate) static SERVICES: Table = Table {
    name: "services",
    columns: &[
        column("id", Kind::Int),
        nullable("service", Kind::Text(30)),
        nullable("pattern", Kind::Text(128)),
    ],
    statements: Statements {
        insert: &crate::store::INSERT_SERVICES,
        after: &crate::store::SERVICES_AFTER,
        remove: &crate::store::REMOVE_SERVICES,
        number: &crate::store::NUMBER_SERVICES,
    },
};

pub(crate) static NODES: Table = Table {
    name: "nodes",
    columns: &[
        column("id", Kind::BigInt),
        column("service", Kind::Int),
        column("node", Kind::Text(64)),
        column("available", Kind::Int),
        column("current_load", Kind::Int),
        column("capacity", Kind::Int),
        column("downed", Kind::Int),
        column("backoff", Kind::Int),
    ],
    statements: Statements {
        insert: &crate::store::INSERT_NODES,
        after: &crate::store::NODES_AFTER,
        remove: &crate::store::REMOVE_NODES,
        number: &crate::store::NUMBER_NODES,
    },
};

pub(crate) static USERS: Table = Table {
    name: "users",
    columns: &[
        column("uid", Kind::BigInt),
        column("service", Kind::Int),
        column("email", Kind::Text(255)),
        column("generation", Kind::BigInt),
        column("client_state", Kind::Text(32)),
        column("created_at", Kind::BigInt),
        nullable("replaced_at", Kind::BigInt),
        column("nodeid", Kind::BigInt),
        nullable("keys_changed_at", Kind::BigInt),
    ],
    statements: Statements {
        insert: &crate::store::INSERT_USERS,
        after: &crate::store::USERS_AFTER,
        remove: &crate::store::REMOVE_USERS,
        number: &crate::store::NUMBER_USERS,
    },
};
