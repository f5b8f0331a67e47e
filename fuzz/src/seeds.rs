//! First inputs, made by the code that is fuzzed: always of the current formats, and nothing to keep.

use crate::{pieces, rows};
use relay_fmt::archive::{Announce, ArchiveWriter, Entry, FileHeader, Final, Note, open};
use relay_fmt::block::{BlockBuilder, BlockKind, BlockOptions, RowBuffer, encode};
use relay_fmt::callsite::{Callsite, Facade, Field, Level};
use relay_fmt::record::{Fragment, Kind, put_inline};
use relay_fmt::value::{Layout, Type, put_str};
use relay_log::channel::{ChannelReader, Config, RawChannel};
use std::fmt::Write as _;

/// Lines as programs write them.
const LINES: [&str; 17] = [
    "2026-11-24 13:00:00,123 INFO dfs.DataNode: Receiving block blk_-1608999687919862906 src: /10.250.19.102:54106",
    "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block terminating",
    "Nov 24 13:00:01 combo sshd(pam_unix)[19939]: authentication failure; uid=0 rhost=218.188.2.4",
    "10.0.0.1 - - [24/Nov/2026:13:00:00 +0000] \"GET /items/17?x=0x1f HTTP/1.1\" 200 5316 0.004",
    "{\"level\":\"info\",\"n\":17,\"ok\":true,\"name\":\"a b\",\"t\":1.50}",
    "{\"a\":{\"b\":[1,{\"c\":null}],\"\":\"\\u001b\\ud83d\\ude00\"},\"a.b\":1e40,\"n\":18446744073709551616,\"n\":-0.0}",
    "{\"a\":\"\\ud800\"}",
    "{\"a\":1e400}",
    "request 5f2b9c1e-8d7a-4c3b-9e1f-0a1b2c3d4e5f took 12.5 ms",
    "request 5f2b9c1e-8d7a-4c3b-9e1f-0a1b2c3d4e60 took 3.75 ms",
    "user=alice id=000123 hash=DEADBEEF addr=192.168.1.254 -7 +3 1e9",
    "-0 00 -00.10 0.0000 99999999999999999999 18446744073709551616 9223372036854775808",
    "",
    " \t\r",
    "\u{1b}[31mred\u{1b}[0m \u{202e}bidi \u{0}nul",
    "aaaa,bbbb;cccc|dddd (eeee) [ffff] <gggg>",
    "2026-11-24T13:00:00.123456789Z 1795525200.5 07:59:60 Feb 30",
];

fn site(template: &str, layout: Layout, fields: &[(&str, Type)]) -> Callsite {
    let field = |(name, of): &(&str, Type)| Field {
        name: (*name).into(),
        of: *of,
        argument_only: *name == "message",
    };
    Callsite {
        level: Level::Info,
        facade: Facade::Log,
        layout,
        line: 12,
        target: "server::http".into(),
        module: "server".into(),
        file: "src/http.rs".into(),
        name: "work".into(),
        template: template.into(),
        fields: fields.iter().map(field).collect(),
    }
}

fn sites() -> [Callsite; 5] {
    use Type::{Bool, Char, Duration, F64, I32, List, Str, Tagged, Text, U64};
    let mut warning = site("{0}", Layout::Sparse, &[("message", Tagged), ("n", Tagged)]);
    warning.level = Level::Warn;
    warning.target = "hyper::client".into();
    [
        site("{0}", Layout::Packed, &[("message", Text), ("n", U64)]),
        warning,
        site(
            "{0} took {1:.2} ms, {{}} {2:>8}",
            Layout::Packed,
            &[("a", U64), ("b", F64), ("c", Str)],
        ),
        site(
            "{1:#?} {0:+05} {3:x?} {2:?}",
            Layout::Packed,
            &[("a", I32), ("b", List), ("c", Char), ("d", Str)],
        ),
        site(
            "{1:0$.3e}{2:?}{0}",
            Layout::Packed,
            &[("w", U64), ("x", F64), ("t", Duration), ("b", Bool)],
        ),
    ]
}

fn payloads(n: u64) -> [Vec<u8>; 5] {
    let line = LINES[n as usize % LINES.len()].as_bytes();
    let text = |of: Type, text: &[u8]| {
        let mut out = Vec::new();
        put_str(&mut out, of, text);
        out
    };
    let number = [&[1, Type::U64 as u8][..], &n.to_le_bytes()].concat();
    let string = text(Type::Str, b"caf\xc3\xa9");
    let float = (n as f64 / 8.0).to_le_bytes();
    let list = [&2u32.to_le_bytes()[..], &[Type::U8 as u8, 7, Type::Some as u8], &string].concat();
    [
        [&text(Type::Text, line)[1..], &n.to_le_bytes()].concat(),
        [&[0], &text(Type::Text, line)[..], &number].concat(),
        [&n.to_le_bytes()[..], &float, &string[1..]].concat(),
        [&(n as u32).to_le_bytes()[..], &list, &[b'z', 0, 0, 0], &string[1..]].concat(),
        [&9u64.to_le_bytes()[..], &float, &n.to_le_bytes(), &[1, 0, 0, 0], &[1]].concat(),
    ]
}

/// Rows of every kind that a block can hold, in the bytes of [`rows`].
fn row_bytes(count: u64) -> Vec<u8> {
    let mut out = Vec::new();
    sites().iter().for_each(|site| rows::put_site(&mut out, site));
    for n in 0..count {
        let time = n as u32 * 1_000;
        for (site, payload) in payloads(n).iter().enumerate() {
            rows::put_row(&mut out, Kind::Event, site as u8 + 1, 0, time, payload);
        }
        rows::put_row(&mut out, Kind::Raw, 0, 0, time, LINES[n as usize % LINES.len()].as_bytes());
    }
    let mut inline = Vec::new();
    let mut description = Vec::new();
    sites()[0].encode(&mut description);
    put_inline(&mut inline, &description);
    inline.extend_from_slice(&payloads(1)[0]);
    rows::put_row(&mut out, Kind::InlineEvent, 0, 0, 1, &inline);
    let new = [&[0; 8], &payloads(2)[2][..]].concat();
    rows::put_row(&mut out, Kind::SpanNew, 3, 7, 2, &new);
    rows::put_row(&mut out, Kind::SpanEvent, 1, 7, 3, &payloads(3)[0]);
    rows::put_row(&mut out, Kind::SpanExit, 0, 7, 4, &[]);
    let part = [&Fragment::prefix(100, 50, Kind::Raw)[..], b"a part of a line"].concat();
    rows::put_row(&mut out, Kind::Fragment, 0, 0, 5, &part);
    out
}

/// Rows for queries to mean some of.
#[must_use]
pub fn many_rows() -> RowBuffer {
    rows::get(&row_bytes(14))
}

fn bodies(kind: BlockKind) -> Vec<Vec<u8>> {
    let streams = |count| {
        let mut body = Vec::new();
        encode(&rows::get(&row_bytes(count)), kind, 1, &mut body).unwrap();
        pieces::streams(&body)
    };
    // One of each, and so many of each that columns pay.
    [1, 4, 40].map(streams).into()
}

/// Bodies of kind Rows, as streams.
#[must_use]
pub fn rows_bodies() -> Vec<Vec<u8>> {
    bodies(BlockKind::Rows)
}

/// Bodies of kind Columns, as streams.
#[must_use]
pub fn columns_bodies() -> Vec<Vec<u8>> {
    bodies(BlockKind::Columns)
}

pub(crate) fn searches() -> Vec<Vec<u8>> {
    let needles = ["took 3.75", "e60", "10.250", "0", "blk_-1608", "-7 +3", "", "ms, {} "];
    let seed = |needle: &str| {
        let head = [needle.len() as u8];
        [&head, needle.as_bytes(), &row_bytes(3)].concat()
    };
    needles.into_iter().map(seed).collect()
}

pub(crate) fn rows() -> Vec<Vec<u8>> {
    vec![row_bytes(1), row_bytes(8)]
}

pub(crate) fn callsites() -> Vec<Vec<u8>> {
    let seed = |site: Callsite| {
        let mut out = Vec::new();
        site.encode(&mut out);
        out
    };
    sites().map(seed).into()
}

pub(crate) fn messages() -> Vec<Vec<u8>> {
    vec![row_bytes(1), row_bytes(14)]
}

/// A sealed archive that an audit finds whole: one channel, whose every record is there.
#[must_use]
pub fn whole_archive() -> Vec<u8> {
    let header = FileHeader {
        uuid: *b"sixteen bytes id",
        channel: "app".into(),
        host: "box".into(),
        ..FileHeader::default()
    };
    let (mut writer, mut file) = ArchiveWriter::create(header).unwrap();
    let (source, count) = (rows::source(), 12);
    let announce = Announce { source: source.clone(), file: "app.4711-x.relay".into(), seen_ns: 5 };
    file.extend(writer.control(&[Entry::Announce(announce)]).unwrap());
    for part in 0..2u32 {
        let mut builder = BlockBuilder::new();
        builder.source(&source);
        let half = count / 2;
        let run = relay_fmt::rows::Run {
            from: part * half * 64,
            to: (part + 1) * half * 64,
            prior_records: part * half,
            first_number: u64::from(part * half),
            ..rows::run(half)
        };
        let run = builder.run(run);
        for n in 0..half {
            let line = LINES[(part * half + n) as usize].as_bytes();
            builder.push(run, Kind::Raw, None, 0, i64::from(part * half + n) * 1_000, line);
        }
        let kind = if part == 0 { BlockKind::Columns } else { BlockKind::Rows };
        let block = builder.finish(&BlockOptions { kind, ..BlockOptions::default() }).unwrap();
        file.extend_from_slice(writer.block(&block).unwrap());
    }
    let last = Final {
        id: source.id,
        claimed: u64::from(count),
        discarded: 0,
        per_sub_buffer: vec![u64::from(count)],
        clean: true,
        overwrites: false,
        reason: "closed".into(),
    };
    let note = Note { level: Level::Warn, time_ns: 6, text: "a note".into() };
    file.extend(writer.control(&[Entry::Note(note), Entry::Final(last)]).unwrap());
    file.extend(writer.seal().unwrap());
    file
}

/// Archives as files.
#[must_use]
pub fn archive_files() -> Vec<Vec<u8>> {
    let golden = include_bytes!("../../relay-fmt/tests/golden/archive-v1.relay.zst");
    vec![golden.to_vec(), whole_archive()]
}

/// Archives, as pieces.
#[must_use]
pub fn archives() -> Vec<Vec<u8>> {
    let split = |file: Vec<u8>| pieces::split(&file, open(&file[..]).unwrap().directory());
    let mut all: Vec<_> = archive_files().into_iter().map(split).collect();
    // An open one.
    let last = pieces::get(&all[0]).filter(|(kind, _)| *kind != 3);
    let mut open = Vec::new();
    last.for_each(|(kind, content)| pieces::put(&mut open, kind, content));
    all.push(open);
    all
}

pub(crate) fn audits() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = archives().iter().map(|pieces| [&[1], &pieces[..]].concat()).collect();
    all.extend([vec![0, 100, 0, 1], vec![2, 9, 1, 77, 1, 2, 3], vec![0, 0, 2, 5, 9, 3, 8]]);
    all
}

pub(crate) fn lines() -> Vec<Vec<u8>> {
    let mut similar = String::new();
    for n in 0..60u64 {
        writeln!(similar, "user u{n} from 10.0.{}.{n} in {}.{n:02} ms", n % 7, n * n).unwrap();
    }
    vec![
        LINES.join("\n").into(),
        LINES.map(|line| [line; 4].join("\n")).join("\n").into(),
        similar.into(),
    ]
}

pub(crate) fn queries() -> Vec<Vec<u8>> {
    [
        r#"level <= warn && (n >= 5 || message ~ "time(d )?out") && !(target ^= hyper)"#,
        r#"span.name == work && span.c == "J B" && time >= 13:00"#,
        r#"message *= "took" && a < 3 && b > 0.5 && c $= "\u{e9}""#,
        r#"target ^= "server" || module == server || line == 12 || pid == 4711 || tid != 1"#,
        r#""level" == x && field.level == y || thread == worker && channel == app"#,
        "!!(((n)))",
        "time < -15min || time >= 2026-11-24T13:00:00Z",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// A channel of 4 KiB sub-buffers with two writers, one of which has ended, and a long record.
fn channel_image() -> Vec<u8> {
    crate::scratch::with_store(|dir| {
        let mut config = Config::new(dir.join("live"), "app");
        (config.sub_buffer, config.initial, config.keeper) = (4096, 8192, false);
        let channel = RawChannel::create(config).unwrap();
        let mut writer = channel.writer();
        LINES.iter().for_each(|line| writer.write(line.as_bytes()).unwrap());
        writer.write(&[b'y'; 5_000]).unwrap();
        drop(writer);
        channel.writer().write(b"of another writer").unwrap();
        std::fs::read(dir.join("live").join(channel.file_name())).unwrap()
    })
}

pub(crate) fn channels() -> Vec<Vec<u8>> {
    let golden = include_bytes!(
        "../../relay-log/tests/golden/golden-v1.30863-d024c741c211af7b93f933c60703f80c.relay"
    );
    vec![golden.to_vec(), channel_image()]
}

pub(crate) fn records() -> Vec<Vec<u8>> {
    crate::scratch::with_store(|dir| {
        let image = channel_image();
        let (name, image) = crate::targets::channel::sealed(&image);
        std::fs::write(dir.join("live").join(&name), image).unwrap();
        let reader = ChannelReader::open(&dir.join("live"), name.as_ref(), None).unwrap();
        let subs = reader.scan().unwrap().into_iter();
        let bytes = subs.map(|sub| {
            let bytes = reader.read(&sub, 0).unwrap().unwrap().bytes;
            [&[sub.generation as u8], &bytes[..]].concat()
        });
        bytes.collect()
    })
}
