//! The report of a run: what was done, on what, how long it took, how good it is.
//!
//! One value, three forms: Markdown for repositories, a self-contained HTML page for people, JSON for
//! scripts. The page loads nothing from outside and follows the reader's light or dark setting.

pub mod chart;
mod html;
mod markdown;
mod system;

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use chart::{Chart, Series};
pub use system::{facts, peak_memory_bytes};

use crate::failure::{Failure, Result};

/// Everything a report says.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub title: String,
    /// Said in a box under the title, for instance that this was a smoke run.
    pub notice: Option<String>,
    /// The command that made the run, ready to paste.
    pub command: String,
    /// The figures to see first: (name, value).
    pub highlights: Vec<(String, String)>,
    pub stages: Vec<Stage>,
    pub scores: Vec<Score>,
    pub charts: Vec<Chart>,
    /// Questions with the model's answers.
    pub conversations: Vec<Exchange>,
    /// Texts the base model wrote: (prompt, continuation).
    pub samples: Vec<(String, String)>,
    /// (name, value) of the model and training settings.
    pub settings: Vec<(String, String)>,
    pub system: Vec<(String, String)>,
}

/// One stage of the run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    pub seconds: f64,
    /// What came out, in a few words.
    pub result: String,
}

/// One line of the table of scores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Score {
    pub name: String,
    /// As printed: `96.0%`, `0.912`.
    pub value: String,
    /// How it was measured: number of questions, what counts as right.
    pub note: String,
    /// The same as a number for scripts; a share is between 0 and 1.
    pub number: f64,
}

/// One question and its answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Exchange {
    pub question: String,
    pub answer: String,
    /// What the tool was asked and what it said, in order.
    pub tool_calls: Vec<(String, String)>,
}

/// Writes `report.md` (with its pictures), `report.html` and `report.json` into a folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(report: &Report, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::io("cannot create the folder", folder, &error))?;
    let pictures: Vec<(String, String)> =
        report.charts.iter().map(|c| (format!("{}.svg", slug(&c.title)), chart::svg(c))).collect();
    let names: Vec<&str> = pictures.iter().map(|(name, _)| name.as_str()).collect();
    let mut files = vec![
        ("report.md".to_string(), markdown::render(report, &names)),
        ("report.html".to_string(), html::render(report)),
        ("report.json".to_string(), json(report)),
    ];
    files.extend(pictures);
    for (name, text) in files {
        let path = folder.join(name);
        mynah_base::write_atomic(&path, |writer| writer.write_all(text.as_bytes()))
            .map_err(|error| Failure::io("cannot write", &path, &error))?;
    }
    Ok(())
}

fn json(report: &Report) -> String {
    let pairs = |pairs: &[(String, String)]| -> serde_json::Map<String, serde_json::Value> {
        pairs.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
    };
    let value = serde_json::json!({
        "title": report.title,
        "notice": report.notice,
        "command": report.command,
        "highlights": pairs(&report.highlights),
        "stages": report.stages,
        "scores": report.scores,
        "conversations": report.conversations,
        "samples": report.samples,
        "settings": pairs(&report.settings),
        "system": pairs(&report.system),
    });
    format!("{value:#}\n")
}

/// `Training loss` → `training-loss`.
fn slug(title: &str) -> String {
    let lower = title.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join("-")
}

/// Test helper: a report with something in every part.
#[cfg(test)]
pub fn example() -> Report {
    let text = |s: &str| s.to_string();
    let curve =
        |scale: f64| (0..600).map(|i| (f64::from(i), scale + 4.0 / (1.0 + f64::from(i) / 40.0))).collect();
    Report {
        title: text("Mynah speedrun"),
        notice: Some(text("A smoke run: the figures mean nothing.")),
        command: text("mynah speedrun --depth 4"),
        highlights: vec![(text("bits per byte"), text("1.234")), (text("parameters"), text("4.2M"))],
        stages: vec![
            Stage { name: text("tokenizer"), seconds: 3.0, result: text("4,096 tokens") },
            Stage { name: text("pretraining"), seconds: 240.0, result: text("600 steps") },
        ],
        scores: vec![Score {
            name: text("spelling"),
            value: text("96%"),
            note: text("50 | words"),
            number: 0.96,
        }],
        charts: vec![Chart {
            title: text("Training loss"),
            x_label: text("step"),
            y_label: text("loss"),
            series: vec![
                Series { name: text("training"), points: curve(1.0), dots: false },
                Series {
                    name: text("validation"),
                    points: vec![(0.0, 5.0), (300.0, 1.6), (599.0, 1.4)],
                    dots: true,
                },
            ],
        }],
        conversations: vec![Exchange {
            question: text("What is 17 + 25?"),
            answer: text("17 + 25 = 42 <ok>"),
            tool_calls: vec![(text("17+25"), text("42"))],
        }],
        samples: vec![(text("Once upon a time"), text(" there was a small bird."))],
        settings: vec![(text("depth"), text("4"))],
        system: vec![(text("processor"), text("a fine one"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_complete_and_self_contained() {
        let dir = tempfile::tempdir().unwrap();
        write(&example(), dir.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let (page, markdown) = (read("report.html"), read("report.md"));
        for part in ["mynah speedrun --depth 4", "17+25", "42 &lt;ok&gt;", "small bird", "smoke run", "<svg"]
        {
            assert!(page.contains(part), "{part}");
        }
        for outside in ["src=\"http", "href=\"http", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(markdown.contains("![Training loss](training-loss.svg)"));
        assert!(markdown.contains("50 \\| words"), "a pipe must not break the table");
        assert!(read("training-loss.svg").starts_with("<svg"));
        let json: serde_json::Value = serde_json::from_str(&read("report.json")).unwrap();
        assert_eq!(json["scores"][0]["number"], 0.96);
    }
}
