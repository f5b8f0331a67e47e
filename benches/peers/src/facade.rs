//! Behind the facade `log`.

use crate::peer::Peer;
use std::path::Path;

pub(crate) fn peer(end: Box<dyn FnOnce()>) -> Peer {
    Peer {
        none: || log::info!("request handled"),
        one: |id| log::info!("request handled id={id}"),
        three: |id, latency, path| {
            log::info!("request handled id={id} latency={latency} path={path}");
        },
        end,
    }
}

fn flush() -> Box<dyn FnOnce()> {
    Box::new(|| log::logger().flush())
}

pub(crate) fn log4rs(dir: &Path, _: &Path) -> Peer {
    use log4rs::append::file::FileAppender;
    use log4rs::config::{Appender, Config, Root};
    let file = FileAppender::builder().build(dir.join("text.log")).unwrap();
    let config = Config::builder().appender(Appender::builder().build("file", Box::new(file)));
    let root = Root::builder().appender("file").build(log::LevelFilter::Info);
    log4rs::init_config(config.build(root).unwrap()).unwrap();
    peer(flush())
}

pub(crate) fn flexi_logger(dir: &Path, _: &Path) -> Peer {
    use flexi_logger::{FileSpec, Logger, WriteMode};
    let file = FileSpec::default().directory(dir).basename("text").suppress_timestamp();
    let logger = Logger::try_with_str("info").unwrap().log_to_file(file);
    let handle = logger.write_mode(WriteMode::Async).start().unwrap();
    peer(Box::new(move || handle.shutdown()))
}

fn ftlog(dir: &Path, block: bool) -> Peer {
    let file = ftlog::appender::FileAppender::builder().path(dir.join("text.log")).build();
    // 100,000 is its default.
    let builder = ftlog::builder().max_log_level(ftlog::LevelFilter::Info).bounded(100_000, block);
    let guard = builder.utc().root(file).try_init().unwrap();
    peer(Box::new(|| drop(guard)))
}

pub(crate) fn ftlog_blocks(dir: &Path, _: &Path) -> Peer {
    ftlog(dir, true)
}

pub(crate) fn ftlog_drops(dir: &Path, _: &Path) -> Peer {
    ftlog(dir, false)
}

pub(crate) fn logforth(dir: &Path, _: &Path) -> Peer {
    use logforth::append::asynchronous::AsyncBuilder;
    use logforth::append::file::FileBuilder;
    let file = FileBuilder::new(dir, "text").build().unwrap();
    let appender = AsyncBuilder::new("logforth").overflow_block().append(file).build();
    logforth::starter_log::builder().dispatch(|dispatch| dispatch.append(appender)).apply();
    peer(flush())
}
