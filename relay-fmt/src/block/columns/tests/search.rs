//! What is in a block is never denied, and what is not there mostly is.

use super::super::{contains, encode, may_say};
use super::rows::{any_line, any_rows, lines_as_rows};
use crate::message::write_message;
use crate::record::Kind;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_there_is_never_denied(
        lines in vec(any_line(), 1..30), copies in 1usize..5, line: usize, from: usize, to: usize,
    ) {
        let lines: Vec<_> = lines.iter().cycle().take(lines.len() * copies).cloned().collect();
        let mut body = Vec::new();
        encode(&lines_as_rows(&lines), 1, &mut body).unwrap();
        let line = &lines[line % lines.len()];
        let from = from % (line.len() + 1);
        let to = from + to % (line.len() - from + 1);
        prop_assert!(contains(&body, &line[from..to]).unwrap());
        prop_assert!(may_say(&body, &line[from..to]).unwrap());
    }

    #[test]
    fn no_message_is_ever_denied(rows in any_rows(), row: usize, from: usize, to: usize) {
        let mut body = Vec::new();
        encode(&rows, 1, &mut body).unwrap();
        prop_assume!(!rows.is_empty());
        // Not through `RowBuffer::rows`: these rows belong to any runs.
        let (row, mut message) = (row % rows.len(), Vec::new());
        let at = rows.callsite[row].checked_sub(1);
        let callsite = at.and_then(|at| rows.callsites.get(at as usize));
        match (rows.kind[row], callsite) {
            (Kind::Event | Kind::SpanEvent, Some(callsite)) => {
                let _ = write_message(callsite, rows.payload_of(row), &mut message);
            }
            (Kind::Raw, _) => message.extend_from_slice(rows.payload_of(row)),
            _ => {}
        }
        let from = from % (message.len() + 1);
        let to = from + to % (message.len() - from + 1);
        prop_assert!(may_say(&body, &message[from..to]).unwrap());
    }
}

#[test]
fn what_is_not_there_is_denied() {
    let lines: Vec<Vec<u8>> = (0..500)
        .map(|n| {
            format!(
                "user u{n} connected to port {} in {}.5 ms from \"host {n}\"",
                1000 + n * 3,
                n * 2
            )
        })
        .map(String::into_bytes)
        .collect();
    let mut body = Vec::new();
    encode(&lines_as_rows(&lines), 1, &mut body).unwrap();
    for there in
        ["port 1003 in", "port 10", "3 in ", "u17 connected", "host 499", "ms from \"h", ".5"]
    {
        assert!(contains(&body, there.as_bytes()).unwrap(), "{there} is there");
    }
    for absent in ["port 1004 in", "port 9", "u500 c", "host 500", "disconnected", "in 3 ms", "zq"]
    {
        assert!(!contains(&body, absent.as_bytes()).unwrap(), "{absent} is not there");
    }
}
