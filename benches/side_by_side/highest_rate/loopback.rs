//! What the machine does without a broker: a timer, and a round trip to another thread by TCP.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const MESSAGE_BYTES: usize = 200;

/// The share, from 0 to 1, of round trips that are over within `limit` of when they were due.
pub(super) fn share_within(
    limit: Duration,
    per_second: u32,
    duration: Duration,
) -> io::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for end in [&near, &far] {
        end.set_nodelay(true)?;
    }
    let echo = std::thread::spawn(move || echo(far));
    let interval = Duration::from_secs(1) / per_second;
    let origin = Instant::now();
    let mut due = Duration::ZERO;
    let mut trips = 0_u32;
    let mut in_time = 0_u32;
    while due < duration {
        std::thread::sleep(due.saturating_sub(origin.elapsed()));
        let mut message = [0; MESSAGE_BYTES];
        near.write_all(&message)?;
        near.read_exact(&mut message)?;
        trips += 1;
        in_time += u32::from(origin.elapsed().saturating_sub(due) <= limit);
        due += interval;
    }
    drop(near);
    echo.join().expect("an echo does not panic");
    Ok(f64::from(in_time) / f64::from(trips))
}

/// Until the other end closes.
fn echo(mut stream: TcpStream) {
    let mut message = [0; MESSAGE_BYTES];
    while stream.read_exact(&mut message).is_ok() {
        if stream.write_all(&message).is_err() {
            return;
        }
    }
}
