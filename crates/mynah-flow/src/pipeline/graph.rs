//! Who comes after whom, and whether that is possible.

use std::collections::{BTreeMap, BTreeSet};

use super::{Stage, StageId};
use crate::error::{Error, Result};
use crate::path::clip;

/// Fills in `after` from needs, and from inputs that other stages make.
pub(super) fn link(stages: &mut [Stage], needs: &[Vec<String>]) -> Result<()> {
    let mut names = BTreeMap::new();
    for (index, stage) in stages.iter().enumerate() {
        if names.insert(stage.name.clone(), index).is_some() {
            return Err(Error::pipeline(format!("two stages are named {:?}; names are unique", stage.name)));
        }
    }
    refuse_shared_outputs(stages)?;
    // Per stage: whom it comes after, and why.
    let mut reasons: Vec<BTreeMap<usize, String>> = vec![BTreeMap::new(); stages.len()];
    for (index, list) in needs.iter().enumerate() {
        for need in list {
            let Some(target) = names.get(need) else {
                let message =
                    format!("stage {:?} needs {:?}, which is no stage", stages[index].name, clip(need));
                return Err(Error::pipeline(message + &suggestion(need, names.keys())));
            };
            reasons[index].entry(*target).or_insert_with(|| "needs it".to_string());
        }
    }
    let outputs: Vec<(usize, &crate::path::FlowPath)> = stages
        .iter()
        .enumerate()
        .flat_map(|(i, stage)| stage.outputs.iter().map(move |output| (i, output)))
        .collect();
    for (index, stage) in stages.iter().enumerate() {
        for (maker, output) in &outputs {
            if *maker != index && stage.inputs.iter().any(|input| input.meets(output)) {
                reasons[index].entry(*maker).or_insert_with(|| format!("reads {output}"));
            }
        }
    }
    if let Some(cycle) = cycle(&reasons) {
        let mut text = format!("{:?}", stages[cycle[0]].name);
        for (at, stage) in cycle.iter().enumerate() {
            let next = cycle[(at + 1) % cycle.len()];
            text += &format!(" after {:?} ({})", stages[next].name, reasons[*stage][&next]);
        }
        return Err(Error::pipeline(format!("the stages wait for each other: {text}")));
    }
    for (stage, reasons) in stages.iter_mut().zip(reasons) {
        stage.after = reasons.into_keys().map(StageId).collect();
    }
    Ok(())
}

fn refuse_shared_outputs(stages: &[Stage]) -> Result<()> {
    let mut outputs: Vec<_> = stages
        .iter()
        .flat_map(|stage| stage.outputs.iter().map(move |output| (output, &stage.name)))
        .collect();
    outputs.sort();
    // In this order a folder stands right before the first of what is in it.
    for pair in outputs.windows(2) {
        let ((first, first_stage), (second, second_stage)) = (pair[0], pair[1]);
        if first.contains(second) {
            return Err(Error::pipeline(match first_stage == second_stage {
                true => format!("stage {first_stage:?} names the output {second} twice (also as {first})"),
                false => format!(
                    "the output {second} of stage {second_stage:?} is claimed by stage {first_stage:?} too (as {first}); \
                     give each its own folder"
                ),
            }));
        }
    }
    Ok(())
}

/// A cycle, each followed by one it comes after; nothing when there is none.
fn cycle(after: &[BTreeMap<usize, String>]) -> Option<Vec<usize>> {
    let mut done: BTreeSet<usize> = BTreeSet::new();
    // Takes away whatever waits for nothing that is left.
    loop {
        let free: Vec<usize> = (0..after.len())
            .filter(|stage| !done.contains(stage) && after[*stage].keys().all(|need| done.contains(need)))
            .collect();
        if free.is_empty() {
            break;
        }
        done.extend(free);
    }
    // Everything left waits for something left: walking on must come back to where one was.
    let mut walk = vec![(0..after.len()).find(|stage| !done.contains(stage))?];
    loop {
        let here = walk[walk.len() - 1];
        let next = *after[here].keys().find(|need| !done.contains(need))?;
        if let Some(at) = walk.iter().position(|stage| *stage == next) {
            return Some(walk.split_off(at));
        }
        walk.push(next);
    }
}

/// The name that was probably meant.
fn suggestion<'a>(wanted: &str, names: impl Iterator<Item = &'a String>) -> String {
    let near = names.map(|name| (distance(wanted, name), name)).min();
    match near {
        Some((distance, name)) if distance <= 2 => format!("; is {name:?} meant?"),
        _ => String::new(),
    }
}

/// Levenshtein's distance over bytes, for names of at most 64.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(64)], b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{ErrorKind, Pipeline};

    fn refused(text: &str, says: &str) {
        let error = Pipeline::parse(text, Path::new(".")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Pipeline);
        assert!(error.to_string().contains(says), "{error}\n--- should say: {says}");
    }

    fn stage(name: &str, rest: &str) -> String {
        format!("[[stage]]\nname = \"{name}\"\ncommand = [\"true\"]\n{rest}\n")
    }

    #[test]
    fn order_comes_from_needs_and_inputs() {
        let text = stage("c", "inputs = [\"x/*.txt\"]")
            + &stage("a", "outputs = [\"x/1.txt\"]")
            + &stage("b", "outputs = [\"x/2.txt\", \"y\"]\nneeds = [\"a\"]")
            + &stage("d", "inputs = [\"y/deep/file\"]");
        let pipeline = Pipeline::parse(&text, Path::new("somewhere")).unwrap();
        let after = |name: &str| -> Vec<&str> {
            let stage = pipeline.stage(pipeline.find(name).unwrap());
            stage.after.iter().map(|id| pipeline.stage(*id).name.as_str()).collect()
        };
        assert_eq!(after("a"), [""; 0]);
        assert_eq!(after("b"), ["a"]);
        assert_eq!(after("c"), ["a", "b"]);
        assert_eq!(after("d"), ["b"]);
        assert_eq!(pipeline.name, "somewhere");
    }

    #[test]
    fn impossible_graphs_are_named() {
        let cycle = stage("a", "needs = [\"c\"]")
            + &stage("b", "inputs = [\"x\"]\noutputs = [\"y\"]")
            + &stage("c", "inputs = [\"y\"]\noutputs = [\"x\"]");
        refused(&cycle, "wait for each other: \"c\" after \"b\" (reads y) after \"c\" (reads x)");
        refused(&stage("a", "needs = [\"a\"]"), "\"a\" after \"a\" (needs it)");
        refused(&(stage("train", "") + &stage("b", "needs = [\"trian\"]")), "is \"train\" meant?");
        refused(&(stage("a", "") + &stage("a", "")), "two stages are named \"a\"");
        refused(&stage("a", "outputs = [\"x\", \"x/y\"]"), "names the output x/y twice");
        let both = stage("a", "outputs = [\"x\"]") + &stage("b", "outputs = [\"x/y\"]");
        refused(&both, "the output x/y of stage \"b\" is claimed by stage \"a\" too");
        refused(&stage("a", "inputs = [\"*\"]\noutputs = [\"x\"]"), "reads what it makes");
    }

    #[test]
    fn hostile_texts_are_refused_with_a_place() {
        refused("", "there is no stage");
        refused("name = 1", "line 1");
        refused("[[stage]]\nname = \"a\"\nsurprise = 1", "line 3");
        refused("[[stage]]\nname = \"a\"\ncommand = \"rm -rf x\"", "line 3");
        refused("[[stage]]\nname = \"a\"", "neither command");
        refused("[[stage]]\nname = \"a\"\ncommand = []", "empty command");
        refused("[[stage]]\nname = \"a\"\ncommand = [\"x\"]\nmynah = [\"y\"]", "keep one");
        refused("[[stage]]\nname = \"../a\"\ncommand = [\"x\"]", "is not 1 to 64");
        refused(&stage("a", "outputs = [\"../x\"]"), "stage \"a\": the path \"../x\" leaves the folder");
        refused(&stage("a", "inputs = [\"/etc/passwd\"]"), "is absolute");
        refused(&stage("a", "outputs = [\".mynah-flow/cache\"]"), "the flow's own");
        refused(&stage("a", "outputs = [\"*.txt\"]"), "is a glob");
        refused(&stage("a", "env = [\"A B\"]"), "is not NAME");
        refused(&stage("a", "timeout_s = 0"), "timeout_s = 0");
        refused(&stage("a", "resume = { path = \"../x\", arguments = [\"a\"] }"), "leaves the folder");
        refused(&stage("a", "resume = { path = \"x\", arguments = [] }"), "empty command");
        refused(&stage("a", "timeout_s = nan"), "timeout_s = NaN");
        refused(&stage("a", "backoff_s = inf"), "backoff_s = inf");
        refused(&stage("a", "retries = 4000000000"), "more than 100");
        refused(&stage("a", "retries = -1"), "line 4");
        refused(&stage("a", "cpus = 0"), "cpus = 0");
        refused(&stage("a", "gate = \"e.json:x <= 1\""), "neither an output nor an input");
        refused(&stage("a", "gate = \"e.json:x\"\noutputs = [\"e.json\"]"), "expected a comparison");
        refused(&format!("x = {}1{}", "[".repeat(100_000), "]".repeat(100_000)), "line 1");
        refused(&"#".repeat(2 << 20), "larger than");
        refused(&stage("a", "").repeat(1_001), "more than 1000");
    }

    #[test]
    fn no_changed_byte_makes_it_panic() {
        let text = stage(
            "a",
            "outputs = [\"x/y\", \"e.json\"]\ngate = \"e.json:a.b <= 1.5 and not (1 = 2)\"",
        ) + &stage(
            "b",
            "inputs = [\"x/**\", \"e.json\"]\nneeds = [\"a\"]\nenv = [\"A=1\", \"B\"]\ntimeout_s = 1.5",
        );
        let mut rng = mynah_base::Rng::new(5);
        let mut refused = 0;
        for _ in 0..3_000 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..3 {
                let at = (rng.uniform() * bytes.len() as f64) as usize;
                bytes[at] = (rng.uniform() * 128.0) as u8;
            }
            let text = String::from_utf8(bytes).unwrap();
            if let Err(error) = Pipeline::parse(&text, Path::new(".")) {
                assert!(error.kind() == ErrorKind::Pipeline && !error.to_string().contains('\n'), "{error}");
                refused += 1;
            }
        }
        assert!((1_000..3_000).contains(&refused), "{refused}");
    }
}
