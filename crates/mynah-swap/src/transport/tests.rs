use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mynah_base::Rng;

use super::*;
use crate::manifest::{BuildOptions, Identity, Manifest, build};
use crate::protocol::{FetchLimits, ReplicaId, ToCoordinator, ToReplica};
use crate::source::{MemorySource, TensorInfo};
use crate::{ErrorKind, Hash};

const TOKEN: &str = "0123456789abcdef";

fn limits() -> Limits {
    Limits {
        frame_bytes_max: 3 << 20,
        handshake_timeout: Duration::from_secs(5),
        frame_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
    }
}

fn tcp() -> Tcp {
    Tcp::new(Token::new(TOKEN).unwrap(), limits())
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn tls() -> Tcp {
    let server = TlsServer::from_files(&testdata("server.pem"), &testdata("server.key")).unwrap();
    let client = TlsClient::from_file(&testdata("authority.pem"), None).unwrap();
    tcp().with_server(server).with_client(client)
}

/// Frames go both ways unchanged, both sides count the same bytes, and the end is the end.
fn check_echo(transport: &dyn Transport, address: &str) {
    let mut listener = transport.listen(address).unwrap();
    let address = listener.address();
    std::thread::scope(|scope| {
        let echo = scope.spawn(move || {
            let mut connection = listener.accept().unwrap();
            while let Some(frame) = connection.receive().unwrap() {
                connection.send(&frame).unwrap();
            }
            connection.traffic()
        });
        let mut connection = transport.connect(&address).unwrap();
        let mut rng = Rng::new(1);
        for size in [0, 1, 15, 70_000, 3 << 20] {
            let frame: Vec<u8> = (0..size).map(|_| rng.next_u64() as u8).collect();
            connection.send(&frame).unwrap();
            assert!(connection.receive().unwrap().unwrap() == frame);
        }
        let error = connection.send(&vec![0; (3 << 20) + 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
        let ours = connection.traffic();
        drop(connection);
        let theirs = echo.join().unwrap();
        assert_eq!((ours.sent_bytes, ours.received_bytes), (theirs.received_bytes, theirs.sent_bytes));
        assert!(ours.sent_bytes >= (3 << 20) + 70_016);
    });
}

#[test]
fn frames_go_both_ways() {
    check_echo(&InProcess::new(limits()), "somewhere");
    check_echo(&tcp(), "127.0.0.1:0");
    check_echo(&tls(), "127.0.0.1:0");
}

#[test]
fn names_in_a_process_are_free_again() {
    let transport = InProcess::new(limits());
    assert_eq!(transport.connect("a").err().unwrap().kind(), ErrorKind::Io);
    let listener = transport.listen("a").unwrap();
    assert!(transport.listen("a").is_err());
    drop(listener);
    transport.listen("a").unwrap();
}

#[test]
fn who_does_not_know_the_token_is_refused_by_both() {
    let mut listener = tcp().listen("127.0.0.1:0").unwrap();
    let address = listener.address();
    let stranger = Tcp::new(Token::new("another token, as long").unwrap(), limits());
    std::thread::scope(|scope| {
        let accepted = scope.spawn(move || {
            let refused = listener.accept().err().unwrap();
            // The listener is still good.
            (refused, listener.accept().map(|_| ()))
        });
        let error = stranger.connect(&address).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Signature, "{error}");
        tcp().connect(&address).unwrap();
        let (refused, good) = accepted.join().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Signature);
        good.unwrap();
    });
    assert_eq!(Token::new("short").unwrap_err().kind(), ErrorKind::Argument);
    assert_eq!(format!("{:?}", Token::new(TOKEN).unwrap()), "Token(…)");
}

#[test]
fn certificates_count() {
    let mut listener = tls().listen("127.0.0.1:0").unwrap();
    let address = listener.address();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..3 {
                assert!(listener.accept().is_err());
            }
        });
        let other = TlsClient::from_file(&testdata("stranger.pem"), None).unwrap();
        assert!(tcp().with_client(other).connect(&address).is_err(), "another authority");
        let named = TlsClient::from_file(&testdata("authority.pem"), Some("example.com")).unwrap();
        assert!(tcp().with_client(named).connect(&address).is_err(), "another name");
        // Without TLS nothing that is read is a greeting.
        let socket = TcpStream::connect(&address).unwrap();
        let mut socket = socket;
        socket.write_all(&[0; 64]).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"MYNAHWT1"));
    });
    assert!(TlsClient::from_file(&testdata("server.key"), None).is_err());
    assert!(TlsServer::from_files(&testdata("server.pem"), &testdata("authority.pem")).is_err());
}

/// A caller that knows the token and then misbehaves.
struct Raw(TcpStream, blake3::Hash);

impl Raw {
    fn connect(address: &str) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        let mut greeting = [0; 40];
        socket.read_exact(&mut greeting).unwrap();
        let nonces = [&greeting[8..], &[7; 32]].concat();
        let key = blake3::derive_key("mynah-swap 2026 transport token", TOKEN.as_bytes());
        let proof = |role: &str| {
            let mut hasher = blake3::Hasher::new_keyed(&key);
            hasher.update(role.as_bytes()).update(&nonces);
            hasher.finalize()
        };
        socket.write_all(&[&[7; 32][..], proof("caller").as_bytes()].concat()).unwrap();
        let mut answer = [0; 32];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *proof("listener").as_bytes());
        Self(socket, proof("session"))
    }

    fn frame(&self, number: u64, payload: &[u8]) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new_keyed(self.1.as_bytes());
        hasher.update(&[1]).update(&number.to_le_bytes()).update(payload);
        let checksum = &hasher.finalize().as_bytes()[..16].to_vec();
        [&(payload.len() as u32).to_le_bytes()[..], payload, checksum].concat()
    }
}

#[test]
fn frames_from_outside_are_checked() {
    let short = Limits {
        handshake_timeout: Duration::from_millis(100),
        frame_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(100),
        ..limits()
    };
    let mut listener = Tcp::new(Token::new(TOKEN).unwrap(), short).listen("127.0.0.1:0").unwrap();
    let address = listener.address();
    let mut check = |misbehave: &(dyn Fn(&mut Raw) + Sync), expect: &str| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut raw = Raw::connect(&address);
                misbehave(&mut raw);
                // Until the other side has had enough.
                let _ = raw.0.read(&mut [0]);
            });
            let mut connection = listener.accept().unwrap();
            let found = loop {
                match connection.receive() {
                    Ok(Some(_)) => {}
                    Ok(None) => break "the end".to_string(),
                    Err(error) => break error.to_string(),
                }
            };
            drop(connection);
            assert!(found.contains(expect), "{found}, not {expect}");
        });
    };
    check(&|raw| raw.0.write_all(&raw.frame(1, b"hello")).unwrap(), "changed on the way");
    let twice = |raw: &mut Raw| {
        let frame = raw.frame(0, b"hello");
        raw.0.write_all(&[&frame[..], &frame].concat()).unwrap();
    };
    check(&twice, "changed on the way");
    let flipped = |raw: &mut Raw| {
        let mut frame = raw.frame(0, b"hello");
        frame[5] ^= 1;
        raw.0.write_all(&frame).unwrap();
    };
    check(&flipped, "changed on the way");
    check(&|raw| raw.0.write_all(&u32::MAX.to_le_bytes()).unwrap(), "announces a frame of 4294967295");
    check(&|raw| raw.0.write_all(&[9, 0, 0, 0, 1]).unwrap(), "stalls");
    check(&|_| {}, "stalls");
    let cut = |raw: &mut Raw| {
        raw.0.write_all(&[9, 0, 0, 0, 1]).unwrap();
        raw.0.shutdown(std::net::Shutdown::Write).unwrap();
    };
    check(&cut, "cannot receive a frame");
    // Who says nothing at all does not keep the listener.
    let silent = TcpStream::connect(&address).unwrap();
    assert!(listener.accept().err().unwrap().to_string().contains("stalls"));
    drop(silent);
}

#[test]
fn messages_survive_and_noise_does_not() {
    let id = ChunkId { version: Hash::of(b"v"), tensor: 1, chunk: 2 };
    let messages = [
        Message::ToReplica(3, ToReplica::Precommit { incarnation: 1, epoch: 2 }),
        Message::ToCoordinator(ReplicaId(4), ToCoordinator::Leaving { incarnation: 9 }),
        Message::AskManifest(Hash::of(b"v")),
        Message::Manifest(vec![1, 2, 3]),
        Message::AskSignature(Hash::of(b"v")),
        Message::Signature(vec![4, 5, 6]),
        Message::AskChunk(id),
        Message::Chunk(id, vec![4; 100]),
        Message::Chunk(id, Vec::new()),
        Message::Absent(Hash::of(b"v")),
        Message::Lead { lease_ms: 5_000 },
        Message::Hear { lease_ms: 5_000 },
        Message::Versions,
        Message::Agent(ReplicaId(2)),
        Message::Refused("other times".to_string()),
        Message::Peers(vec![(ReplicaId(1), "10.0.0.5:7000".to_string()), (ReplicaId(2), "b".to_string())]),
        Message::AskStream { base: Hash::of(b"v"), target: Hash::of(b"w") },
        Message::Piece(vec![5; 50]),
        Message::Piece(Vec::new()),
    ];
    let mut rng = Rng::new(2);
    for message in messages {
        let bytes = message.to_bytes();
        assert_eq!(Message::parse(bytes.clone()).unwrap(), message);
        for _ in 0..500 {
            let mut bad = bytes.clone();
            let at = rng.index(bad.len());
            bad[at] = rng.next_u64() as u8;
            bad.truncate(bad.len() - rng.index(2) * rng.index(bad.len()));
            if let Ok(parsed) = Message::parse(bad.clone()) {
                assert_eq!(parsed.to_bytes(), bad);
            }
        }
    }
    assert!(Message::parse(Vec::new()).is_err());
    let huge = [&[12][..], &u32::MAX.to_le_bytes(), &[0; 100]].concat();
    assert!(Message::parse(huge).unwrap_err().to_string().contains("announces 4294967295 peers"));
}

/// A peer with a version, or with something like it.
struct Peer<'a> {
    manifest: &'a Manifest,
    bytes: &'a [u8],
    lies: bool,
    has_it: bool,
    answers: AtomicU64,
}

impl ChunkStore for Peer<'_> {
    fn manifest(&self, version: &Hash) -> Option<Vec<u8>> {
        (self.has_it && *version == self.manifest.digest()).then(|| self.manifest.to_bytes())
    }

    fn chunk(&self, id: &ChunkId) -> Option<Vec<u8>> {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let tensor = self.manifest.tensors().get(id.tensor as usize).filter(|_| self.has_it)?;
        let range = self.manifest.chunk_bytes_range(tensor, id.chunk as usize);
        let mut bytes = self.bytes[range.start as usize..range.end as usize].to_vec();
        bytes[0] ^= u8::from(self.lies);
        Some(bytes)
    }
}

#[test]
fn chunks_come_from_all_who_have_them() {
    let mut rng = Rng::new(3);
    let bytes: Vec<u8> = (0..64 * 200).map(|_| rng.next_u64() as u8).collect();
    let info = TensorInfo {
        name: "w".to_string(),
        dtype: "U8".parse().unwrap(),
        shape: vec![bytes.len() as u64],
        part: None,
        group: None,
    };
    let mut source = MemorySource::new();
    source.add(info, bytes.clone()).unwrap();
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    let options = BuildOptions { chunk_bytes: 64, threads: 1, ..BuildOptions::default() };
    let manifest = build(&source, &identity, &options).unwrap();
    let wanted: Vec<(u32, u32)> = (0..200).map(|chunk| (0, chunk)).collect();
    let fetch = |kinds: &[(bool, bool)]| {
        let transport = InProcess::new(limits());
        let peers: Vec<Peer> = kinds
            .iter()
            .map(|&(lies, has_it)| {
                let (manifest, bytes, answers) = (&manifest, &bytes[..], AtomicU64::new(0));
                Peer { manifest, bytes, lies, has_it, answers }
            })
            .collect();
        let mut got = vec![0u8; bytes.len()];
        let report = std::thread::scope(|scope| {
            let mut connections = Vec::new();
            for (number, peer) in peers.iter().enumerate() {
                let mut listener = transport.listen(&number.to_string()).unwrap();
                connections.push(transport.connect(&number.to_string()).unwrap());
                scope.spawn(move || serve_chunks(listener.accept().unwrap().as_mut(), peer).unwrap());
            }
            let first = connections[0].as_mut();
            send(first, &Message::AskManifest(manifest.digest())).unwrap();
            let answer = receive(first).unwrap().unwrap();
            assert!(!kinds[0].1 || answer == Message::Manifest(manifest.to_bytes()));
            let mut take = |_: u32, chunk: u32, chunk_bytes: Vec<u8>| {
                got[chunk as usize * 64..][..chunk_bytes.len()].copy_from_slice(&chunk_bytes);
                Ok(())
            };
            fetch_chunks(&manifest, &wanted, connections, FetchLimits::default(), &mut take)
        });
        (report, got)
    };
    let (report, got) = fetch(&[(false, true), (true, true), (false, false), (false, true)]);
    let report = report.unwrap();
    assert!(got == bytes);
    assert_eq!(report.chunks_by_peer.iter().sum::<u64>(), 200);
    assert_eq!((report.chunks_by_peer[1], report.chunks_by_peer[2]), (0, 0));
    let told =
        |peer: usize, word: &str| report.problems[peer].as_ref().is_none_or(|problem| problem.contains(word));
    assert!(told(1, "damaged on the way") && told(2, "has not this version"), "{:?}", report.problems);
    let (failed, _) = fetch(&[(true, true)]);
    assert!(failed.unwrap_err().to_string().contains("no peer is left"));
}
