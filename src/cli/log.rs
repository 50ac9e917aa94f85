//! The log of a process that runs by a configuration: one line for each thing that happened, on standard error.
//!
//! In: what `tracing` is told by every room, and what [`say`](super::say) says. Out: a JSON object a line, or text.
//! Promises: no line holds one of the secrets that the configuration gave; nothing but our own rooms is heard, because
//! what libraries tell for their authors may hold anything. Without it nobody hears `tracing`, and verbs speak plain text.

use super::is_logged;
use crate::config::{Log, LogFormat, LogLevel};
use std::io::{self, Write};
use std::panic;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, registry};

/// A shorter one cannot be told from other text.
const SECRET_BYTES_MIN: usize = 4;
const OURS: &str = "thalweg";

/// From now on everything is told here. Panics as well.
pub(super) fn install(log: &Log, secrets: impl IntoIterator<Item = String>) {
    let masked = Masked::new(secrets);
    let ours = Targets::new().with_target(OURS, level(log.level));
    // Only a test that runs two of us in one process could be second.
    let _ = registry().with(lines(log.format, masked).with_filter(ours)).try_init();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let at = info.location().map(ToString::to_string);
        let text = info.payload_as_str().unwrap_or_default();
        match is_logged() {
            true => tracing::error!(at, error = text, "panicked"),
            false => before(info),
        }
    }));
}

fn lines<W>(format: LogFormat, to: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(to).with_target(false).with_ansi(false);
    match format {
        LogFormat::Json => {
            let json = lines.json().flatten_event(true);
            json.with_current_span(false).with_span_list(false).boxed()
        }
        LogFormat::Text => lines.boxed(),
    }
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Standard error without secrets. Nobody should ever tell one; this is for the day on which somebody does.
#[derive(Debug, Clone)]
struct Masked {
    /// As they are, and as JSON writes them.
    secrets: Vec<String>,
}

impl Masked {
    fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut all = Vec::new();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN) {
            let quoted = serde_json::Value::from(secret.as_str()).to_string();
            let escaped = quoted[1..quoted.len() - 1].to_owned();
            if escaped != secret {
                all.push(escaped);
            }
            all.push(secret);
        }
        // One may be a part of another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Masked { secrets: all }
    }

    fn mask(&self, line: &str) -> String {
        self.secrets.iter().fold(line.to_owned(), |line, secret| line.replace(secret, "***"))
    }
}

impl<'a> MakeWriter<'a> for Masked {
    type Writer = &'a Masked;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// The library hands over one whole line at a time.
impl Write for &Masked {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = self.mask(&String::from_utf8_lossy(line));
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::subscriber::with_default;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for &Kept {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = &'a Kept;

        fn make_writer(&'a self) -> Self::Writer {
            self
        }
    }

    fn told(format: LogFormat, at: LogLevel, tell: impl FnOnce()) -> String {
        let kept = Kept::default();
        let ours = Targets::new().with_target(OURS, level(at));
        with_default(registry().with(lines(format, kept.clone()).with_filter(ours)), tell);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_one_object_with_time_level_message_and_fields() {
        let line = told(LogFormat::Json, LogLevel::Info, || {
            tracing::warn!(role = "lake", partition = 3_u32, error = %"a\n\"b\"", "call failed");
        });

        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        let time: jiff::Timestamp = object["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(object["timestamp"].as_str().unwrap().ends_with('Z') && time > jiff::Timestamp::UNIX_EPOCH);
        let expected =
            [("level", "WARN"), ("message", "call failed"), ("role", "lake"), ("error", "a\n\"b\"")];
        for (name, value) in expected {
            assert_eq!(object[name], value, "{line}");
        }
        assert_eq!(object["partition"], 3);
    }

    #[test]
    fn what_is_below_the_level_or_not_ours_is_not_heard() {
        let tell = || {
            tracing::debug!("too fine");
            tracing::error!(target: "hyper::proto", "authorization: hunter2");
            tracing::info!(offset = 7_u64, "heard");
        };

        let text = told(LogFormat::Text, LogLevel::Info, tell);

        assert!(text.contains("INFO heard offset=7") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn a_secret_is_masked_however_it_is_written() {
        let masked = Masked::new(["hunter2", "hunter2-and-more", "a\"quote\\", "abc"].map(String::from));

        let line = r#"{"error":"hunter2-and-more, hunter2 and a\"quote\\","raw":a"quote\,abc}"#;

        assert_eq!(masked.mask(line), r#"{"error":"***, *** and ***","raw":***,abc}"#);
    }
}
