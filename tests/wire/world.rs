//! A broker with its directory, for one test.

use crate::broker::Broker;
use crate::client::Client;
use crate::support::TempDir;

/// A broker of its own. At the end of the test it must not have logged an error.
pub(crate) struct World {
    // Before the directory: the process ends first.
    broker: Option<Broker>,
    dir: TempDir,
    settings: Vec<(String, String)>,
}

impl World {
    /// With default settings, but groups that do not wait for more members.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter();
        let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut world = Self {
            broker: None,
            dir: TempDir::new(),
            settings: settings.collect(),
        };
        world.start();
        world
    }

    /// A world with these topics of one partition.
    pub(crate) fn with_topics(names: &[&str]) -> Self {
        let world = Self::new();
        for name in names {
            world.client().create_topic(name, &[]);
        }
        world
    }

    fn start(&mut self) {
        let settings = self.settings.iter();
        let settings: Vec<_> = settings.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        self.broker = Some(Broker::start(&self.dir, &settings));
    }

    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("it runs between restarts")
    }

    pub(crate) fn port(&self) -> u16 {
        self.broker().port()
    }

    pub(crate) fn client(&self) -> Client {
        self.broker().client()
    }

    /// An orderly stop and a new start.
    pub(crate) fn restart(&mut self) {
        let broker = self.broker.take().expect("it runs between restarts");
        broker.assert_no_errors();
        broker.stop();
        self.start();
    }

    /// `kill -9` and a new start.
    pub(crate) fn kill_and_restart(&mut self) {
        let broker = self.broker.take().expect("it runs between restarts");
        broker.assert_no_errors();
        broker.kill();
        self.start();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let (Some(broker), false) = (&self.broker, std::thread::panicking()) {
            broker.assert_no_errors();
        }
    }
}
