//! What the handlers of groups share: codes, texts, and topics by id.

use std::net::{IpAddr, SocketAddr};

use klamm_coordinator::GroupError;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::{StrBytes, text_of};

/// The error's code on the wire; 0 for none.
pub(crate) fn code(error: Option<GroupError>) -> i16 {
    error.map_or(0, GroupError::code)
}

/// The text that Kafka's clients print for the error.
pub(crate) fn message(error: GroupError) -> StrBytes {
    let code = ErrorCode::from_code(error.code()).unwrap_or(ErrorCode::UnknownServerError);
    text_of(code.message())
}

/// An optional text of a request.
pub(crate) fn owned(text: Option<&StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}

/// A client's address as Kafka shows it in descriptions of groups: `/` and the address in Java's
/// long form.
pub(crate) fn client_host(peer: SocketAddr) -> String {
    match peer.ip().to_canonical() {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => {
            let segments = address.segments().map(|segment| format!("{segment:x}"));
            format!("/{}", segments.join(":"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_java_shows_them() {
        let shown = |address: &str| client_host(address.parse().unwrap());
        assert_eq!(shown("10.0.0.1:9"), "/10.0.0.1");
        assert_eq!(shown("[::ffff:10.0.0.1]:9"), "/10.0.0.1");
        assert_eq!(shown("[::1]:9"), "/0:0:0:0:0:0:0:1");
    }
}
