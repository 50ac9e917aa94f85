//! The whole of a configuration: from text and variables to settings, or to every problem.

mod page;
mod security;

use super::limits::{DURATIONS, Limit, ORDINAL_MAX, SECTIONS, SIZES, size, time};
use super::*;
use crate::model::Secret;
use proptest::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

const LEAST: &str = "kafka: { brokers: a:9092 }\nlake: { url: s3://b }\n";

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(text: &str, pairs: &[(&str, &str)]) -> Config {
    check(text, &variables(pairs)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn problems(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let problems = check(text, &variables(pairs)).expect_err("something is wrong with it");
    problems.iter().map(ToString::to_string).collect()
}

/// [`LEAST`] and one more key.
fn with(key: &str, value: &str) -> Result<Config, Vec<Problem>> {
    check(LEAST, &variables(&[(&variable_of(key), value)]))
}

fn variable_of(key: &str) -> String {
    format!("THALWEG__{}", key.replace('.', "__").to_uppercase())
}

fn every_key() -> impl Iterator<Item = String> {
    let path =
        |section: &str, key: &str| if section.is_empty() { key.into() } else { format!("{section}.{key}") };
    SECTIONS.iter().flat_map(move |(section, keys)| keys.iter().map(move |key| path(section, key)))
}

/// Those that hold a value, and not a map of others.
fn every_value() -> impl Iterator<Item = String> {
    let is_map = |key: &String| SECTIONS.iter().any(|(section, _)| section == key);
    every_key().filter(move |key| !is_map(key) && key != "kafka.client")
}

#[test]
fn two_keys_are_enough() {
    let config = read(LEAST, &[]);

    assert_eq!(config.deployment, None);
    assert_eq!(config.ordinal, Ordinal::Auto);
    assert_eq!(config.grace, Duration::from_secs(25));
    assert_eq!(config.kafka.brokers, ["a:9092"]);
    assert_eq!(config.kafka.security, Security { tls: Some(Tls::default()), sasl: None });
    assert_eq!(config.kafka.timeouts.watchdog, Duration::from_secs(300));
    assert_eq!(config.lake.s3, S3::default());
    assert_eq!(config.lake.budget, 48 << 20);
    assert_eq!(config.pace.poll_bytes, 1 << 20);
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.log, Log { format: LogFormat::Json, level: LogLevel::Info });
    assert_eq!(config.weaknesses(), Vec::<String>::new());
}

#[test]
fn the_environment_alone_is_enough() {
    let pairs = [("THALWEG__KAFKA__BROKERS", "a:9092"), ("thalweg__Lake__URL", "s3://b"), ("PATH", "/bin")];

    for text in ["", "# nothing\n\n", "\u{feff}", "---\n", "kafka:\nlake:\n"] {
        assert_eq!(read(text, &pairs), read(LEAST, &[]), "{text:?}");
    }
}

#[test]
fn a_variable_wins_over_the_file() {
    let text = "kafka: { brokers: [a:1, b:2], static_membership: false }\nlake: { url: s3://b }\n";
    let pairs = [
        ("THALWEG__KAFKA__BROKERS", "c:3, d:4"),
        ("THALWEG__KAFKA__STATIC_MEMBERSHIP", "true"),
        ("THALWEG__KAFKA__TIMEOUTS__SESSION", "50s"),
        ("THALWEG__KAFKA__CLIENT__FETCH_MAX_BYTES", "007"),
        ("THALWEG__WORKER__ORDINAL", "7"),
    ];

    let config = read(text, &pairs);

    assert_eq!(config.kafka.brokers, ["c:3", "d:4"]);
    assert!(config.kafka.static_membership);
    assert_eq!(config.kafka.timeouts.session, Duration::from_secs(50));
    assert_eq!(config.kafka.client["fetch.max.bytes"].reveal(), "007");
    assert_eq!(config.ordinal, Ordinal::Given(7));
    assert_eq!(read(text, &[]).kafka.brokers, ["a:1", "b:2"]);
}

#[test]
fn a_variable_that_cannot_be_meant_is_named() {
    let pairs = [
        ("THALWEG__KAFKA", "x"),
        ("THALWEG__KAFKA__BROKER", "a:1"),
        ("THALWEG__KAFKA__BROKERS__0", "a:1"),
        ("THALWEG__KAFKA__TIMEOUTS__SESSION", ""),
        ("THALWEG__", "x"),
        ("THALWEG__A__B__C__D__E", "x"),
        ("THALWEG__LOG__LEVEL", "info"),
        ("Thalweg__Log__Level", "warn"),
        ("THALWEG_PORT", "tcp://10.0.0.1:80"),
        ("THALWEGS__X", "x"),
    ];

    assert_eq!(
        problems(LEAST, &pairs),
        [
            "THALWEG__: a name is missing beside two underscores, which separate levels",
            "THALWEG__A__B__C__D__E: no key is deeper than 4 levels, which two underscores separate",
            "THALWEG__KAFKA: this is a map: name one of its keys behind two more underscores",
            "THALWEG__KAFKA__BROKER: `broker` is no key here; did you mean `brokers`?",
            "THALWEG__KAFKA__BROKERS__0: `0` has no place: above it stands no map",
            "THALWEG__KAFKA__TIMEOUTS__SESSION: it is empty; give it a value, or unset it",
            "Thalweg__Log__Level: `THALWEG__LOG__LEVEL` says the same key; give it once",
        ]
    );
}

#[test]
fn all_problems_come_at_once_each_with_its_place() {
    let text = "deployment: Shop\n\
                kafka:\n  broker: a:1\n  timeouts: { session: 5s, heartbeat: 99ms }\n  client: { group.id: x }\n\
                lake: { url: http://b, budget: 48MB }\n\
                pace: [1]\n\
                log: { level: verbose }\n\
                colour: red\n";

    assert_eq!(
        problems(text, &[("THALWEG__ADMIN__ADDRESS", ":8080"), ("THALWEG__WORKER__ORDINAL", "-1")]),
        [
            "THALWEG__ADMIN__ADDRESS: `admin.address` should be an address and a port, such as `127.0.0.1:8080`, \
             `0.0.0.0:8080` or `[::]:8080`",
            "THALWEG__WORKER__ORDINAL: `worker.ordinal` should be `auto`, or a number from 0 to 999999",
            "1:13: `deployment` should be a name of at most 80 of `a-z0-9.-` that begins with a letter",
            "3:3: `broker` is no key here; did you mean `brokers`?",
            "3:3: `kafka.brokers` is missing: such as `host:9092,other:9092`",
            "4:24: `kafka.timeouts.session` should be a duration such as `500ms`, `15s` or `2m`, from 6s to 30m",
            "4:39: `kafka.timeouts.heartbeat` should be a duration such as `500ms`, `15s` or `2m`, from 100ms to 10m",
            "5:13: `group.id` cannot be set: groups are named by `deployment`",
            "6:14: `lake.url` should be `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or \
             `file:///path`",
            "6:32: `lake.budget` should be a size such as `64KiB` or `48MiB`, from 8MiB to 64GiB",
            "7:7: `pace` should be a map of `commit_every`, `route_commit_every`, `link_every`, `poll_wait`, `poll`, \
             `commit`, `block`, `in_flight` and `backoff`",
            "8:15: `log.level` should be one of `error`, `warn`, `info`, `debug` and `trace`",
            "9:1: `colour` is no key here; known are `deployment`, `worker`, `kafka`, `lake`, `pace`, `admin` and `log`",
        ]
    );
}

#[test]
fn what_cannot_be_read_hides_what_would_only_follow_from_it() {
    let variable = [("THALWEG__KAFKA__BROKERS", "a:1")];

    assert_eq!(problems("kafka: [", &variable).len(), 1);
    assert_eq!(problems("just text", &[]).len(), 1);
    assert_eq!(problems("- a\n- b\n", &[]).len(), 1);
    assert_eq!(problems("kafka: text\nlake: {}\n", &[]).len(), 2);
    assert_eq!(
        problems("- a\n", &variable)[0],
        "THALWEG__KAFKA__BROKERS: `kafka` has no place: above it stands no map"
    );
}

#[test]
fn a_duration_or_a_size_ends_at_its_limits() {
    let is_refused = |key: &str, value: &str| match with(key, value) {
        Ok(_) => false,
        Err(problems) => problems.iter().any(|problem| problem.message.contains("from")),
    };
    for Limit { key, low, high, .. } in DURATIONS {
        let [low_ms, high_ms] = [low, high].map(|text| time(text).expect("a duration").as_millis());
        assert!(!is_refused(key, low) && !is_refused(key, high), "{key}");
        assert!(is_refused(key, &format!("{}ms", low_ms - 1)), "{key}");
        assert!(is_refused(key, &format!("{}ms", high_ms + 1)), "{key}");
    }
    for Limit { key, low, high, .. } in SIZES {
        let [low_kib, high_kib] = [low, high].map(|text| size(text).expect("a size") >> 10);
        assert!(!is_refused(key, low) && !is_refused(key, high), "{key}");
        assert!(is_refused(key, &format!("{}KiB", low_kib - 1)), "{key}");
        assert!(is_refused(key, &format!("{}KiB", high_kib + 1)), "{key}");
    }
    for (value, is_right) in [("0", true), ("999999", true), ("1000000", false), ("+1", false), ("", false)] {
        assert_eq!(with("worker.ordinal", value).is_ok(), is_right, "{value}");
    }
    assert_eq!(ORDINAL_MAX, 999_999);
}

#[test]
fn a_transaction_ends_before_its_session_and_two_heartbeats_may_be_lost() {
    let timeouts = |text: &str| {
        let text = format!("lake: {{ url: s3://b }}\nkafka:\n  brokers: a:1\n  timeouts: {{ {text} }}\n");
        check(&text, &[]).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let transaction = "`kafka.timeouts.transaction` should be below `kafka.timeouts.session`";
    let heartbeat = "`kafka.timeouts.heartbeat` should be at most a third of `kafka.timeouts.session`";

    assert!(timeouts("session: 15001ms").is_ok());
    assert_eq!(timeouts("session: 15s"), Err(vec![format!("4:24: {transaction}")]));
    assert_eq!(timeouts("transaction: 45s"), Err(vec![format!("4:28: {transaction}")]));
    assert!(timeouts("transaction: 44999ms").is_ok());
    assert!(timeouts("heartbeat: 15s").is_ok());
    assert_eq!(timeouts("heartbeat: 15001ms"), Err(vec![format!("4:26: {heartbeat}")]));
    assert_eq!(
        timeouts("session: 7s"),
        Err(vec![format!("4:24: {heartbeat}"), format!("4:24: {transaction}")])
    );
    // A session that could not be read makes no second problem.
    assert_eq!(timeouts("session: 5, transaction: 10m").unwrap_err().len(), 1);
}

#[test]
fn the_first_pause_is_not_longer_than_the_longest() {
    let pace = |text: &str| check(&format!("{LEAST}pace: {{ backoff: {{ {text} }} }}\n"), &[]);

    assert_eq!(
        pace("first: 1s, longest: 1s").map(|config| config.pace.backoff),
        Ok((Duration::from_secs(1), Duration::from_secs(1)))
    );
    let wrong = pace("first: 11s").unwrap_err();
    assert_eq!(wrong[0].to_string(), "3:27: `pace.backoff.first` should be at most `pace.backoff.longest`");
}

#[test]
fn settings_that_the_protocols_lean_on_cannot_be_passed_through() {
    for name in [
        "isolation.level",
        "enable.auto.commit",
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "transactional.id",
        "auto.offset.reset",
        "enable.partition.eof",
        "partition.assignment.strategy",
        "group.id",
        "bootstrap.servers",
        "sasl.password",
        "max.in.flight",
    ] {
        let text = LEAST.replace("a:9092", &format!("a:9092, client: {{ {name}: x }}"));
        let variable = format!("THALWEG__KAFKA__CLIENT__{}", name.replace('.', "_").to_uppercase());

        for found in [problems(&text, &[]), problems(LEAST, &[(&variable, "x")])] {
            assert!(found.len() == 1 && found[0].contains("cannot be set: "), "{name}: {found:?}");
        }
    }
    let other = LEAST.replace("a:9092", "a:9092, client: { Client.Rack: x, client.rack: [x] }");
    assert_eq!(
        problems(&other, &[]),
        [
            "1:37: `Client.Rack` is no setting of the client: those are of small letters, with points between",
            "1:66: `client.rack` should be one line of text",
        ]
    );
}

#[test]
fn the_store_is_told_all_or_nothing() {
    let s3 = |text: &str| {
        let text = format!("kafka: {{ brokers: a:1 }}\nlake: {{ url: s3://b, s3: {{ {text} }} }}\n");
        let found = check(&text, &[]).map(|config| config.lake.s3);
        found.map_err(|problems| problems[0].message.clone())
    };
    let wrong = |text: &str| s3(text).expect_err(text);

    let given =
        s3("access_key: 007, secret_key_file: /s, sse: kms, kms_key: k, region: eu-1, path_style: false");
    let credentials =
        Credentials { access_key: Secret::new("007"), secret_key: SecretFrom::File(PathBuf::from("/s")) };
    let encryption = Encryption::Kms { key: "k".into() };
    let expected = S3 {
        region: Some("eu-1".into()),
        path_style: Some(false),
        credentials: Some(credentials),
        encryption,
        ..S3::default()
    };
    assert_eq!(given, Ok(expected));
    assert!(s3("endpoint: 'https://h:1'").is_ok());
    assert!(s3("endpoint: 'http://h:1', allow_http: true").is_ok());
    assert!(wrong("endpoint: 'http://h:1'").contains("is not encrypted"));
    assert!(wrong("endpoint: 'h:1'").contains("`https://host:port`"));
    assert!(wrong("endpoint: 'https://me:pw@h:1'").contains("without credentials"));
    assert!(wrong("access_key: a").contains("`lake.s3.access_key` should be given with"));
    assert!(wrong("secret_key: a").contains("`lake.s3.secret_key` should be given with"));
    assert!(wrong("access_key: a, secret_key: b, secret_key_file: c").contains("one of them is enough"));
    assert!(wrong("sse: kms").contains("`lake.s3.kms_key` is missing"));
    assert!(wrong("kms_key: k").contains("for `sse: kms` only"));
    assert!(wrong("region: eu_1").contains("a region"));
    let local =
        check("kafka: { brokers: a:1 }\nlake: { url: file:///l, s3: { region: r } }\n", &[]).unwrap_err();
    assert!(local[0].message.contains("begins with `s3://`"));
}

#[test]
fn brokers_are_hosts_and_ports_each_once() {
    let wrong = |value: &str| with("kafka.brokers", value).unwrap_err()[0].message.clone();

    assert_eq!(with("kafka.brokers", "a:1,b:2").map(|config| config.kafka.brokers.len()), Ok(2));
    assert!(wrong("a:1,a:1").contains("twice"));
    assert!(wrong("a:1,,b:2").contains("no text"));
    assert!(wrong("SASL_SSL://a:1").contains("without a protocol"));
    assert_eq!(
        problems("kafka: { brokers: [] }\nlake: { url: s3://b }\n", &[]),
        ["1:19: `kafka.brokers` should be a list that is not empty"]
    );
}

#[test]
fn whoever_gives_up_protection_is_told_so() {
    let text = "kafka:\n  brokers: a:1\n  security: { protocol: sasl_plaintext, mechanism: PLAIN, username: u, password: p }\n\
                \x20 client: { enable.ssl.certificate.verification: False, ssl.endpoint.identification.algorithm: none }\n\
                lake: { url: s3://b, s3: { endpoint: 'http://h:1', allow_http: true } }\n";

    let told = read(text, &[]).weaknesses();

    let about = [
        "protocol: records",
        "protocol: the password",
        "certificate.verification",
        "identification",
        "allow_http",
    ];
    assert_eq!(told.len(), about.len(), "{told:?}");
    for (sentence, about) in told.iter().zip(about) {
        assert!(sentence.contains(about), "{sentence}");
    }
}

#[test]
fn a_secret_is_in_no_problem_and_in_no_debug_text() {
    const CANARY: &str = "hunter2";
    // At its place.
    let pairs = [
        ("THALWEG__KAFKA__SECURITY__MECHANISM", "PLAIN"),
        ("THALWEG__KAFKA__SECURITY__USERNAME", "u"),
        ("THALWEG__KAFKA__SECURITY__PASSWORD", CANARY),
        ("THALWEG__KAFKA__CLIENT__SSL_KEY_PASSWORD", CANARY),
        ("THALWEG__LAKE__S3__ACCESS_KEY", CANARY),
        ("THALWEG__LAKE__S3__SECRET_KEY", CANARY),
    ];
    let shown = format!("{:?} {:#?}", read(LEAST, &pairs), read(LEAST, &pairs));
    assert!(shown.contains("***") && !shown.contains(CANARY), "{shown}");

    // At any other, in every form; some of these are right, and then there is nothing to be shown.
    let mut refused = 0;
    for key in every_key() {
        for value in [CANARY.to_owned(), format!("{CANARY}\n"), format!("x://me:{CANARY}@host:1")] {
            let Err(problems) = with(&key, &value) else { continue };
            refused += 1;
            assert!(!format!("{problems:?}").contains(CANARY), "{key}: {problems:?}");
        }
    }
    assert!(refused > 100, "{refused}");
    // Where a space or a line was forgotten.
    for text in [
        "hunter2",
        "- hunter2",
        "kafka: hunter2",
        "kafka: { security: { username: u, password:hunter2 } }",
        "kafka: { security: { password:hunter2, password:hunter2 } }",
        "kafka: { security: { password=hunter2: } }",
        "kafka: { security: password hunter2 }",
        "kafka: { client: { ssl.key.password:hunter2 } }",
        "kafka: { client: [hunter2] }",
        "kafka:\n  security:\n    username: u\n    password:hunter2\n",
        "password: hunter2",
    ] {
        let found = problems(text, &[]).join("\n");
        assert!(!found.contains(CANARY), "{text}: {found}");
    }
}

#[test]
fn every_key_that_is_known_is_read() {
    for key in every_key() {
        // A list of a map is right for no key.
        let levels = key.split('.').enumerate();
        let levels: Vec<String> =
            levels.map(|(depth, part)| format!("{}{part}:", "  ".repeat(depth))).collect();
        let text = format!("{} [{{}}]\n", levels.join("\n"));

        let found = problems(&text, &[]);

        let line = levels.len();
        let at_value = |problem: &&String| problem.starts_with(&format!("{line}:"));
        let told = found.iter().filter(at_value).any(|problem| !problem.contains("missing"));
        assert!(told, "{key}: {found:?}");
    }
}

proptest! {
    #[test]
    fn any_text_and_any_variable_are_answered(
        text in "((kafka|lake|security|client|s3|pace|url|brokers|[a-c]):?[ \n]{0,3}[{}\\[\\],]?){0,20}",
        name in "[Tt]halweg__[a-zA-Z_]{0,20}|THALWEG__(KAFKA|LAKE|PACE)(__[A-Z_é]{0,8}){0,6}",
        value in "\\PC{0,10}",
    ) {
        let _ = check(&text, &[(name, value)]);
    }
}
