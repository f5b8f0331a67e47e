//! Lesson 5: from the first line of `main`. Before the directory is known, records wait in memory;
//! `init` moves them into the channel, with their own times, while other threads go on logging. A
//! program that fails before `init` prints them to stderr.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    relay_log::early();
    log::info!("reading the configuration");
    let dir = relay_examples::directory();
    log::info!("it says {}", dir.display());
    relay_log::Relay::builder(dir).channel("lessons").init()?;
    log::info!("and now they are all in the channel");
    Ok(())
}
