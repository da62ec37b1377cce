//! The generator against small models whose every logit is known: text by bytes, tools, stops, limits.

use std::ops::ControlFlow;

use mynah_engine::{
    Completion, ErrorKind, Finish, Generator, Limits, Model, Part, Piece, Request, Result, Rows,
    SamplingOptions, TextCodec, Tool, ToolTokens,
};

/// Ids 0..256 are bytes, the rest special.
const BOS: u32 = 256;
const END: u32 = 257;
const TOOL: ToolTokens = ToolTokens { call_start: 258, call_end: 259, result_start: 260, result_end: 261 };
const VOCAB: usize = 262;

struct Bytes([u8; 256]);

impl Bytes {
    fn new() -> Self {
        Self(std::array::from_fn(|byte| byte as u8))
    }
}

impl TextCodec for Bytes {
    fn bytes(&self, id: u32) -> &[u8] {
        self.0.get(id as usize).map_or(&[], std::slice::from_ref)
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }
}

fn ids(text: &str) -> Vec<u32> {
    Bytes::new().encode(text)
}

/// A model given by a function from everything a row has read to its next logits.
struct Function<F> {
    context: usize,
    logits: F,
}

struct FunctionRows<'a, F> {
    model: &'a Function<F>,
    texts: Vec<Vec<u32>>,
}

impl<F: Fn(&[u32]) -> Vec<f32>> Model for Function<F> {
    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn context_length(&self) -> usize {
        self.context
    }

    fn start(&self, prompts: &[&[u32]]) -> Result<(Box<dyn Rows + '_>, Vec<f32>)> {
        let texts: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.to_vec()).collect();
        let logits = texts.iter().flat_map(|text| (self.logits)(text)).collect();
        Ok((Box::new(FunctionRows { model: self, texts }), logits))
    }
}

impl<F: Fn(&[u32]) -> Vec<f32>> Rows for FunctionRows<'_, F> {
    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.texts = rows.iter().map(|&row| self.texts[row].clone()).collect();
        Ok(())
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        assert_eq!(tokens.len(), self.texts.len());
        for (text, &token) in self.texts.iter_mut().zip(tokens) {
            text.push(token);
            assert!(text.len() <= self.model.context, "the context is exceeded");
        }
        Ok(self.texts.iter().flat_map(|text| (self.model.logits)(text)).collect())
    }
}

/// Logits that allow one id only.
fn only(id: u32) -> Vec<f32> {
    let mut logits = vec![-30.0; VOCAB];
    logits[id as usize] = 0.0;
    logits
}

/// A model that continues `<|bos|>` with this script, whatever is forced in between.
fn script(script: Vec<u32>) -> Function<impl Fn(&[u32]) -> Vec<f32>> {
    Function {
        context: 200,
        logits: move |text: &[u32]| {
            // Forced results are not part of the script: count what the model itself wrote.
            let mut written = 0;
            let mut in_result = false;
            for &id in &text[1..] {
                in_result |= id == TOOL.result_start;
                written += usize::from(!in_result);
                in_result &= id != TOOL.result_end;
            }
            only(script.get(written).copied().unwrap_or(END))
        },
    }
}

fn limits() -> Limits {
    Limits { max_tokens: 100, stop_ids: vec![END, BOS], stop_texts: Vec::new() }
}

fn request(prompt: Vec<u32>, rows: usize) -> Request {
    Request { prompt, rows, first_row: 0, options: SamplingOptions::greedy(), limits: limits() }
}

fn run(model: &dyn Model, request: &Request) -> (Vec<Completion>, Vec<(usize, Piece)>) {
    let codec = Bytes::new();
    let generator = Generator::new(model, &codec).with_tool(Tool::calculator(TOOL));
    let mut pieces = Vec::new();
    let completions = generator.generate(request, &mut |row, piece| {
        pieces.push((row, piece.clone()));
        ControlFlow::Continue(())
    });
    (completions.unwrap(), pieces)
}

/// `"text [12*2] more"` with `[`, `]` as the tokens around a call.
fn with_calls(text: &str) -> Vec<u32> {
    let marker = |id| match id {
        91 => TOOL.call_start,
        93 => TOOL.call_end,
        other => other,
    };
    ids(text).into_iter().map(marker).collect()
}

#[test]
fn a_tool_call_is_answered_in_the_row() {
    let model = script(with_calls("It is [12*2]24, no: [1/0]none."));
    let (completions, pieces) = run(&model, &request(vec![BOS], 2));
    for completion in &completions {
        assert_eq!(completion.text, "It is 24, no: none.");
        assert_eq!(completion.finish, Finish::StopToken(END));
        let mut expect = with_calls("It is [12*2]");
        expect.push(TOOL.result_start);
        expect.extend(ids("24"));
        expect.push(TOOL.result_end);
        expect.extend(with_calls("24, no: [1/0]"));
        expect.push(TOOL.result_start);
        expect.extend(ids("error: division by zero"));
        expect.push(TOOL.result_end);
        expect.extend(ids("none."));
        assert_eq!(completion.ids, expect);
        let forced: Vec<u32> =
            completion.ids.iter().zip(&completion.sampled).filter(|(_, s)| !**s).map(|(&id, _)| id).collect();
        assert_eq!(forced.len(), 4 + "24".len() + "error: division by zero".len());
    }
    let of = |part| -> String {
        pieces.iter().filter(|(row, p)| *row == 0 && p.part == part).map(|(_, p)| p.text.as_str()).collect()
    };
    assert_eq!(of(Part::Answer), "It is 24, no: none.");
    assert_eq!(of(Part::ToolCall), "12*21/0");
    assert_eq!(of(Part::ToolResult), "24error: division by zero");
    // Every new token is in exactly one piece.
    let shown: Vec<u32> = pieces.iter().filter(|(row, _)| *row == 1).filter_map(|(_, p)| p.id).collect();
    assert_eq!(shown, completions[1].ids);
}

#[test]
fn a_call_that_never_ends_ends_with_the_row() {
    let (completions, _) = run(&script(with_calls("so [1+1")), &request(vec![BOS], 1));
    assert_eq!(completions[0].text, "so ");
    assert_eq!(completions[0].finish, Finish::StopToken(END));
}

#[test]
fn tool_results_count_to_the_context() {
    let model = Function { context: 12, ..script(with_calls("[2**90]ok")) };
    let (completions, _) = run(&model, &request(vec![BOS], 1));
    assert_eq!(completions[0].finish, Finish::ContextFull);
    assert_eq!(completions[0].ids.len(), 11);
}

#[test]
fn without_a_tool_calls_are_plain_tokens() {
    let (model, codec) = (script(with_calls("a[1+1]b")), Bytes::new());
    let generator = Generator::new(&model, &codec);
    let done = generator.generate(&request(vec![BOS], 1), &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(done[0].text, "a1+1b");
    assert!(done[0].sampled.iter().all(|&s| s));
}

#[test]
fn limits_end_rows() {
    let model = script(ids("one two three"));
    let check = |limits: Limits, text: &str, finish: Finish| {
        let (done, pieces) = run(&model, &Request { limits, ..request(vec![BOS], 1) });
        assert_eq!((done[0].text.as_str(), &done[0].finish), (text, &finish));
        assert_eq!(pieces.iter().map(|(_, piece)| piece.text.as_str()).collect::<String>(), text);
    };
    check(limits(), "one two three", Finish::StopToken(END));
    check(Limits { max_tokens: 5, ..limits() }, "one t", Finish::MaxTokens);
    check(Limits { max_tokens: 0, ..limits() }, "", Finish::MaxTokens);
    let stop = |text: &str| Limits { stop_texts: vec![text.to_string()], ..limits() };
    check(stop("two"), "one ", Finish::StopText("two".to_string()));
    check(stop("threex"), "one two three", Finish::StopToken(END));
    check(Limits { max_tokens: 6, ..stop("two") }, "one tw", Finish::MaxTokens);
    let stops = Limits { stop_ids: vec![u32::from(b'w')], ..limits() };
    check(stops, "one t", Finish::StopToken(u32::from(b'w')));
}

#[test]
fn the_callback_can_end_it() {
    let (model, codec) = (script(ids("abcdef")), Bytes::new());
    let mut seen = String::new();
    let done = Generator::new(&model, &codec)
        .generate(&request(vec![BOS], 1), &mut |_, piece| {
            seen.push_str(&piece.text);
            if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!((seen.as_str(), &done[0].finish), ("abc", &Finish::Cancelled));
}

#[test]
fn characters_are_whole_in_the_stream() {
    let (_, pieces) = run(&script(ids("naïve 🐦")), &request(vec![BOS], 1));
    let texts: Vec<&str> = pieces.iter().map(|(_, piece)| piece.text.as_str()).collect();
    assert_eq!(texts, ["n", "a", "", "ï", "v", "e", " ", "", "", "", "🐦"]);
}

#[test]
fn bad_requests_say_what_to_do() {
    let (model, codec) = (script(ids("x")), Bytes::new());
    let generator = Generator::new(&model, &codec);
    let fail = |request: Request| {
        let error = generator.generate(&request, &mut |_, _| ControlFlow::Continue(())).unwrap_err();
        (error.kind(), error.to_string())
    };
    let (kind, message) = fail(request(vec![BOS; 201], 1));
    assert_eq!(kind, ErrorKind::Prompt);
    assert!(message.contains("201 tokens") && message.contains("context is 200"), "{message}");
    assert_eq!(fail(request(vec![], 1)).0, ErrorKind::Prompt);
    let (kind, message) = fail(request(vec![BOS, 9999], 1));
    assert_eq!(kind, ErrorKind::Prompt);
    assert!(message.contains("9999") && message.contains("262"), "{message}");
    let options = SamplingOptions { top_p: 2.0, ..Default::default() };
    assert_eq!(fail(Request { options, ..request(vec![BOS], 1) }).0, ErrorKind::Option);
    let broken = Function { context: 9, logits: |_: &[u32]| vec![f32::NAN; VOCAB] };
    let error = Generator::new(&broken, &codec)
        .generate(&request(vec![BOS], 1), &mut |_, _| ControlFlow::Continue(()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Logits);
}

/// A model whose logits depend on all that the row has read.
fn hashing() -> Function<impl Fn(&[u32]) -> Vec<f32>> {
    Function {
        context: 64,
        logits: |text: &[u32]| {
            let seed = text.iter().fold(17u64, |hash, &id| {
                (hash ^ u64::from(id)).wrapping_mul(0x0100_0000_01B3).rotate_left(23)
            });
            let mut rng = mynah_base::Rng::new(seed);
            (0..VOCAB as u32).map(|id| if id == END { 2.5 } else { rng.normal() as f32 }).collect()
        },
    }
}

#[test]
fn a_row_is_the_same_alone_and_in_a_batch() {
    let model = hashing();
    let options = SamplingOptions { temperature: 0.9, top_k: 50, top_p: 0.95, min_p: 0.01, seed: 5 };
    let batch = Request { options, ..request(vec![BOS, 1, 2], 8) };
    let (together, _) = run(&model, &batch);
    for row in 0..8 {
        let (alone, _) = run(&model, &Request { rows: 1, first_row: row, ..batch.clone() });
        assert_eq!(alone[0], together[row as usize], "row {row}");
    }
    assert_ne!(together[0].ids, together[1].ids);
    let lengths: std::collections::BTreeSet<usize> = together.iter().map(|row| row.ids.len()).collect();
    assert!(lengths.len() > 2, "rows should end at different places: {lengths:?}");
}

#[test]
fn many_prompts_answer_as_they_would_alone() {
    let (model, codec) = (hashing(), Bytes::new());
    let generator = Generator::new(&model, &codec).with_tool(Tool::calculator(TOOL));
    let mut rng = mynah_base::Rng::new(2);
    let prompts: Vec<Vec<u32>> =
        (0..150).map(|_| (0..1 + rng.index(40)).map(|_| rng.below(256) as u32).collect()).collect();
    let options = SamplingOptions { seed: 3, ..Default::default() };
    let limits = Limits { max_tokens: 30, ..limits() };
    let together = generator.answer_all(&prompts, &options, &limits).unwrap();
    assert_eq!(together.len(), prompts.len());
    for (index, prompt) in prompts.iter().enumerate() {
        let request = Request {
            prompt: prompt.clone(),
            rows: 1,
            first_row: index as u64,
            options: options.clone(),
            limits: limits.clone(),
        };
        let alone = generator.generate(&request, &mut |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!(alone[0], together[index], "prompt {index}");
    }
    assert!(generator.answer_all(&[], &options, &limits).unwrap().is_empty());
    let nothing = Limits { max_tokens: 0, ..limits };
    assert_eq!(generator.answer_all(&prompts[..2], &options, &nothing).unwrap().len(), 2);
}
