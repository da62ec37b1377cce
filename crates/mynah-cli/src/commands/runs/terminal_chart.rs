//! Line charts in a terminal: eight dots a character (Unicode braille patterns), axes with figures.

use super::facts::short;
use crate::report::chart::Series;

/// Dots of a character by column and row, as Unicode numbers them.
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
const BRAILLE: u32 = 0x2800;
/// Room for the figures beside the vertical axis.
const LABEL: usize = 10;

/// ANSI colours, one a line in turn.
const COLOURS: [u8; 6] = [34, 31, 32, 35, 36, 33];

/// A chart of `columns` × `rows` characters. Without `colour` all lines look alike.
pub fn draw(series: &[Series], columns: usize, rows: usize, colour: bool) -> String {
    let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let all = || series.iter().flat_map(|s| s.points.iter().filter(finite));
    let range = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low < high { (low, high) } else { (low - 0.5, high + 0.5) }
    };
    if all().next().is_none() {
        return "no points\n".to_string();
    }
    let (x_low, x_high) = range(&mut all().map(|p| p.0));
    let (y_low, y_high) = range(&mut all().map(|p| p.1));
    let (width, height) = (columns.saturating_sub(LABEL + 1).max(8), rows.max(3));
    let mut cells = vec![(0u32, 0usize); width * height];
    let place = |p: &(f64, f64)| {
        let x = (p.0 - x_low) / (x_high - x_low) * (2 * width - 1) as f64;
        let y = (y_high - p.1) / (y_high - y_low) * (4 * height - 1) as f64;
        (x, y)
    };
    for (number, line) in series.iter().enumerate() {
        let mut before: Option<(f64, f64)> = None;
        for point in &line.points {
            if !finite(&point) {
                before = None;
                continue;
            }
            let to = place(point);
            let from = before.unwrap_or(to);
            let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
            for i in 0..=steps as usize {
                let share = i as f64 / steps;
                let x = (from.0 + share * (to.0 - from.0)).round() as usize;
                let y = (from.1 + share * (to.1 - from.1)).round() as usize;
                let cell = &mut cells[(y / 4).min(height - 1) * width + (x / 2).min(width - 1)];
                *cell = (cell.0 | DOTS[x % 2][y % 4], number);
            }
            before = Some(to);
        }
    }
    let mut out = String::new();
    for row in 0..height {
        let label = match row {
            0 => short(y_high),
            _ if row + 1 == height => short(y_low),
            _ => String::new(),
        };
        out.push_str(&format!("{label:>LABEL$}│"));
        for (dots, number) in &cells[row * width..][..width] {
            let dot = char::from_u32(BRAILLE + dots).unwrap_or(' ');
            match (*dots, colour) {
                (0, _) => out.push(' '),
                (_, true) => out.push_str(&format!("\x1b[{}m{dot}\x1b[0m", COLOURS[number % COLOURS.len()])),
                (_, false) => out.push(dot),
            }
        }
        out.push('\n');
    }
    let (left, right) = (short(x_low), short(x_high));
    out.push_str(&format!("{:>LABEL$}└{}\n", "", "─".repeat(width)));
    out.push_str(&format!("{:>LABEL$} {left}{right:>1$}\n", "", width.saturating_sub(left.len())));
    out
}

/// The names of the lines, in their colours.
pub fn legend(series: &[Series], colour: bool) -> String {
    let names = series.iter().enumerate().map(|(number, line)| match colour {
        true => format!("\x1b[{}m{}\x1b[0m", COLOURS[number % COLOURS.len()], line.name),
        false => line.name.clone(),
    });
    names.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rising_line_goes_from_corner_to_corner() {
        let line = Series { points: vec![(0.0, 1.0), (10.0, 2.0)], ..Series::default() };
        let text = draw(&[line], 8 + LABEL + 1, 3, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[0].starts_with("         2│    "), "{text}");
        assert!(lines[2].starts_with("         1│⡠") || lines[2].starts_with("         1│⣀"), "{text}");
        assert!(lines[4].ends_with("10"), "{text}");
    }

    #[test]
    fn what_is_not_finite_breaks_the_line_and_nothing_else() {
        let line =
            Series { points: vec![(0.0, f64::NAN), (1.0, 3.0), (2.0, f64::INFINITY)], ..Series::default() };
        assert!(draw(&[line], 40, 4, true).contains('\u{1b}'));
        assert_eq!(draw(&[Series::default()], 40, 4, false), "no points\n");
    }
}
