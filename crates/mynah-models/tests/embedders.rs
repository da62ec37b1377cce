//! Embedding models against `transformers`.

mod common;

use common::{difference, options, testdata};
use mynah_models::{Embedder, LoadOptions, Pooling};
use mynah_nn::safetensors::TensorFile;

#[test]
fn vectors_are_those_of_transformers() {
    for (name, pooling) in [("bert", Pooling::Mean), ("xlm-roberta", Pooling::First)] {
        let folder = testdata().join("embedders").join(name);
        let mut file = TensorFile::open(&folder.join("golden.safetensors")).unwrap();
        let mut embedder = Embedder::open(folder.to_str().unwrap(), &options()).unwrap();
        assert_eq!(embedder.config().pooling, pooling);
        assert_eq!(embedder.config().normalise, pooling == Pooling::Mean);
        let (mut texts, mut expected) = (Vec::new(), Vec::new());
        for len in [1, 5, 17] {
            let tokens = file.read_f32(&format!("text{len}.tokens"), &[len]).unwrap();
            texts.push(tokens.iter().map(|&token| token as u32).collect::<Vec<u32>>());
            expected.extend(file.read_f32(&format!("text{len}.vector"), &[32]).unwrap());
        }
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let (mut vectors, mut alone) = (Vec::new(), Vec::new());
        embedder.embed(&texts, &mut vectors).unwrap();
        let apart = difference(&vectors, &expected);
        println!("{name}: {apart:e}");
        assert!(apart <= 1e-4, "{name}: differs by {apart}");
        for (text, vector) in texts.iter().zip(vectors.chunks_exact(32)) {
            embedder.embed(&[text], &mut alone).unwrap();
            assert!(alone == vector, "{name}: a text depends on the others");
        }
        let most = embedder.config().context_length;
        let error = embedder.embed(&[&vec![3; most + 1]], &mut alone).unwrap_err().to_string();
        assert!(error.contains(&format!("{} tokens exceed the model's {most}", most + 1)), "{error}");
        assert!(embedder.embed(&[&[]], &mut alone).is_err() && embedder.embed(&[&[64]], &mut alone).is_err());
    }
}

#[test]
fn other_models_are_named() {
    let open = |path: &str| {
        let path = testdata().join(path);
        Embedder::open(path.to_str().unwrap(), &LoadOptions::default()).unwrap_err().to_string()
    };
    let error = open("families/llama");
    assert!(error.contains("model_type = \"llama\" is not supported; supported: bert"), "{error}");
}
