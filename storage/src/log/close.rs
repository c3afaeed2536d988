//! Closing in good order, so that the next start has nothing to do.

use super::{AppendError, Log};
use crate::disk::DiskError;

impl Log {
    /// Writes and syncs everything, so that the next start has nothing to do. The log takes
    /// nothing more.
    pub fn close(&mut self) -> Result<(), AppendError> {
        self.online()?;
        assert!(!self.is_appending(), "an append is finished first");
        if let Err(error) = self.write_end() {
            return Err(self.gave(AppendError::of(error)));
        }
        let end = self.end();
        let journal = &self.place.journal;
        let noted = journal.closed_at(self.place.group, end.offset, self.next_index);
        self.journaled(noted)?;
        if let Err(error) = self.sync_whole() {
            return Err(self.failed(error).into());
        }
        self.closed = true;
        Ok(())
    }

    fn write_end(&mut self) -> Result<(), DiskError> {
        let disk = self.disk();
        self.active_mut().seal(&*disk)?;
        self.take_snapshot()?;
        if let Some(spare) = self.spare.take() {
            disk.remove_file(&spare.path)?;
        }
        super::write_epochs(&self.place, &self.epochs)
    }

    /// All files, indexes too, and those of a ticket that is still out.
    fn sync_whole(&mut self) -> Result<(), DiskError> {
        let disk = self.disk();
        let mut files = self.durable.take_extra();
        for segment in &mut self.segments {
            segment.flush_indexes(&*disk)?;
            segment.take_unsynced(&*disk, true, &mut files)?;
        }
        for file in files {
            file.sync_data()?;
        }
        disk.sync_dir(&self.place.directory)?;
        let end = self.end();
        self.durable.closed(end);
        Ok(())
    }
}
