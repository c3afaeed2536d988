//! What requests about a bucket have in common: names, checksums, encryption.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, ServerSideEncryption};
use bytes::Bytes;
use klamm_tiering::{ObjectKey, ObjectTag, StoreError};

use crate::refusal::Asked;
use crate::settings::{S3Checksum, S3Encryption, S3Settings};

/// A bucket, or what lies under a prefix of it.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) client: Client,
    pub(crate) name: String,
    /// What all keys begin with; with its `/`, or empty.
    prefix: String,
    pub(crate) checksum: S3Checksum,
    encryption: S3Encryption,
}

impl Bucket {
    pub(crate) fn new(client: Client, settings: &S3Settings) -> Self {
        let prefix = match settings.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self {
            client,
            name: settings.bucket.clone(),
            prefix,
            checksum: settings.checksum,
            encryption: settings.encryption.clone(),
        }
    }

    pub(crate) fn about<'a>(&'a self, key: &'a ObjectKey) -> Asked<'a> {
        Asked {
            bucket: &self.name,
            key: Some(key),
        }
    }

    pub(crate) fn about_all(&self) -> Asked<'_> {
        Asked {
            bucket: &self.name,
            key: None,
        }
    }

    /// The name in the bucket of a key, or of the beginning of one.
    pub(crate) fn name_of(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The key of a name in the bucket; `None` if it is no object of ours.
    pub(crate) fn key_of(&self, name: &str) -> Option<ObjectKey> {
        ObjectKey::new(name.strip_prefix(&self.prefix)?).ok()
    }

    pub(crate) fn put(&self, key: &ObjectKey, body: Bytes) -> PutObjectFluentBuilder {
        let put = self.client.put_object();
        let put = put.bucket(&self.name).key(self.name_of(key.as_str()));
        let (encryption, key_id, bucket_key) = self.encryption.parameters();
        put.body(ByteStream::from(body))
            .set_checksum_algorithm(self.checksum.algorithm())
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key_id)
            .set_bucket_key_enabled(bucket_key)
    }

    pub(crate) fn begin_upload(&self, key: &ObjectKey) -> CreateMultipartUploadFluentBuilder {
        let begin = self.client.create_multipart_upload();
        let begin = begin.bucket(&self.name).key(self.name_of(key.as_str()));
        let (encryption, key_id, bucket_key) = self.encryption.parameters();
        begin
            .set_checksum_algorithm(self.checksum.algorithm())
            .set_checksum_type(self.checksum.of_whole())
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key_id)
            .set_bucket_key_enabled(bucket_key)
    }

    /// What a store says after it has written: the tag of the content.
    pub(crate) fn written(
        &self,
        key: &ObjectKey,
        tag: Option<&str>,
        encryption: Option<&ServerSideEncryption>,
    ) -> Result<ObjectTag, StoreError> {
        self.is_encrypted_by(key, encryption)?;
        let tag = tag.ok_or_else(|| StoreError::Unavailable {
            reason: format!("the store gives no tag key={key}"),
        });
        Ok(ObjectTag(tag?.to_owned()))
    }

    /// Refuses a store that does not say that it encrypts as it was told to: some ignore it.
    pub(crate) fn is_encrypted_by(
        &self,
        key: &ObjectKey,
        encryption: Option<&ServerSideEncryption>,
    ) -> Result<(), StoreError> {
        let (wanted, ..) = self.encryption.parameters();
        if wanted.is_none() || wanted.as_ref() == encryption {
            return Ok(());
        }
        let found = encryption.map_or("none", ServerSideEncryption::as_str);
        let bucket = &self.name;
        Err(StoreError::Denied {
            reason: format!(
                "the store does not encrypt as demanded encryption={found} bucket={bucket} key={key}"
            ),
        })
    }
}

impl S3Checksum {
    pub(crate) fn algorithm(self) -> Option<ChecksumAlgorithm> {
        match self {
            Self::Crc64Nvme => Some(ChecksumAlgorithm::Crc64Nvme),
            Self::Crc32c => Some(ChecksumAlgorithm::Crc32C),
            Self::Sha256 => Some(ChecksumAlgorithm::Sha256),
            Self::WhenRequired => None,
        }
    }

    /// Of an object in parts: a checksum of all its bytes, or S3's choice, one of the parts' checksums.
    fn of_whole(self) -> Option<ChecksumType> {
        (self == Self::Crc64Nvme).then_some(ChecksumType::FullObject)
    }
}

impl S3Encryption {
    /// Which one, the id of its key, and whether the bucket keeps a key.
    fn parameters(&self) -> (Option<ServerSideEncryption>, Option<String>, Option<bool>) {
        match self {
            Self::OfTheBucket => (None, None, None),
            Self::Aes256 => (Some(ServerSideEncryption::Aes256), None, None),
            Self::Kms { key_id, bucket_key } => (
                Some(ServerSideEncryption::AwsKms),
                key_id.clone(),
                Some(*bucket_key),
            ),
        }
    }
}
