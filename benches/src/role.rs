//! Measuring in a process of its own: loggers are global, and memory is a process's. The program runs
//! itself again with `--role` and reads the numbers that the role prints.

use crate::percentile::{at, sorted};
use std::process::Command;

/// The arguments of a role, if this process was started for one.
#[must_use]
pub fn asked() -> Option<Vec<String>> {
    let mut arguments = std::env::args().skip(1);
    arguments.next().filter(|first| first == "--role")?;
    Some(arguments.collect())
}

/// Runs a role of this program, and returns the numbers it prints.
///
/// # Panics
/// When it fails, or prints something else: then there is nothing to report.
#[must_use]
pub fn run(arguments: &[&str]) -> Vec<f64> {
    run_with(&[], arguments)
}

/// As [`run`], with these variables in its environment.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.envs(variables.iter().copied());
    let output = command.arg("--role").args(arguments).output().expect("the role starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}\n{errors}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

/// The median.
#[must_use]
pub fn median(values: Vec<f64>) -> f64 {
    at(&sorted(values), 0.5)
}

/// The medians of what several runs measured, number by number.
#[must_use]
pub fn medians(runs: &[Vec<f64>]) -> Vec<f64> {
    let numbers = runs.first().map_or(0, Vec::len);
    let column = |i: usize| runs.iter().filter_map(|run| run.get(i).copied()).collect();
    (0..numbers).map(|i| median(column(i))).collect()
}
