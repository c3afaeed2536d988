//! How a broker without data comes to belong to a cluster: it finds one, or founds one with others
//! that have none either.
//!
//! All of them ask around among the seed brokers. Who meets a cluster asks to be admitted. Where so
//! many have met as are to found one (`klamm.cluster.size`), the one with the lowest incarnation asks
//! all others to let it, and founds the cluster alone when they have promised; the others find it
//! then. A promise binds for some seconds, so where exactly so many brokers start there is one founder
//! at most; two halves of a larger number that do not see each other could found two clusters, which
//! refuse each other afterwards.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use klamm_model::{BrokerId, TopicId};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::link::ask_once;
use super::request::{Answer, Request};
use super::seeking;
use super::socket::{self, Frames, LinkError};
use super::wire::{
    self, Address, Frame, GREETING_BYTES_MAX, Greeting, Levels, Purpose, Refused, Welcome,
};
use crate::config::ClusterConfig;
use crate::entropy;
use crate::log_dirs::Owner;
use crate::tasks;

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two lines of the log about it.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// How long a promise binds.
const PROMISE: Duration = Duration::from_secs(10);
/// The number of a founder that has none in its settings.
const FIRST_BROKER: BrokerId = BrokerId(1);

/// Why a broker cannot join.
#[derive(Debug, thiserror::Error)]
#[error("the cluster does not admit this broker: {0}")]
pub struct NotAdmitted(String);

/// What became of a broker without data.
pub(crate) struct Joined {
    pub(crate) owner: Owner,
    /// Whether the cluster begins with it.
    pub(crate) is_founder: bool,
}

/// A broker without data.
struct Candidate {
    incarnation: TopicId,
    address: Address,
    node_id: Option<BrokerId>,
    /// Whom it lets found the cluster, and until when that binds.
    promised: Cell<Option<(TopicId, Instant)>>,
    is_founding: Cell<bool>,
}

/// Who was met in one round.
#[derive(Default)]
struct Met {
    /// Where a cluster was found.
    cluster: Option<Address>,
    /// Others without data.
    candidates: BTreeMap<TopicId, Address>,
}

/// Finds or founds the cluster that this broker, which has no data, is to belong to. `address` is
/// where `listener` is reached.
pub(crate) async fn join(
    config: &ClusterConfig,
    node_id: Option<BrokerId>,
    listener: &TcpListener,
    address: Address,
    incarnation: TopicId,
) -> Result<Joined, NotAdmitted> {
    let candidate = Rc::new(Candidate {
        incarnation,
        address,
        node_id,
        promised: Cell::new(None),
        is_founding: Cell::new(false),
    });
    let mut reported = None;
    loop {
        let round = async {
            let met = candidate.look_around(config).await;
            tokio::time::sleep(PAUSE).await;
            met
        };
        let met = tokio::select! {
            met = round => met,
            () = candidate.receive(listener) => unreachable!("it accepts for ever"),
        };
        if let Some(cluster) = met.cluster {
            match candidate.ask_for_admission(cluster).await {
                Ok(owner) => {
                    return Ok(Joined {
                        owner,
                        is_founder: false,
                    });
                }
                Err(Some(refusal)) => return Err(refusal),
                Err(None) => {}
            }
        } else {
            let founded = tokio::select! {
                founded = candidate.found(config.size, &met.candidates) => founded,
                () = candidate.receive(listener) => unreachable!("it accepts for ever"),
            };
            if let Some(owner) = founded {
                return Ok(Joined {
                    owner,
                    is_founder: true,
                });
            }
            report(&mut reported, config, met.candidates.len() + 1);
        }
    }
}

fn report(reported: &mut Option<Instant>, config: &ClusterConfig, met: usize) {
    let now = Instant::now();
    if reported.is_some_and(|last| now - last < REPORT_INTERVAL) {
        return;
    }
    *reported = Some(now);
    tracing::info!(
        "looking for a cluster: {met} of {} brokers that may found one have met; klamm.seed.brokers says where to look",
        config.size
    );
}

impl Candidate {
    fn greeting(&self) -> Greeting {
        Greeting {
            levels: Levels::OWN,
            purpose: Purpose::Requests,
            cluster_id: String::new(),
            broker: None,
            incarnation: self.incarnation,
            expected: None,
            address: self.address.clone(),
            listener: String::new(),
        }
    }

    /// Asks who is there, at every address of every seed broker.
    async fn look_around(&self, config: &ClusterConfig) -> Met {
        let mut met = Met::default();
        for (address, welcome) in seeking::ask_seeds(&config.seeds, &self.greeting()).await {
            if !welcome.cluster_id.is_empty() {
                let controller = welcome.controller.map(|(_, address)| address);
                met.cluster = Some(controller.unwrap_or(address));
            } else if welcome.incarnation != self.incarnation {
                met.candidates.insert(welcome.incarnation, address);
            }
        }
        met
    }

    /// `Err(None)` if nobody decides about it now.
    async fn ask_for_admission(&self, mut at: Address) -> Result<Owner, Option<NotAdmitted>> {
        let request = Request::Admit {
            node_id: self.node_id,
        };
        const REDIRECTIONS_MAX: usize = 3;
        for _ in 0..REDIRECTIONS_MAX {
            match ask_once(&at, &self.greeting(), &request).await {
                Ok(Answer::Admitted { cluster_id, broker }) => {
                    tracing::info!("admitted to cluster {cluster_id} as broker {}", broker.0);
                    return Ok(Owner {
                        cluster_id,
                        node_id: broker,
                    });
                }
                Ok(Answer::NotController {
                    controller: Some((_, address)),
                }) => at = address,
                Ok(Answer::Refused { reason, .. }) => return Err(Some(NotAdmitted(reason))),
                Ok(_) => break,
                Err(error) => {
                    tracing::debug!(%error, address = %at, "not admitted");
                    break;
                }
            }
        }
        Err(None)
    }

    /// Founds a cluster, if this is the broker to do so and enough others let it.
    async fn found(&self, size: usize, others: &BTreeMap<TopicId, Address>) -> Option<Owner> {
        let is_first = others.keys().all(|other| self.incarnation < *other);
        if !is_first || others.len() + 1 < size || self.has_promised() {
            return None;
        }
        self.is_founding.set(true);
        let request = Request::LetFound {
            incarnation: self.incarnation,
        };
        let mut promises = 1;
        for address in others.values() {
            let promised = ask_once(address, &self.greeting(), &request).await;
            promises += usize::from(matches!(promised, Ok(Answer::Done)));
        }
        if promises < size {
            self.is_founding.set(false);
            return None;
        }
        let owner = Owner {
            cluster_id: entropy::uuid().to_string(),
            node_id: self.node_id.unwrap_or(FIRST_BROKER),
        };
        tracing::info!(
            "founds cluster {} as broker {}",
            owner.cluster_id,
            owner.node_id.0
        );
        Some(owner)
    }

    fn has_promised(&self) -> bool {
        let promised = self.promised.get();
        promised.is_some_and(|(_, until)| Instant::now() < until)
    }

    // ---- Being asked ----

    /// Accepts connections for as long as it is polled.
    async fn receive(self: &Rc<Self>, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let candidate = self.clone();
                    tasks::spawn(async move {
                        if let Err(error) = candidate.serve(stream).await {
                            tracing::debug!(%error, "a connection to the peer listener has ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections of brokers");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<(), LinkError> {
        let greeting = socket::greeted(&mut stream).await?;
        if greeting.purpose != Purpose::Requests {
            let reason = "this broker is still looking for its cluster";
            let refused = Refused::because(reason);
            stream.write_all(&wire::refusal(&refused)).await?;
            return Ok(());
        }
        let welcome = Welcome {
            level: greeting.level(),
            cluster_id: String::new(),
            broker: None,
            incarnation: self.incarnation,
            address: self.address.clone(),
            controller: None,
            up_for: Duration::ZERO,
        };
        stream.write_all(&welcome.encode()).await?;
        let (reader, mut writer) = stream.into_split();
        let mut frames = Frames::new(reader, GREETING_BYTES_MAX);
        loop {
            let Frame::Request { number, body } = Frame::decode(frames.next().await?)? else {
                return Err(LinkError::Here("it says what only a broker may say"));
            };
            let answer = match Request::decode(body)? {
                Request::LetFound { incarnation } => self.let_found(incarnation),
                _ => Answer::NotController { controller: None },
            };
            let reply = wire::reply(number, &answer.encode());
            writer.write_all(&reply).await?;
        }
    }

    fn let_found(&self, other: TopicId) -> Answer {
        let is_bound = match self.promised.get() {
            Some((to, until)) => to != other && Instant::now() < until,
            None => false,
        };
        if is_bound || self.is_founding.get() || other >= self.incarnation {
            return Answer::Refused {
                code: klamm_protocol::ErrorCode::InvalidRequest.code(),
                reason: "another broker founds the cluster".to_owned(),
            };
        }
        self.promised.set(Some((other, Instant::now() + PROMISE)));
        Answer::Done
    }
}
