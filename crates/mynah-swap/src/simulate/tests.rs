use super::*;

#[test]
fn promises_hold() {
    let report = run(&SimulateOptions { seeds: 0..300, threads: 2, mutation: Mutation::None });
    assert!(report.failure.is_none(), "{}", report.to_text());
    // The world was not a calm one.
    let stats = &report.stats;
    for (name, value) in stats.fields() {
        assert!(value > 0 || name == "bytes_fetched_for_rollbacks", "{name} is 0");
    }
    assert_eq!(stats.bytes_fetched_for_rollbacks, 0);
    assert_eq!(report.seeds, 300);
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..5 {
        assert_eq!(run_seed(seed, Mutation::None, false), run_seed(seed, Mutation::None, true));
    }
}

#[test]
fn mistakes_are_caught() {
    // The first seeds that show them; after a change of the protocol, the search starts from 0 again.
    let known = |mutation| match mutation {
        Mutation::GuessWhenBlocked => 3,
        Mutation::LeaveOutWithoutLease => 2,
        Mutation::LeaseFromArrival => 545,
        Mutation::LeaseEndsAtFlip => 132,
        Mutation::SettleEarly => 665,
        Mutation::JoinDuringUpdate => 1,
        Mutation::ForgetDecision => 39,
        _ => 0,
    };
    for mutation in Mutation::ALL {
        let search = |seeds| run(&SimulateOptions { seeds, threads: 2, mutation }).failure;
        let first = known(mutation);
        let failure = search(first..first + 1).or_else(|| search(0..4_000));
        let failure = failure.unwrap_or_else(|| panic!("{mutation:?} was not caught in 4000 seeds"));
        assert!(!failure.trace.is_empty(), "{mutation:?}");
        let again = run_seed(failure.seed, mutation, true).unwrap_err();
        assert_eq!(again, failure);
    }
}
