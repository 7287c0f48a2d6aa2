//! Where a command writes.
//!
//! A reader that goes away, as `head` does, is no error: what follows is dropped, and the command
//! may stop early. Every other failure to write is one.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

/// A buffered writer that outlives its reader.
pub(super) struct Out<W: Write> {
    to: BufWriter<W>,
    gone: bool,
}

impl Out<StdoutLock<'static>> {
    /// Standard output, locked for the life of the command.
    pub(super) fn stdout() -> Self {
        Self::new(io::stdout().lock())
    }
}

impl<W: Write> Out<W> {
    /// A buffer in front of `to`.
    pub(super) fn new(to: W) -> Self {
        Self { to: BufWriter::with_capacity(64 * 1024, to), gone: false }
    }

    /// Writes; nothing happens once the reader is gone.
    pub(super) fn put(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let written = self.to.write_all(bytes.as_ref());
        self.tolerate(written)
    }

    /// Hands everything over.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.tolerate(flushed)
    }

    /// Whether nobody reads any more.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    fn tolerate(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let mut out = Out::new(Closed);
        out.put("text").unwrap();
        assert!(!out.is_gone());
        out.flush().unwrap();
        assert!(out.is_gone());
        out.put("more").unwrap();
        out.flush().unwrap();
    }
}
