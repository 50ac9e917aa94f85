//! Java, and the jars of Kafka: fetched from Maven's repository once for each list of them.

use crate::servers::cached::{self, finished};
use crate::servers::java::version;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};
use xxhash_rust::xxh3::xxh3_64;

/// What runs a broker.
#[derive(Debug, Clone)]
pub(crate) struct Jars {
    java: PathBuf,
    folder: PathBuf,
}

/// Not 4.3.1: if the only broker is killed with a transaction open, and that times out while the broker starts
/// again, the marker of the abort is dropped for want of a leader; readers of committed records never get past
/// that place. 4.2.1 tries the marker again. (4.4.0 was not complete in the repository in November 2026.)
const KAFKA: &str = "4.2.1";

/// Kafka logs through slf4j 1.7, which needs the binding without a 2 in its name; with the other it says nothing,
/// and we read from its log that it is ready.
const LOG4J: &str = "2.24.3";

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

const JAVA_OLDEST: u32 = 17;

impl Jars {
    pub(crate) fn get() -> Result<Jars, String> {
        static READY: OnceLock<Result<Jars, String>> = OnceLock::new();
        READY
            .get_or_init(|| {
                let java = find_java()?;
                let pom = pom();
                let name = format!("kafka-{KAFKA}-{:016x}", xxh3_64(pom.as_bytes()));
                let folder = cached::folder(&name, |folder| fetch(&pom, folder))?;
                Ok(Jars { java, folder: folder.join("jars") })
            })
            .clone()
    }

    pub(crate) fn java(&self) -> &Path {
        &self.java
    }

    /// The class path: all jars of the folder.
    pub(crate) fn class_path(&self) -> String {
        format!("{}/*", self.folder.display())
    }
}

/// Says which jars, and that is all: nothing is built.
fn pom() -> String {
    let dependency = |group: &str, name: &str, version: &str| {
        format!(
            "    <dependency>\n      <groupId>{group}</groupId>\n      <artifactId>{name}</artifactId>\n      \
             <version>{version}</version>\n    </dependency>\n"
        )
    };
    let dependencies = [
        // The broker, and the tool that formats its folder.
        dependency("org.apache.kafka", "kafka_2.13", KAFKA),
        // Command line tools, among them a consumer and a producer in Java.
        dependency("org.apache.kafka", "kafka-tools", KAFKA),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J),
        dependency("org.apache.logging.log4j", "log4j-core", LOG4J),
    ];
    format!(
        "<project>\n  <modelVersion>4.0.0</modelVersion>\n  <groupId>thalweg.tests</groupId>\n  \
         <artifactId>kafka</artifactId>\n  <version>1</version>\n  <packaging>pom</packaging>\n  \
         <dependencies>\n{}  </dependencies>\n</project>\n",
        dependencies.concat()
    )
}

fn fetch(pom: &str, folder: &Path) -> Result<(), String> {
    const NEEDED: &str = "to fetch Kafka once, its tests need Maven (for example: apt-get install maven), which has \
                          to reach a repository";
    let list = folder.join("pom.xml");
    fs::write(&list, pom).map_err(|error| format!("{} cannot be written: {error}", list.display()))?;
    let copied = Command::new("mvn")
        .args(["--batch-mode", "--quiet", "--file"])
        .arg(&list)
        .args([COPY, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", folder.join("jars").display()))
        .output();
    finished(copied, NEEDED)
}

/// The Java of `JAVA_HOME`, else the one on the path, if it is new enough.
fn find_java() -> Result<PathBuf, String> {
    let home = env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
    let of_home = home.map(|home| PathBuf::from(home).join("bin/java"));
    let candidates = of_home.into_iter().chain([PathBuf::from("java")]);
    let found =
        candidates.into_iter().find(|java| version(java).is_some_and(|version| version >= JAVA_OLDEST));
    found.ok_or_else(|| {
        format!(
            "the tests with a real Kafka need Java {JAVA_OLDEST} or newer (for example: apt-get install \
             openjdk-17-jre-headless), in $JAVA_HOME or on the path"
        )
    })
}
