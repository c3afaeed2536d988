//! The coordinator from outside: scripts with recorded output, and random schedules.

mod properties;
mod script;
mod show;
mod world;
