//! `--config FILE`: the roles on brokers and a store.

use super::admin::{Admin, Telling};
use super::args::Run;
use super::exit::Exit;
use super::files;
use super::iam;
use super::log;
use super::place::Reading;
use super::river::{self, MakeContext, Running, block_on};
use super::say;
use super::topic;
use crate::config::{self, Config, LakeUrl, Sasl, SecretFrom};
use crate::kafka::topics::{self, Difference, Present, Shape, Wanted};
use crate::kafka::{KafkaLog, Settings as KafkaSettings, Timeouts};
use crate::model::{NextOffset, Partition, Role, Secret, Topic, TopicPartition};
use crate::objects::{self, LocalObjects, RemoteObjects, StoreSettings, probe};
use crate::port::{Failure, Log, Objects};
use crate::topology::Topology;
use crate::watch;
use crate::worker::{Context, Control, Settings, Start, behind_last_record};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const PREFIX: &str = "THALWEG__";
/// Raw records outlive a day without a lake.
const RAW_RETENTION: Duration = Duration::from_secs(86_400);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A deployment on brokers and a store, as its files describe it. Nothing is connected yet.
pub(super) struct Remote {
    topology: Arc<Topology>,
    config: Config,
    log: KafkaLog,
    store: Place,
}

#[derive(Clone)]
pub(super) enum Place {
    Directory(PathBuf),
    Store(Box<StoreSettings>),
}

impl Remote {
    pub(super) fn open(mut topology: Topology, path: &Path) -> Result<Self, Exit> {
        let config = read(path)?;
        if let Some(deployment) = &config.deployment {
            topology.deployment.clone_from(deployment);
        }
        let settings = kafka(&topology, &config)?;
        let store = store(&config)?;
        let remote = Remote { topology: Arc::new(topology), config, log: KafkaLog::new(settings), store };
        let own = remote.wanted(1);
        match own.iter().find(|own| own.name == remote.topology.events.topic) {
            Some(own) => {
                Err(Exit::invalid(format_args!("{} would read its own topic {}", path.display(), own.name)))
            }
            None => Ok(remote),
        }
    }

    pub(super) fn reading(&self) -> Result<Reading, Exit> {
        self.greet()?;
        let objects: Box<dyn Objects> = match &self.store {
            Place::Directory(dir) => Box::new(LocalObjects::open_read_only(dir)),
            Place::Store(store) => Box::new(RemoteObjects::open(store).map_err(topic::failed)?),
        };
        Ok(Reading { reader: self.log.reader(), objects })
    }

    /// As a role would have it, but never as the static member of a worker that may be running.
    pub(super) fn alone(&self) -> Result<Context, Exit> {
        self.context(KafkaSettings { is_static_member: false, ..self.log.settings().clone() })
    }

    /// Writes in transactions of its own, whose name no worker has.
    pub(super) fn redriving(&self) -> Result<Context, Exit> {
        self.greet()?;
        let settings = self.log.settings();
        self.context(KafkaSettings { transactional_id: Some(settings.redriving()), ..settings.clone() })
    }

    fn context(&self, settings: KafkaSettings) -> Result<Context, Exit> {
        let objects: Rc<dyn Objects> = match &self.store {
            Place::Directory(dir) => Rc::new(LocalObjects::open_read_only(dir)),
            Place::Store(store) => Rc::new(RemoteObjects::open(store).map_err(topic::failed)?),
        };
        let (log, control) = (Rc::new(KafkaLog::new(settings)), Arc::new(Control::default()));
        let settings = self::settings(&self.config, Start::Earliest, false);
        Ok(river::context(&self.topology, log, objects, &settings, &control))
    }

    /// Whether the brokers answer and know us, before anything is asked of them.
    pub(super) fn greet(&self) -> Result<(), Exit> {
        self.log.greet().map(|_| ()).map_err(|error| topic::failed(error.into()))
    }

    /// Every topic that we make.
    pub(super) fn wanted(&self, replication: u32) -> Vec<Wanted> {
        topics::wanted(self.log.settings(), &self.shape(replication))
    }

    /// Copies of each partition, as configured.
    pub(super) fn replication(&self) -> u32 {
        self.config.kafka.replication
    }

    pub(super) fn raw_differences(&self, replication: u32, present: &Present) -> Vec<Difference> {
        topics::raw_differences(replication, RAW_RETENTION, present)
    }

    pub(super) fn log(&self) -> &KafkaLog {
        &self.log
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Where the lake is.
    pub(super) fn store(&self) -> &Place {
        &self.store
    }

    pub(super) fn deployment(&self) -> String {
        self.topology.deployment.clone()
    }

    fn shape(&self, replication: u32) -> Shape {
        let topology = &self.topology;
        let windows = topology.aggregates.iter().flat_map(|aggregate| &aggregate.windows);
        let keep = windows.map(|window| window.keep);
        let longest = keep.chain(topology.histories.iter().map(|history| history.keep)).max().unwrap_or(0);
        Shape {
            partitions: topology.partitions,
            histories: u16::try_from(topology.histories.len()).expect("a topology has few histories"),
            keep: Duration::from_micros(u64::try_from(longest).unwrap_or(0)),
            replication,
            repartition_retention: self.config.kafka.repartition_retention,
        }
    }

    fn start(&self, roles: &[Role], settings: &Settings, admin: &Arc<Admin>) -> Result<Running, Exit> {
        let (topology, log, store) = (Arc::clone(&self.topology), self.log.clone(), self.store.clone());
        let (settings, ours, control) = (settings.clone(), Arc::clone(admin), &admin.control);
        let context = move |role| -> Result<_, Failure> {
            let objects: Rc<dyn Objects> = match &store {
                Place::Directory(dir) if role == Role::Lake => Rc::new(LocalObjects::open(dir)?),
                Place::Directory(dir) => Rc::new(LocalObjects::open_read_only(dir)),
                Place::Store(store) => {
                    let store = RemoteObjects::open(store)?;
                    ours.add_store(&store);
                    Rc::new(store)
                }
            };
            let objects = watch::watch_objects(objects, &ours.board, role);
            let log = watch::watch_log(Rc::new(log.clone()), &ours.board, role);
            if role == Role::Lake {
                block_on(probe(&*objects, &settings.prefix))?;
            }
            Ok(river::context(&topology, log, objects, &settings, &ours.control))
        };
        let context: Arc<MakeContext> = Arc::new(context);
        river::start(roles, Arc::clone(control), &context)
    }

    /// What must stand in no line.
    fn secrets(&self) -> Result<Vec<String>, Exit> {
        let mut all: Vec<String> = self.log.settings().secrets().map(str::to_owned).collect();
        if let Some(given) = &self.config.lake.s3.credentials {
            all.push(secret(&given.secret_key)?.reveal().to_owned());
        }
        Ok(all)
    }

    fn tell_start(&self, roles: &[Role]) {
        let settings = self.log.settings();
        let roles: Vec<_> = roles.iter().map(|&role| watch::name(role)).collect();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            deployment = settings.deployment,
            ordinal = settings.ordinal,
            roles = roles.join(","),
            "started"
        );
        for weakness in self.config.weaknesses() {
            tracing::warn!("weak: {weakness}");
        }
    }

    /// Where the raw topic's records end now: what `--until-idle` waits for.
    fn raw_ends(&self) -> Result<BTreeMap<Partition, NextOffset>, Exit> {
        let (mut reader, topic) = (self.log.reader(), Topic::Raw);
        let partitions = block_on(reader.facts(topic)).map_err(topic::failed)?.partitions;
        let mut ends = BTreeMap::new();
        for partition in (0..partitions).map(Partition) {
            let at = TopicPartition { topic, partition };
            let end = block_on(behind_last_record(&mut *reader, at)).map_err(topic::failed)?;
            ends.insert(partition, end);
        }
        Ok(ends)
    }
}

/// Runs roles until a signal, a failure, or everything is done.
pub(super) fn run(
    arguments: &Run,
    topology: Topology,
    path: &Path,
    roles: &[Role],
    start: Start,
) -> Result<(), Exit> {
    if arguments.input.is_some() {
        return Err(Exit::usage("--input is for --embedded; producers write to a broker's topic themselves"));
    }
    let remote = Remote::open(topology, path)?;
    let config = &remote.config;
    log::install(&config.log, remote.secrets()?);
    remote.tell_start(roles);
    let control = Arc::new(Control::default());
    let admin = Admin::new(config, roles, &control);
    admin.listen(config)?;
    super::topics::check_before_start(&remote, roles)?;
    let settings = settings(config, start, arguments.until_idle);
    if arguments.until_idle {
        control.set_goal(remote.raw_ends()?);
    }
    let asked = river::listen_within(control, config.grace)?;
    let mut running = remote.start(roles, &settings, &admin)?;
    admin.measure(&remote.log)?;
    let mut telling = Telling::new(&admin);
    while !running.wait(LOOK_EVERY) {
        telling.look();
    }
    telling.progress();
    let was_idle = running.end()?;
    match asked.by() {
        Some(signal) if arguments.until_idle && !was_idle => Err(Exit::signal(signal)),
        _ => Ok(()),
    }
}

/// Where the lake of a configuration is, as its readers spell it.
pub(super) fn lake_location(path: &Path) -> Result<String, Exit> {
    Ok(match read(path)?.lake.url {
        LakeUrl::Directory(dir) => dir.display().to_string(),
        url @ LakeUrl::Bucket { .. } => url.to_string(),
    })
}

pub(super) fn read(path: &Path) -> Result<Config, Exit> {
    let text = files::read_text(path)?;
    let mut variables = Vec::new();
    for (name, value) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if !name.to_ascii_uppercase().starts_with(PREFIX) {
            continue;
        }
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) => return Err(Exit::invalid(format_args!("{name} is not UTF-8"))),
        }
    }
    config::check(&text, &variables).map_err(|problems| {
        for problem in &problems {
            match problem.origin {
                config::Origin::File { .. } => say(format_args!("{}:{problem}", path.display())),
                config::Origin::Variable(_) => say(format_args!("{problem}")),
            }
        }
        let plural = if problems.len() == 1 { "" } else { "s" };
        Exit::invalid(format_args!("{} has {} problem{plural}", path.display(), problems.len()))
    })
}

fn secret(from: &SecretFrom) -> Result<Secret, Exit> {
    match from {
        SecretFrom::Value(secret) => Ok(secret.clone()),
        SecretFrom::File(path) => {
            let text = files::read_text(path)?;
            Secret::from_file(&text)
                .ok_or_else(|| Exit::invalid(format_args!("{} does not hold one line", path.display())))
        }
    }
}

fn kafka(topology: &Topology, config: &Config) -> Result<KafkaSettings, Exit> {
    let given = &config.kafka;
    let password = given.security.password().map(secret).transpose()?;
    let config::Timeouts { request, session, heartbeat, transaction, watchdog } = given.timeouts.clone();
    let mut settings = KafkaSettings {
        ordinal: config.ordinal.resolve(&host_name()),
        histories: topology.histories.iter().map(|history| history.name.clone()).collect(),
        security: given.security.client_settings(password.as_ref()),
        client: given.client.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect(),
        is_static_member: given.static_membership,
        timeouts: Timeouts { request, session, heartbeat, transaction, watchdog },
        ..KafkaSettings::new(&given.brokers.join(","), &topology.deployment, &topology.events.topic)
    };
    if let Some(Sasl::AwsMskIam { region }) = &given.security.sasl {
        iam::sign_in(&mut settings, region.as_deref())?;
    }
    Ok(settings)
}

/// Kubernetes names a pod so; elsewhere the machine.
fn host_name() -> String {
    let named = env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    named
        .or_else(|| fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn store(config: &Config) -> Result<Place, Exit> {
    let given = &config.lake;
    if let LakeUrl::Directory(dir) = &given.url {
        return Ok(Place::Directory(dir.clone()));
    }
    let url = given.url.to_string().parse().map_err(Exit::invalid)?;
    let credentials = match &given.s3.credentials {
        None => objects::Credentials::Chain,
        Some(given) => objects::Credentials::Given {
            key_id: given.access_key.clone(),
            secret: secret(&given.secret_key)?,
            session_token: None,
        },
    };
    let encryption = match &given.s3.encryption {
        config::Encryption::None => objects::Encryption::None,
        config::Encryption::Kms { key } => objects::Encryption::Kms { key: key.clone() },
    };
    Ok(Place::Store(Box::new(StoreSettings {
        endpoint: given.s3.endpoint.clone(),
        region: given.s3.region.clone(),
        path_style: given.s3.path_style,
        allow_http: given.s3.allow_http,
        certificates: given.s3.ca_file.clone(),
        credentials,
        encryption,
        ..StoreSettings::new(url)
    })))
}

fn settings(config: &Config, start: Start, until_idle: bool) -> Settings {
    let pace = config.pace.clone();
    Settings {
        start,
        poll_wait: pace.poll_wait,
        poll_bytes: pace.poll_bytes,
        commit_every: pace.commit_every,
        commit_bytes: pace.commit_bytes,
        route_commit_every: pace.route_commit_every,
        link_every: pace.link_every,
        block_bytes: pace.block_bytes,
        in_flight_bytes: pace.in_flight_bytes,
        lake_budget: config.lake.budget,
        prefix: String::new(),
        events_clock: until_idle,
        backoff: pace.backoff,
    }
}
