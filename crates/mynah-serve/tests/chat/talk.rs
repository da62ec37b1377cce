//! The page in a real browser, against a model whose every answer is known.
//!
//! Needs Chromium or Chrome, found in PATH or named by MYNAH_BROWSER; without one the tests say so and pass.

use std::time::Duration;

use mynah_serve::LlmConfig;
use serde_json::json;

use crate::common::{CONTEXT, serve};
use crate::devtools::Browser;
use crate::held::holding;

const SHIFT: u8 = 8;
const CTRL: u8 = 2;
/// What the toy has said after this many tokens.
const TOKENS: &str = "51";
const SAID: &str = "A bird and a bird make two.";
const KEY: &str = "0123456789abcdef";

fn browser() -> Option<Browser> {
    let found = Browser::find_and_start();
    if found.is_none() {
        println!("no Chromium or Chrome in PATH and none in MYNAH_BROWSER: skipped");
    }
    found
}

/// Types into a setting.
fn set(page: &mut Browser, name: &str, text: &str) {
    page.run(&format!(
        "((field) => {{ field.value = {}; field.dispatchEvent(new Event('input')); }})(document.getElementById('set-{name}'))",
        json!(text)
    ));
}

fn say(page: &mut Browser, text: &str) {
    page.run("document.getElementById('ask').focus()");
    page.write(text);
    page.press("Enter");
}

/// Text of the last element that fits.
fn last(selector: &str) -> String {
    format!("[...document.querySelectorAll('{selector}')].at(-1)?.textContent")
}

fn button(label: &str) -> String {
    format!("[...document.querySelectorAll('button')].findLast((node) => node.textContent === '{label}')")
}

fn messages(page: &mut Browser, count: usize) {
    page.wait_for(&format!(
        "document.querySelectorAll('.message').length === {count} && !document.querySelector('.running')"
    ));
}

#[test]
fn a_browser_talks_to_a_model() {
    let Some(mut page) = browser() else { return };
    let server = serve(LlmConfig { api_keys: vec![KEY.to_string()], ..LlmConfig::default() });
    let address = format!("http://{}/", server.address());
    page.open(&address);

    // The server wants a key; the page asks for it and keeps it.
    page.wait_for("document.getElementById('key').open");
    page.write("not the right key");
    page.press("Enter");
    page.wait_for("document.getElementById('key-why').textContent.includes('did not take')");
    page.write(KEY);
    page.press("Enter");
    page.wait_for("document.getElementById('model').value === 'toy' && !document.getElementById('key').open");
    page.wait_for("document.getElementById('health').textContent.includes('ready')");

    // Shift+Enter begins a line, Enter sends. Reasoning is apart and folded; the figures are right.
    set(&mut page, "max_tokens", TOKENS);
    set(&mut page, "temperature", "0");
    page.run("document.getElementById('ask').focus()");
    page.write("hello");
    page.press_with("Enter", SHIFT);
    page.write("bird");
    page.press("Enter");
    messages(&mut page, 2);
    page.wait_for(&format!("{} === '{SAID}'", last(".answer > .text")));
    assert_eq!(page.value("document.querySelector('.user .text').textContent"), json!("hello\nbird"));
    assert_eq!(page.value(&last(".reasoning .text")), json!("two birds"));
    assert_eq!(page.value("document.querySelector('.reasoning').open"), json!(false));
    let figures = page.value(&last(".figures"));
    let figures = figures.as_str().expect("figures");
    assert!(
        figures.contains("51 tokens") && figures.contains("tokens/s") && figures.contains("cut"),
        "{figures}"
    );
    page.wait_for(&format!("document.getElementById('room-left').textContent === '63 of {CONTEXT} tokens'"));

    // Answering again makes a version; both can be paged through, also after the page was opened anew.
    page.click(&button("Answer again"));
    page.wait_for(&format!("{} === '‹2/2›'", last(".answer .pager")));
    page.wait_for("!document.querySelector('.running')");
    page.click("document.querySelector('.answer .pager button')");
    page.wait_for(&format!("{} === '‹1/2›'", last(".answer .pager")));
    page.run("window.isOld = true");
    page.wait_for("document.querySelectorAll('#conversations a').length === 1");
    page.open(&address);
    page.wait_for(&format!(
        "!window.isOld && {} === '‹1/2›' && document.title.startsWith('hello')",
        last(".answer .pager")
    ));
    page.wait_for("document.getElementById('model').value === 'toy'");
    assert_eq!(page.value("document.getElementById('set-max_tokens').value"), json!(TOKENS));

    // The arrow key edits the last message; the old version stays.
    page.run("document.getElementById('ask').focus()");
    page.press("ArrowUp");
    page.wait_for("document.activeElement.matches('.user textarea')");
    page.write("s");
    page.press("Enter");
    page.wait_for(&format!("{} === '‹2/2›'", last(".user .pager")));
    messages(&mut page, 2);
    assert_eq!(page.value(&last(".user .text")), json!("hello\nbirds"));

    // What does not fit is refused with the numbers, and the page says what to do.
    say(&mut page, &"x".repeat(CONTEXT + 40));
    page.wait_for("document.querySelector('.problem:not([hidden])')");
    let problem = page.value(&last(".problem"));
    let problem = problem.as_str().expect("a problem");
    assert!(
        problem.contains(&format!("{CONTEXT} tokens")) && problem.contains("Begin a new conversation"),
        "{problem}"
    );

    // A new conversation by key; the old one stays in the list, can be renamed, deleted and had back.
    page.press_with("k", CTRL);
    page.wait_for("document.querySelector('.welcome') && document.activeElement.id === 'ask'");
    say(&mut page, "second");
    messages(&mut page, 2);
    page.wait_for("document.querySelectorAll('#conversations a').length === 2");
    page.run("document.querySelector('[title=Rename]').click()");
    page.wait_for("document.activeElement.matches('#conversations input')");
    page.write("Birds");
    page.press("Enter");
    page.wait_for("document.querySelector('#conversations a').textContent === 'Birds'");
    page.run("document.querySelector('[title=Delete]').click()");
    page.wait_for(
        "document.querySelectorAll('#conversations a').length === 1 && document.querySelector('.welcome')",
    );
    page.run(&format!("{}.click()", button("Undo")));
    page.wait_for("document.querySelectorAll('#conversations a').length === 2");

    // What is exported can be imported.
    page.run(
        "(async () => {
            const { pack } = await import('/page/exchange.js');
            const { Store } = await import('/page/store.js');
            const store = new Store(() => {});
            await store.start();
            const files = new DataTransfer();
            files.items.add(new File([pack(await store.all())], 'all.json'));
            const field = document.getElementById('import-file');
            field.files = files.files;
            field.dispatchEvent(new Event('change'));
        })()",
    );
    page.wait_for("document.querySelectorAll('#conversations a').length === 4");
    assert_eq!(
        page.value("document.getElementById('toast').textContent"),
        json!("2 conversations imported.")
    );

    // A key that has ceased to work is asked for again.
    page.run("localStorage.setItem('mynah.chat.key', 'an older key')");
    page.press_with("k", CTRL);
    say(&mut page, "third");
    page.wait_for("document.getElementById('key').open && document.querySelector('.problem:not([hidden])')");

    let outside = "performance.getEntriesByType('resource').filter((entry) => !entry.name.startsWith(location.origin)).map((entry) => entry.name)";
    assert_eq!(page.value(outside), json!([]), "nothing is asked of others");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[test]
fn a_person_answers_for_a_tool() {
    let Some(mut page) = browser() else { return };
    let server = serve(LlmConfig::default());
    page.open(&format!("http://{}/", server.address()));
    page.wait_for("document.getElementById('model').value === 'toy'");
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["Oslo"]}}, "required": ["city"],
                        "additionalProperties": false});
    let tools = json!([{"type": "function", "function": {"name": "forecast", "parameters": schema}}]);

    // A setting that cannot be sent is shown, and nothing is sent.
    page.press("Escape");
    page.run("document.getElementById('ask').blur()");
    page.press("s");
    page.wait_for("!document.getElementById('settings').hidden");
    set(&mut page, "tools", "{");
    say(&mut page, "weather?");
    page.wait_for("document.getElementById('notice').textContent.includes('setting')");
    assert_eq!(page.value("document.querySelectorAll('.message').length"), json!(0));
    set(&mut page, "tools", &tools.to_string());
    set(&mut page, "tool_choice", "=forecast");
    set(&mut page, "parallel_tool_calls", "false");
    set(&mut page, "temperature", "0");
    page.press("Enter");
    page.wait_for("document.activeElement.matches('.give textarea')");
    assert_eq!(page.value(&last(".call .code-head code")), json!("forecast"));
    assert_eq!(page.value(&last(".call pre")), json!("{\n  \"city\": \"Oslo\"\n}"));

    // Nothing else can be said before the result is there.
    say(&mut page, "well?");
    page.wait_for(
        "document.getElementById('notice').textContent.includes('waits for the result of forecast')",
    );
    set(&mut page, "tool_choice", "none");
    set(&mut page, "max_tokens", TOKENS);
    page.run("document.querySelector('.give textarea').focus()");
    page.write("12 mm of rain");
    page.press("Enter");
    messages(&mut page, 4);
    assert_eq!(page.value(&last(".result pre")), json!("12 mm of rain"));
    assert_eq!(page.value(&last(".answer > .text")), json!(SAID));
    assert_eq!(page.value("document.querySelectorAll('.give').length"), json!(0), "it is asked for once");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[test]
fn an_answer_is_stopped_and_the_server_hears_of_it() {
    let Some(mut page) = browser() else { return };
    let server = serve(LlmConfig::default());
    let (address, given_up) = holding(server.address(), 8_000);
    page.open(&format!("http://{address}/"));
    page.wait_for("document.getElementById('model').value === 'toy'");
    set(&mut page, "temperature", "0");
    say(&mut page, "hello");
    page.wait_for(&format!(
        "({}).startsWith('A bird') && document.querySelector('.running')",
        last(".answer > .text")
    ));
    page.wait_for("!document.getElementById('stop').hidden && document.getElementById('send').hidden");
    page.press("Escape");
    page.wait_for(&format!("({}).includes('stopped by you')", last(".figures")));
    given_up.recv_timeout(Duration::from_secs(20)).expect("the page closes the connection");
    assert!(page.value(&last(".answer > .text")).as_str().is_some_and(|text| text.starts_with("A bird")));
    assert_eq!(page.value("document.getElementById('stop').hidden"), json!(true));
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[test]
fn text_of_a_model_never_becomes_markup() {
    let Some(mut page) = browser() else { return };
    let server = serve(LlmConfig::default());
    page.open(&format!("http://{}/", server.address()));
    page.wait_for("document.getElementById('model').value === 'toy'");
    let text = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>\n\n[a](javascript:window.hit=1) \
                ![b](https://x.example/b.png) **<i>c</i>** `<b>d</b>`\n\n```html\n<script>window.hit = 1</script>\n```\n\n\
                | <u>e</u> | [f](https://x.example/?q=\"onclick=1) |\n|-|-|\n| <iframe src=/> | g |";
    page.run(&format!(
        "import('/page/render.js').then(({{ draw }}) => {{
            const node = document.createElement('div');
            node.id = 'drawn';
            draw(node, {});
            document.body.append(node);
        }})",
        json!(text)
    ));
    page.wait_for("document.querySelector('#drawn table')");
    let bad = "document.querySelectorAll('#drawn :is(script, img, iframe, i, b, u, [onclick], [onerror], a:not([href^=https]))').length";
    assert_eq!(page.value(bad), json!(0));
    assert_eq!(page.value("window.hit ?? 0"), json!(0));
    assert_eq!(
        page.value("[...document.querySelectorAll('#drawn a')].map((link) => link.rel)[0]"),
        json!("noopener noreferrer nofollow")
    );
    // And the browser would not let the page do it, had it a mistake.
    let refused = "(() => { try { document.body.innerHTML = '<i>'; return 'taken'; } catch (error) { return error.name; } })()";
    assert_eq!(page.value(refused), json!("TypeError"));
}
