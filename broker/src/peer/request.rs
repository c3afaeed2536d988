//! What brokers ask of each other beside Raft, and what they answer.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_metadata::MetadataRecord;
use klamm_model::{BrokerId, LogIndex, Offset, Term, TopicId};
use klamm_replication::{Configuration, EntryId, Members, ReplicaId};

use super::wire::{
    Address, Group, Levels, WireError, end, put_address, put_broker, put_group, put_text,
    take_address, take_broker, take_group, take_id, take_text, take_u8,
};
use crate::partition::driver::Holding;

/// Asked of any broker; most of it is answered by the controller alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    /// A broker without data wants to be the founder of a cluster: the other, which has none either, is
    /// to promise that it will not be.
    LetFound {
        /// Who asks.
        incarnation: TopicId,
    },
    /// A broker without data wants to belong to the cluster.
    Admit {
        /// The number that its settings give it.
        node_id: Option<BrokerId>,
    },
    /// A broker has started; the record is a registration.
    Register(MetadataRecord),
    /// A block of producer ids.
    ProducerIds,
    /// Topics that are to be created with the defaults, since somebody has named them.
    CreateOnFirstUse(Vec<String>),
    /// The leader of a partition is to give its place to another broker.
    HandOver {
        /// The partition.
        group: Group,
        /// To whom.
        to: BrokerId,
    },
    /// The answer is to wait until the other knows what has been decided, up to there, and who leads
    /// these topics; but not for long.
    AwaitKnown {
        /// The first metadata record that need not be known.
        offset: i64,
        /// The topics.
        topics: Vec<String>,
    },
    /// The log of a partition begins here with its leader: so it is to do with the other's replica.
    BeginWith {
        /// The partition.
        group: Group,
        /// The first offset that is there.
        offset: Offset,
    },
    /// The replicas of a partition are where they were to be.
    Moved {
        /// The partition.
        group: Group,
        /// The replicas that are members of its group now.
        members: Vec<u64>,
    },
    /// A broker is to leave the cluster for ever.
    Unregister(BrokerId),
    /// A partition without a leader is to get one, whatever is lost by that.
    ElectUncleanly(Group),
    /// The other is to say what its replica of a partition holds.
    Hold(Group),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done, or promised.
    Done,
    /// Somebody else decides.
    NotController {
        /// Who, if that is known.
        controller: Option<(BrokerId, Address)>,
    },
    /// It is not done, and why; codes are Kafka's.
    Refused {
        /// The code.
        code: i16,
        /// For the log.
        reason: String,
    },
    /// The broker belongs to the cluster under this number.
    Admitted {
        /// The cluster.
        cluster_id: String,
        /// The broker's number.
        broker: BrokerId,
    },
    /// Of the topics asked for, those that are there now.
    Created(Vec<String>),
    /// From the first id of a block to the first after it.
    ProducerIds {
        /// The first.
        start: i64,
        /// The first after it.
        end: i64,
    },
    /// What the replica holds that was asked about.
    Holds(Box<Holding>),
}

mod kind {
    pub(super) const LET_FOUND: u8 = 1;
    pub(super) const ADMIT: u8 = 2;
    pub(super) const REGISTER: u8 = 3;
    pub(super) const PRODUCER_IDS: u8 = 4;
    pub(super) const CREATE_ON_FIRST_USE: u8 = 5;
    pub(super) const HAND_OVER: u8 = 6;
    pub(super) const MOVED: u8 = 7;
    pub(super) const AWAIT_KNOWN: u8 = 8;
    pub(super) const UNREGISTER: u8 = 9;
    pub(super) const BEGIN_WITH: u8 = 10;
    pub(super) const ELECT_UNCLEANLY: u8 = 11;
    pub(super) const HOLD: u8 = 12;

    pub(super) const DONE: u8 = 1;
    pub(super) const NOT_CONTROLLER: u8 = 2;
    pub(super) const REFUSED: u8 = 3;
    pub(super) const ADMITTED: u8 = 4;
    pub(super) const PRODUCER_ID_BLOCK: u8 = 5;
    pub(super) const CREATED: u8 = 6;
    pub(super) const HOLDS: u8 = 7;
}

impl Request {
    /// The level from which on it is understood.
    pub(super) fn level(&self) -> u8 {
        match self {
            Self::ElectUncleanly(_) | Self::Hold(_) => Levels::UNCLEAN_ELECTIONS,
            _ => Levels::FIRST,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::LetFound { incarnation } => {
                out.put_u8(kind::LET_FOUND);
                out.put_slice(incarnation.as_bytes());
            }
            Self::Admit { node_id } => {
                out.put_u8(kind::ADMIT);
                put_broker(&mut out, *node_id);
            }
            Self::Register(record) => {
                out.put_u8(kind::REGISTER);
                out.put_slice(&record.encode());
            }
            Self::ProducerIds => out.put_u8(kind::PRODUCER_IDS),
            Self::CreateOnFirstUse(names) => {
                out.put_u8(kind::CREATE_ON_FIRST_USE);
                names.iter().for_each(|name| put_text(&mut out, name));
            }
            Self::HandOver { group, to } => {
                out.put_u8(kind::HAND_OVER);
                put_group(&mut out, *group);
                put_broker(&mut out, Some(*to));
            }
            Self::AwaitKnown { offset, topics } => {
                out.put_u8(kind::AWAIT_KNOWN);
                out.put_i64(*offset);
                topics.iter().for_each(|topic| put_text(&mut out, topic));
            }
            Self::BeginWith { group, offset } => {
                out.put_u8(kind::BEGIN_WITH);
                put_group(&mut out, *group);
                out.put_i64(offset.get());
            }
            Self::Moved { group, members } => {
                out.put_u8(kind::MOVED);
                put_group(&mut out, *group);
                members.iter().for_each(|member| out.put_u64(*member));
            }
            Self::Unregister(broker) => {
                out.put_u8(kind::UNREGISTER);
                put_broker(&mut out, Some(*broker));
            }
            Self::ElectUncleanly(group) => {
                out.put_u8(kind::ELECT_UNCLEANLY);
                put_group(&mut out, *group);
            }
            Self::Hold(group) => {
                out.put_u8(kind::HOLD);
                put_group(&mut out, *group);
            }
        }
        out.freeze()
    }

    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
        let bytes = &mut bytes;
        let request = match take_u8(bytes)? {
            kind::LET_FOUND => Self::LetFound {
                incarnation: take_id(bytes)?,
            },
            kind::ADMIT => Self::Admit {
                node_id: take_broker(bytes)?,
            },
            kind::REGISTER => {
                let record = MetadataRecord::decode(&bytes.split_to(bytes.len()));
                let record = record.map_err(|_| WireError::Truncated)?;
                Self::Register(record)
            }
            kind::PRODUCER_IDS => Self::ProducerIds,
            kind::CREATE_ON_FIRST_USE => Self::CreateOnFirstUse(take_texts(bytes)?),
            kind::HAND_OVER => Self::HandOver {
                group: take_group(bytes)?,
                to: take_broker(bytes)?.ok_or(WireError::Truncated)?,
            },
            kind::AWAIT_KNOWN => Self::AwaitKnown {
                offset: bytes.try_get_i64().map_err(|_| WireError::Truncated)?,
                topics: take_texts(bytes)?,
            },
            kind::BEGIN_WITH => Self::BeginWith {
                group: take_group(bytes)?,
                offset: {
                    let offset = bytes.try_get_i64().map_err(|_| WireError::Truncated)?;
                    Offset::checked(offset).ok_or(WireError::Number("offset"))?
                },
            },
            kind::MOVED => {
                let group = take_group(bytes)?;
                let mut members = Vec::new();
                while !bytes.is_empty() {
                    let member = bytes.try_get_u64();
                    members.push(member.map_err(|_| WireError::Truncated)?);
                }
                Self::Moved { group, members }
            }
            kind::UNREGISTER => {
                let broker = take_broker(bytes)?;
                Self::Unregister(broker.ok_or(WireError::Truncated)?)
            }
            kind::ELECT_UNCLEANLY => Self::ElectUncleanly(take_group(bytes)?),
            kind::HOLD => Self::Hold(take_group(bytes)?),
            other => return Err(WireError::Kind(other)),
        };
        end(bytes).map(|()| request)
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Done => out.put_u8(kind::DONE),
            Self::NotController { controller } => {
                out.put_u8(kind::NOT_CONTROLLER);
                put_broker(&mut out, controller.as_ref().map(|(broker, _)| *broker));
                if let Some((_, address)) = controller {
                    put_address(&mut out, address);
                }
            }
            Self::Refused { code, reason } => {
                out.put_u8(kind::REFUSED);
                out.put_i16(*code);
                put_text(&mut out, reason);
            }
            Self::Admitted { cluster_id, broker } => {
                out.put_u8(kind::ADMITTED);
                put_text(&mut out, cluster_id);
                put_broker(&mut out, Some(*broker));
            }
            Self::Created(names) => {
                out.put_u8(kind::CREATED);
                names.iter().for_each(|name| put_text(&mut out, name));
            }
            Self::ProducerIds { start, end } => {
                out.put_u8(kind::PRODUCER_ID_BLOCK);
                out.put_i64(*start);
                out.put_i64(*end);
            }
            Self::Holds(held) => {
                out.put_u8(kind::HOLDS);
                put_holding(&mut out, held);
            }
        }
        out.freeze()
    }

    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
        let bytes = &mut bytes;
        let number = |bytes: &mut Bytes| bytes.try_get_i64().map_err(|_| WireError::Truncated);
        let answer = match take_u8(bytes)? {
            kind::DONE => Self::Done,
            kind::NOT_CONTROLLER => Self::NotController {
                controller: match take_broker(bytes)? {
                    Some(broker) => Some((broker, take_address(bytes)?)),
                    None => None,
                },
            },
            kind::REFUSED => Self::Refused {
                code: bytes.try_get_i16().map_err(|_| WireError::Truncated)?,
                reason: take_text(bytes)?,
            },
            kind::ADMITTED => Self::Admitted {
                cluster_id: take_text(bytes)?,
                broker: take_broker(bytes)?.ok_or(WireError::Truncated)?,
            },
            kind::CREATED => Self::Created(take_texts(bytes)?),
            kind::PRODUCER_ID_BLOCK => Self::ProducerIds {
                start: number(bytes)?,
                end: number(bytes)?,
            },
            kind::HOLDS => Self::Holds(Box::new(take_holding(bytes)?)),
            other => return Err(WireError::Kind(other)),
        };
        end(bytes).map(|()| answer)
    }
}

fn put_holding(out: &mut BytesMut, held: &Holding) {
    out.put_u64(held.replica.get());
    out.put_u64(held.last.index.0);
    out.put_u64(held.last.term.get());
    out.put_i64(held.end_offset.get());
    out.put_u64(held.term.get());
    out.put_u8(u8::from(held.leads));
    out.put_u8(u8::from(held.may_vote));
    out.put_u64(held.configuration.since.0);
    let members = &held.configuration.members;
    if !members.voters.is_empty() {
        out.put_slice(&members.encode());
    }
}

fn take_holding(bytes: &mut Bytes) -> Result<Holding, WireError> {
    let number = |bytes: &mut Bytes| bytes.try_get_u64().map_err(|_| WireError::Truncated);
    let term = |bytes: &mut Bytes| {
        let term = number(bytes)?;
        let fits = i32::try_from(term).is_ok();
        fits.then(|| Term::new(term))
            .ok_or(WireError::Number("term"))
    };
    let flag = |bytes: &mut Bytes| match take_u8(bytes)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::Number("flag")),
    };
    let replica = ReplicaId::new(number(bytes)?).ok_or(WireError::Number("replica"))?;
    let last = EntryId {
        index: LogIndex(number(bytes)?),
        term: term(bytes)?,
    };
    let end_offset = bytes.try_get_i64().map_err(|_| WireError::Truncated)?;
    Ok(Holding {
        replica,
        last,
        end_offset: Offset::checked(end_offset).ok_or(WireError::Number("offset"))?,
        term: term(bytes)?,
        leads: flag(bytes)?,
        may_vote: flag(bytes)?,
        configuration: Configuration {
            since: LogIndex(number(bytes)?),
            members: match bytes.split_to(bytes.len()) {
                none if none.is_empty() => Members::default(),
                some => Members::decode(&some).map_err(|_| WireError::Number("members"))?,
            },
        },
    })
}

fn take_texts(bytes: &mut Bytes) -> Result<Vec<String>, WireError> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        texts.push(take_text(bytes)?);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use klamm_model::PartitionIndex;

    use super::*;

    #[test]
    fn every_request_reads_back_as_written_and_none_does_when_cut() {
        let group = Group {
            topic_id: TopicId::from_bytes([3; 16]),
            partition: PartitionIndex(7),
        };
        let requests = [
            Request::LetFound {
                incarnation: TopicId::from_bytes([9; 16]),
            },
            Request::Admit {
                node_id: Some(BrokerId(0)),
            },
            Request::Admit { node_id: None },
            Request::Register(MetadataRecord::Cluster { id: "c".to_owned() }),
            Request::ProducerIds,
            Request::CreateOnFirstUse(vec!["a".to_owned(), "b".to_owned()]),
            Request::HandOver {
                group,
                to: BrokerId(2),
            },
            Request::BeginWith {
                group,
                offset: Offset::new(12),
            },
            Request::Moved {
                group,
                members: vec![1, 4],
            },
            Request::AwaitKnown {
                offset: 7,
                topics: vec!["a".to_owned()],
            },
            Request::Unregister(BrokerId(3)),
            Request::ElectUncleanly(group),
            Request::Hold(group),
        ];
        for request in requests {
            let bytes = request.encode();
            assert_eq!(Request::decode(bytes.clone()), Ok(request.clone()));
            let cut = Request::decode(bytes.slice(..bytes.len() - 1));
            assert_ne!(cut, Ok(request));
        }
    }

    fn holding() -> Holding {
        let replica = ReplicaId::new(4).expect("not 0");
        Holding {
            replica,
            last: EntryId {
                index: LogIndex(9),
                term: Term::new(2),
            },
            end_offset: Offset::new(7),
            term: Term::new(3),
            leads: false,
            may_vote: true,
            configuration: Configuration {
                since: LogIndex(5),
                members: Members::of_voters([replica]).after_unclean_elections(1),
            },
        }
    }

    #[test]
    fn a_replica_that_knows_no_members_says_so() {
        let held = Holding {
            configuration: Configuration::default(),
            ..holding()
        };
        let answer = Answer::Holds(Box::new(held));
        assert_eq!(Answer::decode(answer.encode()), Ok(answer));
    }

    #[test]
    fn every_answer_reads_back_as_written_and_none_does_when_cut() {
        let address = Address {
            host: "h".to_owned(),
            port: 1,
        };
        let answers = [
            Answer::Done,
            Answer::NotController { controller: None },
            Answer::NotController {
                controller: Some((BrokerId(4), address)),
            },
            Answer::Refused {
                code: 7,
                reason: "because".to_owned(),
            },
            Answer::Admitted {
                cluster_id: "c".to_owned(),
                broker: BrokerId(1),
            },
            Answer::ProducerIds { start: 0, end: 9 },
            Answer::Created(vec!["a".to_owned(), "b".to_owned()]),
            Answer::Holds(Box::new(holding())),
        ];
        for answer in answers {
            let bytes = answer.encode();
            assert_eq!(Answer::decode(bytes.clone()), Ok(answer));
            assert!(Answer::decode(bytes.slice(..bytes.len() - 1)).is_err());
        }
    }
}
