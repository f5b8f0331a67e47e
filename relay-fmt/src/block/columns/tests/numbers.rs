//! Columns of numbers come back.

use super::super::floats::{Width, get, put};
use super::super::{ints, program, template};
use crate::bytes::Cursor;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_value_is_written(marks in vec((0x0eu8..0x16, 0x20u8..0x60, 0x20u8..0x2a), 1..9), v: u64, w in 0u64..80) {
        let mut program = vec![program::BARE_TEXT];
        for (mark, a, b) in marks {
            program.extend([mark, a, b].iter().take(template::mark_len(mark).0));
        }
        program.push(program::END);
        for op in program::parse(&program).unwrap_or_default() {
            if let program::Op::Slot(slot) = op {
                let _ = slot.write(v, w, b"", &mut Vec::new());
            }
        }
    }

    #[test]
    fn integers_come_back(values in any_integers()) {
        let mut out = Vec::new();
        ints::put(&mut out, &values, &mut ints::Scratch::default());
        let mut input = Cursor::new(&out);
        prop_assert_eq!(ints::get(&mut input, values.len()).unwrap(), values);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn floats_come_back(values in vec(any_float_bits(), 0..300)) {
        let (mut out, mut room) = (Vec::new(), Vec::new());
        put(&mut out, &values, Width::Double, &mut ints::Scratch::default(), &mut room);
        let mut input = Cursor::new(&out);
        prop_assert_eq!(get(&mut input, values.len(), Width::Double).unwrap(), values);
    }
}

fn any_float_bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (-100_000i32..100_000).prop_map(|n| (f64::from(n) / 100.0).to_bits()),
        1 => any::<f64>().prop_map(f64::to_bits),
        1 => Just((-0.0f64).to_bits()),
        1 => any::<u64>(),
    ]
}

fn any_integers() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        vec(any::<u64>(), 0..300),
        vec(0u64..5, 0..900),
        (vec(any::<u64>(), 1..9), 0usize..300).prop_map(|(p, n)| p
            .iter()
            .copied()
            .cycle()
            .take(n)
            .collect()),
        (any::<u64>(), any::<u64>(), vec(0u64..9, 0..500)).prop_map(|(start, step, noise)| {
            let row = noise.iter().zip(0u64..);
            row.map(|(n, i)| start.wrapping_add(step.wrapping_mul(i)).wrapping_add(*n)).collect()
        }),
        vec((any::<u32>(), 1usize..60), 0..20)
            .prop_map(|runs| { runs.iter().flat_map(|(v, n)| vec![u64::from(*v); *n]).collect() }),
    ]
}
