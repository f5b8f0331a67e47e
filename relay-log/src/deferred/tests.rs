//! What the macros store, read back and compared with what `format!` says.

use crate::callsite::StaticCallsite;
use crate::{Argument, Level};
use proptest::prelude::*;
use relay_fmt::callsite::Callsite;
use relay_fmt::message::write_message;
use relay_fmt::value::{Type, Value};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt::{self, Debug, Display};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

type Record = (&'static StaticCallsite, Vec<u8>);

thread_local! {
    static RECORDS: RefCell<Vec<Record>> = const { RefCell::new(Vec::new()) };
}

/// The backend of these tests: keeps the thread's records, so that they go nowhere else.
pub(super) fn collect(callsite: &'static StaticCallsite, payload: Vec<u8>) -> bool {
    RECORDS.with_borrow_mut(|records| records.push((callsite, payload)));
    true
}

fn taken() -> Vec<Record> {
    RECORDS.take()
}

fn only() -> (Callsite, Vec<u8>) {
    let mut records = taken();
    let (callsite, payload) = records.pop().expect("one record");
    assert!(records.is_empty(), "only one record");
    let mut description = Vec::new();
    callsite.to_callsite().encode(&mut description);
    (Callsite::decode(&description).unwrap(), payload)
}

fn message(callsite: &Callsite, payload: &[u8]) -> String {
    let mut out = Vec::new();
    write_message(callsite, payload, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// How many fields were printed at the call.
fn printed(callsite: &Callsite, payload: &[u8]) -> usize {
    let fields = callsite.values(payload).map(Result::unwrap);
    fields.filter(|f| matches!(f.value, Value::Text(_))).count()
}

/// Logs what `format!` takes, and compares; answers how many fields were printed at the call.
macro_rules! same {
    ($($args:tt)*) => {{
        crate::info!($($args)*);
        let (callsite, payload) = only();
        assert_eq!(message(&callsite, &payload), format!($($args)*));
        printed(&callsite, &payload)
    }};
}

#[derive(Debug, Clone, PartialEq)]
struct Plain(u8);

impl Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("plain")
    }
}

impl fmt::LowerHex for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&(self.0 ^ 1), f)
    }
}

#[derive(Debug, Clone, Argument)]
struct Request<'a, T> {
    id: u64,
    path: Cow<'a, str>,
    r#type: Kind,
    body: Option<T>,
    took: Duration,
    peer: (IpAddr, u16),
    unit: (),
}

impl<T> Display for Request<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.path)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Argument)]
enum Kind {
    Get,
    Put { len: usize },
    Other(char, f32),
}

#[derive(Debug, Argument)]
enum Never {}

#[derive(Debug, Argument)]
struct Nothing;

#[derive(Debug, Argument)]
struct Braces {}

#[derive(Debug, Argument)]
struct List {
    next: Option<Box<List>>,
}

impl Kind {
    fn same(&self) -> usize {
        same!("{self:?}")
    }
}

fn request(id: u64) -> Request<'static, Vec<u8>> {
    Request {
        id,
        path: Cow::Borrowed("/a\"b"),
        r#type: Kind::Put { len: 7 },
        body: Some(vec![1, 255]),
        took: Duration::from_micros(1500),
        peer: (Ipv4Addr::LOCALHOST.into(), 80),
        unit: (),
    }
}

#[test]
fn arguments_of_all_sorts_are_kept_raw() {
    let (id, latency, name, width, prec) = (7u64, 1.23456, "né", 12usize, 2usize);
    assert_eq!(same!("nothing"), 0);
    let r#match = id;
    assert_eq!(same!("{match} {match:>width$}"), 0);
    assert_eq!(same!("{{}} {{{id}}} }}{{"), 0);
    assert_eq!(same!("request {id} took {latency:.2} ms"), 0);
    assert_eq!(same!("{} {} {0} {}", id, name, 'c'), 0);
    assert_eq!(same!("{0:?} {0} {1:?} {a}", name, id, a = 1 + 1), 0);
    assert_eq!(same!("{name:>width$}|{latency:<width$.prec$}|{name:-^1$}|{}", id, 9), 0);
    assert_eq!(
        same!("{:.*}|{:>w$.*}|{n:.*}", prec, latency, 1, name, 3, n = latency, w = 9usize),
        0
    );
    assert_eq!(same!("{:1$}|{:2$}|{0:0$}|{w:w$}", 5usize, 6usize, 7, w = width), 0);
    assert_eq!(same!("{id:#x} {id:08b} {id:o} {id:#X} {:e} {latency:E}", 12u8), 0);
    assert_eq!(same!("{:?} {:x?} {:#X?}", [1u8, 171], vec![1i32, 171], (Some(171), 0.5)), 0);
    assert_eq!(same!("{:#?}", request(1)) + Kind::Get.same(), 0);
    assert_eq!(same!("{:*>5?}", (Kind::Get, Kind::Other('x', 1.0), Nothing, Braces {})), 0);
    assert_eq!(same!("{id } {id:? } {id\n}", id = true), 0);
    assert_eq!(same!("{ }{0 }{:.3}{:.0$}", 3, 2.5, 0.0625), 0);
    assert_eq!(same!("{:é<5}{:}^5}{:>+5}{:+}{:-}", 1, 2, 3, 4, 5), 0);
    assert_eq!(same!(r#"{0}"{name}"#, "\n",), 0);
    assert_eq!(same!("{} {type}", id, r#type = 1), 0);
}

#[test]
fn what_points_and_holds_is_kept_raw() {
    let text = String::from("text");
    let all = (Box::new(1u8), Rc::new([1, 2]), Arc::new(Some("x")), &&text);
    assert_eq!(same!("{} {:?} {:?} {}", all.0, all.1, all.2, all.3), 0);
    assert_eq!(same!("{:?}", all), 0);
    assert_eq!(same!("{} {}", text, &mut 5), 0);
    assert_eq!(same!("{:?} {:?} {:?}", &text[1..], b"abc", &[0u8; 3][..1]), 0);
    assert_eq!(same!("{:?} {:?}", Vec::<u8>::new(), None::<i128>), 0);
    assert_eq!(same!("{:?} {}", NonZeroU32::MIN, NonZeroU32::MAX), 0);
    assert_eq!(same!("{} {:?}", Cow::from("cow"), Rc::<str>::from("rc")), 0);
    let socket: SocketAddr = "[fe80::1%3]:80".parse().unwrap();
    assert_eq!(same!("{socket} {socket:?} {} {:>20}", socket.ip(), Ipv4Addr::LOCALHOST), 0);
    assert_eq!(same!("{:?} {:.1?}", Duration::from_nanos(15), Duration::MAX), 0);
    assert_eq!(same!("{:?}", ()), 0);
    assert_eq!(same!("{:?}", (1, (2,), [(); 2], "", 'c', true)), 0);
}

#[test]
fn what_is_not_an_argument_is_printed_at_the_call() {
    let plain = Plain(4);
    let error: Box<dyn std::error::Error> = "an error".into();
    assert_eq!(same!("{plain} {plain:?} {plain:x} {plain:>9} {0}", 7), 4);
    assert_eq!(same!("{error} {error:?}"), 2);
    assert_eq!(same!("{}", request(3)), 1);
    assert_eq!(same!("{:?} {:?}", Some(Plain(1)), vec![Plain(2)]), 2);
    assert_eq!(same!("{:>2$.*}", 3, Plain(0), 9), 1);
    let number = 5;
    assert_eq!(same!("{:p} {0:?}", &raw const number), 2);
    let shown: &dyn Display = &plain;
    let debugged: &dyn Debug = &number;
    assert_eq!(same!("{shown:^11} {debugged:03?}"), 2);
    assert_eq!(same!("{}", format_args!("{number}{}", 1)), 1);
    assert_eq!(same!("{:?}", std::collections::BTreeMap::from([(1, 2)])), 1);
}

#[test]
fn a_string_that_is_no_literal_is_printed_at_the_call() {
    assert_eq!(same!(concat!("{}", " and {x}"), 1, x = 2), 1);
    assert_eq!(same!(stringify!(a b)), 1);
}

#[test]
fn other_macros_may_pass_it_on() {
    macro_rules! passes {
        ($text:literal, $($value:expr),*) => { same!($text, $($value),*) };
    }
    macro_rules! names {
        ($name:ident, $value:expr) => {{
            let $name = $value;
            same!("{} {x}", $name, x = $name)
        }};
    }
    let value0 = 3;
    assert_eq!(passes!("{} {value0:?}", 1 + 1), 0);
    assert_eq!(names!(scratch, "not ours"), 0);
    assert_eq!(names!(callsite, value0), 0);
}

#[test]
fn generic_functions_decide_by_their_bounds() {
    fn shown<T: Display>(x: T) -> usize {
        same!("{x} {x:>9}")
    }
    fn kept<T: Argument + Debug>(x: T) -> usize {
        same!("{x:?} {:#?}", [&x, &x])
    }
    // One callsite, three types.
    assert_eq!((shown(1), shown("a"), shown(Plain(1))), (2, 2, 2));
    assert_eq!((kept(1u8), kept("a"), kept(Some(Kind::Get))), (0, 0, 0));
}

#[test]
fn everything_is_evaluated_once_in_order() {
    let count = Cell::new(0);
    let next = || {
        count.set(count.get() + 1);
        count.get()
    };
    crate::info!(a = next(), b:? = next(); "{} {1} {0} {x:>w$} {x:?}", next(), next(), x = next(), w = next() as usize);
    let (callsite, payload) = only();
    assert_eq!(message(&callsite, &payload), "3 4 3      5 5");
    assert_eq!(count.get(), 6);
    let moved = String::from("moved");
    same!("{}", { moved.clone() });
    crate::info!("{}", { moved });
    assert_eq!(message_of_only(), "moved");
    crate::info!("{}", String::from("temporary").as_str().trim_end());
    assert_eq!(message_of_only(), "temporary");
}

fn message_of_only() -> String {
    let (callsite, payload) = only();
    message(&callsite, &payload)
}

#[test]
fn control_flow_in_arguments_is_that_of_the_caller() {
    fn fails() -> Result<(), fmt::Error> {
        crate::info!("{} {}", 1, Err::<u8, _>(fmt::Error)?);
        Ok(())
    }
    assert!(fails().is_err());
    for _ in 0..3 {
        crate::info!(
            "{}",
            if RECORDS.with_borrow(|r| r.len() == 1) {
                break;
            } else {
                7
            }
        );
    }
    assert_eq!(message_of_only(), "7");
    assert_eq!(same!("{}", std::convert::identity::<Result<u8, u16>>(Ok(1)).unwrap()), 0);
}

#[test]
fn futures_that_log_can_be_sent() {
    async fn logs(name: &str, argument: impl Future<Output = u8>) -> String {
        crate::info!("{name} {} {:?}", argument.await, Plain(async { 2 }.await));
        message_of_only()
    }
    fn sent<T: Send>(sent: T) -> T {
        sent
    }
    let mut future = std::pin::pin!(sent(logs("n", async { 1 })));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let done = std::task::Poll::Ready(String::from("n 1 Plain(2)"));
    assert_eq!(future.as_mut().poll(&mut context), done);
}

#[test]
fn a_display_may_log_and_may_panic() {
    struct Logs;
    impl Display for Logs {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            crate::info!("inner {}", Plain(1));
            f.write_str("outer")?;
            crate::info!("again {}", 1);
            Ok(())
        }
    }
    struct Panics;
    impl Display for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            panic!("while printing");
        }
    }
    crate::info!("{} {}", Plain(0), Logs);
    let texts = taken().into_iter().map(|(c, p)| message(&c.to_callsite(), &p));
    assert_eq!(texts.collect::<Vec<_>>(), ["inner plain", "again 1", "plain outer"]);
    let panicked = std::panic::catch_unwind(|| crate::info!("{} {}", 1, Panics));
    assert!(panicked.is_err() && taken().is_empty());
    assert_eq!(same!("{}", Plain(1)), 1);
}

#[test]
fn what_a_failing_display_printed_is_kept() {
    struct Fails;
    impl Display for Fails {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("some")?;
            Err(fmt::Error)
        }
    }
    crate::info!("<{}>", Fails);
    assert_eq!(message_of_only(), "<some>");
}

#[test]
fn what_nests_too_deep_is_printed_at_the_call() {
    for (deep, expected) in [(0, 0), (10, 0), (15, 0), (16, 1), (500, 1)] {
        // The innermost struct holds `None`: depth is 2 * deep + 1.
        let mut list = List { next: None };
        for _ in 0..deep {
            list = List { next: Some(Box::new(list)) };
        }
        assert_eq!(same!("{list:?}"), expected, "{deep}");
        crate::info!(list = &list; "");
        let (callsite, payload) = only();
        assert_eq!(printed(&callsite, &payload), expected, "{deep}");
    }
}

#[test]
fn key_values_keep_their_types() {
    let (id, path, list) = (7u64, "/x", [1u8, 2]);
    let error = fmt::Error;
    crate::warn!(target: "http", id, user.name = path, path:? = path, "quo ted" = 1.5, plain:% = Plain(1),
        error:err, both = Plain(2), list, type = Kind::Get, none = None::<u8>, dbg:debug = Some(1); "n {id}");
    let (callsite, payload) = only();
    assert_eq!((callsite.target.as_str(), callsite.level), ("http", Level::Warn));
    assert!(callsite.module.ends_with("deferred::tests"), "{}", callsite.module);
    assert!(callsite.file.ends_with("tests.rs") && callsite.line > 0);
    assert_eq!(message(&callsite, &payload), "n 7");
    let values: Vec<_> = callsite.values(&payload).map(Result::unwrap).collect();
    let shown = values.iter().map(|field| {
        let mut text = format!("{}=", field.name).into_bytes();
        relay_fmt::message::write_value(&field.value, &mut text);
        String::from_utf8(text).unwrap()
    });
    let expected = [
        "id=7",
        "user.name=/x",
        "path=\"/x\"",
        "quo ted=1.5",
        "plain=plain",
        "error=an error occurred when formatting an argument",
        "both=plain",
        "list=\u{1}\u{2}",
        "type=Get",
        "none=None",
        "dbg=Some(1)",
        "id=7",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    assert_eq!(values[0].value, Value::U64(7));
    assert_eq!(values[3].value, Value::F64(1.5));
    assert_eq!(values[7].value, Value::Bytes(&[1, 2]));
    let argument_only: Vec<_> = callsite.fields.iter().map(|f| f.argument_only).collect();
    assert_eq!(argument_only.iter().filter(|only| **only).count(), 1);
    assert_eq!(error, fmt::Error);
}

#[test]
fn every_macro_has_its_level() {
    let level = || only().0.level;
    crate::error!("x");
    assert_eq!(level(), Level::Error);
    crate::warn!(target: "t", "x");
    assert_eq!(level(), Level::Warn);
    crate::debug!("x");
    assert_eq!(level(), Level::Debug);
    crate::trace!("x {}", 1);
    assert_eq!(level(), Level::Trace);
    crate::log!(Level::Error, "x");
    assert_eq!(level(), Level::Error);
    for computed in Level::ALL {
        crate::log!(target: "t", computed, "x {computed:?}");
        assert_eq!(level(), computed);
    }
    crate::event!(Level::Info, user = 7, ok = true);
    let (callsite, payload) = only();
    assert_eq!((message(&callsite, &payload), callsite.fields.len()), (String::new(), 2));
    crate::event!(Level::Info, user = 7; "message {}", 1);
    assert_eq!(message_of_only(), "message 1");
    crate::event!(Level::Info, "only {}", 1);
    assert_eq!(message_of_only(), "only 1");
}

#[test]
fn unused_derives_compile() {
    assert!(None::<Never>.is_none());
    assert_eq!(same!("{:?}", None::<Never>), 0);
    assert_eq!(Type::Struct as u8, 29);
}

proptest! {
    #[test]
    fn any_values_print_as_format_does(
        a: (u8, i16, u32, i64, u128, isize), b: (f32, f64, bool, char), text: String,
        list: Vec<Option<i32>>, bytes: Vec<u8>, nested: Vec<(String, Option<Vec<u8>>)>,
        width in 0usize..40, prec in 0usize..12, four: [u8; 4], secs: u64, nanos in 0u32..1_000_000_000,
    ) {
        let (x, y) = (b.0, b.1);
        same!("{} {:?} {:x} {:#b} {:>+12} {:012}", a.0, a.1, a.2, a.3, a.4, a.5);
        same!("{a:?} {a:#?} {a:#x?} {b:?} {b:#?}");
        same!("{x} {y:?} {x:e} {y:+.3} {y:width$.prec$} {x:<width$}| {y:^+width$.1E}|");
        same!("{text}|{text:?}|{text:>width$}|{text:.prec$}|{:*^1$.2$}", text, width, prec);
        same!("{list:?} {list:3?} {list:#?} {bytes:?} {bytes:#X?} {nested:?} {nested:#?}");
        same!("{:?} {:>width$?} {0:.prec$?}", Duration::new(secs, nanos), Duration::from_nanos(secs));
        same!("{0} {0:>width$} {0:?}", IpAddr::from(four));
        let request = Request {
            id: secs, path: Cow::from(&text), r#type: Kind::Other(b.3, b.0), body: list.first().copied(),
            took: Duration::new(secs, nanos), peer: (four.into(), 1), unit: (),
        };
        assert_eq!(same!("{request:?} {request:#?} {request:#06x?}"), 0);
        assert_eq!(same!("{request} {request:?}"), 1);
    }
}
