//! Unclean elections: which replica goes on alone when a majority of a partition's voters is lost.
//!
//! It is held on order only. Whatever the lost voters had acknowledged and the survivor has not is given
//! up, so nobody is elected here where the replicas can elect a leader by themselves.

use klamm_model::{BrokerId, LeaderEpoch, LogIndex, PartitionIndex, Term, TopicId};

use super::{Controller, Decision};
use crate::image::{
    KLAMM_VERSION, LogEnd, PartitionImage, UNCLEAN_ELECTIONS_LEVEL, UncleanElection,
};
use crate::record::MetadataRecord;
use crate::refusal::Refusal;

/// What a replica that is reached says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Which one it is.
    pub replica: u64,
    /// How many unclean elections its log has been through.
    pub unclean_elections: u64,
    /// Where its log ends.
    pub log_end: LogEnd,
    /// The latest term that it knows.
    pub term: Term,
    /// Whether it leads.
    pub leads: bool,
    /// Whether it takes part in elections: not if it may lack what it has acknowledged.
    pub may_vote: bool,
    /// The entry since which its group has these voters, as far as it knows.
    pub voters_since: LogIndex,
    /// Those sets of voters of which each needs a majority; none if it does not know them.
    pub voters: Vec<Vec<u64>>,
}

/// What has been decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncleanOutcome {
    /// The broker whose replica goes on.
    pub survivor: BrokerId,
    /// Where its log ends: records behind this are given up.
    pub log_end: LogEnd,
    /// The brokers whose replicas were given up.
    pub given_up: Vec<BrokerId>,
}

/// How far the leader epoch goes ahead: those who were given up may have elected leaders that nobody here
/// has heard of, and consumers may have heard of those. There are two thousand million epochs.
const EPOCHS_AHEAD: i32 = 1_000;

impl Controller<'_> {
    /// ElectLeaders of type UNCLEAN for one partition: of those who are reached, the one that has most goes
    /// on alone. `heard` is the latest leader epoch that anybody was heard to lead in.
    ///
    /// # Errors
    /// If there is no such partition, it has a leader, a majority of its voters is reached, nobody is, or a
    /// broker is too old to know what an unclean election is.
    pub fn elect_uncleanly(
        &self,
        topic: TopicId,
        index: PartitionIndex,
        contenders: &[Contender],
        heard: Option<LeaderEpoch>,
    ) -> Result<Decision<UncleanOutcome>, Refusal> {
        let found = self.image.topic_by_id(topic);
        let partition = found.and_then(|topic| topic.partition(index));
        let partition = partition.ok_or(Refusal::UnknownTopicId)?;
        let contenders = present(partition, contenders);
        if contenders.iter().any(|one| one.leads) {
            return Err(Refusal::ElectionNotNeeded);
        }
        if can_elect(&contenders) || goes_on_already(partition, &contenders) {
            return Err(Refusal::CleanElectionPossible);
        }
        let best = contenders.iter().max_by_key(|one| rank(one));
        let best = best.ok_or(Refusal::NoReplicaReached)?;
        let survivor = partition.broker_of(best.replica);
        let survivor = survivor.ok_or(Refusal::NoReplicaReached)?;
        let mut records = Vec::from_iter(self.raise_version(UNCLEAN_ELECTIONS_LEVEL)?);
        let known = contenders.iter().map(|one| one.term.leader_epoch());
        let latest = known.chain(heard).max().map_or(0, |epoch| epoch.0);
        let leader_epoch = LeaderEpoch(latest.saturating_add(EPOCHS_AHEAD));
        let after = partition.after_unclean_election(best.replica, best.log_end, leader_epoch);
        records.push(MetadataRecord::partition(topic, index, after));
        let others = partition.broker_ids().filter(|broker| *broker != survivor);
        let reply = UncleanOutcome {
            survivor,
            log_end: best.log_end,
            given_up: others.collect(),
        };
        Ok(Decision { records, reply })
    }

    /// Raises the level of [`KLAMM_VERSION`], if it is lower and all brokers understand that one.
    fn raise_version(&self, level: u16) -> Result<Option<MetadataRecord>, Refusal> {
        if self.image.feature(KLAMM_VERSION) >= Some(level) {
            return Ok(None);
        }
        let mut brokers = self.image.brokers();
        if let Some(old) = brokers.find(|broker| broker.version < level) {
            return Err(Refusal::BrokerTooOld(old.id.0));
        }
        Ok(Some(MetadataRecord::Feature {
            name: KLAMM_VERSION.to_owned(),
            level,
        }))
    }
}

/// Those that are replicas of the partition now, with logs that may go on.
fn present<'a>(partition: &PartitionImage, contenders: &'a [Contender]) -> Vec<&'a Contender> {
    let needed = partition.unclean_elections();
    let is_present = |one: &&Contender| {
        partition.broker_of(one.replica).is_some() && one.unclean_elections + 1 >= needed
    };
    contenders.iter().filter(is_present).collect()
}

/// Whether the last election has a survivor that is about to go on.
fn goes_on_already(partition: &PartitionImage, contenders: &[&Contender]) -> bool {
    let is_about_to = |election: UncleanElection| {
        let survivor = |one: &&&Contender| one.replica == election.survivor;
        let survivor = contenders.iter().find(survivor);
        survivor.is_some_and(|one| one.unclean_elections < election.number)
    };
    partition.unclean_election.is_some_and(is_about_to)
}

/// Whether the replicas elect a leader without help: a majority of the voters takes part in elections, or
/// all of them can say what they have.
fn can_elect(contenders: &[&Contender]) -> bool {
    let configuration = |one: &&&Contender| (one.unclean_elections, one.voters_since);
    let Some(latest) = contenders.iter().max_by_key(configuration) else {
        return false;
    };
    let find = |voter: &u64| contenders.iter().find(|one| one.replica == *voter);
    let sets = || latest.voters.iter();
    let have_majority = sets().all(|set| {
        let voting = set.iter().filter_map(find).filter(|one| one.may_vote);
        voting.count() > set.len() / 2
    });
    let are_all_here = sets().flatten().all(|voter| find(voter).is_some());
    !latest.voters.is_empty() && (have_majority || are_all_here)
}

/// Who has most: a log that ends in a later term holds all that was committed before, and of two that end
/// in the same the longer one begins with the other. The lowest number of equals.
fn rank(one: &Contender) -> (Term, LogIndex, std::cmp::Reverse<u64>) {
    let LogEnd { term, index, .. } = one.log_end;
    (term, index, std::cmp::Reverse(one.replica))
}
