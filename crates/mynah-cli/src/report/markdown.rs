//! The report as Markdown.

use std::fmt::Write as _;

use super::Report;

/// The whole page; `pictures` are the chart files beside it, in the order of the charts.
pub fn render(report: &Report, pictures: &[&str]) -> String {
    let mut out = format!("# {}\n\n", report.title);
    if let Some(notice) = &report.notice {
        let _ = writeln!(out, "> {notice}\n");
    }
    let _ = writeln!(out, "```\n{}\n```\n", report.command);
    pairs(&mut out, &report.highlights);
    if !report.scores.is_empty() {
        out.push_str("## Scores\n\n| what | result | how it was measured |\n|---|---:|---|\n");
        for score in &report.scores {
            let _ =
                writeln!(out, "| {} | {} | {} |", cell(&score.name), cell(&score.value), cell(&score.note));
        }
        out.push('\n');
    }
    if !report.stages.is_empty() {
        out.push_str("## Stages\n\n| stage | time | result |\n|---|---:|---|\n");
        for stage in &report.stages {
            let time = mynah_base::units::duration(stage.seconds);
            let _ = writeln!(out, "| {} | {time} | {} |", cell(&stage.name), cell(&stage.result));
        }
        let total = report.stages.iter().map(|stage| stage.seconds).sum();
        let _ = writeln!(out, "| **total** | **{}** | |\n", mynah_base::units::duration(total));
    }
    if !report.charts.is_empty() {
        out.push_str("## Curves\n\n");
        for (chart, file) in report.charts.iter().zip(pictures) {
            let _ = writeln!(out, "![{}]({file})\n", chart.title);
        }
    }
    if !report.conversations.is_empty() {
        out.push_str("## Conversations\n\n");
        for exchange in &report.conversations {
            let _ = writeln!(out, "**User:** {}\n", one_line(&exchange.question));
            for (call, answer) in &exchange.tool_calls {
                let _ = writeln!(out, "*calculator:* `{}` → `{}`\n", one_line(call), one_line(answer));
            }
            let _ = writeln!(out, "**Mynah:** {}\n", one_line(&exchange.answer));
        }
    }
    if !report.samples.is_empty() {
        out.push_str("## Texts of the base model\n\n");
        for (prompt, text) in &report.samples {
            let _ = writeln!(out, "> **{}**{}\n", one_line(prompt), one_line_keep_space(text));
        }
    }
    if !report.settings.is_empty() {
        out.push_str("## Settings\n\n");
        pairs(&mut out, &report.settings);
    }
    if !report.system.is_empty() {
        out.push_str("## System\n\n");
        pairs(&mut out, &report.system);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn pairs(out: &mut String, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    out.push_str("| | |\n|---|---|\n");
    for (name, value) in pairs {
        let _ = writeln!(out, "| {} | {} |", cell(name), cell(value));
    }
    out.push('\n');
}

/// Text inside a table: one line, pipes escaped.
fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('<', "\\<")
}

/// Like [`one_line`], but a text that begins with a space keeps it, to continue a prompt.
fn one_line_keep_space(text: &str) -> String {
    let space = if text.starts_with(char::is_whitespace) { " " } else { "" };
    format!("{space}{}", one_line(text))
}
