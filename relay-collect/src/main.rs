//! `relay-collect`: collects channels into archives; reads, follows, searches and audits them.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::raise_limits();
    match cli::dispatch(cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            cli::say(&format!("{error:#}"));
            cli::code(&error)
        }
    }
}
