//! Times and policies of the protocol.

/// Whether replicas hold while a commit is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitMode {
    /// All hold between two decode steps until the decision: one version at every instant.
    Barrier,
    /// Each serves on until it hears the decision: no pause, two versions for the time of a message.
    Rolling,
}

/// Times and policies; the same for the coordinator and its receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// A host calls `tick` at least this often.
    pub tick_ms: u64,
    /// Receivers report this often.
    pub heartbeat_ms: u64,
    /// How long a participant serves without hearing from the coordinator.
    pub lease_ms: u64,
    /// A message that is not answered is sent again after this time.
    pub resend_ms: u64,
    /// How long participants may take to acknowledge an update.
    pub enroll_ms_max: u64,
    /// How long they may take to fetch and verify it.
    pub stage_ms_max: u64,
    /// How long they may hold; afterwards the update is aborted.
    pub hold_ms_max: u64,
    /// Participants below which an update is aborted.
    pub replicas_min: usize,
    /// Whether an update goes on without participants whose lease ran out; otherwise it is aborted.
    pub may_leave_out: bool,
    /// For the simulator: a mistake to be caught.
    pub mutation: Mutation,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tick_ms: 250,
            heartbeat_ms: 1_000,
            lease_ms: 5_000,
            resend_ms: 500,
            enroll_ms_max: 5_000,
            stage_ms_max: 600_000,
            hold_ms_max: 2_000,
            replicas_min: 1,
            may_leave_out: true,
            mutation: Mutation::None,
        }
    }
}

impl Config {
    /// All times as parts of the lease: how long a replica that takes part in an update serves without hearing from
    /// the coordinator. One that is gone is left out after twice this time.
    pub fn for_lease(lease_ms: u64) -> Self {
        Self {
            tick_ms: (lease_ms / 20).max(1),
            heartbeat_ms: (lease_ms / 5).max(1),
            lease_ms,
            resend_ms: (lease_ms / 10).max(1),
            enroll_ms_max: lease_ms,
            hold_ms_max: lease_ms,
            ..Self::default()
        }
    }
}

/// Mistakes that the simulator builds in to show that it would find them. A real run has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The protocol as it is.
    None,
    /// A receiver flips when it is asked to precommit.
    FlipAtPrecommit,
    /// The coordinator decides when the first participant has precommitted.
    DecideEarly,
    /// A receiver that holds for long goes back to the old version by itself.
    GuessWhenBlocked,
    /// A restarted receiver serves what it has without asking.
    ServeAfterRestart,
    /// Silent members are left out at once.
    LeaveOutWithoutLease,
    /// A lease lasts from when its grant arrives, not from when it was asked for.
    LeaseFromArrival,
    /// Receivers stop counting their lease when they have flipped, before they are settled.
    LeaseEndsAtFlip,
    /// The coordinator frees a replica of its lease before it is durable that all have answered.
    SettleEarly,
    /// A coordinator appends without looking whether it was passed.
    UnfencedLog,
    /// A joiner is let in while an update is under way.
    JoinDuringUpdate,
    /// Chunks are not checked against the manifest.
    SkipVerification,
    /// A coordinator that takes over forgets a decision that was made.
    ForgetDecision,
}

impl Mutation {
    /// All mistakes.
    pub const ALL: [Mutation; 12] = [
        Mutation::FlipAtPrecommit,
        Mutation::DecideEarly,
        Mutation::GuessWhenBlocked,
        Mutation::ServeAfterRestart,
        Mutation::LeaveOutWithoutLease,
        Mutation::LeaseFromArrival,
        Mutation::LeaseEndsAtFlip,
        Mutation::SettleEarly,
        Mutation::UnfencedLog,
        Mutation::JoinDuringUpdate,
        Mutation::SkipVerification,
        Mutation::ForgetDecision,
    ];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mutation::None => "none",
            Mutation::FlipAtPrecommit => "flip-at-precommit",
            Mutation::DecideEarly => "decide-early",
            Mutation::GuessWhenBlocked => "guess-when-blocked",
            Mutation::ServeAfterRestart => "serve-after-restart",
            Mutation::LeaveOutWithoutLease => "leave-out-without-lease",
            Mutation::LeaseFromArrival => "lease-from-arrival",
            Mutation::LeaseEndsAtFlip => "lease-ends-at-flip",
            Mutation::SettleEarly => "settle-early",
            Mutation::UnfencedLog => "unfenced-log",
            Mutation::JoinDuringUpdate => "join-during-update",
            Mutation::SkipVerification => "skip-verification",
            Mutation::ForgetDecision => "forget-decision",
        }
    }

    /// The mistake of that name.
    pub fn named(name: &str) -> Option<Mutation> {
        Self::ALL.into_iter().find(|mutation| mutation.name() == name)
    }
}
