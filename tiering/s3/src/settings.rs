//! Where a bucket is, and how it is spoken to.

use std::fmt;
use std::path::PathBuf;

use klamm_tiering::ObjectKey;

/// Where a bucket is, and how it is spoken to. [`S3Settings::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// The bucket, which must exist. It should be Klamm's alone, or have a prefix that is.
    pub bucket: String,
    /// What all keys begin with, without a `/` at its ends; empty for none. It counts with the longest key
    /// ([`ObjectKey::BYTES_MAX`]).
    pub prefix: String,
    /// `http://` or `https://`, host and port of a store other than AWS; `None` for AWS.
    pub endpoint: Option<String>,
    /// The region; `None` for that of the environment, the profile or the machine (in this order), and for
    /// `us-east-1` if there is an endpoint, since other stores do not ask.
    pub region: Option<String>,
    /// Whether the bucket is named in the path, not in the host; `None` for yes if there is an endpoint.
    pub path_style: Option<bool>,
    /// What the bytes of an object are protected by on their way.
    pub checksum: S3Checksum,
    /// How the store encrypts what it keeps.
    pub encryption: S3Encryption,
    /// Certificates (PEM) of those who may vouch for the endpoint, instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Who asks; `None` for the usual chain: variables of the environment, profile, web identity, container
    /// (ECS, EKS), machine (IMDSv2). Not single sign-on.
    pub keys: Option<S3Keys>,
}

/// What the bytes of an object are protected by on their way. A store refuses what does not match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum S3Checksum {
    /// CRC-64/NVME, of objects as a whole: what [`head`](klamm_tiering::ObjectStore::head) knows.
    #[default]
    Crc64Nvme,
    /// CRC-32C, for stores that do not know the former.
    Crc32c,
    /// SHA-256.
    Sha256,
    /// None that the protocol does not demand, for stores that refuse them.
    WhenRequired,
}

/// How the store encrypts what it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum S3Encryption {
    /// As the bucket says.
    #[default]
    OfTheBucket,
    /// With a key of S3's own (`AES256`).
    Aes256,
    /// With a key of the key management service (`aws:kms`).
    Kms {
        /// Its id or ARN; `None` for the one that S3 has there.
        key_id: Option<String>,
        /// Whether the bucket keeps a key derived from it, which saves requests to the service.
        bucket_key: bool,
    },
}

/// Keys of an account. Their secret is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Keys {
    /// Who asks.
    pub access_key_id: String,
    /// What proves it.
    pub secret_access_key: String,
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidS3Settings {
    /// Not a name of a bucket.
    #[error("not the name of a bucket bucket={0:?}")]
    Bucket(String),
    /// Not a prefix of keys.
    #[error("not a prefix of keys prefix={0:?}")]
    Prefix(String),
    /// Not an address.
    #[error("not an address of the form http://host:port or https://host:port endpoint={0:?}")]
    Endpoint(String),
    /// Nobody says which region.
    #[error("no region is set, neither here nor in the environment")]
    NoRegion,
    /// A file of certificates that cannot be used.
    #[error("the file has no certificates that can be read: {reason} file={}", file.display())]
    CaBundle {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl S3Settings {
    /// A bucket of AWS, with the credentials and the region of the environment.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            endpoint: None,
            region: None,
            path_style: None,
            checksum: S3Checksum::default(),
            encryption: S3Encryption::default(),
            ca_bundle: None,
            keys: None,
        }
    }

    /// Finds what cannot be right without asking anybody.
    pub(crate) fn check(&self) -> Result<(), InvalidS3Settings> {
        if !is_bucket(&self.bucket) {
            return Err(InvalidS3Settings::Bucket(self.bucket.clone()));
        }
        if !self.prefix.is_empty() && ObjectKey::new(&self.prefix).is_err() {
            return Err(InvalidS3Settings::Prefix(self.prefix.clone()));
        }
        match &self.endpoint {
            Some(endpoint) if !is_address(endpoint) => {
                Err(InvalidS3Settings::Endpoint(endpoint.clone()))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn is_path_style(&self) -> bool {
        self.path_style.unwrap_or(self.endpoint.is_some())
    }
}

impl fmt::Debug for S3Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("S3Keys");
        shown.field("access_key_id", &self.access_key_id);
        shown.finish_non_exhaustive()
    }
}

/// Names of AWS' buckets, and those with `_` or capitals that other stores have.
fn is_bucket(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=255).contains(&name.len()) && name.chars().all(plain)
}

fn is_address(text: &str) -> bool {
    let schemes = ["http://", "https://"];
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    let host = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    rest.is_some_and(|rest| {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        !rest.is_empty() && rest.chars().all(host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut S3Settings)) -> Result<(), InvalidS3Settings> {
        let mut settings = S3Settings::new("logs");
        change(&mut settings);
        settings.check()
    }

    #[test]
    fn what_cannot_be_right_is_found_before_anybody_is_asked() {
        assert_eq!(check(|_| {}), Ok(()));
        for good in ["klamm", "a/b"] {
            assert_eq!(check(|it| it.prefix = good.to_owned()), Ok(()));
        }
        for bad in ["/a", "a/", "a//b", ".."] {
            let expected = Err(InvalidS3Settings::Prefix(bad.to_owned()));
            assert_eq!(check(|it| it.prefix = bad.to_owned()), expected);
        }
        for bad in ["", "a/b", "s3://a", "a b"] {
            let expected = Err(InvalidS3Settings::Bucket(bad.to_owned()));
            assert_eq!(check(|it| it.bucket = bad.to_owned()), expected);
        }
        for good in [
            "http://127.0.0.1:9000",
            "https://s3.example/",
            "http://[::1]:1",
        ] {
            assert_eq!(check(|it| it.endpoint = Some(good.to_owned())), Ok(()));
        }
        for bad in ["", "host:9000", "http://", "ftp://host", "http://host/path"] {
            let expected = Err(InvalidS3Settings::Endpoint(bad.to_owned()));
            assert_eq!(check(|it| it.endpoint = Some(bad.to_owned())), expected);
        }
    }

    #[test]
    fn a_bucket_is_named_in_the_path_where_hosts_are_not_ours_to_name() {
        let mut settings = S3Settings::new("logs");
        assert!(!settings.is_path_style());
        settings.endpoint = Some("http://127.0.0.1:9000".to_owned());
        assert!(settings.is_path_style());
        settings.path_style = Some(false);
        assert!(!settings.is_path_style());
    }

    #[test]
    fn a_secret_is_not_printed() {
        let keys = S3Keys {
            access_key_id: "who".to_owned(),
            secret_access_key: "hush".to_owned(),
        };
        let printed = format!("{keys:?}");
        assert!(
            printed.contains("who") && !printed.contains("hush"),
            "{printed}"
        );
    }
}
