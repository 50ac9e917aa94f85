//! Lines of a file or of standard input, on their way to the raw topic.
//!
//! Line *k* (empty ones do not count) goes to raw partition *k* mod 2. What was appended of a file, its
//! length and the digest of those bytes, is kept in the append's own transaction: a file that
//! begins with them (the run was killed, the file is the same, or it has grown) goes on behind them.

use super::{EmbeddedLog, RAW_PARTITIONS, at, error::Error, run::Runs, store, writer};
use crate::model::{Damaged, RECORD_BYTES_MAX, Reader, Topic, Writer};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use writer::{Changes, Job};
use xxhash_rust::xxh3::Xxh3;

/// Bytes of one append.
const APPEND_BYTES: usize = 8 << 20;
const BUFFER_BYTES: usize = 1 << 20;
/// Kept of a line that `decode` refuses for its length: just enough to be refused.
const LINE_BYTES_MAX: usize = RECORD_BYTES_MAX + 1;
/// Header of such a record: how long the line was.
const TRUNCATED: &[u8] = b"thalweg.truncated";

/// Where the lines come from.
pub enum Input<'a> {
    File(&'a Path),
    /// Standard input: cannot be read twice, so nothing of it is remembered.
    Stream(&'a mut dyn BufRead),
}

/// How far an input is appended; called when the bytes so far are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputProgress {
    /// Bytes of the input that stand in the log, those of earlier runs included.
    pub bytes: u64,
    /// Length of the input, where it has one.
    pub of: Option<u64>,
    /// Lines that this run appended.
    pub lines: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputReport {
    /// Lines and bytes that this run appended.
    pub lines: u64,
    pub bytes: u64,
    /// Bytes that an earlier run had appended.
    pub bytes_before: u64,
    /// Lines that were longer than an event may be.
    pub truncated: u64,
    /// Whether the input's end was reached.
    pub is_finished: bool,
}

impl EmbeddedLog {
    /// Appends an input's lines to the raw topic and returns when all are on disk, or when `progress`
    /// says to stop; the next run goes on there.
    ///
    /// `again` appends a file anew, even if it was appended before; if a run with `again` was cut
    /// short, the next one with it goes on behind that.
    pub fn append_input(
        &self,
        input: Input<'_>,
        again: bool,
        progress: &mut dyn FnMut(InputProgress) -> ControlFlow<()>,
    ) -> Result<InputReport, Error> {
        match input {
            Input::File(path) => self.append_file(path, again, progress),
            Input::Stream(stream) => {
                let name = "standard input".to_owned();
                Appending::new(self, name, None).run(stream, progress)
            }
        }
    }

    fn append_file(
        &self,
        path: &Path,
        again: bool,
        progress: &mut dyn FnMut(InputProgress) -> ControlFlow<()>,
    ) -> Result<InputReport, Error> {
        let name = path.display().to_string();
        let failed = |source| Error::Input { input: path.display().to_string(), source };
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);

        let rows = self.inner.store.inputs()?;
        let number = rows.iter().map(|&(number, _)| number + 1).max().unwrap_or(0);
        let decode = |(number, row): &(u64, Vec<u8>)| Ok((*number, Remembered::decode(row)?));
        let rows: Result<Vec<_>, Damaged> = rows.iter().map(decode).collect();
        let mut rows = rows.map_err(|error| store::damaged(&self.inner.store.path, error.to_string()))?;
        rows.retain(|(_, row)| row.bytes <= len && (!again || (row.is_again && !row.is_finished)));

        let found = longest(rows, &mut file).map_err(failed)?;
        let (number, row, hasher) = found.unwrap_or((number, Remembered::new(again), Xxh3::new()));
        file.seek(SeekFrom::Start(row.bytes)).map_err(failed)?;
        let mut appending = Appending::new(self, name, Some(number));
        appending.of = Some(len);
        appending.report.bytes_before = row.bytes;
        appending.hasher = hasher;
        appending.row = row;
        appending.run(&mut file, progress)
    }
}

/// What was appended of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Remembered {
    bytes: u64,
    digest: u128,
    lines: u64,
    /// The last line had its newline: what comes behind is a line of its own.
    is_line_ended: bool,
    is_finished: bool,
    is_again: bool,
}

impl Remembered {
    fn new(is_again: bool) -> Self {
        Remembered { bytes: 0, digest: 0, lines: 0, is_line_ended: true, is_finished: false, is_again }
    }

    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.varint(self.bytes);
        to.u128(self.digest);
        to.varint(self.lines);
        let bit = |is: bool, bit: u8| u8::from(is) << bit;
        to.u8(bit(self.is_line_ended, 0) | bit(self.is_finished, 1) | bit(self.is_again, 2));
        to.bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut from = Reader::new(bytes, "input row");
        let (bytes, digest, lines, bits) = (from.varint()?, from.u128()?, from.varint()?, from.u8()?);
        let bit = |bit: u8| bits & 1 << bit != 0;
        let (is_line_ended, is_finished, is_again) = (bit(0), bit(1), bit(2));
        Ok(Remembered { bytes, digest, lines, is_line_ended, is_finished, is_again })
    }
}

type Found = (u64, Remembered, Xxh3);

/// The longest remembered beginning that this file has. Reads the file as far as the longest one.
fn longest(mut rows: Vec<(u64, Remembered)>, file: &mut impl BufRead) -> io::Result<Option<Found>> {
    rows.sort_by_key(|(_, row)| row.bytes);
    let mut found = None;
    let mut hasher = Xxh3::new();
    let mut hashed = 0;
    for (number, row) in rows {
        while hashed < row.bytes {
            let buffer = file.fill_buf()?;
            if buffer.is_empty() {
                return Ok(found);
            }
            let len = usize::try_from(row.bytes - hashed).map_or(buffer.len(), |left| left.min(buffer.len()));
            hasher.update(&buffer[..len]);
            file.consume(len);
            hashed += len as u64;
        }
        if hasher.digest128() == row.digest {
            found = Some((number, row, hasher.clone()));
        }
    }
    Ok(found)
}

/// One input being appended: one append is built while the one before is on its way to the disk.
struct Appending<'a> {
    log: &'a EmbeddedLog,
    name: String,
    /// Where it is remembered; `None` for a stream.
    number: Option<u64>,
    row: Remembered,
    hasher: Xxh3,
    of: Option<u64>,
    report: InputReport,
    changes: Changes,
    pending: Option<(Receiver<Result<(), Error>>, InputProgress)>,
}

/// A line as it was read: its length without its end, and whether it had one.
struct Line {
    len: u64,
    is_ended: bool,
}

impl<'a> Appending<'a> {
    fn new(log: &'a EmbeddedLog, name: String, number: Option<u64>) -> Self {
        Appending {
            log,
            name,
            number,
            row: Remembered::new(false),
            hasher: Xxh3::new(),
            of: None,
            report: InputReport::default(),
            changes: Changes::default(),
            pending: None,
        }
    }

    fn run(
        mut self,
        from: &mut dyn BufRead,
        progress: &mut dyn FnMut(InputProgress) -> ControlFlow<()>,
    ) -> Result<InputReport, Error> {
        let mut line = Vec::new();
        let mut torn = (!self.row.is_line_ended).then_some(self.row.lines);
        let mut is_stopped = false;
        while !is_stopped {
            let read = self.read_line(from, &mut line);
            let read = read.map_err(|source| Error::Input { input: self.name.clone(), source })?;
            let Some(Line { len, is_ended }) = read else { break };
            self.row.is_line_ended = is_ended;
            if len > 0 {
                if let Some(line) = torn {
                    return Err(Error::LineGrew { input: self.name, line });
                }
                self.push(&line, len);
            }
            torn = None;
            if self.changes.appends.values().map(Runs::bytes).sum::<usize>() >= APPEND_BYTES {
                is_stopped = self.send(progress)?.is_break();
            }
        }
        let was_finished = self.row.is_finished;
        self.row.is_finished = !is_stopped;
        let has_news = !self.changes.appends.is_empty() || self.report.bytes > 0;
        if !is_stopped && (has_news || !was_finished) && self.row.bytes > 0 {
            let _ = self.send(progress)?;
        }
        let _ = self.wait(progress)?;
        self.report.is_finished = !is_stopped;
        Ok(self.report)
    }

    /// Reads a line without its end into `line`, at most [`LINE_BYTES_MAX`] of it.
    fn read_line(&mut self, from: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Option<Line>> {
        line.clear();
        let mut read = 0;
        loop {
            let buffer = match from.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let taken = end.map_or(buffer.len(), |end| end + 1);
            line.extend_from_slice(&part[..part.len().min(LINE_BYTES_MAX - line.len())]);
            read += part.len() as u64;
            self.hasher.update(&buffer[..taken]);
            from.consume(taken);
            self.row.bytes += taken as u64;
            self.report.bytes += taken as u64;
            if end.is_some() || taken == 0 {
                break self.line(read, end.is_some(), line);
            }
        }
    }

    fn line(&self, read: u64, is_ended: bool, line: &mut Vec<u8>) -> io::Result<Option<Line>> {
        if read == 0 && !is_ended {
            return Ok(None);
        }
        // Lines may end as on Windows.
        let has_return = read == line.len() as u64 && line.last() == Some(&b'\r');
        if has_return {
            line.pop();
        }
        Ok(Some(Line { len: read - u64::from(has_return), is_ended }))
    }

    fn push(&mut self, line: &[u8], len: u64) {
        let partition = (self.row.lines % u64::from(RAW_PARTITIONS)) as u32;
        let runs = self.changes.appends.entry(at(Topic::Raw, partition)).or_default();
        let text = len.to_string();
        let is_truncated = len > line.len() as u64;
        let header = is_truncated.then_some((TRUNCATED, text.as_bytes()));
        runs.push(None, None, Some(line), header.into_iter());
        self.row.lines += 1;
        self.report.lines += 1;
        self.report.truncated += u64::from(is_truncated);
    }

    fn send(
        &mut self,
        progress: &mut dyn FnMut(InputProgress) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let go_on = self.wait(progress)?;
        let changes = std::mem::take(&mut self.changes);
        self.row.digest = self.hasher.digest128();
        let row = self.number.map(|number| (number, self.row.encode()));
        let (sender, answer) = mpsc::channel();
        self.log.inner.shared.check()?;
        self.log.inner.submit(Job::Input { changes, row, answer: writer::reply(sender) });
        let sent = InputProgress { bytes: self.row.bytes, of: self.of, lines: self.report.lines };
        self.pending = Some((answer, sent));
        Ok(go_on)
    }

    fn wait(
        &mut self,
        progress: &mut dyn FnMut(InputProgress) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let Some((answer, sent)) = self.pending.take() else { return Ok(ControlFlow::Continue(())) };
        answer.recv().unwrap_or(Err(Error::Closed))?;
        Ok(progress(sent))
    }
}
