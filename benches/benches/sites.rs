//! What a thousand call sites cost: bytes of code and constants, seconds to compile. Prints Markdown.
//!
//! Crates are generated that differ in the macro they call only, a hundred functions of ten calls, and
//! compiled with `cargo build --release`; what the same crate without calls costs is taken off.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to measure")]

use relay_benches::{median, print_machine};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const FUNCTIONS: u32 = 100;
const CALLS: u32 = 10;
const RUNS: usize = 3;

/// A crate: its name, the row of the table, and a call site; `N` is the number of the site.
struct Kind {
    name: &'static str,
    row: &'static str,
    call: &'static str,
}

const FORMAT: &str = r#"info!("request N handled id={id} latency={latency} path={path}");"#;
const RELAY: &str = r#"relay-log = { path = "RELAY", features = ["log", "macros", "tracing"] }"#;
const LOG: &str = "log = { version = \"0.4.29\", features = [\"std\", \"kv\"] }";
const TRACING: &str =
    "tracing = { version = \"0.1.44\", default-features = false, features = [\"std\"] }";

const KINDS: [Kind; 5] = [
    Kind { name: "none", row: "no calls", call: "" },
    Kind { name: "relay", row: "relay_log::info!", call: "relay_log::FORMAT" },
    Kind { name: "log", row: "log::info!", call: "log::FORMAT" },
    Kind {
        name: "fields",
        row: "tracing::info!, fields",

        call: r#"tracing::info!(id, latency, path, "request N handled");"#,
    },
    Kind { name: "text", row: "tracing::info!, text", call: "tracing::FORMAT" },
];

fn source(call: &str) -> String {
    let call = call.replace("FORMAT", FORMAT);
    let mut text = String::from("use std::hint::black_box;\n\n");
    for function in 0..FUNCTIONS {
        writeln!(text, "#[inline(never)]\nfn f{function}(id: u64, latency: f64, path: &str) {{")
            .unwrap();
        writeln!(text, "    black_box((id, latency, path));").unwrap();
        for site in 0..CALLS {
            let number = (function * CALLS + site).to_string();
            writeln!(text, "    {}", call.replace('N', &number)).unwrap();
        }
        writeln!(text, "}}\n").unwrap();
    }
    writeln!(text, "fn main() {{").unwrap();
    for function in 0..FUNCTIONS {
        writeln!(text, "    f{function}(black_box(1), black_box(0.5), black_box(\"/\"));").unwrap();
    }
    text + "}\n"
}

/// Writes a crate; returns its directory.
fn generate(dir: &Path, kind: &Kind) -> PathBuf {
    let here = dir.join(kind.name);
    std::fs::create_dir_all(here.join("src")).unwrap();
    // Every crate has all dependencies, so that linking differs by what is called only.
    let relay = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("relay-log");
    let all = format!("{RELAY}\n{LOG}\n{TRACING}").replace("RELAY", &relay.to_string_lossy());
    let name = kind.name;
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{all}\n"
    );
    std::fs::write(here.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(relay.parent().unwrap().join("Cargo.lock"), here.join("Cargo.lock")).unwrap();
    std::fs::write(here.join("src/main.rs"), source(kind.call)).unwrap();
    here
}

/// Compiles a crate whose dependencies are compiled; returns the seconds.
fn compile(crate_dir: &Path, target: &Path) -> f64 {
    let main = crate_dir.join("src/main.rs");
    std::fs::write(&main, std::fs::read(&main).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release", "--quiet"]).current_dir(crate_dir);
    let begin = Instant::now();
    let output = command.env("CARGO_TARGET_DIR", target).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    begin.elapsed().as_secs_f64()
}

/// Bytes of code, and of constants, by `size -A`.
fn sections(binary: &Path) -> [f64; 2] {
    let output = Command::new("size").arg("-A").arg(binary).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let size = |names: &[&str]| -> f64 {
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            names.contains(&name).then(|| words.next()?.parse::<f64>().ok())?
        };
        text.lines().filter_map(line).sum()
    };
    [
        size(&[".text"]),
        size(&[".rodata", ".data", ".data.rel.ro", ".rela.dyn", ".eh_frame", ".gcc_except_table"]),
    ]
}

fn main() {
    print_machine();
    // Kept from run to run: what the crates depend on is compiled once.
    let program = std::env::current_exe().unwrap();
    let dir = program.parent().unwrap().join("sites");
    let target = dir.join("target");
    let crates: Vec<PathBuf> = KINDS.iter().map(|kind| generate(&dir, kind)).collect();
    for each in &crates {
        compile(each, &target);
    }
    let mut seconds = vec![Vec::new(); KINDS.len()];
    for _ in 0..RUNS {
        for (each, seconds) in crates.iter().zip(&mut seconds) {
            seconds.push(compile(each, &target));
        }
    }
    let measured: Vec<[f64; 3]> = KINDS
        .iter()
        .zip(seconds)
        .map(|(kind, seconds)| {
            let [text, data] = sections(&target.join("release").join(kind.name));
            [text, data, median(seconds)]
        })
        .collect();
    let nothing = measured[0];
    println!(
        "\nA thousand call sites with three values, `--release`, over the same crate without calls;"
    );
    println!(
        "medians of {RUNS} builds. Constants are everything that is loaded and is not code.\n"
    );
    println!(
        "| | KiB of code | KiB of constants | both, × tracing's fields | seconds to compile | × tracing's fields |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    let over = |row: [f64; 3]| [row[0] - nothing[0], row[1] - nothing[1], row[2] - nothing[2]];
    let [text, data, time] = over(measured[3]);
    for (kind, row) in KINDS.iter().zip(&measured).skip(1) {
        let [own_text, own_data, own_time] = over(*row);
        println!(
            "| {} | {:.0} | {:.0} | {:.2} | {own_time:.2} | {:.2} |",
            kind.row,
            own_text / 1024.0,
            own_data / 1024.0,
            (own_text + own_data) / (text + data),
            own_time / time,
        );
    }
}
