//! The list of files with their digests, and its form as an in-toto statement.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::checkpoint::parse_decimal;
use crate::dsse::text_at;
use crate::statement::{Statement, Subject};
use crate::{Algorithm, Digest, Error, Result};

const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";

/// The predicate of the package's releases before 1.0.
const PREDICATE_TYPE_OLD: &str = "https://model_signing/Digests/v0.1";

/// The name of the only resource when the model is one file.
pub(super) const SINGLE_FILE: &str = ".";

/// What is signed: names and digests of a folder's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The folder's name when it was signed; informative, a renamed folder still verifies.
    pub model_name: String,
    /// How files were cut for hashing.
    pub method: Method,
    /// The hash function.
    pub algorithm: Algorithm,
    /// Paths that were left out; with a folder, everything below it.
    pub ignore_paths: Vec<String>,
    /// The files, sorted by path and offset.
    pub resources: Vec<Resource>,
}

/// How files were cut for hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One digest a file.
    Files,
    /// One digest for every `shard_bytes` of a file; empty files are not covered.
    Shards {
        /// The length of each shard but the last.
        shard_bytes: u64,
    },
}

/// A file, or a part of one, with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Relative to the folder, with `/`; `.` when the model is one file.
    pub path: String,
    /// The bytes from the first up to the second offset, when files are cut.
    pub range_bytes: Option<(u64, u64)>,
    /// The digest of these bytes.
    pub digest: Digest,
}

impl Manifest {
    /// One digest over all, in order: SHA-256 over the digests' bytes. It names the model in other documents.
    pub fn root_digest(&self) -> Digest {
        let all: Vec<u8> = self.resources.iter().flat_map(|r| *r.digest.as_bytes()).collect();
        Digest::sha256(&all)
    }

    pub(super) fn to_statement(&self) -> Statement {
        let (method, algorithm) = (self.method.name(), self.algorithm_name());
        let resource = |r: &Resource| {
            let name = match r.range_bytes {
                None => r.path.clone(),
                Some((begin, end)) => format!("{}:{begin}:{end}", r.path),
            };
            json!({ "name": name, "algorithm": algorithm, "digest": r.digest.to_hex() })
        };
        let mut serialization = json!({
            "method": method,
            "hash_type": self.algorithm.name(),
            "allow_symlinks": false,
            "ignore_paths": self.ignore_paths,
        });
        if let Method::Shards { shard_bytes } = self.method {
            serialization["shard_size"] = json!(shard_bytes);
        }
        let digests = BTreeMap::from([("sha256".to_string(), self.root_digest().to_hex())]);
        Statement {
            subjects: vec![Subject { name: self.model_name.clone(), digests }],
            predicate_type: PREDICATE_TYPE.to_string(),
            predicate: json!({
                "serialization": serialization,
                "resources": self.resources.iter().map(resource).collect::<Vec<_>>(),
            }),
        }
    }

    pub(super) fn from_statement(statement: &Statement) -> Result<Self> {
        match statement.predicate_type.as_str() {
            PREDICATE_TYPE => {}
            PREDICATE_TYPE_OLD => {
                let message = "signed with a release of model-signing before 1.0; sign the model again";
                return Err(Error::unsupported(message));
            }
            other => {
                let message = format!("the statement is {other:?}, not a model signature ({PREDICATE_TYPE})");
                return Err(Error::unsupported(message));
            }
        }
        let [subject] = statement.subjects.as_slice() else {
            let message = format!("a model signature has one subject, not {}", statement.subjects.len());
            return Err(Error::format(message));
        };
        let serialization = statement.predicate.get("serialization").unwrap_or(&Value::Null);
        let mut manifest = Self {
            model_name: subject.name.clone(),
            method: parse_method(serialization)?,
            algorithm: text_at(serialization, "hash_type", "the serialization")?.parse()?,
            ignore_paths: parse_ignore_paths(serialization)?,
            resources: Vec::new(),
        };
        let resources = statement.predicate.get("resources").and_then(Value::as_array);
        let resources = resources.ok_or_else(|| Error::format("the model signature has no \"resources\""))?;
        let parsed = resources.iter().map(|resource| manifest.parse_resource(resource));
        manifest.resources = parsed.collect::<Result<_>>()?;
        let root = manifest.root_digest().to_hex();
        if subject.digests.get("sha256") != Some(&root) {
            let message = format!("the digests of the files make {root}, which is not that of the subject");
            return Err(Error::mismatch(message));
        }
        // Only now: the digest is over the order in which the signer wrote.
        manifest.resources.sort_by(compare);
        for pair in manifest.resources.windows(2) {
            if compare(&pair[0], &pair[1]).is_eq() {
                return Err(Error::format(format!("{:?} is named twice", pair[0].path)));
            }
        }
        let files: BTreeSet<&str> = manifest.resources.iter().map(|r| r.path.as_str()).collect();
        if files.contains(SINGLE_FILE) && files.len() > 1 {
            return Err(Error::format("the model is one file and has others"));
        }
        Ok(manifest)
    }

    fn parse_resource(&self, value: &Value) -> Result<Resource> {
        const WHAT: &str = "a resource of the model signature";
        let name = text_at(value, "name", WHAT)?;
        let algorithm = text_at(value, "algorithm", WHAT)?;
        if algorithm != self.algorithm_name() && algorithm != self.algorithm.name() {
            let message = format!("{name:?} is hashed with {algorithm:?}, not {:?}", self.algorithm_name());
            return Err(Error::unsupported(message));
        }
        let digest = Digest::from_hex(self.algorithm, text_at(value, "digest", WHAT)?)?;
        let (path, range_bytes) = match self.method {
            Method::Files => (name, None),
            Method::Shards { .. } => {
                let (path, range) = parse_shard_name(name)
                    .ok_or_else(|| Error::format(format!("{name:?} does not read PATH:BEGIN:END")))?;
                (path, Some(range))
            }
        };
        check_path(path)?;
        Ok(Resource { path: path.to_string(), range_bytes, digest })
    }

    /// What `algorithm` says at each resource.
    fn algorithm_name(&self) -> String {
        match self.method {
            Method::Files => self.algorithm.name().to_string(),
            Method::Shards { shard_bytes } => format!("{}-sharded-{shard_bytes}", self.algorithm.name()),
        }
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Files => "files",
            Method::Shards { .. } => "shards",
        }
    }
}

fn parse_method(serialization: &Value) -> Result<Method> {
    match text_at(serialization, "method", "the serialization")? {
        "files" => Ok(Method::Files),
        "shards" => {
            // Protocol buffers write every number as a float.
            let size = serialization.get("shard_size").and_then(Value::as_f64);
            let size = size.filter(|size| *size >= 1.0 && size.fract() == 0.0 && *size <= 2f64.powi(53));
            let size = size.ok_or_else(|| Error::format("\"shard_size\" is not a size in bytes"))?;
            Ok(Method::Shards { shard_bytes: size as u64 })
        }
        other => Err(Error::unsupported(format!("files are serialized by {other:?}, not files or shards"))),
    }
}

fn parse_ignore_paths(serialization: &Value) -> Result<Vec<String>> {
    let malformed = || Error::format("\"ignore_paths\" is not a list of texts");
    match serialization.get("ignore_paths") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => {
            list.iter().map(|path| Ok(path.as_str().ok_or_else(malformed)?.to_string())).collect()
        }
        Some(_) => Err(malformed()),
    }
}

fn parse_shard_name(name: &str) -> Option<(&str, (u64, u64))> {
    let (rest, end) = name.rsplit_once(':')?;
    let (path, begin) = rest.rsplit_once(':')?;
    let (begin, end) = (parse_decimal(begin)?, parse_decimal(end)?);
    (begin < end).then_some((path, (begin, end)))
}

/// A path that stays inside the folder and has one spelling.
fn check_path(path: &str) -> Result<()> {
    let inside = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if path == SINGLE_FILE || path.split('/').all(inside) {
        return Ok(());
    }
    Err(Error::format(format!("{path:?} is not a path inside the model")))
}

/// Part by part, like the Python package: `a/b` comes before `a.txt`.
pub(super) fn compare(a: &Resource, b: &Resource) -> Ordering {
    a.path.split('/').cmp(b.path.split('/')).then(a.range_bytes.cmp(&b.range_bytes))
}
