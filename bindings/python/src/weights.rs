//! Versions of weights: named by their content, and the exact differences between them.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use mynah_swap::delta::{self, MemorySink, SafetensorsSink};
use mynah_swap::manifest::{BuildOptions, Identity, OPENSSF_PATH, build};
use mynah_swap::plan::{Plan, PlanOptions};
use mynah_swap::source::{MemorySource, SafetensorsSource, TensorInfo, TensorSource, group_by_name};
use mynah_swap::{DType, ErrorKind, Hash, Manifest};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;

/// A tensor as Python gives it: name, dtype, shape, bytes.
type Given<'py> = (String, String, Vec<u64>, PyBuffer<u8>);

/// A version of weights: tensors with their manifest.
#[pyclass(frozen, module = "mynah._native")]
pub struct Weights {
    manifest: Manifest,
    source: Arc<dyn TensorSource + Send + Sync>,
}

/// What `mynah-swap` said.
fn swap(py: Python<'_>, error: &mynah_swap::Error) -> PyErr {
    let class = match error.kind() {
        ErrorKind::Argument | ErrorKind::Format | ErrorKind::Unsupported => "InvalidError",
        ErrorKind::Mismatch => "MismatchError",
        ErrorKind::Io => "StorageError",
        _ => "StateError",
    };
    errors::exception(py, class, error.to_string())
}

#[pymethods]
impl Weights {
    /// The weights of a folder of safetensors; every byte is read.
    #[staticmethod]
    #[pyo3(signature = (folder, model, epoch, parent))]
    fn open(
        py: Python<'_>,
        folder: PathBuf,
        model: Option<String>,
        epoch: Option<u64>,
        parent: Option<String>,
    ) -> PyResult<Weights> {
        py.detach(|| {
            let source = SafetensorsSource::open(&folder)?;
            let path = folder.join(OPENSSF_PATH);
            if model.is_none() && epoch.is_none() && path.is_file() {
                return Ok((Manifest::load(&path)?, source));
            }
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            let model = model.or(name).unwrap_or_default();
            let options = options(epoch, parent)?;
            Ok((build(&source, &Identity::of_folder(&model, &folder)?, &options)?, source))
        })
        .map(|(manifest, source)| Weights { manifest, source: Arc::new(source) })
        .map_err(|error| swap(py, &error))
    }

    /// Weights in memory; the bytes are copied.
    #[staticmethod]
    #[pyo3(signature = (tensors, model, epoch, parent, partial))]
    fn of(
        py: Python<'_>,
        tensors: Vec<Given<'_>>,
        model: String,
        epoch: Option<u64>,
        parent: Option<String>,
        partial: bool,
    ) -> PyResult<Weights> {
        let mut infos = Vec::with_capacity(tensors.len());
        let mut data = Vec::with_capacity(tensors.len());
        for (name, dtype, shape, buffer) in tensors {
            let dtype: DType = dtype.parse().map_err(|error| swap(py, &error))?;
            infos.push(TensorInfo { name, dtype, shape, part: None, group: None });
            data.push(buffer.to_vec(py)?);
        }
        group_by_name(&mut infos);
        py.detach(|| {
            let mut source = MemorySource::new();
            for (info, bytes) in infos.into_iter().zip(data) {
                source.add(info, bytes)?;
            }
            let identity = Identity { model, ..Identity::default() };
            let options = BuildOptions { is_partial: partial, ..options(epoch, parent)? };
            Ok((build(&source, &identity, &options)?, source))
        })
        .map(|(manifest, source)| Weights { manifest, source: Arc::new(source) })
        .map_err(|error| swap(py, &error))
    }

    /// The version's name.
    #[getter]
    fn version(&self) -> String {
        self.manifest.digest().to_string()
    }

    /// Names, dtypes and shapes.
    fn tensors(&self) -> Vec<(String, &'static str, Vec<u64>)> {
        let list = self.manifest.tensors().iter();
        list.map(|tensor| (tensor.name.clone(), tensor.dtype.name(), tensor.shape.clone())).collect()
    }

    /// The bytes of a tensor; nothing when there is none of this name.
    fn read<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let tensors = self.source.tensors();
        let Some(place) = tensors.iter().position(|tensor| tensor.name == name) else { return Ok(None) };
        let info = &tensors[place];
        let size = info.dtype.size_bytes(&info.shape).unwrap_or(0);
        let mut bytes = vec![0; size as usize];
        py.detach(|| self.source.read(place, 0, &mut bytes)).map_err(|error| swap(py, &error))?;
        Ok(Some(PyBytes::new(py, &bytes)))
    }

    /// The manifest as JSON text.
    fn json(&self) -> String {
        self.manifest.to_json(false).to_string()
    }

    /// What a server needs to get from `base` here, as JSON text.
    fn plan(&self, py: Python<'_>, base: &Weights) -> PyResult<String> {
        let whole = self.manifest.onto(&base.manifest).map_err(|error| swap(py, &error))?;
        let plan = py.detach(|| Plan::new(Some(&base.manifest), &whole, &PlanOptions::default()));
        plan.map(|plan| plan.to_json(&whole).to_string()).map_err(|error| swap(py, &error))
    }

    /// The stream from `base` here.
    fn delta<'py>(&self, py: Python<'py>, base: &Weights) -> PyResult<Bound<'py, PyBytes>> {
        let mut stream = Vec::new();
        py.detach(|| {
            let (from, to) =
                ((&base.manifest, &*base.source as &dyn TensorSource), (&self.manifest, &*self.source as _));
            delta::make(from, to, &mut stream)
        })
        .map_err(|error| swap(py, &error))?;
        Ok(PyBytes::new(py, &stream))
    }

    /// The version that a stream leads to; every chunk is checked.
    fn apply(&self, py: Python<'_>, stream: &[u8]) -> PyResult<Weights> {
        py.detach(|| {
            let mut sink = MemorySink::new();
            let from = (&self.manifest, &*self.source as &dyn TensorSource);
            let manifest = delta::apply(from, &mut Cursor::new(stream), &mut sink)?;
            Ok((manifest, sink.into_source()?))
        })
        .map(|(manifest, source)| Weights { manifest, source: Arc::new(source) })
        .map_err(|error| swap(py, &error))
    }

    /// Names of the tensors whose content is not that of `base`.
    fn changed(&self, base: &Weights) -> Vec<String> {
        let before = |name: &str, part| base.manifest.find(name, part).map(|at| &base.manifest.tensors()[at]);
        let differs = |tensor: &&mynah_swap::manifest::Tensor| {
            before(&tensor.name, tensor.part).is_none_or(|old| {
                old.content() != tensor.content() || old.dtype != tensor.dtype || old.shape != tensor.shape
            })
        };
        self.manifest.tensors().iter().filter(differs).map(|tensor| tensor.name.clone()).collect()
    }

    /// Writes `model.safetensors` and the manifest into a folder.
    fn save(&self, py: Python<'_>, folder: PathBuf) -> PyResult<()> {
        std::fs::create_dir_all(&folder)
            .map_err(|error| errors::file("cannot create the folder", &folder, &error))?;
        py.detach(|| {
            let head = self.manifest.head();
            let nothing = Manifest::nothing(&head.model, head.chunk_bytes)?;
            let (from, empty) = (MemorySource::new(), MemorySource::new());
            let mut stream = Vec::new();
            delta::make((&nothing, &empty), (&self.manifest, &*self.source as _), &mut stream)?;
            let mut sink = SafetensorsSink::new(&folder.join("model.safetensors"))?;
            delta::apply((&nothing, &from), &mut Cursor::new(stream), &mut sink)?;
            self.manifest.save(&folder.join(OPENSSF_PATH))
        })
        .map_err(|error| swap(py, &error))
    }
}

fn options(epoch: Option<u64>, parent: Option<String>) -> mynah_swap::Result<BuildOptions> {
    let default = BuildOptions::default();
    let parent = parent.map(|text| text.parse::<Hash>()).transpose()?;
    Ok(BuildOptions { epoch: epoch.unwrap_or(default.epoch), parent, ..default })
}
