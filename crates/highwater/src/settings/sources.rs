//! Where the configuration is written: a TOML file, the environment, flags. The later one wins, setting by setting.

use super::error::SettingsError;
use super::tree::{Node, Origin, Value};
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// The prefix of the environment's settings; sections and keys follow, two underscores between them.
const PREFIX: &str = "HIGHWATER__";
/// The file's name in the folders that are searched.
const FILE_NAME: &str = "highwater.toml";

/// What was found: the tree, and the file it began with.
pub(crate) struct Gathered {
    pub(crate) tree: Node,
    pub(crate) file: Option<PathBuf>,
}

/// Reads the named file, or the first that exists of `./highwater.toml`, `$XDG_CONFIG_HOME/highwater/highwater.toml`
/// and `/etc/highwater/highwater.toml`; then the environment; then the flags (`section.key=value`).
pub(crate) fn gather(named: Option<&Path>, flags: &[String]) -> Result<Gathered, SettingsError> {
    let file = named.map(Path::to_owned).or_else(find_file);
    let mut tree = match &file {
        Some(path) => read_file(path)?,
        None => Node::new(Value::Table(BTreeMap::new()), Origin::Flag("defaults".to_owned())),
    };
    put_environment(&mut tree, env::vars_os())?;
    put_flags(&mut tree, flags)?;
    Ok(Gathered { tree, file })
}

fn find_file() -> Option<PathBuf> {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let user = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
    let user = user.map(|folder| folder.join("highwater").join(FILE_NAME));
    let places = [Some(PathBuf::from(FILE_NAME)), user, Some(Path::new("/etc/highwater").join(FILE_NAME))];
    places.into_iter().flatten().find(|path| path.is_file())
}

fn read_file(path: &Path) -> Result<Node, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| SettingsError::new(format!("{} could not be read: {error}", path.display())))?;
    parse(&text, path)
}

/// The tree of a TOML text; `path` is only for messages.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Node, SettingsError> {
    let place = Place { text, path: Arc::from(path) };
    let table = DeTable::parse(text).map_err(|error| {
        let at = place.origin(error.span().map_or(0, |span| span.start));
        SettingsError::new(format!("this is not TOML: {}", error.message())).written_at(&at)
    })?;
    place.table(table.get_ref(), place.origin(0))
}

/// The text that offsets point into.
struct Place<'a> {
    text: &'a str,
    path: Arc<Path>,
}

impl Place<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let line = 1 + self.text.get(..offset).unwrap_or(self.text).matches('\n').count();
        Origin::File { path: self.path.clone(), line }
    }

    fn table(&self, table: &DeTable<'_>, origin: Origin) -> Result<Node, SettingsError> {
        let entries = table.iter().map(|(key, value)| {
            let origin = self.origin(key.span().start);
            Ok((key.get_ref().to_string(), self.node(value.get_ref(), origin)?))
        });
        Ok(Node::new(Value::Table(entries.collect::<Result<_, _>>()?), origin))
    }

    fn node(&self, value: &DeValue<'_>, origin: Origin) -> Result<Node, SettingsError> {
        let out_of_range = || SettingsError::new("this number is too large").written_at(&origin);
        let value = match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Datetime(moment) => Value::Text(moment.to_string()),
            DeValue::Float(number) => Value::Float(number.as_str().parse().map_err(|_| out_of_range())?),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                Value::Integer(number.map_err(|_| out_of_range())?)
            }
            DeValue::Array(list) => {
                let items = list.iter().map(|item| self.node(item.get_ref(), self.origin(item.span().start)));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => return self.table(table, origin),
        };
        Ok(Node::new(value, origin))
    }
}

type Variable = (std::ffi::OsString, std::ffi::OsString);

/// Lays `HIGHWATER__SECTION__KEY` variables over the tree, in the order of their names.
fn put_environment(tree: &mut Node, variables: impl Iterator<Item = Variable>) -> Result<(), SettingsError> {
    let named = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours: BTreeMap<String, std::ffi::OsString> =
        named.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    for (name, value) in ours {
        let origin = Origin::Environment(name.clone());
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        let text = value
            .into_string()
            .map_err(|_| SettingsError::new("the value is not UTF-8").written_at(&origin))?;
        tree.put(&path, text, origin.clone()).map_err(|why| SettingsError::new(why).written_at(&origin))?;
    }
    Ok(())
}

/// Lays `section.key=value` flags over the tree, in their order.
fn put_flags(tree: &mut Node, flags: &[String]) -> Result<(), SettingsError> {
    for flag in flags {
        let (key, text) = flag
            .split_once('=')
            .ok_or_else(|| SettingsError::new(format!("--set {flag}: write it as section.key=value")))?;
        let origin = Origin::Flag(key.to_owned());
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        tree.put(&path, text.to_owned(), origin.clone())
            .map_err(|why| SettingsError::new(why).written_at(&origin))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::reader::read;
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Toy {
        secret: String,
        #[serde(default)]
        ports: Vec<u16>,
        #[serde(default)]
        mode: Option<Mode>,
        #[serde(default)]
        idp: Vec<Inner>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Quick,
        Thorough,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        name: String,
        #[serde(default)]
        on: bool,
    }

    fn toy(text: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Toy, String> {
        let mut tree = parse(text, Path::new("toy.toml")).map_err(|error| error.to_string())?;
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        put_environment(&mut tree, environment).map_err(|error| error.to_string())?;
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        put_flags(&mut tree, &flags).map_err(|error| error.to_string())?;
        read(tree).map_err(|error| error.to_string())
    }

    #[test]
    fn strings_stay_strings_wherever_they_are_written() {
        for written in ["0123", "12e3", "true", "[1]", "1,2", " x ", "0x10", ""] {
            let quoted = toy(&format!("secret = '{written}'"), &[], &[]).expect("a file");
            let environment = toy("", &[("HIGHWATER__SECRET", written)], &[]).expect("the environment");
            let flag = toy("", &[], &[&format!("secret={written}")]).expect("a flag");
            assert_eq!([quoted.secret, environment.secret, flag.secret], [written; 3]);
        }
    }

    #[test]
    fn a_number_where_a_string_belongs_is_refused_and_not_rewritten() {
        let error = toy("\nsecret = 123", &[], &[]).expect_err("a number");
        assert_eq!(error, "toy.toml:2: secret: invalid type: integer `123`, expected a string");
    }

    #[test]
    fn the_environment_wins_over_the_file_and_a_flag_over_both() {
        let both = toy("secret = 'file'", &[("HIGHWATER__SECRET", "environment")], &[]).expect("two");
        assert_eq!(both.secret, "environment");
        let all =
            toy("secret = 'file'", &[("HIGHWATER__SECRET", "environment")], &["secret=flag"]).expect("three");
        assert_eq!(all.secret, "flag");
    }

    #[test]
    fn loose_texts_become_what_the_setting_wants() {
        let environment = [
            ("HIGHWATER__SECRET", "s"),
            ("HIGHWATER__PORTS", "1, 2"),
            ("HIGHWATER__MODE", "quick"),
            ("HIGHWATER__IDP__0__NAME", "007"),
            ("HIGHWATER__IDP__0__ON", "true"),
        ];
        let idp = vec![Inner { name: "007".to_owned(), on: true }];
        let wanted = Toy { secret: "s".to_owned(), ports: vec![1, 2], mode: Some(Mode::Quick), idp };
        assert_eq!(toy("", &environment, &[]).expect("readable"), wanted);
    }

    #[test]
    fn an_entry_of_a_list_in_the_file_can_be_changed_from_outside() {
        let text = "secret = 's'\n[[idp]]\nname = 'a'\n";
        let read = toy(text, &[("HIGHWATER__IDP__0__ON", "true")], &[]).expect("readable");
        assert_eq!(read.idp, [Inner { name: "a".to_owned(), on: true }]);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_a_suggestion() {
        let in_file = toy("secret = 's'\n[[idp]]\nnmae = 'a'\n", &[], &[]).expect_err("unknown");
        assert_eq!(in_file, "toy.toml:3: idp.0: unknown key `nmae`; did you mean `name`?");
        let outside = toy("secret = 's'", &[("HIGHWATER__PROTS", "1")], &[]).expect_err("unknown");
        assert_eq!(
            outside,
            "environment variable HIGHWATER__PROTS: unknown key `prots`; did you mean `ports`?"
        );
    }

    #[test]
    fn a_wrong_word_a_wrong_number_and_a_missing_key_say_so() {
        let word = toy("secret = 's'\nmode = 'quik'", &[], &[]).expect_err("a wrong word");
        assert_eq!(word, "toy.toml:2: mode: unknown word `quik`; did you mean `quick`?");
        let number = toy("secret = 's'", &[("HIGHWATER__PORTS", "1,x")], &[]).expect_err("no number");
        assert_eq!(
            number,
            "environment variable HIGHWATER__PORTS: ports.1: `x` is not what is wanted here (u16)"
        );
        assert_eq!(toy("", &[], &[]).expect_err("missing"), "toy.toml:1: `secret` is missing");
    }

    #[test]
    fn a_broken_file_is_reported_with_its_line() {
        let error = toy("secret = 's'\n[idp\n", &[], &[]).expect_err("broken");
        assert!(error.starts_with("toy.toml:2: this is not TOML:"), "{error}");
    }
}
