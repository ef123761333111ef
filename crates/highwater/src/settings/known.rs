//! Which keys the settings' types know, found by asking the types themselves: a deserializer that only listens.
//!
//! It is led to one place at a time and hears what serde asks for there: a struct tells its fields, a list its entries,
//! everything else is a setting.

use super::error::SettingsError;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::cell::Cell;
use std::collections::BTreeSet;

/// The entries of a list, in a path.
const ENTRY: &str = "*";

/// Every setting of a type, by its path: `store.url`, `idp.*.id`. A list of plain values is one setting.
pub(crate) fn known_keys<T: DeserializeOwned>() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut ahead = vec![Vec::new()];
    while let Some(path) = ahead.pop() {
        let heard = Cell::new(Heard::Setting);
        // It always ends in an error: there is nothing to read.
        let _ = T::deserialize(Listener { path: &path, heard: &heard });
        let into = |key: &'static str| path.iter().copied().chain([key]).collect();
        match heard.get() {
            Heard::Fields(fields) => ahead.extend(fields.iter().copied().map(into)),
            Heard::List => ahead.push(into(ENTRY)),
            Heard::Setting => {
                keys.insert(path.strip_suffix(&[ENTRY]).unwrap_or(&path).join("."));
            }
        }
    }
    keys
}

/// What was asked for at the place.
#[derive(Clone, Copy)]
enum Heard {
    Fields(&'static [&'static str]),
    List,
    Setting,
}

#[derive(Clone, Copy)]
struct Listener<'a> {
    /// What is left of the way.
    path: &'a [&'static str],
    heard: &'a Cell<Heard>,
}

impl Listener<'_> {
    fn hear<T>(self, heard: Heard) -> Result<T, SettingsError> {
        self.heard.set(heard);
        Err(SettingsError::new("heard"))
    }
}

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = SettingsError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, SettingsError> {
        self.hear(Heard::Setting)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, SettingsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        if self.path.is_empty() { self.hear(Heard::List) } else { visitor.visit_seq(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SettingsError> {
        if self.path.is_empty() { self.hear(Heard::Fields(fields)) } else { visitor.visit_map(self) }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// One field: the next on the way.
impl<'de> MapAccess<'de> for Listener<'_> {
    type Error = SettingsError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, SettingsError> {
        seed.deserialize(StrDeserializer::new(self.path[0])).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, SettingsError> {
        seed.deserialize(Listener { path: &self.path[1..], heard: self.heard })
    }
}

/// One entry.
impl<'de> SeqAccess<'de> for Listener<'_> {
    type Error = SettingsError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, SettingsError> {
        seed.deserialize(Listener { path: &self.path[1..], heard: self.heard }).map(Some)
    }
}

/// The template against the types: neither may know what the other does not.
mod tests {
    use super::known_keys;
    use crate::commands::init::TEMPLATE;
    use crate::settings::tree::{Node, Value};
    use crate::settings::{Settings, reader, sources};
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Lines behind this show a default.
    const DEFAULT: &str = "# ";
    /// Lines behind this show an example.
    const EXAMPLE: &str = "#: ";

    fn is_toml(line: &str) -> bool {
        let is_key =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'));
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.is_empty() && is_key(key))
    }

    /// The template with what is behind these marks switched on, and its blanks filled.
    fn template(marks: &[&str]) -> String {
        let lines = TEMPLATE.lines().map(|line| {
            let bare = marks.iter().find_map(|mark| line.strip_prefix(mark));
            bare.filter(|bare| is_toml(bare)).unwrap_or(line)
        });
        let secret = keys::RootKey::generate().reveal();
        let text = lines.collect::<Vec<_>>().join("\n");
        text.replace("{{root_key}}", &secret).replace("{{shared_secret}}", &secret)
    }

    fn tree(text: &str) -> Node {
        sources::parse(text, Path::new("template")).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is written; a table whose keys are the operator's own is one setting.
    fn paths(node: &Node, at: &str, known: &BTreeSet<String>, found: &mut BTreeSet<String>) {
        let inside = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
        match &node.value {
            Value::Table(_) if known.contains(at) => {
                found.insert(at.to_owned());
            }
            Value::Table(table) => {
                for (key, node) in table {
                    paths(node, &inside(key), known, found);
                }
            }
            Value::List(list) if list.iter().any(|it| matches!(it.value, Value::Table(_))) => {
                for node in list {
                    paths(node, &inside("*"), known, found);
                }
            }
            _ => {
                found.insert(at.to_owned());
            }
        }
    }

    fn read(text: &str) -> Settings {
        reader::read(tree(text)).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_template_has_every_setting_and_no_other() {
        let mut written = BTreeSet::new();
        let known = known_keys::<Settings>();
        paths(&tree(&template(&[DEFAULT, EXAMPLE])), "", &known, &mut written);
        let missing: Vec<_> = known.difference(&written).collect();
        let unknown: Vec<_> = written.difference(&known).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
    }

    #[test]
    fn every_line_of_the_template_can_be_switched_on() {
        read(&template(&[DEFAULT, EXAMPLE]));
    }

    #[test]
    fn what_the_template_calls_a_default_is_one() {
        let shown = |settings: &Settings| format!("{settings:#?}");
        assert_eq!(shown(&read(&template(&[DEFAULT]))), shown(&read(&template(&[]))));
    }

    #[test]
    fn the_keys_of_a_type_are_found() {
        #[derive(serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        struct Outer {
            plain: u8,
            words: Vec<String>,
            inner: Option<Inner>,
            list: Vec<Inner>,
        }
        #[derive(serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        struct Inner {
            deep: bool,
        }
        let found: Vec<String> = known_keys::<Outer>().into_iter().collect();
        assert_eq!(found, ["inner.deep", "list.*.deep", "plain", "words"]);
    }
}
