//! What all of a function's clients of AWS have in common: Region, credentials, endpoints. Nothing here goes over the network.
//!
//! Lambda hands credentials over in the environment, or, with SnapStart, at a local address that the environment names. The SDK's
//! own chain also looks for profiles, roles to assume and instance metadata, which makes each function a tenth larger and is of no use
//! there. On a laptop, where profiles are used, the local stack takes that chain.

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_bedrockruntime::config::SharedCredentialsProvider;

mod trust;

/// What a function's environment says.
pub fn settings(lookup: impl Fn(&str) -> Option<String>) -> SdkConfig {
    let is_on = |name: &str| {
        let value = lookup(name);
        value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    };
    let is_set = |name: &str| lookup(name).is_some_and(|value| !value.trim().is_empty());
    let mut settings = SdkConfig::builder();
    let mut provider = ProviderConfig::default();
    // Whoever names a file or a folder of authorities wants these and no others.
    if !is_set("SSL_CERT_FILE") && !is_set("SSL_CERT_DIR") {
        let client = trust::amazon_first();
        provider = provider.with_http_client(client.clone());
        settings = settings.http_client(client);
    }
    let environment = EnvironmentVariableCredentialsProvider::new();
    let container = EcsCredentialsProvider::builder().configure(&provider);
    let credentials = CredentialsProviderChain::first_try("Environment", environment)
        .or_else("Container", container.build());
    settings
        .behavior_version(BehaviorVersion::latest())
        .region(lookup("AWS_REGION").map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .use_fips(is_on("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"))
        .build()
}
