//! How answers look: as JSON just as they are, or as tables for people.

use account::Millis;
use anyhow::Result;
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
}

impl Shown {
    /// The answer as it came, and for people.
    pub(crate) fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into() }
    }

    /// Prints it the way that was asked for.
    pub(crate) fn print(&self, as_json: bool) -> Result<()> {
        if as_json { say(&serde_json::to_string_pretty(&self.json)?) } else { say(&self.text) }
    }
}

/// The rows of an answer that is a list.
pub(crate) fn rows(answer: &Value) -> &[Value] {
    answer.as_array().map_or(&[], Vec::as_slice)
}

/// A column: its heading, and the member of each row it shows.
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

/// A member as text: moments (`…_at`) as dates, lists joined, what is absent as a dash.
fn cell(row: &Value, member: &str) -> String {
    match row.get(member).unwrap_or(&Value::Null) {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        Value::Number(number) if member.ends_with("_at") || member == "mark" => {
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

/// A moment in UTC, to the millisecond (RFC 3339). The epoch itself, which stands for "never", is a dash.
pub(crate) fn date(moment: Millis) -> String {
    if moment == Millis::ZERO {
        return "-".to_owned();
    }
    let (days, ms) = (moment.get().div_euclid(86_400_000), moment.get().rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date of a day counted from the epoch, by the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is a year's last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn moments_are_dates_in_utc() {
        for (moment, expected) in [
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_789_000_000_123, "2026-09-10T00:26:40.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (0, "-"),
        ] {
            assert_eq!(date(Millis::new(moment)), expected);
        }
    }

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
    }
}
