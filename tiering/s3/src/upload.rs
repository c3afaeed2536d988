//! Objects are created: small ones by one request, large ones in parts, which nobody sees before the last
//! request puts them together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use klamm_tiering::{
    Crc64Nvme, Crc64NvmeDigest, ObjectBody, ObjectKey, ObjectTag, PIECE_BYTES, StoreError, pieces,
    read_piece,
};
use tokio::task::JoinSet;

use crate::client::with_limits;
use crate::refusal::causes;
use crate::requests::Bucket;
use crate::settings::S3Checksum;

/// From which size on an object is written in parts.
const IN_PARTS_BYTES: u64 = 16 * 1024 * 1024;
/// The most parts that S3 puts together: of a larger body the parts are larger.
const PARTS_MAX: u64 = 10_000;
/// Parts of one upload that are on their way: four times 8 MiB in memory.
const IN_FLIGHT_MAX: usize = 4;

/// Creates an object that is not there.
pub(crate) async fn create(
    bucket: &Arc<Bucket>,
    key: &ObjectKey,
    body: Arc<dyn ObjectBody>,
) -> Result<ObjectTag, StoreError> {
    let size_bytes = body.size_bytes();
    if size_bytes >= IN_PARTS_BYTES {
        return create_in_parts(bucket, key, body).await;
    }
    let content = blocking(move || read_piece(&*body, 0..size_bytes)).await?;
    let put = bucket.put(key, content).if_none_match("*").customize();
    let put = put.config_override(with_limits(size_bytes)).send().await;
    let put = put.map_err(|error| bucket.about(key).refused(&error))?;
    bucket.written(key, put.e_tag(), put.server_side_encryption())
}

async fn create_in_parts(
    bucket: &Arc<Bucket>,
    key: &ObjectKey,
    body: Arc<dyn ObjectBody>,
) -> Result<ObjectTag, StoreError> {
    // The completion has the condition, but its refusal would come after all the bytes. An attempt whose
    // answer was lost is the usual case.
    if is_there(bucket, key).await? {
        return Err(StoreError::ConditionFailed(key.clone()));
    }
    let begun = bucket.begin_upload(key).send().await;
    let begun = begun.map_err(|error| bucket.about(key).refused(&error))?;
    let Some(id) = begun.upload_id else {
        let reason = format!("the store gives no id of an upload key={key}");
        return Err(StoreError::Unavailable { reason });
    };
    let encryption = begun.server_side_encryption.as_ref();
    let upload = Upload {
        bucket: bucket.clone(),
        key: key.clone(),
        id,
    };
    let created = match bucket.is_encrypted_by(key, encryption) {
        Ok(()) => upload.run(body).await,
        Err(error) => Err(error),
    };
    if created.is_err() {
        upload.give_up().await;
    }
    created
}

async fn is_there(bucket: &Bucket, key: &ObjectKey) -> Result<bool, StoreError> {
    let head = bucket.client.head_object().bucket(&bucket.name);
    let head = head.key(bucket.name_of(key.as_str())).send().await;
    match head.map_err(|error| bucket.about(key).refused(&error)) {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An upload that was begun.
#[derive(Clone, Debug)]
struct Upload {
    bucket: Arc<Bucket>,
    key: ObjectKey,
    id: String,
}

impl Upload {
    async fn run(&self, body: Arc<dyn ObjectBody>) -> Result<ObjectTag, StoreError> {
        let size_bytes = body.size_bytes();
        let (parts, checksum) = self.send_parts(body).await?;
        self.complete(parts, checksum, size_bytes).await
    }

    /// Reads parts in their order, and sends some of them side by side.
    async fn send_parts(
        &self,
        body: Arc<dyn ObjectBody>,
    ) -> Result<(Vec<CompletedPart>, Crc64Nvme), StoreError> {
        let size_bytes = body.size_bytes();
        let part_bytes = PIECE_BYTES.max(size_bytes.div_ceil(PARTS_MAX));
        let mut digest = Crc64NvmeDigest::default();
        let mut sending = JoinSet::new();
        let mut parts = BTreeMap::new();
        for (number, range) in (1..).zip(pieces(size_bytes, part_bytes)) {
            if sending.len() == IN_FLIGHT_MAX {
                sent(&mut sending, &mut parts).await?;
            }
            let (content, added) = read_on(body.clone(), range, digest).await?;
            digest = added;
            let upload = self.clone();
            sending.spawn(async move { upload.send_part(number, content).await });
        }
        while !sending.is_empty() {
            sent(&mut sending, &mut parts).await?;
        }
        Ok((parts.into_values().collect(), digest.finish()))
    }

    async fn send_part(
        &self,
        number: i32,
        content: Bytes,
    ) -> Result<(i32, CompletedPart), StoreError> {
        let bucket = &self.bucket;
        let size_bytes = content.len() as u64;
        let send = bucket.client.upload_part().bucket(&bucket.name);
        let send = send
            .key(self.name())
            .upload_id(&self.id)
            .part_number(number);
        let send = send.body(ByteStream::from(content));
        let send = send.set_checksum_algorithm(bucket.checksum.algorithm());
        let send = send.customize().config_override(with_limits(size_bytes));
        let sent = send.send().await;
        let sent = sent.map_err(|error| bucket.about(&self.key).refused(&error))?;
        let part = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc64_nvme(sent.checksum_crc64_nvme)
            .set_checksum_crc32_c(sent.checksum_crc32_c)
            .set_checksum_sha256(sent.checksum_sha256);
        Ok((number, part.build()))
    }

    /// Makes an object of the parts, unless there is one. The store checks it as a whole once more.
    async fn complete(
        &self,
        parts: Vec<CompletedPart>,
        checksum: Crc64Nvme,
        size_bytes: u64,
    ) -> Result<ObjectTag, StoreError> {
        let bucket = &self.bucket;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let complete = bucket.client.complete_multipart_upload();
        let complete = complete.bucket(&bucket.name).key(self.name());
        let mut complete = complete.upload_id(&self.id).multipart_upload(parts.build());
        if bucket.checksum == S3Checksum::Crc64Nvme {
            let checksum = aws_smithy_types::base64::encode(checksum.0.to_be_bytes());
            complete = complete.checksum_type(ChecksumType::FullObject);
            complete = complete.checksum_crc64_nvme(checksum);
        }
        // A store may take as long to put the parts together as to read them.
        let complete = complete.if_none_match("*").customize();
        let complete = complete.config_override(with_limits(size_bytes));
        let completed = complete.send().await;
        let completed = completed.map_err(|error| bucket.about(&self.key).refused(&error))?;
        // How it is encrypted was said when the upload was begun.
        match completed.e_tag {
            Some(tag) => Ok(ObjectTag(tag)),
            None => Err(StoreError::Unavailable {
                reason: format!("the store gives no tag key={}", self.key),
            }),
        }
    }

    /// What was sent goes. If that fails, it is stale one day.
    async fn give_up(&self) {
        let abort = self.bucket.client.abort_multipart_upload();
        let abort = abort.bucket(&self.bucket.name).key(self.name());
        let _ = abort.upload_id(&self.id).send().await;
    }

    fn name(&self) -> String {
        self.bucket.name_of(self.key.as_str())
    }
}

type SentPart = Result<(i32, CompletedPart), StoreError>;

/// Waits for one of those on their way.
async fn sent(
    sending: &mut JoinSet<SentPart>,
    parts: &mut BTreeMap<i32, CompletedPart>,
) -> Result<(), StoreError> {
    let Some(sent) = sending.join_next().await else {
        return Ok(());
    };
    let sent = sent.map_err(|gone| StoreError::Unavailable {
        reason: causes(&gone),
    })?;
    let (number, part) = sent?;
    parts.insert(number, part);
    Ok(())
}

/// The next part, and the checksum with it.
async fn read_on(
    body: Arc<dyn ObjectBody>,
    range: Range<u64>,
    mut digest: Crc64NvmeDigest,
) -> Result<(Bytes, Crc64NvmeDigest), StoreError> {
    let read = move || {
        let content = read_piece(&*body, range)?;
        digest.add(&content);
        Ok((content, digest))
    };
    blocking(read).await
}

/// Where waiting for a disk keeps nobody waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|gone| {
        let reason = gone.to_string();
        Err(StoreError::Unavailable { reason })
    })
}
