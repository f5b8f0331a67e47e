//! Constant messages of `log`: a record is looked up by addresses only, and comes out as the statement that
//! it is, however much of it another one shares.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(feature = "log")]

mod common;

use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{Level, Record};
use relay_fmt::callsite::Facade;
use relay_log::Relay;

/// Pieces of one text: some begin at one address, some end there.
static TEXT: &str = "abcabc";
const PIECES: [std::ops::Range<usize>; 4] = [0..3, 0..6, 3..6, 1..3];

/// Says nothing of how many it has.
struct One;

impl Source for One {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        visitor.visit_pair(Key::from("n"), Value::from(7))
    }
}

/// What a record says: level, file, module, target, message, line, whether it has a pair.
type Said = (u8, String, String, String, String, u32, bool);

/// Logs all combinations, and returns them.
fn log_all() -> Vec<Said> {
    let piece = |i: usize| &TEXT[PIECES[i].clone()];
    let (mut said, all) = (Vec::new(), 4 * 4 * 4 * 4 * 2 * 2 * 2);
    // Neighbours differ in all parts; 211 and the number of combinations have no factor in common.
    for i in (0..all).map(|i| i * 211 % all) {
        let [file, module, target, literal] = [0, 2, 4, 6].map(|shift| i >> shift & 3);
        let level = if i >> 8 & 1 == 0 { Level::Info } else { Level::Warn };
        let (line, pair) = (1 + (i >> 9 & 1) as u32, i >> 10 & 1 == 1);
        // Sometimes the module itself, sometimes the same text elsewhere.
        let computed = String::from(piece(target));
        let target = if target == module { piece(target) } else { &computed };
        let mut record = Record::builder();
        record
            .level(level)
            .line(Some(line))
            .target(target)
            .file_static(Some(piece(file)))
            .module_path_static(Some(piece(module)));
        if pair {
            record.key_values(&One);
        }
        // A message without arguments is known by its address only when it is written out.
        let logger = log::logger();
        match literal {
            0 => logger.log(&record.args(format_args!("abc")).build()),
            1 => logger.log(&record.args(format_args!("abcabc")).build()),
            2 => logger.log(&record.args(format_args!("{{abc}}")).build()),
            _ => logger.log(&record.args(format_args!("{}", piece(3))).build()),
        }
        let message = ["abc", "abcabc", "{abc}", "bc"][literal];
        let [file, module] = [file, module].map(|i| piece(i).to_owned());
        let target = target.to_owned();
        said.push((level as u8, file, module, target, message.to_owned(), line, pair));
    }
    said
}

#[test]
fn constant_messages_are_told_from_each_other_and_keep_their_pairs() {
    let dir = tempfile::tempdir().unwrap();
    let _relay = Relay::builder(dir.path()).channel("main").init().unwrap();
    let expected = [log_all(), log_all()].concat();
    let events = common::read(&dir.path().join("live"));
    let events = events.iter().filter(|event| event.callsite().facade == Facade::Log);
    let read = events.map(|event| {
        let site = event.callsite();
        let pair = match &event.fields()[..] {
            [] => false,
            [field] if field.starts_with("n=") => true,
            more => panic!("{more:?}"),
        };
        let [file, module, target] =
            [&site.file, &site.module, &site.target].map(|s| s.to_string());
        (site.level as u8, file, module, target, event.message(), site.line, pair)
    });
    assert!(read.eq(expected));
}
