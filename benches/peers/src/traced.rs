//! Behind `tracing`: tracing-subscriber's `fmt`, writing in the call or through tracing-appender.

use crate::peer::Peer;
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use tracing_appender::non_blocking::NonBlockingBuilder;

pub(crate) fn peer(end: Box<dyn FnOnce()>) -> Peer {
    Peer {
        none: || tracing::info!("request handled"),
        one: |id| tracing::info!("request handled id={id}"),
        three: |id, latency, path| {
            tracing::info!("request handled id={id} latency={latency} path={path}");
        },
        end,
    }
}

pub(crate) fn in_the_call(dir: &Path, _: &Path) -> Peer {
    let file = Mutex::new(File::create(dir.join("text.log")).unwrap());
    tracing_subscriber::fmt().with_writer(file).with_ansi(false).init();
    peer(Box::new(|| ()))
}

fn appender(dir: &Path, lossy: bool) -> Peer {
    let file = File::create(dir.join("text.log")).unwrap();
    let (writer, guard) = NonBlockingBuilder::default().lossy(lossy).finish(file);
    tracing_subscriber::fmt().with_writer(writer).with_ansi(false).init();
    peer(Box::new(|| drop(guard)))
}

pub(crate) fn blocks(dir: &Path, _: &Path) -> Peer {
    appender(dir, false)
}

pub(crate) fn drops(dir: &Path, _: &Path) -> Peer {
    appender(dir, true)
}
