//! What the accounts come to.

use super::account::Account;
use super::walk::Books;
use super::{Audit, ChannelAudit, Missing, Verdict};
use relay_fmt::rows::ChannelId;
use std::collections::{BTreeMap, HashSet};

/// Closes the books.
pub(super) fn audit(books: Books) -> Audit {
    let deleted = books.count_deleted();
    let Books { accounts, damaged, mut doubts, harmed, quarantined, archives, bytes, .. } = books;
    let open: Vec<bool> = quarantined.keys().map(|what| is_open(&accounts, what)).collect();
    let channels = accounts.into_iter().map(|(id, account)| channel(id, account, &harmed));
    let mut channels: Vec<ChannelAudit> = channels.collect();
    channels.sort_by(|a, b| (&a.channel, a.pid, a.key).cmp(&(&b.channel, b.pid, b.key)));
    let of_channels = channels.iter().map(|c| c.verdict).max().unwrap_or(Verdict::Whole);
    for ((what, why), open) in quarantined.iter().zip(open) {
        // Whole accounts have a place for every record: then nothing is missing because of it.
        if open || of_channels > Verdict::Whole {
            doubts.push(format!("{what} was set aside: {why}"));
        }
    }
    let unsure = if doubts.is_empty() { Verdict::Whole } else { Verdict::CannotTell };
    let sum = |of: fn(&ChannelAudit) -> u64| sum(channels.iter().map(of));
    let processes: HashSet<(&str, u32)> =
        channels.iter().map(|c| (c.program.as_str(), c.pid)).collect();
    Audit {
        verdict: of_channels.max(unsure),
        records: sum(|c| c.archived),
        waiting: sum(|c| c.waiting),
        lost: sum(|c| c.lost),
        threads: sum(|c| c.writers),
        processes: processes.len() as u64,
        archives,
        bytes,
        deleted,
        damaged,
        doubts,
        channels,
    }
}

/// Adds up what archives and channels claim, which may be anything: too much must not become nothing.
fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// Whether the accounts do not reach beyond what was set aside: then they do not tell what was in it.
fn is_open(accounts: &BTreeMap<ChannelId, Account>, what: &str) -> bool {
    // `<channel's file>.<sub-buffer>.<generation>.<byte>.bin`; files that are no channel have no place.
    let Some(place) = what.strip_suffix(".bin") else { return false };
    let mut parts = place.rsplitn(4, '.').skip(1);
    let generation = parts.next().and_then(|part| part.parse::<u64>().ok());
    let index = parts.next().and_then(|part| part.parse::<u32>().ok());
    let (Some(generation), Some(index), Some(file)) = (generation, index, parts.next()) else {
        return true;
    };
    let account = accounts.iter().find(|(id, account)| {
        account.file.as_deref() == Some(file) || file.ends_with(&format!("-{id}.relay"))
    });
    let at = account.and_then(|(_, account)| account.subs.get(&index));
    at.is_none_or(|at| at.generation <= generation)
}

fn channel(id: ChannelId, mut account: Account, harmed: &HashSet<String>) -> ChannelAudit {
    let (name, program, pid) =
        account.source.as_ref().map_or(("?".to_owned(), "?".to_owned(), 0), |s| {
            (s.channel.clone(), s.program.clone(), s.pid)
        });
    // What was not seen may have any number.
    let mut missing = if account.unseen { Vec::new() } else { gaps(&account, &name, pid) };
    let by_number = sum(missing.iter().map(|m| m.records));
    let discarded = account.last_word.as_ref().map_or(account.discarded, |last| last.discarded);
    tail(&mut account);
    let by_place = sum(account.lacks.iter().map(|(records, _)| *records));
    if by_place > 0 && by_place > by_number {
        // Numbers do not tell of records whose writer wrote no more.
        missing.extend(
            account
                .lacks
                .iter()
                .map(|(records, what)| Missing { records: *records, what: what.clone() }),
        );
    }
    // What was discarded took numbers and no place.
    let overwritten = overwritten(&mut account, by_place, harmed.contains(&name));
    let lost = if by_number > by_place {
        (by_number - by_place).saturating_sub(discarded) + by_place - overwritten
    } else {
        by_place - overwritten
    };
    if lost == 0 {
        missing.clear();
    }
    let finished = account.last_word.is_some();
    if !account.live && !finished {
        let file = account.file.as_deref().unwrap_or("its file");
        account.doubts.push(format!(
            "{file} is not in the live directory, and no archive has its end: what it held last is not known"
        ));
    }
    if account.doubled > 0 {
        account.doubts.push(format!("{} records are in archives more than once", account.doubled));
    }
    let verdict = match (lost, account.doubts.is_empty()) {
        (0, true) => Verdict::Whole,
        (0, false) => Verdict::CannotTell,
        _ => Verdict::Lost,
    };
    ChannelAudit {
        id: id.to_string(),
        channel: name,
        program,
        pid,
        verdict,
        live: account.live,
        finished,
        archived: account.archived,
        waiting: account.waiting,
        waiting_bytes: account.waiting_bytes,
        unproven_bytes: account.unproven_bytes,
        discarded: discarded.saturating_add(overwritten),
        doubled: account.doubled,
        lost,
        writers: account.writers.len() as u64,
        missing,
        doubts: account.doubts,
        key: id,
    }
}

/// How many of the records that sub-buffers lack were overwritten, as configured. Where archives are
/// harmed it may be these that had them: then none.
fn overwritten(account: &mut Account, lacks: u64, harmed: bool) -> u64 {
    let overwrites = account.overwrites || account.last_word.as_ref().is_some_and(|w| w.overwrites);
    if !overwrites || lacks == 0 {
        return 0;
    }
    if harmed {
        account.doubts.push(format!(
            "of the {lacks} records that are missing some may have been overwritten as configured; archives are harmed, so all count as lost"
        ));
        return 0;
    }
    lacks
}

/// What is missing by the numbers of the writers.
fn gaps(account: &Account, name: &str, pid: u32) -> Vec<Missing> {
    let mut missing = Vec::new();
    for (number, writer) in &account.writers {
        let thread = String::from_utf8_lossy(&writer.thread);
        for (from, to, before, behind) in writer.gaps() {
            let place = match (before, behind) {
                (Some(a), Some(b)) => format!(", between {a} and {b}"),
                (Some(a), None) => format!(", behind {a}"),
                (None, Some(b)) => format!(", before {b}"),
                (None, None) => String::new(),
            };
            let last = to - 1;
            missing.push(Missing {
                records: to - from,
                what: format!(
                    "records {from}..={last} of thread {thread:?} (writer {number}, pid {pid}) of channel {name} are missing{place}"
                ),
            });
        }
    }
    missing
}

/// Adds what is at the ends of sub-buffers, by the channel's last word or by blocks that cannot be
/// read, and in no archive.
fn tail(account: &mut Account) {
    let mut claimed = account.given.clone();
    if let Some(last) = &account.last_word {
        for (index, count) in (0u32..).zip(&last.per_sub_buffer) {
            let at = claimed.entry(index).or_insert(0);
            *at = (*count).max(*at);
        }
        if last.per_sub_buffer.is_empty() {
            let have = sum(account.subs.values().map(|sub| sub.total));
            let lacks = last.claimed.saturating_sub(last.discarded).saturating_sub(have);
            if lacks > 0 {
                account.lacks.push((lacks, format!("{lacks} records at the end of the channel")));
                return;
            }
        }
    }
    for (index, claimed) in claimed {
        let have = account.subs.get(&index).map_or(0, |sub| sub.total);
        let lacks = claimed.saturating_sub(have);
        if lacks > 0 {
            let what = format!("{lacks} records at the end of sub-buffer {index}");
            account.lacks.push((lacks, what));
        }
    }
}
