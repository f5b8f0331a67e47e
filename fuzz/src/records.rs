//! The bytes of a sub-buffer: the first byte is the generation, the rest are records.

use relay_fmt::record::{
    Fragment, HEADER_LEN, Kind, Lease, MAX_CALLSITE, Record, Records, padded, put_callsite,
    put_inline, split_callsite, split_inline,
};
use relay_fmt::time::{Anchor, Rate, RateEstimate};

/// Takes the payload apart as its kind says, and puts it together again.
fn payload(record: &Record<'_>, rates: &mut RateEstimate) {
    let (bytes, mut again) = (record.payload, Vec::new());
    match record.kind {
        Kind::Lease => {
            let Ok(lease) = Lease::parse(bytes) else { return };
            let anchor =
                Anchor { tick: record.header.tick, mono_ns: lease.mono_ns, real_ns: lease.real_ns };
            rates.see(anchor);
        }
        Kind::Anchor => {
            let Ok(anchor) = Anchor::parse(record.header.tick, bytes) else { return };
            rates.see(anchor);
            let rate = rates.rate();
            let _ = anchor.real_of(record.header.tick.wrapping_add(anchor.mono_ns), rate);
            let _ = rate.ticks(rate.nanos(anchor.tick.cast_signed()).unsigned_abs());
        }
        Kind::Fragment => {
            let Ok(part) = Fragment::parse(bytes) else { return };
            assert!(part.offset + part.bytes.len() as u64 <= part.total);
            again.extend_from_slice(&Fragment::prefix(part.total, part.offset, part.kind));
            again.extend_from_slice(part.bytes);
            assert_eq!(again, bytes);
        }
        Kind::Callsite => {
            let Ok((id, description)) = split_callsite(bytes) else { return };
            assert!((1..=MAX_CALLSITE).contains(&id));
            put_callsite(&mut again, id, description);
            assert_eq!(split_callsite(&again), Ok((id, description)));
        }
        Kind::InlineEvent => {
            let Ok((description, values)) = split_inline(bytes) else { return };
            put_inline(&mut again, description);
            again.extend_from_slice(values);
            assert_eq!(split_inline(&again), Ok((description, values)));
        }
        _ => {}
    }
}

/// The records are the bytes, up to the first that is none.
///
/// # Panics
/// When they are not.
pub fn check(data: &[u8]) {
    let Some((generation, bytes)) = data.split_first() else { return };
    let mut records = Records::new(bytes, u64::from(*generation) | 0x100);
    let (mut rates, mut end, mut failed) = (RateEstimate::new(Rate::NANOSECOND), 0, false);
    for record in records.by_ref() {
        assert!(!failed, "nothing follows what is no record");
        let Ok(record) = record else {
            failed = true;
            continue;
        };
        let len = HEADER_LEN + record.payload.len();
        assert_eq!((record.offset, record.end), (end, end + padded(len)));
        assert_eq!((record.header.len as usize, record.header.generation), (len, *generation));
        assert_eq!(record.header.kind, record.kind as u8);
        let mut again = record.header.to_bytes().to_vec();
        again.extend_from_slice(record.payload);
        assert_eq!(again, bytes[end..end + len]);
        end = record.end;
        payload(&record, &mut rates);
    }
    assert_eq!(records.offset(), end);
    assert_eq!(end == bytes.len(), !failed, "all bytes, or an error");
}
