//! What this server gives to others: a stream from their version to its own, and its names.

use std::fs::File;
use std::io::{BufWriter, Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mynah_swap::delta;
use mynah_swap::source::SafetensorsSource;
use mynah_swap::{Error, ErrorKind, Manifest, Result};

use super::agent::{Hot, state_error};
use super::versions::Version;

impl Hot {
    /// The chunks of the served version that a server with this manifest does not have, as a file without a name.
    ///
    /// # Errors
    /// `Format` for what is no manifest, `Mismatch` for one of another model, `Io`.
    pub(super) fn make_stream(&self, base: &[u8]) -> Result<(File, u64)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        self.init()?;
        let live = self.lock().live.clone().ok_or_else(|| state_error("no version is known"))?;
        let base = Manifest::parse(base)?;
        let path =
            self.config.state.join("versions").join(format!("out-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let io = |error: std::io::Error| {
            Error::new(ErrorKind::Io, format!("{}: cannot be used for a stream: {error}", path.display()))
        };
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).map_err(io)?;
        // It is there as long as it is open.
        std::fs::remove_file(&path).map_err(io)?;
        let source = SafetensorsSource::open(&live.folder.path)?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        let stats = delta::make_chunks(&base, (&live.manifest, &source), &mut out)?;
        out.flush().map_err(io)?;
        drop(out);
        (&file).rewind().map_err(io)?;
        self.lock().figures.sent_bytes += stats.wire_bytes;
        Ok((file, stats.wire_bytes))
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().is_paused
    }

    /// Where the served version lies.
    pub(super) fn live_folder(&self) -> String {
        let inner = self.lock();
        let folder = inner.live.as_ref().map_or(&self.config.folder, |live| &live.folder.path);
        folder.to_string_lossy().into_owned()
    }

    /// What people call the served version; its digest where nobody named it.
    pub(super) fn live_name(&self) -> Result<String> {
        self.init()?;
        let live = self.lock().live.clone().ok_or_else(|| state_error("no version is known"))?;
        Ok(live.label.clone().unwrap_or_else(|| live.digest.to_string()))
    }

    /// Names the served version.
    pub(super) fn name_live(&self, label: &str) -> Result<()> {
        self.init()?;
        let mut inner = self.lock();
        let live = inner.live.clone().ok_or_else(|| state_error("no version is known"))?;
        inner.live = Some(Arc::new(Version { label: Some(label.to_string()), ..Version::clone(&live) }));
        Ok(())
    }
}
