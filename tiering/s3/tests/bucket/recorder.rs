//! A server that keeps nothing: it writes down what it is asked, and answers as it was told to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What was asked: without the body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Method and target, such as `PUT /logs/a?x-id=PutObject`.
    pub(crate) line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header, if it was sent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Status and headers, each line with its end, and the body of an answer.
pub(crate) type Answer = (String, &'static str);

/// A running server; it ends with the runtime.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Recorder {
    pub(crate) async fn start(answer: fn(&Request) -> Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let ours = requests.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, answer, ours.clone()));
            }
        });
        Self { address, requests }
    }

    /// What was asked so far, in its order, and forgotten.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// The only one whose line holds the text.
    pub(crate) fn the_one(&self, text: &str) -> Request {
        let requests = self.take();
        let found: Vec<_> = requests
            .iter()
            .filter(|one| one.line.contains(text))
            .collect();
        assert_eq!(found.len(), 1, "{text} {requests:#?}");
        found[0].clone()
    }
}

async fn serve(
    mut client: TcpStream,
    answer: fn(&Request) -> Answer,
    requests: Arc<Mutex<Vec<Request>>>,
) {
    while let Some(request) = read(&mut client).await {
        let (head, body) = answer(&request);
        requests.lock().unwrap().push(request.clone());
        let is_head = request.line.starts_with("HEAD ");
        let length = body.len();
        let mut whole = format!("HTTP/1.1 {head}content-length: {length}\r\n\r\n");
        if !is_head {
            whole.push_str(body);
        }
        if client.write_all(whole.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request; its body is read and dropped.
async fn read(client: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = Request {
        line,
        headers: headers.collect(),
    };
    if request.header("expect").is_some() {
        client
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .ok()?;
    }
    let length = request
        .header("content-length")
        .map_or("0", |length| length);
    let mut body = vec![0; length.parse().unwrap()];
    client.read_exact(&mut body).await.ok()?;
    Some(request)
}
