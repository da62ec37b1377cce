//! The dashboard as one page of HTML: windows down, names across, no script, nothing loaded from elsewhere.

use std::collections::BTreeSet;

use super::{Drift, DriftOptions, DriftWindow};
use crate::report::STYLE;
use mynah_base::text::escape_markup as escape;
use mynah_base::time::utc;

/// The page of a dashboard.
pub fn page(windows: &[DriftWindow], options: &DriftOptions) -> String {
    let names: BTreeSet<&str> =
        windows.iter().flat_map(|window| &window.report.rows).map(|row| row.name.as_str()).collect();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Drift</title>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <style>{STYLE} td.drift {{ font-weight: bold; background: #fbd8d0; }} td {{ white-space: nowrap; }}</style>\
         </head><body>\n<h1>Drift</h1>\n<p class=\"about\">Each row is a window of runs against the first. A cell is the \
         population stability index; marked cells differ by more than chance (false alarms in {}% of such pages) and \
         by an index of {} or more.</p>\n",
        100.0 * options.false_positive_rate,
        options.psi_min
    );
    if windows.is_empty() {
        page.push_str("<p>There are not enough runs for two windows.</p>\n</body></html>\n");
        return page;
    }
    page.push_str("<table><tr><th>From</th><th>To</th>");
    names.iter().for_each(|name| page.push_str(&format!("<th>{}</th>", escape(name))));
    page.push_str("</tr>\n");
    for window in windows {
        page.push_str(&format!("<tr><td>{}</td><td>{}</td>", utc(window.from_ms), utc(window.to_ms)));
        for name in &names {
            let row = window.report.rows.iter().find(|row| row.name == *name);
            page.push_str(&row.map_or("<td>–</td>".to_string(), cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n</body></html>\n");
    page
}

fn cell(row: &Drift) -> String {
    let p = row.ks.map_or(row.chi_square_p, |ks| ks.1.min(row.chi_square_p));
    let mut about = format!("{} and {} values, p = {p:.2e}", row.reference_count, row.current_count);
    if let Some((old, new)) = row.medians {
        about.push_str(&format!(", median {old} and {new}"));
    }
    let class = if row.is_drift { " class=\"drift\"" } else { "" };
    // The word is for those who do not see the colour.
    let word = if row.is_drift { " drift" } else { "" };
    format!("<td{class} title=\"{}\">{:.3}{word}</td>", escape(&about), row.psi)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{RunSample, dashboard};
    use super::*;

    #[test]
    fn a_page_marks_what_drifts() {
        let run = |index: i64| RunSample {
            at_ms: index * 1_000,
            numbers: BTreeMap::from([
                ("<loss>".to_string(), (index % 7) as f64 + if index >= 40 { 100.0 } else { 0.0 }),
                ("same".to_string(), (index % 5) as f64),
            ]),
            words: BTreeMap::new(),
        };
        let runs: Vec<RunSample> = (0..60).map(run).collect();
        let options = DriftOptions::default();
        let page = page(&dashboard(&runs, 20, &options).unwrap(), &options);
        assert_eq!(page.matches("class=\"drift\"").count(), 1, "{page}");
        assert!(
            page.contains("&lt;loss&gt;")
                && !page.contains("<loss>")
                && page.contains("1970-01-01 00:00:20 UTC")
        );
        assert!(super::page(&[], &options).contains("not enough"));
    }
}
