//! What a command prints.
//!
//! Through one locked writer, where a reader that goes away (`| head`) is no failure; `println!`
//! panics there.

use std::io::{self, ErrorKind, Write as _};

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
    let mut lines = format!("raywarden: {error}\n");
    for cause in error.chain().skip(1) {
        lines.push_str("  because: ");
        lines.push_str(&cause.to_string());
        lines.push('\n');
    }
    // Where stderr is closed there is nobody to tell.
    let _ = io::stderr().lock().write_all(lines.as_bytes());
}
