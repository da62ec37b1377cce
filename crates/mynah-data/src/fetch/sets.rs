//! The table of public data sets: names, where they come from, their licences.

use crate::error::{Error, ErrorKind, Result};

/// A public data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// The name that users give.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its licence, as its publisher states it.
    pub licence: &'static str,
    /// About how large, for people.
    pub size: &'static str,
    /// Where its files are.
    pub source: Source,
}

/// The files of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// These files: name and URL.
    Files(&'static [(&'static str, &'static str)]),
    /// Numbered shards: URL = base + `shard_00000.parquet` up to the last number.
    Shards {
        /// Everything before the file's name.
        base: &'static str,
        /// Number of the last shard.
        last: usize,
    },
}

/// All sets that `mynah data fetch` knows. No checksums: the publishers give none that are fixed.
pub const SETS: &[DataSet] = &[
    DataSet {
        name: "tinyshakespeare",
        about: "plays by Shakespeare, one text file",
        licence: "public-domain text",
        size: "1.1 MB",
        source: Source::Files(&[(
            "tinyshakespeare.txt",
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        )]),
    },
    DataSet {
        name: "tinystories",
        about: "short stories in simple words (TinyStories V2), text files",
        licence: "CDLA-Sharing-1.0",
        size: "2.2 GB",
        source: Source::Files(&[
            (
                "TinyStoriesV2-GPT4-train.txt",
                "https://huggingface.co/datasets/roneneldan/TinyStories/resolve/main/TinyStoriesV2-GPT4-train.txt",
            ),
            (
                "TinyStoriesV2-GPT4-valid.txt",
                "https://huggingface.co/datasets/roneneldan/TinyStories/resolve/main/TinyStoriesV2-GPT4-valid.txt",
            ),
        ]),
    },
    DataSet {
        name: "gsm8k",
        about: "grade-school mathematics problems with worked answers (conversations)",
        licence: "MIT",
        size: "4.9 MB",
        source: Source::Files(&[
            (
                "gsm8k_train.jsonl",
                "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/train.jsonl",
            ),
            (
                "gsm8k_test.jsonl",
                "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/test.jsonl",
            ),
        ]),
    },
    DataSet {
        name: "fineweb-edu",
        about: "educational web pages, shuffled Parquet shards (about 100 MB each)",
        licence: "ODC-By 1.0",
        size: "about 180 GB in 1,823 shards",
        source: Source::Shards {
            base: "https://huggingface.co/datasets/karpathy/fineweb-edu-100b-shuffle/resolve/main/",
            last: 1_822,
        },
    },
    DataSet {
        name: "climbmix",
        about: "a mix of web text (ClimbMix), shuffled Parquet shards (about 100 MB each)",
        licence: "see the data set's page",
        size: "about 650 GB in 6,543 shards",
        source: Source::Shards {
            base: "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main/",
            last: 6_542,
        },
    },
];

/// The set of this name.
///
/// # Errors
/// When there is none; the message lists all names.
pub fn find(name: &str) -> Result<&'static DataSet> {
    SETS.iter().find(|set| set.name == name).ok_or_else(|| {
        let names: Vec<&str> = SETS.iter().map(|set| set.name).collect();
        Error::new(
            ErrorKind::Setting,
            format!("no data set is named \"{name}\"; known are {}", names.join(", ")),
        )
    })
}

/// Names and URLs of a set's files; of shards the first `shards` and the last one, which is for validation.
pub fn source_files(set: &DataSet, shards: usize) -> Vec<(String, String)> {
    match set.source {
        Source::Files(files) => files.iter().map(|(name, url)| (name.to_string(), url.to_string())).collect(),
        Source::Shards { base, last } => {
            let numbers = (0..shards.min(last)).chain((shards > 0).then_some(last));
            numbers
                .map(|number| format!("shard_{number:05}.parquet"))
                .map(|name| (name.clone(), format!("{base}{name}")))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_urls_are_https() {
        let mut names: Vec<&str> = SETS.iter().map(|set| set.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETS.len());
        for set in SETS {
            let files = source_files(set, 2);
            assert!(
                !files.is_empty()
                    && files.iter().all(|(name, url)| url.starts_with("https://") && !name.contains('/'))
            );
        }
    }

    #[test]
    fn shards_are_the_first_ones_and_the_last() {
        let names = |shards| -> Vec<String> {
            source_files(find("fineweb-edu").unwrap(), shards).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(2), ["shard_00000.parquet", "shard_00001.parquet", "shard_01822.parquet"]);
        assert!(names(0).is_empty());
        assert_eq!(names(usize::MAX).len(), 1_823);
        assert!(find("nothing").unwrap_err().to_string().contains("tinystories"));
    }
}
