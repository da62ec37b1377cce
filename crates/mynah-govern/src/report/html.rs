//! The report as one page of HTML: no script, nothing loaded from elsewhere, made to be printed.

use super::bundle::{Bundle, Verified};
use super::statements::Section;
use mynah_base::text::escape_markup as escape;
use mynah_base::time::utc;

pub(crate) const STYLE: &str = "
body { font: 11pt/1.45 Georgia, 'Times New Roman', serif; color: #111; background: #fff; max-width: 46rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; } h2 { font-size: 1.15rem; margin-top: 1.6rem; border-bottom: 1px solid #999; }
p.about { color: #444; } li { margin: 0.25rem 0; overflow-wrap: anywhere; } table { border-collapse: collapse; width: 100%; font-size: 9pt; }
th, td { text-align: left; vertical-align: top; padding: 0.15rem 0.4rem; border-bottom: 1px solid #ccc; overflow-wrap: anywhere; }
pre { font-size: 8pt; white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: 0.5rem; }
a { color: #114; } .events { color: #555; font-size: 9pt; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } li, tr { break-inside: avoid; } a { color: inherit; text-decoration: none; } }
";

/// The page of a verified bundle. Every text of a user is escaped.
pub fn html(bundle: &Bundle, verified: &Verified) -> String {
    let mut page = String::new();
    let title = format!("Compliance report of run {}", bundle.run_id);
    page.push_str(&format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <style>{STYLE}</style></head><body>\n<h1>{0}</h1>\n",
        escape(&title)
    ));
    page.push_str(&format!(
        "<p class=\"about\">From the audit log {}, {} events. Each statement names the events that it rests on; they \
         are listed at the end. The bundle that this page was made from verifies without the ledger.</p>\n",
        escape(&bundle.origin),
        verified.checkpoint.size
    ));
    for section in Section::ALL {
        page.push_str(&format!("<h2>{}</h2>\n", section.title()));
        let of_section: Vec<_> = verified.statements.iter().filter(|s| s.section == section).collect();
        if of_section.is_empty() {
            page.push_str("<p>Nothing is recorded.</p>\n");
            continue;
        }
        page.push_str("<ul>\n");
        for statement in of_section {
            let links: Vec<String> =
                statement.events.iter().map(|seq| format!("<a href=\"#e{seq}\">{seq}</a>")).collect();
            page.push_str(&format!(
                "<li>{} <span class=\"events\">[{}]</span></li>\n",
                escape(&statement.text),
                links.join(", ")
            ));
        }
        page.push_str("</ul>\n");
    }
    page.push_str(
        "<h2>Events</h2>\n<table><tr><th>No.</th><th>When</th><th>Who</th><th>What</th><th>On</th></tr>\n",
    );
    for event in &verified.events {
        page.push_str(&format!(
            "<tr id=\"e{0}\"><td>{0}</td><td>{1}</td><td>{2}</td><td>{3}</td><td>{4}</td></tr>\n",
            event.seq,
            utc(event.at_ms),
            escape(&event.by),
            escape(&event.kind),
            escape(&event.subject)
        ));
    }
    page.push_str(&format!(
        "</table>\n<h2>Checkpoint</h2>\n<pre>{}</pre>\n</body></html>\n",
        escape(&bundle.checkpoint)
    ));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_write_stays_text() {
        assert_eq!(escape("<script>\"&'\u{7}"), "&lt;script&gt;&quot;&amp;&#39;\u{fffd}");
    }
}
