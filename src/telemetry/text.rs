//! What Prometheus reads: the text exposition format, version 0.0.4.

use super::{ALL, Histogram, Kind, Metric, VERIFY};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// A number as somebody counted it: whole ones lose nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Whole(u64),
    Real(f64),
}

/// All that one look at a process found.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Lines of samples, by the name of their metric.
    samples: BTreeMap<&'static str, String>,
}

impl Exposition {
    /// Says a counter or a gauge. `labels` are the values of the metric's labels, in its order.
    pub fn set(&mut self, metric: &Metric, labels: &[&str], value: impl Into<Value>) {
        debug_assert!(metric.kind != Kind::Histogram, "{} is said by `histogram`", metric.name);
        let labels = Labels(metric, labels, None);
        let lines = self.samples.entry(metric.name).or_default();
        let _ = writeln!(lines, "{}{labels} {}", metric.name, value.into());
    }

    pub fn histogram(&mut self, metric: &Metric, labels: &[&str], histogram: &Histogram) {
        debug_assert!(metric.kind == Kind::Histogram, "{} is said by `set`", metric.name);
        let (name, lines) = (metric.name, self.samples.entry(metric.name).or_default());
        let mut count = 0;
        for (bound, below) in histogram.cumulative() {
            let bound = bound.map_or("+Inf".into(), |bound| bound.to_string());
            let labels = Labels(metric, labels, Some(&bound));
            // Writing into a text cannot fail.
            let _ = writeln!(lines, "{name}_bucket{labels} {below}");
            count = below;
        }
        let labels = Labels(metric, labels, None);
        let _ = writeln!(lines, "{name}_sum{labels} {}\n{name}_count{labels} {count}", histogram.sum());
    }

    /// In the order of the list; a metric of which nothing was said is left out.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for metric in ALL.iter().chain(VERIFY) {
            let Some(lines) = self.samples.get(metric.name) else { continue };
            let (name, kind) = (metric.name, metric.kind.as_str());
            let meaning = metric.meaning.replace('\\', r"\\").replace('\n', r"\n");
            let _ = write!(text, "# HELP {name} {meaning}\n# TYPE {name} {kind}\n{lines}");
        }
        text
    }
}

/// `{role="route",partition="3"}`, or nothing.
struct Labels<'a>(&'a Metric, &'a [&'a str], Option<&'a str>);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Labels(metric, values, bound) = self;
        debug_assert_eq!(metric.labels.len(), values.len(), "labels of {}", metric.name);
        let own = metric.labels.iter().copied().zip(values.iter().copied());
        let mut before = '{';
        for (name, value) in own.chain(bound.map(|bound| ("le", bound))) {
            let value = value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            write!(f, "{before}{name}=\"{value}\"")?;
            before = ',';
        }
        if before == ',' { f.write_str("}") } else { Ok(()) }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Whole(number) => number.fmt(f),
            Value::Real(number) => number.fmt(f),
        }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Whole(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Real(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Value::Whole(number as u64)
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Value::Whole(is_so.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn a_metric_is_told_once_with_all_of_its_samples() {
        let mut told = Exposition::default();
        told.set(&ROLE_HALTED, &["route"], 0_u64);
        told.set(&START_TIME, &[], 1.25);
        told.set(&ROLE_HALTED, &["lake"], u64::MAX);

        let help = |metric: &Metric| format!("# HELP {} {}\n", metric.name, metric.meaning);
        let expected = format!(
            "{}# TYPE thalweg_process_start_time_seconds gauge\nthalweg_process_start_time_seconds 1.25\n{}\
             # TYPE thalweg_role_halted_partitions gauge\nthalweg_role_halted_partitions{{role=\"route\"}} 0\n\
             thalweg_role_halted_partitions{{role=\"lake\"}} 18446744073709551615\n",
            help(&START_TIME),
            help(&ROLE_HALTED)
        );
        assert_eq!(told.text(), expected);
    }

    #[test]
    fn a_histogram_ends_with_all_its_sum_and_its_count() {
        let (mut told, mut histogram) = (Exposition::default(), Histogram::new(&[0.5, 10.0]));
        histogram.observe(0.25);
        histogram.observe(60.0);

        told.histogram(&STORE_CALL_DURATION, &["read"], &histogram);

        let text = told.text();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                r#"thalweg_store_call_duration_seconds_bucket{call="read",le="0.5"} 1"#,
                r#"thalweg_store_call_duration_seconds_bucket{call="read",le="10"} 1"#,
                r#"thalweg_store_call_duration_seconds_bucket{call="read",le="+Inf"} 2"#,
                r#"thalweg_store_call_duration_seconds_sum{call="read"} 60.25"#,
                r#"thalweg_store_call_duration_seconds_count{call="read"} 2"#,
            ]
        );
    }

    #[test]
    fn no_label_breaks_out_of_its_quotes() {
        let mut told = Exposition::default();

        told.set(&BUILD_INFO, &["a\"b\\c\nd"], true);

        assert!(
            told.text().ends_with("thalweg_build_info{version=\"a\\\"b\\\\c\\nd\"} 1\n"),
            "{}",
            told.text()
        );
    }
}
