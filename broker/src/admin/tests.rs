//! The admin port beside a data plane that does not answer: none is there.
#![expect(
    clippy::disallowed_methods,
    reason = "the port is asked as its users ask it, over a socket"
)]

use std::io::{Read, Write};
use std::net::TcpStream;

use super::health::Phase;
use super::*;
use crate::config::{DiagnosticsConfig, LogFormat};

struct Port {
    address: SocketAddr,
    health: Arc<Health>,
    counters: Arc<Counters>,
    /// A data plane that stands still: questions stay where they are.
    _questions: mpsc::Receiver<Question>,
}

impl Port {
    fn start() -> Self {
        let clock = Clock::start();
        let (questions, unanswered) = mpsc::channel(1);
        let health = Arc::new(Health::new(clock.now()));
        let counters = Arc::new(Counters::default());
        let listener = bind(&AdminListener {
            host: "127.0.0.1".to_owned(),
            port: 0,
            is_given: true,
        })
        .expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let subject = Subject {
            clock,
            started_at: clock.wall(),
            health: health.clone(),
            counters: counters.clone(),
            questions,
            log: crate::logging::prepare(&DiagnosticsConfig {
                log_level: "info".to_owned(),
                log_format: LogFormat::Text,
            })
            .1,
        };
        start(listener, subject).expect("a thread");
        Self {
            address,
            health,
            counters,
            _questions: unanswered,
        }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let request = format!("{request} HTTP/1.1\r\nHost: here\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

#[test]
fn metrics_are_there_while_the_data_plane_stands_still() {
    let port = Port::start();
    port.health.enter(Phase::Running);
    port.counters.appended.add(7, 70);
    for _ in 0..2 {
        let metrics = port.ask("GET /metrics");
        assert!(metrics.contains("\nklamm_appended_records_total 7\n"));
        assert!(metrics.contains("\nklamm_partitions{state=\"online\"} 0\n"));
    }
}

#[test]
fn readiness_follows_the_life_of_the_broker() {
    let port = Port::start();
    let check = |expected: &str, why: &str| {
        let answer = port.ask("GET /health/ready");
        assert!(answer.starts_with(expected), "{answer}");
        assert!(answer.contains(why), "{answer}");
        assert!(port.ask("GET /health/live").starts_with("HTTP/1.1 200"));
    };
    check("HTTP/1.1 503", "starting");
    port.health.enter(Phase::Running);
    check("HTTP/1.1 200", "ok");
    port.health.enter(Phase::Stopping);
    check("HTTP/1.1 503", "stopping");
}
