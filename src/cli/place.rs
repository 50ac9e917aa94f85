//! Where a verb finds log and lake: in a directory, or on brokers and in a store.

use super::args::Place;
use super::exit::Exit;
use super::river;
use crate::objects::LocalObjects;
use crate::port::{Objects, Reader};
use crate::topology::Topology;
use std::path::Path;

/// For verbs that change nothing.
pub(super) struct Reading {
    pub(super) reader: Box<dyn Reader>,
    pub(super) objects: Box<dyn Objects>,
}

impl Place {
    /// Whoever has asked for a configuration already.
    pub(super) fn directory(&self) -> &Path {
        self.embedded.as_deref().expect("the arguments ask for a directory or a configuration")
    }

    /// Another process may be writing.
    #[cfg_attr(
        not(all(feature = "kafka", feature = "s3")),
        expect(unused_variables, reason = "a directory has one deployment, whatever it is called")
    )]
    pub(super) fn open_to_read(&self, topology: &Topology) -> Result<Reading, Exit> {
        #[cfg(all(feature = "kafka", feature = "s3"))]
        if let Some(config) = &self.config {
            return super::remote::Remote::open(topology.clone(), config)?.reading();
        }
        let dir = self.directory();
        let log = river::open_to_read(dir)?;
        let objects = LocalObjects::open_read_only(&dir.join("lake"));
        Ok(Reading { reader: log.reader(), objects: Box::new(objects) })
    }
}
