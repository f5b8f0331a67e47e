//! Bytes of a sub-buffer as records: what is read can be written again to the same bytes.

use crate::limits::within;
use relay_fmt::record::{Fragment, Header, Kind, Lease, Records, split_callsite, split_inline};
use relay_fmt::time::{Anchor, Rate};

fn payload(kind: Kind, tick: u64, payload: &[u8]) {
    match kind {
        Kind::Lease => {
            if let Ok(lease) = Lease::parse(payload) {
                assert!(lease.name.len() <= 255);
            }
        }
        Kind::Anchor => {
            if let Ok(anchor) = Anchor::parse(tick, payload) {
                let rate = Rate { per_tick_q32: tick };
                let real = anchor.real_of(tick, rate);
                assert_eq!(real, i64::try_from(anchor.real_ns).unwrap_or(i64::MAX));
                let _ = anchor.real_of(anchor.mono_ns, rate);
                let other = Anchor { tick: anchor.real_ns, ..anchor };
                let _ = Rate::between(anchor, other);
            }
        }
        Kind::Fragment => {
            if let Ok(part) = Fragment::parse(payload) {
                let prefix = Fragment::prefix(part.total, part.offset, part.kind);
                assert_eq!([&prefix, part.bytes].concat(), payload);
            }
        }
        Kind::Callsite => drop(split_callsite(payload)),
        Kind::InlineEvent => drop(split_inline(payload)),
        _ => {}
    }
}

pub(crate) fn run(data: &[u8]) {
    let Some((generation, bytes)) = data.split_first() else { return };
    let mut records = Records::new(bytes, u64::from(*generation));
    within(1 << 16, || {
        let mut end = 0;
        while let Some(Ok(record)) = records.next() {
            assert_eq!(record.offset, end);
            let header = Header { generation: *generation, ..record.header };
            assert_eq!(header.to_bytes(), bytes[record.offset..record.offset + 16]);
            assert_eq!(header.len as usize, record.payload.len() + 16);
            assert!(record.end > record.offset && record.end <= bytes.len());
            assert_eq!(records.offset(), record.end);
            end = record.end;
            payload(record.kind, record.header.tick, record.payload);
        }
        assert!(records.next().is_none(), "nothing follows an error");
    });
}
