//! The files that Trino is started with: small, on 127.0.0.1 only.

use super::jars::Jars;
use crate::servers::ports::Port;
use crate::servers::s3::S3;
use std::path::Path;
use std::{fs, io};

/// Athena's name for Glue: views say it.
const GLUE: &str = "awsdatacatalog";
/// Tables that are made by SQL: the emulated Glue lets nobody do that.
const FOLDER: &str = "folder";

pub(crate) fn write(place: &Path, jars: &Jars, port: u16, files: &S3, glue: &Port) -> io::Result<()> {
    let (catalogs, data) = (place.join("catalogs"), place.join("data"));
    fs::create_dir_all(&catalogs)?;
    fs::create_dir_all(&data)?;
    let server = format!(
        "coordinator=true\n\
         node-scheduler.include-coordinator=true\n\
         http-server.http.port={port}\n\
         node.bind-ip=127.0.0.1\n\
         node.internal-address=127.0.0.1\n\
         discovery.uri=http://127.0.0.1:{port}\n\
         plugin.dir={plugins}\n\
         catalog.config-dir={catalogs}\n\
         web-ui.enabled=false\n\
         http-server.log.enabled=false\n\
         task.concurrency=2\n\
         task.max-worker-threads=4\n",
        plugins = jars.plugins().display(),
        catalogs = catalogs.display(),
    );
    fs::write(place.join("config.properties"), server)?;
    fs::write(place.join("log.properties"), "io.trino=INFO\nio.airlift=WARN\n")?;
    for (name, metastore) in
        [(GLUE, of_glue(glue.number(), files)), (FOLDER, of_folder(&place.join("tables"))?)]
    {
        fs::write(catalogs.join(format!("{name}.properties")), reading(files) + &metastore)?;
    }
    Ok(())
}

/// Files of the store; external tables may be made and dropped, as Athena lets people.
fn reading(files: &S3) -> String {
    format!(
        "connector.name=hive\n\
         fs.s3.enabled=true\n\
         s3.endpoint={}\n\
         s3.region={}\n\
         s3.path-style-access=true\n\
         s3.aws-access-key={}\n\
         s3.aws-secret-key={}\n\
         hive.partition-projection-enabled=true\n\
         hive.non-managed-table-writes-enabled=true\n",
        files.endpoint(),
        files.region(),
        files.access_key(),
        files.secret_key(),
    )
}

fn of_glue(port: u16, files: &S3) -> String {
    format!(
        "hive.metastore=glue\n\
         hive.metastore.glue.endpoint-url=http://127.0.0.1:{port}\n\
         hive.metastore.glue.region={}\n\
         hive.metastore.glue.aws-access-key={}\n\
         hive.metastore.glue.aws-secret-key={}\n",
        files.region(),
        files.access_key(),
        files.secret_key(),
    )
}

/// Views have no location, and a schema's is of no use: neither is compared with the folder.
fn of_folder(tables: &Path) -> io::Result<String> {
    fs::create_dir_all(tables)?;
    Ok(format!(
        "hive.metastore=file\n\
         hive.metastore.catalog.dir=local:///\n\
         hive.metastore.disable-location-checks=true\n\
         fs.local.enabled=true\n\
         local.location={}\n",
        tables.display()
    ))
}

/// What Java is told: half a gigabyte is used of the one that may be.
pub(crate) fn arguments(place: &Path, jars: &Jars) -> Vec<String> {
    let of = |name: &str| place.join(name).display().to_string();
    let mut arguments: Vec<String> = [
        "-Xmx1g",
        "-Xms256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:ReservedCodeCacheSize=256M",
        "-XX:+ExitOnOutOfMemoryError",
        "-Duser.timezone=UTC",
        "-Dfile.encoding=UTF-8",
        "-Djava.net.preferIPv4Stack=true",
        "-Djdk.attach.allowAttachSelf=true",
        "--add-modules",
        "jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "-Dnode.environment=tests",
        "-Dnode.id=tests",
    ]
    .map(String::from)
    .to_vec();
    arguments.push(format!("-Dnode.data-dir={}", of("data")));
    arguments.push(format!("-Dconfig={}", of("config.properties")));
    arguments.push(format!("-Dlog.levels-file={}", of("log.properties")));
    arguments.extend(["-cp".to_owned(), jars.class_path(), jars.main().to_owned()]);
    arguments
}
