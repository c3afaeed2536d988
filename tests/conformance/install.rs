//! Installs the clients into the cache: only from package registries, only what changed.
//!
//! Each step has a stamp that holds the files it was made from; a step whose stamp is up to date is
//! skipped, so that a warm cache costs nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::places::Places;
use crate::process::Invocation;

const LIMIT: Duration = Duration::from_secs(600);

/// Something that a group needs before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Every Maven module: Kafka, its tools and the Java clients.
    Maven,
    /// A Java program: its folder and the Maven module it is compiled against.
    Java(&'static str, &'static str),
    Python,
    Node,
    Go,
    Kcat,
    Openssl,
}

/// Brings every part up to date.
pub(crate) fn install(places: &Places, parts: &[Part]) -> Result<(), String> {
    std::fs::create_dir_all(places.cache.join("stamps")).map_err(|error| error.to_string())?;
    let mut parts = parts.to_vec();
    parts.sort();
    parts.dedup();
    for part in parts {
        let started = Instant::now();
        if step(places, part)? {
            println!(
                "installed {part:?} ({:.1} s)",
                started.elapsed().as_secs_f64()
            );
        }
    }
    Ok(())
}

/// Whether there was something to do.
fn step(places: &Places, part: Part) -> Result<bool, String> {
    match part {
        Part::Maven => maven(places),
        Part::Java(folder, module) => java(places, folder, module),
        Part::Python => python(places),
        Part::Node => node(places),
        Part::Go => go(places),
        Part::Kcat => package(places, "kcat", "-V"),
        Part::Openssl => package(places, "openssl", "version"),
    }
}

fn maven(places: &Places) -> Result<bool, String> {
    let source = places.clients.join("maven");
    let output = places.cache.join("maven");
    once(places, "maven", &source, |log| {
        remove(&output)?;
        Invocation::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies"])
            .arg(format!("-Dcache={}", output.display()))
            .dir(&source)
            .run(log, LIMIT)
    })
}

fn java(places: &Places, folder: &str, module: &str) -> Result<bool, String> {
    let source = places.clients.join(folder);
    // One program may be compiled against several versions of the client.
    let name = if folder == "java" { module } else { folder };
    let output = places.cache.join("classes").join(name);
    once(places, &format!("classes-{name}"), &source, |log| {
        remove(&output)?;
        let shared = places.clients.join("java-report");
        let mut compile = Invocation::new("javac")
            .args(["-nowarn", "-Xlint:none", "-d"])
            .arg(&output)
            .args(["-cp", &places.jars(module)]);
        for file in files(&source)?.iter().chain(&files(&shared)?) {
            compile = compile.arg(file);
        }
        compile.run(log, LIMIT)
    })
}

fn python(places: &Places) -> Result<bool, String> {
    let source = places.clients.join("python/requirements.txt");
    let output = places.cache.join("python");
    once(places, "python", &source, |log| {
        remove(&output)?;
        Invocation::new("python3")
            .args(["-m", "venv"])
            .arg(&output)
            .run(log, LIMIT)?;
        Invocation::new(output.join("bin/pip").to_string_lossy())
            .args([
                "install",
                "--quiet",
                "--no-deps",
                "--only-binary",
                ":all:",
                "-r",
            ])
            .arg(&source)
            .run(log, LIMIT)
    })
}

fn node(places: &Places) -> Result<bool, String> {
    let source = places.clients.join("kafkajs");
    let output = places.cache.join("node");
    let lock = source.join("package-lock.json");
    once(places, "node", &lock, |log| {
        remove(&output)?;
        std::fs::create_dir_all(&output).map_err(|error| error.to_string())?;
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(source.join(name), output.join(name)).map_err(|e| e.to_string())?;
        }
        Invocation::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .dir(&output)
            .run(log, LIMIT)
    })
}

fn go(places: &Places) -> Result<bool, String> {
    let source = places.clients.join("go");
    let output = places.cache.join("go");
    once(places, "go", &source, |log| {
        remove(&output)?;
        std::fs::create_dir_all(&output).map_err(|error| error.to_string())?;
        Invocation::new("go")
            .args(["build", "-mod=readonly", "-o"])
            .arg(&output)
            .args(["./cmd/..."])
            .dir(&source)
            .run(log, LIMIT)
    })
}

/// A program that comes with the system's package manager; a version already there will do.
fn package(places: &Places, name: &str, version: &str) -> Result<bool, String> {
    let log = places.cache.join(format!("{name}.log"));
    if Invocation::new(name).arg(version).run(&log, LIMIT).is_ok() {
        return Ok(false);
    }
    Invocation::new("apt-get")
        .args(["update", "-qq"])
        .run(&log, LIMIT)?;
    Invocation::new("apt-get")
        .args(["install", "-y", "-qq", name])
        .run(&log, LIMIT)?;
    Ok(true)
}

/// Runs `make` unless the stamp says that `source` was already made.
fn once(
    places: &Places,
    name: &str,
    source: &Path,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<bool, String> {
    let stamp = places.cache.join("stamps").join(name);
    let log = places.cache.join(format!("{name}.log"));
    let mut wanted = Vec::new();
    for file in files(source)?
        .iter()
        .chain(&files(&places.clients.join("java-report"))?)
    {
        wanted.extend(file.to_string_lossy().as_bytes());
        wanted.extend(std::fs::read(file).map_err(|error| error.to_string())?);
    }
    if std::fs::read(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(false);
    }
    let _ = std::fs::remove_file(&log);
    make(&log).map_err(|message| format!("{message}\n{}", crate::client::tail(&log)))?;
    std::fs::write(&stamp, wanted).map_err(|error| error.to_string())?;
    Ok(true)
}

/// Every file below a folder, in a fixed order; a file is itself.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries =
        std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        found.extend(files(&entry)?);
    }
    Ok(found)
}

fn remove(dir: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}
