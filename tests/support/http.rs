//! The least that is needed to ask the admin port.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::support::LIMIT;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A connection to a port of this machine.
pub(crate) fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Sends a request and reads the answer to its end; `None` if there is none.
pub(crate) fn ask(port: u16, method: &str, path: &str, body: &str) -> Option<Answer> {
    let mut stream = connect(port).ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    read_answer(stream)
}

/// Reads an answer to the end of its connection.
pub(crate) fn read_answer(mut stream: TcpStream) -> Option<Answer> {
    let mut text = String::new();
    // Whoever is refused may find its connection reset behind the answer.
    let _ = stream.read_to_string(&mut text);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}
