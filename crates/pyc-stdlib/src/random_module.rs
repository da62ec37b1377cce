//! `_random`: the Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded as CPython does, so that a seed gives
//! the same numbers.

use std::cell::{Cell, RefCell};

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::Signed as _;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

const N: usize = 624;
const M: usize = 397;

struct Twister {
    state: RefCell<Box<[u32; N]>>,
    index: Cell<usize>,
    /// No seed was given and the host gave no random numbers: using it asks again.
    unseeded: Cell<bool>,
}
impl Payload for Twister {}

impl Twister {
    fn seed_word(&self, seed: u32) {
        let mut state = self.state.borrow_mut();
        state[0] = seed;
        for i in 1..N {
            state[i] =
                1_812_433_253u32.wrapping_mul(state[i - 1] ^ (state[i - 1] >> 30)).wrapping_add(i as u32);
        }
        self.index.set(N);
        self.unseeded.set(false);
    }

    fn seed_array(&self, key: &[u32]) {
        self.seed_word(19_650_218);
        let mut state = self.state.borrow_mut();
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            let mixed = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = (state[i] ^ mixed.wrapping_mul(1_664_525)).wrapping_add(key[j]).wrapping_add(j as u32);
            i += 1;
            j += 1;
            if i >= N {
                state[0] = state[N - 1];
                i = 1;
            }
            if j >= key.len() {
                j = 0;
            }
        }
        for _ in 1..N {
            let mixed = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = (state[i] ^ mixed.wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            i += 1;
            if i >= N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
    }

    fn next(&self) -> u32 {
        let mut state = self.state.borrow_mut();
        if self.index.get() >= N {
            for k in 0..N {
                let y = state[k] & 0x8000_0000 | state[(k + 1) % N] & 0x7fff_ffff;
                let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                state[k] = state[(k + M) % N] ^ y >> 1 ^ twist;
            }
            self.index.set(0);
        }
        let mut y = state[self.index.get()];
        self.index.set(self.index.get() + 1);
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    fn float(&self) -> f64 {
        let (a, b) = (self.next() >> 5, self.next() >> 6);
        (f64::from(a) * 67_108_864.0 + f64::from(b)) / 9_007_199_254_740_992.0
    }
}

fn own<'a>(vm: &Vm, value: &'a Value) -> PyResult<&'a Twister> {
    let t = value.get::<Twister>().expect("the descriptor checked the type");
    if t.unseeded.get() {
        seed_from_host(vm, t)?;
    }
    Ok(t)
}

fn seed_from_host(vm: &Vm, t: &Twister) -> PyResult<()> {
    let bytes = vm.host.random(N * 4).map_err(|e| vm.host_error(e, None))?;
    let key: Vec<u32> = bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
    if !key.is_empty() {
        t.seed_array(&key);
    }
    Ok(())
}

fn seed(vm: &Vm, this: &Value, value: Option<&Value>) -> PyResult {
    let t = this.get::<Twister>().expect("the descriptor checked the type");
    let Some(value) = value.filter(|v| !v.is_none()) else {
        t.unseeded.set(true);
        return Ok(Value::NONE);
    };
    let number = match vm.big_int(value) {
        Some(n) => n.abs(),
        None => BigInt::from(vm.hash(value)? as u64),
    };
    let mut key = number.magnitude().to_u32_digits();
    if key.is_empty() {
        key.push(0);
    }
    t.seed_array(&key);
    Ok(Value::NONE)
}

fn bits(vm: &Vm, args: Args) -> PyResult {
    let t = own(vm, &args[0])?;
    let k = vm.index(&args[1])?;
    let k = usize::try_from(k).map_err(|_| vm.value_error("number of bits must be non-negative"))?;
    vm.check_alloc(k / 8, 1)?;
    match k {
        0 => return Ok(Value::from_i32(0)),
        1..=32 => return Ok(vm.int(i64::from(t.next() >> (32 - k)))),
        _ => {}
    }
    let mut words = Vec::with_capacity(k.div_ceil(32));
    let mut left = k;
    while left > 0 {
        let word = t.next();
        words.push(if left < 32 { word >> (32 - left) } else { word });
        left = left.saturating_sub(32);
    }
    Ok(vm.big(BigInt::from_biguint(Sign::Plus, BigUint::new(words))))
}

fn set_state(vm: &Vm, args: Args) -> PyResult {
    let t = args[0].get::<Twister>().expect("the descriptor checked the type");
    if !vm.is_a(&args[1], &vm.types.tuple) {
        return Err(vm.type_error("state vector must be a tuple"));
    }
    let items = vm.to_vec(&args[1])?;
    if items.len() != N + 1 {
        return Err(vm.value_error("state vector is the wrong size"));
    }
    let mut words = [0; N];
    for (to, item) in words.iter_mut().zip(&items) {
        *to = vm.index(item)? as u32;
    }
    let index = vm.index(&items[N])?;
    if !(0..=N as i64).contains(&index) {
        return Err(vm.value_error("invalid state"));
    }
    **t.state.borrow_mut() = words;
    t.index.set(index as usize);
    t.unseeded.set(false);
    Ok(Value::NONE)
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("_random", &[]);
    let ty = vm.new_type::<Twister>("_random", "Random", None, flag::BASE | flag::WEAK);
    vm.add_methods(
        &ty,
        &[
            ("__new__", "...", |vm, args| {
                let made = new_object(
                    &args.all[0],
                    Twister {
                        state: RefCell::new(Box::new([0; N])),
                        index: Cell::new(N),
                        unseeded: Cell::new(true),
                    },
                );
                seed(vm, &made, args.all.get(1))?;
                Ok(made)
            }),
            ("__init__", "...", |_, _| Ok(Value::NONE)),
            ("random", "", |vm, args| Ok(vm.float(own(vm, &args[0])?.float()))),
            ("seed", "n? /", |vm, args| seed(vm, &args[0], args.opt(1))),
            ("getrandbits", "k /", bits),
            ("getstate", "", |vm, args| {
                let t = own(vm, &args[0])?;
                let mut items: Vec<Value> = t.state.borrow().iter().map(|w| vm.int(i64::from(*w))).collect();
                items.push(Value::from_len(t.index.get()));
                Ok(vm.tuple(items))
            }),
            ("setstate", "state /", set_state),
        ],
    );
    vm.type_changed(&ty);
    vm.module_set(&module, "Random", ty);
    Ok(module)
}
