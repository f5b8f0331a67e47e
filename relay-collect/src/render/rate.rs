//! How fast rows become output. Not part of a normal run, because a busy machine fails it:
//! `cargo test --release -p relay-collect rate -- --ignored --nocapture`

use super::fixture::{TIME, add_site, add_span, buffer, int, site, text};
use super::{Format, Options, Renderer, View};
use relay_fmt::block::RowBuffer;
use relay_fmt::callsite::Level;
use relay_fmt::record::Kind;
use std::time::Instant;

const ROWS: i64 = 200_000;

fn log_rows() -> RowBuffer {
    let mut b = buffer();
    let sites: Vec<u32> = (0..50)
        .map(|i| add_site(&mut b, site(Level::Info, &format!("shop::cart::{i}"), &[])))
        .collect();
    for i in 0..ROWS {
        let message = format!(
            "request {i} from 10.0.0.{} took {} us and was answered",
            i % 256,
            i * 7 % 9999
        );
        let c = sites[(i * 31 % 50) as usize];
        b.push(0, Kind::Event, c, 0, TIME + i * 10_000, &text(0, message.as_bytes()));
    }
    b
}

fn span_rows() -> RowBuffer {
    let mut b = buffer();
    add_span(&mut b, [1, 0], "request", "id", int(0, 7));
    add_span(&mut b, [2, 1], "query", "table", text(0, b"users"));
    let c = add_site(&mut b, site(Level::Info, "shop::cart", &["user", "count"]));
    for i in 0..ROWS {
        let payload = [text(0, b"added to the cart"), text(1, b"J B"), int(2, i)].concat();
        b.push(0, Kind::SpanEvent, c, 2, TIME + i * 10_000, &payload);
    }
    b
}

/// Rows a second, the best of five runs.
fn rate(buffer: &RowBuffer, format: Format) -> f64 {
    let mut renderer = Renderer::new(&Options::default().format(format));
    let mut out = Vec::new();
    let mut run = || {
        let begin = Instant::now();
        out.clear();
        let view = View::new(buffer);
        let shown = view.events().filter(|e| {
            if out.len() > 1 << 20 {
                out.clear();
            }
            renderer.render(e, &mut out)
        });
        assert_eq!(shown.count() as i64, ROWS);
        ROWS as f64 / begin.elapsed().as_secs_f64()
    };
    (0..5).map(|_| run()).fold(0.0, f64::max)
}

#[test]
#[ignore = "measures; wants --release and an idle machine"]
fn rates_are_reached() {
    let (log, span) = (log_rows(), span_rows());
    for (format, goal) in
        [(Format::Raw, 2e6), (Format::Text, 1e6), (Format::Json, 5e5), (Format::Logfmt, 5e5)]
    {
        let (of_log, of_span) = (rate(&log, format), rate(&span, format));
        println!("{format:?}: {of_log:.0} rows/s, with spans and fields {of_span:.0} rows/s");
        assert!(of_log > goal, "{format:?} reaches only {of_log:.0} rows/s");
    }
}
