//! Who we are to AWS, for whoever signs requests that do not go to a store.

use super::RemoteError;
use super::answer::{Kind, Trouble, judge_credentials};
use super::engine::Engine;
use super::open;
use crate::model::{AwsKeys, Secret};
use crate::port::{Failure, Reaction};
use object_store::aws::AwsCredentialProvider;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// One attempt: whoever waits asks again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The library fetches others when those that it has hold for less.
const HOLD: Duration = Duration::from_secs(300);

/// Keys as the place that we run at gives them, found as those of a store are: [`Credentials::Chain`](super::Credentials).
pub struct AwsIdentity {
    engine: Engine,
    keys: AwsCredentialProvider,
}

impl AwsIdentity {
    /// Asks nobody yet.
    pub fn open(region: &str) -> Result<Self, Failure> {
        let keys = open::identity(region).map_err(|error| Failure::new(Reaction::Halt, error))?;
        let engine = Engine::start().map_err(|source| {
            let source = Box::new(source);
            Failure::new(Reaction::Halt, RemoteError::Start { name: "thread", source })
        })?;
        Ok(AwsIdentity { engine, keys })
    }

    /// Those that we have, or new ones if those will not hold for long.
    pub async fn keys(&self) -> Result<AwsKeys, Failure> {
        let keys = Arc::clone(&self.keys);
        let asked = self.engine.run(async move { timeout(PATIENCE, keys.get_credential()).await }).await;
        let given = match asked {
            Ok(given) => given.map_err(|error| judge_credentials(&error)),
            Err(_) => Err(Trouble { kind: Kind::Unsent, ..Trouble::silence(PATIENCE) }),
        };
        let given = given.map_err(Trouble::of_identity)?;
        Ok(AwsKeys {
            id: given.key_id.clone(),
            secret: Secret::new(&given.secret_key),
            session: given.token.as_deref().map(Secret::new),
            hold: HOLD,
        })
    }
}

impl fmt::Debug for AwsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsIdentity").finish_non_exhaustive()
    }
}
