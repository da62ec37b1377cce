//! Encoding and decoding of any text and any bytes.

use mynah_base::Rng;
use mynah_tokenizer::{ErrorKind, Special, compression, pattern};

use crate::{PIECES, fuzzed, small};

fn patterns() -> [pattern::Pattern; 4] {
    [pattern::GPT4_2, pattern::GPT4, pattern::GPT2, pattern::custom(r"[a-z]+|\d").unwrap()]
}

#[test]
fn decode_undoes_encode_for_text() {
    for pattern in patterns() {
        let tokenizer = small(pattern);
        let specials: Vec<u32> = Special::ALL.iter().map(|&s| tokenizer.special(s)).collect();
        let check = |text: &str| {
            let ids = tokenizer.encode_ordinary(text);
            assert_eq!(tokenizer.decode_string(&ids), text);
            assert!(!ids.iter().any(|id| specials.contains(id)), "special id from {text:?}");
            assert_eq!(tokenizer.encode_bytes(text.as_bytes()), ids, "{text:?}");
        };
        check("");
        PIECES.iter().for_each(|piece| check(piece));
        for seed in 0..400 {
            check(&fuzzed(&mut Rng::new(seed), 30));
        }
    }
}

#[test]
fn decode_undoes_encode_for_bytes() {
    for pattern in patterns() {
        let tokenizer = small(pattern);
        // Lone surrogates, overlong forms, truncated characters, bytes that are never valid.
        let chosen: [&[u8]; 6] = [
            b"a\xED\xA0\x80b",
            b"\xC0\xAF",
            b"\xE2\x82",
            b"ok\xFF\xFEok",
            b"\xF0\x9F\x91",
            b"\xF4\x90\x80\x80",
        ];
        for bytes in chosen {
            assert_eq!(tokenizer.decode(&tokenizer.encode_bytes(bytes)), bytes);
        }
        for seed in 0..400 {
            let mut rng = Rng::new(seed);
            let mut bytes = fuzzed(&mut rng, 10).into_bytes();
            for _ in 0..rng.index(6) {
                bytes.insert(rng.index(bytes.len() + 1), rng.below(256) as u8);
            }
            assert_eq!(tokenizer.decode(&tokenizer.encode_bytes(&bytes)), bytes, "seed {seed}");
        }
    }
}

#[test]
fn threads_and_cuts_change_nothing() {
    for pattern in patterns() {
        let tokenizer = small(pattern.clone());
        let mut rng = Rng::new(5);
        let mut texts: Vec<String> = (0..50).map(|_| fuzzed(&mut rng, 30)).collect();
        // Above the size at which one text is shared by several threads.
        let is_slow = pattern.name().is_none();
        let mut large = String::new();
        while large.len() < if is_slow { 1 << 16 } else { 3 << 20 } {
            large.push_str(&fuzzed(&mut rng, 30));
            large.push_str(rng.choose::<&str>(&["\n", "\n\n", " ", "."]));
            large.push('x');
        }
        texts.push(large);
        let expected: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode_ordinary(text)).collect();
        assert!(tokenizer.encode_batch(&texts) == expected);
        assert!(tokenizer.encode_batch_on(1, &texts) == expected);
        assert!(tokenizer.encode_batch_on(3, &texts) == expected);
        assert!(tokenizer.encode_batch_on(8, &texts[..2]) == expected[..2]);
        assert!(tokenizer.encode_batch(&[] as &[&str]).is_empty());
        let figures = compression(&tokenizer, &texts);
        for ((figure, text), ids) in figures.iter().zip(&texts).zip(&expected) {
            assert_eq!((figure.bytes, figure.tokens), (text.len() as u64, ids.len() as u64));
        }
    }
}

#[test]
fn a_chunk_of_a_megabyte_is_not_quadratic() {
    let tokenizer = small(pattern::GPT4_2);
    let check = |text: String| {
        let ids = tokenizer.encode_ordinary(&text);
        assert_eq!(tokenizer.decode(&ids), text.as_bytes());
    };
    // Quadratic time would be more than an hour here.
    check("a".repeat(1 << 20));
    check((0..1u64 << 20).map(|i| char::from(b'a' + (i * i % 7) as u8)).collect());
    check(" ".repeat(1 << 20));
}

#[test]
fn special_names_count_only_in_trusted_text() {
    let tokenizer = small(pattern::GPT4_2);
    let [bos, end] = [Special::Bos, Special::UserEnd].map(|special| tokenizer.special(special));
    let text = "<|bos|>hi <|user_start<|user_end|><|nobody|>";
    let ids = tokenizer.encode_with_special(text);
    let mut expected = vec![bos];
    expected.extend(tokenizer.encode_ordinary("hi <|user_start"));
    expected.push(end);
    expected.extend(tokenizer.encode_ordinary("<|nobody|>"));
    assert_eq!(ids, expected);
    assert_eq!(tokenizer.decode_string(&ids), text);
    assert_eq!(tokenizer.decode_string(&tokenizer.encode_ordinary(text)), text);
}

#[test]
fn ids_and_sizes() {
    let tokenizer = small(pattern::GPT4_2);
    let size = tokenizer.vocab_size() as u32;
    let specials: Vec<u32> = Special::ALL.iter().map(|&special| tokenizer.special(special)).collect();
    assert_eq!(specials, (size - 9..size).collect::<Vec<_>>());
    let lengths = tokenizer.token_bytes();
    assert_eq!(lengths.len(), size as usize);
    for (id, &length) in lengths.iter().enumerate() {
        let expected = if tokenizer.is_special(id as u32) { 0 } else { tokenizer.decode(&[id as u32]).len() };
        assert_eq!(length as usize, expected);
    }
    let text = "The birds sing.";
    let ids = tokenizer.encode_ordinary(text);
    assert_eq!(ids.iter().map(|&id| lengths[id as usize]).sum::<u32>() as usize, text.len());

    assert_eq!(tokenizer.decode_string(&[size, u32::MAX]), "\u{fffd}\u{fffd}");
    let error = tokenizer.try_decode(&[0, size]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Id);
    assert_eq!(
        error.to_string(),
        format!("id {size} at position 1 is outside the vocabulary of {size} tokens")
    );
}

#[test]
fn a_pattern_that_backtracks_forever_loses_no_text() {
    let tokenizer = small(pattern::custom(r"(?=(x+x+)+y)x+|z").unwrap());
    let text = format!("{}é zz", "x".repeat(200));
    assert_eq!(tokenizer.decode_string(&tokenizer.encode_ordinary(&text)), text);
}
