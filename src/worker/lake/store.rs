//! What the core asks of the object store, carried out.

use super::step::Stop;
use crate::lake::{
    Chain, ControlKey, Decided, Footer, FooterError, Format, StoredTopology, TAIL_BYTES, config_path,
};
use crate::model::mutation::{self, Mutation};
use crate::port::{Created, Failure, Objects, Reaction};
use crate::topology::{Topology, check};
use crate::worker::Context;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

pub(super) struct Store {
    objects: Rc<dyn Objects>,
    pub(super) format: Rc<dyn Format>,
    pub(super) prefix: String,
    topology: Arc<Topology>,
    has_stored_topology: bool,
    /// A mutation: files of a plan that are still to be written.
    late: RefCell<Vec<(String, Vec<u8>)>>,
}

impl Store {
    pub(super) fn new(context: &Context, format: Rc<dyn Format>) -> Store {
        Store {
            objects: Rc::clone(&context.objects),
            format,
            prefix: context.settings.prefix.clone(),
            topology: Arc::clone(&context.topology),
            has_stored_topology: false,
            late: RefCell::default(),
        }
    }

    pub(super) async fn read(&self, chain: &Chain, key: ControlKey) -> Result<Option<Vec<u8>>, Stop> {
        Ok(self.objects.read(&chain.path(&self.prefix, key)).await?)
    }

    pub(super) async fn create(
        &self,
        chain: &Chain,
        key: ControlKey,
        body: Vec<u8>,
    ) -> Result<Created, Stop> {
        let created = self.objects.create(&chain.path(&self.prefix, key), body).await?;
        if mutation::is(Mutation::PlansPipelined) && matches!(key, ControlKey::Plan(_)) {
            self.write_late().await?;
        }
        Ok(created)
    }

    /// A mutation: the files of a plan are written behind the next plan, or when nothing comes.
    pub(super) async fn write_late(&self) -> Result<(), Stop> {
        for (key, body) in self.late.take() {
            self.objects.create(&key, body).await?;
        }
        Ok(())
    }

    pub(super) fn has_late(&self) -> bool {
        !self.late.borrow().is_empty()
    }

    pub(super) async fn create_file(&self, key: &str, body: Vec<u8>) -> Result<Created, Stop> {
        if mutation::is(Mutation::PlansPipelined) {
            self.late.borrow_mut().push((key.to_owned(), body));
            return Ok(Created::Now);
        }
        Ok(self.objects.create(key, body).await?)
    }

    /// The facts of the plan's file, if it is there.
    pub(super) async fn look(&self, plan: &Decided, file: usize) -> Result<Option<Footer>, Stop> {
        let key = &plan.plan.files[file].key;
        let mut len = TAIL_BYTES;
        loop {
            let Some(tail) = self.objects.read_tail(key, len).await? else { return Ok(None) };
            match self.format.footer(&tail) {
                Ok(footer) => return Ok(Some(footer)),
                Err(FooterError::Longer(needed)) if needed > len && tail.len() == len => len = needed,
                Err(error) => return Err(Stop::Halt(format!("`{key}`: {error}"))),
            }
        }
    }

    /// Before the first plan that names it: whoever finishes the plan must find the topology that made it.
    pub(super) async fn store_topology(&mut self) -> Result<(), Stop> {
        if self.has_stored_topology {
            return Ok(());
        }
        let configuration = self.topology.configuration_hash;
        let stored = StoredTopology { configuration, text: self.topology.text.clone() };
        let path = config_path(&self.prefix, configuration);
        match self.objects.create(&path, stored.encode()).await? {
            Created::Now | Created::Before => self.has_stored_topology = true,
            Created::Unknown => {
                return Err(Failure::new(
                    Reaction::Retry,
                    format!("nobody can tell whether `{path}` is there"),
                )
                .into());
            }
        }
        Ok(())
    }

    /// The topology that a plan was made with.
    pub(super) async fn topology(&self, configuration: u64) -> Result<Arc<Topology>, Stop> {
        if configuration == self.topology.configuration_hash {
            return Ok(Arc::clone(&self.topology));
        }
        let path = config_path(&self.prefix, configuration);
        let Some(body) = self.objects.read(&path).await? else {
            return Err(Stop::Halt(format!("the topology of an unfinished plan is not at `{path}`")));
        };
        let stored =
            StoredTopology::decode(&body).map_err(|error| Stop::Halt(format!("`{path}`: {error}")))?;
        let checked = check(&stored.text).map_err(|problems| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            Stop::Halt(format!("this build does not take the topology at `{path}`: {first}"))
        })?;
        Ok(Arc::new(checked))
    }
}
