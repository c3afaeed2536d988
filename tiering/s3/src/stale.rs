//! Uploads in parts that nobody ends any more: they are not seen, and still paid for.
#![expect(
    clippy::disallowed_methods,
    reason = "the age of an upload is told by the wall clock, which is the store's"
)]

use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::MultipartUpload;
use klamm_tiering::StoreError;

use crate::requests::Bucket;

/// Gives up those under `prefix` that are at least so old; how many.
pub(crate) async fn abort(
    bucket: &Bucket,
    prefix: &str,
    older_than: Duration,
) -> Result<usize, StoreError> {
    let now = SystemTime::now();
    let mut aborted = 0;
    let mut after = (None, None);
    loop {
        let list = bucket.client.list_multipart_uploads().bucket(&bucket.name);
        let list = list.prefix(bucket.name_of(prefix));
        let list = list.set_key_marker(after.0).set_upload_id_marker(after.1);
        let page = list.send().await;
        let page = page.map_err(|error| bucket.about_all().refused(&error))?;
        let uploads = page.uploads().iter();
        for upload in uploads.filter(|upload| age(upload, now) >= older_than) {
            aborted += usize::from(abort_one(bucket, upload).await?);
        }
        if page.is_truncated() != Some(true) {
            return Ok(aborted);
        }
        after = (page.next_key_marker, page.next_upload_id_marker);
    }
}

/// None of one that says no time, or one that is yet to come: clocks differ.
fn age(upload: &MultipartUpload, now: SystemTime) -> Duration {
    let begun = upload.initiated().copied();
    let begun = begun.and_then(|time| SystemTime::try_from(time).ok());
    begun
        .and_then(|begun| now.duration_since(begun).ok())
        .unwrap_or_default()
}

/// Whether it was still there, and ours to give up.
async fn abort_one(bucket: &Bucket, upload: &MultipartUpload) -> Result<bool, StoreError> {
    let (Some(name), Some(id)) = (upload.key(), upload.upload_id()) else {
        return Ok(false);
    };
    let abort = bucket.client.abort_multipart_upload().bucket(&bucket.name);
    match abort.key(name).upload_id(id).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(is_gone) => Ok(false),
        Err(error) => Err(bucket.about_all().refused(&error)),
    }
}

fn is_gone(
    error: &aws_sdk_s3::operation::abort_multipart_upload::AbortMultipartUploadError,
) -> bool {
    error.is_no_such_upload()
}
