//! The statistics that gates and drift need, each from its textbook definition.
//!
//! Written here because they are few and small, and because a false-positive rate can only be promised for
//! code that can be read. Reference values in the tests come from SciPy.

use std::cmp::Ordering;

use mynah_base::Rng;

/// The middle of some numbers; of an even count the mean of the two in the middle. Reorders them.
/// Nothing when there are none. No NaN may be among them.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let count = values.len();
    if count == 0 {
        return None;
    }
    let (below, middle, _) = values.select_nth_unstable_by(count / 2, f64::total_cmp);
    let middle = *middle;
    if count % 2 == 1 {
        return Some(middle);
    }
    let below = below.iter().copied().max_by(f64::total_cmp).unwrap_or(middle);
    // Halves first: the sum of two large numbers may be infinite.
    Some(below / 2.0 + middle / 2.0)
}

/// Mean and unbiased variance (n − 1); the variance of fewer than two numbers is 0.
pub fn mean_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return (mean, 0.0);
    }
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0))
}

/// Natural logarithm of Γ(x) for x > 0 (Lanczos, g = 7, nine terms; 15 digits).
pub fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // Reflection.
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let mut sum = TERMS[0];
    for (index, term) in TERMS.iter().enumerate().skip(1) {
        sum += term / (x + index as f64);
    }
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// Regularised incomplete beta function I_x(a, b) (continued fraction by Lentz's method, as in Press et al.,
/// "Numerical Recipes", section 6.4).
pub fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    // The fraction converges fast only on this side of the mean.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            result *= d * c;
        }
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    result
}

/// P(T > t) for Student's t with `df` degrees of freedom.
pub fn student_t_above(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return if t > 0.0 { 0.0 } else { 1.0 };
    }
    let tail = 0.5 * incomplete_beta(df / 2.0, 0.5, df / (df + t * t));
    if t >= 0.0 { tail } else { 1.0 - tail }
}

/// P(X > x) for χ² with `df` degrees of freedom: the regularised upper incomplete gamma function (series
/// below the mean, continued fraction above; "Numerical Recipes", section 6.2).
pub fn chi_square_above(x: f64, df: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let (a, x) = (df / 2.0, x / 2.0);
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term.abs() > sum.abs() * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - front * sum;
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut result = d;
    for i in 1..500 {
        let i = f64::from(i);
        let term = -i * (i - a);
        b += 2.0;
        d = 1.0 / (term * d + b);
        c = b + term / c;
        result *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * result
}

/// The x with P(X > x) = `tail` for χ², by bisection.
pub fn chi_square_quantile_above(tail: f64, df: f64) -> f64 {
    let (mut low, mut high) = (0.0, df + 10.0);
    while chi_square_above(high, df) > tail {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if chi_square_above(middle, df) > tail { low = middle } else { high = middle }
    }
    high
}

/// A test of two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TestResult {
    /// The statistic, in the unit of its test.
    pub statistic: f64,
    /// The chance of a statistic this extreme, or more, when there is no difference.
    pub p_value: f64,
}

/// Welch's t test, one-sided: is the mean of `a` above the mean of `b` by more than `margin`?
/// (Welch 1947, with the Welch–Satterthwaite degrees of freedom.) Needs two numbers on each side.
pub fn welch_above(a: &[f64], b: &[f64], margin: f64) -> Option<TestResult> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let ((mean_a, var_a), (mean_b, var_b)) = (mean_variance(a), mean_variance(b));
    let difference = mean_a - mean_b - margin;
    let (part_a, part_b) = (var_a / a.len() as f64, var_b / b.len() as f64);
    let error = (part_a + part_b).sqrt();
    if error == 0.0 {
        // Repeated seeds that agree to the last bit: any difference is one.
        return Some(match difference.partial_cmp(&0.0) {
            Some(Ordering::Greater) => TestResult { statistic: f64::INFINITY, p_value: 0.0 },
            Some(Ordering::Less) => TestResult { statistic: f64::NEG_INFINITY, p_value: 1.0 },
            _ => TestResult { statistic: 0.0, p_value: 0.5 },
        });
    }
    let df = (part_a + part_b).powi(2)
        / (part_a.powi(2) / (a.len() as f64 - 1.0) + part_b.powi(2) / (b.len() as f64 - 1.0));
    let statistic = difference / error;
    Some(TestResult { statistic, p_value: student_t_above(statistic, df) })
}

/// Bootstrap test of the same question (Efron and Tibshirani, "An Introduction to the Bootstrap", algorithm
/// 16.2): both samples are moved to a common mean, drawn from again `rounds` times, and the studentised
/// difference compared. Assumes no normal distribution; the seed makes it repeatable.
pub fn bootstrap_above(a: &[f64], b: &[f64], margin: f64, rounds: usize, seed: u64) -> Option<TestResult> {
    if a.len() < 2 || b.len() < 2 || rounds == 0 {
        return None;
    }
    let studentised = |a: &[f64], b: &[f64], margin: f64| {
        let ((mean_a, var_a), (mean_b, var_b)) = (mean_variance(a), mean_variance(b));
        let error = (var_a / a.len() as f64 + var_b / b.len() as f64).sqrt();
        let difference = mean_a - mean_b - margin;
        // Draws of one value over and over have no spread; they are as extreme as can be.
        if error > 0.0 {
            difference / error
        } else if difference == 0.0 {
            0.0
        } else {
            difference * f64::INFINITY
        }
    };
    let observed = studentised(a, b, margin);
    let (mean_a, mean_b) = (mean_variance(a).0, mean_variance(b).0);
    let (centred_a, centred_b): (Vec<f64>, Vec<f64>) =
        (a.iter().map(|x| x - mean_a).collect(), b.iter().map(|x| x - mean_b).collect());
    let mut rng = Rng::new(seed);
    let (mut drawn_a, mut drawn_b) = (vec![0.0; a.len()], vec![0.0; b.len()]);
    let mut as_extreme = 0usize;
    for _ in 0..rounds {
        drawn_a.iter_mut().for_each(|x| *x = *rng.choose(&centred_a));
        drawn_b.iter_mut().for_each(|x| *x = *rng.choose(&centred_b));
        as_extreme += usize::from(studentised(&drawn_a, &drawn_b, 0.0) >= observed);
    }
    Some(TestResult { statistic: observed, p_value: (1 + as_extreme) as f64 / (1 + rounds) as f64 })
}

/// Two-sample Kolmogorov–Smirnov test, two-sided. The p-value is exact for continuous data where the product
/// of the sizes is at most a million (lattice paths, Hodges 1958), else Kolmogorov's limit; with ties both
/// are too large, so that the false-positive rate stays below what is stated.
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> Option<TestResult> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    let (n, m) = (a.len(), b.len());
    let (mut i, mut j) = (0, 0);
    // The distance as a whole number of 1 / (n · m): no rounding decides.
    let mut distance = 0u128;
    while i < n && j < m {
        let at = if a[i] <= b[j] { a[i] } else { b[j] };
        while i < n && a[i] <= at {
            i += 1;
        }
        while j < m && b[j] <= at {
            j += 1;
        }
        distance = distance.max((i as u128 * m as u128).abs_diff(j as u128 * n as u128));
    }
    let statistic = distance as f64 / (n as f64 * m as f64);
    let p_value = if n * m <= 1_000_000 {
        ks_exact(n, m, distance)
    } else {
        let effective = (n as f64 * m as f64 / (n + m) as f64).sqrt();
        // Stephens' correction for finite samples.
        ks_limit((effective + 0.12 + 0.11 / effective) * statistic)
    };
    Some(TestResult { statistic, p_value })
}

/// P(D ≥ d): one minus the share of lattice paths from (0, 0) to (n, m) that stay within the distance.
fn ks_exact(n: usize, m: usize, distance: u128) -> f64 {
    if distance == 0 {
        return 1.0;
    }
    let inside = |i: usize, j: usize| (i as u128 * m as u128).abs_diff(j as u128 * n as u128) < distance;
    // Probabilities instead of counts, so that nothing overflows: `row[j]` is the share of all paths to
    // (i, j) that stay inside; the last step came from the left with chance j / (i + j).
    let mut row = vec![0.0; m + 1];
    row[0] = 1.0;
    for j in 1..=m {
        row[j] = if inside(0, j) { row[j - 1] } else { 0.0 };
    }
    for i in 1..=n {
        row[0] = if inside(i, 0) { row[0] } else { 0.0 };
        for j in 1..=m {
            let total = (i + j) as f64;
            row[j] =
                if inside(i, j) { row[j] * i as f64 / total + row[j - 1] * j as f64 / total } else { 0.0 };
        }
    }
    (1.0 - row[m]).clamp(0.0, 1.0)
}

/// Kolmogorov's distribution: P(K > x).
fn ks_limit(x: f64) -> f64 {
    if x < 0.2 {
        return 1.0;
    }
    let mut sum = 0.0;
    for k in 1..=100 {
        let term = (-2.0 * f64::from(k * k) * x * x).exp();
        sum += if k % 2 == 1 { term } else { -term };
        if term < 1e-16 {
            break;
        }
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expect: f64) {
        assert!((found - expect).abs() <= 1e-10 * expect.abs().max(1e-3), "{found} is not {expect}");
    }

    #[test]
    fn special_functions_agree_with_scipy() {
        close(ln_gamma(0.3), 1.095_797_994_818_075_6);
        close(ln_gamma(12.5), 18.734_347_511_936_45);
        close(incomplete_beta(2.5, 0.5, 0.7), 0.203_110_663_720_054_9);
        close(incomplete_beta(10.0, 3.0, 0.2), 4.526_08e-6);
        close(student_t_above(2.0, 3.7), 0.060_908_600_952_616_99);
        close(student_t_above(-1.3, 12.2), 0.891_187_034_764_099_1);
        close(student_t_above(6.5, 2.0), 0.011_430_081_798_161_245);
        close(chi_square_above(20.0, 9.0), 0.017_912_404_529_843_298);
        close(chi_square_above(3.0, 9.0), 0.964_294_972_685_089_1);
        close(chi_square_quantile_above(0.01, 9.0), 21.665_994_333_461_928);
        close(chi_square_quantile_above(0.001, 4.0), 18.466_826_952_903_173);
    }

    #[test]
    fn tests_agree_with_scipy() {
        let (a, b) = ([1.21, 1.25, 1.19, 1.30, 1.22], [1.18, 1.17, 1.20, 1.16]);
        let welch = welch_above(&a, &b, 0.0).unwrap();
        close(welch.statistic, 2.696_853_851_229_746);
        close(welch.p_value, 0.019_615_829_027_636_526);
        let x = [0.1, 0.4, 0.7, 1.1, 1.9, 2.3, 2.8];
        let y = [0.9, 1.5, 2.1, 2.9, 3.3, 3.8, 4.1, 4.4, 0.2];
        let ks = kolmogorov_smirnov(&x, &y).unwrap();
        close(ks.statistic, 0.555_555_555_555_555_6);
        close(ks.p_value, 0.126_748_251_748_251_74);
        let x: Vec<f64> = (0..1_500).map(|i| f64::from(i) * 0.001).collect();
        let y: Vec<f64> = (0..1_200).map(|i| f64::from(i) * 0.001_28 + 0.02).collect();
        let ks = kolmogorov_smirnov(&x, &y).unwrap();
        close(ks.statistic, 0.037);
        assert!((ks.p_value - 0.313).abs() < 0.005, "{ks:?}");
    }

    #[test]
    fn the_two_ways_of_kolmogorov_meet() {
        let exact = ks_exact(400, 500, (0.1 * 400.0 * 500.0) as u128);
        let effective = (400.0f64 * 500.0 / 900.0).sqrt();
        let limit = ks_limit((effective + 0.12 + 0.11 / effective) * 0.1);
        assert!((exact - limit).abs() < 0.002, "{exact} {limit}");
        assert_eq!(kolmogorov_smirnov(&[1.0, 1.0], &[1.0]).unwrap().p_value, 1.0);
    }

    #[test]
    fn medians() {
        for (values, expect) in [
            (vec![3.0, 1.0, 2.0], Some(2.0)),
            (vec![4.0, 1.0, 3.0, 2.0], Some(2.5)),
            (vec![f64::INFINITY, 1.0, 2.0], Some(2.0)),
            (vec![f64::MAX, f64::MAX], Some(f64::MAX)),
            (vec![], None),
        ] {
            assert_eq!(median(&mut values.clone()), expect, "{values:?}");
        }
    }

    #[test]
    fn seeds_that_agree_to_the_bit() {
        assert_eq!(welch_above(&[2.0, 2.0], &[1.0, 1.0], 0.0).unwrap().p_value, 0.0);
        assert_eq!(welch_above(&[1.0, 1.0], &[2.0, 2.0], 0.0).unwrap().p_value, 1.0);
        assert_eq!(welch_above(&[1.0, 1.0], &[1.0, 1.0], 0.0).unwrap().p_value, 0.5);
        assert_eq!(welch_above(&[1.0], &[1.0, 2.0], 0.0), None);
    }

    /// Seeds of one distribution must be called worse no more often than stated; two standard errors of
    /// the simulation are allowed.
    #[test]
    fn false_positives_stay_below_what_is_stated() {
        const TRIALS: usize = 4_000;
        for alpha in [0.05, 0.01] {
            let (mut welch, mut bootstrap, mut ks) = (0, 0, 0);
            for trial in 0..TRIALS {
                let mut rng = Rng::for_item(11, trial as u64);
                let mut draw =
                    |count: usize| (0..count).map(|_| 1.0 + 0.01 * rng.normal()).collect::<Vec<_>>();
                let (a, b) = (draw(6), draw(8));
                welch += usize::from(welch_above(&a, &b, 0.0).unwrap().p_value < alpha);
                if trial < TRIALS / 4 {
                    let p = bootstrap_above(&a, &b, 0.0, 299, trial as u64).unwrap().p_value;
                    bootstrap += usize::from(p < alpha);
                }
                let (a, b) = (draw(30), draw(25));
                ks += usize::from(kolmogorov_smirnov(&a, &b).unwrap().p_value < alpha);
            }
            for (name, count, trials) in
                [("welch", welch, TRIALS), ("bootstrap", bootstrap, TRIALS / 4), ("ks", ks, TRIALS)]
            {
                let allowed = alpha + 2.0 * (alpha * (1.0 - alpha) / trials as f64).sqrt();
                let rate = count as f64 / trials as f64;
                assert!(rate <= allowed, "{name} at {alpha}: {rate}");
                assert!(rate > 0.1 * alpha, "{name} at {alpha} never fires: {rate}");
            }
        }
    }
}
