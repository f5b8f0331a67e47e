//! Rows whose bytes lie as those of the row before.

use super::super::{decode, encode};
use super::rows::{message_callsite, put_payload, referring};
use crate::block::RowBuffer;
use crate::callsite::{Callsite, Field};
use crate::record::Kind;
use crate::value::{Layout, Type};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

/// A callsite of values whose length is known, and of some others.
fn typed_callsite(types: &[Type]) -> Arc<Callsite> {
    let mut site = Callsite::clone(&message_callsite());
    (site.layout, site.template) = (Layout::Packed, "{0} and {1}".into());
    let field = |of: &Type| Field { name: "f".into(), of: *of, argument_only: false };
    site.fields = types.iter().map(field).collect();
    Arc::new(site)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Rows that lie as the one before, with numbers and texts of their own, and some that do not quite.
    #[test]
    fn rows_that_lie_alike_come_back(
        types in vec(prop::sample::select(TYPES), 1..5),
        of in vec((vec(any::<u8>(), 0..30), 1usize..9, any::<bool>()), 1..12),
        changes in vec(any::<(prop::sample::Index, prop::sample::Index, u8)>(), 0..9),
    ) {
        let sites = [typed_callsite(&types), typed_callsite(&[&types[..], &[Type::U8]].concat())];
        let mut payloads = Vec::new();
        for (seed, times, other) in of {
            let site = usize::from(other);
            for n in 0..times {
                let mut payload =
                    put_payload(Kind::Event, Some(&sites[site]), seed.clone(), b"");
                if let Some(last) = payload.last_mut() {
                    *last = last.wrapping_add(n as u8);
                }
                payloads.push((site, payload));
            }
        }
        for (row, at, byte) in changes {
            let payload = &mut row.get(&payloads).1.clone();
            if !payload.is_empty() {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            let row = row.index(payloads.len());
            payloads[row].1.clone_from(payload);
        }
        let mut rows = referring(RowBuffer::default());
        rows.callsites = sites.to_vec();
        for (n, (site, payload)) in payloads.iter().enumerate() {
            rows.push(0, Kind::Event, 1 + *site as u32, 0, n as i64, payload);
        }
        let mut body = Vec::new();
        encode(&rows, 1, &mut body).unwrap();
        prop_assert_eq!(decode(&body).unwrap(), rows);
    }
}

const TYPES: &[Type] = &[
    Type::U8,
    Type::I8,
    Type::U16,
    Type::I16,
    Type::U32,
    Type::I32,
    Type::U64,
    Type::I64,
    Type::F32,
    Type::F64,
    Type::Str,
    Type::Tagged,
    Type::Unit,
    Type::Duration,
    Type::Char,
];
