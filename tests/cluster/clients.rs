//! Clients that write down what they do and what they are told.

pub(crate) mod own;
pub(crate) mod real;
