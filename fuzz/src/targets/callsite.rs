//! Descriptions of callsites: what decodes encodes to a description that decodes to the same.

use crate::limits::within;
use relay_fmt::block::digest;
use relay_fmt::callsite::Callsite;
use relay_fmt::message::Template;

pub(crate) fn run(data: &[u8]) {
    let Ok(site) = within(data.len() * 64 + (64 << 10), || Callsite::decode(data)) else { return };
    let mut again = Vec::new();
    site.encode(&mut again);
    assert!(again.len() <= data.len(), "numbers are as short as they can be");
    assert_eq!(Callsite::decode(&again).unwrap(), site);
    let _ = digest(site.level, &site.target, &site.template);
    let _ = Template::parse(&site.template);
}
