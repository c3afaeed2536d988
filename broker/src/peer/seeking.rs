//! Asks the seed brokers who they are: before there is a cluster, and whenever its controller is not
//! known, since addresses change.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::socket::{self, LinkError};
use super::wire::{Address, Greeting, Purpose, Welcome};
use crate::shard::Shard;

/// Between two rounds as long as the controller is not known or not reached, and otherwise.
const PAUSE_LOST: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_secs(5);

/// Everybody who answers at any address that the seeds stand for now.
pub(super) async fn ask_seeds(
    seeds: &[(String, u16)],
    greeting: &Greeting,
) -> Vec<(Address, Welcome)> {
    let answers = greet_seeds(seeds, greeting).await.into_iter();
    let welcomes = answers.filter_map(|(address, answer)| Some((address, answer.ok()?)));
    welcomes.collect()
}

/// What is answered at each address that the seeds stand for now.
async fn greet_seeds(
    seeds: &[(String, u16)],
    greeting: &Greeting,
) -> Vec<(Address, Result<Welcome, LinkError>)> {
    let mut asking = JoinSet::new();
    for (host, port) in seeds {
        let found = match tokio::net::lookup_host((host.as_str(), *port)).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(host, %error, "a seed broker's name stands for no address now");
                continue;
            }
        };
        for address in found {
            let address = Address {
                host: address.ip().to_string(),
                port: address.port(),
            };
            let greeting = greeting.clone();
            asking.spawn_local(async move {
                let welcome = socket::connect(&address, &greeting).await;
                (address, welcome.map(|(_, welcome)| welcome))
            });
        }
    }
    asking.join_all().await
}

/// Whether a seed broker refuses this one, which has data: its address, and the reason.
pub(crate) async fn refusing_seed(shard: &Rc<Shard>) -> Option<(Address, String)> {
    let config = shard.config();
    let cluster = config.cluster.as_ref()?;
    let greeting = shard.peers.greeting(Purpose::Requests, None);
    let answers = greet_seeds(&cluster.seeds, &greeting).await;
    answers
        .into_iter()
        .find_map(|(address, answer)| match answer {
            Err(LinkError::Refused(refused)) => Some((address, refused.reason)),
            _ => None,
        })
}

/// Looks for brokers for as long as the process runs.
pub(crate) async fn seek(shard: Rc<Shard>) {
    loop {
        let controller = shard.peers.controller();
        let is_lost = controller.is_none_or(|controller| !shard.peers.is_alive(controller));
        if is_lost {
            look_around(&shard).await;
        }
        shard
            .peers
            .news(if is_lost { PAUSE_LOST } else { PAUSE })
            .await;
    }
}

async fn look_around(shard: &Rc<Shard>) {
    let config = shard.config();
    let Some(cluster) = &config.cluster else {
        return;
    };
    let greeting = shard.peers.greeting(Purpose::Requests, None);
    for (_, answer) in greet_seeds(&cluster.seeds, &greeting).await {
        match answer {
            Ok(welcome) => met(shard, &welcome),
            Err(error) => shard.peers.note_refusal(&error),
        }
    }
}

fn met(shard: &Rc<Shard>, welcome: &Welcome) {
    if let Some(broker) = welcome.broker
        && welcome.cluster_id == shard.peers.own().cluster_id
    {
        shard.peers.learn(shard, broker, welcome.address.clone());
        shard.peers.heard_of_controller(shard, welcome);
    }
}
