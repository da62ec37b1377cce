//! Ranks files as `tiktoken` reads them: base64 of the token, a space, its rank, a line each.

use std::io::Write;
use std::path::Path;

use super::{base64, read_text};
use crate::error::{Error, Result};
use crate::pattern::Pattern;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{Tokens, VOCABULARY_SIZE_MAX, WholeChunks, all_merges, recover_merges};

pub(crate) fn save(tokenizer: &Tokenizer, path: &Path) -> Result<()> {
    let vocabulary = tokenizer.vocabulary();
    mynah_base::write_atomic(path, |file| {
        for id in (0..vocabulary.len() as u32).filter(|&id| !vocabulary.is_special(id)) {
            writeln!(file, "{} {id}", base64::encode(vocabulary.token(id)))?;
        }
        Ok(())
    })
    .map_err(|error| Error::io("write this tokenizer file", path, &error))
}

pub(crate) fn load(path: &Path, pattern: Pattern) -> Result<Tokenizer> {
    parse(&read_text(path)?, pattern).map_err(|error| error.in_file(path))
}

fn parse(text: &str, pattern: Pattern) -> Result<Tokenizer> {
    let mut ranked: Vec<Option<Vec<u8>>> = Vec::new();
    let mut count = 0;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let number = number + 1;
        let wrong = |what: &str| Error::format(format!("line {number}: {what}"));
        let (token, rank) =
            line.split_once(' ').ok_or_else(|| wrong("not `base64 rank`: is this a ranks file?"))?;
        let token = base64::decode(token).ok_or_else(|| wrong("the token is not valid base64"))?;
        let rank: usize = rank.parse().map_err(|_| wrong("the rank is not a number"))?;
        if rank >= VOCABULARY_SIZE_MAX {
            return Err(wrong(&format!("rank {rank} is beyond the {VOCABULARY_SIZE_MAX} supported")));
        }
        if ranked.len() <= rank {
            ranked.resize(rank + 1, None);
        }
        if ranked[rank].replace(token).is_some() {
            return Err(wrong(&format!("rank {rank} is given twice")));
        }
        count += 1;
    }
    if let Some(hole) = ranked.iter().position(Option::is_none) {
        return Err(Error::format(format!(
            "no token has rank {hole}, though {count} tokens have ranks up to {}",
            ranked.len() - 1
        )));
    }
    let tokens: Vec<Vec<u8>> = ranked.into_iter().flatten().collect();
    let tokens = Tokens { special: vec![false; tokens.len()], tokens };
    let merges = match recover_merges(&tokens) {
        Some(merges) => merges,
        None => all_merges(&tokens)?,
    };
    Tokenizer::from_parts(tokens, merges, WholeChunks::Always, pattern)
}
