//! What was recorded: the tables of `docs/measurements.md`.

/// A table: its columns' titles and its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The titles.
    pub titles: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|').trim_end_matches('|');
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

impl Table {
    /// The first table of a text that has a column of this title.
    #[must_use]
    pub fn find(text: &str, title: &str) -> Option<Self> {
        let mut lines = text.lines().skip_while(|line| {
            !(line.starts_with('|') && cells(line).iter().any(|cell| cell == title))
        });
        let titles = cells(lines.next()?);
        let rows = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
        Some(Self { titles, rows })
    }

    /// The numbers of a column, as far as they are numbers.
    #[must_use]
    pub fn numbers(&self, title: &str) -> Vec<f64> {
        let at = self.titles.iter().position(|cell| cell == title);
        let cell = |row: &Vec<String>| at.and_then(|at| row.get(at)?.parse().ok());
        self.rows.iter().map(|row| cell(row).unwrap_or(f64::NAN)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_a_title() {
        let text =
            "| a | b |\n|---|--:|\n| x | 1.5 |\n\n| c | d |\n|---|--:|\n| 2 | - |\n| 3 | 4 |\n";
        let table = Table::find(text, "d").unwrap();
        assert_eq!(table.titles, ["c", "d"]);
        assert_eq!(table.numbers("c"), [2.0, 3.0]);
        assert!(table.numbers("d")[0].is_nan());
        assert_eq!(Table::find(text, "e"), None);
    }
}
