//! What the tests drive from outside, and how a fresh Debian machine gets it.
//!
//! Only what is missing is installed: packages as root, programs in Go under `target/`. Libraries of the
//! clients (from Maven, PyPI, npm, the Go proxy) are installed by the conformance tests themselves, by
//! name and version.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::command::{root, run, words};
use crate::steps::Outcome;

/// A program, and the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("c++", "g++"),
    ("make", "make"),
    // OpenSSL is configured by it.
    ("perl", "perl"),
    ("git", "git"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("strace", "strace"),
    ("mkfs.ext4", "e2fsprogs"),
    ("kcat", "kcat"),
    ("javac", "default-jdk-headless"),
    ("mvn", "maven"),
    ("go", "golang"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3-venv"),
    ("openssl", "openssl"),
];

/// A program in Go, its module and version, and where in it the program is. No package brings them.
const GO_PROGRAMS: &[(&str, &str, &str, &str)] = &[
    // The S3 server that the tests of `klamm-s3` start.
    (
        "versitygw",
        "github.com/versity/versitygw",
        "v1.8.0",
        "/cmd/versitygw",
    ),
];

const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Installs the programs that are missing.
pub(crate) fn install() -> Outcome {
    let mut outcome = install_packages();
    if outcome.tally.failed == 0 {
        outcome = install_go_programs();
    }
    outcome
}

fn install_go_programs() -> Outcome {
    let folder = root().join("target/ci/go/bin");
    for (program, module, version, path) in GO_PROGRAMS {
        let binary = folder.join(program);
        if is_of_version(&binary, module, version) {
            continue;
        }
        // Without tables for a debugger it is linked in half the time.
        let mut install = words("go install -ldflags=-s");
        install.arg(format!("{module}{path}@{version}"));
        install.env("GOBIN", &folder);
        run(install, INSTALL_LIMIT);
        if !is_of_version(&binary, module, version) {
            return Outcome::failed(format!("still missing: {program} {version}"));
        }
    }
    Outcome::passed()
}

/// What a program in Go says of itself.
fn is_of_version(binary: &Path, module: &str, version: &str) -> bool {
    let said = Command::new("go")
        .args(["version", "-m"])
        .arg(binary)
        .output();
    said.is_ok_and(|said| {
        let said = String::from_utf8_lossy(&said.stdout);
        said.contains(&format!("mod\t{module}\t{version}\t"))
    })
}

fn install_packages() -> Outcome {
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_on_path(program))
        .collect();
    if missing.is_empty() {
        return Outcome::passed();
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let packages = packages.join(" ");
    if !is_root() {
        return Outcome::failed(format!("as root: apt-get install {packages}"));
    }
    let apt = |line: &str| {
        let mut command = words(line);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run(command, INSTALL_LIMIT)
    };
    let install = format!(
        "apt-get install --quiet=2 -o=Dpkg::Use-Pty=0 --yes --no-install-recommends {packages}"
    );
    // Package lists may be old or absent; a failed update still leaves usable ones sometimes.
    apt("apt-get update --quiet=2");
    let finished = apt(&install);
    let still: Vec<_> = missing
        .iter()
        .map(|(program, _)| *program)
        .filter(|program| !is_on_path(program))
        .collect();
    match still.is_empty() {
        true => Outcome::passed(),
        false => {
            let detail = finished.tail.back().map_or("", String::as_str);
            Outcome::failed(format!("still missing: {} {detail}", still.join(" ")))
        }
    }
}

/// Whether a program of that name can be started.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// `/proc/self` belongs to the user who runs us.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self")
        .metadata()
        .is_ok_and(|metadata| metadata.uid() == 0)
}
