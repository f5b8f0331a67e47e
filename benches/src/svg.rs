//! Plots as SVG: panels of lines, and bars. The same numbers give the same bytes; colours follow the
//! reader's light or dark.

use std::fmt::Write;

/// Colours: text and axes, then the series. They are told apart on white and on black.
const STYLE: &str = "<style>
:root { --ink: #24292f; --faint: #d0d7de; --a: #0969da; --b: #bc4c00; --c: #1a7f37; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --faint: #30363d; --a: #58a6ff; --b: #f0883e; --c: #3fb950; }
}
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.title { font-weight: 600; }
.axis { stroke: var(--faint); fill: none; }
</style>
";
const COLOURS: [&str; 3] = ["var(--a)", "var(--b)", "var(--c)"];

/// Lines over one axis.
#[derive(Debug)]
pub struct Panel<'a> {
    /// What it shows, with the unit.
    pub title: &'a str,
    /// Name and values of each line; a single one needs no name.
    pub lines: Vec<(&'a str, Vec<f64>)>,
    /// Whether the values stand on a logarithmic scale.
    pub log: bool,
}

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 216.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 34.0;

fn number(n: f64) -> String {
    match n {
        n if n >= 1e6 => format!("{}M", n / 1e6),
        n if n >= 1e3 => format!("{}k", n / 1e3),
        n => format!("{n}"),
    }
}

/// The next number at or above `n` that is 1, 2 or 5 with zeros.
fn round_up(n: f64) -> f64 {
    let ten = 10f64.powf(n.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * ten).find(|most| *most >= n).unwrap_or(n)
}

/// A value's share of an axis.
fn share(value: f64, least: f64, most: f64, log: bool) -> f64 {
    if log { (value / least).ln() / (most / least).ln() } else { (value - least) / (most - least) }
}

/// Values that an axis is marked at.
fn marks(least: f64, most: f64, log: bool) -> Vec<f64> {
    if !log {
        return vec![least, most / 2.0, most];
    }
    let (first, last) = (least.log10().ceil() as i32, most.log10().floor() as i32);
    // At most five of them.
    let step = ((last - first) / 4).max(1) as usize;
    (first..=last).step_by(step).map(|exponent| 10f64.powi(exponent)).collect()
}

fn panel(out: &mut String, panel: &Panel<'_>, (over, xs): (&str, &[f64]), x: f64) {
    let values = || panel.lines.iter().flat_map(|(_, values)| values).filter(|v| v.is_finite());
    let most = round_up(values().copied().fold(0.0, f64::max));
    let least = if panel.log {
        10f64.powf(values().copied().fold(most, f64::min).max(1e-9).log10().floor())
    } else {
        0.0
    };
    let (first, last) = (xs.first().copied().unwrap_or(1.0), xs.last().copied().unwrap_or(1.0));
    let (width, height) = (WIDTH - LEFT - 16.0, HEIGHT - TOP - 50.0);
    let at_x = |value: f64| x + LEFT + width * share(value, first, last, true);
    let at_y = |value: f64| TOP + height * (1.0 - share(value, least, most, panel.log));
    let mut put = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    put(format_args!("<text class=\"title\" x=\"{:.0}\" y=\"18\">{}</text>", x + 8.0, panel.title));
    for value in marks(least, most, panel.log) {
        let y = at_y(value);
        put(format_args!(
            "<path class=\"axis\" d=\"M{:.1} {y:.1}h{width:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x + LEFT,
            x + LEFT - 6.0,
            y + 4.0,
            number((value * 100.0).round() / 100.0)
        ));
    }
    for value in xs {
        put(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            at_x(*value),
            HEIGHT - 30.0,
            number(*value)
        ));
    }
    put(format_args!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{over}</text>",
        x + LEFT + width / 2.0,
        HEIGHT - 12.0
    ));
    for ((name, values), colour) in panel.lines.iter().zip(COLOURS) {
        let points: Vec<String> = xs
            .iter()
            .zip(values)
            .filter(|(_, value)| value.is_finite())
            .map(|(x, value)| format!("{:.1},{:.1}", at_x(*x), at_y(*value)))
            .collect();
        put(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        ));
        if let (false, Some(begin)) = (name.is_empty(), values.first()) {
            put(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" style=\"fill:{colour}\">{name}</text>",
                at_x(first) + 2.0,
                at_y(*begin) - 6.0
            ));
        }
    }
}

fn document(width: f64, height: f64, title: &str, content: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n{STYLE}{content}</svg>\n"
    )
}

/// Panels in a row over the same numbers, which stand on a logarithmic scale; `over` says what they are.
#[must_use]
pub fn panels(title: &str, over: &str, xs: &[f64], panels: &[Panel<'_>]) -> String {
    let mut content = String::new();
    for (i, each) in panels.iter().enumerate() {
        panel(&mut content, each, (over, xs), WIDTH * i as f64);
    }
    document(WIDTH * panels.len() as f64, HEIGHT, title, &content)
}

/// A bar for each name; those that are `marked` are drawn as outlines, and say why.
#[must_use]
pub fn bars(title: &str, rows: &[(String, f64, bool)], mark: &str) -> String {
    const ROW: f64 = 20.0;
    let most = rows.iter().map(|(_, value, _)| *value).fold(0.0, f64::max);
    let mut content = format!("<text class=\"title\" x=\"8\" y=\"18\">{title}</text>\n");
    for (i, (name, value, marked)) in rows.iter().enumerate() {
        let y = 30.0 + ROW * i as f64;
        let width = 420.0 * value / most;
        let fill = if *marked { "none" } else { "var(--a)" };
        let note = if *marked { format!("{value}, {mark}") } else { value.to_string() };
        let _ = writeln!(
            content,
            "<text x=\"200\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"208\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"14\" fill=\"{fill}\" stroke=\"var(--a)\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{note}</text>",
            y + 11.0,
            214.0 + width,
            y + 11.0
        );
    }
    document(760.0, 40.0 + ROW * rows.len() as f64, title, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.3, 1.0, 4.2, 61.0].map(round_up), [0.5, 1.0, 5.0, 100.0]);
        assert_eq!(marks(10.0, 50_000.0, true), [10.0, 100.0, 1_000.0, 10_000.0]);
        assert_eq!(marks(1.0, 1e9, true), [1.0, 100.0, 1e4, 1e6, 1e8]);
    }

    #[test]
    fn the_same_numbers_give_the_same_plot_and_nothing_odd_is_in_it() {
        let lines = || vec![("p50", vec![1.0, f64::NAN, 30.0]), ("p99", vec![2.0, 3.0, 400.0])];
        let draw = || {
            panels("t", "n", &[1.0, 8.0, 64.0], &[Panel { title: "ns", lines: lines(), log: true }])
        };
        assert_eq!(draw(), draw());
        assert!(!draw().contains("NaN") && !draw().contains("inf"));
        assert!(bars("t", &[("x".into(), 2.0, true)], "loses").contains("2, loses"));
    }
}
