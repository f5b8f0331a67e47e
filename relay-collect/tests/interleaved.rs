//! What several threads log at the same time lies in a block in the order of its times.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::Dir;
use relay_collect::read::{ArchiveFd, ArchiveName};
use relay_fmt::archive::{open, read_block};
use relay_fmt::record::Kind;
use std::sync::mpsc::channel;

#[test]
fn events_of_two_threads_in_turn_are_in_the_order_of_their_times() {
    const TURNS: usize = 200;
    let dir = Dir::new();
    let relay = relay_log::Relay::builder(dir.path()).channel("app").build().unwrap();
    let dispatch = tracing::Dispatch::new({
        use tracing_subscriber::layer::SubscriberExt;
        tracing_subscriber::registry().with(relay.layer())
    });
    let ((to_a, at_a), (to_b, at_b)) = (channel(), channel());
    to_a.send(()).unwrap();
    std::thread::scope(|scope| {
        for (turn, next) in [(at_a, to_b), (at_b, to_a)] {
            let dispatch = dispatch.clone();
            scope.spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    for n in 0..TURNS {
                        turn.recv().unwrap();
                        tracing::info!(n, "of two");
                        // The other one may have had its last turn.
                        let _ = next.send(());
                    }
                });
            });
        }
    });
    assert!(dir.run(&["--once"]).status.success());
    let archives = dir.path().join("archive");
    let name = ArchiveName::list(&archives).unwrap().pop().unwrap();
    let bytes = ArchiveFd::open(&archives.join(name.file)).unwrap();
    let opened = open(&bytes).unwrap();
    let mut events = 0;
    for block in &opened.directory().blocks {
        let rows = read_block(&bytes, block).unwrap();
        assert!(rows.rows().map(|row| row.order_ns).is_sorted());
        events += rows.rows().filter(|row| row.kind == Kind::Event).count();
    }
    assert_eq!(events, 2 * TURNS);
}
