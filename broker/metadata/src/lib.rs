//! Cluster metadata: topics, brokers, placement, configurations. Pure.
#![forbid(unsafe_code)]
