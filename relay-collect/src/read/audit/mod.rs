//! Whether anything is missing, exactly what, and why it is thought so.
//!
//! Three accounts are kept and must agree: the bytes of each generation of each sub-buffer follow
//! each other; what a sub-buffer held in earlier generations is what was archived of it; and the
//! numbers of each writer have no gap. The ends are known from what a channel said last
//! ([`relay_fmt::archive::Final`]), from the positions that the next archive begins with, or from the
//! live channel itself.

mod account;
mod find;
mod live;
mod text;
mod walk;

use super::store::Store;
use relay_fmt::rows::ChannelId;
use serde::Serialize;
use std::io;

/// What an audit says, of one channel or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is lost.
    Whole,
    /// It cannot be told whether anything is lost.
    CannotTell,
    /// Records are lost.
    Lost,
}

/// Records that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// How many.
    pub records: u64,
    /// Which, as a sentence.
    pub what: String,
}

/// What was found out about one channel: one opening by one process.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelAudit {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub channel: String,
    /// The executable's name.
    pub program: String,
    /// The process.
    pub pid: u32,
    /// What is said of it.
    pub verdict: Verdict,
    /// Whether its file is in the live directory.
    pub live: bool,
    /// Whether an archive has its last word.
    pub finished: bool,
    /// Numbered records in the archives that are there.
    pub archived: u64,
    /// Numbered records that only the live channel has.
    pub waiting: u64,
    /// Bytes that they take there.
    pub waiting_bytes: u64,
    /// Bytes that were salvaged after the machine was started anew: they were not durable.
    pub unproven_bytes: u64,
    /// Records that it discarded or overwrote, as it was told to.
    pub discarded: u64,
    /// Records that are in archives more than once.
    pub doubled: u64,
    /// Records that are lost.
    pub lost: u64,
    /// Writers: threads, and their signal handlers.
    pub writers: u64,
    /// What is missing.
    pub missing: Vec<Missing>,
    /// Why it cannot be told, and what does not fit together.
    pub doubts: Vec<String>,
    #[serde(skip)]
    key: ChannelId,
}

/// What an audit found.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// What is said of everything.
    pub verdict: Verdict,
    /// Numbered records in archives.
    pub records: u64,
    /// Numbered records that wait in live channels.
    pub waiting: u64,
    /// Records that are lost.
    pub lost: u64,
    /// Writers of all channels.
    pub threads: u64,
    /// Processes.
    pub processes: u64,
    /// Archives.
    pub archives: u64,
    /// Their length, in bytes.
    pub bytes: u64,
    /// Archives that retention deleted.
    pub deleted: u64,
    /// Each channel.
    pub channels: Vec<ChannelAudit>,
    /// Damaged blocks, with the records that they held, and damaged archives.
    pub damaged: Vec<String>,
    /// Why it cannot be told, where that is about no channel alone.
    pub doubts: Vec<String>,
}

/// How often the audit looks at most.
const LOOKS: u32 = 4;

impl Audit {
    /// Audits a store.
    ///
    /// A channel that came or went while the audit looked is looked for again, some times: what waits
    /// in one that came during the last look is not counted.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn of(store: &Store) -> io::Result<Self> {
        let mut walked = walk::run(store)?;
        let gone = walked.audit.channels.iter().any(|c| !c.live && !c.finished);
        let mut again = gone || walked.late;
        for _ in 1..LOOKS {
            if !again {
                break;
            }
            walked = walk::run(store)?;
            again = walked.late;
        }
        Ok(walked.audit)
    }
}
