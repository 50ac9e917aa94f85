//! Real data: every flight out of New York in 2013, in the order of the package's own file.

use crate::program::{River, text};
use crate::python::Python;

#[test]
fn every_flight_of_2013_is_counted_once_and_none_is_late() {
    let Some(python) = Python::or_left_out() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let river = River::new("flights", &folder.path().join("river"));
    let input = folder.path().join("flights.ndjson");
    python.agrees("flights.py", &["events", &text(&input)]);

    river.run(&input);

    river.verify();
    let said = [river.metrics(&[]), river.metrics(&["--set-aside"]), river.dead_letters()];
    python.agrees("flights.py", &["compare", &said[0], &said[1], &said[2]]);
}
