//! A real S3 server: versitygw on a directory of its own.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use klamm_s3::{S3Keys, S3Settings};
use tempfile::TempDir;

pub(crate) const BUCKET: &str = "logs";

/// How often another port is taken when somebody was quicker.
const PORTS_MAX: usize = 10;
/// Until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running server with one empty bucket; gone with all that it holds when dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    _directory: TempDir,
}

impl Gateway {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        (0..PORTS_MAX)
            .find_map(|_| Self::try_start(arguments))
            .expect("some port stays free until the server has it")
    }

    /// `None` if it ended, as it does when its port is taken.
    fn try_start(arguments: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(BUCKET)).unwrap();
        let address = free_address();
        // It ends with the thread that started it, whatever becomes of the test.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program());
        command.args(["--access", "someone", "--secret", "a-secret"]);
        command.arg("--port").arg(address.to_string());
        command.args(arguments).arg("posix").arg(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // It says so just before it listens. Requests are written down there as well: read on.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.by_ref().map_while(Result::ok);
        let is_ready = said.into_iter().any(|line| line.contains("listening on"));
        std::thread::spawn(move || lines.for_each(drop));
        let gateway = Self {
            child,
            address,
            _directory: directory,
        };
        gateway.answers().filter(|_| is_ready)
    }

    fn answers(mut self) -> Option<Self> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if self.child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(self.address).is_ok() {
                return Some(self);
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("versitygw does not answer address={}", self.address);
    }

    pub(crate) fn settings(&self) -> S3Settings {
        settings(self.address)
    }

    /// From here on nobody listens.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Those of the bucket of a server, as who may do everything there.
pub(crate) fn settings(address: SocketAddr) -> S3Settings {
    S3Settings {
        endpoint: Some(format!("http://{address}")),
        keys: Some(S3Keys {
            access_key_id: "someone".to_owned(),
            secret_access_key: "a-secret".to_owned(),
        }),
        ..S3Settings::new(BUCKET)
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Where `cargo ci prerequisites` puts it, or `PATH`.
fn program() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| here.join("../../target"), PathBuf::from);
    let ours = target.join("ci/go/bin/versitygw");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&path).map(|folder| folder.join("versitygw"));
    let mut places = std::iter::once(ours).chain(elsewhere);
    let found = places.find(|file| file.is_file());
    found.expect("versitygw is not installed: run `cargo ci prerequisites` first")
}
