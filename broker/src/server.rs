//! Wiring, start and stop: the one place where all parts meet.

mod admin_port;
mod identity;
mod limits;
mod listeners;
mod open_files;
mod start;
mod stop;

use std::io;
use std::sync::Arc;

use klamm_storage::LogDirError;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use self::start::Started;

use crate::admin;
use crate::admin::health::{self, Health, Phase};
use crate::background::Background;
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::controller;
pub use crate::controller::LoadError;
use crate::logging::LogControl;
use crate::metrics::counters::Counters;
use crate::metrics::survey::{self, Question};
use crate::net::listener::Acceptor;
use crate::net::occasional::Occasional;
use crate::peer::FIRST_SUCCESSION_TIME;
pub use crate::peer::joining::NotAdmitted;
use crate::tasks;
use crate::upkeep;

/// Why the broker cannot start, or did not end in good order. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The runtime, or signals.
    #[error("the process cannot be set up: {0}")]
    Process(#[source] io::Error),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} (setting listeners): {error}{}",
        listeners::advice(error)
    )]
    Listen {
        /// As configured.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// The listener for other brokers cannot be had.
    #[error(
        "cannot listen on {address} (setting klamm.peer.listener): {error}{}",
        listeners::advice(error)
    )]
    PeerPort {
        /// As configured.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// The cluster does not let this broker in.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The cluster knows this broker as another one.
    #[error("the cluster refuses this broker: {0}")]
    Registration(String),
    /// It was removed from the cluster while it ran, or did not run.
    #[error("{0}")]
    Removed(String),
    /// The admin port cannot be had, though somebody has asked for it.
    #[error(
        "cannot listen on {address} (setting klamm.admin.listener): {error}{}",
        admin::advice(error)
    )]
    AdminPort {
        /// As configured.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// `node.id` contradicts the data.
    #[error(
        "the data belongs to broker {found}, but node.id is {configured}: set node.id={found}, or \
         another log.dirs"
    )]
    NodeId {
        /// In `meta.properties`.
        found: i32,
        /// In the settings.
        configured: i32,
    },
    /// A log directory cannot be used.
    #[error("a log directory cannot be used (setting log.dirs): {0}")]
    LogDir(#[from] LogDirError),
    /// The partition that holds the cluster's metadata cannot be opened.
    #[error("the cluster's metadata cannot be opened, see the lines above")]
    MetadataPartition,
    /// The cluster's metadata cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The cluster's metadata cannot be written.
    #[error("the cluster's metadata cannot be written: {0}")]
    Metadata(&'static str),
}

/// Runs the broker until it is told to stop (SIGTERM, SIGINT). `log` changes what it logs.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(config: BrokerConfig, log: LogControl) -> Result<(), ServeError> {
    let clock = Clock::start();
    let (questions, asked) = mpsc::channel(1);
    let outlook = Outlook {
        health: Arc::new(Health::new(clock.now())),
        counters: Arc::default(),
        asked,
    };
    let subject = admin::Subject {
        clock,
        started_at: clock.wall(),
        health: outlook.health.clone(),
        counters: outlook.counters.clone(),
        questions,
        log,
    };
    // Before all else: it tells how a long start is going.
    admin_port::open(&config, subject)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Process)?;
    let (pools, threads) = Threads::start(&config).map_err(ServeError::Process)?;
    let served = serve(clock, config, threads, outlook);
    let result = LocalSet::new().block_on(&runtime, served);
    pools.into_iter().for_each(Runtime::shutdown_background);
    result
}

/// What the data plane shows of itself to those who look from outside.
struct Outlook {
    health: Arc<Health>,
    counters: Arc<Counters>,
    asked: mpsc::Receiver<Question>,
}

/// The threads beside the data plane.
struct Threads {
    background: Background,
    /// One for each log directory.
    writers: Vec<Background>,
    /// For compaction.
    cleaner: Background,
    closer: Background,
}

/// Threads of the background that may wait for the disk at once. Concurrent fsyncs are merged by
/// the filesystem's journal, so a few do more than one.
const BACKGROUND_THREADS_MAX: usize = 8;

impl Threads {
    fn start(config: &BrokerConfig) -> io::Result<(Vec<Runtime>, Self)> {
        let (runtime, background) = Background::start("klamm-background", BACKGROUND_THREADS_MAX)?;
        let mut runtimes = vec![runtime];
        let mut writers = Vec::new();
        for _ in &config.identity.log_dirs {
            let (runtime, writer) = Background::start("klamm-writer", 1)?;
            runtimes.push(runtime);
            writers.push(writer);
        }
        let threads_max = config.cleaner.threads.max(1);
        let (runtime, cleaner) = Background::start_idle("klamm-cleaner", threads_max)?;
        runtimes.push(runtime);
        let (runtime, closer) = Background::start_idle("klamm-closer", 1)?;
        runtimes.push(runtime);
        Ok((
            runtimes,
            Self {
                background,
                writers,
                cleaner,
                closer,
            },
        ))
    }
}

/// How long a broker goes on that has been removed.
const REMOVAL_GRACE: std::time::Duration = std::time::Duration::from_secs(1);

async fn serve(
    clock: Clock,
    config: BrokerConfig,
    threads: Threads,
    outlook: Outlook,
) -> Result<(), ServeError> {
    let mut signals = stop::Signals::install().map_err(ServeError::Process)?;
    let Outlook {
        health,
        counters,
        asked,
    } = outlook;
    tasks::spawn(health::beat(health.clone(), clock));
    let bound = listeners::bind_all(&config)?;
    let peers = listeners::bind_peer_port(&config, &bound)?;
    let started = tokio::select! {
        started = start::start(clock, config, threads, counters, bound, peers) => started?,
        () = signals.wait() => {
            health.enter(Phase::Stopping);
            tracing::info!("stopped while starting; the next start begins where this one did");
            return Ok(());
        }
    };
    let Started {
        shard,
        handler,
        listeners,
    } = started;

    let bound: Result<Vec<_>, _> = listeners.iter().map(TcpListener::local_addr).collect();
    let bound = bound.map_err(ServeError::Process)?;
    if !shard.peers.is_alone() {
        // Who leads what is said by the others, once they are reached.
        shard
            .peers
            .note_unsettled(clock.now(), FIRST_SUCCESSION_TIME);
    }
    let mut accepting = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let acceptor = Acceptor {
            listener,
            index,
            shared: shard.net.clone(),
            handler: handler.clone(),
            clock,
            refused: Occasional::default(),
        };
        accepting.push(tasks::spawn(acceptor.run()));
    }
    upkeep::start(&shard);
    tasks::spawn(controller::perform_duties(shard.clone()));
    tasks::spawn(survey::answer(shard.clone(), asked));
    if shard.peers.is_alone() {
        health.enter(Phase::Running);
    } else {
        health.enter(Phase::CatchingUp);
        let catching_up = upkeep::in_sync::await_caught_up(shard.clone(), health.clone());
        tasks::spawn(catching_up);
    }
    start::announce(&shard, &bound);
    limits::check(&shard);

    let removed = tokio::select! {
        () = signals.wait() => None,
        error = controller::follow(shard.clone()) => return Err(error.into()),
        reason = shard.peers.removed() => Some(reason),
    };
    if let Some(reason) = &removed {
        tracing::error!("{reason}");
        // Whoever had it removed may have asked this broker, and is answered.
        tokio::time::sleep(REMOVAL_GRACE).await;
    }
    health.enter(Phase::Stopping);
    tracing::info!("stopping");
    for task in accepting {
        task.abort();
    }
    stop::stop(&shard).await?;
    removed.map_or(Ok(()), |reason| Err(ServeError::Removed(reason)))
}
