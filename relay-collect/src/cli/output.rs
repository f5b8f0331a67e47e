//! Where records are written: standard output, or a file that appears when it is whole.

use super::out::STDOUT;
use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The level that text is compressed with.
const LEVEL: i32 = 3;

/// Where records go.
pub(crate) enum Output {
    /// Standard output.
    Stdout,
    /// A file.
    File(Box<NewFile>),
}

/// A file under a name of its own until it is whole. It goes when it is dropped before that.
pub(crate) struct NewFile {
    /// `None` once it is finished.
    writer: Option<Encoder>,
    part: PathBuf,
    path: PathBuf,
    force: bool,
}

enum Encoder {
    Plain(BufWriter<File>),
    Zstd(zstd::Encoder<'static, File>),
}

impl Output {
    /// Begins a file, compressed where its name ends in `.zst`. One that is there is replaced only with
    /// `force`.
    pub(crate) fn create(path: &Path, force: bool) -> Result<Self> {
        if !force && path.symlink_metadata().is_ok() {
            bail!("{} exists; --force replaces it", path.display());
        }
        let Some(name) = path.file_name() else { bail!("{} is no file name", path.display()) };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(hidden);
        // Before it is there: whoever sees it may end this process.
        remove_when_ended(part.clone())?;
        let file = File::create_new(&part);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let compressed = path.extension().is_some_and(|extension| extension == "zst");
        let mut new = NewFile { writer: None, part, path: path.to_owned(), force };
        new.writer = Some(if compressed {
            let mut encoder = zstd::Encoder::new(file, LEVEL)?;
            encoder.include_checksum(true)?;
            Encoder::Zstd(encoder)
        } else {
            Encoder::Plain(BufWriter::with_capacity(1 << 20, file))
        });
        Ok(Self::File(Box::new(new)))
    }

    /// Writes a piece, and hands it on where somebody waits for it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
            Self::File(file) => match &mut file.writer {
                Some(Encoder::Plain(writer)) => writer.write_all(bytes),
                Some(Encoder::Zstd(writer)) => writer.write_all(bytes),
                None => Ok(()),
            },
        }
    }

    /// What it means that a piece could not be written.
    pub(crate) fn failed(&self, error: std::io::Error) -> anyhow::Error {
        let what = match self {
            Self::Stdout => STDOUT.to_owned(),
            Self::File(file) => format!("cannot write {}", file.path.display()),
        };
        anyhow::Error::from(error).context(what)
    }

    /// Everything was written: a file gets its name.
    pub(crate) fn finish(self) -> Result<()> {
        let Self::File(mut new) = self else { return Ok(()) };
        let path = new.path.clone();
        new.finish().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Has the signals that end this process take the unfinished file away first.
fn remove_when_ended(part: PathBuf) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let wait = move || {
        for signal in signals.forever() {
            let _ = std::fs::remove_file(&part);
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(())
}

impl NewFile {
    fn finish(&mut self) -> Result<()> {
        let file = match self.writer.take() {
            Some(Encoder::Plain(writer)) => {
                writer.into_inner().map_err(|error| error.into_error())?
            }
            Some(Encoder::Zstd(writer)) => writer.finish()?,
            None => return Ok(()),
        };
        file.sync_all()?;
        if self.force {
            std::fs::rename(&self.part, &self.path)?;
            return Ok(());
        }
        // Somebody may have made one meanwhile; where the system cannot tell, a look must do.
        match renameat_with(CWD, &self.part, CWD, &self.path, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::INVAL) if self.path.symlink_metadata().is_err() => {
                std::fs::rename(&self.part, &self.path)?;
            }
            renamed => renamed?,
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After it got its name there is no file of this one.
        let _ = std::fs::remove_file(&self.part);
    }
}
