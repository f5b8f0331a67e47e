//! Lesson 3: the collector inside of the program, where no other process is wanted. It is a thread of
//! its own; when the program dies, what is not archived stays in the channel for the next one.

use relay_collect::Options;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = relay_examples::directory();
    let collector = relay_collect::spawn(Options::new(&dir))?;
    relay_log::Relay::builder(&dir).channel("lessons").init()?;
    for i in 0..10_000 {
        log::info!("record {i} of a program that collects by itself");
    }
    collector.stop()?;
    for archive in std::fs::read_dir(dir.join("archive"))? {
        let archive = archive?;
        println!("{} bytes: {}", archive.metadata()?.len(), archive.path().display());
    }
    Ok(())
}
