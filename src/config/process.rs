//! What a process is called, how it paces itself, and how it can be watched.

use super::checked::{Admin, Log, LogFormat, LogLevel, Ordinal, Pace};
use super::limits::ORDINAL_MAX;
use super::section::Section;
use crate::yaml::{DEPLOYMENT, Problems};
use core::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub(super) fn deployment(root: &Section<'_>, problems: &mut Problems) -> Option<String> {
    let name = root.text("deployment", problems)?;
    if !DEPLOYMENT.fits(name) {
        return root.should("deployment", &format!("a name of {}", DEPLOYMENT.words()), problems);
    }
    Some(name.into())
}

pub(super) fn ordinal(root: &Section<'_>, problems: &mut Problems) -> Option<Ordinal> {
    let worker = root.section("worker", problems);
    if !worker.has("ordinal") || worker.is("ordinal", "auto") {
        return Some(Ordinal::Auto);
    }
    let what = format!("`auto`, or a number from 0 to {ORDINAL_MAX}");
    worker.integer("ordinal", 0..=ORDINAL_MAX, &what, problems).map(Ordinal::Given)
}

pub(super) fn grace(root: &Section<'_>, problems: &mut Problems) -> Option<Duration> {
    root.section("worker", problems).duration("grace", problems)
}

pub(super) fn pace(root: &Section<'_>, problems: &mut Problems) -> Option<Pace> {
    let pace = root.section("pace", problems);
    let backoff = pace.section("backoff", problems);
    let (first, longest) = (backoff.duration("first", problems), backoff.duration("longest", problems));
    if first.zip(longest).is_some_and(|(first, longest)| first > longest) {
        let given = backoff.first(&["first", "longest"]).unwrap_or("first");
        let (first, longest) = (backoff.name("first"), backoff.name("longest"));
        problems.add(backoff.place(given), format!("{first} should be at most {longest}"));
    }
    let durations = ["commit_every", "route_commit_every", "link_every", "poll_wait"];
    let [commit_every, route_commit_every, link_every, poll_wait] =
        durations.map(|key| pace.duration(key, problems));
    let sizes = ["poll", "commit", "block", "in_flight"];
    let [poll, commit, block, in_flight] = sizes.map(|key| pace.size(key, problems));
    Some(Pace {
        commit_every: commit_every?,
        route_commit_every: route_commit_every?,
        link_every: link_every?,
        poll_wait: poll_wait?,
        poll_bytes: poll?,
        commit_bytes: commit?,
        block_bytes: block?,
        in_flight_bytes: in_flight?,
        backoff: (first?, longest?),
    })
}

pub(super) fn admin(root: &Section<'_>, problems: &mut Problems) -> Option<Admin> {
    let admin = root.section("admin", problems);
    if !admin.has("address") {
        // Nobody else's machine can look, unless somebody says so.
        return Some(Admin { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)) });
    }
    let address = admin.text("address", problems)?.parse().ok();
    let what = "an address and a port, such as `127.0.0.1:8080`, `0.0.0.0:8080` or `[::]:8080`";
    let address = address.or_else(|| admin.should("address", what, problems))?;
    Some(Admin { address })
}

pub(super) fn log(root: &Section<'_>, problems: &mut Problems) -> Option<Log> {
    let log = root.section("log", problems);
    let format = match log.has("format") {
        true => log.word("format", &[("json", LogFormat::Json), ("text", LogFormat::Text)], problems),
        false => Some(LogFormat::Json),
    };
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let level = match log.has("level") {
        true => log.word("level", &levels, problems),
        false => Some(LogLevel::Info),
    };
    Some(Log { format: format?, level: level? })
}
