//! `generate`: the demo's events as NDJSON. Same flags, same bytes.

use super::args::Generate;
use super::exit::Exit;
use super::when;
use crate::generate::{Generator, Settings};
use crate::topology::Micros;
use std::io::{self, BufRead, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

/// How often a paced stream is written.
const TICK: Duration = Duration::from_millis(50);

pub(super) fn generate(arguments: &Generate, out: &mut dyn Write) -> Result<(), Exit> {
    let span = when::duration(&arguments.span)?;
    let settings = Settings {
        tenants: arguments.tenants,
        from: when::instant(&arguments.from)?.0,
        span: Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX),
        repeats_per_million: per_million(arguments.repeats),
        late_per_million: per_million(arguments.late),
        refused: arguments
            .refused
            .unwrap_or(Settings::new(0, arguments.events).refused)
            .min(arguments.events),
        ..Settings::new(arguments.seed, arguments.events)
    };
    #[cfg(all(feature = "kafka", feature = "s3"))]
    if let Some(config) = &arguments.config {
        let (topology, lines) = (arguments.topology.as_deref(), Generator::new(settings));
        return super::generate_to::send(config, topology, lines, arguments.rate);
    }
    let mut lines = Lines::new(settings);
    match arguments.rate {
        None => {
            io::copy(&mut lines, out)?;
        }
        Some(rate) => paced(&mut lines, rate, out)?,
    }
    Ok(())
}

fn per_million(share: f64) -> u32 {
    (share * 1e6).round() as u32
}

/// At most `rate` lines in any second since the start.
fn paced(lines: &mut Lines, rate: u64, out: &mut dyn Write) -> Result<(), Exit> {
    let began = Instant::now();
    let mut written = 0u128;
    loop {
        let due = began.elapsed().as_micros() * u128::from(rate) / 1_000_000;
        while written <= due {
            let mut line = Vec::new();
            if !lines.generator.next_line(&mut line) {
                return Ok(());
            }
            out.write_all(&line)?;
            written += 1;
        }
        out.flush()?;
        thread::sleep(TICK);
    }
}

/// The generator's lines as something to read, made as they are read.
pub(super) struct Lines {
    generator: Generator,
    buffer: Vec<u8>,
    read: usize,
}

impl Lines {
    const BUFFER_BYTES: usize = 256 << 10;

    pub(super) fn new(settings: Settings) -> Self {
        Lines { generator: Generator::new(settings), buffer: Vec::new(), read: 0 }
    }
}

impl BufRead for Lines {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.buffer.len() {
            self.buffer.clear();
            self.read = 0;
            while self.buffer.len() < Self::BUFFER_BYTES && self.generator.next_line(&mut self.buffer) {}
        }
        Ok(&self.buffer[self.read..])
    }

    fn consume(&mut self, count: usize) {
        self.read = (self.read + count).min(self.buffer.len());
    }
}

impl Read for Lines {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_read_in_pieces_are_the_lines_that_are_written() {
        let settings = Settings::new(7, 2_000);
        let mut whole = Vec::new();
        Lines::new(settings.clone()).read_to_end(&mut whole).expect("memory takes it");

        let pieces: Vec<_> = Lines::new(settings).lines().map(|line| line.expect("is text")).collect();

        assert_eq!(pieces.len(), 2_000);
        assert_eq!(pieces.join("\n") + "\n", String::from_utf8(whole).expect("is text"));
    }
}
