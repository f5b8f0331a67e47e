//! Who knows which calls have returned: notes that each program makes in a file, outside of Relay, and
//! that whoever is killed cannot take back.

use anyhow::Result;
use relay_collect::query::Filter;
use relay_collect::read::Snapshot;
use std::collections::HashMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The notes of one program.
pub(crate) struct Notes(File);

impl Notes {
    pub(crate) fn create(dir: &Path, program: u32) -> Result<Self> {
        Ok(Self(File::create(dir.join(format!("returned.{program}")))?))
    }

    /// `count` calls of this thread have returned.
    pub(crate) fn returned(&self, thread: u32, count: u64) {
        let done = self.0.write_all_at(&count.to_le_bytes(), u64::from(thread) * 8);
        done.expect("a note that cannot be made is no oracle");
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) returned: u64,
    pub(crate) found: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) disordered: u64,
    pub(crate) text_bytes: u64,
}

impl Counted {
    pub(crate) const fn is_whole(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.disordered == 0
    }
}

/// Program, thread and number of a message that begins with `[program.thread.number]`.
fn stamp(message: &[u8]) -> Option<(u32, u32, u64)> {
    let text = std::str::from_utf8(message).ok()?.strip_prefix('[')?;
    let mut parts = text.split_once(']')?.0.split('.');
    let stamp =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(stamp)
}

/// Reads everything, and compares it with the notes.
pub(crate) fn count(dir: &Path, snapshot: &mut Snapshot) -> Result<Counted> {
    let mut counted = Counted::default();
    let mut seen: HashMap<(u32, u32), Vec<u64>> = HashMap::new();
    let mut message = Vec::new();
    snapshot.events(&mut Filter::new(), false, &mut |event| {
        message.clear();
        if event.write_message(&mut message).is_ok()
            && let Some((program, thread, number)) = stamp(&message)
        {
            counted.found += 1;
            counted.text_bytes += message.len() as u64 + 1;
            seen.entry((program, thread)).or_default().push(number);
        }
        ControlFlow::Continue(())
    });
    for program in 0..crate::PROGRAMS {
        let notes = std::fs::read(dir.join(format!("returned.{program}")))?;
        for (thread, count) in (0..).zip(notes.chunks_exact(8)) {
            let returned = u64::from_le_bytes(count.try_into()?);
            let mut numbers = seen.remove(&(program, thread)).unwrap_or_default();
            counted.returned += returned;
            counted.disordered += numbers.windows(2).filter(|w| w[1] < w[0]).count() as u64;
            numbers.sort_unstable();
            let all = numbers.len();
            numbers.dedup();
            counted.doubled += (all - numbers.len()) as u64;
            counted.lost += returned - numbers.iter().filter(|n| **n < returned).count() as u64;
        }
    }
    Ok(counted)
}
