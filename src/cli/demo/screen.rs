//! The live picture of a demo: a few lines, drawn over themselves with plain escape codes.

use super::top::Vendor;
use crate::cli::lake_files::File;
use crate::cli::progress::{Moment, grouped};
use std::io::{self, Write};
use std::time::Duration;

/// Narrow enough for any terminal: a line that wraps could not be drawn over.
const WIDTH: usize = 78;

/// All that is shown.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) elapsed: Duration,
    pub(super) moment: Moment,
    /// Since the last picture.
    pub(super) records_per_second: u64,
    pub(super) events: Option<u64>,
    pub(super) vendors: Vec<Vendor>,
    pub(super) files: Vec<File>,
}

/// Draws each picture over the one before.
#[derive(Debug, Default)]
pub(super) struct Screen {
    lines: usize,
}

impl Screen {
    pub(super) fn draw(&mut self, out: &mut dyn Write, picture: &Picture) -> io::Result<()> {
        if self.lines > 0 {
            write!(out, "\x1b[{}A", self.lines)?;
        }
        let lines = picture.lines();
        for line in &lines {
            writeln!(out, "\x1b[2K{}", cut(line))?;
        }
        // A picture that became shorter leaves nothing below it.
        write!(out, "\x1b[J")?;
        self.lines = lines.len();
        out.flush()
    }
}

impl Picture {
    fn lines(&self) -> Vec<String> {
        let moment = &self.moment;
        let of = self.events.map(|events| format!(" of {}", grouped(events))).unwrap_or_default();
        let mut lines = vec![
            format!("thalweg demo  {:.1} s", self.elapsed.as_secs_f64()),
            String::new(),
            format!(
                "raw log   {}{of} records, {}/s, lag {}",
                grouped(moment.raw),
                grouped(self.records_per_second),
                grouped(moment.lag)
            ),
            format!(
                "metrics   {} rows written in {} commits",
                grouped(moment.rows_written),
                grouped(moment.commits)
            ),
            format!(
                "set aside {} duplicates, {} late; {} refused",
                grouped(moment.duplicates),
                grouped(moment.late),
                grouped(moment.refused)
            ),
            format!(
                "lake      {} rows in {} files, {}",
                grouped(moment.lake_rows),
                grouped(moment.lake_files),
                bytes(moment.lake_bytes)
            ),
        ];
        section(&mut lines, "top vendors by revenue today", self.vendors.iter().map(Vendor::line));
        section(
            &mut lines,
            "newest files",
            self.files
                .iter()
                .map(|file| format!("  {:>9}  {}", bytes(file.bytes), tail(&file.path, WIDTH - 13))),
        );
        lines
    }
}

fn section(lines: &mut Vec<String>, title: &str, items: impl Iterator<Item = String>) {
    let items: Vec<_> = items.collect();
    if !items.is_empty() {
        lines.push(String::new());
        lines.push(title.into());
        lines.extend(items);
    }
}

/// `1.5 MiB`
pub(super) fn bytes(count: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count as f64 / *size as f64),
        None => format!("{count} B"),
    }
}

fn cut(line: &str) -> String {
    line.chars().take(WIDTH).collect()
}

/// The end of a path says which file it is.
fn tail(path: &str, width: usize) -> String {
    let count = path.chars().count();
    if count <= width {
        path.into()
    } else {
        format!("…{}", path.chars().skip(count - width + 1).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_drawn_over_the_one_before_and_never_wraps() {
        let mut screen = Screen::default();
        let file = File { path: "x/".repeat(100), bytes: 3 << 20 };
        let mut picture = Picture { files: vec![file], events: Some(2_000), ..Picture::default() };
        let mut out = Vec::new();

        screen.draw(&mut out, &picture).expect("memory takes it");
        let first = String::from_utf8(std::mem::take(&mut out)).expect("is text");
        picture.files.clear();
        screen.draw(&mut out, &picture).expect("memory takes it");
        let second = String::from_utf8(out).expect("is text");

        assert!(first.contains("0 of 2,000 records") && first.contains("3.0 MiB"));
        assert!(first.lines().all(|line| line.chars().count() <= WIDTH + "\x1b[2K".len()));
        assert!(second.starts_with(&format!("\x1b[{}A", first.lines().count() - 1)), "{second:?}");
    }

    #[test]
    fn sizes_are_rounded_for_people() {
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
    }
}
