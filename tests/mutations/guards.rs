//! The table of guards: a piece of the sources each, and what stands there without it.
//!
//! A guard is named by what it protects. Those that only keep the product lively or cheap (pre-vote, back-off)
//! are not in here: nothing is lost without them. Nor are those that others cover wherever they matter, and
//! that are there because a reader expects them: that a leader changes no members before it has committed
//! something (a change that may be committed counts as under way, and joint majorities overlap), and that
//! a follower looks whether it has everything before it sleeps (its leader has looked).

use crate::simulation::Simulation;

/// One guard.
pub(crate) struct Guard {
    /// For the command line.
    pub(crate) name: &'static str,
    /// What goes wrong without it.
    pub(crate) loses: &'static str,
    /// Where it is, from the root of the workspace.
    pub(crate) file: &'static str,
    /// It, as it stands there; once.
    pub(crate) guard: &'static str,
    /// What is put in its place.
    pub(crate) without: &'static str,
    /// The simulation, or the tests of one case, that must notice.
    pub(crate) noticed_by: Simulation,
}

impl Guard {
    /// A file's text without it. Panics unless it stands there once.
    pub(crate) fn left_out_of(&self, text: &str) -> String {
        let found = text.matches(self.guard).count();
        assert_eq!(found, 1, "{} stands once in {}", self.name, self.file);
        text.replacen(self.guard, self.without, 1)
    }
}

/// All of them, by the part they belong to.
pub(crate) const GUARDS: &[Guard] = &[
    Guard {
        name: "vote-bar",
        loses: "who may have lost what it acknowledged gives its vote",
        file: "broker/replication/src/replica/recovering.rs",
        guard: "self.recovery.is_none() || self.chosen() == Some(envelope.from)",
        without: "true",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "vote-bar-candidate",
        loses: "who may have lost what it acknowledged stands for election",
        file: "broker/replication/src/replica/recovering.rs",
        guard: "self.recovery.is_none() || self.chosen() == Some(self.id)",
        without: "true",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "vote-bar-longest-log",
        loses: "of those who lost power the first is elected, not the one that has most",
        file: "broker/replication/src/recovery.rs",
        guard: "best.max(Some((last.term, last.index, voter)))",
        without: "Some(best.unwrap_or((last.term, last.index, voter)))",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "vote-bar-target",
        loses: "a replica is trusted again before it has caught up",
        file: "broker/replication/src/recovery.rs",
        guard: "of == term && agreed >= through",
        without: "of == term && agreed <= agreed.max(through)",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "vote-waits-for-journal",
        loses: "a vote is answered before it is durable, and can be given twice",
        file: "broker/replication/src/outbox.rs",
        guard: "\n                || !persistence.has_journaled(oldest.journal);\n",
        without: ";\n",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "entries-wait-to-be-given",
        loses: "a message speaks of batches that wait for the journal, and goes without them",
        file: "broker/replication/src/outbox.rs",
        guard: "                || oldest.given_through > given\n",
        without: "",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "candidate-syncs-tail",
        loses: "a candidate wins with entries that it may lose",
        file: "broker/replication/src/outbox.rs",
        guard: "                durable_through: if is_vote_request {\n                    last\n",
        without: "                durable_through: if is_vote_request {\n                    LogIndex::ZERO.min(last)\n",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "accepted-waits-for-fsync",
        loses: "an entry counts as durable that is only written",
        file: "broker/replication/src/outbox.rs",
        guard: "own.release(written, persistence.durable(), effects)",
        without: "own.release(written, written.max(persistence.durable()), effects)",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "written-waits-for-write",
        loses: "an entry is acknowledged that cannot be read back yet",
        file: "broker/replication/src/outbox.rs",
        guard: "let written = written.min(self.through);",
        without: "let written = written.max(self.through);",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "meta-before-data",
        loses: "a batch is on the disk before the no-op of its term",
        file: "broker/replication/src/sequence.rs",
        guard: "        if self.in_journal.is_some() {\n            return;\n        }\n        let batches",
        without: "        let batches",
        noticed_by: Simulation::Whole,
    },
    Guard {
        name: "commit-clamped-at-start",
        loses: "a hint of a commit beyond the log stops the replica (P1)",
        file: "broker/replication/src/consensus.rs",
        guard: "setup.hard_state.commit.0.clamp(before_first, last)",
        without: "setup.hard_state.commit.0.max(before_first)",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "written-frees-window",
        loses: "a leader stops sending when its window is full of entries that wait for an fsync (P3)",
        file: "broker/replication/src/consensus.rs",
        guard: "        progress.ins.free_to(through.0);\n",
        without: "",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "restarted-peer-is-probed",
        loses: "what a follower lost with its power counts as there (P4)",
        file: "broker/replication/src/consensus.rs",
        guard: "            progress.become_probe();\n            progress.matched = 0;\n            progress.next_idx = next;\n",
        without: "            let _ = (progress, next);\n",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "restarted-peer-wrote-nothing",
        loses: "what a follower lost with its power counts towards the majority",
        file: "broker/replication/src/replica/peers.rs",
        guard: "            peer.written = LogIndex::ZERO;\n",
        without: "",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "majority",
        loses: "a leader acknowledges what it alone has",
        file: "broker/replication/src/replica/leading.rs",
        guard: "self.peers.by_majority(members, self.written.reached())",
        without: "self.peers.by_majority(members, self.written.reached()).max(self.written.reached())",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "majority-of-own-term",
        loses: "an entry of an older term is shown, and replaced later (Raft 5.4.2)",
        file: "broker/replication/src/replica/leading.rs",
        guard: "match self.consensus.term_at(by_majority) == Some(self.consensus.term()) {",
        without: "match by_majority > LogIndex::ZERO {",
        noticed_by: Simulation::Scripts,
    },
    Guard {
        name: "majority-of-both-sets",
        loses: "in a joint configuration the new voters decide alone",
        file: "broker/replication/src/replica/peers.rs",
        guard: "true => by_voters.min(self.by_majority_of(&members.outgoing, own)),",
        without: "true => by_voters,",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "follower-shows-what-agrees",
        loses: "a follower shows entries of its own that the leader does not have",
        file: "broker/replication/src/replica/following.rs",
        guard: "visible.min(self.outbox.agreed(term))",
        without: "visible",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "shows-what-is-written",
        loses: "a replica shows entries that it cannot read back",
        file: "broker/replication/src/replica.rs",
        guard: "let here = watermark.min(self.written.reached());",
        without: "let here = watermark.min(self.last().index);",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "reports-name-the-entry",
        loses: "the fsync of an entry that was cut counts for the one in its place",
        file: "broker/replication/src/replica.rs",
        guard: "    fn note_synced(&mut self, through: EntryId) {\n        if self.consensus.has(through) {",
        without: "    fn note_synced(&mut self, through: EntryId) {\n        if through.index <= self.last().index {",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "cut-forgets-durable",
        loses: "an entry in the place of one that was cut counts as durable",
        file: "broker/replication/src/replica/following.rs",
        guard: "        self.persistence.cut(end.index);\n",
        without: "",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "one-change-of-members",
        loses: "members change again before the last change is committed",
        file: "broker/replication/src/replica/changing.rs",
        guard: "            && !self.configurations.is_changing()\n",
        without: "",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "unclean-longer-logs",
        loses: "who was given up by an unclean election keeps what the survivor never had",
        file: "broker/replication/src/unclean.rs",
        guard: "rank(log.last_entry()) <= rank(self.last)",
        without: "true",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "unclean-missed-elections",
        loses: "who has missed an unclean election keeps what was given up by it",
        file: "broker/replication/src/unclean.rs",
        guard: "been_through + 1 == self.number",
        without: "true",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "unclean-in-force-at-once",
        loses: "a survivor waits for those that were given up",
        file: "broker/replication/src/configurations.rs",
        guard: "next.unclean_elections > self.in_force.unclean_elections",
        without: "false && next.unclean_elections > self.in_force.unclean_elections",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "members-by-way-of-joint",
        loses: "two majorities that share nobody decide",
        file: "broker/replication/src/replica/changing.rs",
        guard: "            wanted.outgoing = self.members().voters.clone();\n",
        without: "",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "members-in-force-when-committed",
        loses: "members decide whom only a minority has heard of",
        file: "broker/replication/src/configurations.rs",
        guard: "        next.is_some_and(|(index, _)| *index <= committed)\n",
        without: "        next.is_some_and(|(index, _)| committed >= LogIndex::ZERO || *index <= committed)\n",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "members-fall-back-by-one",
        loses: "after a restart voters decide that others have replaced",
        file: "broker/replication/src/configurations.rs",
        guard: "        while configurations.following.len() > 1\n            || configurations",
        without: "        while configurations",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "sleep-by-all",
        loses: "a leader sleeps while a follower still waits for it",
        file: "broker/replication/src/replica/sleeping.rs",
        guard: "self.sleep.is_offering() && self.all_took_the_offer()",
        without: "self.sleep.is_offering()",
        noticed_by: Simulation::Replicas,
    },
    Guard {
        name: "truncation-in-journal",
        loses: "an entry without records of a deposed leader comes back after a restart (TruncateFrom)",
        file: "storage/src/log/cut.rs",
        guard: "        let journaled = journal.truncate_from(self.place.group, index, offset);\n        self.journaled(journaled)?;\n",
        without: "",
        noticed_by: Simulation::Brokers,
    },
    Guard {
        name: "fsync-of-segments",
        loses: "records count as durable that were never synced",
        file: "storage/src/log/sync.rs",
        guard: "            file.sync_data()?;\n",
        without: "            let _ = file;\n",
        noticed_by: Simulation::Brokers,
    },
    Guard {
        name: "fsync-of-directory",
        loses: "a segment's name is lost with its records",
        file: "storage/src/log/sync.rs",
        guard: "            Some((disk, path)) => disk.sync_dir(path),\n",
        without: "            Some(_) => Ok(()),\n",
        noticed_by: Simulation::OneBroker,
    },
    Guard {
        name: "fsync-that-failed",
        loses: "records count as durable whose fsync failed",
        file: "storage/src/log/sync.rs",
        guard: "            result: self.sync(),\n",
        without: "            result: self.sync().or(Ok(())),\n",
        noticed_by: Simulation::OneBroker,
    },
    Guard {
        name: "truncation-is-synced",
        loses: "after a loss of power both the entry that was cut and the one in its place are there",
        file: "storage/src/log/cut.rs",
        guard: "        self.journaled(journal.sync())?;\n        self.raft",
        without: "        self.raft",
        noticed_by: Simulation::Cuts,
    },
    Guard {
        name: "cut-is-unsynced",
        loses: "what takes the place of records that were cut counts as synced",
        file: "storage/src/log/cut.rs",
        guard: "        self.durable.cut(self.end());\n",
        without: "",
        noticed_by: Simulation::Brokers,
    },
    Guard {
        name: "cut-reloads-producers",
        loses: "a batch that was cut counts as there, and its repetition is dropped",
        file: "storage/src/log/cut.rs",
        guard: "        self.reload_producers()?;\n",
        without: "",
        noticed_by: Simulation::Whole,
    },
    Guard {
        name: "recovery-checks-batches",
        loses: "a torn batch is taken for a whole one after a start",
        file: "storage/src/log/recover.rs",
        guard: "            if written.batch(position, &header)?.is_none() {\n                return Ok(None);\n            }\n",
        without: "",
        noticed_by: Simulation::OneBroker,
    },
    Guard {
        name: "recovery-checks-epochs",
        loses: "a batch of a deposed leader is taken for one of the log after a start",
        file: "storage/src/log/recover.rs",
        guard: "        if !is_of_its_epoch(&self.epochs, self.log_start, &header) {\n            return Ok(None);\n        }\n        // Below",
        without: "        // Below",
        noticed_by: Simulation::Cuts,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_stands_once_where_the_table_says() {
        for guard in GUARDS {
            let path = crate::tree::workspace().join(guard.file);
            let text = std::fs::read_to_string(path).expect(guard.name);
            assert_ne!(guard.left_out_of(&text), text, "{}", guard.name);
        }
    }

    #[test]
    fn every_guard_has_a_name_of_its_own() {
        let mut names: Vec<_> = GUARDS.iter().map(|guard| guard.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), GUARDS.len());
    }
}
