//! How answers look: as JSON just as they are, or as tables for people.

use crate::moment::date;
use account::Millis;
use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::Value;
use std::io::{self, Write};

/// Prints to standard output. A reader that went away (`| head`) is no error.
pub(crate) fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// An answer, in both ways it can be shown.
pub(crate) struct Shown {
    json: Value,
    text: String,
    /// What was not done of what was asked.
    but: Option<String>,
}

impl Shown {
    /// With one more line for people.
    pub(crate) fn and(mut self, line: &str) -> Self {
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text.push_str(line);
        self
    }

    /// The answer as it came, and for people.
    pub(crate) fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into(), but: None }
    }

    /// Not all that was asked was done: it is shown, and the command fails with this.
    pub(crate) fn but(self, why: impl Into<String>) -> Self {
        Self { but: Some(why.into()), ..self }
    }

    /// Prints it the way that was asked for.
    pub(crate) fn print(&self, as_json: bool) -> Result<()> {
        if as_json { say(&serde_json::to_string_pretty(&self.json)?) } else { say(&self.text) }?;
        match &self.but {
            Some(why) => bail!("{why}"),
            None => Ok(()),
        }
    }
}

/// A choice of the command line, as it is typed: what the API calls it too.
pub(crate) fn word(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |it| it.get_name().to_owned())
}

/// The rows of an answer that is a list.
pub(crate) fn rows(answer: &Value) -> &[Value] {
    answer.as_array().map_or(&[], Vec::as_slice)
}

/// A row with its event's short name as `event`, for a table: the last part of its URI.
pub(crate) fn with_event_name(row: &Value) -> Value {
    let mut row = row.clone();
    let name = row["event_type"].as_str().and_then(|uri| uri.rsplit('/').next()).map(str::to_owned);
    row["event"] = name.into();
    row
}

/// A column: its heading, and the member of each row it shows; `a.b` is the member `b` of the member `a`.
pub(crate) type Column = (&'static str, &'static str);

/// Rows as a table, columns aligned, a heading above; `nothing` when there are none.
pub(crate) fn table(rows: &[Value], columns: &[Column], nothing: &str) -> String {
    if rows.is_empty() {
        return nothing.to_owned();
    }
    let heading = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let cells = rows.iter().map(|row| columns.iter().map(|(_, member)| cell(row, member)).collect());
    aligned(&std::iter::once(heading).chain(cells).collect::<Vec<Vec<String>>>())
}

/// One thing, a line for each of its members.
pub(crate) fn card(thing: &Value, members: &[Column]) -> String {
    let lines = members.iter().map(|(heading, member)| vec![format!("{heading}:"), cell(thing, member)]);
    aligned(&lines.collect::<Vec<_>>())
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|it| it.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A member as text: moments (`…_at`, `…_since`) as dates, lists joined, what is absent as a dash.
fn cell(row: &Value, member: &str) -> String {
    match member.split('.').try_fold(row, |value, key| value.get(key)).unwrap_or(&Value::Null) {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        Value::Number(number) if is_moment(member) => {
            number.as_i64().map_or_else(|| number.to_string(), |moment| date(Millis::new(moment)))
        }
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list
            .iter()
            .map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}

fn is_moment(member: &str) -> bool {
    let member = member.rsplit('.').next().unwrap_or(member);
    matches!(member, "at" | "mark") || member.ends_with("_at") || member.ends_with("_since")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_aligned_and_shows_what_is_absent_as_a_dash() {
        let rows = [
            json!({"id": 1, "name": "console", "scopes": [], "revoked_at": null}),
            json!({"id": 12, "name": "é", "scopes": ["a", "b"], "revoked_at": 1}),
        ];
        let columns = [("ID", "id"), ("NAME", "name"), ("SCOPES", "scopes"), ("REVOKED", "revoked_at")];
        assert_eq!(
            table(&rows, &columns, "none"),
            "ID  NAME     SCOPES  REVOKED\n1   console  -       -\n12  é        a b     1970-01-01T00:00:00.001Z"
        );
        assert_eq!(table(&[], &columns, "no tokens"), "no tokens");
        let inner = [("DEEP", "outer.deep"), ("SINCE", "failing_since")];
        let row = json!({"outer": {"deep": [1, 2]}, "failing_since": 1});
        assert_eq!(table(&[row], &inner, ""), "DEEP  SINCE\n1 2   1970-01-01T00:00:00.001Z");
    }
}
