use super::*;
use std::sync::atomic::AtomicU32;

/// Runs `tasks` tasks and checks that each ran once.
fn check_once(tasks: usize) {
    let counts: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
    run(tasks, |i| {
        counts[i].fetch_add(1, Ordering::Relaxed);
    });
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{tasks} tasks");
}

#[test]
fn every_task_runs_once_whatever_the_thread_count() {
    for threads in [1, 2, 3, 8] {
        with_threads(threads, || (0..40).chain([1000]).for_each(check_once));
    }
}

#[test]
fn many_short_jobs_in_a_row() {
    with_threads(3, || (0..20_000).for_each(|i| check_once(i % 5)));
}

#[test]
fn sleeping_helpers_wake_up() {
    // Another test may hold the pool, which makes a run serial, so one meeting of two threads is enough.
    let met = (0..100).any(|_| {
        std::thread::sleep(SPIN * 10);
        let arrived = AtomicUsize::new(0);
        let meet = || {
            arrived.fetch_add(1, Ordering::SeqCst);
            let start = Instant::now();
            while arrived.load(Ordering::SeqCst) < 2 && start.elapsed() < Duration::from_millis(50) {
                std::thread::yield_now();
            }
            arrived.load(Ordering::SeqCst) == 2
        };
        with_threads(2, || run_map(2, |_| meet())) == [true, true]
    });
    assert!(met, "no helper ever took part");
}

#[test]
fn nested_calls_run_inline() {
    with_threads(4, || {
        run(8, |_| {
            assert_eq!(threads(), 1);
            let here = std::thread::current().id();
            run(5, |_| assert_eq!(std::thread::current().id(), here));
        });
        assert_eq!(threads(), 4);
    });
    // A serial loop is a task too: what runs inside may not differ from the parallel case.
    with_threads(1, || run(2, |_| with_threads(4, || assert_eq!(threads(), 1))));
    assert_eq!(with_threads(5, threads), 5);
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
    for threads in [1, 2, 4] {
        with_threads(threads, || {
            for bad in 0..20 {
                let outcome = catch_unwind(|| run(20, |i| assert!(i != bad, "task {i} fails")));
                let payload = outcome.expect_err("the panic must arrive");
                let message = payload.downcast_ref::<String>().expect("a formatted message");
                assert!(message.contains(&format!("task {bad} fails")), "{message}");
                assert!(!IN_TASK.get(), "the flag is put back");
                check_once(10);
            }
        });
    }
}

#[test]
fn callers_on_several_threads_do_not_disturb_each_other() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| with_threads(3, || (0..500).for_each(|i| check_once(i % 17))));
        }
    });
}

#[test]
fn ranges_cover_everything_in_whole_grains() {
    for threads in [1, 2, 7] {
        with_threads(threads, || {
            for (len, grain) in [(0, 1), (1, 1), (5, 8), (64, 8), (65, 8), (1000, 7), (12, 0)] {
                let parts = ranges(len, grain);
                let mut end = 0;
                for part in 0..parts {
                    let range = range(len, grain, parts, part);
                    assert!(range.start == end && range.end > end, "{len} {grain} {range:?}");
                    assert_eq!(range.start % grain.max(1), 0);
                    end = range.end;
                }
                assert_eq!(end, len);
                let sum = AtomicUsize::new(0);
                run_ranges(len, grain, |range| {
                    sum.fetch_add(range.sum::<usize>(), Ordering::Relaxed);
                });
                assert_eq!(sum.into_inner(), (0..len).sum());
            }
        });
    }
}

#[test]
fn chunks_are_disjoint_and_complete() {
    with_threads(3, || {
        let mut a = vec![0usize; 103];
        run_chunks_mut(&mut a, 10, |i, chunk| chunk.iter_mut().for_each(|x| *x += i + 1));
        assert!(a.iter().enumerate().all(|(j, &x)| x == j / 10 + 1));

        let (mut b, mut c) = (vec![0usize; 11], vec![0usize; 21]);
        run_chunks_mut3((&mut a, 10), (&mut b, 1), (&mut c, 2), |i, a, b, c| {
            b[0] = a.len();
            c.fill(i);
        });
        assert_eq!(b, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 3]);
        assert!(c.iter().enumerate().all(|(j, &x)| x == j / 2));

        run_chunks_mut2((&mut b, 1), (&mut c, 2), |i, b, _| b[0] = i);
        assert_eq!(b, (0..11).collect::<Vec<_>>());
        assert_eq!(run_map(50, |i| i * i), (0..50).map(|i| i * i).collect::<Vec<_>>());
    });
}

#[test]
#[should_panic(expected = "different numbers of chunks")]
fn unequal_chunks_are_refused() {
    run_chunks_mut2((&mut [0; 4], 2), (&mut [0; 4], 1), |_, _, _| ());
}
