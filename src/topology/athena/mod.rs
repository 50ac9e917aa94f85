//! The lake for Athena: tables whose partitions are computed, and views over them.
//!
//! In: a topology, and a [`Glue`]: where the files lie, in which database the tables stand, which years they
//! show. Out: the same tables and views as SQL for Athena ([`athena_ddl`]) and as Terraform for the catalog that
//! Athena reads ([`terraform()`]). Promises: no file has to be registered, now or later; a tenant's rows are read
//! by nobody who does not name the tenant; times and ids are what the other readers of the lake see. Never:
//! anything that changes a file.

mod glue;
mod sql;
mod tables;
mod terraform;
mod types;
mod views;

pub use glue::Glue;
pub use sql::athena_ddl;
pub use terraform::terraform;
