//! Sealed shared memory, as its users see it.
#![cfg(target_os = "linux")]

use std::os::unix::net::UnixListener;
use std::path::Path;

use mynah_base::Rng;
use mynah_mpi::shared::{Hub, Sealed, SharedSink, receive};
use mynah_swap::delta::{apply, make};
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::source::{MemorySource, TensorInfo, TensorSource};
use mynah_swap::{ErrorKind, Hash, Manifest};

fn version(seed: u64, epoch: u64) -> (Manifest, MemorySource) {
    let mut source = MemorySource::new();
    let mut rng = Rng::new(7);
    for (name, size) in [("a", 10_000u64), ("empty", 0), ("norm", 6), ("z", 70_000)] {
        let mut bytes: Vec<u8> = (0..size).map(|_| rng.next_u64() as u8).collect();
        if let Some(byte) = bytes.last_mut() {
            *byte = seed as u8;
        }
        let (name, dtype) = (name.to_string(), "BF16".parse().unwrap());
        let info = TensorInfo { name, dtype, shape: vec![size / 2], part: None, group: None };
        source.add(info, bytes).unwrap();
    }
    let options = BuildOptions { epoch, chunk_bytes: 4_096, ..BuildOptions::default() };
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    (build(&source, &identity, &options).unwrap(), source)
}

#[test]
fn one_write_is_mapped_by_all_and_changed_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.sock");
    let hub = Hub::listen(&path).unwrap();
    hub.serve(|why| panic!("{why}")).unwrap();
    assert_eq!(receive(&path, None, 1).err().unwrap().kind(), ErrorKind::State);
    let first = version(1, 1);
    hub.offer(Sealed::write(&first.0, &first.1).unwrap());
    // The next one is built in its memory, from the one before and a delta.
    let second = version(2, 2);
    let mut delta = Vec::new();
    make((&first.0, &first.1), (&second.0, &second.1), &mut delta).unwrap();
    let mut sink = SharedSink::new(1 << 20);
    apply((&first.0, &first.1), &mut &delta[..], &mut sink).unwrap();
    hub.offer(sink.seal().unwrap());
    for (wanted, expect) in
        [(None, &second), (Some(first.0.digest()), &first), (Some(second.0.digest()), &second)]
    {
        let mapped = receive(&path, wanted, 2).unwrap();
        assert_eq!(*mapped.manifest(), expect.0);
        for (number, info) in expect.1.tensors().iter().enumerate() {
            assert!(mapped.bytes(number) == expect.1.bytes(number), "{}", info.name);
            assert_eq!(mapped.bytes(number).as_ptr() as usize % 64, 0, "{}", info.name);
            let mut bytes = vec![0; mapped.bytes(number).len()];
            mapped.read(number, 0, &mut bytes).unwrap();
            assert!(bytes == mapped.bytes(number));
            assert!(mapped.read(number, 1, &mut bytes).is_err() || bytes.is_empty());
        }
    }
    let unknown = receive(&path, Some(Hash::of(b"another")), 1).err().unwrap();
    assert!(unknown.to_string().contains("is not offered here"), "{unknown}");
    let taken = Hub::listen(&path).err().unwrap();
    assert!(taken.to_string().contains("another process"), "{taken}");
    drop(hub);
    assert!(!path.exists());
}

#[test]
fn an_unfinished_or_too_large_version_is_no_version() {
    let (manifest, source) = version(1, 1);
    use mynah_swap::delta::ChunkSink as _;
    assert_eq!(SharedSink::new(10).begin(&manifest).unwrap_err().kind(), ErrorKind::Capacity);
    let mut sink = SharedSink::new(1 << 20);
    sink.begin(&manifest).unwrap();
    assert_eq!(sink.seal().err().unwrap().kind(), ErrorKind::State);
    // Other weights than the manifest's are noticed while they are written.
    let mut other = source.clone();
    other.bytes_mut(3)[69_000] ^= 1;
    let refused = Sealed::write(&manifest, &other).err().unwrap();
    assert!(refused.to_string().contains("chunk 16 of z"), "{refused}");
}

/// Answers one question with this memory.
fn give(path: &Path, file: std::fs::File) -> std::thread::JoinHandle<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
    use std::io::{IoSlice, Read as _};
    use std::os::fd::AsFd as _;
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 32]).unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let descriptors = [file.as_fd()];
        assert!(rights.push(SendAncillaryMessage::ScmRights(&descriptors)));
        rustix::net::sendmsg(&stream, &[IoSlice::new(&[1; 33])], &mut rights, SendFlags::empty()).unwrap();
    })
}

#[test]
fn memory_that_could_change_is_refused() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let folder = tempfile::tempdir().unwrap();
    for (number, seals) in [
        SealFlags::empty(),
        SealFlags::SHRINK | SealFlags::GROW,
        SealFlags::WRITE | SealFlags::GROW,
        SealFlags::WRITE | SealFlags::SHRINK,
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(number.to_string());
        let memory = std::fs::File::from(memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap());
        memory.set_len(100).unwrap();
        fcntl_add_seals(&memory, seals).unwrap();
        let giving = give(&path, memory);
        let refused = receive(&path, None, 1).err().unwrap();
        assert!(refused.to_string().contains("not sealed"), "{refused}");
        giving.join().unwrap();
    }
    // Sealed, and no version.
    let path = folder.path().join("zeros");
    let memory = std::fs::File::from(memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap());
    memory.set_len(100).unwrap();
    fcntl_add_seals(&memory, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW).unwrap();
    let giving = give(&path, memory);
    assert_eq!(receive(&path, None, 1).err().unwrap().kind(), ErrorKind::Format);
    giving.join().unwrap();
}
