//! Looks at the built-in corpus: `builtin_corpus` prints samples of each kind, `builtin_corpus DIR` writes it
//! there and says what it wrote.

use std::path::Path;

use mynah_base::Rng;
use mynah_data::Split;
use mynah_data::builtin::words::Lexicon;
use mynah_data::builtin::{Builtin, DocumentKind, MakeSize, document_of, make};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(dir) = std::env::args().nth(1) {
        let start = std::time::Instant::now();
        let made = make(Path::new(&dir), 42, MakeSize::default())?;
        for (path, size_bytes) in &made.files {
            println!("{} {}", path.display(), mynah_base::units::bytes(*size_bytes));
        }
        let lexicon = Lexicon::get();
        println!(
            "{} documents, {} conversations in {:.1} s; {} words for training, {} held out",
            made.documents,
            made.conversations,
            start.elapsed().as_secs_f64(),
            lexicon.train.len(),
            lexicon.held_out.len()
        );
        return Ok(());
    }
    let kinds = [
        DocumentKind::Story,
        DocumentKind::Spelling,
        DocumentKind::Counting,
        DocumentKind::Arithmetic,
        DocumentKind::Dialogue,
        DocumentKind::Facts,
    ];
    for kind in kinds {
        for seed in 0..3 {
            println!("--- {kind:?}\n{}", document_of(kind, &mut Rng::new(seed)).trim_end());
        }
    }
    println!("--- conversations");
    for index in 0..25 {
        println!("{}", serde_json::to_string(&Builtin::new(1).conversation(Split::Train, index))?);
    }
    Ok(())
}
