//! Who does not belong is refused, with a reason, and nothing is lost.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use super::{Cluster, numbers};
use crate::broker::{Broker, refusal, refuses};
use crate::requests::batch;
use crate::support::{LIMIT, TempDir};

#[test]
fn a_broker_of_another_cluster_is_refused_and_says_why() {
    let cluster = Cluster::start();
    let dir = TempDir::new();
    // One that stood alone, and has data.
    Broker::start(&dir, &[]).stop();
    let seeds = cluster.seeds.as_str();
    let settings = [
        ("klamm.seed.brokers", seeds),
        ("klamm.peer.listener", "127.0.0.1:0"),
    ];
    refuses(
        crate::broker::serve(&dir, &settings),
        &["the cluster refuses this broker", "belongs to cluster"],
    );
    assert_eq!(cluster.running().count(), 3);
    cluster.create_topic("t", 1);
}

#[test]
fn a_number_that_another_broker_has_is_refused() {
    let cluster = Cluster::start();
    let dir = TempDir::new();
    let settings = [
        ("klamm.seed.brokers", cluster.seeds.as_str()),
        ("klamm.peer.listener", "127.0.0.1:0"),
        ("node.id", "1"),
    ];
    refuses(
        crate::broker::serve(&dir, &settings),
        &["Broker 1 is registered with another disk"],
    );
}

#[test]
fn garbage_on_the_peer_port_ends_its_connection_and_nothing_else() {
    let cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let port = cluster.seats[0].peer_port;
    let attempts: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 64],
        &[0, 0, 0, 4, 1, 2, 3, 4],
        // A frame that never comes.
        &[0, 0, 0x10, 0, b'K'],
    ];
    for bytes in attempts {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket");
        stream.write_all(bytes).expect("it takes bytes");
        let mut rest = Vec::new();
        // Closed, perhaps with a reason.
        let _ = stream.read_to_end(&mut rest);
    }
    let leader = cluster.leader("t", 0);
    assert_eq!(cluster.client(leader).produce("t", &batch(&[b"0"])), Ok(0));
    assert_eq!(cluster.values("t", 0), numbers(1));
}

#[test]
fn a_peer_address_that_cannot_be_is_refused_at_the_start() {
    let dir = TempDir::new();
    let said = refusal(crate::broker::serve(
        &dir,
        &[("klamm.seed.brokers", "nowhere")],
    ));
    assert!(
        said.contains("the address of a broker must look like host:9192"),
        "{said}"
    );
}
