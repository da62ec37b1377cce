//! All tensors of a model by name, from one file or many.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::files::json::Json;
use crate::files::{Bytes, DType, Tensor, safetensors};

/// A model's single file of weights.
const SINGLE: &str = "model.safetensors";
/// The list of a model's files of weights.
const INDEX: &str = "model.safetensors.index.json";

/// Where a tensor lies.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub file: usize,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub start: usize,
    pub end: usize,
}

/// The tensors of a model.
#[derive(Debug)]
pub(crate) struct Weights {
    files: Vec<Arc<Bytes>>,
    places: BTreeMap<String, Place>,
}

impl Weights {
    /// The tensors in the files of a folder: `model.safetensors`, or the shards of its index.
    ///
    /// # Errors
    /// When files are missing or not sound; the message names file and tensor.
    pub(crate) fn open_folder(folder: &Path) -> Result<Self> {
        let index = folder.join(INDEX);
        let single = folder.join(SINGLE);
        if single.is_file() {
            return Self::open_files(std::slice::from_ref(&single));
        }
        if !index.is_file() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{}: neither {SINGLE} nor {INDEX} is there; weights in other formats (pickled .bin files) are not read, \
                     convert them to safetensors",
                    folder.display()
                ),
            ));
        }
        let json = Json::read(&index)?;
        let map = json.object("weight_map")?;
        let mut names = BTreeSet::new();
        for (tensor, file) in map.entries() {
            let name = file.as_str().filter(|name| is_file_name(name)).ok_or_else(|| {
                Error::format(
                    &index,
                    format!("tensor {tensor}: {file} is not the name of a file in this folder"),
                )
            })?;
            names.insert(name.to_string());
        }
        let paths: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
        if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{}: this file of {} is missing ({} files are listed in {INDEX}); download the model again",
                    missing.display(),
                    folder.display(),
                    paths.len()
                ),
            ));
        }
        let weights = Self::open_files(&paths)?;
        if let Some((tensor, file)) = map.entries().find(|(tensor, _)| !weights.places.contains_key(*tensor))
        {
            return Err(Error::mismatch(format!(
                "{}: tensor {tensor} is listed in {file} but is not there; the files belong to different versions, \
                 download the model again",
                index.display()
            )));
        }
        Ok(weights)
    }

    /// The tensors of safetensors files.
    ///
    /// # Errors
    /// When a file is not sound, or two files have a tensor of the same name.
    pub(crate) fn open_files(paths: &[impl AsRef<Path>]) -> Result<Self> {
        let mut weights = Self { files: Vec::new(), places: BTreeMap::new() };
        for path in paths {
            let file = Bytes::open(path.as_ref())?;
            let number = weights.files.len();
            for (name, entry) in safetensors::entries(&file)? {
                let place = Place {
                    file: number,
                    dtype: entry.dtype,
                    shape: entry.shape,
                    start: entry.start,
                    end: entry.end,
                };
                if weights.places.insert(name.clone(), place).is_some() {
                    return Err(Error::format(
                        path.as_ref(),
                        format!("tensor {name} is also in another file"),
                    ));
                }
            }
            weights.files.push(Arc::new(file));
        }
        Ok(weights)
    }

    /// The tensors of one file whose places are known.
    pub(crate) fn from_places(file: Bytes, places: BTreeMap<String, Place>) -> Self {
        Self { files: vec![Arc::new(file)], places }
    }

    /// Gives the tensors of a language model that is part of a larger one the names they have alone.
    pub(crate) fn unnest(self) -> Self {
        self.rename(|name| match name.strip_prefix("model.language_model.") {
            Some(rest) => format!("model.{rest}"),
            None => name.strip_prefix("language_model.").unwrap_or(name).to_string(),
        })
    }

    /// Gives all tensors other names.
    pub(crate) fn rename(mut self, name: impl Fn(&str) -> String) -> Self {
        let places = std::mem::take(&mut self.places);
        self.places = places.into_iter().map(|(old, place)| (name(&old), place)).collect();
        self
    }

    /// The files, for messages.
    pub(crate) fn files(&self) -> String {
        match self.files.as_slice() {
            [] => "no file".to_string(),
            [file] => file.path().display().to_string(),
            [first, rest @ ..] => format!("{} and {} more", first.path().display(), rest.len()),
        }
    }

    /// Says that the bytes of a tensor are not needed soon.
    pub(crate) fn done_with(&self, name: &str) {
        for name in [name, &format!("{name}_blocks")] {
            if let Some(place) = self.places.get(name) {
                self.files[place.file].done_with(place.start..place.end);
            }
        }
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name) || self.places.contains_key(&format!("{name}_blocks"))
    }

    /// The names of all tensors.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The tensor of this name. Where the file has `NAME_blocks` and `NAME_scales`, they are one tensor of
    /// four-bit floats.
    ///
    /// # Errors
    /// When it is missing.
    pub(crate) fn get(&self, name: &str) -> Result<Tensor<'_>> {
        if let Some(tensor) = self.plain(name) {
            return Ok(tensor);
        }
        if let (Some(mut blocks), Some(scales)) =
            (self.plain(&format!("{name}_blocks")), self.plain(&format!("{name}_scales")))
        {
            let expected = [scales.shape.as_slice(), &[16]].concat();
            blocks.expect(&expected)?;
            if blocks.dtype != DType::U8 || scales.dtype != DType::U8 {
                return Err(Error::mismatch(format!(
                    "{}: tensor {name}_blocks and its scales must have type U8",
                    blocks.path.display()
                )));
            }
            blocks.name = name.to_string();
            blocks.dtype = DType::Mxfp4;
            blocks.shape = scales.shape.clone();
            if let Some(last) = blocks.shape.last_mut() {
                *last *= 32;
            }
            blocks.scales = scales.bytes;
            return Ok(blocks);
        }
        Err(Error::mismatch(format!(
            "{}: tensor {name} is missing; the weights belong to another configuration or are not complete",
            self.files()
        )))
    }

    fn plain(&self, name: &str) -> Option<Tensor<'_>> {
        let place = self.places.get(name)?;
        let file = &self.files[place.file];
        Some(Tensor {
            name: name.to_string(),
            path: file.path(),
            dtype: place.dtype,
            shape: place.shape.clone(),
            bytes: &file[place.start..place.end],
            scales: &[],
        })
    }

    /// The tensor of this name with a share in its file, for values that are read later.
    pub(crate) fn keep(&self, name: &str) -> Result<Kept> {
        let tensor = self.get(name)?;
        tensor.expect_floats()?;
        let place = self.places.get(name).ok_or_else(|| {
            Error::unsupported(format!("{}: tensor {name} has no plain type", tensor.path.display()))
        })?;
        Ok(Kept { name: name.to_string(), file: Arc::clone(&self.files[place.file]), place: place.clone() })
    }
}

/// A tensor whose file stays open.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    name: String,
    file: Arc<Bytes>,
    place: Place,
}

impl Kept {
    /// The tensor.
    pub(crate) fn tensor(&self) -> Tensor<'_> {
        Tensor {
            name: self.name.clone(),
            path: self.file.path(),
            dtype: self.place.dtype,
            shape: self.place.shape.clone(),
            bytes: &self.file[self.place.start..self.place.end],
            scales: &[],
        }
    }
}

/// Only names in the folder itself: an index may not make us read elsewhere.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != ".." && name != "."
}
