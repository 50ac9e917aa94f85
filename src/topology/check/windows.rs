//! `windows` and `keep`.

use super::super::checked::{Micros, Window, WindowKind, format_duration};
use crate::yaml::{Kind, Name, Node, Problems, parse_duration, read, shorten};

const MINUTE: Micros = 60_000_000;
const HOUR: Micros = 60 * MINUTE;
const DAY: Micros = 24 * HOUR;
const CALENDAR: [(&str, WindowKind); 5] = [
    ("hour", WindowKind::Hour),
    ("day", WindowKind::Day),
    ("week", WindowKind::Week),
    ("month", WindowKind::Month),
    ("ever", WindowKind::Ever),
];

/// `keep` is how long a row stays after its window ends; without one, as long as the window may change.
pub(crate) fn windows(
    node: &Node,
    keep: Option<&Node>,
    lateness: Micros,
    problems: &mut Problems,
) -> Option<Vec<Window>> {
    let what = "a list of `hour`, `day`, `week`, `month`, `ever` and `rolling <duration>`";
    let names = read::names(node, what, problems)?;
    if names.is_empty() {
        return problems.none(node.place, format!("an empty list should be {what}"));
    }
    let mut windows: Vec<Window> = Vec::new();
    for name in names {
        let Some(kind) = kind(name, problems) else { continue };
        if windows.iter().any(|window| window.kind == kind) {
            problems.add(name.place, format!("`{}` is the same window as one before it", name.text));
        }
        let keep = if kind.is_rolling() { 0 } else { lateness };
        windows.push(Window { kind, keep });
    }
    if let Some(keep) = keep {
        set_keep(keep, &mut windows, lateness, problems);
    }
    Some(windows)
}

fn kind(name: Name<'_>, problems: &mut Problems) -> Option<WindowKind> {
    if let Some((_, kind)) = CALENDAR.iter().find(|(calendar, _)| *calendar == name.text) {
        return Some(*kind);
    }
    let Some(length) = name.text.strip_prefix("rolling ") else {
        let near = problems.did_you_mean(name.text, CALENDAR.map(|(calendar, _)| calendar));
        let message = format!(
            "`{}` is no window{near}; known are `hour`, `day`, `week`, `month`, `ever` and `rolling <duration>`",
            shorten(name.text)
        );
        return problems.none(name.place, message);
    };
    let Some(length) = parse_duration(length).filter(|length| (MINUTE..=30 * DAY).contains(length)) else {
        let message = format!("`{}` should be `rolling` and a duration from 1m to 30d", shorten(name.text));
        return problems.none(name.place, message);
    };
    let pane = pane(length);
    if length % pane != 0 {
        let message = format!(
            "`{}` should be a multiple of its pane, {}: such as `rolling {}`",
            name.text,
            format_duration(pane),
            format_duration((length + pane - 1) / pane * pane),
        );
        return problems.none(name.place, message);
    }
    Some(WindowKind::Rolling { length, pane })
}

/// What a rolling window is summed from: fine enough to move smoothly, few enough to keep.
fn pane(length: Micros) -> Micros {
    match length {
        length if length <= 5 * MINUTE => MINUTE / 6,
        length if length <= HOUR => MINUTE,
        length if length <= DAY => HOUR,
        _ => DAY,
    }
}

fn set_keep(node: &Node, windows: &mut [Window], lateness: Micros, problems: &mut Problems) {
    let Kind::Map(members) = &node.kind else {
        if let Some(keep) = keep(node, lateness, problems) {
            windows
                .iter_mut()
                .filter(|window| !window.kind.is_rolling())
                .for_each(|window| window.keep = keep);
        }
        return;
    };
    for member in members {
        let found = CALENDAR.iter().find(|(calendar, _)| *calendar == member.key);
        let window = found.and_then(|(_, kind)| windows.iter_mut().find(|window| window.kind == *kind));
        match window {
            Some(window) => {
                if let Some(keep) = keep(&member.value, lateness, problems) {
                    window.keep = keep;
                }
            }
            None => problems.add(member.place, no_window(&member.key, windows)),
        }
    }
}

fn no_window(key: &str, windows: &[Window]) -> String {
    if key.starts_with("rolling") {
        return "a rolling window never ends, so its row is not kept for a time: leave it out".into();
    }
    let names: Vec<String> =
        windows.iter().filter(|window| !window.kind.is_rolling()).map(|window| window.kind.name()).collect();
    format!("`{}` is no calendar window of this aggregate; there are {}", shorten(key), read::listed(&names))
}

fn keep(node: &Node, lateness: Micros, problems: &mut Problems) -> Option<Micros> {
    let keep = read::duration(node, problems)?;
    if keep < lateness {
        let message = format!(
            "`keep` is {}, but a window still changes for `lateness` ({}): keep at least that long",
            format_duration(keep),
            format_duration(lateness)
        );
        return problems.none(node.place, message);
    }
    Some(keep)
}
