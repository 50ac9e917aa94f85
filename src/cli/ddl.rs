//! `ddl TOPOLOGY --engine duckdb`: the SQL that reads the lake.

use super::args::{Ddl, Engine};
use super::exit::Exit;
use super::files;
use super::lake_files;
use crate::topology;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) fn ddl(arguments: &Ddl, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    match arguments.engine {
        Engine::Duckdb => {}
        Engine::Athena | Engine::Terraform => {
            return Err(Exit::usage("only --engine duckdb is there yet"));
        }
    }
    let sql = match &arguments.embedded {
        None => topology::duckdb_ddl(&topology, "lake", true, true),
        Some(dir) => {
            let lake = absolute(&dir.join("lake"));
            // A view over no file is an error in DuckDB.
            let has = |table: &str| lake_files::is_any(&lake.join(table));
            let (events, refused) = (&topology.lake.table, topology::refused_table(&topology.lake));
            topology::duckdb_ddl(&topology, &lake.display().to_string(), has(events), has(&refused))
        }
    };
    Ok(out.write_all(sql.as_bytes())?)
}

/// So that the SQL can be pasted anywhere.
pub(super) fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path)
        .unwrap_or_else(|_| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
}
