//! Who closes files and mappings.
//!
//! That is quick, but for the last reference to a file that has been removed or replaced: there
//! the filesystem gives back the blocks, and may tell the device of each stretch (`discard`). A
//! segment of 128 MiB took 10 to 50 ms on ext4. Segments are removed by threads that may wait, but
//! readers hold their files and mappings, and the last of them closes.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A file or a mapping that nobody needs. Dropping it closes it, for as long as the disk takes.
pub struct Closing {
    _last_reference: Box<dyn Any + Send>,
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").finish_non_exhaustive()
    }
}

/// Takes what is to be closed; without one, whoever drops the last reference closes.
#[derive(Clone, Default)]
pub(crate) struct Closer(Option<Arc<dyn Fn(Closing) + Send + Sync>>);

impl Closer {
    pub(crate) fn new(close: impl Fn(Closing) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(close)))
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Closer").field(&self.0.is_some()).finish()
    }
}

/// Something open, which its [`Closer`] closes when it is dropped.
#[derive(Debug)]
pub(crate) struct ClosedBy<T: Send + 'static> {
    /// Taken when dropped only.
    open: Option<T>,
    closer: Closer,
}

impl<T: Send + 'static> ClosedBy<T> {
    pub(crate) fn new(closer: &Closer, open: T) -> Self {
        Self {
            open: Some(open),
            closer: closer.clone(),
        }
    }

    /// Who closes it, and can close what belongs to it.
    pub(crate) fn closer(&self) -> &Closer {
        &self.closer
    }
}

impl<T: Send + 'static> Deref for ClosedBy<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.open.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Send + 'static> Drop for ClosedBy<T> {
    fn drop(&mut self) {
        if let (Some(close), Some(open)) = (&self.closer.0, self.open.take()) {
            close(Closing {
                _last_reference: Box::new(open),
            });
        }
    }
}
