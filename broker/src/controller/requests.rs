//! What brokers ask of the controller, and how it is asked.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::controller::NewTopic;
use klamm_metadata::{Decision, MetadataRecord, Refusal, Registration};
use klamm_model::{BrokerId, Offset, TopicId, TopicName};
use klamm_protocol::ErrorCode;
use tokio::time::Instant;

use super::change;
use crate::coordinator::offsets_topic::{self, OFFSETS_TOPIC};
use crate::peer::{Answer, Group, Request};
use crate::shard::Shard;

/// How long a controller is looked for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts, if nothing happens meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks the controller, whoever that is.
///
/// # Errors
/// What the controller says, or that there is none.
pub(crate) async fn ask(shard: &Rc<Shard>, request: Request) -> Result<Answer, Refused> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let answered = match super::leads(shard) {
            true => Some(answer(shard, request.clone()).await),
            false => {
                let asked = shard.peers.ask_controller(&request);
                tokio::time::timeout_at(deadline, asked)
                    .await
                    .ok()
                    .flatten()
            }
        };
        match answered {
            Some(Answer::Refused { code, reason }) => return Err(Refused { code, reason }),
            Some(Answer::NotController { .. }) | None => shard.peers.news(PAUSE).await,
            Some(answer) => return Ok(answer),
        }
    }
    Err(Refused::no_controller())
}

/// Why the controller does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Refused {
    /// Kafka's code.
    pub(crate) code: i16,
    pub(crate) reason: String,
}

impl Refused {
    fn no_controller() -> Self {
        Self {
            code: ErrorCode::NotController.code(),
            reason: "no controller is reached: a majority of the brokers that vote on the metadata has to run".to_owned(),
        }
    }

    /// Whether asking again would be in vain.
    pub(crate) fn is_final(&self) -> bool {
        let passing = [
            ErrorCode::NotController,
            ErrorCode::RequestTimedOut,
            ErrorCode::KafkaStorageError,
            ErrorCode::UnknownServerError,
        ];
        passing.iter().all(|error| self.code != error.code())
    }

    /// As clients are told.
    pub(crate) fn error(&self) -> ErrorCode {
        ErrorCode::from_code(self.code).unwrap_or(ErrorCode::UnknownServerError)
    }
}

/// Does what a broker asks, on the controller.
pub(crate) async fn answer(shard: &Rc<Shard>, request: Request) -> Answer {
    let answered = match request {
        Request::Admit { node_id } => admit(shard, node_id).await,
        Request::Register(record) => register(shard, record).await,
        Request::ProducerIds => allocate_producer_ids(shard).await,
        Request::CreateOnFirstUse(names) => create_on_first_use(shard, &names).await,
        Request::Moved { group, members } => complete_reassignment(shard, group, &members).await,
        Request::Unregister(broker) => unregister(shard, broker).await,
        Request::ElectUncleanly(group) => super::unclean::elect(shard, group).await,
        Request::LetFound { .. }
        | Request::HandOver { .. }
        | Request::BeginWith { .. }
        | Request::Hold(_)
        | Request::AwaitKnown { .. } => Ok(Answer::Refused {
            code: ErrorCode::InvalidRequest.code(),
            reason: "this is not for the controller".to_owned(),
        }),
    };
    match answered {
        Ok(answer) => answer,
        Err(ErrorCode::NotController) => Answer::NotController { controller: None },
        Err(error) => Answer::Refused {
            code: error.code(),
            reason: error.message().to_owned(),
        },
    }
}

pub(super) fn refused(refusal: &Refusal) -> Answer {
    Answer::Refused {
        code: refusal.code(),
        reason: refusal.to_string(),
    }
}

/// Decides, or says why not.
async fn decide(
    shard: &Rc<Shard>,
    decide: impl FnOnce(&mut klamm_metadata::Controller<'_>) -> Result<Decision<Answer>, Refusal>,
) -> Result<Answer, ErrorCode> {
    change(shard, |decider| {
        decide(decider).unwrap_or_else(|refusal| Decision {
            records: Vec::new(),
            reply: refused(&refusal),
        })
    })
    .await
}

async fn admit(shard: &Rc<Shard>, node_id: Option<BrokerId>) -> Result<Answer, ErrorCode> {
    let cluster_id = shard.peers.own().cluster_id.clone();
    decide(shard, |decider| {
        let Decision { records, reply } = decider.admit_broker(node_id)?;
        Ok(Decision {
            records,
            reply: Answer::Admitted {
                cluster_id,
                broker: reply,
            },
        })
    })
    .await
}

async fn register(shard: &Rc<Shard>, record: MetadataRecord) -> Result<Answer, ErrorCode> {
    let MetadataRecord::RegisterBroker {
        id,
        incarnation,
        disks,
        peer,
        rack,
        listeners,
        version,
    } = record
    else {
        return Err(ErrorCode::InvalidRequest);
    };
    let registration = Registration {
        id: Some(id),
        incarnation: incarnation.unwrap_or(TopicId::ZERO),
        disks,
        peer,
        rack,
        listeners,
        version,
    };
    decide(shard, |decider| {
        let Decision { records, .. } = decider.register_broker(registration)?;
        Ok(Decision {
            records,
            reply: Answer::Done,
        })
    })
    .await
}

async fn allocate_producer_ids(shard: &Rc<Shard>) -> Result<Answer, ErrorCode> {
    decide(shard, |decider| {
        let Decision {
            records,
            reply: Range { start, end },
        } = decider.allocate_producer_ids()?;
        Ok(Decision {
            records,
            reply: Answer::ProducerIds {
                start: start.0,
                end: end.0,
            },
        })
    })
    .await
}

async fn complete_reassignment(
    shard: &Rc<Shard>,
    group: Group,
    members: &[u64],
) -> Result<Answer, ErrorCode> {
    change(shard, |decider| {
        let Decision { records, .. } =
            decider.complete_reassignment(group.topic_id, group.partition, members);
        Decision {
            records,
            reply: Answer::Done,
        }
    })
    .await
}

/// A broker leaves for ever. If it votes on the metadata, another one takes its place first: what it
/// alone votes on would be lost with it.
async fn unregister(shard: &Rc<Shard>, broker: BrokerId) -> Result<Answer, ErrorCode> {
    let is_possible = super::decided(shard, &shard.image(), |decider| {
        let refused = decider.unregister_broker(broker).err();
        Decision {
            records: Vec::new(),
            reply: refused,
        }
    });
    if let Some(refusal) = is_possible.reply {
        return Ok(refused(&refusal));
    }
    let _leaving = match super::duties::take_vote(shard, broker).await? {
        Some(leaving) => leaving,
        None => {
            return Ok(Answer::Refused {
                code: ErrorCode::RequestTimedOut.code(),
                reason: "no other broker is ready to take its vote on the metadata: try again when one is reached and has caught up".to_owned(),
            });
        }
    };
    decide(shard, |decider| {
        let Decision { records, .. } = decider.unregister_broker(broker)?;
        Ok(Decision {
            records,
            reply: Answer::Done,
        })
    })
    .await
}

/// Creates the topics that are not there yet, with the broker's defaults or, of Kafka's own, with
/// theirs.
async fn create_on_first_use(shard: &Rc<Shard>, names: &[String]) -> Result<Answer, ErrorCode> {
    let config = shard.config();
    let founders = config.cluster.as_ref().map_or(1, |cluster| cluster.size);
    let brokers = shard.image().broker_count().max(founders);
    let topics: Vec<_> = names
        .iter()
        .map(|name| match name.as_str() {
            OFFSETS_TOPIC => offsets_topic::new_topic(&config.offsets, brokers),
            other => NewTopic::with_defaults(other),
        })
        .collect();
    let decided = change(shard, |decider| decider.create_topics(&topics, false));
    for (topic, outcome) in decided.await? {
        if let Err(refusal @ Refusal::PartitionsMax(_)) = &outcome
            && let Some(times) = shard.controller.full.count(shard.clock.now())
        {
            // Clients are only told that there is no such topic, as by Kafka.
            tracing::warn!(topic, times, %refusal, "topic is not created on first use");
        } else if let Err(refusal) = outcome {
            tracing::debug!(topic, %refusal, "topic is not created on first use");
        }
    }
    let image = shard.image();
    let there = names.iter().filter(|name| image.topic(name).is_some());
    Ok(Answer::Created(there.cloned().collect()))
}

// ---- What this broker asks for ----

/// A block of producer ids that nobody else gets.
pub(crate) async fn take_producer_ids(shard: &Rc<Shard>) -> Result<Range<i64>, ErrorCode> {
    match ask(shard, Request::ProducerIds).await {
        Ok(Answer::ProducerIds { start, end }) => Ok(start..end),
        Ok(_) => Err(ErrorCode::UnknownServerError),
        Err(refused) => {
            tracing::error!(%refused, "no producer id can be given out");
            Err(refused.error())
        }
    }
}

/// Has topics created that are not there yet, and waits until they are led.
pub(crate) async fn auto_create(shard: &Rc<Shard>, names: &[TopicName]) {
    let request = names.iter().map(|name| name.as_str().to_owned()).collect();
    match ask(shard, Request::CreateOnFirstUse(request)).await {
        Ok(Answer::Created(names)) => await_leaders(shard, &names).await,
        Ok(_) => {}
        Err(refused) => tracing::warn!(%refused, "topics cannot be created on first use"),
    }
}

/// How long a client that has created a topic waits until all its partitions are led.
const ELECTION_TIME: Duration = Duration::from_secs(2);

/// How long a change waits at most until all brokers that are reached know it.
const SPREADING_TIME: Duration = Duration::from_millis(500);

/// Waits until all brokers that are reached know what has been decided below `offset`: a client that
/// asks another broker next finds what it has just been told.
pub(super) async fn await_spread(shard: &Rc<Shard>, offset: Offset) {
    let partition = shard.controller.partition();
    let now = shard.clock.now();
    partition.drive(|driver, outcomes| driver.announce(now, outcomes));
    shard.attend(partition);
    shard.peers.flush();
    let request = Request::AwaitKnown {
        offset: offset.get(),
        topics: Vec::new(),
    };
    let asked = shard.peers.ask_all(&request);
    // Who takes longer learns it later.
    tokio::time::timeout(SPREADING_TIME, asked).await.ok();
}

/// Waits until this broker knows what has been decided below `offset`, and who leads the topics.
pub(crate) async fn await_known(shard: &Rc<Shard>, offset: i64, topics: &[String]) {
    if let Some(offset) = Offset::checked(offset) {
        let applied = shard.controller.applied(offset);
        tokio::time::timeout(ELECTION_TIME, applied).await.ok();
    }
    await_leaders_here(shard, topics).await;
}

/// Waits until all partitions of these topics are led, as all brokers that are reached know, but not
/// for long: some clients give up on a partition without a leader.
pub(crate) async fn await_leaders(shard: &Rc<Shard>, names: &[String]) {
    await_leaders_here(shard, names).await;
    let request = Request::AwaitKnown {
        offset: 0,
        topics: names.to_vec(),
    };
    let asked = shard.peers.ask_all(&request);
    tokio::time::timeout(SPREADING_TIME, asked).await.ok();
}

async fn await_leaders_here(shard: &Rc<Shard>, names: &[String]) {
    let deadline = Instant::now() + ELECTION_TIME;
    while Instant::now() < deadline && !names.iter().all(|name| is_led(shard, name)) {
        shard.peers.news(PAUSE).await;
    }
}

fn is_led(shard: &Shard, name: &str) -> bool {
    let image = shard.image();
    let Some(topic) = image.topic(name) else {
        return false;
    };
    let led = |partition| {
        let group = Group {
            topic_id: topic.id,
            partition,
        };
        shard.peers.leader(group).is_some()
    };
    topic.partition_indexes().all(led)
}
