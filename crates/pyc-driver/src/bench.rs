//! Programs timed against other Pythons: in turns, with their outputs compared.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use pyc_host::Error;

/// One way to run programs: a name, and the words before the program's file.
#[derive(Clone, Debug)]
pub struct Runner {
    /// How reports call it.
    pub name: String,
    /// The command; the program's file is added.
    pub command: Vec<String>,
}

/// What was measured of a program.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Seconds of each runner's rounds, in the order of the runners.
    pub seconds: Vec<Vec<f64>>,
    /// Runners whose output or exit code differs from the first's.
    pub differing: Vec<usize>,
    /// Exit codes; -1 for one that a signal ended.
    pub exits: Vec<i32>,
}

impl Measured {
    /// The middle of a runner's times.
    pub fn median(&self, runner: usize) -> f64 {
        let mut sorted = self.seconds[runner].clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
        }
    }
}

/// Runs a program under every runner, `rounds` times each, in turns: what disturbs the machine disturbs all alike.
///
/// # Errors
/// When a runner cannot be started.
pub fn bench(program: &Path, runners: &[Runner], rounds: usize) -> Result<Measured, Error> {
    let mut measured = Measured {
        seconds: vec![Vec::new(); runners.len()],
        differing: Vec::new(),
        exits: vec![0; runners.len()],
    };
    let mut first = None;
    for _ in 0..rounds.max(1) {
        for (at, runner) in runners.iter().enumerate() {
            let Some((name, arguments)) = runner.command.split_first() else { continue };
            let started = Instant::now();
            let output = Command::new(name)
                .args(arguments)
                .arg(program)
                .stdin(Stdio::null())
                .env("PYTHONHASHSEED", "0")
                .output()
                .map_err(|e| Error::new(format!("cannot run '{name}': {e}")))?;
            measured.seconds[at].push(started.elapsed().as_secs_f64());
            let exit = output.status.code().unwrap_or(-1);
            measured.exits[at] = exit;
            let ending = (exit, output.stdout);
            match &first {
                None => first = Some(ending),
                Some(expect) if *expect != ending && !measured.differing.contains(&at) => {
                    measured.differing.push(at)
                }
                Some(_) => {}
            }
        }
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_compared() {
        let runner = |command: &[&str]| Runner {
            name: command[0].into(),
            command: command.iter().map(|w| w.to_string()).collect(),
        };
        let runners = [runner(&["echo", "a"]), runner(&["echo", "a"]), runner(&["echo", "b"])];
        let measured = bench(Path::new("x"), &runners, 2).unwrap();
        assert_eq!((measured.differing, measured.exits), (vec![2], vec![0, 0, 0]));
        assert!(bench(Path::new("x"), &[runner(&["no-such-program-here"])], 1).is_err());
    }

    #[test]
    fn medians() {
        let of = |seconds: &[f64]| {
            Measured { seconds: vec![seconds.to_vec()], differing: vec![], exits: vec![0] }.median(0)
        };
        assert_eq!((of(&[3.0, 1.0, 2.0]), of(&[4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
    }
}
