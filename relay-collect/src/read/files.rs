//! Archives as files: their names, and their bytes.

use relay_fmt::archive::ReadAt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The end of a sealed archive's name.
const SEALED: &str = ".relay.zst";
/// The end of an open archive's name.
const PART: &str = ".relay.zst.part";

/// The parts of an archive's file name, `<channel>-<UTC start>-<n>.relay.zst`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveName {
    /// The channel.
    pub channel: String,
    /// Its number among the archives of the channel.
    pub number: u64,
    /// Whether its name says that it is sealed.
    pub sealed: bool,
    /// The whole name.
    pub file: String,
}

impl ArchiveName {
    /// Takes a file name apart; `None` when it is no archive's.
    #[must_use]
    pub fn parse(file: &str) -> Option<Self> {
        let (stem, sealed) = match file.strip_suffix(SEALED) {
            Some(stem) => (stem, true),
            None => (file.strip_suffix(PART)?, false),
        };
        let (rest, number) = stem.rsplit_once('-')?;
        let (channel, _start) = rest.rsplit_once('-')?;
        if channel.is_empty() || channel.starts_with('.') {
            return None;
        }
        let number = number.parse().ok()?;
        Some(Self { channel: channel.to_owned(), number, sealed, file: file.to_owned() })
    }

    /// The name without what sealing changes.
    #[must_use]
    pub fn stem(&self) -> &str {
        stem(&self.file)
    }

    /// The archives in a directory, by channel and number.
    ///
    /// # Errors
    /// When the directory cannot be read; that it is not there is no error.
    pub fn list(dir: &Path) -> io::Result<Vec<Self>> {
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| super::store::at(dir, &error))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().to_str().and_then(Self::parse));
        }
        names.sort_by(|a, b| {
            let ours = (&a.channel, a.number, a.sealed, &a.file);
            ours.cmp(&(&b.channel, b.number, b.sealed, &b.file))
        });
        Ok(names)
    }
}

/// A file name of an archive without what sealing changes.
pub(crate) fn stem(file: &str) -> &str {
    let shown = file.strip_prefix('.').unwrap_or(file);
    shown.strip_suffix(".part").unwrap_or(shown)
}

/// An open archive. It stays readable when its name changes or goes.
#[derive(Debug, Clone)]
pub struct ArchiveFd(Arc<File>);

impl ArchiveFd {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it cannot be opened, or is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        // A FIFO of that name must not hang the reader.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Self(Arc::new(file)))
    }

    /// What the system says of it.
    pub(crate) fn metadata(&self) -> io::Result<std::fs::Metadata> {
        self.0.metadata()
    }
}

impl ReadAt for ArchiveFd {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart() {
        let name = ArchiveName::parse("my-app-20261124T130000Z-17.relay.zst").unwrap();
        assert_eq!((name.channel.as_str(), name.number, name.sealed), ("my-app", 17, true));
        let open = ArchiveName::parse("a-20261124T130000Z-0.relay.zst.part").unwrap();
        assert!(!open.sealed);
        assert_eq!(open.stem(), "a-20261124T130000Z-0.relay.zst");
        for other in [
            "a.relay",
            "a-b.relay.zst",
            "a-20261124T130000Z-x.relay.zst",
            ".relay.zst",
            ".a-20261124T130000Z-1.relay.zst.part",
        ] {
            assert_eq!(ArchiveName::parse(other), None, "{other}");
        }
    }
}
