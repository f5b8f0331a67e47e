//! Measures the columnar block body on real logs: `columns_measure [--level N] FILE.zst…`, and on
//! typed records: `columns_measure --typed N`; `--find FILE.zst NEEDLE` measures searching. Checks that every byte comes back.

#[cfg(feature = "archive")]
mod measure {
    use relay_fmt::block::RowBuffer;
    use relay_fmt::block::columns::{Encoder, Precision, contains, decode};
    use relay_fmt::callsite::{Callsite, Facade, Field, Level};
    use relay_fmt::record::Kind;
    use relay_fmt::rows::{ChannelId, Run, Source};
    use relay_fmt::value::{Layout, Type, put_str};
    use std::sync::Arc;
    use std::time::Instant;

    const BLOCK: usize = 4 << 20;

    fn callsite(template: &str, layout: Layout, of: &[Type]) -> Arc<Callsite> {
        let field = |of: &Type| Field { name: String::new(), of: *of, argument_only: true };
        Arc::new(Callsite {
            level: Level::Info,
            facade: Facade::Log,
            layout,
            line: 1,
            target: "measure".into(),
            module: "measure".into(),
            file: "measure.rs".into(),
            name: String::new(),
            template: template.into(),
            fields: of.iter().map(field).collect(),
        })
    }

    fn empty(callsite: &Arc<Callsite>) -> RowBuffer {
        let mut rows = RowBuffer::default();
        rows.sources.push(Source {
            id: ChannelId([7; 16]),
            channel: "measure".into(),
            pid: 1,
            program: "measure".into(),
            host: "host".into(),
            boot: [9; 16],
            opened_ns: 1_790_000_000_000_000_000,
        });
        for n in 0..4 {
            rows.runs.push(Run {
                source: 0,
                sub_buffer: n,
                generation: 5,
                from: 0,
                to: 1 << 20,
                prior_generations: 4,
                prior_records: 0,
                records: 1000,
                writer: u64::from(n),
                first_number: 4000,
                tid: 1000 + n,
                nesting: 0,
                thread: format!("worker-{n}").into_bytes(),
                floor_ns: 0,
            });
        }
        rows.callsites.push(Arc::clone(callsite));
        rows
    }

    struct Clock(i64, u64);

    impl Clock {
        fn tick(&mut self) -> i64 {
            self.1 = self.1.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.0 += 1000 + (self.1 >> 50) as i64;
            self.0
        }
    }

    fn blocks(text: &[u8]) -> Vec<RowBuffer> {
        let callsite = callsite("{0}", Layout::Sparse, &[Type::Str]);
        let mut clock = Clock(1_790_000_000_000_000_000, 1);
        let mut all = vec![empty(&callsite)];
        let (mut raw, mut payload, mut n) = (0, Vec::new(), 0);
        for line in text.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if raw >= BLOCK {
                all.push(empty(&callsite));
                raw = 0;
            }
            raw += line.len() + 1;
            payload.clear();
            payload.push(0);
            put_str(&mut payload, Type::Str, line);
            if let Some(rows) = all.last_mut() {
                rows.push(n % 4, Kind::Event, 1, 0, clock.tick(), &payload);
            }
            n += 1;
        }
        all
    }

    fn encode_all(
        encoder: &mut Encoder,
        blocks: &[RowBuffer],
    ) -> (Vec<Vec<u8>>, [usize; 4], usize) {
        let (mut bodies, mut frames, mut classes) = (Vec::new(), [0; 4], 0);
        for rows in blocks {
            let mut body = Vec::new();
            let summary = encoder.encode(rows, &mut body).expect("blocks encode");
            frames.iter_mut().zip(summary.frames).for_each(|(a, b)| *a += b);
            classes += summary.classes;
            bodies.push(body);
        }
        (bodies, frames, classes)
    }

    fn best<T>(mut work: impl FnMut() -> T) -> (T, f64) {
        let (mut fastest, mut out) = (f64::MAX, None);
        for _ in 0..3 {
            let start = Instant::now();
            out = Some(work());
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
        (out.expect("it ran"), fastest)
    }

    fn file(path: &str, level: i32) -> f64 {
        let packed = std::fs::read(path).expect("the file reads");
        let text = zstd::decode_all(&packed[..]).expect("the file decompresses");
        let (plain, plain_s) = best(|| zstd::bulk::compress(&text, 3).expect("zstd").len());
        let mut all = blocks(&text);
        let mut encoder = Encoder::new(level).expect("an encoder");
        let ((bodies, frames, classes), encode_s) = best(|| encode_all(&mut encoder, &all));
        let (decoded, decode_s) =
            best(|| bodies.iter().map(|b| decode(b).expect("it decodes")).collect::<Vec<_>>());
        assert!(decoded == all, "{path} came back different");
        let size = |bodies: &[Vec<u8>]| bodies.iter().map(Vec::len).sum::<usize>();
        let full = size(&bodies);
        let mut micros = Encoder::new(level).expect("an encoder").precision(Precision::Micros);
        let micros = size(&encode_all(&mut micros, &all).0);
        all.iter_mut().for_each(|rows| rows.time_ns.fill(0));
        let timeless = size(&encode_all(&mut encoder, &all).0);
        all.iter_mut().for_each(|rows| rows.run.fill(0));
        let rest = size(&encode_all(&mut encoder, &all).0);
        let ratio = plain as f64 / rest as f64;
        let mb = text.len() as f64 / 1e6;
        let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".zst");
        println!(
            "{name:26} {:9} {plain:8} {rest:8} {ratio:5.2} {:7} {:5} {:8} {:5.0} {:5.0} {:5.0}  {classes} {frames:?}",
            text.len(),
            full - timeless,
            timeless - rest,
            micros,
            mb / plain_s,
            mb / encode_s,
            mb / decode_s,
        );
        ratio
    }

    fn typed(n: usize, level: i32) {
        let callsite = callsite(
            "request {0} took {1} ms for {2}",
            Layout::Packed,
            &[Type::U64, Type::F64, Type::Str],
        );
        let mut rows = empty(&callsite);
        let mut clock = Clock(1_790_000_000_000_000_000, 1);
        for i in 0..n {
            let time = clock.tick();
            let mut payload = Vec::new();
            payload.extend_from_slice(&(i as u64).to_le_bytes());
            payload.extend_from_slice(&((clock.1 >> 44) as f64 / 1000.0).to_le_bytes());
            payload.extend_from_slice(&20u32.to_le_bytes());
            payload.extend_from_slice(format!("user-{:015}", clock.1 >> 54).as_bytes());
            rows.push((i % 4) as u32, Kind::Event, 1, 0, time, &payload);
        }
        let mut encoder = Encoder::new(level).expect("an encoder");
        let mut body = Vec::new();
        let (summary, seconds) = best(|| {
            body.clear();
            encoder.encode(&rows, &mut body).expect("it encodes")
        });
        let (back, decode_s) = best(|| decode(&body).expect("it decodes"));
        assert!(back == rows, "typed records came back different");
        println!(
            "typed: {n} records, {} payload bytes -> {} ({:?}), encode {:.2} M/s, decode {:.2} M/s",
            rows.payload.len(),
            body.len(),
            summary.frames,
            n as f64 / seconds / 1e6,
            n as f64 / decode_s / 1e6,
        );
    }

    /// How long it takes to find which blocks of a file can contain a needle.
    fn find(path: &str, needle: &str, level: i32) {
        let packed = std::fs::read(path).expect("the file reads");
        let text = zstd::decode_all(&packed[..]).expect("the file decompresses");
        let all = blocks(&text);
        let (bodies, ..) = encode_all(&mut Encoder::new(level).expect("an encoder"), &all);
        let may = |body: &Vec<u8>| contains(body, needle.as_bytes()).expect("it decodes");
        let (found, seconds) = best(|| bodies.iter().filter(|b| may(b)).count());
        let really = all.iter().filter(|rows| {
            let mut lines = (0..rows.len()).map(|i| rows.payload_of(i));
            lines.any(|line| memchr::memmem::find(line, needle.as_bytes()).is_some())
        });
        println!(
            "{needle:?}: {found} of {} blocks may contain it, {} do, {:.2} ms, {:.2} GB/s",
            bodies.len(),
            really.count(),
            seconds * 1e3,
            text.len() as f64 / seconds / 1e9,
        );
    }

    fn number(arguments: &mut impl Iterator<Item = String>) -> usize {
        arguments.next().and_then(|n| n.parse().ok()).expect("a number")
    }

    pub(super) fn main() {
        let mut arguments = std::env::args().skip(1);
        let (mut level, mut ratios) = (1, Vec::new());
        println!(
            "{:26} {:>9} {:>8} {:>8} ratio {:>7} {:>5} {:>8} z3MB/s encMB/s decMB/s classes frames",
            "file", "raw", "zstd-3", "rest", "times", "runs", "all,us"
        );
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--find" => {
                    let mut word = || arguments.next().expect("--find FILE NEEDLE");
                    let (path, needle) = (word(), word());
                    find(&path, &needle, level);
                }
                "--level" => level = number(&mut arguments) as i32,
                "--typed" => typed(number(&mut arguments), level),
                path => ratios.push(file(path, level)),
            }
        }
        if !ratios.is_empty() {
            let mean = ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64;
            println!("geometric mean of {} ratios to zstd -3: {:.3}", ratios.len(), mean.exp());
        }
    }
}

#[cfg(feature = "archive")]
fn main() {
    measure::main();
}

#[cfg(not(feature = "archive"))]
fn main() {
    eprintln!("needs the feature `archive`");
}
