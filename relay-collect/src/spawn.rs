//! The collector inside of a program.

use crate::collector::{CollectError, Collector, Control};
use crate::notes::Notes;
use crate::options::Options;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A collector that runs in a thread of this program.
///
/// Nothing is lost when it is dropped, or when the program ends without stopping it: what is not
/// archived stays in the channels, and the next collector finds it.
#[derive(Debug)]
pub struct Spawned {
    control: Arc<Control>,
    thread: Option<JoinHandle<Result<(), CollectError>>>,
}

impl Spawned {
    /// Has archives sealed and new ones begun.
    pub fn rotate(&self) {
        self.control.rotate();
    }

    /// Archives what is there, seals the archives and ends the thread.
    ///
    /// # Errors
    /// What the collector failed with.
    ///
    /// # Panics
    /// When the collector's thread has panicked.
    pub fn stop(mut self) -> Result<(), CollectError> {
        self.control.stop();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

/// Starts a collector in a thread of this program. It is a thread of the operating system, never a
/// task of a runtime, and its own log calls never wait for it.
///
/// # Errors
/// When another collector has the directory, or the thread cannot be started.
pub fn spawn(options: Options) -> Result<Spawned, CollectError> {
    let mut collector = Collector::with(options, Notes::quiet())?;
    let control = Arc::new(Control::new());
    let own = Arc::clone(&control);
    let thread = std::thread::Builder::new().name("relay-collect".into()).spawn(move || {
        relay_log::channel::never_wait();
        collector.run(&own)
    })?;
    Ok(Spawned { control, thread: Some(thread) })
}
