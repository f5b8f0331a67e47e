//! What is recorded: the directives everyone knows, changeable at run time.

use crate::callsite::StaticCallsite;
use crate::channel::shelf::Leaked;
use relay_fmt::callsite::Level;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Directives that are no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{spec:?} is no filter ({why}); write levels and targets, as in info,hyper=warn")]
pub struct FilterError {
    spec: String,
    why: String,
}

/// A parsed filter. A few are made in the life of a program, and none is freed: somebody may be
/// looking at it.
#[derive(Debug)]
pub(crate) struct Filter {
    directives: env_filter::Filter,
    /// Never 0, never used again in this process.
    generation: u64,
}

impl Filter {
    pub(crate) fn parse(spec: &str) -> Result<Self, FilterError> {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        let error = |why: String| FilterError { spec: spec.to_owned(), why };
        if spec.contains('/') {
            return Err(error("it has a /text part: search the text with --grep instead".into()));
        }
        let mut builder = env_filter::Builder::new();
        builder.try_parse(spec).map_err(|e| error(e.to_string()))?;
        let generation = GENERATIONS.fetch_add(1, Relaxed);
        Ok(Self { directives: builder.build(), generation })
    }

    /// The most verbose level that it lets through anywhere.
    pub(crate) fn max(&self) -> log::LevelFilter {
        self.directives.filter()
    }
}

/// The filter in force.
#[derive(Debug)]
pub(crate) struct FilterCell {
    generation: AtomicU64,
    current: Leaked<Filter>,
}

impl FilterCell {
    /// One that lets nothing through.
    pub(crate) const fn new() -> Self {
        Self { generation: AtomicU64::new(0), current: Leaked::new() }
    }

    pub(crate) fn set(&self, filter: Filter) {
        let filter: &'static Filter = Box::leak(Box::new(filter));
        self.current.set(filter);
        self.generation.store(filter.generation, Relaxed);
    }

    pub(crate) fn max(&self) -> log::LevelFilter {
        self.current.get().map_or(log::LevelFilter::Off, Filter::max)
    }

    /// Whether records of this callsite are let through.
    #[inline]
    pub(crate) fn allows(&self, callsite: &StaticCallsite) -> bool {
        let known = callsite.enabled.load(Relaxed);
        if known >> 1 == self.generation.load(Relaxed) {
            return known & 1 != 0;
        }
        self.ask(callsite)
    }

    #[cold]
    fn ask(&self, callsite: &StaticCallsite) -> bool {
        let Some(filter) = self.current.get() else {
            return false;
        };
        let answer = enabled(filter, callsite.level, callsite.target);
        callsite.enabled.store(filter.generation << 1 | u64::from(answer), Relaxed);
        answer
    }

    /// Whether records of this level and target are let through.
    pub(crate) fn allows_target(&self, level: Level, target: &str) -> bool {
        self.current.get().is_some_and(|filter| enabled(filter, level, target))
    }
}

fn enabled(filter: &Filter, level: Level, target: &str) -> bool {
    let metadata = log::Metadata::builder().level(to_log(level)).target(target).build();
    filter.directives.enabled(&metadata)
}

fn to_log(level: Level) -> log::Level {
    match level {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
        Level::Trace => log::Level::Trace,
    }
}

pub(crate) fn from_log(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

#[cfg(feature = "tracing")]
pub(crate) fn from_tracing(level: tracing_core::Level) -> Level {
    match level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}
