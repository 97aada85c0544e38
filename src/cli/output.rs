//! Results: tables and lines for people, one JSON value for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// JSON or text.
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// True when the result is for a program.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: `value` for programs on one line, or the text that `people` makes.
    pub fn show(self, value: &impl Serialize, people: impl FnOnce() -> String) {
        let text = if self.json { serde_json::to_string(value).unwrap_or_default() } else { people() };
        print_line(text.trim_end());
    }

    /// Prints how things are now, and whether the command made them so.
    pub fn done(self, changed: bool, what: &str) {
        self.show(&serde_json::json!({ "changed": changed }), || {
            if changed { format!("{what}.") } else { format!("No change. {what}.") }
        });
    }
}

/// Set when a result could not be written: what it said, a secret perhaps, is lost, and the command has failed.
static LOST: AtomicBool = AtomicBool::new(false);

/// True when a result could not be written.
pub fn is_lost() -> bool {
    LOST.load(Ordering::SeqCst)
}

/// Prints a line and does not mind when nobody reads any more.
pub fn print_line(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        LOST.store(true, Ordering::SeqCst);
    }
}

/// Cuts a list that was read one longer than asked for, and says how to read on.
pub fn more<T>(items: &mut Vec<T>, limit: i64, name: impl Fn(&T) -> String) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if items.len() > limit {
        items.truncate(limit);
        if let Some(last) = items.last() {
            go_on(&name(last));
        }
    }
}

/// Says how to read on in a list of which this was a page.
pub fn go_on(after: &str) {
    eprintln!("grantor: there are more; go on with --after {after}");
}

/// A table without lines, fit for pipes; says `empty` when there are no rows.
pub fn table(headers: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.iter().map(|header| header.to_uppercase()));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Names and values below each other.
pub fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    fields.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// `yes` or `no`.
pub fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

/// A list in a line, or a dash.
pub fn list<T: std::fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "-".to_owned();
    }
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
