//! Lesson 6: sizes. Buffers grow by themselves when a burst comes and give back what is idle; they can
//! also be told.

use relay_log::{ByteSize, Relay};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let relay = Relay::builder(relay_examples::directory())
        .channel("lessons")
        .buffer(ByteSize::kib(256)) // at the start
        .buffer_max(ByteSize::mib(64)) // what may wait for the collector
        .init()?;
    let allocated = || relay.stats()[0].allocated.as_u64();
    println!("at the start: {} bytes", allocated());
    for i in 0..50_000 {
        log::info!("a burst that nobody collects yet: {i}");
    }
    println!("after a burst: {} bytes", allocated());
    relay.resize("lessons", ByteSize::mib(16));
    println!("told to keep 16 MiB: {} bytes", allocated());
    Ok(())
}
