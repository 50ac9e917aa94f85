//! Signing in at Amazon MSK by IAM: who gives the keys, and for which region.

use super::exit::Exit;
use super::river::block_on;
use super::topic;
use crate::kafka::Settings;
use crate::objects::AwsIdentity;
use std::env;

/// `given` is the region of the configuration; where it names none, the environment does.
pub(super) fn sign_in(settings: &mut Settings, given: Option<&str>) -> Result<(), Exit> {
    let named = |name| env::var(name).ok().filter(|region| !region.is_empty());
    let region =
        given.map(str::to_owned).or_else(|| named("AWS_REGION")).or_else(|| named("AWS_DEFAULT_REGION"));
    let region = region.ok_or_else(|| {
        Exit::invalid(
            "`AWS_MSK_IAM` needs the cluster's region: give `kafka.security.region`, or set AWS_REGION",
        )
    })?;
    let identity = AwsIdentity::open(&region).map_err(topic::failed)?;
    settings.sign_in_by_iam(&region, move || block_on(identity.keys())).map_err(Exit::invalid)
}
