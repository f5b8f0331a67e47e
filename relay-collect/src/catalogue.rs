//! The catalogue of the sealed archives of a directory, as a file beside them.
//!
//! It only saves opening archives: it can be missing, old or wrong at any time. So it is written without
//! being made durable, and an entry counts only for a file that is still what it was made of.

use crate::read::{ArchiveFd, ArchiveName};
use relay_fmt::archive::{
    Identity, Opened, Summary, open, put_catalogue, read_control, read_filter, take_catalogue,
};
use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Its name.
const FILE: &str = "catalogue";
/// What is being written.
const TEMPORARY: &str = ".catalogue.new";
/// One that is larger is not read, in bytes.
const MOST: u64 = 1 << 30;

/// What tells the file of this name from another one.
pub(crate) fn identity(file: &str, metadata: &Metadata) -> Identity {
    let modified = metadata.mtime().saturating_mul(1_000_000_000);
    Identity {
        file: file.to_owned(),
        len: metadata.len(),
        inode: metadata.ino(),
        modified_ns: modified.saturating_add(metadata.mtime_nsec()),
    }
}

/// What a catalogue says, by file name; nothing where there is none that can be read.
pub(crate) fn read(dir: &Path) -> HashMap<String, Summary> {
    let summaries = bytes(dir).ok().and_then(|bytes| take_catalogue(&bytes).ok());
    let summaries = summaries.unwrap_or_default().into_iter();
    summaries.map(|summary| (summary.identity.file.clone(), summary)).collect()
}

fn bytes(dir: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    // A FIFO of that name must not hang the reader.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let path = dir.join(FILE);
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Brings the catalogue up to date with the sealed archives that are there: only those that are new in
/// it are opened. Only who holds the collector's lock may do this.
///
/// # Errors
/// When it cannot be written; then the old one stays, or none.
pub(crate) fn refresh(dir: &Path) -> io::Result<()> {
    let mut known = read(dir);
    let before = known.len();
    let (mut summaries, mut new) = (Vec::new(), false);
    // Who may read the archives may read what is said of them.
    let mut mode = 0o600;
    for name in ArchiveName::list(dir)?.into_iter().filter(|name| name.sealed) {
        let Ok(bytes) = ArchiveFd::open(&dir.join(&name.file)) else { continue };
        let metadata = bytes.metadata()?;
        mode = metadata.mode() & 0o666;
        let identity = identity(&name.file, &metadata);
        match known.remove(&name.file).filter(|known| known.identity == identity) {
            Some(summary) => summaries.push(summary),
            None => {
                let summary = summary(identity, &bytes);
                new |= summary.is_some();
                summaries.extend(summary);
            }
        }
    }
    if !new && summaries.len() == before {
        return Ok(());
    }
    let temporary = dir.join(TEMPORARY);
    let _ = std::fs::remove_file(&temporary);
    let mut options = std::fs::OpenOptions::new();
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut file =
        options.write(true).create_new(true).custom_flags(flags).mode(mode).open(&temporary)?;
    io::Write::write_all(&mut file, &put_catalogue(&summaries))?;
    std::fs::rename(&temporary, dir.join(FILE))
}

/// What is to be known of an archive; `None` where it must be opened to be known.
fn summary(identity: Identity, bytes: &ArchiveFd) -> Option<Summary> {
    let Ok(Opened::Sealed(directory)) = open(bytes) else { return None };
    let mut entries = Vec::new();
    for place in &directory.controls {
        entries.extend(read_control(bytes, &directory, *place).ok()?);
    }
    let filters: Result<Vec<_>, _> =
        directory.blocks.iter().map(|block| read_filter(bytes, block)).collect();
    Summary::of(identity, &directory, &entries, &filters.ok()?)
}
