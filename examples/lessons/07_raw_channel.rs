//! Lesson 7: a channel for any data flow: bytes in, bytes out. Logging is only its first client.

use relay_log::channel::{Config, RawChannel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let live = relay_examples::directory().join("live");
    let channel = RawChannel::create(Config::new(live, "samples"))?;
    let mut writer = channel.writer();
    // Written whole,
    writer.write(&[1, 2, 3])?;
    // or filled in place.
    let mut sample = writer.reserve(16)?;
    sample.put(&1.5f64.to_le_bytes());
    sample.put(&2.5f64.to_le_bytes());
    sample.commit();
    println!("{}", channel.file_name());
    Ok(())
}
