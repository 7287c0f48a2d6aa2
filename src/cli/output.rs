//! What a command prints.
//!
//! Through one locked writer, where a reader that goes away (`| head`) is no failure; `println!`
//! panics there.

use std::io::{self, ErrorKind, Write as _};

/// Columns of what people read where nobody says how wide the terminal is.
pub const WIDTH: u16 = 100;

/// Below this a table breaks within words; the terminal may as well break its lines.
const NARROWEST: u16 = 40;

/// Columns of what goes to stdout: by `COLUMNS`, which shells rarely export, or by the terminal.
pub fn width() -> u16 {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0);
    said.or_else(seen).filter(|columns| *columns >= NARROWEST).unwrap_or(WIDTH)
}

/// Writes a line to stderr.
pub fn note(line: &str) {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "raywarden: {line}");
}

/// Writes `text` to stdout.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes an error and its causes to stderr, one per line, without a backtrace.
pub fn complain(error: &anyhow::Error) {
    // Where stderr is closed there is nobody to tell.
    let _ = io::stderr().lock().write_all(lines(error).as_bytes());
}

/// Many errors repeat their cause in their own words; each is said once.
fn lines(error: &anyhow::Error) -> String {
    let mut last = error.to_string();
    let mut lines = format!("raywarden: {last}\n");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if last.contains(&cause) {
            continue;
        }
        lines.push_str("  because: ");
        lines.push_str(&cause);
        lines.push('\n');
        last = cause;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_was_said_already_is_not_said_again() {
        let error = anyhow::anyhow!("no such file").context("failed to open x: no such file");
        let error = error.context("failed to read x");
        let wanted = "raywarden: failed to read x\n  because: failed to open x: no such file\n";
        assert_eq!(lines(&error), wanted);
    }
}
