//! skeleton
/// skeleton
#[derive(Clone, Debug)]
pub struct MemDisk;
/// skeleton
#[derive(Clone, Copy, Debug)]
pub enum Crash { /// k
 Kill, /// p
 PowerLoss }
