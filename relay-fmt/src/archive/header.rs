//! The first frame of an archive.

use super::error::{Error, Result};
use crate::bytes::{Cursor, put_prefixed};

/// The version of the format that is written and read.
pub const VERSION: u16 = 1;
/// A compatible feature: the archive was packed again, as well as it can be.
pub const REPACKED: u32 = 1;
/// The compatible features that this version knows; others are ignored.
pub const COMPATIBLE: u32 = REPACKED;
/// The incompatible features that this version knows; others are refused.
pub const INCOMPATIBLE: u32 = 0;

const MAGIC: &[u8; 8] = b"RELAYARC";
const FIXED_LEN: usize = 40;

/// What an archive says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileHeader {
    /// The archive's identity.
    pub uuid: [u8; 16],
    /// The name of the channel whose records it holds.
    pub channel: String,
    /// Its number among the archives of that channel.
    pub number: u64,
    /// The file name of the archive before it; empty when there is none.
    pub predecessor: String,
    /// The host that the collector ran on.
    pub host: String,
    /// When it was begun, UTC nanoseconds.
    pub created_ns: i64,
    /// Features that readers may ignore.
    pub compatible: u32,
    /// Features that readers must know.
    pub incompatible: u32,
}

impl FileHeader {
    /// The content of the frame; the uuid stands in the frame's head.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut texts = Vec::new();
        for text in [&self.channel, &self.predecessor, &self.host] {
            put_prefixed(&mut texts, text.as_bytes());
        }
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        let len = u32::try_from(FIXED_LEN + texts.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&self.compatible.to_le_bytes());
        out.extend_from_slice(&self.incompatible.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.created_ns.to_le_bytes());
        out.extend_from_slice(&texts);
        out
    }

    /// Reads the content of a frame whose head carries `uuid`.
    pub(crate) fn decode(uuid: [u8; 16], content: &[u8]) -> Result<Self> {
        let mut input = Cursor::new(content);
        if input.array::<8>().ok().as_ref() != Some(MAGIC) {
            return Err(Error::NotAnArchive);
        }
        let version = input.u16().map_err(broken)?;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        Self::fields(uuid, content).map_err(broken)?
    }

    fn fields(uuid: [u8; 16], content: &[u8]) -> Result<Result<Self>, crate::Error> {
        let mut input = Cursor::new(content);
        input.bytes(12)?;
        let len = input.u32()? as usize;
        if len < FIXED_LEN {
            return Err(crate::Error::new("a file header is too short"));
        }
        let mut input = Cursor::new(Cursor::new(content).bytes(len)?);
        input.bytes(16)?;
        let (compatible, incompatible) = (input.u32()?, input.u32()?);
        let unknown = incompatible & !INCOMPATIBLE;
        if unknown != 0 {
            return Ok(Err(Error::Incompatible(unknown)));
        }
        let (number, created_ns) = (input.u64()?, input.u64()?.cast_signed());
        let mut text = || input.text().map(str::to_owned);
        let (channel, predecessor, host) = (text()?, text()?, text()?);
        Ok(Ok(Self {
            uuid,
            channel,
            number,
            predecessor,
            host,
            created_ns,
            compatible,
            incompatible,
        }))
    }
}

fn broken(error: crate::Error) -> Error {
    Error::Frame { offset: 0, error: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            uuid: [3; 16],
            channel: "app".into(),
            number: 4,
            predecessor: "app-3".into(),
            host: "h".into(),
            created_ns: -5,
            compatible: 0x8000_0000,
            incompatible: 0,
        }
    }

    #[test]
    fn unknown_compatible_features_and_longer_headers_are_read() {
        let mut bytes = header().encode();
        bytes.extend_from_slice(b"behind the header");
        assert_eq!(FileHeader::decode([3; 16], &bytes).unwrap(), header());
        // A later version of the header has a field more, which its stored length counts.
        let longer = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) + 6;
        bytes[12..16].copy_from_slice(&longer.to_le_bytes());
        assert_eq!(FileHeader::decode([3; 16], &bytes).unwrap(), header());
    }

    #[test]
    fn unknown_incompatible_features_are_named() {
        let bytes = FileHeader { incompatible: 0x40, ..header() }.encode();
        let error = FileHeader::decode([3; 16], &bytes).unwrap_err();
        assert!(error.to_string().contains("0x40"), "{error}");
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = header().encode();
        bytes[8] = 9;
        assert!(matches!(FileHeader::decode([3; 16], &bytes), Err(Error::Version(9))));
    }
}
