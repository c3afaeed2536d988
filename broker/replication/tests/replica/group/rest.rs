//! Times in which nothing goes wrong: lulls, and the end of a history, when the group must come to rest
//! with one leader and one log.

use klamm_replication::Replica;

use super::node::Node;
use super::world::World;

/// More than a leader sends that is not acknowledged.
const MESSAGES_WITHOUT_FSYNC: usize = 300;

impl World<'_> {
    /// Nobody proposes anything, and the group may fall asleep; whatever happens then finds it so.
    pub(super) fn live_through_a_lull(&mut self) {
        self.trace.note("a lull".to_owned());
        for _ in 0..60 + self.random.below(60) {
            self.tick();
            for packet in self.network.take_all() {
                if !self.random.one_in(60) {
                    self.arrive(packet);
                }
            }
            self.finish_work();
            let node = self.random.place(&self.nodes);
            match self.random.below(200) {
                0 if self.faults.kills => self.kill(node),
                1 => self.change_cuts(node),
                2 => self.propose(node),
                3..10 => self.start(node),
                _ => {}
            }
        }
    }

    /// Faults end; the group must come to rest, with one leader and one log.
    pub(super) fn heal(&mut self) {
        self.trace.note("healed".to_owned());
        self.network.heal();
        for node in 0..self.nodes.len() {
            self.learn(node);
            while self.nodes[node].replica.is_none() {
                self.start(node);
            }
        }
        match self.faults.unclean {
            true => self.restore_members(),
            false => self.rest(300),
        }
        self.close_those_who_left();
        self.rest(100);
        if !self.faults.strict && self.random.one_in(8) {
            self.go_on_without_fsyncs();
            self.rest(100);
        }
        self.check_rest();
        self.outlive_the_leader();
    }

    /// As their brokers do. They would go on asking the others for what they may have lost.
    fn close_those_who_left(&mut self) {
        let leader = self.leader().expect("one leads");
        let replica = self.nodes[leader].replica.as_ref().unwrap();
        let members: Vec<_> = replica.members().all().collect();
        for at in 0..self.nodes.len() {
            if !members.contains(&self.nodes[at].id) {
                self.end(at);
            }
        }
    }

    /// So many ticks in which everything arrives and is written.
    pub(super) fn rest(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick();
            for _ in 0..12 {
                for packet in self.network.take_all() {
                    self.arrive(packet);
                }
                self.finish_work();
            }
        }
    }

    fn finish_work(&mut self) {
        for node in 0..self.nodes.len() {
            self.finish_writes(node);
            self.sync_journal(node);
            self.sync(node);
        }
    }

    fn finish_writes(&mut self, node: usize) {
        let has_work = |node: &Node| node.replica.is_some() && !node.work.is_empty();
        while has_work(&self.nodes[node]) {
            self.work(node);
        }
    }

    /// What is written is shown, however long no fsync is made.
    fn go_on_without_fsyncs(&mut self) {
        self.trace.note("no fsyncs".to_owned());
        let leader = self.leader().expect("one leads");
        for _ in 0..MESSAGES_WITHOUT_FSYNC {
            self.propose(leader);
            loop {
                (0..self.nodes.len()).for_each(|node| self.finish_writes(node));
                let packets = self.network.take_all();
                if packets.is_empty() {
                    break;
                }
                packets.into_iter().for_each(|packet| self.arrive(packet));
            }
        }
        let replica = self.nodes[leader].replica.as_ref().unwrap();
        assert_eq!(replica.visible(), replica.last(), "written is not shown");
    }

    /// Whoever led the sleeping group is gone, and those that are left notice.
    fn outlive_the_leader(&mut self) {
        let leader = self.leader().unwrap();
        let replica = self.nodes[leader].replica.as_ref().unwrap();
        if replica.members().voters.len() < 3 {
            return;
        }
        self.trace.note(format!("{}: gone", leader + 1));
        self.end(leader);
        self.rest(150);
        let heir = self.leader().expect("another leads");
        self.propose(heir);
        self.rest(40);
        let replica = self.nodes[heir].replica.as_ref().unwrap();
        assert_eq!(replica.commit(), replica.last(), "the group goes on");
    }

    fn check_rest(&self) {
        let leading = |node: &Node| node.replica.as_ref().is_some_and(Replica::is_leading);
        let leaders = self.nodes.iter().filter(|node| leading(node));
        let leaders: Vec<_> = leaders.collect();
        assert_eq!(leaders.len(), 1, "one leader in the end");
        let leader = leaders[0].replica.as_ref().unwrap();
        let (last, members) = (leader.last(), leader.members());
        assert!(!members.is_joint(), "every joint configuration is left");
        for id in members.all() {
            let node = &self.nodes[self.seat_of(id)];
            assert_eq!(node.id, id, "nobody is who it was before");
            let replica = node.replica.as_ref().unwrap();
            assert_eq!(replica.last(), last, "one log in the end");
            assert_eq!(replica.commit(), last, "all of it committed");
            assert_eq!(replica.visible(), last, "all of it shown");
            assert_eq!(replica.members(), members, "one configuration");
            assert!(!replica.is_recovering(), "nobody is barred for ever");
            let is_alone = members.all().count() == 1;
            assert!(is_alone || replica.is_asleep(), "{} is awake", id.get());
            assert_eq!(node.disk.entries().len() as u64, last.index.0);
        }
    }
}
