//! Stands between a client and a server, and loses answers after the requests have been carried out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Which answers are lost: those to requests whose first line holds all of `texts`, `left` times.
#[derive(Debug, Default)]
struct Loss {
    texts: Vec<String>,
    left: usize,
    lost: usize,
}

/// A running proxy; it ends with the runtime.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    loss: Arc<Mutex<Loss>>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let loss = Arc::new(Mutex::new(Loss::default()));
        let ours = loss.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let loss = ours.clone();
                tokio::spawn(async move { carry(client, server, &loss).await });
            }
        });
        Self { address, loss }
    }

    /// From now on: so many answers to requests like this.
    pub(crate) fn lose(&self, count: usize, texts: &[&str]) {
        *self.loss.lock().unwrap() = Loss {
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
            left: count,
            lost: 0,
        };
    }

    /// How many were lost since then.
    pub(crate) fn lost(&self) -> usize {
        self.loss.lock().unwrap().lost
    }
}

/// Requests of a connection come one after the other, and each begins a piece that is read.
async fn carry(client: TcpStream, server: SocketAddr, loss: &Mutex<Loss>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    let is_doomed = Mutex::new(false);
    let requests = forward(from_client, to_server, loss, &is_doomed);
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            let piece = &buffer[..length];
            let is_answer = !piece.starts_with(b"HTTP/1.1 100");
            if is_answer && std::mem::take(&mut *is_doomed.lock().unwrap()) {
                loss.lock().unwrap().lost += 1;
                return;
            }
            if to_client.write_all(piece).await.is_err() {
                return;
            }
        }
    };
    // Whichever ends first closes both connections.
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    loss: &Mutex<Loss>,
    is_doomed: &Mutex<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let piece = &buffer[..length];
        let line = piece
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        if line.contains(" HTTP/1.1") && loss.lock().unwrap().takes(&line) {
            *is_doomed.lock().unwrap() = true;
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}

impl Loss {
    fn takes(&mut self, line: &str) -> bool {
        let is_meant = self.left > 0 && self.texts.iter().all(|text| line.contains(text));
        self.left -= usize::from(is_meant);
        is_meant
    }
}
