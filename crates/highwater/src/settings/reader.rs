//! From the tree to the settings' own types: a serde deserializer that knows where each value was written.
//!
//! A loose text (environment, flag) becomes what the type asks for; a quoted string stays a string, whatever it looks
//! like. Errors carry the path and the origin outward.

use super::error::SettingsError;
use super::tree::{Node, Origin, Value};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::collections::btree_map;

type Result<T> = std::result::Result<T, SettingsError>;

/// Reads a whole value.
pub(crate) fn read<T: de::DeserializeOwned>(node: Node) -> Result<T> {
    T::deserialize(node)
}

/// A loose text, taken for a number or a truth when the type wants one.
macro_rules! loosely {
    ($($method:ident => $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match &self.value {
                Value::Loose(text) => match text.trim().parse::<$type>() {
                    Ok(value) => value.into_deserializer().$method(visitor),
                    Err(_) => Err(SettingsError::new(format!("`{text}` is not what is wanted here ({})", stringify!($type)))),
                }
                .map_err(|error: SettingsError| error.written_at(&self.origin)),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node {
    type Error = SettingsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let Self { value, origin } = self;
        let read = match value {
            Value::Text(text) | Value::Loose(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Bool(truth) => visitor.visit_bool(truth),
            Value::List(list) => visitor.visit_seq(Items { rest: list.into_iter().enumerate() }),
            Value::Table(table) => return read_table(table, &origin, visitor),
        };
        read.map_err(|error| error.written_at(&origin))
    }

    loosely!(
        deserialize_bool => bool, deserialize_f32 => f32, deserialize_f64 => f64,
        deserialize_i8 => i8, deserialize_i16 => i16, deserialize_i32 => i32, deserialize_i64 => i64,
        deserialize_u8 => u8, deserialize_u16 => u16, deserialize_u32 => u32, deserialize_u64 => u64
    );

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    /// A loose text is a list with commas between its entries; entries numbered one by one are a list too.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let origin = self.origin;
        let value = match self.value {
            Value::Loose(text) => Value::List(entries(&text, &origin)),
            Value::Table(table) if is_numbered(&table) => Value::List(table.into_values().collect()),
            other => other,
        };
        Self { value, origin }.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let origin = self.origin;
        let read = match self.value {
            Value::Text(word) | Value::Loose(word) => {
                StrDeserializer::new(&word).deserialize_enum(name, variants, visitor)
            }
            Value::Table(table) => {
                MapAccessDeserializer::new(Entries::new(table)).deserialize_enum(name, variants, visitor)
            }
            _ => Err(SettingsError::new(format!("one of these words is wanted: {}", variants.join(", ")))),
        };
        read.map_err(|error: SettingsError| error.written_at(&origin))
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

/// A table; an unknown key in it is reported where that key stands.
fn read_table<'de, V: Visitor<'de>>(
    table: btree_map::BTreeMap<String, Node>,
    origin: &Origin,
    visitor: V,
) -> Result<V::Value> {
    let origins: Vec<(String, Origin)> =
        table.iter().map(|(key, node)| (key.clone(), node.origin.clone())).collect();
    visitor.visit_map(Entries::new(table)).map_err(|mut error| {
        let stray = error.take_stray();
        let there = stray.and_then(|key| origins.into_iter().find(|(name, _)| *name == key));
        error.written_at(&there.map_or_else(|| origin.clone(), |(_, origin)| origin))
    })
}

fn entries(text: &str, origin: &Origin) -> Vec<Node> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| Node::new(Value::Loose(entry.to_owned()), origin.clone())).collect()
}

/// `0`, `1`, … without a gap, as the environment writes a list.
fn is_numbered(table: &btree_map::BTreeMap<String, Node>) -> bool {
    !table.is_empty() && (0..table.len()).all(|index| table.contains_key(&index.to_string()))
}

struct Items {
    rest: std::iter::Enumerate<std::vec::IntoIter<Node>>,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = SettingsError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some((index, node)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|error| error.inside(index.to_string()))
    }
}

struct Entries {
    rest: btree_map::IntoIter<String, Node>,
    next: Option<(String, Node)>,
}

impl Entries {
    fn new(table: btree_map::BTreeMap<String, Node>) -> Self {
        Self { rest: table.into_iter(), next: None }
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = SettingsError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some((key, node)) = self.rest.next() else { return Ok(None) };
        let name = seed.deserialize(StrDeserializer::new(&key));
        self.next = Some((key, node));
        name.map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        let (key, node) = self.next.take().expect("serde asks for a value after its key");
        seed.deserialize(node).map_err(|error| error.inside(key))
    }
}
