//! Asking brokers about topics, and telling them.

use super::Wanted;
use crate::kafka::error::Error;
use crate::kafka::greet::{greet, sign_in};
use crate::kafka::native::{NativeError, topic_id};
use crate::kafka::settings::Settings;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// How often brokers are asked whether they know a topic.
const LOOK: Duration = Duration::from_millis(50);

/// What brokers have under a topic's name.
#[derive(Debug, Clone, Default)]
pub struct Present {
    pub partitions: u32,
    /// The fewest copies that any partition has.
    pub replication: u32,
    /// As they hold now, defaults among them. `None`: we may not see them (no right to describe configurations).
    pub settings: Option<BTreeMap<String, String>>,
    /// Those that were set for this topic alone.
    pub(super) own: BTreeMap<String, String>,
}

/// One client for many questions.
pub struct Admin {
    client: AdminClient<DefaultClientContext>,
    settings: Settings,
    wait: Duration,
}

impl Admin {
    /// Connects to nothing yet.
    pub fn new(settings: &Settings) -> Result<Admin, Error> {
        let client = settings.client().create().map_err(|error| Error::call("make a client", &error))?;
        Ok(Admin { client, settings: settings.clone(), wait: settings.timeouts.request })
    }

    /// Nobody polls this client: it is given a token with each question.
    fn sign_in(&self) -> Result<(), Error> {
        sign_in(&self.settings, self.client.inner().native_ptr())
    }

    fn options(&self) -> AdminOptions {
        let wait = Some(self.wait);
        AdminOptions::new().request_timeout(wait).operation_timeout(wait)
    }

    /// How many brokers there are.
    pub fn brokers(&self) -> Result<usize, Error> {
        greet(&self.settings)
    }

    /// `None`: there is no such topic.
    pub fn look(&self, name: &str) -> Result<Option<Present>, Error> {
        self.sign_in()?;
        let inner = self.client.inner();
        // Asked first: a request for metadata might make the topic.
        let partitions = match topic_id(inner.native_ptr(), name, self.wait) {
            Ok((_, partitions)) => partitions,
            Err(NativeError { code: Code::UnknownTopicOrPartition, .. }) => return Ok(None),
            Err(error) => return Err(Error::native(format!("look up topic {name}"), error)),
        };
        let metadata = inner.fetch_metadata(Some(name), self.wait);
        let metadata = metadata.map_err(|error| Error::call(format!("look up topic {name}"), &error))?;
        let all = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let copies = all.map(|partition| partition.replicas().len()).min().unwrap_or(0);
        let mut present = Present { partitions, replication: copies as u32, ..Present::default() };
        let specifier = ResourceSpecifier::Topic(name);
        let described = block_on(self.client.describe_configs([&specifier], &self.options()));
        let described = described.map_err(|error| Error::call(format!("ask how {name} is set"), &error))?;
        match described.into_iter().next() {
            Some(Ok(resource)) => present.note(resource),
            Some(Err(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) | None => {}
            Some(Err(code)) => return Err(Error::code(format!("ask how {name} is set"), code)),
        }
        Ok(Some(present))
    }

    /// Changes settings of a topic and leaves its others as they are. The controller answers before brokers know it:
    /// returns once they do.
    pub fn alter(&self, name: &str, have: &Present, change: &BTreeMap<&str, &str>) -> Result<(), Error> {
        self.sign_in()?;
        // This request replaces all of the topic's own settings: those that stay are sent again.
        let own = have.own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut all: BTreeMap<&str, &str> = own.collect();
        all.extend(change);
        let new = AlterConfig::new(ResourceSpecifier::Topic(name));
        let new = all.into_iter().fold(new, |new, (name, value)| new.set(name, value));
        let doing = || format!("set up topic {name}");
        let done = block_on(self.client.alter_configs([&new], &self.options()));
        for one in done.map_err(|error| Error::call(doing(), &error))? {
            one.map_err(|(_, code)| Error::code(doing(), code))?;
        }
        let end = Instant::now() + self.wait;
        while Instant::now() < end {
            let own = self.look(name)?.unwrap_or_default().own;
            if change.iter().all(|(&name, &value)| own.get(name).is_some_and(|have| have == value)) {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        Err(Error::Silent(format!("topic {name} was set, and no broker knows it")))
    }
}

impl Present {
    fn note(&mut self, resource: ConfigResource) {
        let mut all = BTreeMap::new();
        for entry in resource.entries {
            let Some(value) = entry.value else { continue };
            if entry.source == ConfigSource::DynamicTopic {
                self.own.insert(entry.name.clone(), value.clone());
            }
            all.insert(entry.name, value);
        }
        // The client does not hand on that we may not see them: then it gives none, and no topic has none.
        self.settings = Some(all).filter(|all| !all.is_empty());
    }
}

/// Makes the topics that are not there, and waits until the brokers know them: the controller answers before they do.
/// Changes none that is there.
pub fn create(settings: &Settings, wanted: &[Wanted], replication: u32) -> Result<Vec<String>, Error> {
    let admin = Admin::new(settings)?;
    admin.sign_in()?;
    let new = wanted.iter().map(|one| {
        let new = NewTopic::new(
            &one.name,
            i32::try_from(one.partitions).expect("a topic has at most 256 partitions"),
            TopicReplication::Fixed(i32::try_from(replication).expect("few brokers hold a partition")),
        );
        one.settings.iter().fold(new, |new, (name, value)| new.set(name, value))
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let results = block_on(admin.client.create_topics(&new, &admin.options()));
    let mut made = Vec::new();
    for result in results.map_err(|error| Error::call("create topics", &error))? {
        match result {
            Ok(name) => made.push(name),
            Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(Error::code(format!("create topic {name}"), code)),
        }
    }
    for name in &made {
        admin.wait_for(name)?;
    }
    Ok(made)
}

impl Admin {
    /// Until the topic is found and every partition of it has a leader.
    fn wait_for(&self, name: &str) -> Result<(), Error> {
        let (client, wait) = (self.client.inner(), self.wait);
        let end = Instant::now() + wait;
        loop {
            let found = topic_id(client.native_ptr(), name, wait).is_ok();
            let metadata = client.fetch_metadata(Some(name), wait);
            let is_led = metadata.is_ok_and(|metadata| {
                let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
                let mut partitions = topics.flat_map(|topic| topic.partitions()).peekable();
                partitions.peek().is_some()
                    && partitions.all(|partition| partition.error().is_none() && partition.leader() >= 0)
            });
            if found && is_led {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(Error::Silent(format!("topic {name} was made, and no broker knows it")));
            }
            thread::sleep(LOOK);
        }
    }
}

/// The admin client works on a thread of its own: there is nothing to do here but wait.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
