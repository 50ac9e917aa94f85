//! The store: what a role does with it, step by step, and its clock.

use super::clock;
use super::finding::{Finding, State};
use crate::cli::remote::{Place, Remote};
use crate::cli::river::block_on;
use crate::objects::{
    Encryption, LocalObjects, Probe, ProbeError, RemoteError, RemoteObjects, StoreKind, StoreSettings,
};
use crate::port::{Failure, Objects, Reaction};
use std::fs;
use std::path::Path;

const CHECK: &str = "store";
/// How the adapter's advice for a lack of rights begins; ours names bucket and key.
const GRANT: &str = "grant s3:";
const NO_LAKE: &str = "no lake can be kept there: take a store that creates a key once and keeps what it was created \
                       with, and look what stands between";

pub(super) fn check(remote: &Remote) -> Vec<Finding> {
    match remote.store() {
        Place::Directory(dir) => directory(dir),
        Place::Store(settings) => match RemoteObjects::open(settings) {
            Ok(objects) => store(&objects, &Grants::of(settings)),
            Err(failure) => vec![failed("cannot be opened", &failure, "mend `lake` of the configuration")],
        },
    }
}

/// What to grant for each step.
struct Grants {
    put: String,
    get: String,
    list: String,
}

impl Grants {
    fn of(settings: &StoreSettings) -> Grants {
        let (url, bucket) = (&settings.url, &settings.url.bucket);
        if url.kind != StoreKind::S3 {
            let grant = |what: &str| format!("grant the right to {what} objects under {url}");
            return Grants { put: grant("create"), get: grant("read"), list: grant("list") };
        }
        let slash = if url.prefix.is_empty() { "" } else { "/" };
        let objects = format!("arn:aws:s3:::{bucket}/{}{slash}*", url.prefix);
        let (put_key, get_key) = match &settings.encryption {
            Encryption::None => (String::new(), String::new()),
            Encryption::Kms { key } => (
                format!(", and kms:GenerateDataKey and kms:Decrypt on the key {key}"),
                format!(", and kms:Decrypt on the key {key}"),
            ),
        };
        Grants {
            put: format!("grant s3:PutObject on {objects}{put_key}"),
            get: format!("grant s3:GetObject on {objects}{get_key}"),
            list: format!(
                "grant s3:ListBucket on arn:aws:s3:::{bucket} (for the prefix {}{slash}): without it a missing object is \
                 answered like a forbidden one",
                url.prefix
            ),
        }
    }

    fn of_directory(dir: &Path) -> Grants {
        let grant = |what: &str| format!("let whom we run as {what} {}", dir.display());
        Grants { put: grant("write to"), get: grant("read"), list: grant("list") }
    }
}

fn directory(dir: &Path) -> Vec<Finding> {
    if !dir.exists() {
        let fact = format!("{} is not there yet", dir.display());
        let advice = "the first start of lake makes it, if it may";
        return vec![Finding::new(CHECK, State::Unknown, fact, advice), no_time()];
    }
    // As every start does.
    if let Err(error) = fs::create_dir_all(dir.join(".tmp")) {
        let fact = format!("{} cannot be written: {error}", dir.display());
        return vec![Finding::new(CHECK, State::Missing, fact, Grants::of_directory(dir).put), no_time()];
    }
    let mut all = Vec::new();
    steps(&LocalObjects::open_read_only(dir), &Grants::of_directory(dir), &mut all, |_| {});
    all.push(no_time());
    all
}

fn no_time() -> Finding {
    Finding::new(
        clock::CHECK,
        State::Unknown,
        "a directory has no time of its own",
        "keep this machine's clock right",
    )
}

fn store(objects: &RemoteObjects, grants: &Grants) -> Vec<Finding> {
    let (mut all, before) = (Vec::new(), clock::now());
    let mut time = None;
    steps(objects, grants, &mut all, |key| {
        let after = clock::now();
        time = Some(match block_on(objects.taken_at(key)) {
            Ok(Some(taken)) => clock::of_store(before, taken, after),
            Ok(None) => {
                Finding::new(clock::CHECK, State::Unknown, "the store does not tell its time", "ask again")
            }
            Err(failure) => Finding::new(
                clock::CHECK,
                State::Unknown,
                format!("the store does not tell its time: {failure}"),
                "ask again once the rest is mended",
            ),
        });
    });
    all.extend(time);
    all
}

/// What every start does, and what the lake does later. `created` is told of the object once it is there.
fn steps(objects: &dyn Objects, grants: &Grants, all: &mut Vec<Finding>, created: impl FnOnce(&str)) {
    let probe = Probe::new(objects, "");
    match block_on(probe.creates()) {
        Ok(()) => {
            all.push(Finding::ok(CHECK, format!("objects can be created: {}", probe.key())));
            created(probe.key());
            all.push(match block_on(probe.refuses()) {
                Ok(()) => Finding::ok(CHECK, "a second create of the same key is refused"),
                Err(failure) => failed("a second create is not refused as it must be", &failure, &grants.put),
            });
            all.push(match block_on(probe.reads()) {
                Ok(()) => Finding::ok(CHECK, "objects can be read, and are as they were created"),
                Err(failure) => failed("objects cannot be read", &failure, &grants.get),
            });
        }
        Err(failure) => {
            let found = failed("objects cannot be created", &failure, &grants.put);
            let is_right = found.advice.as_ref() == Some(&grants.put);
            all.push(found);
            if !is_right {
                let fact = "not asked whether objects can be read and listed";
                all.push(Finding::new(CHECK, State::Unknown, fact, "mend what stands above first"));
                return;
            }
            all.push(match block_on(objects.read(probe.key())) {
                Ok(_) => Finding::ok(CHECK, "objects may be looked for; none was there to be read"),
                Err(failure) => failed("objects cannot be read", &failure, &grants.get),
            });
        }
    }
    all.push(match block_on(objects.list(probe.key())) {
        Ok(_) => Finding::ok(CHECK, "objects can be listed"),
        Err(failure) => failed("objects cannot be listed", &failure, &grants.list),
    });
}

/// What passes by itself is away. Else the adapter knows what to do, but not the names of what has to be granted.
fn failed(what: &str, failure: &Failure, grant: &str) -> Finding {
    let fact = format!("{what}: {}", why(failure));
    let advice = match failure.source.downcast_ref::<RemoteError>() {
        Some(RemoteError::Request { advice, .. }) if advice.starts_with(GRANT) => grant.to_owned(),
        Some(RemoteError::Request { advice, .. }) if !advice.is_empty() => (*advice).to_owned(),
        _ if failure.source.is::<ProbeError>() => NO_LAKE.to_owned(),
        _ if failure.reaction == Reaction::Retry => {
            "see from this machine whether the store's name resolves and its port is open".to_owned()
        }
        Some(_) => "mend `lake` of the configuration".to_owned(),
        None => grant.to_owned(),
    };
    let state = if failure.reaction == Reaction::Retry { State::Away } else { State::Missing };
    Finding::new(CHECK, state, fact, advice)
}

/// Without the advice that an error may hold: ours stands beside it.
fn why(failure: &Failure) -> String {
    match failure.source.downcast_ref::<RemoteError>() {
        Some(RemoteError::Request { store, why, .. }) => format!("{store}: {why}"),
        _ => failure.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, key: Option<&str>) -> StoreSettings {
        let encryption = key.map_or(Encryption::None, |key| Encryption::Kms { key: key.into() });
        StoreSettings { encryption, ..StoreSettings::new(url.parse().unwrap()) }
    }

    fn refused(why: &str, advice: &'static str, reaction: Reaction) -> Failure {
        let (key, store) = ("t/x.plan".to_owned(), "s3://lake/shop".to_owned());
        Failure::new(reaction, RemoteError::Request { doing: "create", key, store, why: why.into(), advice })
    }

    #[test]
    fn a_grant_names_bucket_prefix_and_key() {
        let grants = Grants::of(&settings("s3://lake/shop", Some("alias/shop")));

        assert!(
            grants.put.starts_with("grant s3:PutObject on arn:aws:s3:::lake/shop/*, and"),
            "{}",
            grants.put
        );
        assert!(grants.put.contains("kms:GenerateDataKey and kms:Decrypt on the key alias/shop"));
        assert!(grants.get.ends_with("arn:aws:s3:::lake/shop/*, and kms:Decrypt on the key alias/shop"));
        assert!(grants.list.contains("s3:ListBucket on arn:aws:s3:::lake (for the prefix shop/)"));
        let whole = Grants::of(&settings("s3://lake", None));
        assert_eq!(whole.put, "grant s3:PutObject on arn:aws:s3:::lake/*");
    }

    #[test]
    fn a_lack_of_rights_is_answered_with_the_grant_and_all_else_with_what_the_store_said() {
        let rights = refused("HTTP status 403 (AccessDenied)", "grant s3:PutObject and …", Reaction::Halt);
        let key = refused("HTTP status 403 (InvalidAccessKeyId)", "mend the access key", Reaction::Halt);
        let away = refused("no connection", "", Reaction::Retry);
        let told = |failure: &Failure| {
            let found = failed("objects cannot be created", failure, "grant this");
            (found.state, found.advice.unwrap())
        };

        assert_eq!(told(&rights), (State::Missing, "grant this".into()));
        assert_eq!(told(&key), (State::Missing, "mend the access key".into()));
        assert_eq!(told(&away).0, State::Away);
        assert_eq!(
            failed("objects cannot be created", &key, "").fact,
            "objects cannot be created: s3://lake/shop: HTTP status 403 (InvalidAccessKeyId)"
        );
    }

    #[test]
    fn a_store_that_breaks_its_promise_is_no_matter_of_rights() {
        let failure = Failure::new(Reaction::Halt, ProbeError::CreatedTwice { key: "k".into() });

        let found = failed("a second create is not refused as it must be", &failure, "grant this");

        assert_eq!(found.state, State::Missing);
        assert!(found.advice.unwrap().starts_with("no lake can be kept there"));
    }

    #[test]
    fn a_directory_that_is_not_there_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let lake = dir.path().join("lake");

        let before = directory(&lake);
        assert!(before.iter().all(|one| one.state == State::Unknown) && !lake.exists(), "{before:?}");
        fs::create_dir(&lake).unwrap();
        let found = directory(&lake);

        assert_eq!(found.iter().filter(|one| one.state == State::Ok).count(), 4, "{found:?}");
    }
}
