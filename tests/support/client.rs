//! A small client: one connection, one request at a time, and raw bytes for bad manners.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::support::LIMIT;

/// A connection to a broker.
pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
    client_id: StrBytes,
}

/// What a client calls itself unless told otherwise.
const CLIENT_ID: &str = "binary-test";

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("the broker listens")
    }

    pub(crate) fn try_connect(port: u16) -> io::Result<Self> {
        Self::try_connect_to((Ipv4Addr::LOCALHOST, port).into(), LIMIT)
    }

    /// A connection to anywhere; neither it nor an answer is waited for longer than `limit`.
    pub(crate) fn try_connect_to(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self {
            stream,
            correlation_id: 0,
            client_id: StrBytes::from_static_str(CLIENT_ID),
        })
    }

    /// The same connection under another client-id.
    pub(crate) fn named(mut self, client_id: &str) -> Self {
        self.client_id = StrBytes::from_string(client_id.to_owned());
        self
    }

    /// Asks and waits for the answer.
    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request)
            .unwrap_or_else(|error| panic!("no answer api={} {error}", R::KEY))
    }

    pub(crate) fn try_call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> io::Result<R::Response> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    /// Asks without waiting.
    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<()> {
        self.correlation_id += 1;
        let frame = frame_of(&self.client_id, version, self.correlation_id, request);
        self.send_bytes(&frame)
    }

    /// The answer to the oldest question.
    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let mut frame = self.receive_frame()?;
        let header = R::Response::header_version(version);
        ResponseHeader::decode(&mut frame, header).expect("a header of that version");
        let answer = R::Response::decode(&mut frame, version).expect("an answer of that version");
        assert!(frame.is_empty(), "{} bytes are left over", frame.len());
        Ok(answer)
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// One frame without its length.
    pub(crate) fn receive_frame(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).expect("no negative length");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// Waits until the broker has closed the connection.
    pub(crate) fn is_closed_by_broker(&mut self) -> bool {
        let mut rest = [0; 1024];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    return matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
                    );
                }
            }
        }
    }

    /// Says that nothing more comes.
    pub(crate) fn finish_writing(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it was open");
    }
}

/// A request with its header and its length.
pub(crate) fn frame<R: Request>(version: i16, correlation_id: i32, request: &R) -> Bytes {
    let client_id = StrBytes::from_static_str(CLIENT_ID);
    frame_of(&client_id, version, correlation_id, request)
}

fn frame_of<R: Request>(
    client_id: &StrBytes,
    version: i16,
    correlation_id: i32,
    request: &R,
) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(client_id.clone()));
    let mut body = BytesMut::new();
    header
        .encode(&mut body, R::header_version(version))
        .expect("the header can be encoded");
    request
        .encode(&mut body, version)
        .expect("the request fits its version");
    let length = i32::try_from(body.len()).expect("requests are small");
    let mut frame = BytesMut::from(&length.to_be_bytes()[..]);
    frame.extend_from_slice(&body);
    frame.freeze()
}
