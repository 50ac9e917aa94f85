//! `ddl TOPOLOGY --engine duckdb|athena|terraform`: the tables and views that read the lake.

use super::args::{Ddl, Engine, LakePlace};
use super::exit::Exit;
use super::files;
use super::lake_files;
use crate::topology::{self, Glue, Topology};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) fn ddl(arguments: &Ddl, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let text = match arguments.engine {
        Engine::Duckdb => duckdb(arguments, &topology)?,
        Engine::Athena => topology::athena_ddl(&topology, &glue(arguments, &topology)?),
        Engine::Terraform => topology::terraform(&topology, &glue(arguments, &topology)?),
    };
    Ok(out.write_all(text.as_bytes())?)
}

fn duckdb(arguments: &Ddl, topology: &Topology) -> Result<String, Exit> {
    let is_for_glue = arguments.database.is_some() || arguments.from.is_some() || arguments.to.is_some();
    if is_for_glue {
        return Err(Exit::usage("--database, --from and --to are for --engine athena and terraform"));
    }
    let Some(dir) = &arguments.place.embedded else {
        let location = arguments.place.location()?.unwrap_or_else(|| "lake".into());
        return Ok(topology::duckdb_ddl(topology, &location, true, true));
    };
    let lake = absolute(&dir.join("lake"));
    // A view over no file is an error in DuckDB.
    let has = |table: &str| lake_files::is_any(&lake.join(table));
    let (events, refused) = (&topology.lake.table, topology::refused_table(&topology.lake));
    Ok(topology::duckdb_ddl(topology, &lake.display().to_string(), has(events), has(&refused)))
}

fn glue(arguments: &Ddl, topology: &Topology) -> Result<Glue, Exit> {
    if arguments.place.embedded.is_some() {
        return Err(Exit::usage("Athena reads no directory: say --location s3://bucket/prefix"));
    }
    let Some(location) = arguments.place.location()? else {
        return Err(Exit::usage("where is the lake? Say --location s3://bucket/prefix"));
    };
    let years = (arguments.from, arguments.to);
    Glue::new(topology, &location, arguments.database.as_deref(), years).map_err(Exit::usage)
}

impl LakePlace {
    /// As somebody gave it, or as a configuration says it.
    fn location(&self) -> Result<Option<String>, Exit> {
        #[cfg(all(feature = "kafka", feature = "s3"))]
        if let Some(config) = &self.config {
            return super::remote::lake_location(config).map(Some);
        }
        Ok(self.location.clone())
    }
}

/// So that the SQL can be pasted anywhere.
pub(super) fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path)
        .unwrap_or_else(|_| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
}
