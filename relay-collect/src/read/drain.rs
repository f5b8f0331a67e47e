//! From merged rows to events: parts put together, what is meant passed on.

use super::joiner::Joiner;
use super::loaded::Loaded;
use super::merge::Merge;
use super::snapshot::Sink;
use super::work::Work;
use crate::query::Filter;
use crate::render::Event;
use relay_fmt::block::RowBuffer;
use relay_fmt::record::Kind;
use relay_fmt::rows::ChannelId;
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Gives single events to a work, and what it writes to `out`.
pub(crate) struct WorkSink<'s, W> {
    work: &'s mut W,
    text: Vec<u8>,
    out: &'s mut dyn FnMut(&[u8]) -> ControlFlow<()>,
}

impl<'s, W: Work> WorkSink<'s, W> {
    pub(crate) fn new(work: &'s mut W, out: &'s mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Self {
        Self { work, text: Vec::new(), out }
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.text.clear();
        if self.work.event(event, &mut self.text) {
            return (self.out)(&self.text);
        }
        ControlFlow::Continue(())
    }
}

/// Gives all that is merged to a work: what was made of it ahead, or the events.
pub(crate) fn drain_lines<W: Work>(
    merge: &mut Merge<'_>,
    joiner: &mut Joiner,
    filter: &mut Filter,
    alive: &HashSet<ChannelId>,
    notes: &mut Vec<String>,
    sink: &mut WorkSink<'_, W>,
) {
    while let Some((loaded, from, to)) = merge.next_run() {
        let flow = match loaded.lines(from, to) {
            Some(lines) => (sink.out)(lines),
            None => pass(loaded, from, joiner, filter, notes, &mut |event| sink.event(event)),
        };
        if flow.is_break() {
            return;
        }
    }
    for row in joiner.finish(alive) {
        if incomplete(row, filter, notes, &mut |event| sink.event(event)).is_break() {
            return;
        }
    }
}

/// Gives all events that are merged to `sink`.
pub(crate) fn drain(
    merge: &mut Merge<'_>,
    joiner: &mut Joiner,
    filter: &mut Filter,
    alive: &HashSet<ChannelId>,
    notes: &mut Vec<String>,
    sink: &mut Sink<'_>,
) {
    while let Some((loaded, row)) = merge.next() {
        if pass(loaded, row, joiner, filter, notes, sink).is_break() {
            return;
        }
    }
    for row in joiner.finish(alive) {
        if incomplete(row, filter, notes, sink).is_break() {
            return;
        }
    }
}

/// Gives one row to `sink`, if it is meant; parts of a record once they are whole.
pub(crate) fn pass(
    loaded: &Loaded,
    row: usize,
    joiner: &mut Joiner,
    filter: &mut Filter,
    notes: &mut Vec<String>,
    sink: &mut Sink<'_>,
) -> ControlFlow<()> {
    let mut spans = Vec::new();
    let Some(event) = loaded.event(row, &mut spans) else {
        return ControlFlow::Continue(());
    };
    if event.row.kind == Kind::Fragment
        && let Some(joined) = joiner.take(&event)
    {
        if let Some(broken) = joined.broken {
            incomplete(broken, filter, notes, sink)?;
        }
        return match joined.whole {
            Some(whole) => single(whole, filter, sink).map_continue(|_| ()),
            None => ControlFlow::Continue(()),
        };
    }
    if filter.matches(&event) {
        return sink(&event);
    }
    ControlFlow::Continue(())
}

/// Gives the only row of a buffer to `sink`; whether it was meant.
fn single(row: RowBuffer, filter: &mut Filter, sink: &mut Sink<'_>) -> ControlFlow<(), bool> {
    let loaded = Loaded::new(row);
    let mut spans = Vec::new();
    let Some(event) = loaded.event(0, &mut spans) else {
        return ControlFlow::Continue(false);
    };
    if !filter.matches(&event) {
        return ControlFlow::Continue(false);
    }
    sink(&event).map_continue(|()| true)
}

/// Gives what there is of a record whose other parts are missing.
pub(crate) fn incomplete(
    row: RowBuffer,
    filter: &mut Filter,
    notes: &mut Vec<String>,
    sink: &mut Sink<'_>,
) -> ControlFlow<()> {
    let (source, run) = (row.sources.first(), row.runs.first());
    let note = source.zip(run).map(|(source, run)| {
        let (channel, pid, writer, number) =
            (&source.channel, source.pid, run.writer, run.first_number);
        format!(
            "channel {channel}, pid {pid}: record {number} of writer {writer} is incomplete: its other parts are missing"
        )
    });
    if single(row, filter, sink)? {
        notes.extend(note);
    }
    ControlFlow::Continue(())
}
