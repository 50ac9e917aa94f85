//! Java 25, and the jars of Trino: the server's, and those of the one plugin that reads a lake like ours.

use crate::servers::cached::{self, finished};
use crate::servers::java::version;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};
use xxhash_rust::xxh3::xxh3_64;

/// What runs the server.
#[derive(Debug, Clone)]
pub(crate) struct Jars {
    java: PathBuf,
    folder: PathBuf,
}

/// Its classes are of Java 25. (The last release with a bundle where jars are fetched from is 476.)
const TRINO: &str = "483";
const JAVA_OLDEST: u32 = 25;

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// What the bundle would add: a class that starts the server …
const MAIN: &str = "StartTrino";
/// … and the file that names the plugin's class.
const SERVICE: &str = "META-INF/services/io.trino.spi.Plugin";
const PLUGIN: &str = "io.trino.plugin.hive.HivePlugin";

impl Jars {
    pub(crate) fn get() -> Result<Jars, String> {
        static READY: OnceLock<Result<Jars, String>> = OnceLock::new();
        READY
            .get_or_init(|| {
                let java = find_java()?;
                let poms = [("server", pom("trino-main", "")), ("hive", pom("trino-hive", NOT_LOADED))];
                let all: String = poms.iter().map(|(_, pom)| pom.as_str()).collect();
                let name = format!("trino-{TRINO}-{:016x}", xxh3_64(all.as_bytes()));
                let folder = cached::folder(&name, |folder| fetch(&java, &poms, folder))?;
                Ok(Jars { java, folder })
            })
            .clone()
    }

    pub(crate) fn java(&self) -> &Path {
        &self.java
    }

    pub(crate) fn main(&self) -> &'static str {
        MAIN
    }

    pub(crate) fn class_path(&self) -> String {
        format!("{}:{}/*", self.folder.join("main").display(), self.folder.join("server").display())
    }

    pub(crate) fn plugins(&self) -> PathBuf {
        self.folder.join("plugins")
    }
}

/// An embedded store of 54 MB for caches that nobody switches on here.
const NOT_LOADED: &str = "\n      <exclusions>\n        <exclusion>\n          <groupId>org.rocksdb</groupId>\n          \
                          <artifactId>rocksdbjni</artifactId>\n        </exclusion>\n      </exclusions>";

/// Says which jars, and that is all. The versions of everything are Trino's own choice, which whoever only depends on
/// one of its jars does not get.
fn pom(artifact: &str, more: &str) -> String {
    format!(
        "<project>\n  <modelVersion>4.0.0</modelVersion>\n  <groupId>thalweg.tests</groupId>\n  \
         <artifactId>trino</artifactId>\n  <version>1</version>\n  <packaging>pom</packaging>\n  \
         <dependencyManagement>\n    <dependencies>\n      <dependency>\n        <groupId>io.trino</groupId>\n        \
         <artifactId>trino-root</artifactId>\n        <version>{TRINO}</version>\n        <type>pom</type>\n        \
         <scope>import</scope>\n      </dependency>\n    </dependencies>\n  </dependencyManagement>\n  \
         <dependencies>\n    <dependency>\n      <groupId>io.trino</groupId>\n      \
         <artifactId>{artifact}</artifactId>\n      <version>{TRINO}</version>{more}\n    </dependency>\n  \
         </dependencies>\n</project>\n"
    )
}

fn fetch(java: &Path, poms: &[(&str, String)], folder: &Path) -> Result<(), String> {
    const NEEDED: &str = "to fetch Trino once, its test needs Maven (for example: apt-get install maven), which has to \
                          reach a repository";
    for (name, pom) in poms {
        let list = folder.join(format!("{name}.xml"));
        written(&list, pom)?;
        let into = if *name == "server" { folder.join(name) } else { folder.join("plugins").join(name) };
        let copied = Command::new("mvn")
            .args(["--batch-mode", "--quiet", "--file"])
            .arg(&list)
            .args([COPY, "-DincludeScope=runtime"])
            .arg(format!("-DoutputDirectory={}", into.display()))
            .output();
        finished(copied, NEEDED)?;
    }
    complete(java, folder)
}

/// Compiles the class that starts it, and makes the jar that names the plugin.
fn complete(java: &Path, folder: &Path) -> Result<(), String> {
    let (main, services) = (folder.join("main"), folder.join("services"));
    let source = main.join(format!("{MAIN}.java"));
    let code = format!(
        "public class {MAIN} {{\n  public static void main(String[] arguments) {{\n    \
         new io.trino.server.Server().start(\"{TRINO}\");\n  }}\n}}\n"
    );
    written(&source, &code)?;
    written(&services.join(SERVICE), PLUGIN)?;
    let tool = |name: &str| Command::new(java.with_file_name(name));
    let compiled = tool("javac")
        .args(["-proc:none", "-cp"])
        .arg(format!("{}/*", folder.join("server").display()))
        .arg("-d")
        .arg(&main)
        .arg(&source)
        .output();
    finished(compiled, "the class that starts Trino was not compiled")?;
    let jar = folder.join("plugins/hive/services.jar");
    let made =
        tool("jar").args(["--create", "--file"]).arg(jar).arg("-C").arg(services).arg("META-INF").output();
    finished(made, "the jar that names Trino's plugin was not made")
}

fn written(path: &Path, text: &str) -> Result<(), String> {
    let parent = path.parent().expect("it lies in a folder");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

/// The Java of `JAVA_HOME`, the one on the path, or one that is installed beside that, if it is new enough and comes
/// with a compiler.
fn find_java() -> Result<PathBuf, String> {
    let is_fit = |java: &PathBuf| {
        java.with_file_name("javac").is_file() && version(java).is_some_and(|version| version >= JAVA_OLDEST)
    };
    candidates().into_iter().find(is_fit).ok_or_else(|| {
        format!(
            "the tests with a real Trino need a JDK {JAVA_OLDEST} or newer (for example: apt-get install \
             openjdk-{JAVA_OLDEST}-jdk-headless), in $JAVA_HOME, on the path, or beside the Java that is"
        )
    })
}

fn candidates() -> Vec<PathBuf> {
    let home = env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
    let mut found: Vec<PathBuf> = home.map(|home| PathBuf::from(home).join("bin/java")).into_iter().collect();
    let path = env::var_os("PATH").unwrap_or_default();
    for java in env::split_paths(&path).filter_map(|folder| fs::canonicalize(folder.join("java")).ok()) {
        // The path has links; what stands beside the home that they lead to are the other versions.
        let versions = java.ancestors().nth(3).and_then(|folder| fs::read_dir(folder).ok());
        let beside = versions.into_iter().flatten().flatten().map(|home| home.path().join("bin/java"));
        found.push(java.clone());
        found.extend(beside);
    }
    found
}
