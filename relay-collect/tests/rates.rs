//! A record's time is computed by whoever reads it, and readers may hold the ticks for shorter or longer:
//! whatever they do, the records of one thread are shown in the order of their numbers.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Mini};
use relay_collect::query::Filter;
use relay_collect::read::{Follow, Snapshot, Store};
use relay_collect::render::Event;
use relay_fmt::time::Rate;
use relay_log::channel::{RawChannel, Writer};
use std::ops::{ControlFlow, Range};

/// A channel, and a collector that holds ticks for a million times as long as they are.
fn skewed() -> (Dir, RawChannel, Mini) {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let mut mini = Mini::new(&dir, &channel);
    mini.rate = Rate { per_tick_q32: mini.rate.per_tick_q32 * 1_000_000 };
    (dir, channel, mini)
}

/// Writes records of so many bytes, each of which begins with its number.
fn write(writer: &mut Writer, numbers: Range<u32>, bytes: usize) {
    let mut record = vec![0; bytes];
    for i in numbers {
        record[..4].copy_from_slice(&i.to_le_bytes());
        writer.write(&record).unwrap();
    }
}

fn number(event: &Event<'_>) -> u32 {
    u32::from_le_bytes(*event.row.payload.first_chunk().unwrap())
}

#[test]
fn followed_across_an_archive_whose_times_are_later() {
    let (dir, channel, mut mini) = skewed();
    let (mut writer, mut frames) = (channel.writer(), vec![mini.announce()]);
    let store = Store::open(dir.path(), None).unwrap();
    let (first, mut follow) = Follow::start(&store).unwrap();
    follow.resume(first);
    let mut shown = Vec::new();
    for round in 0..5 {
        // The first of them are only in the archive, the last only in the channel.
        let from = round * 400;
        write(&mut writer, from..from + 300, 4);
        frames.push(mini.look(false));
        dir.archive("app", 0, &frames, false);
        mini.hand_back_all();
        write(&mut writer, from + 300..from + 400, 4);
        let sink = &mut |event: &Event<'_>| {
            shown.push(number(event));
            ControlFlow::Continue(())
        };
        assert!(follow.poll(&mut Filter::new(), sink).unwrap().is_continue());
        assert_eq!(shown, (0..from + 400).collect::<Vec<_>>());
    }
    assert_eq!((follow.problems, follow.notes), (Vec::<String>::new(), Vec::new()));
}

#[test]
fn archived_while_a_reader_is_about_to_read_it() {
    let (dir, channel, mut mini) = skewed();
    let mut writer = channel.writer();
    let store = Store::open(dir.path(), None).unwrap().copy_at_once(0);
    // More than is read at once, of which the first half goes to an archive and is written over.
    write(&mut writer, 0..2_500, 1_000);
    let first = mini.look(false);
    write(&mut writer, 2_500..5_000, 1_000);
    let mut snapshot = Snapshot::take(&store).unwrap();
    dir.archive("app", 0, &[mini.announce(), first], false);
    mini.hand_back_all();
    write(&mut writer, 5_000..7_400, 1_000);
    let mut shown = Vec::new();
    snapshot.events(&mut Filter::new(), false, &mut |event| {
        shown.push(number(event));
        ControlFlow::Continue(())
    });
    assert_eq!(snapshot.problems, Vec::<String>::new());
    assert_eq!(shown, (0..5_000).collect::<Vec<_>>());
}
