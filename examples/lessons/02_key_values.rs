//! Lesson 2: key-values keep their types, to the archive and out of it.
//!
//! ```text
//! cargo run --example 02_key_values
//! relay-collect --dir logs --once
//! relay-collect cat --dir logs --where 'latency_ms > 1' --format json
//! ```

use log::info;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    relay_log::Relay::builder(relay_examples::directory()).channel("lessons").init()?;
    for (id, latency) in [(1u64, 0.7), (2, 12.25), (3, 0.9)] {
        info!(request = id, latency_ms = latency, cached = id == 3; "request handled");
    }
    Ok(())
}
