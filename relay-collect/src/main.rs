//! `relay-collect`: collects channels into archives, and reads, searches and audits them.

#![forbid(unsafe_code)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
