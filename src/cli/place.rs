//! Where a verb finds log and lake: in a directory, or on brokers and in a store.

use super::args::Place;
use super::exit::Exit;
use super::river::{self, River};
use crate::objects::LocalObjects;
use crate::port::{Objects, Reaction, Reader};
use crate::topology::Topology;
use crate::worker::{Context, Refused, Settings};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

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

    /// What the deployment of a topology is called here: a configuration may say otherwise than the topology.
    pub(super) fn deployment(&self, topology: &Topology) -> Result<String, Exit> {
        #[cfg(all(feature = "kafka", feature = "s3"))]
        if let Some(config) = &self.config {
            return Ok(super::remote::Remote::open(topology.clone(), config)?.deployment());
        }
        Ok(topology.deployment.clone())
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

    /// For verbs that stand in for a role, with nobody beside them.
    pub(super) fn open_alone(&self, topology: Topology) -> Result<Context, Exit> {
        #[cfg(all(feature = "kafka", feature = "s3"))]
        if let Some(config) = &self.config {
            return super::remote::Remote::open(topology, config)?.alone();
        }
        self.open_embedded(topology)
    }

    /// For whoever sends dead letters again: beside the workers, but never beside a second one.
    pub(super) fn open_to_redrive(&self, topology: Topology) -> Result<Context, Exit> {
        #[cfg(all(feature = "kafka", feature = "s3"))]
        if let Some(config) = &self.config {
            return super::remote::Remote::open(topology, config)?.redriving();
        }
        self.open_embedded(topology)
    }

    fn open_embedded(&self, topology: Topology) -> Result<Context, Exit> {
        let dir = self.directory();
        // A directory without a log is named, and none is made in it.
        river::open_to_read(dir)?;
        let settings = Settings::default();
        let river = River::open(dir, topology.clone(), settings.clone())?;
        let objects = LocalObjects::open_read_only(&river.lake());
        let log = Rc::new(river.log.clone());
        Ok(river::context(&Arc::new(topology), log, Rc::new(objects), &settings, &river.control))
    }
}

/// What a verb that needed a group alone is answered.
pub(super) fn refused(reason: Refused) -> Exit {
    match &reason {
        Refused::NotAlone { .. } | Refused::Joined | Refused::Silent => Exit::away(reason),
        Refused::World(failure) if failure.reaction == Reaction::Retry => Exit::away(reason),
        Refused::World(_) | Refused::Wrong(_) => Exit::failed(reason),
    }
}
