//! The configuration before it has types: a tree of values, each of which knows where it was written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value was written, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of a file.
    File {
        /// The file.
        path: Arc<Path>,
        /// Its line, from 1.
        line: usize,
    },
    /// An environment variable, by name.
    Environment(String),
    /// `--set KEY=VALUE` on the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(key) => write!(f, "--set {key}"),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// A value as it was written.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Quoted in a file: a string and nothing else.
    Text(String),
    /// Written where nothing can be quoted (environment, flag): it is what the setting's type says, and raw text for a
    /// string, so that a secret `0123` stays `0123`.
    Loose(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    pub(crate) fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// Puts a loose text at a path of keys and list indexes, over what is there. The error is the part of the path that
    /// cannot be: a key inside something that is no table, an index beyond the end of a list.
    pub(crate) fn put(&mut self, path: &[String], text: String, origin: Origin) -> Result<(), String> {
        let Some((key, rest)) = path.split_first() else {
            *self = Self::new(Value::Loose(text), origin);
            return Ok(());
        };
        self.child(key, &origin)?.put(rest, text, origin)
    }

    fn child(&mut self, key: &str, origin: &Origin) -> Result<&mut Self, String> {
        let new = || Self::new(Value::Table(BTreeMap::new()), origin.clone());
        match &mut self.value {
            Value::Table(table) => Ok(table.entry(key.to_owned()).or_insert_with(new)),
            Value::List(list) => {
                let length = list.len();
                let index = key.parse::<usize>().ok().filter(|index| *index <= length);
                let index = index.ok_or_else(|| format!("`{key}` is no entry of a list of {length}"))?;
                if index == length {
                    list.push(new());
                }
                Ok(&mut list[index])
            }
            _ => Err(format!("there is no `{key}` inside a plain value ({})", self.origin)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &mut Node, path: &str, text: &str) -> Result<(), String> {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        root.put(&path, text.to_owned(), Origin::Flag(String::new()))
    }

    fn empty() -> Node {
        Node::new(Value::Table(BTreeMap::new()), Origin::Flag(String::new()))
    }

    #[test]
    fn a_path_makes_the_tables_it_needs_and_the_last_word_wins() {
        let mut root = empty();
        put(&mut root, "store.url", "sqlite:a").expect("put");
        put(&mut root, "store.url", "sqlite:b").expect("put");
        let Value::Table(root) = root.value else { panic!("a table") };
        let Value::Table(store) = &root["store"].value else { panic!("a table") };
        assert!(matches!(&store["url"].value, Value::Loose(text) if text == "sqlite:b"));
    }

    #[test]
    fn a_list_is_reached_by_index_and_grows_by_one_at_its_end() {
        let mut root = Node::new(Value::List(vec![]), Origin::Flag(String::new()));
        put(&mut root, "0.issuer", "a").expect("the first");
        put(&mut root, "0.kind", "b").expect("the first again");
        assert!(put(&mut root, "2.kind", "c").is_err());
        assert!(put(&mut root, "x", "c").is_err());
    }

    #[test]
    fn a_plain_value_has_nothing_inside() {
        let mut root = empty();
        put(&mut root, "store", "x").expect("put");
        assert!(put(&mut root, "store.url", "y").is_err());
    }
}
