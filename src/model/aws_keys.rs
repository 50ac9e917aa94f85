//! Who we are to Amazon's services.

use super::Secret;
use std::time::Duration;

/// What a request is signed with.
#[derive(Debug, Clone)]
pub struct AwsKeys {
    pub id: String,
    pub secret: Secret,
    /// Where keys were lent for a time.
    pub session: Option<Secret>,
    /// How long they are good for, from when they were given; perhaps longer.
    pub hold: Duration,
}
