//! Lines of the standard input or a file, read on a thread of their own: whoever waits for the next
//! line can be interrupted, and can serve its connections meanwhile.
#![expect(
    clippy::disallowed_methods,
    reason = "a read from a terminal cannot be interrupted; it ends with the process"
)]

use std::io::{self, BufRead, Read as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::error::CliError;
use crate::files;

/// Lines that wait to be taken.
const WAITING_MAX: usize = 1024;
/// No cluster takes longer ones by default; a file without line ends must not fill the memory.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A line without its end.
    Line(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// There are no more.
    End,
}

/// Lines in the order in which they stand.
pub(crate) struct Lines(Receiver<io::Result<Vec<u8>>>);

impl Lines {
    /// Reads a file, or the standard input for `None` and `-`.
    pub(crate) fn of(file: Option<&Path>) -> Result<Self, CliError> {
        let input: Box<dyn BufRead + Send> = match file {
            Some(path) if path.as_os_str() != "-" => files::open(path)?,
            _ => Box::new(io::BufReader::new(io::stdin())),
        };
        let (sender, receiver) = sync_channel(WAITING_MAX);
        std::thread::spawn(move || read(input, &sender));
        Ok(Self(receiver))
    }

    /// Waits for the next line, but not for ever.
    pub(crate) fn next(&self, patience: Duration) -> Result<Next, CliError> {
        match self.0.recv_timeout(patience) {
            Ok(line) => Ok(Next::Line(line?)),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Next::End),
        }
    }
}

fn read(mut input: Box<dyn BufRead + Send>, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let line = line(&mut input);
        let goes_on = matches!(line, Ok(Some(_)));
        // Whoever does not take lines any more has ended.
        let taken = line
            .transpose()
            .is_none_or(|line| sender.send(line).is_ok());
        if !goes_on || !taken {
            return;
        }
    }
}

/// One line without its end; `None` where there are no more.
pub(crate) fn line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.len() as u64 == LINE_BYTES_MAX {
        return Err(io::Error::other("a line is longer than 64 MiB"));
    }
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end() {
        let mut input = b"a\n\nb".as_slice();
        let mut lines = Vec::new();
        while let Some(found) = line(&mut input).expect("readable") {
            lines.push(found);
        }
        assert_eq!(lines, [b"a".to_vec(), b"".to_vec(), b"b".to_vec()]);
    }
}
