//! Names and contents, each as a process sees them and as they would be after a power loss.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::cache::Cache;
use super::faults::Random;
use crate::disk::DirEntry;

/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What room is counted in.
pub(super) const BLOCK_BYTES: u64 = 4096;

type NodeId = u64;

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(NodeId);

#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
}

#[derive(Clone, Debug)]
enum Node {
    File(Content),
    Dir(Names),
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors written since the last sync.
    dirty: BTreeSet<usize>,
    allocated: u64,
    linked: bool,
    cache: Cache,
}

#[derive(Clone, Debug, Default)]
struct Names {
    children: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
    /// Changes since the last sync, in order.
    pending: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Put(String, NodeId),
    Remove(String),
    Rename(String, String),
}

type Failed<T> = Result<T, io::ErrorKind>;

const ROOT: NodeId = 0;

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Dir(Names::default()))]),
            next: 1,
        }
    }

    // ---- Names ----

    fn node(&self, path: &Path) -> Option<NodeId> {
        let mut at = ROOT;
        for name in names(path) {
            let Node::Dir(dir) = self.nodes.get(&at)? else {
                return None;
            };
            at = *dir.children.get(&name)?;
        }
        Some(at)
    }

    fn dir(&mut self, node: NodeId) -> Failed<&mut Names> {
        match self.nodes.get_mut(&node) {
            Some(Node::Dir(names)) => Ok(names),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory),
            None => Err(io::ErrorKind::NotFound),
        }
    }

    fn parent(&self, path: &Path) -> Failed<(NodeId, String)> {
        let name = names(path).pop().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.node(parent).ok_or(io::ErrorKind::NotFound)?, name))
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.node(path)
            .is_some_and(|node| matches!(self.nodes.get(&node), Some(Node::Dir(_))))
    }

    pub(super) fn file(&self, path: &Path) -> Option<FileId> {
        let node = self.node(path)?;
        matches!(self.nodes.get(&node), Some(Node::File(_))).then_some(FileId(node))
    }

    fn add(&mut self, parent: NodeId, name: String, node: Node) -> Failed<NodeId> {
        let id = self.next;
        self.dir(parent)?.change(NameChange::Put(name, id));
        self.next += 1;
        self.nodes.insert(id, node);
        Ok(id)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> Failed<()> {
        let mut at = ROOT;
        for name in names(path) {
            let found = self.dir(at)?.children.get(&name).copied();
            at = match found {
                Some(node) => node,
                None => self.add(at, name, Node::Dir(Names::default()))?,
            };
        }
        self.dir(at).map(|_| ())
    }

    pub(super) fn create(&mut self, path: &Path) -> Failed<FileId> {
        let (parent, name) = self.parent(path)?;
        let content = Content {
            linked: true,
            ..Content::default()
        };
        self.add(parent, name, Node::File(content)).map(FileId)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Failed<()> {
        let (old_parent, old_name) = self.parent(from)?;
        let (new_parent, new_name) = self.parent(to)?;
        let node = self.node(from).ok_or(io::ErrorKind::NotFound)?;
        if let Some(replaced) = self.node(to)
            && let Some(Node::File(content)) = self.nodes.get_mut(&replaced)
            && replaced != node
        {
            content.linked = false;
        }
        if old_parent == new_parent {
            let change = NameChange::Rename(old_name, new_name);
            self.dir(old_parent)?.change(change);
        } else {
            self.dir(new_parent)?
                .change(NameChange::Put(new_name, node));
            self.dir(old_parent)?.change(NameChange::Remove(old_name));
        }
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> Failed<()> {
        let FileId(node) = self.file(path).ok_or(io::ErrorKind::NotFound)?;
        let (parent, name) = self.parent(path)?;
        self.dir(parent)?.change(NameChange::Remove(name));
        if let Some(Node::File(content)) = self.nodes.get_mut(&node) {
            content.linked = false;
        }
        Ok(())
    }

    /// Names that removing a directory removes, itself included.
    pub(super) fn names_below(&self, path: &Path) -> usize {
        let below = self.list(path).unwrap_or_default();
        1 + below
            .iter()
            .map(|entry| match entry.is_dir {
                true => self.names_below(&path.join(&entry.name)),
                false => 1,
            })
            .sum::<usize>()
    }

    /// Removes the first `count` names of a directory, which goes last.
    pub(super) fn remove_dir_all(&mut self, path: &Path, count: usize) -> Failed<()> {
        if !self.is_dir(path) {
            return Err(io::ErrorKind::NotFound);
        }
        let mut left = count;
        for entry in self.list(path)? {
            if left == 0 {
                return Ok(());
            }
            let child = path.join(&entry.name);
            if entry.is_dir {
                let names = self.names_below(&child);
                self.remove_dir_all(&child, left)?;
                left = left.saturating_sub(names);
            } else {
                self.remove_file(&child)?;
                left -= 1;
            }
        }
        if left > 0 {
            let (parent, name) = self.parent(path)?;
            self.dir(parent)?.change(NameChange::Remove(name));
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> Failed<Vec<DirEntry>> {
        let node = self.node(path).ok_or(io::ErrorKind::NotFound)?;
        let Some(Node::Dir(names)) = self.nodes.get(&node) else {
            return Err(io::ErrorKind::NotADirectory);
        };
        let entry = |(name, child): (&String, &NodeId)| match self.nodes.get(child) {
            Some(Node::File(content)) => DirEntry {
                name: name.clone(),
                is_dir: false,
                length: content.bytes.len() as u64,
            },
            _ => DirEntry {
                name: name.clone(),
                is_dir: true,
                length: 0,
            },
        };
        Ok(names.children.iter().map(entry).collect())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> Failed<()> {
        let node = self.node(path).ok_or(io::ErrorKind::NotFound)?;
        let names = self.dir(node)?;
        names.durable = names.children.clone();
        names.pending.clear();
        Ok(())
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.collect(Path::new("/"), &mut found);
        found
    }

    fn collect(&self, path: &Path, found: &mut Vec<PathBuf>) {
        for entry in self.list(path).unwrap_or_default() {
            let child = path.join(&entry.name);
            if entry.is_dir {
                self.collect(&child, found);
            } else {
                found.push(child);
            }
        }
    }

    // ---- Contents ----

    fn of(&self, FileId(node): FileId) -> Option<&Content> {
        match self.nodes.get(&node) {
            Some(Node::File(content)) => Some(content),
            _ => None,
        }
    }

    fn of_mut(&mut self, FileId(node): FileId) -> &mut Content {
        match self.nodes.get_mut(&node) {
            Some(Node::File(content)) => content,
            _ => unreachable!("a file id names a file as long as the disk lives"),
        }
    }

    /// Empty for a file that a crash has taken.
    pub(super) fn content(&self, file: FileId) -> &[u8] {
        self.of(file).map_or(&[], |content| &content.bytes)
    }

    pub(super) fn write(&mut self, file: FileId, bytes: &[u8], position: u64) {
        if bytes.is_empty() {
            return;
        }
        let content = self.of_mut(file);
        let start = position as usize;
        let end = start + bytes.len();
        // A gap that the write leaves behind is zeros, and as little synced as the rest.
        let dirty_from = start.min(content.bytes.len());
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        content.bytes[start..end].copy_from_slice(bytes);
        content.mark(dirty_from, end);
        content.cache.written(&(start..end));
    }

    pub(super) fn truncate(&mut self, file: FileId, length: usize) {
        let content = self.of_mut(file);
        let before = content.bytes.len();
        content.bytes.resize(length, 0);
        content.allocated = length as u64;
        if length > before {
            content.mark(before, length);
        } else {
            content
                .dirty
                .retain(|sector| sector * SECTOR_BYTES < length);
        }
    }

    pub(super) fn allocate(&mut self, file: FileId, end: u64) {
        let content = self.of_mut(file);
        content.allocated = content.allocated.max(end);
    }

    pub(super) fn sync(&mut self, file: FileId) {
        let content = self.of_mut(file);
        content.durable.resize(content.bytes.len(), 0);
        for sector in std::mem::take(&mut content.dirty) {
            content.settle(sector, content.bytes.len());
        }
    }

    pub(super) fn forget_dirty(&mut self, file: FileId) {
        self.of_mut(file).dirty.clear();
    }

    pub(super) fn damage(&mut self, path: &Path, position: u64, flip: u8) -> bool {
        let Some(file) = self.file(path) else {
            return false;
        };
        let content = self.of_mut(file);
        let position = position as usize;
        if let Some(byte) = content.durable.get_mut(position) {
            *byte ^= flip;
        }
        match content.bytes.get_mut(position) {
            Some(byte) => {
                *byte ^= flip;
                true
            }
            None => false,
        }
    }

    /// Whether a part of a file is in memory.
    pub(super) fn is_resident(&self, file: FileId, range: &Range<usize>) -> bool {
        self.of(file)
            .is_none_or(|content| content.cache.is_resident(range))
    }

    /// Brings a part of a file into memory.
    pub(super) fn populate(&mut self, file: FileId, range: &Range<usize>) -> Failed<()> {
        match self.nodes.get_mut(&file.0) {
            Some(Node::File(content)) => content.cache.populate(range),
            _ => Ok(()),
        }
    }

    /// Nothing is in memory any more.
    pub(super) fn evict(&mut self) {
        for node in self.nodes.values_mut() {
            if let Node::File(content) = node {
                content.cache.evict(content.bytes.len());
            }
        }
    }

    /// From now on a part of a file is not in memory and cannot be read; `false` if there is no
    /// such file.
    pub(super) fn fail_reads(&mut self, path: &Path, range: &Range<usize>) -> bool {
        let Some(file) = self.file(path) else {
            return false;
        };
        self.of_mut(file).cache.fail_reads(range);
        true
    }

    /// Room that a file takes more if it is to reach `end`.
    pub(super) fn growth(&self, file: FileId, end: u64) -> u64 {
        let Some(content) = self.of(file) else {
            return 0;
        };
        blocks(end).saturating_sub(content.used())
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let used = |node: &Node| match node {
            Node::File(content) if content.linked => content.used(),
            _ => 0,
        };
        self.nodes.values().map(used).sum()
    }

    // ---- The end of the world ----

    /// Keeps what is durable and, of the rest, what chance leaves.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(content) => content.lose_power(random),
                Node::Dir(names) => names.lose_power(random),
            }
        }
        self.relink();
    }

    /// Forgets files that no name leads to any more.
    fn relink(&mut self) {
        let mut reachable = BTreeSet::from([ROOT]);
        let mut todo = vec![ROOT];
        while let Some(node) = todo.pop() {
            if let Some(Node::Dir(names)) = self.nodes.get(&node) {
                for child in names.children.values() {
                    if reachable.insert(*child) {
                        todo.push(*child);
                    }
                }
            }
        }
        self.nodes.retain(|id, _| reachable.contains(id));
        for node in self.nodes.values_mut() {
            if let Node::File(content) = node {
                content.linked = true;
            }
        }
    }
}

impl Names {
    fn change(&mut self, change: NameChange) {
        apply(&mut self.children, &change);
        self.pending.push(change);
    }

    fn lose_power(&mut self, random: &mut Random) {
        let kept = random.below(self.pending.len() as u64 + 1) as usize;
        for change in &self.pending[..kept] {
            apply(&mut self.durable, change);
        }
        self.pending.clear();
        self.children = self.durable.clone();
    }
}

fn apply(names: &mut BTreeMap<String, NodeId>, change: &NameChange) {
    match change {
        NameChange::Put(name, node) => {
            names.insert(name.clone(), *node);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
        NameChange::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

impl Content {
    fn mark(&mut self, start: usize, end: usize) {
        self.dirty
            .extend(start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    fn used(&self) -> u64 {
        blocks(self.allocated.max(self.bytes.len() as u64))
    }

    /// Makes one sector durable, as far as it lies below `length`.
    fn settle(&mut self, sector: usize, length: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(length).min(self.bytes.len());
        if start < end {
            self.durable[start..end].copy_from_slice(&self.bytes[start..end]);
        }
    }

    fn lose_power(&mut self, random: &mut Random) {
        let (short, long) = {
            let (a, b) = (self.durable.len(), self.bytes.len());
            (a.min(b), a.max(b))
        };
        let length = match random.below(3) {
            0 => self.durable.len(),
            1 => self.bytes.len(),
            _ => short + random.below((long - short) as u64 + 1) as usize,
        };
        self.durable.resize(length, 0);
        // All, none, or each with its own luck.
        let luck = random.below(4);
        for sector in std::mem::take(&mut self.dirty) {
            let kept = match luck {
                0 => true,
                1 => false,
                _ => random.below(2) == 0,
            };
            if kept {
                self.settle(sector, length);
            }
        }
        self.bytes = self.durable.clone();
        self.allocated = length as u64;
    }
}

fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

fn names(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}
