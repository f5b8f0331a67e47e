//! With macros of their own.

use crate::peer::Peer;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) fn spdlog(dir: &Path, _: &Path) -> Peer {
    use spdlog::sink::{AsyncPoolSink, FileSink};
    let file = FileSink::builder().path(dir.join("text.log")).build_arc().unwrap();
    let pool = spdlog::ThreadPool::builder().build_arc().unwrap();
    let builder = AsyncPoolSink::builder().sink(file).thread_pool(Arc::clone(&pool));
    let logger = spdlog::Logger::builder().sink(builder.build_arc().unwrap()).build_arc().unwrap();
    spdlog::set_default_logger(logger);
    Peer {
        none: || spdlog::info!("request handled"),
        one: |id| spdlog::info!("request handled id={}", id),
        three: |id, latency, path| {
            spdlog::info!("request handled id={} latency={} path={}", id, latency, path);
        },
        // Flushing only asks for it; the pool, when nobody has it any more, does everything first.
        end: Box::new(move || {
            spdlog::default_logger().flush();
            spdlog::set_default_logger(spdlog::Logger::builder().build_arc().unwrap());
            drop(pool);
        }),
    }
}

pub(crate) fn emit(dir: &Path, _: &Path) -> Peer {
    let files = emit_file::set(dir.join("text.log")).spawn();
    let runtime = emit::setup().emit_to(files).init();
    Peer {
        none: || emit::info!("request handled"),
        one: |id| emit::info!("request handled id={id}"),
        three: |id, latency, path| {
            emit::info!("request handled id={id} latency={latency} path={path}");
        },
        end: Box::new(move || {
            runtime.blocking_flush(Duration::from_secs(60));
        }),
    }
}

static SLOG: OnceLock<slog::Logger> = OnceLock::new();

fn slogged() -> &'static slog::Logger {
    SLOG.get().expect("it is set up")
}

fn slog(dir: &Path, strategy: slog_async::OverflowStrategy) -> Peer {
    use slog::Drain;
    let decorator = slog_term::PlainDecorator::new(File::create(dir.join("text.log")).unwrap());
    let drain = slog_term::FullFormat::new(decorator).build().fuse();
    let builder = slog_async::Async::new(drain).overflow_strategy(strategy);
    let (drain, guard) = builder.build_with_guard();
    SLOG.set(slog::Logger::root(drain.fuse(), slog::o!())).unwrap();
    Peer {
        none: || slog::info!(slogged(), "request handled"),
        one: |id| slog::info!(slogged(), "request handled"; "id" => id),
        three: |id, latency, path| {
            slog::info!(slogged(), "request handled"; "id" => id, "latency" => latency, "path" => path);
        },
        end: Box::new(|| drop(guard)),
    }
}

pub(crate) fn slog_blocks(dir: &Path, _: &Path) -> Peer {
    slog(dir, slog_async::OverflowStrategy::Block)
}

pub(crate) fn slog_drops(dir: &Path, _: &Path) -> Peer {
    slog(dir, slog_async::OverflowStrategy::DropAndReport)
}

pub(crate) fn inqjet(dir: &Path, _: &Path) -> Peer {
    let file = File::create(dir.join("text.log")).unwrap();
    let builder = inqjet::InqJetBuilder::default().with_writer(file);
    let guard = builder.with_log_level(inqjet::LevelFilter::Info).build().unwrap();
    Peer {
        none: || inqjet::info!("request handled"),
        one: |id| inqjet::info!("request handled id={}", id),
        three: |id, latency, path| {
            inqjet::info!("request handled id={} latency={} path={}", id, latency, path);
        },
        end: Box::new(|| drop(guard)),
    }
}
