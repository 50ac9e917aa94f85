//! SIGKILL at random moments: nothing is lost, nothing doubles, and a reader of the lake never notices.

use crate::program::{River, command, fine, text};
use crate::python::Python;
use crate::seed::Seed;
use crate::totals::totals_agree;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::str;
use std::thread::sleep;
use std::time::{Duration, Instant};

const KILLS: u64 = 50;
const EVENTS: &str = "150000";
/// How long a whole run takes, before the first one has ended by itself.
const WHOLE_RUN: Duration = Duration::from_secs(3);

#[test]
fn fifty_kills_over_one_input_lose_nothing_and_no_reader_is_misled() {
    let Some(python) = Python::or_left_out() else { return };
    let seed = Seed::of_this_run();
    println!("the moments of the kills again with SEED={}", seed.number());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let river = River::new("marketplace", &folder.path().join("river"));
    let (input, stop) = (folder.path().join("events.ndjson"), folder.path().join("stop"));
    let events = fine(&["generate", "--events", EVENTS, "--seed", "11"]);
    let globs = [river.glob("marketplace_events"), river.glob("marketplace_events_refused")];
    let reader = python
        .oracle("poll.py", &[&globs[0], &globs[1], &text(&stop), "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the reader starts");

    let (killed, whole) = kill_over_and_over(&river, &events, &input, seed);
    let files = std::fs::read_dir(river.dir.join("lake/marketplace_events")).map_or(0, Iterator::count);
    assert!(files > 0, "no run got as far as the lake before it was killed: the kills hit nothing");
    river.run(&input);

    fs::write(&stop, "").expect("a temporary folder can be written");
    let verdict = reader.wait_with_output().expect("the reader ends");
    let said = String::from_utf8_lossy(&verdict.stdout).into_owned();
    println!("{killed} kills, {whole} runs that ended before; reader: {said}");
    assert!(verdict.status.success(), "{said}{}", String::from_utf8_lossy(&verdict.stderr));
    assert_eq!(killed, KILLS);
    river.verify();
    totals_agree(&python, "marketplace", &river);
}

/// The input grows before each start, so that there is always something to interrupt.
fn kill_over_and_over(river: &River, events: &str, input: &Path, mut seed: Seed) -> (u64, u64) {
    let lines: Vec<&str> = events.split_inclusive('\n').collect();
    let slices: Vec<&[&str]> = lines.chunks(lines.len().div_ceil(KILLS as usize)).collect();
    let mut slices = slices.into_iter();
    let (mut killed, mut whole, mut typical) = (0, 0, WHOLE_RUN);
    while killed < KILLS {
        if let Some(slice) = slices.next() {
            append(input, slice);
        }
        assert!(whole < 10 * KILLS, "only {killed} of {KILLS} runs lived long enough to be killed");
        // Up to half as long again as a run takes on this machine: so the kills fall evenly over all of it.
        let life = Duration::from_millis(seed.below(typical.as_millis() as u64 * 3 / 2));
        match took_by_itself(start(river, input), life) {
            None => killed += 1,
            Some(took) => (whole, typical) = (whole + 1, (typical + took) / 2),
        }
    }
    slices.for_each(|slice| append(input, slice));
    (killed, whole)
}

fn append(input: &Path, lines: &[&str]) {
    let file = OpenOptions::new().create(true).append(true).open(input);
    file.and_then(|mut file| file.write_all(lines.concat().as_bytes()))
        .expect("a temporary file can be written");
}

fn start(river: &River, input: &Path) -> Child {
    let (dir, input) = (text(&river.dir), text(input));
    command(&["run", &river.topology, "--embedded", &dir, "--input", &input, "--until-idle"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// `None` if it had to be killed; else how long it took, and then it must have ended well.
fn took_by_itself(mut run: Child, life: Duration) -> Option<Duration> {
    let began = Instant::now();
    while began.elapsed() < life && run.try_wait().expect("a child of ours can be asked").is_none() {
        sleep(Duration::from_millis(5));
    }
    let took = began.elapsed();
    run.kill().expect("a child of ours can be killed");
    let ended = run.wait_with_output().expect("it ends");
    let words = str::from_utf8(&ended.stderr).unwrap_or("no UTF-8");
    let is_killed = ended.status.signal() == Some(9);
    assert!(is_killed || ended.status.success(), "a run after a kill: {}\n{words}", ended.status);
    (!is_killed).then_some(took)
}
