//! A channel file as a hostile program leaves it.
//!
//! The bytes patch a good file: `u16` place, `u8` count, that many bytes, and so on. Then the checksum
//! of the header is made right. A place from 61440 on cuts the file instead.

use relay_fmt::bytes::Cursor;
use relay_fmt::record::Records;
use relay_log::channel::{ChannelReader, OpenError};
use relay_tests::recover;
use std::path::Path;
use std::sync::LazyLock;

/// Places from here on cut.
const CUT: usize = 61440;

static GOLDEN: LazyLock<(String, Vec<u8>)> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../relay-log/tests/golden");
    let file = std::fs::read_dir(dir).unwrap().flatten().next().unwrap();
    (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
});

fn patched(data: &[u8]) -> Vec<u8> {
    let (mut image, mut input) = (GOLDEN.1.clone(), Cursor::new(data));
    while let (Ok(place), Ok(count)) = (input.u16(), input.u8()) {
        let place = usize::from(place);
        if place >= CUT {
            image.truncate((place - CUT) * 3);
            continue;
        }
        let bytes = input.bytes(usize::from(count)).unwrap_or(input.rest());
        for (at, byte) in bytes.iter().enumerate() {
            if let Some(to) = image.get_mut(place + at) {
                *to = *byte;
            }
        }
    }
    if image.len() >= 1024 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&image[..20]);
        crc.update(&image[24..1024]);
        image[20..24].copy_from_slice(&crc.finalize().to_le_bytes());
    }
    image
}

/// What a reader finds: for each sub-buffer its index, generation and bytes.
fn read(dir: &Path, name: &str) -> Result<Vec<(u32, u64, Vec<u8>)>, OpenError> {
    let reader = ChannelReader::open(dir, name.as_ref(), None)?;
    reader.status().map_err(|errno| OpenError::System { what: "status", errno })?;
    let mut found = Vec::new();
    for sub in reader.scan().unwrap() {
        let data = reader.read(&sub, 0).unwrap().expect("nobody writes");
        let half = reader.read(&sub, sub.committed / 2).unwrap().expect("nobody writes");
        assert_eq!(half.bytes, data.bytes[half.from as usize..], "from the middle on");
        let mut records = Records::new(&data.bytes, sub.generation);
        assert!(records.by_ref().count() <= data.bytes.len() / 16 + 1);
        found.push((sub.index, sub.generation, data.bytes));
        reader.hand_back(&sub).unwrap();
    }
    reader.wake_writers().unwrap();
    assert!(!reader.is_alive().unwrap());
    Ok(found)
}

/// The reader finds what the oracle finds, or refuses the file.
///
/// # Panics
/// When it does not.
pub fn check(data: &[u8]) {
    let image = patched(data);
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let name = &GOLDEN.0;
    std::fs::write(dir.path().join(name), &image).unwrap();
    let Ok(found) = read(dir.path(), name) else { return };
    let (subs, _) = recover::subs(&image);
    let expected = subs.iter().map(|s| (s.index, s.generation, s.bytes.to_vec()));
    assert_eq!(found, expected.collect::<Vec<_>>());
    // What was handed back is said so, and nothing else was touched.
    let after = std::fs::read(dir.path().join(name)).unwrap();
    let (after, _) = recover::subs(&after);
    assert!(after.iter().all(|s| s.archived == s.generation));
    assert!(after.iter().zip(&subs).all(|(a, b)| (a.state, a.prior) == (b.state, b.prior)));
    let _ = recover::recover(&image);
}
