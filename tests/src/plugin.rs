//! What another copy of Relay in the same process does: this crate is built as a library to be loaded, too.

use relay_log::Relay;

/// Opens channels of its own in the directory that `RELAY_APART` names.
pub fn init() {
    let dir = std::env::var_os("RELAY_APART").unwrap();
    Relay::builder(std::path::PathBuf::from(dir)).channel("plugin").init().unwrap();
}

/// Logs.
pub fn log(number: u64) {
    log::info!("plugin {number}");
}
