//! Feeds the text that a `tracing` subscriber printed through `tracing` again: levels, targets, spans
//! and fields are what they were, and where lines show how long the program had run, they wait for
//! that time. One thread, as the line order is that of one text.
//!
//! ```text
//! cargo run --release --example retrace -- --dir logs trace.log.zst
//! relay-collect --dir logs --once
//! ```
//!
//! With `--text FILE` the same events go to the layer of `tracing_subscriber::fmt` instead, as it is set up by
//! default but for colours, which writes them to a file.

use anyhow::Result;
use clap::Parser;
use relay_examples::trace::{self, Line};
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use tracing_core::field::{FieldSet, Value};
use tracing_core::span::{Attributes, Id};
use tracing_core::subscriber::Interest;
use tracing_core::{Callsite, Event, Kind, Level, Metadata, dispatcher, identify_callsite};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;

/// Feeds printed traces through Relay's layer.
#[derive(Debug, Parser)]
struct Args {
    /// The directory shared with the collector
    #[arg(long)]
    dir: PathBuf,
    /// Write text to this file, and nothing to the directory
    #[arg(long)]
    text: Option<PathBuf>,
    /// Text files, also with .zst at the end
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// A callsite that is made when its first line comes.
#[derive(Debug, Default)]
struct Site(OnceLock<Metadata<'static>>);

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0.get().expect("it is set before anybody sees the callsite")
    }
}

/// What tells callsites apart: span or event, name or target, level, names of fields.
type Key = (bool, String, Level, Vec<String>);

#[derive(Debug, Default)]
struct Sites(HashMap<Key, &'static Metadata<'static>>);

impl Sites {
    fn get(&mut self, key: Key) -> &'static Metadata<'static> {
        self.0.entry(key).or_insert_with_key(|(is_span, name, level, fields)| {
            let leak = |text: &String| -> &'static str { Box::leak(text.clone().into_boxed_str()) };
            let names: &'static [&'static str] = Vec::leak(fields.iter().map(leak).collect());
            let site: &'static Site = Box::leak(Box::default());
            let (kind, label) =
                if *is_span { (Kind::SPAN, leak(name)) } else { (Kind::EVENT, "event trace") };
            let fields = FieldSet::new(names, identify_callsite!(site));
            let target = leak(name);
            let metadata =
                Metadata::new(label, target, *level, None, None, Some(target), fields, kind);
            site.0.get_or_init(|| metadata)
        })
    }
}

/// Calls back with a callsite and values that are typed as they look.
fn with_values(
    metadata: &'static Metadata<'static>,
    texts: &[(String, String)],
    then: impl FnOnce(&tracing_core::field::ValueSet<'_>),
) {
    let typed: Vec<Box<dyn Value>> = texts.iter().map(|(name, text)| typed(name, text)).collect();
    let fields: Vec<_> = metadata.fields().iter().collect();
    let nothing = fields.first().expect("every callsite here has a field");
    // Arrays have the only lengths that a value set is made of.
    let values: [_; trace::MOST_FIELDS + 1] = std::array::from_fn(|n| match fields.get(n) {
        Some(field) => (field, typed.get(n).map(|value| &**value)),
        None => (nothing, None),
    });
    then(&metadata.fields().value_set(&values));
}

fn typed(name: &str, text: &str) -> Box<dyn Value> {
    if name == "message" {
        return Box::new(text.to_owned());
    }
    match (text.parse::<u64>(), text.parse::<i64>(), text.parse::<bool>()) {
        (Ok(n), ..) if n.to_string() == text => Box::new(n),
        (_, Ok(n), _) if n.to_string() == text => Box::new(n),
        (.., Ok(truth)) => Box::new(truth),
        _ => Box::new(tracing_core::field::display(text.to_owned())),
    }
}

/// The spans that are entered, outermost first, each as the text that it was printed as.
#[derive(Debug, Default)]
struct Stack(Vec<(String, Id)>);

impl Stack {
    /// Leaves and enters spans so that these are the ones that are entered.
    fn become_those_of(&mut self, line: &Line<'_>, sites: &mut Sites) {
        let same = self.0.iter().zip(&line.spans).take_while(|(a, b)| a.0 == b.text).count();
        dispatcher::get_default(|dispatch| {
            for (_, id) in self.0.drain(same..).rev() {
                dispatch.exit(&id);
                dispatch.try_close(id);
            }
            for span in line.spans.iter().skip(same) {
                let mut fields = span.fields.clone();
                if fields.is_empty() {
                    // Never given a value: a callsite here has a field.
                    fields.push(("none".into(), String::new()));
                }
                let names = fields.iter().map(|(name, _)| name.clone()).collect();
                let metadata = sites.get((true, span.name.to_owned(), Level::ERROR, names));
                with_values(metadata, &span.fields, |values| {
                    let id = dispatch.new_span(&Attributes::new(metadata, values));
                    dispatch.enter(&id);
                    self.0.push((span.text.to_owned(), id));
                });
            }
        });
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let registry = tracing_subscriber::registry();
    let subscriber = match &args.text {
        Some(path) => {
            let layer = fmt::layer().with_ansi(false).with_writer(Mutex::new(File::create(path)?));
            registry.with(layer).into()
        }
        None => {
            let relay = relay_log::Relay::builder(&args.dir);
            registry.with(relay.channel("trace").filter("trace").init()?.layer()).into()
        }
    };
    dispatcher::set_global_default(subscriber)?;
    let (mut sites, mut stack) = (Sites::default(), Stack::default());
    for path in &args.files {
        let text = relay_examples::read(path)?;
        let since = Instant::now();
        for text in text.lines() {
            let line = Line::parse(text);
            while line.after.is_some_and(|after| since.elapsed() < Duration::from_nanos(after)) {
                std::hint::spin_loop();
            }
            stack.become_those_of(&line, &mut sites);
            let level = line.level.parse().unwrap_or(Level::INFO);
            let names = line.fields.iter().map(|(name, _)| name.clone()).collect();
            let metadata = sites.get((false, line.target.to_owned(), level, names));
            with_values(metadata, &line.fields, |values| Event::dispatch(metadata, values));
        }
    }
    stack.become_those_of(&Line::parse(""), &mut sites);
    Ok(())
}
