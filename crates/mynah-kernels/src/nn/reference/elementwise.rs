use crate::float::Float;
use crate::nn::check::same_len;

fn map<T: Float>(x: &[T], y: &mut [T], f: impl Fn(T) -> T) {
    same_len("map", &[x.len(), y.len()]);
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(x);
    }
}

fn map2<T: Float>(a: &[T], b: &[T], y: &mut [T], f: impl Fn(T, T) -> T) {
    same_len("map2", &[a.len(), b.len(), y.len()]);
    for (y, (&a, &b)) in y.iter_mut().zip(a.iter().zip(b)) {
        *y = f(a, b);
    }
}

/// y = eˣ.
pub fn exp<T: Float>(x: &[T], y: &mut [T]) {
    map(x, y, T::exp);
}

/// y = ln x.
pub fn log<T: Float>(x: &[T], y: &mut [T]) {
    map(x, y, T::ln);
}

/// y = tanh x.
pub fn tanh<T: Float>(x: &[T], y: &mut [T]) {
    map(x, y, T::tanh);
}

fn sigmoid_of<T: Float>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// y = 1 / (1 + e⁻ˣ).
pub fn sigmoid<T: Float>(x: &[T], y: &mut [T]) {
    map(x, y, sigmoid_of);
}

/// y = x · sigmoid(x).
pub fn silu<T: Float>(x: &[T], y: &mut [T]) {
    map(x, y, |x| x * sigmoid_of(x));
}

/// √(2/π), of the tanh form of GELU (Hendrycks and Gimpel 2016, section 2).
const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
/// The cubic coefficient of the same formula.
const GELU_CUBIC: f64 = 0.044_715;

fn gelu_inner<T: Float>(x: T) -> T {
    T::from_f64(GELU_SCALE) * (x + T::from_f64(GELU_CUBIC) * x * x * x)
}

/// y = ½x(1 + tanh(√(2/π)(x + 0.044715x³))): GELU in its tanh form.
pub fn gelu<T: Float>(x: &[T], y: &mut [T]) {
    map(x, y, |x| T::from_f64(0.5) * x * (T::ONE + gelu_inner(x).tanh()));
}

/// dx = dy · s(1 − s) for s = sigmoid(x), from the saved output `y`.
pub fn sigmoid_backward<T: Float>(y: &[T], dy: &[T], dx: &mut [T]) {
    map2(y, dy, dx, |y, dy| dy * y * (T::ONE - y));
}

/// dx = dy · (1 − t²) for t = tanh(x), from the saved output `y`.
pub fn tanh_backward<T: Float>(y: &[T], dy: &[T], dx: &mut [T]) {
    map2(y, dy, dx, |y, dy| dy * (T::ONE - y * y));
}

/// dx = dy · s(1 + x(1 − s)) for s = sigmoid(x), from the saved input `x`.
pub fn silu_backward<T: Float>(x: &[T], dy: &[T], dx: &mut [T]) {
    map2(x, dy, dx, |x, dy| {
        let s = sigmoid_of(x);
        dy * s * (T::ONE + x * (T::ONE - s))
    });
}

/// Gradient of [`gelu`] from the saved input `x`.
pub fn gelu_backward<T: Float>(x: &[T], dy: &[T], dx: &mut [T]) {
    map2(x, dy, dx, |x, dy| {
        let t = gelu_inner(x).tanh();
        let slope = T::from_f64(GELU_SCALE) * (T::ONE + T::from_f64(3.0 * GELU_CUBIC) * x * x);
        let half = T::from_f64(0.5);
        dy * (half * (T::ONE + t) + half * x * (T::ONE - t * t) * slope)
    });
}

fn relu<T: Float>(x: T) -> T {
    if x < T::ZERO { T::ZERO } else { x }
}

/// y = max(x, 0)².
pub fn relu_square_forward<T: Float>(x: &[T], y: &mut [T]) {
    map(x, y, |x| relu(x) * relu(x));
}

/// dx = dy · 2·max(x, 0).
pub fn relu_square_backward<T: Float>(x: &[T], dy: &[T], dx: &mut [T]) {
    map2(x, dy, dx, |x, dy| dy * (relu(x) + relu(x)));
}
