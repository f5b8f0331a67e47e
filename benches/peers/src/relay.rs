//! Relay, with its collector as a thread of the same process; live files on disk unless said.

use crate::peer::Peer;
use crate::{facade, traced};
use relay_collect::Options;
use relay_log::{Builder, ByteSize, Relay};
use std::path::Path;

fn set_up(dir: &Path, live: &Path) -> (Relay, Box<dyn FnOnce()>) {
    set_up_with(dir, live, |builder| builder)
}

fn set_up_with(
    dir: &Path,
    live: &Path,
    more: impl FnOnce(Builder) -> Builder,
) -> (Relay, Box<dyn FnOnce()>) {
    let mut options = Options::new(dir);
    options.live_dir = live.to_owned();
    let collector = relay_collect::spawn(options).unwrap();
    let builder = Relay::builder(dir).live_dir(live).channel("bench");
    let relay = more(builder).init().unwrap();
    (relay, Box::new(|| collector.stop().unwrap()))
}

fn with_macros(end: Box<dyn FnOnce()>) -> Peer {
    Peer {
        none: || relay_log::info!("request handled"),
        one: |id| relay_log::info!("request handled id={id}"),
        three: |id, latency, path| {
            relay_log::info!("request handled id={id} latency={latency} path={path}");
        },
        end,
    }
}

pub(crate) fn macros(dir: &Path, _: &Path) -> Peer {
    with_macros(set_up(dir, &dir.join("live")).1)
}

pub(crate) fn macros_on_tmpfs(dir: &Path, fast: &Path) -> Peer {
    with_macros(set_up(dir, fast).1)
}

/// One call in 16,000 goes to another sub-buffer instead of one in 900.
pub(crate) fn large_on_tmpfs(dir: &Path, fast: &Path) -> Peer {
    let large = |builder: Builder| builder.sub_buffer(ByteSize::mib(1)).buffer(ByteSize::mib(16));
    with_macros(set_up_with(dir, fast, large).1)
}

pub(crate) fn log(dir: &Path, _: &Path) -> Peer {
    facade::peer(set_up(dir, &dir.join("live")).1)
}

pub(crate) fn tracing(dir: &Path, _: &Path) -> Peer {
    use tracing_subscriber::layer::SubscriberExt;
    let (relay, end) = set_up(dir, &dir.join("live"));
    let subscriber = tracing_subscriber::registry().with(relay.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    // Fields that keep their types: the others would only print them into the line.
    Peer {
        three: |id, latency, path| tracing::info!(id, latency, path, "request handled"),
        one: |id| tracing::info!(id, "request handled"),
        ..traced::peer(end)
    }
}
