//! Columns that are told by others come back.

use super::super::latest::{MAX_WALK, Order, Values};
use super::super::related::{Form, Known, MAX_TOLD, Parts, Relation, get};
use super::super::{decode, encode, ints};
use super::rows::lines_as_rows;
use crate::bytes::Cursor;
use proptest::collection::vec;
use proptest::prelude::*;

/// Columns 0 and 1, which tell of column 2.
struct Two([Vec<u64>; 2]);

impl Known for Two {
    fn values(&self, column: u32) -> Option<Values<'_>> {
        self.0.get(column as usize).map(|all| Values::Numbers(all))
    }
}

/// What classes take, in which order, and rows of them.
const CLASSES: [&[u32]; 5] = [&[0, 1, 2], &[0, 2], &[1], &[2, 0], &[2, 2, 1]];

fn count(rows: &[u8], column: u32) -> usize {
    let columns = rows.iter().flat_map(|row| CLASSES[usize::from(*row)]);
    columns.filter(|c| **c == column).count()
}

fn order(rows: &[u8], walk: usize) -> Order<'_, u8> {
    Order { classes: CLASSES.to_vec(), rows, walk }
}

fn any_relation() -> impl Strategy<Value = Relation> {
    let form = prop_oneof![
        Just(Form::Other),
        Just(Form::Grows),
        Just(Form::Shrinks),
        Just(Form::Difference),
        Just(Form::Doubles),
    ];
    let others = prop_oneof![Just([0, 0]), Just([0, 1]), Just([1, 0])];
    (form, others, any::<bool>(), 0u8..10).prop_map(|(form, others, sum, digits)| {
        let digits = if form == Form::Doubles { digits } else { 0 };
        match (sum, form) {
            (false, _) => Relation::Same { others },
            (_, Form::Difference | Form::Doubles) => Relation::Sum { form, others, digits },
            _ => Relation::Sum { form, others: [others[0]; 2], digits },
        }
    })
}

fn any_values() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![vec(0u64..5, 1..50), vec(any::<u64>(), 1..50)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn told_columns_come_back(
        rows in vec(0u8..5, 0..200), relation in any_relation(), columns in vec(any_values(), 3..4),
    ) {
        let fill = |column: usize| -> Vec<u64> {
            columns[column].iter().copied().cycle().take(count(&rows, column as u32)).collect()
        };
        let (known, values) = (Two([fill(0), fill(1)]), fill(2));
        let mut told = [Vec::new(), Vec::new()];
        for (other, told) in relation.named().zip(&mut told) {
            let of = known.values(other).unwrap();
            *told = order(&rows, MAX_WALK).latest(2, other, &of, usize::MAX).unwrap();
        }
        let (mut parts, mut out) = (Parts::default(), Vec::new());
        parts.take(relation, &values, &told[0], &told[1]);
        parts.put(&mut out, 2, relation, &mut ints::Scratch::default());
        let mut input = Cursor::new(&out);
        let back = get(&mut input, values.len(), 2, &known, &mut order(&rows, MAX_WALK));
        if values.is_empty() {
            // A column without values has no bytes; it is never told by others.
            prop_assert_eq!(back.unwrap(), values);
        } else {
            prop_assert_eq!(back.unwrap(), values);
            prop_assert!(input.is_empty());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        tag in 8u8..10, bytes in vec(any::<u8>(), 0..60), rows in vec(0u8..5, 0..50), n in 0usize..60,
    ) {
        let known = Two([vec![3; count(&rows, 0)], vec![u64::MAX; count(&rows, 1)]]);
        let bytes = [&[tag][..], &bytes].concat();
        for column in [0, 1, 2, 9] {
            let _ = get(&mut Cursor::new(&bytes), n, column, &known, &mut order(&rows, 10_000));
        }
    }
}

/// A column that takes more steps or holds more than it may is refused before it is read.
#[test]
fn limits_are_kept() {
    let (rows, known) = ([0u8; 100], Two([vec![1; 100], vec![1; 100]]));
    // Form 0 of the column before; all residuals are 0.
    let bytes = [8, 0, 1, 0, 0];
    let read = |n, walk| get(&mut Cursor::new(&bytes), n, 2, &known, &mut order(&rows, walk));
    assert_eq!(read(100, 1000).unwrap(), [1; 100]);
    assert!(read(100, 100).is_err());
    assert!(read(99, 1000).is_err());
    assert!(read(MAX_TOLD + 1, MAX_WALK).is_err());
}

/// The ports, hosts and durations of connections, which others tell, and random ones, which none do.
#[test]
fn what_others_tell_takes_little_room() {
    let sizes = [true, false].map(|related| {
        let mut random = 1u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 33
        };
        let connections: Vec<(u64, u64)> = (0..400).map(|_| (next(), next() % 60_000)).collect();
        let line = |n: u64| {
            let (id, port) = connections[next() as usize % 400];
            let port = if related { port } else { next() % 60_000 };
            let start = 1_000_000 * n + next() % 1_000_000;
            let took = next() % 100_000;
            let end = start + if related { took } else { next() % 100_000 };
            format!("connection {id} port {port} from {start} to {end} took {took}").into_bytes()
        };
        let rows = lines_as_rows(&(0..4000).map(line).collect::<Vec<_>>());
        let mut body = Vec::new();
        encode(&rows, 3, &mut body).unwrap();
        assert!(decode(&body).unwrap() == rows);
        body.len()
    });
    assert!(sizes[0] + 12_000 < sizes[1], "{sizes:?}");
}

/// Arrays of JSON objects are one value, whatever they hold, and long lists are stored whole.
#[test]
fn lists_do_not_become_templates() {
    let array = |n: usize| (0..n).map(|i| format!("\"a{i}\"")).collect::<Vec<_>>().join(",");
    let lines = (0..600).map(|n| format!("{{\"n\":{n},\"of\":[{}],\"z\":[1]}}", array(n % 40)));
    let rows = lines_as_rows(&lines.map(String::into_bytes).collect::<Vec<_>>());
    let mut body = Vec::new();
    assert_eq!(encode(&rows, 1, &mut body).unwrap().classes, 1);
    assert!(decode(&body).unwrap() == rows);

    let list =
        |n: usize| (0..n).map(|i| format!("package-x{i}=={i}.1")).collect::<Vec<_>>().join(", ");
    let lines: Vec<_> =
        (0..200).map(|n| format!("chose {n} of {}", list(n)).into_bytes()).collect();
    let rows = lines_as_rows(&lines);
    let mut body = Vec::new();
    assert!(encode(&rows, 1, &mut body).unwrap().classes < 100);
    assert!(decode(&body).unwrap() == rows);
}
