//! The verbs of an object store, each as requests about a bucket.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use klamm_tiering::{
    Completion, Crc64Nvme, ListedObject, ObjectBody, ObjectHead, ObjectKey, ObjectStore, ObjectTag,
    StoreError,
};

use crate::client::{self, REQUEST_LIMIT, with_limits};
use crate::refusal::causes;
use crate::requests::Bucket;
use crate::settings::{InvalidS3Settings, S3Settings};
use crate::{stale, upload};

/// The most objects that S3 lists at once.
const PAGE_MAX: usize = 1_000;

/// A bucket as an object store. Its clones share their connections.
#[derive(Clone, Debug)]
pub struct S3Store {
    bucket: Arc<Bucket>,
}

impl S3Store {
    /// A store in the bucket that the settings name, which is not asked for anything yet.
    ///
    /// # Errors
    /// If the settings cannot be right, or there is no region.
    pub async fn open(settings: &S3Settings) -> Result<Self, InvalidS3Settings> {
        settings.check()?;
        let client = client::open(settings).await?;
        Ok(Self {
            bucket: Arc::new(Bucket::new(client, settings)),
        })
    }
}

impl ObjectStore for S3Store {
    fn put_if_absent<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Arc<dyn ObjectBody>,
    ) -> Completion<'a, ObjectTag> {
        Box::pin(upload::create(&self.bucket, key, body))
    }

    fn put_if_match<'a>(
        &'a self,
        key: &'a ObjectKey,
        tag: &'a ObjectTag,
        body: Bytes,
    ) -> Completion<'a, ObjectTag> {
        Box::pin(self.bucket.put_if_match(key, tag, body))
    }

    fn get_range<'a>(&'a self, key: &'a ObjectKey, range: Range<u64>) -> Completion<'a, Bytes> {
        Box::pin(async move {
            let got = tokio::time::timeout(REQUEST_LIMIT, self.bucket.get_range(key, range)).await;
            got.unwrap_or_else(|_| {
                let limit = REQUEST_LIMIT.as_secs();
                Err(StoreError::Unavailable {
                    reason: format!("the bytes did not come in time seconds={limit} key={key}"),
                })
            })
        })
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ObjectHead> {
        Box::pin(self.bucket.head(key))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
        count_max: usize,
    ) -> Completion<'a, Vec<ListedObject>> {
        Box::pin(self.bucket.list(prefix, after, count_max))
    }

    fn delete<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ()> {
        Box::pin(self.bucket.delete(key))
    }

    fn abort_stale<'a>(&'a self, prefix: &'a str, older_than: Duration) -> Completion<'a, usize> {
        Box::pin(stale::abort(&self.bucket, prefix, older_than))
    }
}

impl Bucket {
    async fn put_if_match(
        &self,
        key: &ObjectKey,
        tag: &ObjectTag,
        body: Bytes,
    ) -> Result<ObjectTag, StoreError> {
        let size_bytes = body.len() as u64;
        let put = self.put(key, body).if_match(&tag.0).customize();
        let put = put.config_override(with_limits(size_bytes)).send().await;
        let put = put.map_err(|error| self.about(key).refused(&error))?;
        self.written(key, put.e_tag(), put.server_side_encryption())
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            // A request cannot say so; whether the object is there is still to be answered.
            return self.head(key).await.map(|_| Bytes::new());
        }
        let size_bytes = range.end - range.start;
        let get = self.client.get_object().bucket(&self.name);
        let get = get.key(self.name_of(key.as_str())).range(header(&range));
        let limits = match size_bytes > i64::MAX as u64 {
            true => with_limits(0),
            false => with_limits(size_bytes),
        };
        let got = get.customize().config_override(limits).send().await;
        match got {
            Ok(got) => {
                let bytes = got.body.collect().await;
                let bytes = bytes.map_err(|error| StoreError::Unavailable {
                    reason: format!("{} key={key}", causes(&error)),
                });
                Ok(bytes?.into_bytes())
            }
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 416 => {
                Ok(Bytes::new())
            }
            Err(error) => Err(self.about(key).refused(&error)),
        }
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        let head = self.client.head_object().bucket(&self.name);
        let head = head.key(self.name_of(key.as_str()));
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
        match head {
            Ok(head) => self.known(key, &head),
            Err(error) => match self.about(key).refused(&error) {
                // The answer has no body that could say which: the object is missing, or the bucket.
                StoreError::NotFound(_) => Err(self.why_not_found(key).await),
                other => Err(other),
            },
        }
    }

    fn known(&self, key: &ObjectKey, head: &HeadObjectOutput) -> Result<ObjectHead, StoreError> {
        let size_bytes = head
            .content_length()
            .and_then(|size| u64::try_from(size).ok());
        let (Some(size_bytes), Some(tag)) = (size_bytes, head.e_tag()) else {
            return Err(StoreError::Unavailable {
                reason: format!("the store gives no size or no tag key={key}"),
            });
        };
        Ok(ObjectHead {
            size_bytes,
            tag: ObjectTag(tag.to_owned()),
            checksum: head.checksum_crc64_nvme().and_then(decode),
        })
    }

    async fn why_not_found(&self, key: &ObjectKey) -> StoreError {
        let get = self.client.get_object().bucket(&self.name);
        let get = get.key(self.name_of(key.as_str())).range("bytes=0-0");
        match get.send().await {
            // It has come in between. It was not there when it was asked for.
            Ok(_) => StoreError::NotFound(key.clone()),
            Err(error) => self.about(key).refused(&error),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        count_max: usize,
    ) -> Result<Vec<ListedObject>, StoreError> {
        let mut found = Vec::new();
        let mut after = after.map(|key| self.name_of(key.as_str()));
        while found.len() < count_max {
            let page_max = (count_max - found.len()).min(PAGE_MAX);
            let list = self.client.list_objects_v2().bucket(&self.name);
            let list = list.prefix(self.name_of(prefix)).set_start_after(after);
            let page = list.max_keys(page_max as i32).send().await;
            let page = page.map_err(|error| self.about_all().refused(&error))?;
            let objects = page.contents().iter();
            found.extend(objects.filter_map(|object| self.listed(object)));
            // Where the next page begins is said by a key, not by a token: one way to go on is enough.
            after = page.contents().last().and_then(|last| last.key.clone());
            if page.is_truncated() != Some(true) || after.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// `None` of what is not ours, such as the empty objects that stand for folders.
    fn listed(&self, object: &aws_sdk_s3::types::Object) -> Option<ListedObject> {
        Some(ListedObject {
            key: self.key_of(object.key()?)?,
            size_bytes: u64::try_from(object.size()?).ok()?,
            tag: ObjectTag(object.e_tag()?.to_owned()),
        })
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let delete = self.client.delete_object().bucket(&self.name);
        let deleted = delete.key(self.name_of(key.as_str())).send().await;
        match deleted.map_err(|error| self.about(key).refused(&error)) {
            // S3 does not mind, others do.
            Err(StoreError::NotFound(_)) => Ok(()),
            deleted => deleted.map(|_| ()),
        }
    }
}

/// `Range` of a request; open where its end is none that servers could read.
fn header(range: &Range<u64>) -> String {
    match range.end > i64::MAX as u64 {
        true => format!("bytes={}-", range.start),
        false => format!("bytes={}-{}", range.start, range.end - 1),
    }
}

/// The eight bytes of a checksum, as S3 writes them.
fn decode(text: &str) -> Option<Crc64Nvme> {
    let bytes = aws_smithy_types::base64::decode(text).ok()?;
    let bytes = <[u8; 8]>::try_from(bytes).ok()?;
    Some(Crc64Nvme(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_written_as_http_has_it() {
        assert_eq!(header(&(0..1)), "bytes=0-0");
        assert_eq!(header(&(7..10)), "bytes=7-9");
        assert_eq!(header(&(7..u64::MAX)), "bytes=7-");
    }

    #[test]
    fn a_checksum_is_read_as_s3_writes_it() {
        assert_eq!(
            decode("rosUhgp5mIg="),
            Some(Crc64Nvme(0xae8b_1486_0a79_9888))
        );
        for other in ["", "rosUhg==", "no base64 at all"] {
            assert_eq!(decode(other), None);
        }
    }
}
