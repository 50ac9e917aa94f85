//! `kafka.security`: what belongs together, and what becomes of it.

use super::*;

/// The security that stands in `text`.
fn security(text: &str) -> Result<Security, Vec<String>> {
    let text = format!("lake: {{ url: s3://b }}\nkafka:\n  brokers: a:1\n  security: {{ {text} }}\n");
    let found = check(&text, &[]).map(|config| config.kafka.security);
    found.map_err(|problems| problems.into_iter().map(|problem| problem.message).collect())
}

#[test]
fn a_line_to_the_brokers_is_encrypted_unless_somebody_says_otherwise() {
    let protocol = |text: &str| security(text).map(|found| (found.tls.is_some(), found.sasl.is_some()));

    assert_eq!(protocol(""), Ok((true, false)));
    assert_eq!(protocol("protocol: tls"), Ok((true, false)));
    assert_eq!(protocol("protocol: plaintext"), Ok((false, false)));
    assert_eq!(protocol("mechanism: PLAIN, username: u, password: p"), Ok((true, true)));
    assert_eq!(
        protocol("protocol: sasl_plaintext, mechanism: PLAIN, username: u, password: p"),
        Ok((false, true))
    );
}

#[test]
fn security_becomes_what_the_client_calls_it() {
    let text = "protocol: sasl_tls, ca_file: /ca.pem, certificate_file: /c.pem, key_file: /k.pem, \
                mechanism: SCRAM-SHA-512, username: 007, password: 008";
    let security = security(text).expect("nothing is wrong with it");
    let Some(SecretFrom::Value(password)) = security.password() else { panic!("{security:?}") };

    let settings: Vec<String> = security
        .client_settings(Some(password))
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();

    assert_eq!(
        settings,
        [
            "sasl.mechanisms=SCRAM-SHA-512",
            "sasl.password=008",
            "sasl.username=007",
            "security.protocol=SASL_SSL",
            "ssl.ca.location=/ca.pem",
            "ssl.certificate.location=/c.pem",
            "ssl.key.location=/k.pem",
        ]
    );
}

#[test]
fn a_token_comes_from_a_file_that_can_be_renewed() {
    let security = security("mechanism: OAUTHBEARER, token_file: /t").expect("nothing is wrong with it");

    assert_eq!(security.sasl, Some(Sasl::Token { file: PathBuf::from("/t") }));
    assert_eq!(security.password(), None);
    assert_eq!(security.client_settings(None)["sasl.mechanisms"], "OAUTHBEARER");
    assert_eq!(security.client_settings(None)["sasl.oauthbearer.config"], "file:/t");
}

#[test]
fn a_token_for_amazons_brokers_is_signed_and_comes_from_no_file() {
    let security = |more: &str| security(&format!("mechanism: AWS_MSK_IAM{more}")).expect("nothing is wrong");

    let region = |name: &str| Some(Sasl::AwsMskIam { region: Some(name.into()) });
    assert_eq!(security("").sasl, Some(Sasl::AwsMskIam { region: None }));
    assert_eq!(security(", region: eu-central-1").sasl, region("eu-central-1"));
    let settings = security("").client_settings(None);
    assert_eq!(settings["sasl.mechanisms"], "OAUTHBEARER");
    assert_eq!(settings["security.protocol"], "SASL_SSL");
    assert_eq!(settings.len(), 2);
}

#[test]
fn security_that_is_half_said_is_a_problem() {
    let wrong = |text: &str| security(text).expect_err(text).join("\n");

    for (text, says) in [
        ("protocol: SASL_SSL", "did you mean `sasl_tls`?"),
        ("protocol: sasl_tls", "`kafka.security.mechanism` is missing"),
        ("mechanism: scram-sha-512, username: u, password: p", "did you mean `SCRAM-SHA-512`?"),
        ("mechanism: PLAIN, password: p", "`kafka.security.username` is missing"),
        ("mechanism: PLAIN, username: u", "`kafka.security.password_file` is missing"),
        ("mechanism: PLAIN, username: u, password: p, token_file: t", "is for `OAUTHBEARER` only"),
        ("mechanism: PLAIN, username: u, password: p, password_file: f", "one of them is enough"),
        ("mechanism: OAUTHBEARER", "`kafka.security.token_file` is missing"),
        ("mechanism: OAUTHBEARER, token_file: t, username: u", "is not for `OAUTHBEARER`"),
        ("mechanism: AWS_MSK_IAM, username: u", "is not for `AWS_MSK_IAM`"),
        ("mechanism: AWS_MSK_IAM, token_file: t", "is for `OAUTHBEARER` only"),
        ("mechanism: AWS_MSK_IAM, region: eu.1", "should be a region"),
        ("mechanism: OAUTHBEARER, token_file: t, region: r", "is for `AWS_MSK_IAM` only"),
        ("protocol: tls, region: r", "the protocol is `tls`"),
        ("protocol: tls, username: u", "the protocol is `tls`"),
        ("username: u", "the protocol is `tls`"),
        ("protocol: plaintext, mechanism: PLAIN", "the protocol is `plaintext`"),
        ("protocol: plaintext, ca_file: f", "the protocol is `plaintext`"),
        ("certificate_file: f", "`certificate_file` and `key_file`, or neither"),
        ("key_file: f", "`certificate_file` and `key_file`, or neither"),
    ] {
        assert!(wrong(text).contains(says), "{text}: {}", wrong(text));
    }
}

#[test]
fn a_password_keeps_its_text() {
    for written in ["007", "NO", "1e3", "12:30", "' x '", "~a", "0x1F", "2026-11-21", "a: b"] {
        let quoted = if written.contains(": ") { format!("'{written}'") } else { written.to_owned() };
        let found = security(&format!("mechanism: PLAIN, username: u, password: {quoted}")).expect(written);

        let expected = SecretFrom::Value(Secret::new(written.trim_matches('\'')));
        assert_eq!(found.password(), Some(&expected), "{written}");
    }
    let from_variable = with("kafka.security.password", "null").unwrap_err();
    assert!(from_variable.iter().all(|problem| !problem.message.contains("is missing")), "{from_variable:?}");
}
