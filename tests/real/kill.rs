//! SIGKILL at random moments: nothing is lost, nothing doubles, and a reader of the lake never notices.

use crate::program::{River, command, fine, text};
use crate::python::Python;
use crate::totals::totals_agree;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, str};

const KILLS: u64 = 50;
const EVENTS: &str = "150000";
/// A run lives this long at most before it is killed; long enough for it to commit now and then.
const LIFE_MS_MAX: u64 = 1_800;

/// SplitMix64: our own, so that no update can change what a seed means.
struct Seed(u64);

impl Seed {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[test]
fn fifty_kills_over_one_input_lose_nothing_and_no_reader_is_misled() {
    let Some(python) = Python::or_left_out() else { return };
    let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    println!("replay the moments of the kills with SEED={seed}");
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

    let (killed, whole) = kill_over_and_over(&river, &events, &input, Seed(seed));
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
    let (mut killed, mut whole) = (0, 0);
    while killed < KILLS {
        if let Some(slice) = slices.next() {
            let mut file =
                OpenOptions::new().create(true).append(true).open(input).expect("it can be written");
            file.write_all(slice.concat().as_bytes()).expect("it can be written");
        }
        assert!(whole < 10 * KILLS, "only {killed} of {KILLS} runs lived long enough to be killed");
        match is_killed(start(river, input), seed.below(LIFE_MS_MAX)) {
            true => killed += 1,
            false => whole += 1,
        }
    }
    slices.for_each(|slice| {
        let mut file = OpenOptions::new().append(true).open(input).expect("it is there");
        file.write_all(slice.concat().as_bytes()).expect("it can be written");
    });
    (killed, whole)
}

fn start(river: &River, input: &Path) -> Child {
    let (dir, input) = (text(&river.dir), text(input));
    command(&["run", &river.topology, "--embedded", &dir, "--input", &input, "--until-idle"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// False if it had ended by itself; then it must have ended well.
fn is_killed(mut run: Child, life_ms: u64) -> bool {
    sleep(Duration::from_millis(life_ms));
    run.kill().expect("a child of ours can be killed");
    let ended = run.wait_with_output().expect("it ends");
    let killed = ended.status.signal() == Some(9);
    let words = str::from_utf8(&ended.stderr).unwrap_or("no UTF-8");
    assert!(killed || ended.status.success(), "a run after a kill: {}\n{words}", ended.status);
    killed
}
