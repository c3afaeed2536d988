//! A client of the SDK: who asks, over what, and how long it waits.
#![expect(
    clippy::disallowed_methods,
    reason = "reads the file of certificates that the settings name"
)]

use std::path::Path;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Config, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient,
};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::settings::{InvalidS3Settings, S3Checksum, S3Keys, S3Settings};

/// Until a connection is there.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Of one attempt, beside what its bytes take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
/// The slowest that bytes may be: a slower line is one that is down.
const BYTES_PER_SECOND_MIN: u64 = 1024 * 1024;
/// Of a request with all its attempts.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(120);
/// How often a request is sent. What still fails is for the caller to repeat.
const ATTEMPTS_MAX: u32 = 3;
/// Where other stores than AWS are said to be: it is part of the signature, and they do not care.
const REGION_OF_OTHERS: &str = "us-east-1";

/// Reads what the environment says, and certificates; asks nobody but, for the region, the machine.
pub(crate) async fn open(settings: &S3Settings) -> Result<Client, InvalidS3Settings> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(settings)?)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        .timeout_config(limits(0));
    if let Some(region) = region(settings) {
        loader = loader.region(Region::new(region));
    }
    if let Some(keys) = &settings.keys {
        loader = loader.credentials_provider(credentials(keys));
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(InvalidS3Settings::NoRegion);
    }
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(settings.is_path_style())
        .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    // Variables of the environment can switch checksums off: here the setting alone decides.
    if settings.checksum == S3Checksum::WhenRequired {
        config = config
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok(Client::from_conf(config.build()))
}

/// For a request that moves so many bytes.
pub(crate) fn with_limits(size_bytes: u64) -> aws_sdk_s3::config::Builder {
    Config::builder().timeout_config(limits(size_bytes))
}

fn limits(size_bytes: u64) -> TimeoutConfig {
    let bytes_take = Duration::from_secs(size_bytes / BYTES_PER_SECOND_MIN);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_LIMIT)
        .operation_attempt_timeout(ATTEMPT_LIMIT + bytes_take)
        .operation_timeout(REQUEST_LIMIT)
        .build()
}

fn region(settings: &S3Settings) -> Option<String> {
    let of_others = || {
        settings
            .endpoint
            .as_ref()
            .map(|_| REGION_OF_OTHERS.to_owned())
    };
    settings.region.clone().or_else(of_others)
}

fn credentials(keys: &S3Keys) -> Credentials {
    let (id, secret) = (&keys.access_key_id, &keys.secret_access_key);
    Credentials::new(id, secret, None, None, "settings")
}

/// The same for the bucket and for whoever hands out credentials.
fn http_client(settings: &S3Settings) -> Result<SharedHttpClient, InvalidS3Settings> {
    let is_plain = |endpoint: &String| endpoint.starts_with("http://");
    if settings.endpoint.as_ref().is_some_and(is_plain) && settings.keys.is_some() {
        // Nobody is spoken to over TLS, so no certificates are looked for.
        return Ok(Builder::new().build_http());
    }
    let mut trusted = TlsContext::builder();
    if let Some(file) = &settings.ca_bundle {
        trusted = trusted.with_trust_store(trust(file)?);
    }
    let trusted = trusted.build().expect("it has nothing that could be wrong");
    let tls = Provider::rustls(CryptoMode::Ring);
    let client = Builder::new().tls_provider(tls).tls_context(trusted);
    Ok(client.build_https())
}

/// Those of a bundle, and nobody else. They are looked at here, because the SDK would panic.
fn trust(file: &Path) -> Result<TrustStore, InvalidS3Settings> {
    let invalid = |reason| InvalidS3Settings::CaBundle {
        file: file.to_owned(),
        reason,
    };
    let pem = std::fs::read(file).map_err(|error| invalid(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| invalid(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(invalid("there is none".to_owned()));
    }
    Ok(TrustStore::empty().with_pem_certificate(pem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_may_take_longer_the_more_it_moves() {
        let attempt = |size| limits(size).operation_attempt_timeout();
        assert_eq!(attempt(0), Some(Duration::from_secs(10)));
        assert_eq!(attempt(16 * 1024 * 1024), Some(Duration::from_secs(26)));
    }

    #[test]
    fn a_bundle_without_a_certificate_is_refused_with_a_reason() {
        let check = |content: &str, expected: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), content).unwrap();
            match trust(file.path()) {
                Err(InvalidS3Settings::CaBundle { reason, .. }) => {
                    assert!(reason.contains(expected), "{reason}");
                }
                other => panic!("{other:?}"),
            }
        };
        check("", "there is none");
        check("-----BEGIN CERTIFICATE-----\nAAAA", "");
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(no_certificate, "");
        assert!(trust(Path::new("nowhere/to/be/found.pem")).is_err());
    }
}
