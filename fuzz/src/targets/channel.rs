//! A channel file, read as the collector reads it, against the oracle that shares no code with it.

use crate::limits::{MIB, within};
use crate::scratch::with_store;
use relay_log::channel::{ChannelReader, HEADER_BYTES, IDENTITY_BYTES};
use relay_tests::recover;
use std::path::Path;

/// An image with a right checksum, and the name that its header has.
pub(crate) fn sealed(image: &[u8]) -> (String, Vec<u8>) {
    let mut image = image.to_vec();
    if let Some(head) = image.get(..IDENTITY_BYTES) {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[..20]);
        crc.update(&head[24..]);
        image[20..24].copy_from_slice(&crc.finalize().to_le_bytes());
    }
    let word = |at: usize| image.get(at..at + 4).map_or([0; 4], |b| b.try_into().unwrap());
    let len = usize::from(image.get(96).copied().unwrap_or_default());
    let name = image.get(97..97 + len).unwrap_or_default();
    let name = str::from_utf8(name).ok().filter(|name| !name.contains(['/', '\0']));
    let id: String =
        image.get(24..40).unwrap_or_default().iter().map(|b| format!("{b:02x}")).collect();
    let name = name.filter(|name| name.len() < 64).unwrap_or("app");
    (format!("{name}.{}-{id}.relay", u32::from_le_bytes(word(56))), image)
}

fn read(dir: &Path, name: &str) -> Option<Vec<(u32, u64, Vec<u8>)>> {
    let reader = ChannelReader::open(dir, name.as_ref(), None).ok()?;
    assert!(!reader.is_alive().unwrap(), "nobody has it mapped");
    reader.status().ok();
    let mut found = Vec::new();
    for sub in reader.scan().ok()? {
        if let Ok(Some(data)) = reader.read(&sub, 0) {
            found.push((sub.index, sub.generation, data.bytes));
        }
        reader.hand_back(&sub).unwrap();
    }
    // A header that claims waiters, or is cut.
    reader.wake_writers().ok();
    reader.request_resize(1).ok();
    Some(found)
}

pub(crate) fn run(data: &[u8]) {
    let (name, image) = sealed(data);
    with_store(|dir| {
        let live = dir.join("live");
        std::fs::write(live.join(&name), &image).unwrap();
        let Some(found) = within(16 * MIB + image.len(), || read(&live, &name)) else { return };
        if image.len() < HEADER_BYTES {
            assert!(found.is_empty(), "nothing is in a channel that ends within its header");
            return;
        }
        let (subs, _) = recover::subs(&image);
        let oracle = subs.iter().map(|sub| (sub.index, sub.generation, sub.bytes.to_vec()));
        assert!(found.into_iter().eq(oracle), "the reader finds what the oracle finds");
    });
}
