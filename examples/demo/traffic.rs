//! A program that logs what services log, from several threads.

use crate::oracle::Notes;
use anyhow::Result;
use relay_log::{ByteSize, Relay};
use std::path::Path;
use std::time::{Duration, Instant};

/// How many threads a program has.
pub(crate) const THREADS: u32 = 4;
/// How long a program runs that nobody kills.
const LIFE: Duration = Duration::from_millis(2_400);

/// A small generator: traffic that looks real and is the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

const PATHS: [&str; 5] = ["/", "/api/items", "/api/orders", "/login", "/static/app.js"];

/// Logs until its time is over. `stamp` stands in every message, so that it can be found again.
fn serve(random: &mut Random, stamp: &str) {
    let id = random.below(1 << 32);
    let latency = random.below(250_000) as f64 / 1_000.0;
    match random.below(12) {
        0..=6 => {
            let path = PATHS[random.below(5) as usize];
            let status = [200, 200, 200, 304, 404][random.below(5) as usize];
            log::info!(
                target: "shop::http", latency_ms = latency, status = status;
                "{stamp} GET {path} from 10.0.{}.{}", random.below(256), random.below(256)
            );
        }
        7 | 8 => {
            log::info!(target: "shop::orders", "{stamp} order {id} shipped to warehouse {}", random.below(9))
        }
        9 => log::info!(target: "shop::cache", hits = random.below(1000); "{stamp} cache swept"),
        10 => {
            log::warn!(target: "shop::db", latency_ms = latency + 200.0; "{stamp} slow query on table orders_{}", random.below(4))
        }
        _ => {
            log::error!(target: "shop::pay", "{stamp} payment {id:016x} refused: insufficient funds")
        }
    }
}

/// The program: its buffers begin at 256 KiB.
pub(crate) fn log(dir: &Path, number: u32) -> Result<()> {
    Relay::builder(dir).channel("shop").buffer(ByteSize::kib(256)).init()?;
    let notes = Notes::create(dir, number)?;
    let end = Instant::now() + LIFE;
    std::thread::scope(|scope| -> Result<()> {
        for thread in 0..THREADS {
            let notes = &notes;
            let name = format!("worker-{thread}");
            std::thread::Builder::new().name(name).spawn_scoped(scope, move || {
                let mut random = Random(u64::from(number * 100 + thread + 1) << 20 | 0x5eed);
                for i in 0.. {
                    serve(&mut random, &format!("[{number}.{thread}.{i}]"));
                    notes.returned(thread, i + 1);
                    // Bursts, and pauses between them.
                    if i % 400 == 399 {
                        std::thread::sleep(Duration::from_millis(3));
                        if Instant::now() >= end {
                            break;
                        }
                    }
                }
            })?;
        }
        Ok(())
    })
}
