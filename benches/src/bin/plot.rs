//! Draws the plots from what is recorded: `plot docs/measurements.md docs/plots`.

use relay_benches::recorded::Table;
use relay_benches::svg::{Panel, bars, panels};
use std::path::Path;

fn panel<'a>(table: &Table, title: &'a str, columns: &[&'a str], log: bool) -> Panel<'a> {
    let name = |column: &'a str| if columns.len() > 1 { column } else { "" };
    let lines = columns.iter().map(|column| (name(column), table.numbers(column))).collect();
    Panel { title, lines, log }
}

fn threads(text: &str) -> Option<String> {
    let table = Table::find(text, "M messages/s archived")?;
    let one = |title: &'static str| panel(&table, title, &[title], false);
    let shown =
        ["ns a call", "M messages/s archived", "CPU s a million", "MiB of channel"].map(one);
    Some(panels("Growth with threads", "threads", &table.numbers("threads"), &shown))
}

fn rates(text: &str) -> Option<String> {
    let table = Table::find(text, "reached")?;
    let shown = [
        panel(&table, "single calls, ns", &["p50", "p99", "p99.99"], true),
        panel(&table, "CPU s a million", &["CPU s a million"], false),
        panel(&table, "messages/s reached", &["reached"], true),
    ];
    Some(panels(
        "Growth with the rate of messages",
        "messages/s asked for",
        &table.numbers("messages/s"),
        &shown,
    ))
}

fn whole(text: &str) -> Option<String> {
    let table = Table::find(text, "M messages/s until written")?;
    let speeds = table.numbers("until synced");
    let of_two =
        table.rows.iter().zip(speeds).filter(|(row, _)| row.get(1).is_some_and(|n| n == "2"));
    let bar = |(row, speed): (&Vec<String>, f64)| {
        let loses = row.last().is_some_and(|lost| lost != "0");
        Some((row.first()?.clone(), speed, loses))
    };
    let rows: Vec<(String, f64, bool)> = of_two.filter_map(bar).collect();
    Some(bars("Whole way, 2 threads: million messages/s until safely on the disk", &rows, "loses"))
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else {
        eprintln!("plot MEASUREMENTS DIRECTORY");
        std::process::exit(2);
    };
    let text = std::fs::read_to_string(from)?;
    std::fs::create_dir_all(to)?;
    let plots = [("threads", threads(&text)), ("rates", rates(&text)), ("whole", whole(&text))];
    for (name, plot) in plots {
        match plot {
            Some(plot) => std::fs::write(Path::new(to).join(format!("{name}.svg")), plot)?,
            None => eprintln!("{from} has no table for {name}.svg"),
        }
    }
    Ok(())
}
