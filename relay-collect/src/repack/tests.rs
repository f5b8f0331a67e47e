//! Joined blocks show what the blocks showed.

use super::join::Group;
use proptest::collection::vec;
use proptest::prelude::*;
use relay_fmt::block::{BlockBuilder, RowBuffer};
use relay_fmt::callsite::{Callsite, Facade, Level};
use relay_fmt::record::Kind;
use relay_fmt::rows::{ChannelId, Run, Source, Span};
use relay_fmt::value::Layout;
use std::collections::HashMap;
use std::sync::Arc;

/// A row: its writer, its time, its span, its callsite.
type Made = (u8, i64, u64, u8);
/// Rows, and the values of the spans that the block describes.
type Block = (Vec<Made>, Vec<(u64, u64, u8)>);

fn source(n: u8) -> Source {
    Source {
        id: ChannelId([n; 16]),
        channel: "app".into(),
        pid: 7,
        program: "p".into(),
        host: "h".into(),
        boot: [0; 16],
        opened_ns: 0,
    }
}

fn site(n: u8) -> Arc<Callsite> {
    Arc::new(Callsite {
        level: Level::Info,
        facade: Facade::Log,
        layout: Layout::Packed,
        line: n.into(),
        target: "t".into(),
        module: "t".into(),
        file: "f".into(),
        name: String::new(),
        template: "x".into(),
        fields: Vec::new(),
    })
}

/// A block as the collector makes one: writers in their order, rows by sort time.
fn block(made: &Block, next: &mut HashMap<u8, (u64, i64)>) -> RowBuffer {
    let mut builder = BlockBuilder::new();
    let mut rows: Vec<(i64, usize, &Made)> = Vec::new();
    let mut runs = HashMap::new();
    for (i, row) in made.0.iter().enumerate() {
        let at = next.entry(row.0).or_insert((0, i64::MIN));
        let floor_ns = at.1;
        at.1 = at.1.max(row.1);
        rows.push((at.1, i, row));
        let source = builder.source(&source(row.0 % 2));
        let (first_number, writer) = (at.0, u64::from(row.0));
        at.0 += 1;
        let index = *runs.entry(row.0).or_insert_with(|| {
            builder.run(Run {
                source,
                sub_buffer: 0,
                generation: 1,
                from: 0,
                to: 1,
                prior_generations: 0,
                prior_records: 0,
                records: 0,
                writer,
                first_number,
                tid: 1,
                nesting: 0,
                thread: Vec::new(),
                floor_ns,
            })
        });
        if let Some(run) = builder.run_mut(index) {
            run.records += 1;
        }
    }
    rows.sort_by_key(|(order, i, _)| (*order, *i));
    let of: Vec<u32> = (0..2).map(|n| builder.source(&source(n))).collect();
    for (id, parent, value) in &made.1 {
        let source = of[(*id % 2) as usize];
        let values = vec![*value];
        let (id, parent, callsite) = (*id, *parent, site(0));
        builder.span(Span { source, id, parent, callsite, values, since_ns: 0 });
    }
    for (_, i, row) in rows {
        let callsite = builder.callsite(&site(row.3));
        let payload = i.to_le_bytes();
        builder.push(runs[&row.0], Kind::Event, Some(callsite), row.2, row.1, &payload);
    }
    builder.rows().clone()
}

/// A row as it is shown: everything, with the spans around it.
fn shown(rows: &RowBuffer) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for row in rows.rows() {
        let run = &rows.runs[row.run as usize];
        let (mut id, mut spans) = (row.span, Vec::new());
        while id != 0 && spans.len() < 9 {
            let of = rows.spans.iter().find(|s| s.source == run.source && s.id == id);
            spans.push(of.map(|s| (s.id, s.values.clone())));
            id = of.map_or(0, |s| s.parent);
        }
        let id = rows.sources[run.source as usize].id;
        let Run { writer, first_number, .. } = run;
        let what = (id, writer, first_number, row.number, row.time_ns, row.payload, row.callsite);
        all.push((row.order_ns, format!("{what:?} {spans:?}")));
    }
    all
}

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let row = (0u8..4, 0i64..50, 0u64..4, 0u8..3);
    // Mostly the same spans, described alike.
    let span = (1u64..4, 0u64..3, prop_oneof![9 => Just(0u8), 1 => 0u8..3]);
    vec((vec(row, 0..20), vec(span, 0..4)), 1..5)
}

proptest! {
    #[test]
    fn joined_blocks_show_what_the_blocks_showed(made in blocks()) {
        let mut next = HashMap::new();
        let all: Vec<RowBuffer> = made.iter().map(|made| block(made, &mut next)).collect();
        let (mut group, mut wanted, mut runs) = (Group::default(), Vec::new(), Vec::new());
        for rows in all {
            let (these, these_runs) = (shown(&rows), rows.runs.len());
            if group.add(rows).is_err() {
                break;
            }
            wanted.extend(these);
            runs.push(these_runs);
        }
        // Stable: of equal times, the earlier block's first.
        wanted.sort_by_key(|(order, _)| *order);
        let mut builder = BlockBuilder::new();
        group.fill(&mut builder);
        prop_assert_eq!(shown(builder.rows()), wanted);
        prop_assert_eq!(builder.rows().runs.len(), runs.iter().sum::<usize>());
    }
}

/// What a span got later is not shown with what was logged before.
#[test]
fn a_span_that_is_described_anew_begins_a_block() {
    let mut next = HashMap::new();
    let rows = |value| (vec![(1, 5, 1, 0)], vec![(1, 0, value)]);
    let mut group = Group::default();
    for (value, fits) in [(0, true), (0, true), (1, false)] {
        assert_eq!(group.add(block(&rows(value), &mut next)).is_ok(), fits);
    }
    let unknown = (vec![(1, 9, 3, 0)], vec![]);
    assert!(group.add(block(&unknown, &mut next)).is_ok());
    let known = (vec![(1, 9, 3, 0)], vec![(3, 0, 0)]);
    assert!(group.add(block(&known, &mut next)).is_err());
}
