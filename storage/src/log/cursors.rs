//! Where readers stopped: most go on from there, and need no index.

use klamm_model::Offset;

/// Places in the log where readers stopped: most go on from there.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    recent: [Option<Cursor>; CURSORS],
    next: usize,
}

const CURSORS: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Cursor {
    offset: Offset,
    segment: Offset,
    position: u64,
}

impl Cursors {
    /// The position at which a reader of `segment` stopped before `offset`.
    pub(super) fn find(&self, segment: Offset, offset: Offset) -> Option<u64> {
        self.recent
            .iter()
            .flatten()
            .find(|cursor| cursor.segment == segment && cursor.offset == offset)
            .map(|cursor| cursor.position)
    }

    /// Remembers where a reader stopped, at the cost of the oldest.
    pub(super) fn keep(&mut self, segment: Offset, offset: Offset, position: u64) {
        let cursor = Cursor {
            offset,
            segment,
            position,
        };
        let known = self.recent.iter().flatten();
        if !known.clone().any(|known| known.offset == offset) {
            self.recent[self.next] = Some(cursor);
            self.next = (self.next + 1) % CURSORS;
        }
    }

    /// The log was cut: places may not be what they were.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
