//! `test TOPOLOGY`: runs the `cases.yaml` beside a topology, in memory.

use super::args::{Output, Test};
use super::cases::{self, Case};
use super::exit::Exit;
use super::files;
use super::memory;
use serde_json::json;
use std::io::Write;

pub(super) fn test(arguments: &Test, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let path = files::topology_file(&arguments.topology).with_file_name("cases.yaml");
    let name = path.display().to_string();
    let cases = cases::parse(&name, &files::read_text(&path)?)?;
    let mut failed = 0;
    for case in &cases {
        let left = memory::run(&topology, case)?;
        let differences = cases::differences(case, &left);
        failed += usize::from(!differences.is_empty());
        match arguments.output {
            Output::Text => print(out, &name, case, &differences)?,
            Output::Json => {
                let holds = differences.is_empty();
                let line = json!({"case": case.sentence, "line": case.line, "holds": holds, "differences": differences});
                writeln!(out, "{line}")?;
            }
        }
    }
    match (cases.len(), failed) {
        (0, _) => Err(Exit::invalid(format_args!("{name} holds no case"))),
        (_, 0) => Ok(()),
        (all, failed) => Err(Exit::cases(format_args!("{failed} of {all} cases do not hold"))),
    }
}

fn print(out: &mut dyn Write, name: &str, case: &Case, differences: &[String]) -> Result<(), Exit> {
    let verdict = if differences.is_empty() { "holds" } else { "FAILS" };
    writeln!(out, "{verdict}  {name}:{}  {}", case.line, case.sentence)?;
    for difference in differences {
        writeln!(out, "       {difference}")?;
    }
    Ok(())
}
