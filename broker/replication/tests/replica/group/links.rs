//! What brokers know of each other by the connections between them: that one has fallen silent, and that
//! one begins anew. Messages are lost besides, without anybody being told.

use klamm_replication::Event;

use super::world::World;

/// Ticks after which a connection by which nothing comes counts as lost.
const SILENCE_TICKS: u32 = 30;

/// See the module.
pub(super) struct Links {
    /// For so many ticks nothing could come to the first from the second.
    silent: Vec<Vec<u32>>,
}

impl Links {
    pub(super) fn new(nodes: u64) -> Self {
        let nodes = nodes as usize;
        Self {
            silent: vec![vec![0; nodes]; nodes],
        }
    }
}

impl World {
    /// A tick has passed: who has not been heard for too long is told to be lost, and who is heard again,
    /// or for the first time in its life, to begin anew.
    pub(super) fn watch_links(&mut self) {
        let nodes = self.nodes.len();
        for (at, of) in (0..nodes).flat_map(|at| (0..nodes).map(move |of| (at, of))) {
            if at == of || self.nodes[at].replica.is_none() {
                self.links.silent[at][of] = 0;
                continue;
            }
            let peer = self.id_as_known_by(of, at);
            let before = self.links.silent[at][of];
            if self.nodes[of].replica.is_none() || self.is_cut(of, at) {
                self.links.silent[at][of] = before + 1;
                if before + 1 == SILENCE_TICKS {
                    self.trace
                        .push(format!("{}: hears {} no more", at + 1, of + 1));
                    self.leader_unreachable(at, peer);
                }
                continue;
            }
            self.links.silent[at][of] = 0;
            let life = self.nodes[of].life;
            if before >= SILENCE_TICKS || self.nodes[at].known_lives[of] < life {
                self.nodes[at].known_lives[of] = life;
                self.handle(at, Event::PeerRestarted(peer));
            }
        }
    }
}
