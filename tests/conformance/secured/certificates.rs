//! Two authorities, and certificates of a server and a client by the first.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Invocation;

const LIMIT: Duration = Duration::from_secs(60);
/// For a run of the suite.
const DAYS: &str = "2";

/// Files in PEM, made by `openssl`.
pub(super) struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    pub(super) fn make(dir: &Path) -> Result<Self, String> {
        let made = Self {
            dir: dir.to_owned(),
        };
        made.authority_named("authority")?;
        made.authority_named("other-authority")?;
        made.signed("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")?;
        made.signed("client", "subjectAltName=DNS:client")?;
        // Kafka wants the key and the chain in one file.
        let mut store = made.read("server.key")?;
        store.push_str(&made.read("server.pem")?);
        store.push_str(&made.read("authority.pem")?);
        std::fs::write(made.server_store(), store).map_err(|error| error.to_string())?;
        Ok(made)
    }

    /// Whom to trust.
    pub(super) fn authority(&self) -> PathBuf {
        self.dir.join("authority.pem")
    }

    /// Somebody who has signed nothing.
    pub(super) fn other_authority(&self) -> PathBuf {
        self.dir.join("other-authority.pem")
    }

    /// The server's key and certificates.
    pub(super) fn server_store(&self) -> PathBuf {
        self.dir.join("server-store.pem")
    }

    /// Certificate and key of a client.
    pub(super) fn client(&self) -> (PathBuf, PathBuf) {
        (self.dir.join("client.pem"), self.dir.join("client.key"))
    }

    fn authority_named(&self, name: &str) -> Result<(), String> {
        self.openssl(self.request(name))
    }

    fn signed(&self, name: &str, names: &str) -> Result<(), String> {
        let authority_key = self.dir.join("authority.key");
        let request = self
            .request(name)
            .args(["-addext", names, "-addext", "basicConstraints=CA:FALSE"])
            .arg("-CA")
            .arg(self.authority())
            .arg("-CAkey")
            .arg(authority_key);
        self.openssl(request)
    }

    /// A key and a certificate, signed by itself unless told otherwise.
    fn request(&self, name: &str) -> Invocation {
        Invocation::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-noenc"])
            .args(["-days", DAYS, "-subj", &format!("/CN={name}")])
            .arg("-keyout")
            .arg(self.dir.join(format!("{name}.key")))
            .arg("-out")
            .arg(self.dir.join(format!("{name}.pem")))
    }

    fn openssl(&self, request: Invocation) -> Result<(), String> {
        let log = self.dir.join("openssl.log");
        let made = request.run(&log, LIMIT);
        made.map_err(|message| format!("{message}\n{}", crate::client::tail(&log)))
    }

    fn read(&self, name: &str) -> Result<String, String> {
        std::fs::read_to_string(self.dir.join(name)).map_err(|error| format!("{name}: {error}"))
    }
}
