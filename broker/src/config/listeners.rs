//! `listeners`, `advertised.listeners` and what goes with them.

use std::collections::BTreeSet;

use super::{Impossible, Listener};

/// The settings that together say where to listen.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListenerSettings<'a> {
    pub(super) listeners: &'a [String],
    pub(super) advertised: Option<&'a [String]>,
    pub(super) protocols: &'a str,
    pub(super) of_controllers: &'a [String],
}

/// `NAME://host:port`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    name: String,
    host: String,
    port: u16,
}

impl ListenerSettings<'_> {
    /// Where to listen, in the order given.
    pub(super) fn resolve(self) -> Result<Vec<Listener>, Impossible> {
        let endpoints = self.endpoints("listeners", self.listeners)?;
        let advertised = match self.advertised {
            Some(given) => self.endpoints("advertised.listeners", given)?,
            None => endpoints.clone(),
        };
        if let Some(stray) = advertised
            .iter()
            .find(|a| endpoints.iter().all(|e| e.name != a.name))
        {
            return Err(Impossible::AdvertisedWithoutListener(stray.name.clone()));
        }
        if endpoints.is_empty() {
            return Err(Impossible::NoListener);
        }
        let listeners = endpoints.into_iter().map(|endpoint| {
            let told = advertised.iter().find(|told| told.name == endpoint.name);
            let told = told.unwrap_or(&endpoint);
            // Nobody can connect to "every address".
            let unspecified = matches!(told.host.as_str(), "0.0.0.0" | "::");
            if unspecified && self.advertised.is_some() {
                return Err(Impossible::AdvertisedEveryAddress(told.name.clone()));
            }
            let (advertised_host, advertised_port) = (told.host.clone(), told.port);
            let advertised_host = if unspecified {
                String::new()
            } else {
                advertised_host
            };
            let Endpoint { name, host, port } = endpoint;
            Ok(Listener {
                name,
                host,
                port,
                advertised_host,
                advertised_port,
            })
        });
        listeners.collect()
    }

    fn endpoints(
        self,
        setting: &'static str,
        given: &[String],
    ) -> Result<Vec<Endpoint>, Impossible> {
        let mut endpoints = Vec::new();
        let mut names = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for text in given {
            let malformed = || Impossible::Listener {
                setting,
                text: text.clone(),
            };
            let endpoint = parse(text).ok_or_else(malformed)?;
            if self.of_controllers.contains(&endpoint.name) {
                continue;
            }
            self.check_protocol(&endpoint.name)?;
            if !names.insert(endpoint.name.clone()) {
                return Err(Impossible::ListenerTwice {
                    setting,
                    name: endpoint.name,
                });
            }
            let address = (endpoint.host.clone(), endpoint.port);
            if setting == "listeners" && endpoint.port != 0 && !addresses.insert(address) {
                return Err(Impossible::PortTwice(endpoint.port));
            }
            endpoints.push(endpoint);
        }
        Ok(endpoints)
    }

    fn check_protocol(self, name: &str) -> Result<(), Impossible> {
        let pairs = self
            .protocols
            .split(',')
            .filter_map(|pair| pair.trim().split_once(':'));
        let mut protocols = pairs
            .filter(|(of, _)| of.eq_ignore_ascii_case(name))
            .map(|(_, p)| p);
        match protocols.next_back() {
            Some(protocol) if protocol.eq_ignore_ascii_case("PLAINTEXT") => Ok(()),
            Some(protocol) => Err(Impossible::Protocol {
                name: name.to_owned(),
                protocol: protocol.to_owned(),
            }),
            None => Err(Impossible::NoProtocol(name.to_owned())),
        }
    }
}

/// `host:port`, taken apart; an IPv6 address stands in brackets.
pub(super) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    Some((host, port.parse().ok()?))
}

fn parse(text: &str) -> Option<Endpoint> {
    let (name, address) = text.trim().split_once("://")?;
    let (host, port) = host_and_port(address)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    Some(Endpoint {
        name: name.to_ascii_uppercase(),
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "PLAINTEXT:PLAINTEXT,SSL:SSL,INSIDE:plaintext,CONTROLLER:PLAINTEXT";

    fn resolve(listeners: &str, advertised: Option<&str>) -> Result<Vec<String>, String> {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let (listeners, advertised) = (list(listeners), advertised.map(list));
        let settings = ListenerSettings {
            listeners: &listeners,
            advertised: advertised.as_deref(),
            protocols: MAP,
            of_controllers: &["CONTROLLER".to_owned()],
        };
        let show = |l: &Listener| {
            format!(
                "{}={}:{}>{}:{}",
                l.name, l.host, l.port, l.advertised_host, l.advertised_port
            )
        };
        let listeners = settings.resolve().map_err(|error| error.to_string())?;
        Ok(listeners.iter().map(show).collect())
    }

    #[test]
    fn listeners_are_taken_apart() {
        let check = |listeners, advertised, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|s| (*s).to_owned()).collect();
            assert_eq!(resolve(listeners, advertised), Ok(expected));
        };
        check(
            "PLAINTEXT://127.0.0.1:9092",
            None,
            &["PLAINTEXT=127.0.0.1:9092>127.0.0.1:9092"],
        );
        check("plaintext://:0", None, &["PLAINTEXT=:0>:0"]);
        check(
            "PLAINTEXT://0.0.0.0:9092",
            None,
            &["PLAINTEXT=0.0.0.0:9092>:9092"],
        );
        check(
            "PLAINTEXT://[::1]:9092",
            None,
            &["PLAINTEXT=::1:9092>::1:9092"],
        );
        check(
            "PLAINTEXT://:9092,INSIDE://:9094,CONTROLLER://:9093",
            Some("PLAINTEXT://example.org:19092"),
            &["PLAINTEXT=:9092>example.org:19092", "INSIDE=:9094>:9094"],
        );
    }

    #[test]
    fn what_cannot_be_listened_on_is_refused_with_advice() {
        let check = |listeners, advertised, expected: &str| {
            assert_eq!(resolve(listeners, advertised), Err(expected.to_owned()));
        };
        check(
            "9092",
            None,
            "a listener must look like PLAINTEXT://host:9092 setting=listeners value=9092",
        );
        check(
            "CONTROLLER://:9093",
            None,
            "there is no listener for clients, give one such as listeners=PLAINTEXT://:9092",
        );
        check(
            "SSL://:9092",
            None,
            "only PLAINTEXT can be listened on yet, change the listener or its line in listener.security.protocol.map listener=SSL protocol=SSL",
        );
        check(
            "OTHER://:9092",
            None,
            "no security protocol is known for the listener, add OTHER:PLAINTEXT to listener.security.protocol.map",
        );
        check(
            "PLAINTEXT://:1,PLAINTEXT://:2",
            None,
            "a listener's name is given twice, rename one setting=listeners listener=PLAINTEXT",
        );
        check(
            "PLAINTEXT://:1,INSIDE://:1",
            None,
            "two listeners have the same port, change one port=1",
        );
        check(
            "PLAINTEXT://:1",
            Some("INSIDE://a:1"),
            "advertised.listeners names a listener that listeners does not have listener=INSIDE",
        );
        check(
            "PLAINTEXT://:1",
            Some("PLAINTEXT://0.0.0.0:1"),
            "clients cannot connect to every address, advertise one they can reach listener=PLAINTEXT",
        );
    }
}
