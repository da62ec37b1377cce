//! Corpora from files: formats, places, splits, bad input.

use std::fs;
use std::path::{Path, PathBuf};

use mynah_base::Rng;
use mynah_data::{Corpus, CorpusOptions, ErrorKind, Place, Result, Split};

fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn texts(corpus: &Corpus) -> Vec<String> {
    corpus.documents(Place::default()).map(|document| document.unwrap().text).collect()
}

fn open(path: &Path) -> Result<Corpus> {
    Corpus::open(&[path], CorpusOptions::default())
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn folders_are_read_sorted_and_without_hidden_files() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "b.txt", "bee");
    write(
        dir.path(),
        "a/z.jsonl",
        "{\"id\":1,\"text\":\"one\"}\n\n{\"text\":\"two\",\"more\":{\"text\":[1]}}",
    );
    write(dir.path(), ".hidden/x.txt", "no");
    write(dir.path(), ".secret.txt", "no");
    write(dir.path(), "picture.png", [0, 1, 2]);
    let corpus = open(dir.path()).unwrap();
    assert_eq!(texts(&corpus), ["one", "two", "bee"]);
    let globbed = open(&dir.path().join("*.txt")).unwrap();
    assert_eq!(texts(&globbed), ["bee"]);
    let twice = Corpus::open(&[dir.path().join("b.txt"), dir.path().join("b.txt")], CorpusOptions::default())
        .unwrap();
    assert_eq!(texts(&twice), ["bee"]);
}

#[test]
fn parquet_files_of_both_codecs_give_their_text_column() {
    for name in ["sample.zstd.parquet", "sample.snappy.parquet"] {
        let corpus = open(&fixture(name)).unwrap();
        let mut documents = corpus.documents(Place::default());
        let found: Vec<String> = documents.by_ref().map(|document| document.unwrap().text).collect();
        assert_eq!(found.len(), 198);
        assert_eq!(found[0], "Document 0: the cat sat on mat 0. äöü 漢字 🦊");
        assert_eq!(found[197], "Document 199: the cat sat on mat 3. äöü 漢字 🦊");
        assert_eq!(documents.counts().skipped, 2, "one null and one empty text");
    }
    let options = CorpusOptions { text_field: "body".to_string(), ..CorpusOptions::default() };
    let error = Corpus::open(&[fixture("sample.zstd.parquet")], options).unwrap_err().to_string();
    assert!(error.contains("\"body\"") && error.contains("id, text, tags"), "{error}");
}

#[test]
fn reading_goes_on_at_any_place() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..50).map(|n| format!("{{\"text\":\"line {n}\"}}\n")).collect();
    write(dir.path(), "a.jsonl", lines);
    fs::copy(fixture("sample.zstd.parquet"), dir.path().join("b.parquet")).unwrap();
    let book: String = (0..4_000).map(|n| format!("Paragraph {n} of a long book.\n\n")).collect();
    write(dir.path(), "c.txt", book);
    let corpus = open(dir.path()).unwrap();
    let all: Vec<_> = corpus.documents(Place::default()).map(|document| document.unwrap()).collect();
    assert!(all.len() > 50 + 198 + 10);
    for start in (0..all.len()).step_by(7) {
        let rest: Vec<_> = corpus.documents(all[start].place).map(|document| document.unwrap()).collect();
        assert_eq!(rest, all[start..], "from {start}");
    }
    let mut documents = corpus.documents(Place::default());
    for document in &all {
        assert_eq!(
            documents.place().document,
            if documents.place().file == document.place.file {
                document.place.document
            } else {
                documents.place().document
            }
        );
        documents.next();
    }
}

#[test]
fn large_text_is_cut_at_blank_lines_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let book: String =
        (0..5_000).map(|n| format!("Paragraph {n} has some words.\nAnd a second line.\n\n")).collect();
    let corpus = open(&write(dir.path(), "book.txt", &book)).unwrap();
    let pieces = texts(&corpus);
    assert_eq!(pieces.concat(), book);
    assert!(
        pieces.len() > 10 && pieces.iter().all(|piece| piece.starts_with("Paragraph") && piece.len() < 9_000)
    );
    let small = open(&write(dir.path(), "small.txt", &book[..20_000])).unwrap();
    assert_eq!(texts(&small).len(), 1);
    // Without any line end there is still a limit.
    let line = "wörd ".repeat(500_000);
    let corpus = open(&write(dir.path(), "line.txt", &line)).unwrap();
    let pieces = texts(&corpus);
    assert_eq!(pieces.concat(), line);
    assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() <= 1 << 20));
}

#[test]
fn invalid_utf8_is_replaced_and_counted_or_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "bad.txt", b"good \xFF\xFE bad \xE2\x28 end");
    let corpus = open(&path).unwrap();
    let mut documents = corpus.documents(Place::default());
    assert_eq!(documents.next().unwrap().unwrap().text, "good \u{fffd}\u{fffd} bad \u{fffd}( end");
    assert_eq!(documents.counts().replaced, 3);
    let error =
        Corpus::open(&[&path], CorpusOptions { strict: true, ..CorpusOptions::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Utf8);
    assert!(error.to_string().contains("bad.txt") && error.to_string().contains("offset 5"), "{error}");
    let path = write(dir.path(), "bad.jsonl", b"{\"text\":\"ok\"}\n{\"text\":\"\xFF\"}\n");
    let error =
        Corpus::open(&[&path], CorpusOptions { strict: true, ..CorpusOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("offset 23"), "{error}");
}

#[test]
fn bad_input_gets_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let check = |path: &Path, kind: ErrorKind, expect: &[&str]| {
        let error = open(path).unwrap_err();
        let line = error.to_string();
        assert_eq!(error.kind(), kind, "{line}");
        assert!(expect.iter().all(|part| line.contains(part)) && !line.contains('\n'), "{line}");
    };
    check(&dir.path().join("nothing.txt"), ErrorKind::Io, &["no such file", "nothing.txt"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    check(&dir.path().join("empty"), ErrorKind::Empty, &["no text in the folder", "empty"]);
    check(&dir.path().join("*.jsonl"), ErrorKind::Empty, &["no file matches", "*.jsonl"]);
    check(&write(dir.path(), "blank.txt", " \n\n "), ErrorKind::Empty, &["no text in", "blank.txt"]);
    check(&write(dir.path(), "zero.txt", ""), ErrorKind::Empty, &["no text in", "zero.txt"]);
    check(
        &write(dir.path(), "x.jsonl", "{\"text\":\"a\"}\n{\"text\":"),
        ErrorKind::Format,
        &["x.jsonl:2: bad JSON"],
    );
    check(
        &write(dir.path(), "y.jsonl", "{\"body\":\"a\"}\n"),
        ErrorKind::Empty,
        &["none of 1 record", "\"text\""],
    );
    check(
        &write(dir.path(), "z.jsonl", "{\"text\":\"a\"} extra\n"),
        ErrorKind::Format,
        &["z.jsonl:1: bad JSON"],
    );
    check(&write(dir.path(), "p.parquet", "not parquet"), ErrorKind::Format, &["p.parquet", "Parquet"]);
    let none: [&str; 0] = [];
    assert_eq!(Corpus::open(&none, CorpusOptions::default()).unwrap_err().kind(), ErrorKind::Empty);
    let options = CorpusOptions { line_bytes_max: 100, ..CorpusOptions::default() };
    let path = write(dir.path(), "long.jsonl", format!("{{\"text\":\"{}\"}}\n", "a".repeat(200)));
    let error = Corpus::open(&[path], options).unwrap_err().to_string();
    assert!(error.contains("long.jsonl:1") && error.contains("100 bytes"), "{error}");
}

#[test]
fn the_split_is_disjoint_complete_and_by_content() {
    let document = |n: usize| format!("Document number {n} with some text.");
    let corpus = Corpus::from_texts((0..3_000).map(document).collect(), CorpusOptions::default()).unwrap();
    let part = |corpus: &Corpus, split| -> Vec<String> {
        corpus.split(split, Place::default()).map(|document| document.unwrap().text).collect()
    };
    let (train, validation) = (part(&corpus, Split::Train), part(&corpus, Split::Validation));
    assert_eq!(train.len() + validation.len(), 3_000);
    assert!((50..140).contains(&validation.len()), "{}", validation.len());
    let backwards =
        Corpus::from_texts((0..3_000).rev().map(document).collect(), CorpusOptions::default()).unwrap();
    let mut again = part(&backwards, Split::Validation);
    again.reverse();
    assert_eq!(again, validation);
    for count in 2..40 {
        let small = Corpus::from_texts((0..count).map(document).collect(), CorpusOptions::default()).unwrap();
        assert!(
            !part(&small, Split::Train).is_empty() && !part(&small, Split::Validation).is_empty(),
            "{count}"
        );
        let most = CorpusOptions { validation_fraction: 0.99, ..CorpusOptions::default() };
        let small = Corpus::from_texts((0..count).map(document).collect(), most).unwrap();
        assert!(
            !part(&small, Split::Train).is_empty() && !part(&small, Split::Validation).is_empty(),
            "{count}"
        );
    }
    let one = Corpus::from_texts(vec![document(1)], CorpusOptions::default()).unwrap();
    assert_eq!((part(&one, Split::Train).len(), part(&one, Split::Validation).len()), (1, 0));
    let none = CorpusOptions { validation_fraction: 0.0, ..CorpusOptions::default() };
    let all = Corpus::from_texts((0..100).map(document).collect(), none).unwrap();
    assert_eq!(part(&all, Split::Train).len(), 100);
    let wrong = CorpusOptions { validation_fraction: 1.5, ..CorpusOptions::default() };
    assert_eq!(Corpus::open(&["x"], wrong).unwrap_err().kind(), ErrorKind::Setting);
}

#[test]
fn random_bytes_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let sound = [
        fs::read(fixture("sample.zstd.parquet")).unwrap(),
        fs::read(fixture("sample.snappy.parquet")).unwrap(),
    ];
    let hook = std::panic::take_hook();
    // The Parquet crate's own assertions are caught; their messages would only confuse.
    std::panic::set_hook(Box::new(|_| {}));
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let ending = ["txt", "jsonl", "parquet"][seed as usize % 3];
        let mut bytes: Vec<u8> = if ending == "parquet" {
            rng.choose(&sound).clone()
        } else {
            (0..rng.index(3_000)).map(|_| *rng.choose(b"{}[]\":,\\textu0d8 \n\r\xFF\xC3\xE2\x00ab")).collect()
        };
        if ending == "parquet" {
            for _ in 0..1 + rng.index(8) {
                let at = rng.index(bytes.len());
                bytes[at] = rng.next_u64() as u8;
            }
            if rng.chance(0.2) {
                bytes.truncate(rng.index(bytes.len()));
            }
        }
        let path = write(dir.path(), &format!("fuzz.{ending}"), &bytes);
        if let Ok(corpus) = open(&path) {
            let read = corpus.documents(Place::default()).take_while(Result::is_ok).count();
            assert!(read < 100_000, "seed {seed}");
        }
    }
    std::panic::set_hook(hook);
}

/// Peak memory of this process so far, where the system tells it.
fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[test]
fn streaming_does_not_hold_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.jsonl");
    let line = format!("{{\"text\":\"{}\"}}\n", "some words in a row ".repeat(500));
    let size = 200_000_000;
    {
        use std::io::Write;
        let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
        for _ in 0..size / line.len() {
            file.write_all(line.as_bytes()).unwrap();
        }
    }
    let Some(before) = peak_bytes() else {
        println!("no /proc/self/status on this system: skipped");
        return;
    };
    let corpus = open(&path).unwrap();
    let read: usize = corpus.documents(Place::default()).map(|document| document.unwrap().text.len()).sum();
    assert!(read > size / 2);
    let grown = peak_bytes().unwrap() - before;
    // The other tests of this program run beside it; the file would be ten times as much.
    assert!(grown < 20 << 20, "reading grew the memory by {grown} bytes");
}
