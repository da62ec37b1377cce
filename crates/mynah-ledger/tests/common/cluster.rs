//! A PostgreSQL server for the tests: the one of `MYNAH_TEST_POSTGRES`, else a private one, made from the
//! machine's `initdb` and gone with this process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The URL of somebody's server.
const GIVEN: &str = "MYNAH_TEST_POSTGRES";

/// Makes and starts a server that listens on a socket in a folder of its own, says the folder, waits until its
/// standard input ends, which it does however the tests end, and leaves nothing behind.
const SCRIPT: &str = r#"
PATH="$0:$PATH"
folder=$(mktemp -d "${TMPDIR:-/tmp}/mynah-postgres-XXXXXX") || exit 1
trap 'pg_ctl -D "$folder/data" -m immediate stop >/dev/null 2>&1; rm -rf "$folder"' EXIT
trap '' INT
cd "$folder"
initdb -D "$folder/data" -A trust -U mynah -E UTF8 --no-sync >"$folder/initdb.log" 2>&1 || exit 1
pg_ctl -D "$folder/data" -w -l "$folder/log" \
    -o "-k $folder -c listen_addresses= -c fsync=off -c full_page_writes=off \
        -c synchronous_commit=off -c autovacuum=off -c max_connections=200" start </dev/null >/dev/null 2>&1 || exit 1
echo "$folder"
read -r _
exit 0
"#;

struct Cluster {
    url: String,
    /// Its standard input holds the server up.
    _server: Option<Child>,
}

/// The URL of the server; nothing when there is none, which is then said once.
pub fn url() -> Option<&'static str> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        if let Some(url) = given() {
            return Some(Cluster { url, _server: None });
        }
        start().map_err(|why| println!("PostgreSQL is not tested, {why}: skipped")).ok()
    });
    cluster.as_ref().map(|cluster| cluster.url.as_str())
}

/// Whether the server was made for these tests.
pub fn is_ours() -> bool {
    given().is_none()
}

fn given() -> Option<String> {
    std::env::var(GIVEN).ok().filter(|url| !url.is_empty())
}

/// A connection of the test itself; the parameter of ours is not for the client library.
pub fn connect(url: &str) -> postgres::Client {
    let (url, _) = url.split_once("&artifacts=").unwrap_or((url, ""));
    postgres::Client::connect(url, postgres::NoTls).unwrap()
}

fn start() -> Result<Cluster, String> {
    let folder = programs().ok_or("there is no initdb (package postgresql)")?;
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let mut command = if is_root {
        // The server refuses to run as root; the package makes a user for it.
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command
        .args(["-c", SCRIPT])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut server =
        command.spawn().map_err(|error| format!("{:?} fails: {error}", command.get_program()))?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).map_err(|error| error.to_string())?;
    let folder = line.trim();
    if folder.is_empty() {
        return Err("its server cannot be started here".to_string());
    }
    let url = format!("postgresql://mynah@{}/postgres", folder.replace('/', "%2F"));
    Ok(Cluster { url, _server: Some(server) })
}

/// The folder of `initdb`: in the path, or where packages put it.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.push(Path::new("/usr/local/pgsql/bin").to_path_buf());
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
}
