//! The numbers of a speedrun: what is chosen where the user chooses nothing.

use mynah_data::builtin::MakeSize;
use mynah_nn::derive::Overrides;

/// Everything a run of one kind starts from.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub depth: usize,
    pub vocab_size: usize,
    pub plan: Overrides,
    pub finetune_steps: u64,
    /// Factor on the pretraining rates for fine-tuning.
    pub finetune_rate: f64,
    pub made: MakeSize,
    /// Held-out questions of each task.
    pub questions: usize,
    /// Tokens of validation while training.
    pub validation_tokens: usize,
    /// Tokens of held-out text for the final bits per byte.
    pub measured_tokens: u64,
    /// Tokens that go through the model at once.
    pub pass_tokens: u64,
}

/// The built-in corpus: ten minutes on two cores of a laptop, under 3 GB.
fn builtin() -> Recipe {
    Recipe {
        depth: 4,
        // Few pieces, so that each is spelled often enough to be learned within the ten minutes.
        vocab_size: 1024,
        plan: Overrides {
            head_dim: Some(64),
            sequence_len: Some(256),
            batch_tokens: Some(2048),
            steps: Some(850),
            // The rule would scale the rates by √(2048 / 2^19) = 0.06, meant for horizons of billions of tokens. After
            // 300 steps 0.06 gave 0.72 bits per byte, 0.6 gave 0.53, 4 about 0.6, 12 did not settle.
            lr_scale: Some(0.6),
            weight_decay_scaled: Some(0.1),
            ..Overrides::default()
        },
        finetune_steps: 400,
        finetune_rate: 0.8,
        made: MakeSize::default(),
        questions: 100,
        validation_tokens: 32_768,
        measured_tokens: 65_536,
        pass_tokens: 2048,
    }
}

/// The user's own text: the same shape; vocabulary and horizon grow with the text.
fn own_text(text_bytes: u64) -> Recipe {
    let vocab_size = match text_bytes {
        0..2_000_000 => 2048,
        2_000_000..20_000_000 => 4096,
        20_000_000..200_000_000 => 8192,
        _ => 16_384,
    };
    let base = builtin();
    Recipe { vocab_size, plan: Overrides { steps: Some(1000), ..base.plan.clone() }, ..base }
}

/// Seconds: to see that everything runs, not to get a model.
fn quick() -> Recipe {
    Recipe {
        depth: 2,
        vocab_size: 512,
        plan: Overrides {
            n_embd: Some(64),
            n_head: Some(2),
            n_kv_head: Some(2),
            head_dim: Some(32),
            sequence_len: Some(128),
            batch_tokens: Some(512),
            steps: Some(12),
            warmup_steps: Some(2),
            ..Overrides::default()
        },
        finetune_steps: 8,
        finetune_rate: 0.8,
        made: MakeSize { text_bytes: 300_000, conversations: 400, held_out: 30 },
        questions: 4,
        validation_tokens: 2048,
        measured_tokens: 4096,
        pass_tokens: 512,
    }
}

impl Recipe {
    /// The recipe for a run on `text_bytes` of the user's own text, or on the built-in corpus (none).
    pub fn choose(is_quick: bool, text_bytes: Option<u64>) -> Recipe {
        match (is_quick, text_bytes) {
            (true, _) => quick(),
            (false, None) => builtin(),
            (false, Some(bytes)) => own_text(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{PlanOptions, batch_rows};

    #[test]
    fn every_recipe_makes_a_plan() {
        for recipe in [quick(), builtin(), own_text(1_000), own_text(1 << 40)] {
            let plan = PlanOptions::default().plan(recipe.depth, recipe.vocab_size, &recipe.plan).unwrap();
            assert!(plan.steps > 0);
            let rows = batch_rows(None, &plan, recipe.pass_tokens).unwrap();
            assert!((rows * plan.config.sequence_len) as u64 <= recipe.pass_tokens);
        }
    }
}
