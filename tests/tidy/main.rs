//! The house keeps its own rules: each test is one rule that no compiler or lint checks.
//!
//! A rule without a check is a wish. A new rule comes with its check here, or as a lint in
//! `Cargo.toml`, or as a type. What a rule means and why is in `docs/style.md`.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "it reads the source tree and asks cargo about the workspace"
)]

mod compose;
mod dashboard;
mod headers;
mod layers;
mod links;
mod readme;
mod tree;
mod words;
mod workspace;
