//! Line charts as SVG: axes, ticks, a legend, light and dark.
//!
//! Own code because it is two hundred lines; a plotting crate would bring fonts, bitmaps and seconds of
//! compile time for the one kind of picture that a report needs.

use std::fmt::Write as _;

use mynah_base::text::escape_markup as escape;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 38.0;
const BOTTOM: f64 = 46.0;
/// More points than pixels are averaged into buckets.
const POINTS_MAX: usize = 360;

/// One line of a chart.
#[derive(Clone, Debug, Default)]
pub struct Series {
    pub name: String,
    /// (x, y); points that are not finite break the line.
    pub points: Vec<(f64, f64)>,
    /// Drawn with a dot at each point: for few, rare measurements.
    pub dots: bool,
}

/// A chart with one x and one y axis, both linear and both fitted to the points.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub series: Vec<Series>,
}

/// A chart as a complete SVG document that needs nothing from outside.
pub fn svg(chart: &Chart) -> String {
    let finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let all = || chart.series.iter().flat_map(|series| series.points.iter().filter(finite).copied());
    let (x_ticks, x_range) = axis(all().map(|p| p.0), false);
    let (y_ticks, y_range) = axis(all().map(|p| p.1), true);
    let x_of = |x: f64| LEFT + (x - x_range.0) / (x_range.1 - x_range.0) * (WIDTH - LEFT - RIGHT);
    let y_of = |y: f64| HEIGHT - BOTTOM - (y - y_range.0) / (y_range.1 - y_range.0) * (HEIGHT - TOP - BOTTOM);
    let mut out = String::with_capacity(16 << 10);
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{}\" class=\"chart\">\n{STYLE}",
        escape(&chart.title)
    );
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"20\" class=\"title\">{}</text>", escape(&chart.title));
    for tick in &y_ticks {
        let y = y_of(*tick);
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" class=\"tick end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            number(*tick, step(&y_ticks))
        );
    }
    let base = HEIGHT - BOTTOM;
    for tick in &x_ticks {
        let _ = writeln!(
            out,
            "<path class=\"axis\" d=\"M{x:.1} {base}v4\"/><text x=\"{x:.1}\" y=\"{:.1}\" class=\"tick mid\">{}</text>",
            base + 18.0,
            number(*tick, step(&x_ticks)),
            x = x_of(*tick)
        );
    }
    let _ = writeln!(out, "<path class=\"axis\" d=\"M{LEFT} {base}H{}\"/>", WIDTH - RIGHT);
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" class=\"tick mid\">{}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 8.0,
        escape(&chart.x_label)
    );
    let middle = (TOP + base) / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"14\" y=\"{middle:.1}\" class=\"tick mid\" transform=\"rotate(-90 14 {middle:.1})\">{}</text>",
        escape(&chart.y_label)
    );
    for (index, series) in chart.series.iter().enumerate() {
        draw(&mut out, series, index % 4, &x_of, &y_of);
    }
    legend(&mut out, &chart.series);
    out.push_str("</svg>\n");
    out
}

const STYLE: &str = "<style>\
.chart{font:12px system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif;--ink:#1f2430;--soft:#6b7280;--line:#e6e8ee;\
--c0:#2f6feb;--c1:#d9480f;--c2:#2b8a3e;--c3:#862e9c}\
@media (prefers-color-scheme:dark){.chart{--ink:#e6e8ee;--soft:#9aa3b2;--line:#2b313d;\
--c0:#6ea8fe;--c1:#ff922b;--c2:#69db7c;--c3:#da77f2}}\
.chart .title{font-weight:600;font-size:14px;fill:var(--ink)}.chart .tick{fill:var(--soft)}\
.chart .end{text-anchor:end}.chart .mid{text-anchor:middle}.chart .grid{stroke:var(--line)}\
.chart .axis{stroke:var(--soft)}.chart .grid,.chart .axis,.chart .s{fill:none}\
.chart .s{stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\
.chart .s0{stroke:var(--c0)}.chart .s1{stroke:var(--c1)}.chart .s2{stroke:var(--c2)}.chart .s3{stroke:var(--c3)}\
.chart .d0{fill:var(--c0)}.chart .d1{fill:var(--c1)}.chart .d2{fill:var(--c2)}.chart .d3{fill:var(--c3)}\
</style>";

fn draw(
    out: &mut String,
    series: &Series,
    colour: usize,
    x_of: &dyn Fn(f64) -> f64,
    y_of: &dyn Fn(f64) -> f64,
) {
    let points = thinned(&series.points);
    let mut path = String::new();
    let mut pen_up = true;
    for (x, y) in &points {
        if !(x.is_finite() && y.is_finite()) {
            pen_up = true;
            continue;
        }
        let _ = write!(path, "{}{:.1} {:.1}", if pen_up { 'M' } else { 'L' }, x_of(*x), y_of(*y));
        pen_up = false;
    }
    if !path.is_empty() {
        let _ = writeln!(out, "<path class=\"s s{colour}\" d=\"{path}\"/>");
    }
    if series.dots {
        for (x, y) in points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
            let _ = writeln!(
                out,
                "<circle class=\"d{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}: {}</title></circle>",
                x_of(*x),
                y_of(*y),
                number(*x, 1.0),
                number(*y, 0.001)
            );
        }
    }
}

fn legend(out: &mut String, series: &[Series]) {
    let mut right = WIDTH - RIGHT;
    for (index, series) in series.iter().enumerate().rev() {
        // About 6.6 px a letter at this size; exact widths need a font.
        let text = series.name.chars().count() as f64 * 6.6;
        right -= text;
        let _ =
            writeln!(out, "<text x=\"{right:.1}\" y=\"20\" class=\"tick\">{}</text>", escape(&series.name));
        right -= 24.0;
        let _ = writeln!(out, "<path class=\"s s{}\" d=\"M{right:.1} 16h18\"/>", index % 4);
        right -= 16.0;
    }
}

/// Averages neighbours so that no more than [`POINTS_MAX`] points are drawn; the last point stays exact.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let bucket = points.len().div_ceil(POINTS_MAX - 1);
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        (chunk.iter().map(|p| p.0).sum::<f64>() / n, chunk.iter().map(|p| p.1).sum::<f64>() / n)
    };
    let mut thin: Vec<(f64, f64)> = points.chunks(bucket).map(mean).collect();
    thin.extend(points.last());
    thin
}

/// Round tick values that cover the numbers, and the range to draw. `padded` leaves room below and above;
/// without it the ticks are whole numbers.
fn axis(values: impl Iterator<Item = f64>, padded: bool) -> (Vec<f64>, (f64, f64)) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        low = low.min(value);
        high = high.max(value);
    }
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    if high - low < 1e-9 * high.abs().max(1e-9) {
        (low, high) = (low - 0.5, high + 0.5);
    }
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|n| n * power);
    // The x axis counts steps: whole numbers.
    let whole = |step: f64| padded || step.fract() == 0.0;
    let step = steps.filter(|step| whole(*step)).find(|step| *step >= rough).unwrap_or(rough.max(1.0));
    if padded {
        low = (low / step).floor() * step;
        high = (high / step).ceil() * step;
    }
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    ((first..=last).map(|n| n as f64 * step).collect(), (low, high))
}

fn step(ticks: &[f64]) -> f64 {
    match ticks {
        [a, b, ..] => b - a,
        _ => 1.0,
    }
}

/// A tick with as many decimals as its step needs, thousands as `k`.
fn number(value: f64, step: f64) -> String {
    if value.abs() >= 10_000.0 && step >= 100.0 {
        let thousands = value / 1000.0;
        let decimals = usize::from(step < 1000.0);
        return format!("{thousands:.decimals$}k");
    }
    let mut decimals = 0;
    let mut scaled = step;
    while decimals < 6 && (scaled - scaled.round()).abs() > 1e-6 * scaled.abs() {
        scaled *= 10.0;
        decimals += 1;
    }
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "loss <train>".into(),
            x_label: "step".into(),
            y_label: "bits".into(),
            series: vec![Series { name: "train".into(), points, dots: true }],
        }
    }

    #[test]
    fn ticks_are_round_and_cover() {
        let (ticks, range) = axis([0.0, 1000.0].into_iter(), false);
        assert_eq!(ticks, [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(range, (0.0, 1000.0));
        assert_eq!(axis([1.0, 12.0].into_iter(), false).0, [5.0, 10.0]);
        assert_eq!(axis([0.0, 1.0].into_iter(), false).0, [0.0, 1.0]);
        let (ticks, range) = axis([1.13, 4.87].into_iter(), true);
        assert_eq!(ticks, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(range, (1.0, 5.0));
        // One value, or none, still makes an axis.
        assert!(axis([3.0].into_iter(), true).0.len() > 1);
        assert!(axis(std::iter::empty(), true).0.len() > 1);
    }

    #[test]
    fn numbers_have_the_decimals_of_their_step() {
        assert_eq!(number(0.25, 0.25), "0.25");
        assert_eq!(number(2.0, 0.5), "2.0");
        assert_eq!(number(300.0, 100.0), "300");
        assert_eq!(number(20_000.0, 5_000.0), "20k");
    }

    #[test]
    fn a_chart_is_well_formed_whatever_the_points() {
        for points in [
            vec![],
            vec![(0.0, 1.0)],
            vec![(0.0, f64::NAN), (1.0, 2.0), (2.0, f64::INFINITY), (3.0, 1.0)],
            (0..5000).map(|i| (f64::from(i), 5.0 / (1.0 + f64::from(i)))).collect(),
        ] {
            let text = svg(&chart(points));
            assert!(text.starts_with("<svg") && text.ends_with("</svg>\n"));
            assert!(text.contains("loss &lt;train&gt;"));
            assert!(!text.contains("NaN") && !text.contains("inf\""));
            assert!(text.len() < 100_000);
        }
    }

    #[test]
    fn thinning_keeps_the_ends() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), 1.0)).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX && thin.last() == points.last());
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a & \"b\">\u{1}\n"), "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}\n");
    }
}
