//! Brokers that are known by a certificate of a private authority, and that want a password or a certificate of ours.

use crate::secured::{Deployment, GENERATE, RUN, TOPICS, VERIFY, authority, certificate};
use crate::servers::Kafka;
use std::fs;
use std::path::Path;

const PASSWORD: &str = "correct-horse-battery";
const WRONG: &str = "incorrect-horse-battery";
const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";

/// A broker with a certificate, and what else its clients' listener needs; brokers among themselves have nothing.
fn secured(folder: &Path, protocol: &str, properties: &[(&str, &str)], format: &[&str]) -> Option<Kafka> {
    let setup = Kafka::setup(1)?;
    authority(folder, "ca");
    authority(folder, "stranger");
    certificate(folder, "broker", "ca");
    let store = folder.join("broker-both.pem");
    let protocols = format!("CLIENT:{protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT");
    let setup = setup
        .property("listener.security.protocol.map", &protocols)
        .property("listener.name.client.ssl.keystore.type", "PEM")
        .property("listener.name.client.ssl.keystore.location", store.to_str().unwrap());
    let setup = properties.iter().fold(setup, |setup, (key, value)| setup.property(key, value));
    Some(format.iter().fold(setup, |setup, argument| setup.format(argument)).start())
}

#[test]
fn a_password_over_tls_with_a_private_authority_works_and_a_wrong_one_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let plain = format!("{PLAIN} user_thalweg=\"{PASSWORD}\";");
    let properties = [
        ("listener.name.client.sasl.enabled.mechanisms", "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN"),
        ("listener.name.client.scram-sha-512.sasl.jaas.config", SCRAM),
        ("listener.name.client.scram-sha-256.sasl.jaas.config", SCRAM),
        ("listener.name.client.plain.sasl.jaas.config", &plain),
    ];
    let [user, weaker] =
        ["512", "256"].map(|bits| format!("SCRAM-SHA-{bits}=[name=thalweg,password={PASSWORD}]"));
    let users = ["--add-scram", user.as_str(), "--add-scram", weaker.as_str()];
    let Some(kafka) = secured(folder.path(), "SASL_SSL", &properties, &users) else { return };
    let ca = folder.path().join("ca.pem");
    let security = [
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.location", ca.to_str().unwrap()),
        ("sasl.mechanisms", "SCRAM-SHA-512"),
        ("sasl.username", "thalweg"),
        ("sasl.password", PASSWORD),
    ];
    let mut deployment = Deployment::new(folder, &kafka, &security);
    deployment.secrets = vec![PASSWORD.into(), WRONG.into()];
    let configure = |mechanism: &str, authority: &str, password: &str| {
        let (authority, file) = (deployment.path(authority), deployment.path("password"));
        fs::write(&file, format!("{password}\n")).unwrap();
        deployment.configure(&format!(
            "protocol: sasl_tls, ca_file: {authority}, mechanism: {mechanism}, username: thalweg, password_file: {file}"
        ));
    };

    configure("SCRAM-SHA-512", "stranger.pem", PASSWORD);
    deployment.refused("no encrypted line to the brokers", &[RUN, VERIFY]);
    configure("SCRAM-SHA-512", "ca.pem", WRONG);
    deployment.refused("the brokers do not know us", &[TOPICS, GENERATE, RUN, VERIFY]);
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        configure(mechanism, "ca.pem", WRONG);
        deployment.refused("the brokers do not know us", &[RUN]);
    }

    configure("SCRAM-SHA-512", "ca.pem", PASSWORD);
    for verb in [TOPICS, GENERATE, RUN] {
        deployment.fine(verb);
    }
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] {
        configure(mechanism, "ca.pem", PASSWORD);
        deployment.proved(300);
    }
}

#[test]
fn a_certificate_of_ours_is_shown_to_brokers_that_ask_and_one_of_a_stranger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let trust = folder.path().join("ca.pem");
    let properties = [
        ("listener.name.client.ssl.client.auth", "required"),
        ("listener.name.client.ssl.truststore.type", "PEM"),
        ("listener.name.client.ssl.truststore.location", trust.to_str().unwrap()),
    ];
    let Some(kafka) = secured(folder.path(), "SSL", &properties, &[]) else { return };
    certificate(folder.path(), "ours", "ca");
    certificate(folder.path(), "forged", "stranger");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ca, ours, key) = (path("ca.pem"), path("ours.pem"), path("ours.key"));
    let security = [
        ("security.protocol", "SSL"),
        ("ssl.ca.location", ca.as_str()),
        ("ssl.certificate.location", ours.as_str()),
        ("ssl.key.location", key.as_str()),
    ];
    let deployment = Deployment::new(folder, &kafka, &security);
    let configure = |name: &str| {
        let [certificate, key] = ["pem", "key"].map(|kind| deployment.path(&format!("{name}.{kind}")));
        deployment.configure(&format!("ca_file: {ca}, certificate_file: {certificate}, key_file: {key}"));
    };

    configure("forged");
    deployment.refused("no encrypted line to the brokers", &[TOPICS, RUN]);
    deployment.configure(&format!("ca_file: {ca}"));
    deployment.refused("no encrypted line to the brokers", &[RUN]);

    configure("ours");
    for verb in [TOPICS, GENERATE, RUN] {
        deployment.fine(verb);
    }
    deployment.proved(300);
}
