//! Steps through everything that a writer does, and reads its channel after each instruction.
//!
//! `step` runs all scripts, `step NAME` one of them; `step child DIR SCRIPT` is what is stepped.
//! `step births NAME N` forks at one of N instructions while something is born.

use relay_log::channel::RawChannel;
use relay_tests::report::Outcome;
use relay_tests::script::{Script, act, config, scripts};
use relay_tests::step::{DONE, STEPPED, birth, run};
use relay_tests::sys::{self, Shared};
use relay_tests::{births, power, preempt, storm};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::SeqCst;

/// The clock of this program, in place of the C library's: see [`sys::clock_by_call`].
// SAFETY: it does what the C library's function of this name does.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(clock: libc::clockid_t, now: &mut libc::timespec) -> libc::c_int {
    sys::clock_by_call(clock, now)
}

fn child(home: &Path, name: &str) {
    let shared = Shared::open(&home.join("shared"));
    let live = home.join("live");
    sys::trace_me();
    sys::stop_here();
    let stepped = |on: bool| {
        shared.word(STEPPED).store(u64::from(on), SeqCst);
        if on {
            sys::stop_here();
        }
    };
    let done = |steps: usize| shared.word(DONE).store(steps as u64, SeqCst);
    if let Some(script) = scripts().iter().find(|s| s.name == name) {
        act(&live, script, &done, &stepped);
        return;
    }
    let plain = &scripts()[0];
    stepped(true);
    let channel = RawChannel::create(config(&live, plain));
    stepped(false);
    drop(channel);
}

fn attack(exe: &Path, only: Option<&str>) -> Outcome {
    let mut all = Outcome::default();
    let (mut instructions, mut alive) = (0, 0);
    let wanted = |s: &Script| only.is_none_or(|name| name == s.name);
    for script in scripts().iter().filter(|s| wanted(s)) {
        let stepped = run(exe, script);
        let outcome = &stepped.outcome;
        println!(
            "{:<12} {:>8} instructions {:>6} images {:>3} read alive: {} lost {} doubled {} torn {}",
            script.name,
            stepped.instructions,
            stepped.images,
            stepped.alive,
            outcome.lost,
            outcome.doubled,
            outcome.torn,
            outcome.note
        );
        (instructions, alive) = (instructions + stepped.instructions, alive + stepped.alive);
        all.add(outcome);
    }
    all.note = format!("{instructions} instructions, {alive} read while alive");
    all
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let [_, "child", home, script] = args[..]
        && let Some(calls) = script.strip_prefix("storm=")
    {
        storm::child(Path::new(home), calls.parse().unwrap_or(0));
        return ExitCode::SUCCESS;
    }
    if let [_, "child", home, script] = args[..]
        && let Some(part) = script.strip_prefix("power-")
    {
        power::child(Path::new(home), part);
        return ExitCode::SUCCESS;
    }
    if let [_, "child", home, script] = args[..]
        && let Some(name) = script.strip_prefix("preempt=")
    {
        preempt::child(Path::new(home), name);
        return ExitCode::SUCCESS;
    }
    if let [_, "child", home, script] = args[..] {
        child(Path::new(home), script);
        return ExitCode::SUCCESS;
    }
    if let [_, "births", name, every] = args[..]
        && let Some((_, birth)) = births::BIRTHS.iter().find(|(known, _)| *known == name)
        && let Ok(every) = every.parse::<u64>()
    {
        let outcome = births::run(*birth, every.max(1));
        outcome
            .print("another thread forks while a channel, a relay, or a child's channels are made");
        return if outcome.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let all = attack(&exe, args.get(1).copied());
    all.print("kill at every instruction");
    let born = birth(&exe);
    println!("birth        {:>8} instructions", born.instructions);
    born.outcome.print("look at every instruction of a birth");
    if all.is_clean() && born.outcome.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
