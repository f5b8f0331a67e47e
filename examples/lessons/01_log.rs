//! Lesson 1: the global logger. Every record is in a file, safe from SIGKILL, when its call returns;
//! nothing has to be flushed, and no guard has to be kept.
//!
//! ```text
//! cargo run --example 01_log
//! relay-collect --dir logs --once
//! relay-collect cat --dir logs
//! ```

use log::{debug, info, warn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    relay_log::Relay::builder(relay_examples::directory()).channel("lessons").init()?;
    info!("the answer is {}", 42);
    debug!("not recorded: the default filter is info; RELAY_LOG=debug changes it");
    std::thread::Builder::new().name("worker".into()).spawn(|| warn!("from another thread"))?;
    std::thread::sleep(std::time::Duration::from_millis(10));
    // Not even abort loses anything.
    std::process::abort();
}
