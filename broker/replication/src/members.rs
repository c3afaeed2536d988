//! Who belongs to a group: those that vote, those that only copy the log, and in between two sets of
//! voters those that are on their way out.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::ReplicaId;

/// A whole configuration of a group, as a membership entry holds it. Without any voter it is that of
/// a replica which has not been told of one yet.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Members {
    /// Those that vote, ascending.
    pub voters: Vec<ReplicaId>,
    /// Those that voted before, ascending; empty unless the configuration is joint: then an entry needs
    /// a majority of either set, and so does a leader.
    pub outgoing: Vec<ReplicaId>,
    /// Those that are given the log and have no say, ascending; none of them is among `voters`. One
    /// that is among `outgoing` becomes a learner when the joint configuration is left.
    pub learners: Vec<ReplicaId>,
    /// How many unclean elections the group has been through: what it held before the last of them
    /// may differ from what replicas hold that were given up then.
    pub unclean_elections: u64,
}

/// Why bytes are no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// They end too early, or too late.
    #[error("the members have the wrong length")]
    Length,
    /// A version that this broker does not know.
    #[error("unknown version of members version={0}")]
    Version(u8),
    /// Nobody votes, somebody is named twice, or is out of order.
    #[error("impossible members")]
    Impossible,
}

impl Members {
    /// The first byte of a configuration before any unclean election: then the three lists, each as its
    /// length (2 bytes) and its ids (8 bytes), big-endian.
    const CLEAN: u8 = 1;
    /// The first byte of any other: the same, and then the number of unclean elections (8 bytes).
    const UNCLEAN: u8 = 2;

    /// These vote, and nobody else belongs to the group.
    pub fn of_voters(voters: impl IntoIterator<Item = ReplicaId>) -> Self {
        Self {
            voters: sorted(voters),
            ..Self::default()
        }
    }

    /// The same, with these as learners. Panics if one of them votes.
    pub fn with_learners(self, learners: impl IntoIterator<Item = ReplicaId>) -> Self {
        let learners = sorted(learners);
        let votes = |learner: &ReplicaId| self.voters.contains(learner);
        assert!(!learners.iter().any(votes), "a learner does not vote");
        Self { learners, ..self }
    }

    /// The same members, in a group that has been through so many unclean elections.
    pub fn after_unclean_elections(self, unclean_elections: u64) -> Self {
        Self {
            unclean_elections,
            ..self
        }
    }

    /// Whether two sets of voters decide.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The sets of voters of which a decision takes a majority each: one, two if they are joint, none if
    /// nobody is known.
    pub fn deciding(&self) -> impl Iterator<Item = &[ReplicaId]> {
        let sets = [&self.voters, &self.outgoing];
        sets.into_iter()
            .map(Vec::as_slice)
            .filter(|set| !set.is_empty())
    }

    /// Whether a replica votes, in either set.
    pub fn is_voter(&self, id: ReplicaId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Whether a replica belongs to the group.
    pub fn contains(&self, id: ReplicaId) -> bool {
        self.is_voter(id) || self.learners.contains(&id)
    }

    /// All that belong to the group, each once.
    pub fn all(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let learners = self.learners.iter().copied();
        self.all_voters()
            .chain(learners.filter(|learner| !self.outgoing.contains(learner)))
    }

    /// All that vote in either set, each once.
    pub fn all_voters(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let outgoing = self.outgoing.iter().copied();
        let voters = self.voters.iter().copied();
        voters.chain(outgoing.filter(|voter| !self.voters.contains(voter)))
    }

    /// Whether this replica decides by itself what is committed.
    pub(crate) fn has_lone_voter(&self, id: ReplicaId) -> bool {
        self.voters == [id] && !self.is_joint()
    }

    /// Whether this replica decides by itself, and nobody is to be told.
    pub(crate) fn is_alone(&self, id: ReplicaId) -> bool {
        self.has_lone_voter(id) && self.learners.is_empty()
    }

    /// As bytes, for a membership entry. Panics on a configuration without voters.
    pub fn encode(&self) -> Bytes {
        assert!(!self.voters.is_empty(), "somebody votes");
        let mut bytes = BytesMut::new();
        bytes.put_u8(match self.unclean_elections {
            0 => Self::CLEAN,
            _ => Self::UNCLEAN,
        });
        for list in [&self.voters, &self.outgoing, &self.learners] {
            bytes.put_u16(u16::try_from(list.len()).expect("a few replicas"));
            list.iter().for_each(|id| bytes.put_u64(id.get()));
        }
        if self.unclean_elections > 0 {
            bytes.put_u64(self.unclean_elections);
        }
        bytes.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written. Nothing is believed: the bytes may have come
    /// from another broker.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, MembersError> {
        let version = bytes.try_get_u8().map_err(|_| MembersError::Length)?;
        if !matches!(version, Self::CLEAN | Self::UNCLEAN) {
            return Err(MembersError::Version(version));
        }
        let members = Self {
            voters: take_list(&mut bytes)?,
            outgoing: take_list(&mut bytes)?,
            learners: take_list(&mut bytes)?,
            unclean_elections: match version {
                Self::CLEAN => 0,
                _ => take_count(&mut bytes)?,
            },
        };
        if !bytes.is_empty() {
            return Err(MembersError::Length);
        }
        let votes = |learner: &ReplicaId| members.voters.contains(learner);
        match members.voters.is_empty() || members.learners.iter().any(votes) {
            true => Err(MembersError::Impossible),
            false => Ok(members),
        }
    }
}

fn sorted(ids: impl IntoIterator<Item = ReplicaId>) -> Vec<ReplicaId> {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn take_list(bytes: &mut &[u8]) -> Result<Vec<ReplicaId>, MembersError> {
    let count = bytes.try_get_u16().map_err(|_| MembersError::Length)?;
    let mut ids: Vec<ReplicaId> = Vec::new();
    for _ in 0..count {
        let id = bytes.try_get_u64().map_err(|_| MembersError::Length)?;
        let id = ReplicaId::new(id).ok_or(MembersError::Impossible)?;
        if ids.last().is_some_and(|last| *last >= id) {
            return Err(MembersError::Impossible);
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Of unclean elections; there was one at least.
fn take_count(bytes: &mut &[u8]) -> Result<u64, MembersError> {
    match bytes.try_get_u64() {
        Ok(0) => Err(MembersError::Impossible),
        Ok(count) => Ok(count),
        Err(_) => Err(MembersError::Length),
    }
}

impl fmt::Display for Members {
    /// `1,2,4|1,2,3+5`: 1, 2 and 4 vote together with 1, 2 and 3, and 5 learns. `1!2`: 1 votes, after two
    /// unclean elections.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &[ReplicaId]| {
            let ids: Vec<_> = ids.iter().map(|id| id.get().to_string()).collect();
            ids.join(",")
        };
        f.write_str(&list(&self.voters))?;
        if self.is_joint() {
            write!(f, "|{}", list(&self.outgoing))?;
        }
        if !self.learners.is_empty() {
            write!(f, "+{}", list(&self.learners))?;
        }
        if self.unclean_elections > 0 {
            write!(f, "!{}", self.unclean_elections)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Vec<ReplicaId> {
        let id = |id: &u64| ReplicaId::new(*id).expect("not 0");
        ids.iter().map(id).collect()
    }

    fn joint() -> Members {
        Members {
            outgoing: ids(&[1, 2, 3]),
            ..Members::of_voters(ids(&[4, 1])).with_learners(ids(&[5, 3]))
        }
    }

    #[test]
    fn a_member_is_named_once_however_many_sets_it_is_in() {
        let members = joint();
        assert_eq!(members.to_string(), "1,4|1,2,3+3,5");
        assert_eq!(members.all().collect::<Vec<_>>(), ids(&[1, 4, 2, 3, 5]));
        assert_eq!(members.all_voters().count(), 4);
        let [one, three, five, six] = ids(&[1, 3, 5, 6])[..] else {
            unreachable!("four ids");
        };
        assert!(members.is_voter(one) && members.is_voter(three) && !members.is_voter(five));
        assert!(members.contains(five) && !members.contains(six));
        assert!(!members.has_lone_voter(one));
        let lone = Members::of_voters([one]);
        assert!(lone.is_alone(one) && !lone.is_alone(three));
        let taught = lone.with_learners([five]);
        assert!(taught.has_lone_voter(one) && !taught.is_alone(one));
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else_is() {
        let after = joint().after_unclean_elections(300);
        assert_eq!(after.to_string(), "1,4|1,2,3+3,5!300");
        for members in [joint(), Members::of_voters(ids(&[7])), after] {
            let bytes = members.encode();
            assert_eq!(Members::decode(&bytes), Ok(members));
            for cut in 0..bytes.len() {
                let decoded = Members::decode(&bytes[..cut]);
                assert_eq!(decoded, Err(MembersError::Length), "cut at {cut}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Members::decode(&longer), Err(MembersError::Length));
        }
        assert_eq!(Members::decode(&[9]), Err(MembersError::Version(9)));
        let mut none = Members::of_voters(ids(&[7]))
            .after_unclean_elections(1)
            .encode()
            .to_vec();
        *none.last_mut().unwrap() = 0;
        assert_eq!(Members::decode(&none), Err(MembersError::Impossible));
        // A count that promises more than there is reserves nothing.
        let promised = [1, 0xff, 0xff];
        assert_eq!(Members::decode(&promised), Err(MembersError::Length));
    }

    #[test]
    fn impossible_members_are_refused() {
        let check = |voters: &[u64], learners: &[u64]| {
            let mut bytes = vec![1];
            for list in [voters, &[], learners] {
                bytes.extend((list.len() as u16).to_be_bytes());
                bytes.extend(list.iter().flat_map(|id| id.to_be_bytes()));
            }
            assert_eq!(Members::decode(&bytes), Err(MembersError::Impossible));
        };
        check(&[], &[1]);
        check(&[0], &[]);
        check(&[2, 1], &[]);
        check(&[1, 1], &[]);
        check(&[1, 2], &[2]);
    }
}
