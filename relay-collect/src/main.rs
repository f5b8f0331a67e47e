//! `relay-collect`: collects channels into archives; reads, follows, searches and audits them.

#![forbid(unsafe_code)]

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::dispatch(cli::Cli::parse_from(cli::arguments())) {
        Ok(code) => code,
        Err(error) if cli::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            cli::say(&format!("{error:#}"));
            cli::code(&error)
        }
    }
}
