//! Lesson 4: several channels, each with its own sizes and its own policy when it is full.

use relay_log::{ByteSize, ChannelOptions, OnFull, Relay};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let relay = Relay::builder(relay_examples::directory())
        .channel("lessons")
        // What must never be lost waits for the collector when the disk allows no more.
        .route("audit", ChannelOptions::new("audit").on_full(OnFull::Block))
        // A flight recorder: the newest 256 KiB of chatter.
        .route(
            "chatter",
            ChannelOptions::new("chatter")
                .buffer(ByteSize::kib(128))
                .buffer_max(ByteSize::kib(256))
                .on_full(OnFull::Overwrite),
        )
        .init()?;
    log::info!(target: "audit", "somebody logged in");
    for i in 0..20_000 {
        log::info!(target: "chatter::network", "packet {i}");
    }
    for stats in relay.stats() {
        println!("{}: {} bytes allocated", stats.channel, stats.allocated.as_u64());
    }
    Ok(())
}
