//! A collector that makes every kind of system call in a short run: small blocks, small archives, few
//! of them kept. `collector DIR [once|repack] [key=value …]`.

use relay_collect::{Collector, Control, Options, Repack, Repacked};
use std::process::ExitCode;
use std::time::Duration;

fn options(dir: &str, args: &[String]) -> Options {
    let number = |key: &str, default: u64| {
        let mut pairs = args.iter().filter_map(|a| a.split_once('='));
        pairs.find(|(k, _)| *k == key).and_then(|(_, v)| v.parse().ok()).unwrap_or(default)
    };
    let mut options = Options::new(dir);
    options.rotate_size = number("rotate", 16_000);
    options.block_bytes = number("block", 12_000);
    options.block_age = Duration::from_millis(number("age", 15));
    if number("repack", 1) == 0 {
        options.repack = Repack::Never;
    }
    options.keep_count = match number("keep", 0) {
        0 => None,
        keep => usize::try_from(keep).ok(),
    };
    options
}

/// Packs archives again.
fn repack(dir: &std::path::Path) -> ExitCode {
    let mut all = true;
    let done = relay_collect::repack(dir, 3, &mut |_, became| {
        all &= !matches!(became, Repacked::Left(_));
    });
    if done.is_ok() && all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, rest @ ..] = &args[..] else { return ExitCode::from(2) };
    if rest.iter().any(|a| a == "repack") {
        return repack(dir.as_ref());
    }
    let once = rest.iter().any(|a| a == "once");
    // The one before may not be dead yet.
    let mut collector = loop {
        match Collector::open(options(dir, rest)) {
            Err(relay_collect::CollectError::Held { .. }) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(collector) => break collector,
            Err(error) => {
                eprintln!("collector: {error}");
                return ExitCode::FAILURE;
            }
        }
    };
    let control = Control::new();
    let done = if once { collector.drain(&control) } else { collector.run(&control) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("collector: {error}");
            ExitCode::FAILURE
        }
    }
}
