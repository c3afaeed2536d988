//! Several processes that make one load: on other hosts, in containers, or here.
//!
//! One process [leads](mod@lead): it starts the others, hands out the shares, says when it begins and
//! when it is over, and adds up what they have measured. The others do [a part](mod@part) each. They
//! talk in lines of JSON ([`words`]) over the standard streams of the parts, whatever those go through
//! ([`launch`], [`links`]): no port is opened, no file copied, and when the stream ends the part does.
//!
//! - No word of the user's load is on any command line: what a shell on the way could take for its
//!   own is not there (a topic's name), nor can others see it (a password).
//! - The leader need not reach the cluster: the first part makes the topic, and deletes it.
//! - Messages are due at the same moments in all parts. How well their clocks agree is
//!   [measured](clocks), allowed for, and told.

mod clocks;
mod launch;
mod lead;
mod links;
mod part;
mod words;

pub(super) use self::launch::Parts;
pub(super) use self::lead::lead;
pub(super) use self::part::part;
