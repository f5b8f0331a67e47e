//! What is recorded: the directives everyone knows, changeable at run time.

use crate::channel::os;
use crate::channel::shelf::Leaked;
use relay_fmt::callsite::Level;

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
}

impl Filter {
    pub(crate) fn parse(spec: &str) -> Result<Self, FilterError> {
        let error = |why: String| FilterError { spec: spec.to_owned(), why };
        if spec.contains('/') {
            return Err(error("it has a /text part: search the text with --grep instead".into()));
        }
        let mut builder = env_filter::Builder::new();
        builder.try_parse(spec).map_err(|e| error(e.to_string()))?;
        Ok(Self { directives: builder.build() })
    }

    /// The most verbose level that it lets through anywhere.
    pub(crate) fn max(&self) -> log::LevelFilter {
        self.directives.filter()
    }
}

/// The filter in force.
#[derive(Debug)]
pub(crate) struct FilterCell {
    current: Leaked<Filter>,
}

impl FilterCell {
    /// One that lets nothing through.
    pub(crate) const fn new() -> Self {
        Self { current: Leaked::new() }
    }

    pub(crate) fn set(&self, filter: Filter) {
        self.current.set(Box::leak(Box::new(filter)));
        // What callsites remember is asked again.
        os::new_era();
    }

    pub(crate) fn max(&self) -> log::LevelFilter {
        self.current.get().map_or(log::LevelFilter::Off, Filter::max)
    }

    /// Whether records of this level and target are let through.
    pub(crate) fn allows_target(&self, level: Level, target: &str) -> bool {
        let metadata = log::Metadata::builder().level(to_log(level)).target(target).build();
        self.current.get().is_some_and(|filter| filter.directives.enabled(&metadata))
    }
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
