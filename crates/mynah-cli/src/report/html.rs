//! The report as one HTML page that loads nothing.

use std::fmt::Write as _;

use mynah_base::text::escape_markup as escape;

use super::chart::svg;
use super::{Report, Stage};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1f2430;--soft:#5c6473;--page:#f7f8fa;--card:#fff;--line:#e3e6ec;--tint:#eaf1ff;--blue:#2f6feb}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8ee;--soft:#9aa3b2;--page:#12151b;--card:#1a1f28;--line:#2b313d;--tint:#1d2a44;--blue:#6ea8fe}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}
main{max-width:880px;margin:0 auto;padding:40px 20px 80px}h1{font-size:28px;margin:0 0 4px}h2{font-size:18px;margin:40px 0 12px}
p{margin:8px 0}.soft{color:var(--soft)}.notice{border-left:4px solid var(--blue);background:var(--tint);padding:10px 14px;border-radius:6px}
pre,code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px;overflow-x:auto;white-space:pre-wrap;word-break:break-word}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.card b{display:block;font-size:24px;line-height:1.25;font-variant-numeric:tabular-nums}.card span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden}
th,td{text-align:left;padding:8px 14px;border-top:1px solid var(--line);vertical-align:top}tr:first-child>*{border-top:0}
th{font-weight:600;color:var(--soft);font-size:13px}td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.bar{height:6px;border-radius:3px;background:var(--blue);min-width:2px;margin-top:6px}
.figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px;margin:12px 0}.figure svg{width:100%;height:auto;display:block}
.talk{display:flex;flex-direction:column;gap:8px;margin:0 0 22px}.say{max-width:82%;padding:9px 14px;border-radius:14px;white-space:pre-wrap;overflow-wrap:anywhere}
.user{align-self:flex-end;background:var(--tint)}.mynah{align-self:flex-start;background:var(--card);border:1px solid var(--line)}
.tool{align-self:flex-start;color:var(--soft);font-size:13px}blockquote{margin:0 0 14px;padding:12px 16px;background:var(--card);border:1px solid var(--line);border-radius:10px;white-space:pre-wrap;overflow-wrap:anywhere}
footer{margin-top:48px;color:var(--soft);font-size:13px}";

/// The whole page.
pub fn render(report: &Report) -> String {
    let title = escape(&report.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<main>\n<h1>{title}</h1>\n"
    );
    if let Some(notice) = &report.notice {
        let _ = writeln!(out, "<p class=\"notice\">{}</p>", escape(notice));
    }
    let _ = writeln!(out, "<pre>{}</pre>", escape(&report.command));
    cards(&mut out, &report.highlights);
    if !report.scores.is_empty() {
        out.push_str(
            "<h2>Scores</h2>\n<table><tr><th>what<th class=\"n\">result<th>how it was measured</tr>\n",
        );
        for score in &report.scores {
            let _ = writeln!(
                out,
                "<tr><td>{}<td class=\"n\"><b>{}</b><td class=\"soft\">{}</tr>",
                escape(&score.name),
                escape(&score.value),
                escape(&score.note)
            );
        }
        out.push_str("</table>\n");
    }
    if !report.charts.is_empty() {
        out.push_str("<h2>Curves</h2>\n");
        for chart in &report.charts {
            let _ = writeln!(out, "<div class=\"figure\">{}</div>", svg(chart));
        }
    }
    if !report.conversations.is_empty() {
        out.push_str("<h2>Conversations</h2>\n");
        for exchange in &report.conversations {
            let _ = writeln!(
                out,
                "<div class=\"talk\"><div class=\"say user\">{}</div>",
                escape(exchange.question.trim())
            );
            for (call, answer) in &exchange.tool_calls {
                let _ = writeln!(
                    out,
                    "<div class=\"tool\">calculator: <code>{}</code> → <code>{}</code></div>",
                    escape(call),
                    escape(answer)
                );
            }
            let _ = writeln!(out, "<div class=\"say mynah\">{}</div></div>", escape(exchange.answer.trim()));
        }
    }
    if !report.samples.is_empty() {
        out.push_str("<h2>Texts of the base model</h2>\n");
        for (prompt, text) in &report.samples {
            let _ = writeln!(
                out,
                "<blockquote><b>{}</b>{}</blockquote>",
                escape(prompt),
                escape(text.trim_end())
            );
        }
    }
    stages(&mut out, &report.stages);
    table(&mut out, "Settings", &report.settings);
    table(&mut out, "System", &report.system);
    out.push_str("<footer>Written by <code>mynah</code>. The same in <code>report.md</code>, for scripts in <code>report.json</code>.</footer>\n</main>\n</html>\n");
    out
}

fn cards(out: &mut String, highlights: &[(String, String)]) {
    if highlights.is_empty() {
        return;
    }
    out.push_str("<div class=\"cards\">\n");
    for (name, value) in highlights {
        let _ =
            writeln!(out, "<div class=\"card\"><b>{}</b><span>{}</span></div>", escape(value), escape(name));
    }
    out.push_str("</div>\n");
}

fn stages(out: &mut String, stages: &[Stage]) {
    if stages.is_empty() {
        return;
    }
    let total: f64 = stages.iter().map(|stage| stage.seconds).sum();
    out.push_str("<h2>Stages</h2>\n<table><tr><th>stage<th class=\"n\">time<th style=\"width:26%\">share<th>result</tr>\n");
    for stage in stages {
        let share = if total > 0.0 { 100.0 * stage.seconds / total } else { 0.0 };
        let _ = writeln!(
            out,
            "<tr><td>{}<td class=\"n\">{}<td><div class=\"bar\" style=\"width:{share:.1}%\"></div><td class=\"soft\">{}</tr>",
            escape(&stage.name),
            mynah_base::units::duration(stage.seconds),
            escape(&stage.result)
        );
    }
    let _ = writeln!(
        out,
        "<tr><td><b>total</b><td class=\"n\"><b>{}</b><td><td></tr></table>",
        mynah_base::units::duration(total)
    );
}

fn table(out: &mut String, title: &str, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h2>{title}</h2>\n<table>");
    for (name, value) in pairs {
        let _ = writeln!(
            out,
            "<tr><td class=\"soft\" style=\"width:34%\">{}<td>{}</tr>",
            escape(name),
            escape(value)
        );
    }
    out.push_str("</table>\n");
}
