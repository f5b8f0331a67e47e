//! Attacks on the promise that a log call which has returned is never lost and never doubled.
//!
//! | module | what it is for |
//! |---|---|
//! | [`recover`] | reads a channel file without any code of the channel: the oracle |
//! | [`payload`] | records that say whose they are and prove that they are whole |
//! | [`disk`] | file systems of a test's own: small, full, or without power |
//! | [`drain`] | a collector that keeps everything in memory, judged by the oracle |
//! | [`script`] | what a stepped child does, and what must be found after each instruction |
//! | [`step`] | a child run one instruction at a time |
//! | [`preempt`] | the stepped child is stopped, lives, and goes on after others have written and collected |
//! | [`births`] | forks at every instruction of the making of a channel |
//! | `newborn` | kills there: what is in the channels so far |
//! | [`storm`] | signal handlers that log, at every instruction of a log call |
//! | [`report`] | one line for each attack |
//! | [`producer`] | a program that logs, to be killed and starved |
//! | [`verdict`] | what came through, against what had returned |
//! | [`archived`] | what readers of a directory are shown, to be judged |
//! | [`arena`] | channels prepared for a collector |
//! | [`inject`] | system calls that fail, or are the last |
//! | [`theatre`] | producers and collectors as processes, in one directory |
//! | [`plugin`] | another copy of the logger in the same process |
//! | [`power`] | a program and a collector whose disk goes after each of their system calls |
//! | [`traced`] | what a program did to its files, and what is left of it without power |
//! | [`sys`] | fork, ptrace, shared pages: the only unsafe code of this library |
#![allow(clippy::unwrap_used, reason = "an attack that cannot be carried out should say where")]

pub mod archived;
pub mod arena;
pub mod births;
pub mod disk;
pub mod drain;
pub mod inject;
mod newborn;
pub mod payload;
pub mod plugin;
pub mod power;
pub mod preempt;
pub mod producer;
pub mod recover;
pub mod report;
pub mod script;
pub mod step;
pub mod storm;
pub mod sys;
pub mod theatre;
pub mod traced;
pub mod verdict;
