//! What machine this is, and what else it was doing.

use std::process::Command;

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

/// Says what machine this is, when, with what compiler, and how loaded it was in the last minute.
pub fn print_machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or("");
    let rustc = said("rustc", &["--version"]);
    let rustc = rustc.split(" (").next().unwrap_or("");
    let date = said("date", &["-u", "+%F %H:%M UTC"]);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("");
    println!("{model}, {cores} cores, Linux {kernel}, {rustc}; {date}, load {load}");
}
