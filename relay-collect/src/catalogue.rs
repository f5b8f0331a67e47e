//! The catalogue of the sealed archives of a directory, as a file beside them.
//!
//! It saves opening archives: it can be missing, old or wrong at any time. So it is written without
//! being made durable, and an entry counts only for a file that is still what it was made of. Beyond that
//! it remembers archives that are not there any more and that retention did not delete: the audit tells.

use crate::read::{ArchiveFd, ArchiveName, Ranges};
use relay_fmt::archive::{
    Identity, Opened, Summary, open, put_catalogue, read_control, read_filter, take_catalogue,
};
use std::collections::{HashMap, HashSet};
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

/// The newest archive of a channel that it lists.
pub(crate) fn newest(dir: &Path, channel: &str) -> Option<ArchiveName> {
    let names = read(dir).into_keys().filter_map(|file| ArchiveName::parse(&file));
    names.filter(|name| name.channel == channel).max_by_key(|name| name.number)
}

/// What is left of a catalogue of files that are not there, without those that retention deleted.
fn gone(dir: &Path, names: &[ArchiveName], known: HashMap<String, Summary>) -> Vec<Summary> {
    let there: HashSet<&str> = names.iter().map(|name| name.file.as_str()).collect();
    let mut deleted: HashMap<String, Ranges> = HashMap::new();
    let mut gone: Vec<Summary> = known.into_values().collect();
    gone.retain(|summary| {
        let file = &summary.identity.file;
        let Some(name) = ArchiveName::parse(file).filter(|_| !there.contains(file.as_str())) else {
            return false;
        };
        let of = deleted
            .entry(name.channel.clone())
            .or_insert_with(|| crate::deleted::of_channel(dir, names, &name.channel));
        !of.has(name.number)
    });
    gone.sort_by(|a, b| a.identity.file.cmp(&b.identity.file));
    gone
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
    let names = ArchiveName::list(dir)?;
    for name in names.iter().filter(|name| name.sealed) {
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
    summaries.extend(gone(dir, &names, known));
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
