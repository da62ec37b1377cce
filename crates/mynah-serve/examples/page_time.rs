//! How long the page takes in a real browser: `cargo run --release -p mynah-serve --example page_time -- URL [times]`.
//!
//! Measures from the start of navigation until the first rows are on the screen and take keys, each time in a fresh
//! browser. Fill a store with the example `fill` first. One line of JSON.

#[allow(dead_code, reason = "the browser test uses more of it")]
#[path = "../tests/browser/devtools.rs"]
mod devtools;

use devtools::Browser;
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("give the address of a server")?;
    let times: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let mut shown_ms = Vec::new();
    let mut all_ms = Vec::new();
    for _ in 0..times {
        let mut page =
            Browser::find_and_start().ok_or("no Chromium or Chrome in PATH and none in MYNAH_BROWSER")?;
        page.open(&url);
        page.wait_for("performance.getEntriesByName('runs shown').length && document.querySelector('.row')");
        let shown = page.value("performance.getEntriesByName('runs shown')[0].startTime");
        shown_ms.push(shown.as_f64().ok_or("no time")?.round());
        // To the end of the table, until nothing more comes.
        page.wait_for(
            "(document.querySelector('.grid').scrollTop = 1e9,
              /^\\d+ runs$/.test(document.querySelector('.bar [role=status]').textContent))",
        );
        all_ms.push(page.value("performance.now()").as_f64().ok_or("no time")?.round());
    }
    println!("{}", json!({"url": url, "rows_shown_ms": shown_ms, "all_rows_loaded_ms": all_ms}));
    Ok(())
}
